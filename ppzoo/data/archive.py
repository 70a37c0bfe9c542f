# SPDX-License-Identifier: Apache-2.0
"""Unpacking archives from the network without trusting them.

Only plain files and folders are made, by this module's own hands: no link, device, owner, mode or
absolute path of an archive has any effect, whatever the version of Python's `tarfile`.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import lzma
import os
import re
import secrets
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ppzoo.errors import DataError

# The most that is read at once. `tarfile` reads a header of any size in one piece.
_CHUNK = 1 << 17
_PER_ENTRY = 4096  # bytes of an archive beside the content: headers, filling
# Leftovers of macOS, which look like pictures by their names.
_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$)")
# Pictures hardly compress: what grows more than this has been made to fill disks.
_MOST_GROWTH, _ALWAYS_ALLOWED = 50, 16 * 2**20
# A disk is not filled to the last byte: other programs need some of it.
_OF_FREE_SPACE = 0.9
# On Windows, "C:x" leads to another disk.
_DRIVE = re.compile(r"[A-Za-z]:(/|$)")
# Python unpacks parts of zip archives in any other way without a limit of memory.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_STREAMS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x5d\x00\x00": lzma.open,
}


class _Member(NamedTuple):
    name: str
    kind: str  # "file", "folder" or what else it is
    open: Callable[[], Any]


class _Limit(NamedTuple):
    size: int  # bytes of all files
    reason: str  # what an archive that holds more does wrong


def extract_archive(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    max_files: int = 200_000,
    max_bytes: int = 20 * 2**30,
    check: Callable[[Path], None] | None = None,
    progress: bool = True,
) -> int:
    """Unpack a zip or tar archive into a new folder.

    If all files lie in one folder of the archive, that folder is left out. What grows more than 50
    times (16 MB are always allowed) is taken for an attack.

    Args:
        path: the archive: zip, or tar with any compression.
        folder: the folder to make; an empty one may be there. It comes into being when all files
            are there.
        max_files: the largest number of files.
        max_bytes: the largest size of all files together, in bytes.
        check: called with the folder before it is moved to its place; what it raises stops that.
        progress: show a bar, if the error stream is a terminal.

    Returns:
        the number of files.

    Raises:
        DataError: the archive is damaged, not an archive, larger than allowed or than nine tenths
            of the free space, or has entries that are no plain files within it (hard links, too);
            or the folder has files already, or cannot be made.
    """
    from tqdm import tqdm

    path, folder = Path(path), Path(folder)
    packed = _size(path)
    _make_parent(folder)
    limit = _limit(path, folder, packed, max_bytes)
    partial = folder.with_name(f".{folder.name[:40]}.{secrets.token_hex(6)}.part")
    with _open(path, limit.size, max_files) as members, contextlib.ExitStack() as stack:
        partial.mkdir()
        stack.callback(shutil.rmtree, partial, ignore_errors=True)
        count, size = 0, 0
        bar = stack.enter_context(
            tqdm(desc=path.name, unit="file", disable=None if progress else True)
        )
        for member in members:
            parts = _parts(path, member)
            if member.kind != "file" or not parts or _JUNK.search(member.name):
                continue
            count += 1
            if count > max_files:
                raise DataError(f"{path} has more than {max_files} files, so it was not unpacked")
            target = partial.joinpath(*parts)
            size += _copy(member, target, limit._replace(size=limit.size - size))
            bar.update()
        if not count:
            raise DataError(f"{path} has no files in it")
        whole = _only_folder(partial)
        if check is not None:
            check(whole)
        if folder.exists():
            folder.rmdir()
        os.replace(whole, folder)
    return count


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Tell whether `extract_archive` takes a file for an archive; it may be a damaged one."""
    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            return True
        with _tar(path, _ALWAYS_ALLOWED) as archive:
            return archive.next() is not None
    # Both readers answer other files with a dozen kinds of exceptions.
    except Exception:
        return False


class _Bounded:
    """A stream of which no more is read than an honest archive holds.

    Args:
        stream: what may be compressed, and grow as it is read.
        most: bytes, from its start.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._most = most

    def read(self, count: int) -> bytes:
        """Return the next bytes, not too many at once."""
        self._check(count, _CHUNK)
        self._check(self._stream.tell() + count, self._most)
        return self._stream.read(count)

    def seek(self, position: int) -> int:
        """Go to a place that can be reached within the limit."""
        self._check(position, self._most)
        return self._stream.seek(position)

    def tell(self) -> int:
        """Return the present place."""
        return self._stream.tell()

    def _check(self, count: int, most: int) -> None:
        if not 0 <= count <= most:
            raise DataError("it holds far more than its size suggests")


@contextlib.contextmanager
def _tar(path: Path, most: int) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        head = file.read(6)
    found = [read for start, read in _STREAMS.items() if head.startswith(start)]
    # Not left to `tarfile.open`, which would put no bounds to what it unpacks.
    with (found[0] if found else open)(path, "rb") as stream:
        bounded: Any = _Bounded(stream, most)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            yield archive


@contextlib.contextmanager
def _open(path: Path, limit: int, max_files: int) -> Iterator[Iterator[_Member]]:
    """Give the entries of an archive; say what is wrong with one that cannot be unpacked."""
    # Folders count as well, and so do entries that are left out.
    entries = 2 * max_files + 1000
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield _zip_members(archive, entries)
        else:
            with _tar(path, limit + _PER_ENTRY * entries) as archive:
                yield _tar_members(archive, entries)
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path} was not unpacked: {error}") from error
    except OSError as error:
        about = f" of {_printable(os.fsdecode(error.filename))}" if error.filename else ""
        raise DataError(f"cannot unpack {path}: {error.strerror or error}{about}") from error
    # Both readers answer damaged bytes with a dozen kinds of exceptions (zlib.error, EOFError,
    # UnicodeDecodeError, ...), all of which mean the same to the user.
    except Exception as error:
        # Of an unknown file `tarfile` lists what each of its readers says, a line each.
        reason = _printable(str(error).partition("\n")[0].rstrip(":"))
        raise DataError(
            f"{path} is no zip or tar archive, or is damaged: {reason}; remove it and fetch it "
            "again"
        ) from error


def _zip_members(archive: zipfile.ZipFile, most: int) -> Iterator[_Member]:
    if len(archive.infolist()) > most:
        raise DataError(f"it has more than {most} entries")
    for info in archive.infolist():
        if info.compress_type not in _ZIP_METHODS:
            raise DataError("it is compressed in a way that is not read: pack it with Deflate")
        mode = info.external_attr >> 16
        if info.is_dir():
            kind = "folder"
        else:
            kind = "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "link or device"
        yield _Member(info.filename, kind, functools.partial(archive.open, info))


def _tar_members(archive: tarfile.TarFile, most: int) -> Iterator[_Member]:
    place = -1
    for _ in range(most + 1):
        info = archive.next()
        if info is None:
            return
        archive.members = []  # which would hold all of millions
        # Lengths below zero lead back, and Python before 3.14 in circles.
        if info.size < 0 or info.offset <= place:
            raise DataError("its entries do not follow one another")
        place = info.offset
        if info.isdir():
            kind = "folder"
        elif info.islnk():
            kind = "hard link"
        else:
            kind = "file" if info.isreg() else "link or device"
        yield _Member(info.name, kind, functools.partial(archive.extractfile, info))
    raise DataError(f"it has more than {most} entries")


def _make_parent(folder: Path) -> None:
    """Make the folder that a new folder is to lie in.

    Raises:
        DataError: it cannot be made, or something of the new folder's name is there.
    """
    try:
        taken = folder.is_symlink() or (
            folder.exists() and (folder.is_file() or any(folder.iterdir()))
        )
        if not taken:
            folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the folder {folder}: {error.strerror or error}; choose another place"
        ) from error
    if taken:
        raise DataError(f"{folder} is there already: choose another place or remove it")


def _limit(path: Path, folder: Path, packed: int, max_bytes: int) -> _Limit:
    """Return how much an archive of `packed` bytes may unpack to."""
    free = shutil.disk_usage(folder.parent).free
    limits = (
        _Limit(
            max(_ALWAYS_ALLOWED, _MOST_GROWTH * packed),
            f"{path} holds far more than its size suggests, so it was not unpacked",
        ),
        _Limit(max_bytes, f"{path} holds more than {max_bytes} bytes, so it was not unpacked"),
        _Limit(
            int(_OF_FREE_SPACE * free),
            f"{path} was not unpacked: it holds more than the disk of {folder.parent} has room "
            f"for ({free / 1e6:.1f} MB are free); free some space or choose another place",
        ),
    )
    return min(limits, key=lambda limit: limit.size)


def _parts(path: Path, member: _Member) -> list[str]:
    """Return the folders and the name of an entry, all of them within the archive."""
    name = member.name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    # On Windows, "C:x" leads out wherever it stands in a path, and "x:y" into a stream of x.
    # Elsewhere a colon is a letter, and a drive at the start a sign of an attack on Windows.
    drives = ":" in name if os.name == "nt" else bool(_DRIVE.match(name))
    if name.startswith("/") or ".." in parts or drives or "\0" in name:
        raise DataError(
            f"{path} has an entry {member.name!r} that leads out of it; nothing is kept"
        )
    if member.kind not in ("file", "folder"):
        hint = ""
        if member.kind == "hard link":
            hint = " (tar writes files of two names so: pack it with --hard-dereference)"
        raise DataError(
            f"{path} has an entry {member.name!r} that is a {member.kind}{hint}; nothing is kept"
        )
    return parts


def _copy(member: _Member, target: Path, limit: _Limit) -> int:
    """Write one file within the limit, and return its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with member.open() as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > limit.size:
                raise DataError(limit.reason)
            file.write(chunk)
    return size


def _printable(text: str) -> str:
    """Return what an archive says so that it cannot act on a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read the archive {path}: {error.strerror}") from error


def _only_folder(folder: Path) -> Path:
    """Return the folder in `folder` if it holds nothing else, otherwise `folder`."""
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
