# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.digits: scikit-learn's digits, enlarged and split."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ppzoo.data.digits import DigitsDataset
from ppzoo.data.transforms import Normalize, Resize
from ppzoo.errors import ConfigError


def everything(dataset):
    return dataset.get_batch(np.arange(len(dataset)))


def test_samples_are_pictures_in_the_unit_range_with_labels():
    sample = DigitsDataset()[0]
    assert sample["img"].shape == (1, 32, 32)
    assert sample["img"].dtype == np.float32
    assert sample["class_id"].dtype == np.int64
    images = everything(DigitsDataset(size=20))["img"]
    assert images.shape[1:] == (1, 20, 20)
    assert (images.min(), images.max()) == (-1, 1)


def test_train_and_test_are_disjoint_stratified_and_complete():
    train, test, every = (everything(DigitsDataset(mode, 8)) for mode in ("train", "test", "all"))
    assert len(every["img"]) == 1797
    sizes = [np.bincount(part["class_id"]) for part in (train, test, every)]
    np.testing.assert_array_equal(sizes[0] + sizes[1], sizes[2])
    np.testing.assert_allclose(sizes[1] / sizes[2], 0.25, atol=0.005)
    pictures = [picture.tobytes() for picture in np.concatenate([train["img"], test["img"]])]
    assert sorted(pictures) == sorted(picture.tobytes() for picture in every["img"])


def test_labels_are_those_of_scikit_learn():
    labels = DigitsDataset("all", 8).labels
    np.testing.assert_array_equal(labels, load_digits().target)


def test_enlarging_keeps_the_digit_and_leaves_a_margin():
    images = everything(DigitsDataset("all", 40))["img"][:, 0]
    source = load_digits().images
    # Ten cells, the outermost empty, of 4 x 4 pixels each.
    cells = images.reshape(-1, 10, 4, 10, 4).mean(axis=(2, 4))[:, 1:-1, 1:-1]
    assert np.corrcoef(cells.ravel(), source.ravel())[0, 1] > 0.95
    assert images[:, 0].max() < -0.9
    assert images[:, :, 0].max() < -0.9


def test_return_label_and_transforms():
    dataset = DigitsDataset(
        return_label=False, transforms=[Resize([16, 16]), Normalize([127.5], [127.5])]
    )
    assert list(dataset[0]) == ["img"]
    assert dataset[0]["img"].shape == (1, 16, 16)


def test_datasets_do_not_share_writable_arrays():
    first = DigitsDataset("all", 8)
    first.images[:] = 0
    assert DigitsDataset("all", 8).images.max() == 255


@pytest.mark.parametrize("kwargs", [{"mode": "validation"}, {"size": 4}, {"size": 4096}])
def test_wrong_options_are_named(kwargs):
    with pytest.raises(ConfigError, match=f"'{next(iter(kwargs))}' must be"):
        DigitsDataset(**kwargs)
