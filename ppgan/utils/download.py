# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's downloads, into ppzoo's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

from filelock import FileLock

from ppzoo.data.archive import extract_archive, is_archive
from ppzoo.download import cache_dir, download
from ppzoo.errors import DataError, UserError
from ppzoo.weights.manifest import BASE_URL, OFFICIAL, find_weights

_BY_PATH = {file.path: file.name for file in OFFICIAL.values()}
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def get_path_from_url(url: str, md5sum: str | None = None, check_exist: bool = True) -> str:
    """Fetch a file if it is not there yet, and return its path.

    PaddleGAN's official weights are kept and checked as everywhere in ppzoo, other files in a
    folder for each address. Of a zip or tar archive, the path is that of a folder beside it with
    what it holds; it is unpacked anew when the archive has become another one. PyTorch's files are
    left as they are, though some are zip files and others are called `.tar`.

    Args:
        url: its address.
        md5sum: what its MD5 must be.
        check_exist: accepted as PaddleGAN's; a whole file is never fetched again.

    Raises:
        UserError: it cannot be had, or the address names no file.
        DataError: it is another file, or an archive that cannot be unpacked or is not safe to.
    """
    name = _BY_PATH.get(url.removeprefix(BASE_URL))
    if name is not None:
        path = find_weights(name)
    else:
        path = download(url, _place(url))
    if md5sum is not None and _md5(path) != md5sum.lower():
        raise DataError(f"{path} is not the file with the MD5 {md5sum}: remove it and try again")
    return str(_unpacked(path) if _is_archive(path) else path)


def _place(url: str) -> Path:
    """Return where a file is kept: addresses that end in the same name are kept apart."""
    address = url.partition("#")[0].partition("?")[0]
    name = Path(address.partition("://")[2].partition("/")[2] or ".").name
    if address.endswith("/") or name in ("", ".."):
        raise UserError(f"the address {url!r} names no file")
    return cache_dir() / "files" / hashlib.sha256(url.encode()).hexdigest()[:12] / name


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _is_archive(path: Path) -> bool:
    is_zip = zipfile.is_zipfile(path)
    if path.name.lower().endswith(".zip"):
        return is_zip
    return path.name.lower().endswith(_TAR) and not is_zip and is_archive(path)


def _unpacked(path: Path) -> Path:
    """Return the folder of an archive's files, which is made if it is not there yet."""
    suffix = next(end for end in (".zip", *_TAR) if path.name.lower().endswith(end))
    folder = path.with_name(path.name[: -len(suffix)])
    note, anew = (path.with_name(f".{path.name}.{end}") for end in ("unpacked", "new"))
    with FileLock(path.with_name(f".{path.name}.unpacking")):
        file = path.stat()
        stamp = f"{file.st_size} {file.st_mtime_ns}"
        if folder.is_dir() and note.is_file() and note.read_text() == stamp:
            return folder
        shutil.rmtree(anew, ignore_errors=True)
        extract_archive(path, anew)
        try:
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(anew, folder)
            note.write_text(stamp)
        except OSError as error:
            raise DataError(f"cannot replace {folder}: {error.strerror}") from error
    return folder
