# SPDX-License-Identifier: Apache-2.0
"""Where ppzoo's log goes: the console, and `log.txt` of a run, in PaddleGAN's line format."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from ppzoo.errors import UserError

_FORM = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%m/%d %H:%M:%S")


def setup_logging(console: bool = True) -> None:
    """Show ppzoo's log on the console, or not; handlers that others have added stay."""
    logger = _open_logger()
    for old in [handler for handler in logger.handlers if isinstance(handler, _ConsoleHandler)]:
        logger.removeHandler(old)
    if console:
        _add(logger, _ConsoleHandler())


@contextlib.contextmanager
def showing_warnings() -> Iterator[None]:
    """Show ppzoo's warnings as notes on the error stream, inside the context, and nothing else.

    Without it they go to the handler that VisualDL gives the root logger, with the names of files
    and the numbers of lines that mean nothing to users.
    """
    logger = logging.getLogger("ppzoo")
    handler, propagates = _NoteHandler(logging.WARNING), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)


@contextlib.contextmanager
def log_file(path: Path, earlier: Sequence[logging.LogRecord] = ()) -> Iterator[None]:
    """Append ppzoo's log to a file inside the context, and the user's error that ends it.

    Args:
        path: of the file.
        earlier: what was logged before, which is written first.

    Raises:
        OSError: the file cannot be opened.
    """
    logger = _open_logger()
    handler = _FileHandler(path, encoding="utf-8")
    _add(logger, handler)
    for record in earlier:
        handler.handle(record)
    try:
        yield
    except UserError as error:
        # Only here: the command line prints it by itself.
        name = f"{__package__}.trainer"
        handler.handle(logger.makeRecord(name, logging.ERROR, "", 0, str(error), (), None))
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def _open_logger() -> logging.Logger:
    logger = logging.getLogger("ppzoo")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def _add(logger: logging.Logger, handler: logging.Handler) -> None:
    handler.setFormatter(_FORM)
    logger.addHandler(handler)


class _ConsoleHandler(logging.Handler):
    """Leaves a progress bar intact."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)


class _NoteHandler(logging.Handler):
    """Writes a line for each sentence, and leaves a progress bar intact."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(f"note: {record.getMessage()}", file=sys.stderr)


class _FileHandler(logging.FileHandler):
    """Says once that the file cannot be written, such as on a full disk, and lets the run go on."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            tqdm.write(f"warning: {self.baseFilename}: {sys.exc_info()[1]}", file=sys.stderr)

    def close(self) -> None:
        # What could not be written is still in the buffer, and closing tries it again.
        with contextlib.suppress(OSError):
            super().close()
