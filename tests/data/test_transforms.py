# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.transforms: numbers worked out by hand, draws, and refusals."""

import random

import numpy as np
import pytest

from ppzoo.data.transforms import (
    Add,
    Grayscale,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCropProb,
    RandomVerticalFlip,
    Resize,
    ToTensor,
    Transpose,
)
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import TRANSFORMS, build


def picture(height, width, channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_normalize_maps_bytes_to_the_unit_range():
    image = np.array([0, 127.5, 255], np.float32).reshape(1, 1, 3)
    result = Normalize(mean=[127.5], std=[127.5])(image)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result.ravel(), [-1, 0, 1])


def test_normalize_treats_each_channel_by_its_own_numbers():
    image = np.full((3, 2, 2), 10, np.uint8)
    result = Normalize(mean=[10, 0, 5], std=[1, 2, 5])(image)
    np.testing.assert_array_equal(result[:, 0, 0], [0, 5, 1])


def test_normalize_gives_a_picture_without_channels_one():
    image = np.zeros((28, 28), np.uint8)
    assert Normalize(127.5, 127.5)(image).shape == (1, 28, 28)
    assert Normalize(127.5, 127.5, data_format="HWC")(image).shape == (28, 28, 1)


def test_normalize_recognises_channels_that_stand_last():
    image = picture(5, 4)
    result = Normalize([1, 2, 3], [1, 1, 1])(image)
    np.testing.assert_array_equal(result, image.astype(np.float32) - [1, 2, 3])


def test_normalize_to_rgb_reverses_channels_in_both_layouts():
    image = picture(5, 4)
    last = Normalize(data_format="HWC", to_rgb=True)(image)
    first = Normalize(to_rgb=True, mean=[0, 0, 0], std=[1, 1, 1])(image.transpose(2, 0, 1))
    np.testing.assert_array_equal(last, image[..., ::-1])
    np.testing.assert_array_equal(first.transpose(1, 2, 0), image[..., ::-1])


def test_normalize_refuses_a_picture_with_other_channels():
    with pytest.raises(DataError, match=r"3 means .* \[1, 8, 8\]"):
        Normalize([127.5] * 3, [127.5] * 3)(np.zeros((1, 8, 8), np.uint8))


@pytest.mark.parametrize("kwargs", [{"std": 0.0}, {"mean": [1, 2], "std": [1, 2, 3]}])
def test_normalize_refuses_numbers_that_cannot_work(kwargs):
    with pytest.raises(ConfigError, match="as many means as stds"):
        Normalize(**kwargs)


def test_resize_takes_height_before_width():
    assert Resize([6, 9])(picture(4, 4)).shape == (6, 9, 3)


@pytest.mark.parametrize(
    ("shape", "expected"), [((40, 60), (20, 30)), ((60, 40), (30, 20)), ((20, 31), (20, 31))]
)
def test_resize_by_one_number_scales_the_shorter_side(shape, expected):
    assert Resize(20)(picture(*shape)).shape[:2] == expected


def test_resize_keeps_the_channel_axis_of_grey_pictures():
    assert Resize([64, 64], "bicubic")(picture(28, 28, 1)).shape == (64, 64, 1)


def test_resize_bilinear_samples_between_pixel_centres():
    image = np.array([[0, 100]], np.uint8)
    np.testing.assert_array_equal(Resize([1, 4])(image), [[0, 25, 75, 100]])


def test_resize_by_area_averages():
    image = np.array([[0, 100], [50, 250]], np.uint8)
    assert Resize([1, 1], "area")(image) == 100


@pytest.mark.parametrize("size", [0, -3, [3], [3, 4, 5], [2.5, 3], "big"])
def test_resize_refuses_sizes_that_make_no_picture(size):
    with pytest.raises(ConfigError, match="'size' must be"):
        Resize(size)


def test_resize_refuses_an_unknown_interpolation():
    with pytest.raises(ConfigError, match=r"one of nearest, bilinear.*'cubic'"):
        Resize(4, "cubic")


def test_transpose_puts_channels_first():
    image = picture(5, 4)
    np.testing.assert_array_equal(Transpose()(image)[2], image[..., 2])
    assert Transpose()(image[..., 0]).shape == (1, 5, 4)


def test_to_tensor_scales_bytes_and_leaves_floats():
    image = np.array([[[255], [0]]], np.uint8)
    np.testing.assert_array_equal(ToTensor()(image), [[[1, 0]]])
    np.testing.assert_array_equal(ToTensor()(image.astype(np.float32)), [[[255, 0]]])


def test_grayscale_weighs_colours_by_brightness():
    image = np.array([[[100, 0, 0], [0, 100, 0], [0, 0, 100]]], np.uint8)
    np.testing.assert_array_equal(Grayscale()(image)[..., 0], [[30, 59, 11]])
    assert Grayscale(3)(image).shape == (1, 3, 3)
    assert Grayscale(1)(image[..., :1]).shape == (1, 3, 1)


def test_add_clips_to_bytes():
    image = np.array([[[5, 100, 250]]], np.uint8)
    np.testing.assert_array_equal(Add([-10, 1.9, 10])(image), [[[0, 101, 255]]])


def test_flips_by_probability():
    image = picture(3, 4)
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(image), image[:, ::-1])
    np.testing.assert_array_equal(RandomVerticalFlip(1.0)(image), image[::-1])
    np.testing.assert_array_equal(RandomVerticalFlip(0.0)(image), image)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        RandomHorizontalFlip(1.5)


def test_unpaired_flips_draw_for_each_picture_by_itself():
    random.seed(0)
    image = picture(2, 3)
    flip = RandomHorizontalFlip(0.5, keys=["image", "image"])
    same = []
    for _ in range(50):
        left, right = flip((image, image))
        same.append(np.array_equal(left, right))
    assert 10 < sum(same) < 40


def test_random_crop_reaches_every_place_and_only_those():
    random.seed(0)
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    seen = {int(RandomCrop([2, 2])(image)[0, 0, 0]) for _ in range(200)}
    assert seen == {0, 1, 2, 4, 5, 6}


def test_random_crop_follows_pythons_random_state():
    image = picture(30, 30)
    random.seed(5)
    top, left = random.randint(0, 20), random.randint(0, 10)
    random.seed(5)
    expected = image[top : top + 10, left : left + 20]
    np.testing.assert_array_equal(RandomCrop([10, 20])(image), expected)


def test_random_crop_refuses_a_smaller_picture_unless_it_may_pad():
    image = picture(3, 9)
    with pytest.raises(DataError, match=r"3 x 9 pixels .* crop of 4 x 4"):
        RandomCrop(4)(image)
    assert RandomCrop(4, pad_if_needed=True)(image).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("constant", [9, 1, 2, 9]), ("edge", [1, 1, 2, 2]), ("reflect", [2, 1, 2, 1])],
)
def test_random_crop_pads_first(mode, expected):
    image = np.array([[1, 2]], np.uint8)
    crop = RandomCrop([1, 4], padding=[1, 0], fill=9, padding_mode=mode)
    np.testing.assert_array_equal(crop(image), [expected])


def test_random_resized_crop_stays_within_its_limits():
    random.seed(0)
    crop = RandomResizedCropProb(1.0, 8, scale=[0.25, 0.5], ratio=[0.5, 2.0])
    image = picture(40, 60)
    for _ in range(50):
        top, left, height, width = crop.draw(image)
        assert 0.23 < height * width / 2400 < 0.53
        assert 0.45 < width / height < 2.2
        assert top + height <= 40
        assert left + width <= 60
    assert crop(image).shape == (8, 8, 3)
    np.testing.assert_array_equal(RandomResizedCropProb(0.0, 8)(image), image)


def test_random_resized_crop_falls_back_to_the_centre():
    crop = RandomResizedCropProb(1.0, 8, scale=[1.0, 1.0], ratio=[1.0, 1.0])
    assert crop.draw(picture(4, 100)) == (0, 48, 4, 4)


def test_keys_say_how_many_pictures_are_transformed():
    image = picture(4, 4)
    first, second = Resize(2, keys=["image"])((image, image))
    assert (first.shape, second.shape) == ((2, 2, 3), (4, 4, 3))
    first, second = Resize(2)((image, image))
    assert (first.shape, second.shape) == ((2, 2, 3), (2, 2, 3))
    with pytest.raises(ConfigError, match="'keys' must be a list of the word 'image'"):
        Resize(2, keys=["mask"])


def test_a_tuple_of_one_comes_back_as_the_picture():
    assert Transpose()((picture(4, 5),)).shape == (3, 4, 5)


def test_frames_of_a_video_are_treated_alike():
    random.seed(1)
    frames = [picture(2, 3)] * 2
    for _ in range(20):
        left, right = RandomHorizontalFlip()(frames)
        np.testing.assert_array_equal(left, right)


def test_pil_pictures_are_taken_too():
    from PIL import Image

    image = picture(4, 6)
    np.testing.assert_array_equal(Transpose()(Image.fromarray(image)), image.transpose(2, 0, 1))


def test_registered_under_paddlegans_names():
    transform = build(TRANSFORMS, {"name": "Resize", "size": [2, 3], "interpolation": "bicubic"})
    assert transform(picture(4, 4)).shape == (2, 3, 3)
    expected = {
        "PairedRandomCrop", "PairedToTensor", "PairedRandomHorizontalFlip",
        "PairedRandomVerticalFlip", "PairedRandomTransposeHW", "TransposeSequence",
        "NormalizeSequence", "SRPairedRandomCrop", "SRNoise", "RandomResizedCropProb", "Add",
        "ResizeToScale", "PairedColorJitter", "MirrorVideoSequence", "Resize", "RandomCrop",
        "RandomHorizontalFlip", "RandomVerticalFlip", "Normalize", "Transpose", "Grayscale",
        "ToTensor",
    }  # fmt: skip
    assert expected <= set(TRANSFORMS)
