# SPDX-License-Identifier: Apache-2.0
"""Pictures in LMDB databases: one file instead of ten thousands, laid out as BasicSR does.

A database is a folder `NAME.lmdb` with `data.mdb`, which holds the bytes of PNG files by their
names without suffix, and `meta_info.txt`, whose lines say name, shape and compression:
`0001_s001.png (480,480,3) 1`. A picture in it goes by the path `NAME.lmdb/0001_s001.png`.
"""

from __future__ import annotations

import functools
import io
import os
import re
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.errors import DataError, MissingExtraError
from ppzoo.media.image import load_image, read_image

Shape = tuple[int, int, int]  # height, width, channels

SUFFIX = ".lmdb"
_LINE = re.compile(r"(?P<name>.+)\.\w+ \((?P<height>\d+),(?P<width>\d+),(?P<channels>\d+)\) \d+")
# LMDB does not let one process open a database twice, and what a process has opened is of no use
# after a fork. Opening takes a tenth of a millisecond, so it is done for each picture.
_LOCK = threading.Lock()


def is_database(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder is named as a database is."""
    return Path(folder).suffix.lower() == SUFFIX


def list_pictures(
    database: str | os.PathLike[str], option: str | None = None
) -> dict[Path, tuple[int, int]]:
    """Return the pictures of a database, sorted by name, and their (height, width).

    Args:
        database: the folder.
        option: the option that names it, if one does, for error messages.

    Raises:
        DataError: there is no database, or its list is missing, empty or damaged.
    """
    root = Path(database).expanduser()
    named = f"the database {root}" + (f" of '{option}'" if option else "")
    found = {root / f"{name}.png": shape[:2] for name, shape in _read_list(root, named).items()}
    if not found:
        raise DataError(f"{named} is empty")
    return dict(sorted(found.items()))


def _read_list(root: Path, named: str) -> dict[str, Shape]:
    """Return the shapes of the pictures of a database by their names without suffix."""
    listing = root / "meta_info.txt"
    for path in (root / "data.mdb", listing):
        if not path.is_file():
            raise DataError(f"{named} has no file {path.name}, so it is none or was not finished")
    found = {}
    for number, line in enumerate(listing.read_text("utf-8", "replace").splitlines(), 1):
        match = _LINE.fullmatch(line.strip())
        if match is None and line.strip():
            raise DataError(f"{listing}:{number}: expected 'name.png (h,w,c) level', got {line!r}")
        if match is not None:
            height, width, channels = map(int, match.group("height", "width", "channels"))
            found[match["name"]] = height, width, channels
    return found


def read_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture file, or a picture in a database, as `read_image` does.

    Args:
        path: a file, or `NAME.lmdb/picture.png`.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        DataError: it is missing or damaged; names it.
        MissingExtraError: the package lmdb is not installed.
    """
    path = Path(path)
    database = _database_of(path)
    if database is None:
        return read_image(path)
    from PIL import Image

    data = _value(database, _key(path, database))
    try:
        with Image.open(io.BytesIO(data)) as image:
            return load_image(image)
    except (DataError, OSError) as error:
        raise DataError(f"the picture {path} is damaged: {error}") from error


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) of a picture as `read_picture` would show it, from its header.

    Raises:
        DataError: it is missing, or is no picture; names it.
    """
    path = Path(path)
    database = _database_of(path)
    if database is not None:
        sizes = _sizes(database)
        if path not in sizes:
            raise DataError(f"the database {database} has no picture {_key(path, database)!r}")
        return sizes[path]
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            # Pillow decodes a whole PNG file to look for the camera's orientation behind it.
            known = image.format != "PNG" or "exif" in image.info
            turned = known and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except FileNotFoundError:
        raise DataError(f"there is no image file {path}") from None
    except Exception as error:  # Pillow's answers to damaged bytes are of a dozen kinds
        raise DataError(f"{path} is not an image file, or is damaged: {error}") from error
    return (width, height) if turned else (height, width)


class DatabaseWriter:
    """Writes a database; what was written before a break is kept and need not be written again.

    Use it in a `with` statement. The list of pictures, without which there is no database, is
    written when the block ends without an exception.

    Args:
        database: the folder, whose name ends in .lmdb.

    Raises:
        DataError: another name, or something else is in the way.
        MissingExtraError: the package lmdb is not installed.
    """

    # Room that the file is given at first; it is doubled when it is full.
    _FIRST_BYTES = 1 << 26

    def __init__(self, database: str | os.PathLike[str]) -> None:
        self.root = Path(database).expanduser()
        if not is_database(self.root):
            raise DataError(f"the name of a database ends in {SUFFIX}, got {self.root}")
        if self.root.exists() and not (self.root / "data.mdb").is_file():
            raise DataError(f"{self.root} is there already but is no database; remove it")
        # What other calls have written stays.
        is_listed = (self.root / "meta_info.txt").exists()
        self._shapes = _read_list(self.root, f"the database {self.root}") if is_listed else {}
        lmdb = _lmdb()
        self.root.mkdir(parents=True, exist_ok=True)
        data = self.root / "data.mdb"
        room = max(self._FIRST_BYTES, 2 * (data.stat().st_size if data.exists() else 0))
        try:
            self._environment = lmdb.open(str(self.root), map_size=room, lock=False)
        except lmdb.Error as error:
            raise DataError(f"cannot write the database {self.root}: {error}") from error

    def __enter__(self) -> DatabaseWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self._environment.sync()
        self._environment.close()
        if kind is None:
            with atomic_write(self.root / "meta_info.txt") as file:
                for name, shape in sorted(self._shapes.items()):
                    file.write(f"{name}.png ({','.join(map(str, shape))}) 1\n".encode())

    def is_empty(self) -> bool:
        """Return whether nothing has been written yet."""
        return self._environment.stat()["entries"] == 0

    def has(self, names: Iterable[str]) -> bool:
        """Return whether all pictures of these names, without suffix, have been written."""
        with self._environment.begin() as transaction:
            return all(transaction.get(name.encode()) is not None for name in names)

    def keep(self, names: Iterable[str], shape: Shape) -> None:
        """List pictures that were written before a break.

        Args:
            names: without suffix.
            shape: (height, width, channels), that of all of them.
        """
        self._shapes.update(dict.fromkeys(names, shape))

    def put(self, files: Mapping[str, bytes], shape: Shape) -> None:
        """Write pictures, all or none, and list them.

        Args:
            files: bytes of PNG files by their names without suffix.
            shape: (height, width, channels), that of all of them.

        Raises:
            DataError: they cannot be written.
        """
        self._write(files)
        self.keep(files, shape)

    def _write(self, files: Mapping[str, bytes]) -> None:
        lmdb = _lmdb()
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for name, data in files.items():
                        transaction.put(name.encode(), data)
                return
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            except lmdb.Error as error:
                raise DataError(f"cannot write to the database {self.root}: {error}") from error


def _database_of(path: Path) -> Path | None:
    """Return the database that a picture is in, if it is no file."""
    if SUFFIX not in str(path.parent).lower():
        return None
    return next((folder for folder in path.parents if is_database(folder)), None)


def _key(path: Path, database: Path) -> str:
    return path.relative_to(database).with_suffix("").as_posix()


@functools.lru_cache(maxsize=8)
def _listed(database: Path, changed: int) -> dict[Path, tuple[int, int]]:
    return list_pictures(database)


def _sizes(database: Path) -> dict[Path, tuple[int, int]]:
    try:
        changed = (database / "meta_info.txt").stat().st_mtime_ns
    except OSError:
        changed = 0
    return _listed(database, changed)


def _value(database: Path, name: str) -> bytes:
    lmdb = _lmdb()
    try:
        with (
            _LOCK,
            lmdb.open(
                str(database), readonly=True, lock=False, readahead=False, create=False
            ) as environment,
            environment.begin() as transaction,
        ):
            data = transaction.get(name.encode())
    except lmdb.Error as error:
        raise DataError(f"cannot read the database {database}: {error}") from error
    if data is None:
        raise DataError(f"the database {database} has no picture {name!r}")
    return data


def _lmdb() -> Any:
    try:
        import lmdb
    except ImportError:
        raise MissingExtraError("lmdb", "lmdb", "an LMDB database of pictures") from None
    return lmdb
