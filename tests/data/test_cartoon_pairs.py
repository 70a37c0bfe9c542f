# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from ppzoo.data import cartoon_pairs as module
from ppzoo.data.cartoon import cartoonise
from ppzoo.data.cartoon_pairs import crop_square, make_cartoon_pairs
from ppzoo.errors import ConfigError, DataError, UserError
from ppzoo.media.image import read_image, write_image


def write_photos(folder: Path, count: int = 6, size: tuple[int, int] = (40, 60)) -> None:
    for index in range(count):
        photo = np.random.RandomState(index).randint(0, 256, (*size, 3)).astype(np.uint8)
        write_image(folder / f"{index}.png", photo)


def pairs_of(out: Path) -> dict[str, list[str]]:
    return {
        split: sorted(p.relative_to(out / split).as_posix() for p in (out / split).rglob("*.png"))
        for split in ("train", "test")
    }


def stamps(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in out.rglob("*.png")}


def test_photo_left_cartoon_right(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    made = make_cartoon_pairs(tmp_path / "photos", tmp_path / "out", size=32, val=0.3)
    assert (made.train, made.test, made.made, made.faces, made.problems) == (4, 2, 6, 0, [])
    found = pairs_of(tmp_path / "out")
    assert sorted(found["train"] + found["test"]) == [f"{i}.png" for i in range(6)]
    for split, names in found.items():
        for name in names:
            pair = read_image(tmp_path / "out" / split / name)
            photo = crop_square(read_image(tmp_path / "photos" / name), None, 32)
            assert np.array_equal(pair, np.concatenate([photo, cartoonise(photo)], axis=1))


def test_a_second_call_keeps_what_is_there(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos)
    make_cartoon_pairs(photos, out, size=16, val=0.3)
    before = stamps(out)
    assert make_cartoon_pairs(photos, out, size=16, val=0.3).made == 0
    assert stamps(out) == before
    # More photographs, another share: what was trained on stays so.
    split = pairs_of(out)
    write_photos(photos, 12)
    made = make_cartoon_pairs(photos, out, size=16, val=0.5)
    assert (made.train, made.test, made.made) == (6, 6, 6)
    for part, names in split.items():
        assert set(names) <= set(pairs_of(out)[part])
    assert all(stamps(out)[path] == stamp for path, stamp in before.items())
    # A smaller share does not move what is held out.
    made = make_cartoon_pairs(photos, out, size=16, val=0.1)
    assert (made.train, made.test, made.made) == (6, 6, 0)


def test_an_interrupted_call_is_continued(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos)
    calls = []

    def interrupt(image: np.ndarray) -> None:
        calls.append(image)
        if len(calls) == 3:
            raise KeyboardInterrupt
        if len(calls) > 3:  # begun while the other thread learns of it
            time.sleep(0.3)

    with pytest.raises(KeyboardInterrupt):
        make_cartoon_pairs(photos, out, size=16, find=interrupt, jobs=1)
    there = stamps(out)
    assert 2 <= len(there) <= 3
    assert not list(out.rglob("*.tmp"))
    made = make_cartoon_pairs(photos, out, size=16, find=lambda image: None, jobs=2)
    assert made.made == 6 - len(there)
    assert made.train + made.test == 6
    assert all(stamps(out)[path] == stamp for path, stamp in there.items())


def test_the_split_depends_on_names_alone(tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 10)
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "photos")
    for name in ("a", "b/photos"):
        make_cartoon_pairs(tmp_path / name, tmp_path / f"{name}_out", size=16, val=0.4, jobs=1)
    assert pairs_of(tmp_path / "a_out") == pairs_of(tmp_path / "b/photos_out")
    assert len(pairs_of(tmp_path / "a_out")["test"]) == 4


@pytest.mark.parametrize(("val", "test"), [(0, 0), (0.01, 1), (0.5, 3)])
def test_how_many_are_held_out(tmp_path: Path, val: float, test: int) -> None:
    write_photos(tmp_path / "photos")
    made = make_cartoon_pairs(tmp_path / "photos", tmp_path / "out", size=16, val=val)
    assert (made.train, made.test) == (6 - test, test)


def test_subfolders_and_equal_names(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos / "x", 2)
    write_photos(photos / "y", 2)
    shutil.copy(photos / "x" / "0.png", photos / "x" / "0.bmp")
    made = make_cartoon_pairs(photos, tmp_path / "out", size=16, val=0)
    assert made.made == 5
    assert pairs_of(tmp_path / "out")["train"] == [
        "x/0_bmp.png",
        "x/0_png.png",
        "x/1.png",
        "y/0.png",
        "y/1.png",
    ]
    shutil.copy(photos / "x" / "1.png", photos / "x" / "0_png.png")
    with pytest.raises(DataError, match=r"would both become x/0_png\.png"):
        make_cartoon_pairs(photos, tmp_path / "out", size=16, val=0)


def test_what_cannot_be_used_is_named_and_skipped_on_request(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 4)
    (photos / "broken.jpg").write_text("no picture")
    write_image(photos / "small.png", np.zeros((4, 100, 3), np.uint8))
    with pytest.raises(DataError, match=r"(broken\.jpg is not an image|small\.png: a photograph)"):
        make_cartoon_pairs(photos, tmp_path / "out", size=32)
    made = make_cartoon_pairs(photos, tmp_path / "out", size=32, on_error="skip")
    assert made.train + made.test == 4
    assert len(made.problems) == 2
    assert "broken.jpg is not an image file" in made.problems[0]
    assert "small.png: a photograph of 100 x 4 pixels is too small" in made.problems[1]


def test_settings_of_a_call_that_made_nothing_bind_no_one(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 2)
    with pytest.raises(DataError, match="too small"):
        make_cartoon_pairs(photos, out, size=2048)
    assert make_cartoon_pairs(photos, out, size=16).made == 2


def test_other_settings_are_not_mixed(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 2)
    make_cartoon_pairs(photos, out, size=16)
    with pytest.raises(DataError, match="made with other settings"):
        make_cartoon_pairs(photos, out, size=32)
    with pytest.raises(DataError, match="made with other settings"):
        make_cartoon_pairs(photos, out, size=16, find=lambda image: None)
    (out / "cartoon.json").write_text("{")
    with pytest.raises(DataError, match=r"cannot read the settings .*cartoon\.json"):
        make_cartoon_pairs(photos, out, size=16)


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 3)
    for wrong in (photos, photos / "out", tmp_path):
        with pytest.raises(ConfigError, match="would be taken for photographs"):
            make_cartoon_pairs(tmp_path if wrong == tmp_path else photos, wrong, size=16)
    shutil.copytree(photos, out / "train" / "mine")
    with pytest.raises(ConfigError, match="would be taken for photographs"):
        make_cartoon_pairs(out / "train" / "mine", out, size=16)
    shutil.rmtree(out)
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="a link that leads out of"):
        make_cartoon_pairs(photos, out, size=16)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file"):
        make_cartoon_pairs(photos, tmp_path / "file", size=16)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [{"size": 8}, {"size": 4096}, {"val": 1.0}, {"val": -0.1}, {"jobs": 0}, {"on_error": "stop"}],
)
def test_arguments_out_of_range(tmp_path: Path, arguments: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        make_cartoon_pairs(tmp_path, tmp_path / "out", **arguments)


def test_no_photographs(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="photos of 'photos' is empty"):
        make_cartoon_pairs(tmp_path / "photos", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- the crop


def marked(height: int, width: int, y: int, x: int) -> np.ndarray:
    """Return black with a white block of 10 x 10 pixels around (y, x)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[y - 5 : y + 5, x - 5 : x + 5] = 255
    return image


@pytest.mark.parametrize("place", [(50, 100), (20, 30), (80, 180), (50, 20)])
def test_faces_are_in_the_middle_where_there_is_room(place: tuple[int, int]) -> None:
    y, x = place
    image = marked(100, 200, y, x)
    box = (x - 12, y - 12, x + 12, y + 12)
    square = crop_square(image, box, 48)
    assert square.shape == (48, 48, 3)
    assert (square > 0).any(axis=2).sum() >= 81
    rows, columns = np.nonzero(square.any(axis=2))
    assert abs(rows.mean() - 23.5) <= max(0, 24 - y, y - 76) + 1
    assert abs(columns.mean() - 23.5) <= max(0, 24 - x, x - 176) + 1


def test_the_centre_where_there_is_no_face() -> None:
    square = crop_square(marked(60, 100, 30, 50), None, 60)
    assert np.array_equal(square, marked(60, 60, 30, 30))


def test_faces_as_large_as_the_picture_and_beyond() -> None:
    image = marked(60, 100, 30, 50)
    assert crop_square(image, (-10, -20, 95, 85), 32).shape == (32, 32, 3)
    tiny = crop_square(image, (49, 29, 51, 31), 32)
    assert tiny.shape == (32, 32, 3)
    # A face of two pixels is shown with what is around it.
    assert 0.2 < (tiny > 128).mean() < 0.6


def test_faces_are_counted(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 4)
    boxes = iter([(10, 10, 20, 20), None, (0, 0, 9, 9), None])
    made = make_cartoon_pairs(
        tmp_path / "photos", tmp_path / "out", size=16, find=lambda image: next(boxes), jobs=1
    )
    assert (made.made, made.faces) == (4, 2)


def test_small_photographs_are_enlarged_up_to_a_limit() -> None:
    image = marked(40, 40, 20, 20)
    limit = 40 * module._MOST_ENLARGEMENT
    assert crop_square(image, None, limit).shape == (limit, limit, 3)
    with pytest.raises(DataError, match="40 x 40 pixels is too small"):
        crop_square(image, None, limit + 1)
