# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.paired: what happens to one picture happens to its partner."""

import random

import numpy as np
import pytest

from ppzoo.data.paired import (
    MirrorVideoSequence,
    NormalizeSequence,
    PairedColorJitter,
    PairedRandomCrop,
    PairedRandomHorizontalFlip,
    PairedRandomTransposeHW,
    PairedRandomVerticalFlip,
    PairedToTensor,
    ResizeToScale,
    SRNoise,
    SRPairedRandomCrop,
    TransposeSequence,
)
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image

KEYS = ["image", "image"]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "transform",
    [
        PairedRandomCrop(6, keys=KEYS),
        PairedRandomHorizontalFlip(keys=KEYS),
        PairedRandomVerticalFlip(keys=KEYS),
        PairedRandomTransposeHW(keys=KEYS),
        PairedColorJitter(0.4, 0.4, 0.4, 0.1, keys=KEYS),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_both_pictures_get_the_same_draw(transform):
    random.seed(0)
    image = picture(9, 9)
    results = []
    for _ in range(30):
        left, right = transform((image, image.copy()))
        np.testing.assert_array_equal(left, right)
        results.append(left.tobytes())
    assert transform.is_random
    assert len(set(results)) > 1


def test_flips_and_transposition_at_probability_one():
    one, two = picture(3, 4), picture(3, 4, 1)
    for transform, expected in (
        (PairedRandomHorizontalFlip(1.0), two[:, ::-1]),
        (PairedRandomVerticalFlip(1.0), two[::-1]),
        (PairedRandomTransposeHW(1.0), two.transpose(1, 0, 2)),
    ):
        np.testing.assert_array_equal(transform((one, two))[1], expected)


def test_to_tensor_treats_all():
    left, right = PairedToTensor(keys=KEYS)((picture(3, 4), picture(3, 4)))
    assert left.shape == right.shape == (3, 3, 4)
    assert right.max() <= 1


def test_color_jitter_without_amounts_changes_nothing():
    image = picture(5, 5)
    np.testing.assert_array_equal(PairedColorJitter()(image), image)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"brightness": (0.5, 0.5)}, [50, 25, 0]),
        ({"contrast": (0.0, 0.0)}, [59, 59, 59]),
        ({"saturation": (0.0, 0.0)}, [59, 59, 59]),
        ({"hue": (0.5, 0.5)}, [0, 50, 100]),
    ],
)
def test_color_jitter_by_a_known_amount(kwargs, expected):
    image = np.full((2, 2, 3), [100, 50, 0], np.uint8)
    np.testing.assert_allclose(PairedColorJitter(**kwargs)(image)[0, 0], expected, atol=1)


@pytest.mark.parametrize("kwargs", [{"brightness": -1}, {"hue": 0.7}, {"contrast": (2, 1)}])
def test_color_jitter_refuses_impossible_amounts(kwargs):
    with pytest.raises(ConfigError, match=f"PairedColorJitter: '{next(iter(kwargs))}'"):
        PairedColorJitter(**kwargs)


def test_resize_to_scale_rounds_down_to_multiples_and_up_to_the_least():
    transform = ResizeToScale(size=[16, 24], scale=8)
    assert transform(picture(20, 45)).shape == (24, 40, 3)
    assert transform(picture(33, 10)).shape == (32, 16, 3)


def test_sr_crop_cuts_corresponding_places():
    random.seed(0)
    small = picture(10, 12)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    for _ in range(10):
        low, high = SRPairedRandomCrop(4, 16)((small, large))
        np.testing.assert_array_equal(high, low.repeat(4, axis=0).repeat(4, axis=1))


def test_sr_crop_takes_videos_and_middle_scales():
    small, large = picture(8, 8), picture(32, 32)
    lows, highs = SRPairedRandomCrop(4, 16)(([small] * 3, [large] * 3))
    assert [frame.shape for frame in lows + highs] == [(4, 4, 3)] * 3 + [(16, 16, 3)] * 3
    low, middle, high = SRPairedRandomCrop(4, 16, scale_list=True)((small, large))
    assert (low.shape, middle.shape, high.shape) == ((4, 4, 3), (8, 8, 3), (16, 16, 3))


def test_sr_crop_refuses_what_does_not_fit():
    with pytest.raises(DataError, match="not a pair of scale 4"):
        SRPairedRandomCrop(4, 16)((picture(8, 8), picture(31, 32)))
    with pytest.raises(DataError, match="2 x 8 pixels is smaller than the patch of 4 x 4"):
        SRPairedRandomCrop(4, 16)((picture(2, 8), picture(8, 32)))


def test_sr_noise_adds_noise_without_a_mean(tmp_path):
    write_image(tmp_path / "noise.png", picture(20, 20))
    np.random.seed(0)
    image = np.full((3, 8, 8), 0.5, np.float32)
    noisy = SRNoise(str(tmp_path), 8)(image)
    assert noisy.dtype == np.float32
    assert noisy.std() > 0.1
    assert 0.4 < noisy.mean() < 0.6
    assert noisy.min() >= 0
    with pytest.raises(DataError, match=r"no pictures of noise .*ppzoo data degrade"):
        SRNoise(str(tmp_path / "nowhere"), 8)(image)
    with pytest.raises(DataError, match=r"\[3, 8, 8\], not \[C, H, W\] with sides of 'size' 16"):
        SRNoise(str(tmp_path), 16)(image)


def test_sequences_of_frames():
    frames = [picture(4, 5), picture(4, 5, 1)]
    transposed = TransposeSequence()(frames)
    assert [frame.shape for frame in transposed] == [(3, 4, 5)] * 2
    stacked = NormalizeSequence([0, 0, 0], [255] * 3)(transposed)
    assert stacked.shape == (2, 3, 4, 5)
    assert stacked.dtype == np.float32
    lows, highs = MirrorVideoSequence()((frames, frames))
    assert len(lows) == len(highs) == 4
    assert lows[0] is lows[3]
    with pytest.raises(DataError, match="lists of frames"):
        MirrorVideoSequence()(frames[0])
