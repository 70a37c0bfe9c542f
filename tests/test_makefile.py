# SPDX-License-Identifier: Apache-2.0
"""What somebody sees whose machine lacks what `make` needs, before anything is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The suite itself may run under make, whose variables must not reach the one under test.
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True)


def fake_python(folder: Path, answers: str) -> Path:
    """Write a stand-in for an interpreter: a shell script that answers by its arguments."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\ncase "$*" in\n{answers}\nesac\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split()
    listed = re.findall(r"^  make (\S+) +\S", make("help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony)
    assert "demo" in listed


def test_no_python(tmp_path: Path) -> None:
    run = make("setup", "PYTHON=no-such-python", f"VENV={tmp_path}/venv")
    assert run.returncode == 2
    assert "No 'no-such-python' found: install Python 3.10 to 3.13" in run.stderr


def test_wrong_python(tmp_path: Path) -> None:
    python = fake_python(tmp_path, '*version_info*) exit 1;;\n-V) echo "Python 3.8.1";;')
    run = make("setup", f"PYTHON={python}", f"VENV={tmp_path}/venv")
    assert run.returncode == 2
    assert "ppzoo needs Python 3.10 to 3.13" in run.stderr
    assert "Python 3.8.1" in run.stderr
    assert not (tmp_path / "venv").exists()


def test_python_without_venv(tmp_path: Path) -> None:
    python = fake_python(tmp_path, "*ensurepip*) exit 1;;")
    run = make("setup", f"PYTHON={python}", f"VENV={tmp_path}/venv")
    assert run.returncode == 2
    assert "sudo apt install python3-venv" in run.stderr
    assert not (tmp_path / "venv").exists()


def test_family_must_be_named(tmp_path: Path) -> None:
    run = make("test-family", "F=", f"VENV={tmp_path}/venv", "PYTHON=no-such-python")
    assert run.returncode == 2
    assert "make test-family F=NAME" in run.stderr
