# SPDX-License-Identifier: Apache-2.0
"""Archives are unpacked whole or not at all, and never out of their folder."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppzoo.data import archive as module
from ppzoo.data.archive import extract_archive, is_archive
from ppzoo.errors import DataError

from ..watch import memory_peak

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
    ("kind", "what"),
    [
        *((kind, "link or device") for kind in (tarfile.SYMTYPE, tarfile.FIFOTYPE)),
        *((kind, "link or device") for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE)),
        (tarfile.LNKTYPE, r"hard link \(tar writes .* pack it with --hard-dereference\)"),
    ],
)
def test_links_and_devices_of_tar_are_refused(tmp_path: Path, kind: bytes, what: str) -> None:
    info = tarfile.TarInfo("set/link")
    info.type, info.linkname = kind, "/etc/passwd"
    archive = write_tar(tmp_path / "a.tar", FILES, (info,))
    with pytest.raises(DataError, match=rf"'set/link' that is a {what}; nothing is kept"):
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
    with pytest.raises(DataError, match="holds more than 10 bytes"):
        extract_archive(archive, tmp_path / "out", max_bytes=10)
    assert_untouched(tmp_path, archive)
    assert extract_archive(archive, tmp_path / "out", max_files=3, max_bytes=11) == 3


def test_a_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> object:
        asked.append(path)
        return type("Usage", (), {"free": 12})

    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    for write in (write_zip, write_tar):
        archive = write(tmp_path / "a", FILES)  # 11 bytes, of which nine tenths of 12 is less
        with pytest.raises(DataError, match=r"more than the disk of .* has room for \(0.0 MB are"):
            extract_archive(archive, tmp_path / "out")
        assert_untouched(tmp_path, archive)
    assert asked == [tmp_path] * 2
    assert extract_archive(write_zip(tmp_path / "a", {"x": b"1" * 10}), tmp_path / "out") == 1


@pytest.mark.parametrize("place", ["file/out", "file/new/out", "none/out", "shut/out"])
def test_places_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "none").symlink_to(tmp_path / "nowhere" / "deep")
    (tmp_path / "shut").mkdir(mode=0)
    try:
        if place == "shut/out" and os.access(tmp_path / "shut", os.W_OK):
            (tmp_path / "shut").rmdir()  # nothing is shut for root
            (tmp_path / "shut").write_bytes(b"")
        with pytest.raises(DataError, match=r"cannot make the folder .*out: .*choose another"):
            extract_archive(archive, tmp_path / place)
    finally:
        (tmp_path / "shut").chmod(0o700)
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["x/1:2.png", "a:b.png", "12:30.png", "x/C:y"])
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_colons_are_letters(tmp_path: Path, name: str, write: object) -> None:
    archive = write(tmp_path / "a", {name: b"data", "y/z": b""})
    extract_archive(archive, tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == b"data"


@pytest.mark.parametrize("name", ["x/1:2.png", "a:b.png", "x/C:y"])
def test_colons_are_refused_on_windows(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_zip(tmp_path / "a", {name: b"data"})
    member = module._Member(name, "file", io.BytesIO)
    monkeypatch.setattr(module.os, "name", "nt")
    with pytest.raises(DataError, match="leads out of it"):
        module._parts(archive, member)


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


# Attacks on the readers themselves


def tar_header(name: str, kind: bytes, size: int, data: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    # Negative and huge numbers are written in base 256.
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def refusal(tmp_path: Path, data: bytes, most: int = 12_000_000) -> str:
    """Return the one sentence with which an archive is refused at no cost, leaving nothing."""
    archive = tmp_path / "a"
    archive.write_bytes(data)
    start = time.process_time()
    with memory_peak() as peak, pytest.raises(DataError) as caught:
        extract_archive(archive, tmp_path / "out")
    assert peak[0] < most
    assert time.process_time() - start < 5
    assert_untouched(tmp_path, archive)
    assert str(caught.value).isprintable()
    assert str(archive) in str(caught.value)
    archive.unlink()
    return str(caught.value)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_headers_that_unpack_to_all_memory(
    tmp_path: Path, kind: bytes, pack: Callable[[bytes], bytes]
) -> None:
    data = pack(tar_header("pax", kind, 30_000_000, bytes(30_000_000)))
    assert len(data) < 40_000
    assert "far more than its size suggests" in refusal(tmp_path, data)


def test_headers_within_headers(tmp_path: Path) -> None:
    data = gzip.compress(tar_header("p", b"x", 130_000, bytes(130_000)) * 400)
    refusal(tmp_path, data, most=60_000_000)


def test_left_out_files_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ALWAYS_ALLOWED", 2**20)
    monkeypatch.setattr(module, "_PER_ENTRY", 1)
    data = tar_header("._junk", tarfile.REGTYPE, 2**23, bytes(2**23))
    assert "far more" in refusal(tmp_path, gzip.compress(data + tar_header("x", b"0", 0)))


def test_folders_count_too(tmp_path: Path) -> None:
    header = tar_header("folder", tarfile.DIRTYPE, 0)
    archive = tmp_path / "a"
    archive.write_bytes(gzip.compress(header * 1100))
    with pytest.raises(DataError, match="more than 1010 entries"):
        extract_archive(archive, tmp_path / "out", max_files=5)
    with zipfile.ZipFile(archive, "w") as file:
        for index in range(1100):
            file.writestr(f"{index}/", b"")
    with pytest.raises(DataError, match="more than 1010 entries"):
        extract_archive(archive, tmp_path / "out", max_files=5)
    assert_untouched(tmp_path, archive)


def test_lengths_that_lead_in_circles(tmp_path: Path) -> None:
    for size in (-512, -1024, -(2**40)):
        data = tar_header("a", b"0", 0) + tar_header("b", b"0", 512, bytes(512))
        refusal(tmp_path, data + tar_header("c", b"0", size) + bytes(1024))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_of_packing_that_have_no_bounds(tmp_path: Path, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr("zeros", bytes(30_000_000))
    assert len(buffer.getvalue()) < 10_000
    assert "pack it with Deflate" in refusal(tmp_path, buffer.getvalue())


def test_sparse_files_count_in_full(tmp_path: Path) -> None:
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "sparse",
        "GNU.sparse.size": str(2**40),
        "GNU.sparse.map": "0,1",
    }
    info.size = 1
    data = info.tobuf(tarfile.PAX_FORMAT) + b"x" + bytes(511 + 1024)
    assert "far more than its size suggests" in refusal(tmp_path, data)


def test_a_name_in_a_later_header_is_the_one_that_counts(tmp_path: Path) -> None:
    info = tarfile.TarInfo("harmless")
    info.pax_headers = {"path": "../evil"}
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    assert "leads out of it" in refusal(tmp_path, data)


def test_words_that_act_on_terminals(tmp_path: Path) -> None:
    twice = {"\x1b[31m": b"", "./\x1b[31m": b""}
    write_tar(tmp_path / "a", twice)
    assert "?[31m" in refusal(tmp_path, (tmp_path / "a").read_bytes())


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / f".out.{os.getpid()}.part"
    mine.mkdir()
    (mine / "file").write_bytes(b"mine")
    assert extract_archive(write_zip(tmp_path / "a.zip", FILES), tmp_path / "out") == 3
    assert (mine / "file").read_bytes() == b"mine"


def test_what_is_an_archive(tmp_path: Path) -> None:
    for write, name in ((write_zip, "a.zip"), (write_tar, "a.tar"), (write_tar, "a.tar.gz")):
        assert is_archive(write(tmp_path / name, FILES))
    for data in (b"", b"weights", gzip.compress(b"x" * 2000), b"\x1f\x8b", bytes(600)):
        (tmp_path / "x").write_bytes(data)
        assert not is_archive(tmp_path / "x"), data[:9]
    assert not is_archive(tmp_path)
    assert not is_archive(tmp_path / "none")
    bomb = gzip.compress(tar_header("p", b"x", 30_000_000, bytes(30_000_000)))
    (tmp_path / "x").write_bytes(bomb)
    with memory_peak() as peak:
        assert not is_archive(tmp_path / "x")
    assert peak[0] < 12_000_000


# Thousands of archives


NAMES = [
    *("a", "b/c", "b", "b/c/d", "./a", "a/", "A", "a.", "\u212a", "e\u0301", "\u00e9", "\u202egpj"),
    *("../evil", "b/../../evil", "/evil", "//evil", "..\\evil", "\\\\host\\evil", "C:evil"),
    *("b/C:evil", "c:\\evil", "..", ".", "", " ", "\x00", "a\x00b", "\n\x1b[31m", "CON", "a:b"),
    *("\uff0e\uff0e/evil", "..\u2215evil", "x" * 300, "d/" * 200 + "x", "~/evil", "$HOME/evil"),
    *("__MACOSX/x", "._x", "%2e%2e/evil"),
]
KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"?"]
COUNT = int(os.environ.get("PPZOO_FUZZ", "0"))


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    buffer = io.BytesIO()
    form = draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    for _ in range(draw(st.integers(0, 4))):
        info = tarfile.TarInfo(draw(st.sampled_from(NAMES)))
        info.size = draw(st.sampled_from([0, 1, 5, 600, 2**20, -512]))
        info.mode = draw(st.sampled_from([0o644, 0o6777, 0]))
        if draw(st.integers(1, 6)) == 6:
            info.type = draw(st.sampled_from([*KINDS, tarfile.DIRTYPE, tarfile.CONTTYPE, b"S"]))
            info.linkname = draw(st.sampled_from(["../evil", "/evil", "a", "b"]))
        if form == tarfile.PAX_FORMAT and draw(st.booleans()):
            keys = ["path", "linkpath", "size", "GNU.sparse.map", "GNU.sparse.size", "mtime"]
            values = ["../evil", "/evil", "9", "-1", "0,1,9,9", "1" * 5000, "nan", "\n"]
            info.pax_headers = draw(
                st.dictionaries(st.sampled_from(keys), st.sampled_from(values), max_size=3)
            )
        try:
            header = info.tobuf(form)
        except ValueError:  # a name or size that this format cannot hold
            continue
        data = bytes(min(max(info.size, 0), 700))
        buffer.write(header + data + bytes(-len(data) % 512))
    buffer.write(bytes(1024))
    pack = draw(st.sampled_from([bytes, bytes, gzip.compress, bz2.compress, lzma.compress]))
    return pack(buffer.getvalue())


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # two entries of one name
        for _ in range(draw(st.integers(0, 4))):
            info = zipfile.ZipInfo("x")
            info.filename = draw(st.sampled_from(NAMES))  # the constructor would cut at a NUL
            info.external_attr = draw(
                st.sampled_from([0, 0, 0, 0o120777 << 16, 0o060666 << 16, 0o6777 << 16, 0x10])
            )
            kind = draw(st.sampled_from([0, 0, 8, 8, 12, 14]))
            archive.writestr(info, bytes(draw(st.sampled_from([0, 1, 700]))), kind)
    data = bytearray(buffer.getvalue())
    entry = data.find(b"PK\x01\x02")
    if entry >= 0 and draw(st.integers(1, 4)) == 4:
        # Flags, method, checksum, packed size, size, place.
        offset = draw(st.sampled_from([8, 10, 16, 20, 24, 42]))
        data[entry + offset : entry + offset + 2] = draw(st.binary(min_size=2, max_size=2))
    return bytes(data)


@settings(
    max_examples=COUNT or 400,
    deadline=None,
    derandomize=not COUNT,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_any_archive_stays_within_its_folder(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.getbasetemp() / "archives" / "inner"
    shutil.rmtree(place.parent, ignore_errors=True)
    place.mkdir(parents=True)
    sample = bytearray(data.draw(tars() | zips()))
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 3]))):
        at = data.draw(st.integers(0, len(sample)))
        sample[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    archive = place / "a"
    archive.write_bytes(bytes(sample))
    message = str(archive)
    try:
        with memory_peak() as peak:
            extract_archive(archive, place / "out")
    except DataError as error:
        message = str(error)
        assert [entry.name for entry in place.iterdir()] == ["a"]
    assert message.isprintable()
    assert str(archive) in message
    assert peak[0] < 12_000_000
    assert [entry.name for entry in place.parent.iterdir()] == ["inner"]
    assert {entry.name for entry in place.iterdir()} <= {"a", "out"}
    for entry in place.rglob("*"):
        assert not entry.is_symlink()
        assert entry.is_dir() or (entry.is_file() and not entry.stat().st_mode & 0o7111)
    assert not os.path.lexists("/evil")


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
