# SPDX-License-Identifier: Apache-2.0
"""Archives are unpacked whole or not at all, and never out of their folder."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppzoo.data import archive as module
from ppzoo.data.archive import extract_archive
from ppzoo.errors import DataError

FILES = {"set/train/1.txt": b"one", "set/train/deep/2.txt": b"two", "set/test/3.txt": b"three"}


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: dict[str, bytes], extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_untouched(tmp_path: Path, archive: Path) -> None:
    """Nothing but the archive is there: no part, no file that escaped."""
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "nameless"])
def test_plain_archives(tmp_path: Path, name: str) -> None:
    write = write_zip if name.endswith("zip") else write_tar
    out = tmp_path / "new" / "place"
    assert extract_archive(write(tmp_path / name, FILES), out) == 3
    assert contents(out) == {
        "train/1.txt": b"one",
        "train/deep/2.txt": b"two",
        "test/3.txt": b"three",
    }
    assert not list(out.parent.glob(".*"))


def test_a_single_folder_is_left_out_but_not_several(tmp_path: Path) -> None:
    extract_archive(write_zip(tmp_path / "a.zip", {"x/1": b"", "y/2": b""}), tmp_path / "out")
    assert sorted(contents(tmp_path / "out")) == ["x/1", "y/2"]


def test_leftovers_of_macos_are_left_out(tmp_path: Path) -> None:
    files = {
        "set/1.png": b"x",
        "__MACOSX/set/._1.png": b"y",
        "set/._2.png": b"",
        "set/.DS_Store": b"",
    }
    assert extract_archive(write_zip(tmp_path / "a.zip", files), tmp_path / "out") == 1
    assert contents(tmp_path / "out") == {"1.png": b"x"}


def test_an_empty_folder_may_be_there_a_full_one_may_not(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    (tmp_path / "out").mkdir()
    extract_archive(archive, tmp_path / "out")
    with pytest.raises(DataError, match="out is there already"):
        extract_archive(archive, tmp_path / "out")
    assert len(contents(tmp_path / "out")) == 3
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="file is there already"):
        extract_archive(archive, tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="link is there already"):
        extract_archive(archive, tmp_path / "link")


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "c:/evil", "a/..", "\\evil"],
)
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str, write: object) -> None:
    archive = write(tmp_path / "a", {"good.txt": b"x", name: b"evil"})
    with pytest.raises(DataError, match="leads out of it"):
        extract_archive(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_links_and_devices_of_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("set/link")
    info.type, info.linkname = kind, "/etc/passwd"
    archive = write_tar(tmp_path / "a.tar", FILES, (info,))
    with pytest.raises(DataError, match=r"'set/link' that is a link or device"):
        extract_archive(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


def test_links_of_zip_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        info = zipfile.ZipInfo("set")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/tmp")
        file.writestr("set/evil", b"x")
    with pytest.raises(DataError, match="link or device"):
        extract_archive(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


def test_modes_of_an_archive_have_no_effect(tmp_path: Path) -> None:
    info = tarfile.TarInfo("tool")
    info.size, info.mode = 1, 0o6777
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as file:
        file.addfile(info, io.BytesIO(b"x"))
    extract_archive(archive, tmp_path / "out")
    assert (tmp_path / "out" / "tool").stat().st_mode & 0o7111 == 0


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ALWAYS_ALLOWED", 2**20)
    zeros = bytes(4 * 2**20)
    for write, name in ((write_zip, "a.zip"), (write_tar, "a.tar.gz")):
        archive = write(tmp_path / name, {"zeros": zeros})
        with pytest.raises(DataError, match="far more than its size suggests"):
            extract_archive(archive, tmp_path / "out")
        assert_untouched(tmp_path, archive)
        archive.unlink()


def test_limits(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(DataError, match="more than 2 files"):
        extract_archive(archive, tmp_path / "out", max_files=2)
    with pytest.raises(DataError, match="far more"):
        extract_archive(archive, tmp_path / "out", max_bytes=10)
    assert_untouched(tmp_path, archive)
    assert extract_archive(archive, tmp_path / "out", max_files=3, max_bytes=11) == 3


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"x": b"1", "./x": b"2"})
    with pytest.raises(DataError, match="File exists"):
        extract_archive(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


def test_what_is_no_archive_or_empty(tmp_path: Path) -> None:
    for data in (b"", b"no archive", b"PK\3\4 broken"):
        path = tmp_path / "a"
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"a is no zip or tar archive, or is damaged") as info:
            extract_archive(path, tmp_path / "out")
        assert "\n" not in str(info.value)
    with pytest.raises(DataError, match="has no files in it"):
        extract_archive(write_zip(tmp_path / "a", {}), tmp_path / "out")
    with pytest.raises(DataError, match="cannot read the archive"):
        extract_archive(tmp_path / "none", tmp_path / "out")
    assert_untouched(tmp_path, tmp_path / "a")


def test_a_check_comes_before_the_folder(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        assert len(contents(folder)) == 3
        raise DataError("not what was wanted")

    archive = write_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(DataError, match="not what was wanted"):
        extract_archive(archive, tmp_path / "out", check=refuse)
    assert_untouched(tmp_path, archive)


def _sample(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in FILES.items():
                archive.writestr(name, data * 50)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, data in FILES.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


SAMPLES = {kind: _sample(kind) for kind in ("zip", "tar")}


@pytest.mark.parametrize("kind", SAMPLES)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damage_gives_one_sentence_and_no_folder(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    sample = bytearray(SAMPLES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(sample) // 2, len(sample)))
    place = tmp_path / kind
    place.mkdir(exist_ok=True)
    path = place / "a"
    path.write_bytes(bytes(sample[:cut]))
    out = place / "out"
    try:
        count = extract_archive(path, out)
    except DataError:
        assert [entry.name for entry in place.iterdir()] == ["a"]
    else:
        assert count == len(contents(out))
        for file in sorted(out.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        out.rmdir()
