# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.pictures: what is left to do after the transforms of a config."""

import numpy as np
import pytest

from ppzoo.data.pictures import ArrayDataset, Finish, crop_and_fit
from ppzoo.data.transforms import Grayscale, Normalize, RandomHorizontalFlip, Resize, Transpose
from ppzoo.errors import DataError

BYTES = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def test_without_transforms_bytes_become_the_unit_range_channels_first():
    result = Finish(None)(np.array([[[0, 255, 51]]], np.uint8))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[[-1]], [[1]], [[-0.6]]])


@pytest.mark.parametrize(
    "transforms",
    [
        [Normalize(127.5, 127.5)],
        [Transpose(), Normalize([127.5] * 3, [127.5] * 3)],
        [Normalize([127.5] * 3, [127.5] * 3, data_format="HWC"), Transpose()],
        [Transpose()],
        [Resize([2, 4])],
    ],
)
def test_all_ways_to_write_the_usual_transforms_agree(transforms):
    np.testing.assert_allclose(Finish(transforms)(BYTES), Finish(None)(BYTES), atol=1e-6)


def test_grey_pictures_keep_one_channel_whatever_their_axes():
    assert Finish([Grayscale(), Normalize([127.5], [127.5])])(BYTES).shape == (1, 2, 4)
    assert Finish([Normalize([127.5], [127.5])])(BYTES[..., 0]).shape == (1, 2, 4)


def test_a_picture_as_wide_as_it_has_channels_is_not_mistaken():
    image = np.zeros((3, 5, 3), np.uint8)
    image[0] = 255
    result = Finish([])(image)
    assert result.shape == (3, 3, 5)
    assert (result[:, 0] == 1).all()
    assert Finish([Transpose()])(image).shape == (3, 3, 5)


def test_crop_and_fit_takes_the_centre():
    image = np.zeros((10, 20, 3), np.uint8)
    image[4:6, 9:11] = 255
    np.testing.assert_array_equal(crop_and_fit(image, 2, 4), 255)
    assert crop_and_fit(image, None, 5).shape == (5, 5, 3)
    with pytest.raises(DataError, match="20 x 10 pixels is smaller than the crop of 11"):
        crop_and_fit(image, 11, 4)


def test_a_batch_equals_its_samples():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), dtype=np.uint8)
    for transforms in (None, [Resize(6), Normalize([127.5], [127.5])]):
        dataset = ArrayDataset(images, np.arange(5), transforms)
        assert not dataset.is_random
        batch = dataset.get_batch(np.array([3, 1]))
        np.testing.assert_array_equal(batch["img"][0], dataset[3]["img"])
        np.testing.assert_array_equal(batch["class_id"], [3, 1])
    assert ArrayDataset(images, np.arange(5), [RandomHorizontalFlip()]).is_random
    assert "class_id" not in ArrayDataset(images, np.arange(5), return_label=False)[0]
