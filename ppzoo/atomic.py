# SPDX-License-Identifier: Apache-2.0
"""Files that are either written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ppzoo.errors import UserError

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "free some space or choose another disk",
    errno.EFBIG: "the file is larger than this disk or user may have",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOTDIR: "a part of this path is a file, choose another folder",
    errno.EEXIST: "a part of this path is a file, choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a binary file that takes the place of `path` when the block ends without an exception.

    The bytes go to a temporary file in the same folder, reach the disk (fsync) and are renamed, so
    that a reader, a crash or a kill at any moment finds the old file or the new one, never a part.
    Missing folders are made. A link is followed, an existing file's permissions are kept.

    Args:
        path: the file to write. The file given is readable and seekable.

    Raises:
        UserError: a full disk, missing permission, a folder or device in the way; names `path`.
    """
    target = Path(os.path.realpath(path))
    with _explained(path):
        mode = _mode_of(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Cut so that the suffix does not push a long but legal name over the limit of 255 bytes.
        temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tmp")
        # Not tempfile: its files are private (0600), these follow the user's umask.
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
        descriptor = os.open(temporary, flags, 0o666)
    try:
        with _explained(path):
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                os.chmod(temporary, mode)
            os.replace(temporary, target)
            sync_folder(target.parent)
    finally:
        # After the rename there is nothing left of that name.
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _mode_of(target: Path) -> int | None:
    """Return the permissions of the file in the way, None without one."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, name a file in it")
    if not stat.S_ISREG(status.st_mode):
        # A rename would replace the device itself: /dev/null has been lost this way.
        raise OSError(errno.EINVAL, "it is a device or pipe, name a file")
    return stat.S_IMODE(status.st_mode)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a crash; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Errors about another file by name come from the caller's block and keep their meaning.
        about = error.filename if error.filename2 is None else error.filename2
        if about is not None and not _is_near(about, path):
            raise
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0)
        advice = f"; {remedy}" if remedy else ""
        raise UserError(f"cannot write {os.fspath(path)}: {reason}{advice}") from error


def _is_near(name: str | bytes | int, path: str | os.PathLike[str]) -> bool:
    """Tell whether `name` is `path`, its temporary file, or a folder above it."""
    if isinstance(name, int):
        return False
    target = Path(os.path.realpath(path))
    culprit = Path(os.path.realpath(os.fsdecode(name)))
    is_temporary = culprit.parent == target.parent and culprit.suffix == ".tmp"
    return culprit == target or is_temporary or culprit in target.parents
