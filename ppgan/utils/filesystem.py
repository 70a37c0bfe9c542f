# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's files: weights that are read without running code, and folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ppzoo.weights import read, write_pdparams


def makedirs(directory: str) -> None:
    """Make a folder, if it is not there."""
    Path(directory).mkdir(parents=True, exist_ok=True)


def save(state_dicts: Any, file_name: str | os.PathLike[str]) -> None:
    """Write weights as `.pdparams`."""
    write_pdparams(file_name, state_dicts)


def load(file_name: str | os.PathLike[str], allow_http: bool = False) -> Any:
    """Return what a file of weights holds, arrays by name.

    Args:
        file_name: the file, or with `allow_http` its address.
        allow_http: fetch it first.
    """
    if allow_http and str(file_name).startswith(("http://", "https://")):
        from ppgan.utils.download import get_path_from_url

        file_name = get_path_from_url(str(file_name))
    return read(file_name)
