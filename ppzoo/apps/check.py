# SPDX-License-Identifier: Apache-2.0
"""`ppzoo check`: which configs can be trained as they are, and what is wrong with the others."""

from __future__ import annotations

import argparse
import sys

from ppzoo.apps import add_overrides
from ppzoo.config import load_config
from ppzoo.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo check`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML that describes a run")
    add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Check files against the classes that they name, build nothing, and print a line for each.

    Returns:
        0 if all of them can be trained, 1 if not: where something is wrong, or where PaddleGAN has
        what ppzoo does not have yet.
    """
    wrong = 0
    for file in args.files:
        try:
            config = load_config(file, args.opt, check=True)
        except ConfigError as error:
            wrong += 1
            _say(str(error))
            continue
        for warning in config.warnings:
            _say(f"warning: {warning}")
        _say(f"{file}: {config.model.name}, nothing is wrong")
    if len(args.files) > 1:
        _say(f"{len(args.files) - wrong} of {len(args.files)} configs can be trained")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
