# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: a name of its own, the resolved config, the log."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ppzoo.engine.logs import log_file
from ppzoo.errors import UserError


def make_run_dir(parent: str | os.PathLike[str], name: str) -> Path:
    """Make a folder `<name>-<date>-<time>` that no other run has, and return it.

    Raises:
        UserError: it cannot be made.
    """
    stem = f"{name}-{time.strftime('%Y-%m-%d-%H-%M')}"
    for number in itertools.count(1):
        folder = Path(parent, stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:  # another run of this minute has it
            continue
        except OSError as error:
            raise _cannot_write(folder, error) from error
    return folder


@contextlib.contextmanager
def open_run_dir(
    folder: Path, config: str, rank: int, earlier: Sequence[logging.LogRecord] = ()
) -> Iterator[None]:
    """Write the config, and inside the context the log, into a folder, which is made if missing.

    Args:
        folder: the run folder.
        config: the resolved config, YAML.
        rank: of this process; all but the first one only log, each to a file of its own.
        earlier: what was logged before, which the log begins with.

    Raises:
        UserError: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"log.txt.rank{rank}" if rank else "log.txt"
            stack.enter_context(log_file(folder / name, earlier))
            if rank == 0:
                (folder / "config.yaml").write_text(config, encoding="utf-8")
        except OSError as error:
            raise _cannot_write(folder, error) from error
        yield


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"the run folder {folder} cannot be written ({error.strerror}): choose another with "
        "-o output_dir=FOLDER"
    )
