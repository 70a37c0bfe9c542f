# SPDX-License-Identifier: Apache-2.0
"""Gradient statistics against SciPy's distance, and what raises and lowers them."""

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage import data

from ppzoo.media.bicubic import resize_bicubic
from ppzoo.metrics.gradients import GradientStatistics, gradient_statistics
from ppzoo.metrics.psnr import calculate_psnr
from ppzoo.registry import METRICS, build


@pytest.fixture(scope="module")
def photograph():
    return data.astronaut()[40:201, 110:255]


def blurred(picture, sigma):
    return ndimage.gaussian_filter(picture.astype("float64"), (sigma, sigma, 0))


def noisy(picture, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype("uint8")


def figures(output, truth, **options):
    metric = build(METRICS, {"name": "GradientStatistics", **options})
    metric.update(output, truth)
    found = metric.accumulate()
    assert sorted(found) == ["gradient_distance", "gradient_strength"]
    return found["gradient_distance"], found["gradient_strength"]


def test_equals_scipy(photograph):
    other = blurred(photograph, 1.5)
    luma = [picture @ [0.299, 0.587, 0.114] for picture in (other, photograph)]
    magnitudes = [
        np.hypot(np.diff(grey, axis=0)[:, :-1], np.diff(grey, axis=1)[:-1]) for grey in luma
    ]
    assert magnitudes[0].shape == (160, 144)
    distances = [
        stats.wasserstein_distance(*(m[y : y + 16, x : x + 16].ravel() for m in magnitudes))
        for y in range(0, 160, 16)
        for x in range(0, 144, 16)
    ]
    distance, ours, truth = gradient_statistics(other, photograph)
    assert distance == pytest.approx(np.mean(distances), rel=1e-9)
    assert ours == pytest.approx(magnitudes[0].mean(), rel=1e-9)
    assert truth == pytest.approx(magnitudes[1].mean(), rel=1e-9)
    assert figures(other, photograph) == pytest.approx((distance / truth, ours / truth))


def test_the_truth_and_nothing(photograph):
    assert figures(photograph, photograph) == (0.0, 1.0)
    assert figures(np.full_like(photograph, 90), photograph) == pytest.approx((1.0, 0.0))


def test_blur_and_noise_raise_it(photograph):
    blurs = [figures(blurred(photograph, sigma), photograph) for sigma in (0.5, 1, 2, 4)]
    assert [d for d, _ in blurs] == sorted(d for d, _ in blurs)
    assert 0.05 < blurs[0][0] < blurs[-1][0] < 1
    assert all(strength < 1 for _, strength in blurs)
    noises = [figures(noisy(photograph, sigma), photograph) for sigma in (2, 5, 10, 20)]
    assert [d for d, _ in noises] == sorted(d for d, _ in noises)
    assert all(strength > 1 for _, strength in noises)


def test_texture_beats_blur_though_psnr_disagrees(photograph):
    """The same texture a little displaced is a better picture than a blur, and a worse PSNR."""
    moved, smooth = np.roll(photograph, 3, axis=1), blurred(photograph, 1.2)
    psnr = [calculate_psnr(picture, photograph, 4) for picture in (moved, smooth)]
    assert psnr[0] < psnr[1] - 3
    assert figures(moved, photograph)[0] < 0.5 * figures(smooth, photograph)[0]


def test_sharpening_a_blur_lowers_it(photograph):
    truth = photograph[:160, :144]
    soft = resize_bicubic(resize_bicubic(truth, 1 / 4), 4.0).astype("float64")
    sharper = np.clip(soft + 2.0 * (soft - blurred(soft, 1.5)), 0, 255)
    assert figures(sharper, truth)[0] < 0.8 * figures(soft, truth)[0]


def test_noise_in_the_wrong_place_is_no_texture():
    """Weak noise everywhere has the mean gradient of what is half plain sky, half grass."""
    rng = np.random.default_rng(0)
    truth = np.full((65, 129), 128.0)
    truth[:, :65] += rng.normal(0, 20, (65, 65))
    plain = np.full_like(truth, 128.0)
    everywhere = plain + rng.normal(0, 10, truth.shape)
    half = plain.copy()
    half[:, :65] += rng.normal(0, 20, (65, 65))
    _, strength = figures(everywhere, truth)
    assert strength == pytest.approx(1.0, abs=0.05)
    assert figures(plain, truth)[0] == pytest.approx(1.0)
    assert figures(everywhere, truth)[0] > 0.9
    assert figures(half, truth)[0] < 0.15


def test_contrast_and_brightness_of_the_test_data_are_of_no_account(photograph):
    pair = [picture.astype("float64") for picture in (blurred(photograph, 1), photograph)]
    assert figures(*(0.5 * p + 30 for p in pair)) == pytest.approx(figures(*pair), rel=1e-9)


def test_a_picture_counts_by_its_texture(photograph):
    flat = np.full_like(photograph, 50)
    metric = GradientStatistics()
    metric.update([blurred(photograph, 1), flat], [photograph, flat])
    distance, strength = metric.accumulate().values()
    assert (distance, strength) == pytest.approx(figures(blurred(photograph, 1), photograph))


def test_merge(photograph):
    pairs = [(blurred(photograph, sigma), photograph) for sigma in (1, 2)]
    whole, parts = GradientStatistics(), [GradientStatistics() for _ in range(3)]
    for part, pair in zip(parts, pairs, strict=False):  # the third process sees nothing
        part.update(*pair)
        whole.update(*pair)
    merged = GradientStatistics()
    merged.merge([part.state() for part in parts])
    assert merged.accumulate() == pytest.approx(whole.accumulate())


def test_small_pictures_borders_and_grey(photograph):
    small, grey = photograph[:9, :7], photograph[..., 0]
    assert figures(small, small) == (0.0, 1.0)
    border = photograph.copy()
    border[:4] = border[:, :4] = 0
    assert figures(border, photograph, crop_border=4) == (0.0, 1.0)
    assert figures(border, photograph)[0] > 0
    three = np.repeat(grey[..., None], 3, axis=-1)
    assert figures(blurred(three, 1), three) == pytest.approx(
        figures(blurred(three, 1)[..., 0], grey)
    )


def test_mistakes(photograph):
    flat = np.full_like(photograph, 3)
    with pytest.raises(ValueError, match="no true picture with any gradient"):
        figures(photograph, flat)
    with pytest.raises(ValueError, match="no true picture with any gradient"):
        GradientStatistics().accumulate()
    with pytest.raises(ValueError, match="1 pictures cannot be compared with 2"):
        GradientStatistics().update([flat], [flat, flat])
    with pytest.raises(ValueError, match="differ in shape"):
        gradient_statistics(flat, flat[1:])
    with pytest.raises(ValueError, match=r"2 x 2 pixels, got \[1, 145\]"):
        gradient_statistics(flat[:1], flat[:1])
    with pytest.raises(ValueError, match="block is 0"):
        GradientStatistics(block=0)
