# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.celeba: pictures with a list of attributes."""

import logging

import numpy as np
import pytest

from ppzoo.data.celeba import CelebADataset, read_classes
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image

ROWS = ["1.jpg -1  1 -1", "2.jpg  1 -1 -1", "3.jpg  1  1  1", "4.jpg -1 -1  1"]
LIST = ["4", "Smiling Male Young", *ROWS]


@pytest.fixture
def root(tmp_path):
    for number in range(1, 5):
        picture = np.full((12, 10, 3), number * 10, np.uint8)
        write_image(tmp_path / "img_align_celeba" / f"{number}.jpg", picture)
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(LIST) + "\n")
    return tmp_path


def dataset(root, attributes=None, **kwargs):
    return CelebADataset(str(root), attributes, size=4, crop=8, **{"mode": "all", **kwargs})


def test_classes_are_the_binary_numbers_of_the_attributes(root):
    one = dataset(root, ["Smiling"])
    assert one.n_class == 2
    assert [int(one[i]["class_id"]) for i in range(4)] == [0, 1, 1, 0]
    two = dataset(root, ["Smiling", "Male"])
    assert two.n_class == 4
    assert [int(two[i]["class_id"]) for i in range(4)] == [2, 1, 3, 0]
    assert two[0]["class_id"].dtype == np.int64
    assert two[0]["img"].shape == (3, 4, 4)


def test_without_attributes_no_list_is_needed(root):
    (root / "list_attr_celeba.txt").unlink()
    sample = dataset(root)[0]
    assert set(sample) == {"img", "img_path"}


def test_kaggles_csv_is_the_same_list(root):
    (root / "list_attr_celeba.txt").unlink()
    rows = [",".join(row.split()) for row in ["image_id Smiling Male Young", *ROWS]]
    (root / "list_attr_celeba.csv").write_text("\n".join(rows))
    (root / "list_eval_partition.csv").write_text(
        "image_id,partition\n1.jpg,0\n2.jpg,0\n3.jpg,2\n4.jpg,1"
    )
    found = dataset(root, ["Young", "Smiling"], mode="test")
    assert [int(found[i]["class_id"]) for i in range(len(found))] == [3]


def test_parts_follow_the_partition_file(root):
    (root / "list_eval_partition.txt").write_text("1.jpg 0\n2.jpg 1\n3.jpg 2\n4.jpg 0\n")
    names = {
        mode: [path.name for path in dataset(root, mode=mode).paths]
        for mode in ("train", "valid", "test")
    }
    assert names == {"train": ["1.jpg", "4.jpg"], "valid": ["2.jpg"], "test": ["3.jpg"]}


def test_without_a_partition_file_nine_tenths_are_for_training(root):
    train, test = dataset(root, ["Male"], mode="train"), dataset(root, ["Male"], mode="test")
    assert [path.name for path in train.paths] == ["1.jpg", "2.jpg", "3.jpg"]
    assert [path.name for path in test.paths] == ["4.jpg"]
    assert test[0]["class_id"] == 0


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        (["smiling"], "no attribute 'smiling'; did you mean 'Smiling'"),
        (["Male", "Male"], "'Male' is given twice"),
    ],
)
def test_wrong_attributes_are_named(root, attributes, problem):
    with pytest.raises(ConfigError, match=problem):
        dataset(root, attributes)


def test_a_missing_list_is_named(root):
    with pytest.raises(DataError, match=r"no file .*other\.txt"):
        dataset(root, ["Male"], attr_file="other.txt")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([*LIST[:3], "2.jpg 1 -1"], r":4: 3 fields instead of a file name and 3 attributes"),
        ([*LIST[:3], "2.jpg 1 yes -1"], ":4: attributes must be 1 or -1, got yes"),
        (LIST[:2], "lists no pictures"),
    ],
)
def test_a_malformed_list_is_named_with_its_line(tmp_path, lines, problem):
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=problem):
        read_classes(path, ["Male"])


def test_a_list_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xff\xfe\x00\x81" * 10)
    with pytest.raises(DataError, match="is not a text file"):
        read_classes(path, ["Male"])


def test_pictures_and_list_must_agree_unless_told_otherwise(root, caplog):
    (root / "img_align_celeba" / "3.jpg").unlink()
    with pytest.raises(DataError, match=r"lists 1 pictures that the folder lacks.*3\.jpg"):
        dataset(root, ["Male"])
    write_image(root / "img_align_celeba" / "9.jpg", np.zeros((12, 10, 3), np.uint8))
    with pytest.raises(DataError, match=r"does not list 1 pictures of the folder.*9\.jpg"):
        dataset(root, ["Male"])
    with caplog.at_level(logging.WARNING):
        found = dataset(root, ["Male"], on_error="skip")
    assert [path.name for path in found.paths] == ["1.jpg", "2.jpg", "4.jpg"]
    assert len(caplog.records) == 2


def test_a_list_of_other_pictures_is_an_error_in_any_case(root):
    text = "\n".join(["1", "Male", "other.jpg 1"])
    (root / "list_attr_celeba.txt").write_text(text)
    with pytest.raises(DataError, match="lists none of the 4 pictures"):
        dataset(root, ["Male"], on_error="skip")


def test_an_empty_part_and_a_bad_partition_are_errors(root):
    (root / "list_eval_partition.txt").write_text("1.jpg 0\n")
    with pytest.raises(DataError, match=r"no picture in .* belongs to the part 'test'"):
        dataset(root, mode="test")
    (root / "list_eval_partition.txt").write_text("1.jpg 0\n2.jpg 7\n")
    with pytest.raises(DataError, match=r"partition\.txt:2: .* '2\.jpg 7'"):
        dataset(root, mode="train")
    with pytest.raises(ConfigError, match="'mode' must be"):
        dataset(root, mode="val")
