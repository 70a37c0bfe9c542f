# SPDX-License-Identifier: Apache-2.0
"""`ppzoo new my_project`: a small project of one's own that trains, ready for GitHub.

It has a dataset, a generator and a model of its own on ppzoo's registries, a config that names
them, a script that trains, and a test that takes two steps.
"""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ppzoo.errors import UserError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # since Python 3.11

# What the files of the template call the package and the project, and what their names end in:
# they are no modules of this package.
_PACKAGE, _TITLE, _SUFFIX = "my_project", "MY-PROJECT", "-tpl"
# Stands in the template for where ppzoo comes from.
_PLACEHOLDER = "ADDRESS-OF-PPZOO"
# What stands beside the package in the project's folder, and names by which Python's tools know
# files and folders of their own there.
_TAKEN = ("train", "draw_pictures", "tests", "pictures", "output_dir")
_TAKEN += ("setup", "conftest", "test", "build", "dist", "venv", "env", "src")
# What no file or folder of Windows can be called: whoever clones the project there needs both.
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


def new_project(folder: str | os.PathLike[str]) -> Path:
    """Write a project into a new or empty folder, and return the folder.

    The package in it has the folder's name, with underscores for hyphens and spaces.

    Args:
        folder: must not exist, or be empty; a `.git` may be there.

    Raises:
        UserError: the folder holds something, its name suits no package, or it cannot be written.
    """
    # Not Path.expanduser, which raises where a `~name` is nobody's.
    target = Path(os.path.abspath(os.path.expanduser(folder)))
    name = _package_name(target)
    try:
        if target.exists() and any(path.name != ".git" for path in target.iterdir()):
            raise UserError(
                f"{target} holds something already, and nothing is overwritten: name a new folder"
            )
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target) as temporary:
            for place, text in _template():
                path = Path(temporary, str(place).replace(_PACKAGE, name))
                path.parent.mkdir(exist_ok=True)
                text = text.replace(_PACKAGE, name).replace(_TITLE, target.name)
                path.write_text(text, encoding="utf-8", newline="\n")
            for path in sorted(Path(temporary).iterdir()):
                shutil.move(path, target / path.name)
    except OSError as error:
        raise UserError(f"cannot make a project in {target}: {error.strerror}") from error
    return target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo new`."""
    parser.add_argument(
        "folder", metavar="FOLDER", help="a new or empty folder, which names the project"
    )


def run(args: argparse.Namespace) -> None:
    """Make a project, and say how it goes on.

    Raises:
        UserError: the folder cannot be used.
    """
    project = new_project(args.folder)
    try:
        near = os.path.relpath(project)
    except ValueError:  # on another drive of Windows's
        near = str(project)
    sys.stdout.write(
        f"project: {project}\n"
        f"  cd {shlex.quote(near)}\n"
        "  python draw_pictures.py   # or put pictures of your own into pictures/\n"
        "  python train.py           # a minute or two on a CPU\n"
        "  python -m pytest          # two steps of training, as a test\n"
    )
    if _PLACEHOLDER in (project / "requirements.txt").read_text(encoding="utf-8"):
        sys.stdout.write(
            f"before you share it: in requirements.txt, put the address of your ppzoo in the place "
            f"of {_PLACEHOLDER}\n"
        )


def _package_name(folder: Path) -> str:
    """Return what the package in a project is called.

    Raises:
        UserError: that is no name, or another package's.
    """
    name = folder.name.replace("-", "_").replace(" ", "_")
    if keyword.iskeyword(name):
        raise UserError(
            f"{folder.name!r} cannot name a Python package: {name!r} is a word of Python itself "
            "(a keyword); choose another name for the folder"
        )
    if not (name.isidentifier() and name.isascii()) or name.startswith("_"):
        raise UserError(
            f"{folder.name!r} cannot name a Python package: take letters (a to z), digits and "
            "underscores, a letter first"
        )
    if name.lower() in _DEVICES:
        raise UserError(
            f"{name!r} is what Windows calls a device, and no folder there: choose another name "
            "for the folder"
        )
    # Some systems do not tell Train from train.
    if name.lower() in _TAKEN:
        raise UserError(
            f"{name!r} is what a project or Python's tools call something of their own: choose "
            "another name for the folder"
        )
    # A folder that is in the way without being a package, perhaps this very one, has no origin.
    found = None if name in sys.builtin_module_names else importlib.util.find_spec(name)
    is_other = found is not None and found.origin is not None
    if is_other or name in sys.stdlib_module_names:
        raise UserError(f"there is a module {name!r} already: choose another name for the folder")
    return name


def _template() -> Iterator[tuple[PurePosixPath, str]]:
    """Yield where each file belongs, and its text."""

    def walk(folder: Traversable, place: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                yield from walk(entry, place / entry.name)
            elif entry.name.endswith(_SUFFIX):
                name = entry.name.removesuffix(_SUFFIX)
                # Hidden files are left out of packages.
                name = f".{name}" if name == "gitignore" else name
                yield place / name, entry.read_text(encoding="utf-8")

    return walk(files("ppzoo.apps").joinpath("template"), PurePosixPath())
