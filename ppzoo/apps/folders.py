# SPDX-License-Identifier: Apache-2.0
"""What all predictors say that go through a folder: at a damaged picture, and what they pass by."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ppzoo.data.folder import IMAGE_SUFFIXES, find_others
from ppzoo.errors import DataError


def stopped_at(error: DataError, done: int, total: int) -> DataError:
    """Return the error that ends a folder's work at a picture, and says how to leave that out.

    Args:
        error: what is wrong with the picture.
        done: pictures before it whose results are written.
        total: pictures that were to be done; where it is the only one, its error says all.
    """
    if total == 1:
        return error
    return DataError(
        f"{error}; {done} of {total} pictures are done, --on-error skip leaves such ones out"
    )


def say_others(source: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Write to the error stream which files of a folder are taken for no pictures, if any are.

    Args:
        source: the folder; of a single picture there is nothing to say.
        output: the folder for results, whose files do not count.
    """
    path, results = Path(source).expanduser(), os.path.realpath(Path(output).expanduser())
    if not path.is_dir():
        return
    others = [
        other
        for other in find_others(path)
        if results == os.path.realpath(path)
        or not Path(os.path.realpath(other)).is_relative_to(results)
    ]
    if others:
        name = others[0].relative_to(path)
        named = f"{len(others)} files, such as {name}" if len(others) > 1 else str(name)
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        sys.stderr.write(f"left out: {named} (in folders, names of pictures end in {kinds})\n")
