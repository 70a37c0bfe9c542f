# SPDX-License-Identifier: Apache-2.0
"""What the scripts with PaddleGAN's flags share."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from ppzoo.errors import DataError, UserError


def truth(text: str) -> bool:
    """Return what a word means; PaddleGAN takes any text for yes, even `False`."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"expected True or False, got {text!r}")
    return words[text.lower()]


def add_switch(parser: argparse.ArgumentParser, flag: str, text: str) -> None:
    """Add a flag that may be followed by True or False, and is False if it is not given."""
    parser.add_argument(flag, nargs="?", type=truth, const=True, default=False, help=text)


def add_device(parser: argparse.ArgumentParser, *, xpu: bool = False) -> None:
    """Add PaddleGAN's flags that choose a device."""
    parser.add_argument("--cpu", action="store_true", help="use the CPU, also where there is a GPU")
    if xpu:
        parser.add_argument("--xpu", action="store_true", help="not available: use a GPU or a CPU")


def device_of(args: argparse.Namespace) -> str | None:
    """Return the device that was chosen, None for a GPU if there is one.

    Raises:
        UserError: it is one that ppzoo does not use.
    """
    if getattr(args, "xpu", False):
        raise UserError("--xpu is not available: ppzoo uses GPUs of NVIDIA and CPUs (--cpu)")
    return "cpu" if args.cpu else None


def check_files(args: argparse.Namespace, *names: str) -> None:
    """Check that options name files, before weights are read or even downloaded.

    Raises:
        UserError: one is not given.
        DataError: there is no such file.
    """
    for name in names:
        path = getattr(args, name)
        if path is None:
            raise UserError(f"--{name} FILE is missing")
        if Path(path).is_dir():
            raise DataError(f"{path} is a folder: give a file (--{name})")
        if not Path(path).is_file():
            raise DataError(f"there is no file {path} (--{name})")


def has_predictor(name: str) -> bool:
    """Tell whether ppzoo has a predictor of PaddleGAN's."""
    return name in dir(importlib.import_module("ppgan.apps"))


def predictor(name: str) -> Any:
    """Return a predictor of PaddleGAN's by its name.

    Raises:
        UserError: ppzoo does not have it yet.
    """
    return getattr(importlib.import_module("ppgan.apps"), name)
