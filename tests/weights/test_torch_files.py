# SPDX-License-Identifier: Apache-2.0
"""Files of PyTorch's: every kind of tensor, every way in which it lies in memory, and refusals."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppzoo.errors import WeightsError
from ppzoo.weights import read

FILES = Path(__file__).with_name("torch")


@pytest.mark.parametrize("name", ["kinds", "kinds_legacy"])
def test_all_kinds_of_tensors(name: str) -> None:
    content = read(FILES / f"{name}.pth")
    tensors = dict(content["tensors"])
    np.testing.assert_array_equal(tensors.pop("bfloat16"), [0x3FC0, 0xC000])
    wanted = dict(np.load(FILES / f"{name}.npz"))
    assert tensors.keys() == wanted.keys()
    for key, array in tensors.items():
        assert array.dtype == wanted[key].dtype, key
        assert array.flags.c_contiguous
        assert array.flags.writeable
        np.testing.assert_array_equal(array, wanted[key], err_msg=key)
    assert content["others"]["size"] == (2, 3)
    assert content["others"]["device"] is None
    assert content["others"]["set"] == {1, 2}
    # What shared its memory there has its own here.
    tensors["part"][:] = 0
    assert tensors["whole"][1:, 1:].all()


def changed(path: Path, change: Callable[[str, bytes], bytes | None], **options: int) -> Path:
    """Return a copy of a zip archive with other members."""
    with (
        zipfile.ZipFile(FILES / "kinds.pth") as old,
        zipfile.ZipFile(path, "w", **options) as new,
    ):
        for name in old.namelist():
            data = change(name.partition("/")[2], old.read(name))
            if data is not None:
                new.writestr(name, data)
    return path


def test_a_copy_is_the_same(tmp_path: Path) -> None:
    path = changed(tmp_path / "x.pth", lambda name, data: data)
    np.testing.assert_array_equal(read(path)["tensors"]["int8"], [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, d: None if n == "data/0" else d, "data/0 is missing in it"),
        (lambda n, d: d[:-1] if n == "data/0" else d, "another length than it says"),
        (lambda n, d: b"big" if n == "byteorder" else d, "byte order of other machines"),
        (
            lambda n, d: d.replace(b"FloatStorage", b"FloatStorago"),
            r"refused.*FloatStorago.*save model\.state_dict\(\)$",
        ),
        (lambda n, d: d.replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_vX"), "refused"),
        (
            lambda n, d: d.replace(b"ctorch._utils\n", b"cos\n"),
            "refused, because it holds os._rebuild",
        ),
        (lambda n, d: d[:-20] if n == "data.pkl" else d, "cut short"),
        (lambda n, d: d.replace(b"storage", b"storagf"), "other than memory"),
    ],
)
def test_changed_archives(
    tmp_path: Path, change: Callable[[str, bytes], bytes | None], message: str
) -> None:
    differ = []

    def noted(name: str, data: bytes) -> bytes | None:
        result = change(name, data)
        differ.append(result != data)
        return result

    path = changed(tmp_path / "x.pth", noted)
    assert any(differ)
    with pytest.raises(WeightsError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_an_archive_that_was_packed_again(tmp_path: Path) -> None:
    """As found in repositories, with a member for each folder."""
    path = changed(tmp_path / "x.pth", lambda name, data: data, compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("kinds/", b"")
    wanted = read(FILES / "kinds.pth")["tensors"]
    found = read(path)["tensors"]
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)


def test_what_grows_is_refused(tmp_path: Path) -> None:
    bomb = bytes(1_000_000)
    path = changed(
        tmp_path / "x.pth",
        lambda name, data: bomb if name == "data/0" else data,
        compression=zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(WeightsError, match="parts that grow more than fourfold"):
        read(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(tmp_path: Path, compression: int) -> None:
    path = changed(tmp_path / "x.pth", lambda name, data: data, compression=compression)
    with pytest.raises(WeightsError, match="compressed or encrypted parts"):
        read(path)


@pytest.mark.parametrize("name", ["kinds.pth", "kinds_legacy.pth"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_cut_files(tmp_path: Path, name: str, share: float) -> None:
    data = (FILES / name).read_bytes()
    (tmp_path / "x").write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=r"cut short|damaged"):
        read(tmp_path / "x")


def test_a_tensor_larger_than_its_memory(tmp_path: Path) -> None:
    data = (FILES / "kinds_legacy.pth").read_bytes()
    # The shape (2, 3, 4) of the first tensor: its memory has 24 numbers.
    assert data.count(b"K\x02K\x03K\x04\x87") >= 1
    (tmp_path / "x").write_bytes(data.replace(b"K\x02K\x03K\x04\x87", b"K\x02K\x03K\x05\x87", 1))
    with pytest.raises(WeightsError, match="a tensor larger than its memory"):
        read(tmp_path / "x")


def test_numbers_of_another_byte_order(tmp_path: Path) -> None:
    data = (FILES / "kinds_legacy.pth").read_bytes()
    at = data.index(b"little_endian")
    end = data.index(b"\x88", at)
    (tmp_path / "x").write_bytes(data[:end] + b"\x89" + data[end + 1 :])
    with pytest.raises(WeightsError, match="byte order of other machines"):
        read(tmp_path / "x")


def test_the_name_of_a_file_is_of_no_account(tmp_path: Path) -> None:
    for name in ("x.pdparams", "x.safetensors", "x.tar", "x.ckpt", "x"):
        shutil.copy(FILES / "kinds.pth", tmp_path / name)
        assert read(tmp_path / name)["tensors"]["one"] == 2.5
