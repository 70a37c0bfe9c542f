# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppzoo.data.survey import as_table, note_partners, survey_folder, survey_tree
from ppzoo.errors import DataError
from ppzoo.media.image import write_image


def write(folder: Path, *sizes: tuple[int, int]) -> None:
    for index, (width, height) in enumerate(sizes):
        write_image(folder / f"{index}.png", np.zeros((height, width, 3), np.uint8))


def test_pictures_and_their_sizes(tmp_path: Path) -> None:
    write(tmp_path, (30, 20), (30, 20), (10, 40))
    (tmp_path / "broken.png").write_text("no picture")
    survey = survey_folder(tmp_path)
    assert (survey.kind, survey.count) == ("pictures", 3)
    assert survey.sizes == {(30, 20): 2, (10, 40): 1}
    assert survey.describe_sizes() == "10-30 x 20-40 (2 sizes)"
    assert len(survey.problems) == 1
    assert "broken.png is not an image file" in survey.problems[0]


def test_pairs_are_recognised_and_odd_ones_named(tmp_path: Path) -> None:
    write(tmp_path, (32, 16), (64, 32))
    assert survey_folder(tmp_path).kind == "pairs"
    assert survey_folder(tmp_path, "pictures").kind == "pictures"
    write(tmp_path, (33, 16))
    assert survey_folder(tmp_path).kind == "pictures"
    survey = survey_folder(tmp_path, "pairs")
    assert survey.count == 1
    assert survey.describe_sizes() == "64 x 32"
    assert "0.png is 33 pixels wide, an odd number" in survey.problems[0]


def test_a_tree_of_a_dataset(tmp_path: Path) -> None:
    write(tmp_path / "train", (32, 16), (32, 16))
    write(tmp_path / "test", (32, 16))
    write(tmp_path / "trainA", (32, 16))
    assert [(s.folder.name, s.kind, s.count) for s in survey_tree(tmp_path)] == [
        ("train", "pairs", 2),
        ("test", "pairs", 1),
        ("trainA", "pictures", 1),
    ]
    (survey,) = survey_tree(tmp_path / "train")
    assert survey.count == 2


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        survey_tree(tmp_path / "nowhere")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="train of 'train' is empty"):
        survey_tree(tmp_path)


def test_partners(tmp_path: Path) -> None:
    write(tmp_path / "a", (16, 16), (16, 16), (16, 16))
    write(tmp_path / "b", (16, 16), (16, 16))
    a, b = (survey_folder(tmp_path / name, "pictures") for name in "ab")
    note_partners(a, b)
    assert (a.count, b.count) == (2, 2)
    assert "2.png has no partner" in a.problems[0]
    assert b.problems == []
    (tmp_path / "b" / "0.bmp").write_bytes((tmp_path / "b" / "0.png").read_bytes())
    a, b = (survey_folder(tmp_path / name, "pictures") for name in "ab")
    note_partners(a, b)
    assert "have the same name" in a.problems[0]


def test_the_table(tmp_path: Path) -> None:
    write(tmp_path / "train", (32, 16))
    for index in range(8):
        (tmp_path / "train" / f"bad{index}.png").write_text("")
    table = as_table(survey_tree(tmp_path)).splitlines()
    assert table[0].split() == ["folder", "kind", "usable", "size", "in", "pixels", "problems"]
    assert table[2].split() == [str(tmp_path / "train"), "pairs", "1", "32", "x", "16", "8"]
    assert sum("is not an image" in line for line in table) == 5
    assert table[-1].endswith(f"... and 3 more in {tmp_path / 'train'}")
