# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import builtins
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppzoo.data.lmdb_pictures import DatabaseWriter, list_pictures, picture_size, read_picture
from ppzoo.errors import DataError, MissingExtraError

IMAGES = {
    f"{number:03d}": np.random.RandomState(number).randint(0, 256, (9, 7 + number, 3), np.uint8)
    for number in range(3)
}


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with DatabaseWriter(tmp_path / "a.lmdb") as writer:
        for name, image in reversed(IMAGES.items()):
            writer.put({name: png(image)}, image.shape)
    return tmp_path / "a.lmdb"


def test_pictures_come_back_as_they_went_in(database) -> None:
    listed = list_pictures(database)
    assert list(listed) == [database / f"{name}.png" for name in IMAGES]
    for (path, size), image in zip(listed.items(), IMAGES.values(), strict=True):
        assert np.array_equal(read_picture(path), image)
        assert size == picture_size(path) == image.shape[:2]


def test_the_list_is_basicsr_s(database) -> None:
    text = (database / "meta_info.txt").read_text()
    assert text == "000.png (9,7,3) 1\n001.png (9,8,3) 1\n002.png (9,9,3) 1\n"


def test_pictures_may_have_folders_in_their_names(tmp_path) -> None:
    with DatabaseWriter(tmp_path / "b.lmdb") as writer:
        writer.put({"000/00000001": png(IMAGES["001"])}, (9, 8, 3))
    [path] = list_pictures(tmp_path / "b.lmdb")
    assert path == tmp_path / "b.lmdb" / "000" / "00000001.png"
    assert np.array_equal(read_picture(path), IMAGES["001"])
    assert picture_size(path) == (9, 8)


def test_a_database_grows_with_what_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(DatabaseWriter, "_FIRST_BYTES", 1 << 16)
    noise = np.random.RandomState(0).bytes(50_000)
    with DatabaseWriter(tmp_path / "c.lmdb") as writer:
        for number in range(20):
            assert writer.is_empty() == (number == 0)
            writer.put({str(number): noise}, (1, 1, 3))
        assert writer.has(map(str, range(20)))
        assert not writer.has(["0", "20"])


def test_a_break_leaves_no_list_but_what_was_written(tmp_path) -> None:
    def broken() -> None:
        with DatabaseWriter(tmp_path / "d.lmdb") as writer:
            writer.put({"000": png(IMAGES["000"])}, (9, 7, 3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    with pytest.raises(DataError, match=r"meta_info\.txt.*was not finished"):
        list_pictures(tmp_path / "d.lmdb")
    with DatabaseWriter(tmp_path / "d.lmdb") as writer:
        assert writer.has(["000"])
        writer.keep(["000"], IMAGES["000"].shape)
    assert np.array_equal(read_picture(tmp_path / "d.lmdb" / "000.png"), IMAGES["000"])


def test_what_was_written_before_stays_listed(database) -> None:
    with DatabaseWriter(database) as writer:
        writer.put({"003": png(IMAGES["000"][..., :1].repeat(3, 2))}, (9, 7, 3))
    assert [path.stem for path in list_pictures(database)] == ["000", "001", "002", "003"]
    assert (database / "meta_info.txt").read_text().splitlines()[1] == "001.png (9,8,3) 1"


def test_what_is_missing_or_damaged_is_named(database, tmp_path) -> None:
    with pytest.raises(DataError, match=r"a\.lmdb has no picture 'none'"):
        read_picture(database / "none.png")
    with pytest.raises(DataError, match=r"a\.lmdb has no picture 'none'"):
        picture_size(database / "none.png")
    with pytest.raises(DataError, match=r"'lq_folder' has no file data\.mdb"):
        list_pictures(tmp_path / "no.lmdb", "lq_folder")
    with DatabaseWriter(database) as writer:
        writer.put({"000": b"no picture"}, (9, 7, 3))
    with pytest.raises(DataError, match=r"000\.png is damaged"):
        read_picture(database / "000.png")
    (database / "meta_info.txt").write_text("000.png 9 7 3\n")
    with pytest.raises(DataError, match=r"meta_info\.txt:1"):
        list_pictures(database)
    (database / "meta_info.txt").write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        list_pictures(database)
    (database / "data.mdb").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match="cannot read the database"):
        read_picture(database / "000.png")


def test_nothing_else_is_taken_for_a_database(tmp_path) -> None:
    with pytest.raises(DataError, match=r"ends in \.lmdb"):
        DatabaseWriter(tmp_path / "pictures")
    (tmp_path / "e.lmdb").mkdir()
    (tmp_path / "e.lmdb" / "holiday.png").touch()
    with pytest.raises(DataError, match="is no database"):
        DatabaseWriter(tmp_path / "e.lmdb")
    assert (tmp_path / "e.lmdb" / "holiday.png").exists()


def test_files_are_read_as_ever(tmp_path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(png(IMAGES["000"]))
    assert np.array_equal(read_picture(path), IMAGES["000"])
    assert picture_size(path) == (9, 7)
    with pytest.raises(DataError, match=r"two\.png"):
        picture_size(tmp_path / "two.png")


def test_the_package_is_asked_for_by_its_extra(database, monkeypatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "lmdb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"ppzoo\[lmdb\]"):
        read_picture(database / "000.png")
