# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM: their definitions, what they accept, what they refuse, merging."""

import math

import numpy as np
import pytest

from ppzoo.metrics.psnr import PSNR, calculate_psnr
from ppzoo.metrics.ssim import SSIM, calculate_ssim
from ppzoo.registry import METRICS, build


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    ramp = np.linspace(20, 230, 24 * 20 * 3).reshape(24, 20, 3)
    noisy = ramp + rng.normal(0, 12, ramp.shape)
    return noisy.clip(0, 255).astype(np.uint8), ramp.astype(np.uint8)


def naive_ssim(a, b):
    """The paper's formula, window by window."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = (i[top : top + 11, left : left + 11].astype(float) for i in (a, b))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
            values.append(luminance * (2 * cov + c2) / (vx + vy + c2))
    return np.mean(values)


def luma(image):
    red, green, blue = np.moveaxis(image.astype(float) / 255, -1, 0)
    return 16 + 65.481 * red + 128.553 * green + 24.966 * blue


class TestDefinitions:
    def test_psnr(self):
        black = np.zeros((4, 4, 3), np.uint8)
        assert calculate_psnr(black, black, 0) == math.inf
        assert calculate_psnr(black, black + 255, 0) == 0.0
        assert calculate_psnr(black, black + 1, 0) == pytest.approx(20 * math.log10(255))

    def test_psnr_of_luma_and_cropped(self, pair):
        a, b = (luma(image)[3:-3, 3:-3] for image in pair)
        expected = 10 * math.log10(255**2 / ((a - b) ** 2).mean())
        assert calculate_psnr(*pair, 3, test_y_channel=True) == pytest.approx(expected)

    def test_ssim_of_channels(self, pair):
        a, b = (image[2:-2, 2:-2] for image in pair)
        expected = np.mean([naive_ssim(a[..., c], b[..., c]) for c in range(3)])
        assert calculate_ssim(*pair, 2) == pytest.approx(expected, abs=1e-9)
        assert calculate_ssim(pair[1], pair[1], 0) == pytest.approx(1.0)

    def test_ssim_of_luma(self, pair):
        expected = naive_ssim(luma(pair[0]), luma(pair[1]))
        assert calculate_ssim(*pair, 0, test_y_channel=True) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("calculate", [calculate_psnr, calculate_ssim])
    def test_layouts_agree(self, calculate, pair):
        first_channels = [image.transpose(2, 0, 1) for image in pair]
        expected = calculate(*pair, 1, test_y_channel=True)
        assert calculate(*first_channels, 1, "CHW", True) == pytest.approx(expected)
        grey = [image[..., 0] for image in pair]
        with_axis = [image[..., None] for image in grey]
        assert calculate(*grey, 1) == pytest.approx(calculate(*with_axis, 1))
        assert calculate(*grey, 1, test_y_channel=True) == calculate(*grey, 1)

    def test_uint8_does_not_wrap_around(self):
        low, high = np.full((12, 12), 3, np.uint8), np.full((12, 12), 250, np.uint8)
        assert calculate_psnr(low, high, 0) == calculate_psnr(high, low, 0)


class TestRefusals:
    @pytest.mark.parametrize("calculate", [calculate_psnr, calculate_ssim])
    @pytest.mark.parametrize(
        ("shapes", "options", "message"),
        [
            (((20, 20, 3), (20, 21, 3)), {}, r"\[20, 20, 3\] and \[20, 21, 3\]"),
            (((3, 20, 21), (3, 20, 21)), {}, r"\[3, 20, 21\] cannot be in the order HWC"),
            (((20, 21, 3), (20, 21, 3)), {"input_order": "CHW"}, "in the order CHW"),
            (((20, 20, 3), (20, 20, 3)), {"input_order": "NCHW"}, "'NCHW'"),
            (((2, 20, 20, 3), (2, 20, 20, 3)), {}, r"\[2, 20, 20, 3\]"),
            (((20, 8, 3), (20, 8, 3)), {"crop_border": 4}, "crop 4 pixels .* 20 x 8"),
            (((20, 8, 3), (20, 8, 3)), {"crop_border": -1}, "crop -1 pixels"),
        ],
    )
    def test_shapes_are_named(self, calculate, shapes, options, message):
        options = {"crop_border": 0, **options}
        with pytest.raises(ValueError, match=message):
            calculate(*(np.zeros(shape, np.uint8) for shape in shapes), **options)

    def test_smaller_than_the_window(self):
        with pytest.raises(ValueError, match="11 x 11 pixels, got 10 x 18"):
            calculate_ssim(np.zeros((12, 20)), np.zeros((12, 20)), 1)

    def test_options_and_numbers(self, pair):
        with pytest.raises(ValueError, match="negative"):
            PSNR(-1)
        with pytest.raises(ValueError, match="'WHC'"):
            SSIM(0, "WHC")
        with pytest.raises(ValueError, match="1 pictures cannot be compared with 2"):
            PSNR(0).update([pair[0]], list(pair))
        with pytest.raises(ValueError, match="PSNR has seen no pictures"):
            PSNR(0).accumulate()


class TestCollecting:
    @pytest.mark.parametrize("name", ["PSNR", "SSIM"])
    def test_lists_batches_and_single_pictures_agree(self, name, pair):
        a, b = pair
        figures = []
        for updates in ([([a, b], [b, a])], [(np.stack([a, b]), np.stack([b, a]))], [(a, b)]):
            metric = build(METRICS, {"name": name, "crop_border": 2})
            for update in updates:
                metric.update(*update)
            figures.append(metric.accumulate())
        assert figures == pytest.approx([figures[0]] * 3)

    def test_a_sequence_counts_as_one(self, pair):
        a, b = pair
        worse = 255 - a
        metric = PSNR(0)
        metric.update([a, worse], [b, b], is_seq=True)
        metric.update([a], [b], is_seq=True)
        good, bad = calculate_psnr(a, b, 0), calculate_psnr(worse, b, 0)
        assert metric.accumulate() == pytest.approx(((good + bad) / 2 + good) / 2)
        metric.reset()
        metric.update([a, worse, a], [b, b, b])
        assert metric.accumulate() == pytest.approx((2 * good + bad) / 3)

    @pytest.mark.parametrize("kind", [PSNR, SSIM])
    def test_merging_equals_one_process(self, kind, pair):
        a, b = pair
        pictures = [a, 255 - a, a[::-1], b[:, ::-1], a // 2]
        whole, parts = kind(0), [kind(0) for _ in range(3)]  # the third sees nothing
        for index, picture in enumerate(pictures):
            whole.update(picture, b)
            parts[index % 2].update(picture, b)
        parts[2].merge([part.state() for part in parts])
        assert parts[2].accumulate() == pytest.approx(whole.accumulate(), rel=1e-12)
        assert not math.isinf(whole.accumulate())

    def test_equal_pictures_stay_infinite_through_merging(self, pair):
        metric = PSNR(0)
        metric.update(pair[0], pair[0])
        other = PSNR(0)
        other.update(*pair)
        other.merge([metric.state(), other.state()])
        assert other.accumulate() == math.inf
