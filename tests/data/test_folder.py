# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.folder: pictures in folders, some of them damaged."""

import numpy as np
import pytest

from ppzoo.data.folder import (
    ImageFolderDataset,
    RepeatDataset,
    SingleDataset,
    find_images,
    find_others,
)
from ppzoo.data.preprocess import LoadImageFromFile
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image
from ppzoo.registry import DATASETS, build


@pytest.fixture
def folder(tmp_path):
    """Pictures 0.png to 4.png of 12 x 8 pixels, each of one grey level: 0, 50, ... 200."""
    for number in range(5):
        write_image(tmp_path / f"{number}.png", np.full((8, 12, 3), number * 50, np.uint8))
    return tmp_path


def damage(path):
    path.write_bytes(path.read_bytes()[:40])


def test_pictures_are_found_in_order_below_but_not_when_hidden(folder):
    (folder / "sub").mkdir()
    (folder / "4.png").rename(folder / "sub" / "4.PNG")
    (folder / "notes.txt").touch()
    (folder / ".hidden.png").touch()
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.png").touch()
    names = [path.name for path in find_images(folder)]
    assert names == ["0.png", "1.png", "2.png", "3.png", "4.PNG"]
    assert len(find_images(folder, recursive=False)) == 4


def test_files_that_are_passed_by_are_named_but_not_when_hidden(folder):
    (folder / "sub").mkdir()
    (folder / "loop").symlink_to(folder)
    for name in ("b.gif", "sub/a.heic", ".DS_Store", "c.WebP"):
        (folder / name).touch()
    assert find_others(folder) == [folder / "b.gif", folder / "sub/a.heic"]


def test_links_that_lead_back_are_followed_once(folder):
    (folder / "loop").symlink_to(folder)
    assert len(find_images(folder)) == 5


def test_the_home_folder_may_be_written_as_a_tilde(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(find_images(f"~/{folder.name}")) == 5


def test_folders_without_pictures_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    for name, problem in (
        ("nowhere", "does not exist"),
        ("empty", "is empty"),
        ("texts", r"holds no pictures \(\.bmp, \.jpeg"),
        ("texts/a.txt", "is a file, not a folder"),
    ):
        with pytest.raises(DataError, match=f"{name} of 'dataroot' {problem}"):
            ImageFolderDataset(str(tmp_path / name))


def test_samples_are_squares_in_the_unit_range(folder):
    dataset = ImageFolderDataset(str(folder), size=6)
    sample = dataset[2]
    assert sample["img"].shape == (3, 6, 6)
    assert sample["img"].dtype == np.float32
    np.testing.assert_allclose(sample["img"], 100 / 127.5 - 1, atol=1e-6)
    assert sample["img_path"].endswith("2.png")
    assert not dataset.is_random


def test_transforms_come_before_the_range(folder):
    spec = {
        "name": "ImageFolderDataset",
        "dataroot": str(folder),
        "size": 6,
        "transforms": [{"name": "Grayscale"}, {"name": "RandomHorizontalFlip"}],
    }
    dataset = build(DATASETS, spec)
    assert dataset.is_random
    assert dataset[0]["img"].shape == (1, 6, 6)
    np.testing.assert_array_equal(dataset[0]["img"], -1)


def test_a_picture_smaller_than_the_crop_is_named(folder):
    with pytest.raises(DataError, match=r"0\.png: a picture of 12 x 8 pixels .* crop of 9"):
        ImageFolderDataset(str(folder), crop=9)[0]


@pytest.mark.parametrize("kwargs", [{"size": 0}, {"crop": -2}, {"on_error": "ignore"}])
def test_wrong_options_are_named(folder, kwargs):
    with pytest.raises(ConfigError, match=f"'{next(iter(kwargs))}' must be"):
        ImageFolderDataset(str(folder), **kwargs)


def test_a_damaged_picture_stops_and_is_named(folder):
    damage(folder / "3.png")
    dataset = ImageFolderDataset(str(folder))
    assert dataset[2]["img"].shape == (3, 64, 64)
    with pytest.raises(DataError, match=r"3\.png"):
        dataset[3]


def test_a_damaged_picture_is_replaced_by_the_next_readable_one(folder):
    damage(folder / "3.png")
    damage(folder / "4.png")
    dataset = ImageFolderDataset(str(folder), on_error="skip")
    assert [dataset[i]["img_path"][-5:] for i in range(5)] == [
        "0.png", "1.png", "2.png", "0.png", "0.png",
    ]  # fmt: skip
    problems = dataset.take_skipped()
    assert len(problems) == 2
    assert "3.png" in problems[0]
    assert dataset.take_skipped() == []
    with pytest.raises(IndexError):
        dataset[5]


def test_nothing_but_damage_is_an_error(folder):
    for path in folder.iterdir():
        damage(path)
    dataset = ImageFolderDataset(str(folder), on_error="skip")
    with pytest.raises(DataError, match=r"none of the 5 files .* first problem: .*2\.png"):
        dataset[2]


def test_single_dataset_does_what_its_steps_say(folder):
    spec = {
        "name": "SingleDataset",
        "dataroot": str(folder),
        "preprocess": [
            {"name": "LoadImageFromFile", "key": "A"},
            {
                "name": "Transforms",
                "input_keys": ["A"],
                "pipeline": [
                    {"name": "RandomHorizontalFlip"},
                    {"name": "Transpose"},
                    {"name": "Normalize", "mean": [127.5] * 3, "std": [127.5] * 3},
                ],
            },
        ],
    }
    dataset = build(DATASETS, spec)
    assert len(dataset) == 5
    assert dataset.is_random
    assert dataset[4]["A"].shape == (3, 8, 12)
    np.testing.assert_allclose(dataset[4]["A"], 200 / 127.5 - 1, atol=1e-6)
    assert dataset[4]["A_path"] == dataset.source(4) == str(folder / "4.png")
    assert not SingleDataset(str(folder), [LoadImageFromFile("A")]).is_random


def test_repeating_makes_an_epoch_longer(folder):
    inner = {"name": "ImageFolderDataset", "dataroot": str(folder), "on_error": "skip"}
    dataset = build(DATASETS, {"name": "RepeatDataset", "times": 3, "dataset": inner})
    assert len(dataset) == 15
    assert not dataset.is_random
    assert dataset[7]["img_path"] == dataset.source(7) == str(folder / "2.png")
    assert dataset.take_skipped() == []
    with pytest.raises(IndexError):
        dataset[15]
    with pytest.raises(ConfigError, match="'times' must be"):
        RepeatDataset(dataset, 0)
