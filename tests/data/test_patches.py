# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ppzoo.data import patches, resize_bicubic
from ppzoo.data.lmdb_pictures import list_pictures, read_picture
from ppzoo.data.loader import build_dataset
from ppzoo.data.patches import Cut, cut_patches, starts
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image, write_image

SIZES = {"0001": (72, 58), "deep/0002": (40, 64)}
IMAGES = {
    name: np.random.RandomState(index).randint(0, 256, (*size, 3)).astype(np.uint8)
    for index, (name, size) in enumerate(SIZES.items())
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, image in IMAGES.items():
        write_image(tmp_path / "hr" / f"{name}.png", image)
    return tmp_path / "hr"


def cut(folder: Path, out: Path, **more) -> Cut:
    settings = {"size": 32, "step": 16, "progress": False, **more}
    return cut_patches(folder, out, **settings)


@pytest.mark.parametrize(
    ("side", "expected"),
    [(32, [0]), (33, [0, 1]), (48, [0, 16]), (72, [0, 16, 32, 40]), (64, [0, 16, 32])],
)
def test_patches_begin_every_step_and_the_last_ends_at_the_border(side, expected) -> None:
    assert starts(side, 32, 16) == expected


def test_div2k_is_cut_as_papers_do() -> None:
    assert len(starts(2040, 480, 240)) * len(starts(1356, 480, 240)) == 8 * 5


def test_patches_are_squares_of_the_pictures_row_by_row(folder, tmp_path) -> None:
    made = cut(folder, tmp_path / "sub")
    assert made == Cut(pictures=2, patches=4 * 3 + 2 * 3, made=18)
    for name, image in IMAGES.items():
        height, width = image.shape[:2]
        corners = [(top, left) for top in starts(height, 32, 16) for left in starts(width, 32, 16)]
        files = sorted((tmp_path / "sub").glob(f"{name}_s*.png"))
        assert [file.stem[-5:] for file in files] == [
            f"_s{i:03d}" for i in range(1, len(corners) + 1)
        ]
        for file, (top, left) in zip(files, corners, strict=True):
            assert np.array_equal(read_image(file), image[top : top + 32, left : left + 32])


@pytest.mark.parametrize("given", [False, True])
def test_patches_of_small_pictures_go_with_them(folder, tmp_path, given) -> None:
    for name, image in IMAGES.items():
        cropped = image[: image.shape[0] // 4 * 4, : image.shape[1] // 4 * 4]
        write_image(folder / f"{name}.png", cropped)
        write_image(tmp_path / "lr" / f"{name}x4.png", resize_bicubic(cropped, 1 / 4) // 2)
    options = {"small": tmp_path / "lr", "filename_tmpl": "{}x4"} if given else {}
    cut(folder, tmp_path / "sub", scale=4, small_out=tmp_path / "x4_sub", **options)
    dataset = build_dataset(
        {
            "name": "SRDataset",
            "lq_folder": str(tmp_path / "x4_sub"),
            "gt_folder": str(tmp_path / "sub"),
            "scale": 4,
            "preprocess": [{"name": "LoadImageFromFile", "key": key} for key in ("lq", "gt")],
        }
    )
    assert len(dataset) == 18
    for index in range(18):
        sample = dataset[index]
        assert sample["lq"].shape == (8, 8, 3)
        if not given:
            expected = resize_bicubic(sample["gt"], 1 / 4).astype(int)
            assert np.abs(expected - sample["lq"])[2:-2, 2:-2].max() == 0
        else:
            assert sample["lq"].max() < 128


def test_what_is_no_multiple_of_the_scale_is_cut_off(folder, tmp_path) -> None:
    cut(folder, tmp_path / "sub", scale=4)
    image = IMAGES["0001"]  # 58 pixels wide, of which 56 are used
    last = sorted((tmp_path / "sub").glob("0001_s*.png"))[-1]
    assert np.array_equal(read_image(last), image[40:72, 24:56])
    small = read_image(tmp_path / "sub_x4" / last.name)
    assert np.array_equal(small, resize_bicubic(image[:, :56], 1 / 4)[10:18, 6:14])


def test_databases_hold_the_same_as_folders(folder, tmp_path) -> None:
    in_files = cut(folder, tmp_path / "sub", scale=4)
    in_database = cut(folder, tmp_path / "sub.lmdb", scale=4)
    assert in_files == in_database
    for name in ("sub", "sub_x4"):
        listed = list_pictures(tmp_path / f"{name}.lmdb")
        assert len(listed) == 18
        for path, size in listed.items():
            file = tmp_path / name / path.relative_to(tmp_path / f"{name}.lmdb")
            image = read_image(file)
            assert np.array_equal(read_picture(path), image)
            assert image.shape[:2] == size


@pytest.mark.parametrize("out", ["sub", "sub.lmdb"])
def test_an_interrupted_call_is_continued(folder, tmp_path, monkeypatch, out) -> None:
    read = patches.read_picture

    def interrupted(path: Path) -> np.ndarray:
        if path.stem == "0002":
            raise KeyboardInterrupt
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(patches, "read_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cut(folder, tmp_path / out, scale=4, jobs=1)
    seen = []
    monkeypatch.setattr(patches, "read_picture", lambda path: seen.append(path.stem) or read(path))
    made = cut(folder, tmp_path / out, scale=4)
    assert made == Cut(pictures=2, patches=18, made=6)
    assert seen == ["0002"]
    assert cut(folder, tmp_path / out, scale=4).made == 0
    if out.endswith(".lmdb"):
        assert len(list_pictures(tmp_path / out)) == 18


def test_other_settings_are_not_mixed_in(folder, tmp_path) -> None:
    cut(folder, tmp_path / "sub")
    with pytest.raises(DataError, match=r"sub were made with other settings.*'step': 16"):
        cut(folder, tmp_path / "sub", step=8)
    note = json.loads((tmp_path / "sub" / "patches.json").read_text())
    assert note == {"size": 32, "step": 16, "scale": None}


def test_pictures_that_cannot_be_cut_are_named_or_left_out(folder, tmp_path) -> None:
    write_image(folder / "tiny.png", np.zeros((31, 90, 3), np.uint8))
    with pytest.raises(DataError, match=r"1 of 3 .*less than 32 pixels: .*tiny\.png.*'size'.*skip"):
        cut(folder, tmp_path / "sub")
    assert not (tmp_path / "sub").exists()
    (folder / "damaged.png").write_bytes((folder / "0001.png").read_bytes()[:-500])
    made = cut(folder, tmp_path / "sub", on_error="skip")
    assert made.patches == 18
    assert "tiny.png" in made.problems[0]
    assert "damaged.png" in made.problems[1]
    (folder / "tiny.png").unlink()
    with pytest.raises(DataError, match=r"damaged\.png"):
        cut(folder, tmp_path / "again")


def test_a_header_that_does_not_say_what_is_decoded(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(patches, "picture_size", lambda path: (96, 96))
    with pytest.raises(DataError, match=r"000\d\.png is a picture of .*header says otherwise"):
        cut(folder, tmp_path / "sub")
    assert not list((tmp_path / "sub").glob("*.png"))


def test_only_pictures_that_are_too_small(tmp_path) -> None:
    write_image(tmp_path / "hr" / "tiny.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="no picture to cut"):
        cut(tmp_path / "hr", tmp_path / "sub", on_error="skip")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 4}, "'size'"),
        ({"step": 0}, "'step'"),
        ({"step": 33}, "'step'"),
        ({"scale": 1}, "'scale'"),
        ({"scale": 4, "size": 34}, r"'size'.*multiple of 'scale' \(4\)"),
        ({"scale": 4, "step": 6}, "'step'.*multiple"),
        ({"jobs": 0}, "'jobs'"),
        ({"on_error": "ignore"}, "'on_error'"),
        ({"small": "lr"}, "need 'scale'"),
    ],
)
def test_wrong_options_are_named(folder, tmp_path, options, words) -> None:
    with pytest.raises(ConfigError, match=words):
        cut(folder, tmp_path / "sub", **options)


def test_patches_do_not_go_where_pictures_are(folder, tmp_path) -> None:
    with pytest.raises(ConfigError, match="taken for pictures"):
        cut(folder, folder / "sub")
    with pytest.raises(ConfigError, match="both go to"):
        cut(folder, tmp_path / "sub", scale=4, small_out=tmp_path / "sub")
