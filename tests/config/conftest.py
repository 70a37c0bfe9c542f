# SPDX-License-Identifier: Apache-2.0
"""Config files for the tests to read."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ppzoo.config import TrainConfig, load_config

Write = Callable[..., Path]
Load = Callable[..., TrainConfig]

# The least that a config says; tests put their lines before or after it.
MINIMAL = """\
total_iters: 10
model: {name: M}
dataset:
  train: {name: D}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text to a file in the test's folder and return its path."""

    def write(text: str, name: str = "x.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(write: Write) -> Load:
    """Load a config from a text."""

    def load(text: str, *overrides: str) -> TrainConfig:
        return load_config(write(text), overrides)

    return load
