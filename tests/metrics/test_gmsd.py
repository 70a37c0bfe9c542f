# SPDX-License-Identifier: Apache-2.0
"""GMSD against SciPy's convolutions, and what it is good for."""

import numpy as np
import pytest
from scipy import ndimage, signal
from skimage import data

from ppzoo.metrics.gmsd import GMSD, calculate_gmsd
from ppzoo.registry import METRICS, build


def independent(first, second):
    """The figure by SciPy, on values in [0, 1] with the paper's constant, which it rounds."""
    c = 170 / 255**2
    assert round(c, 4) == 0.0026
    kernel = np.array([[1, 0, -1]] * 3) / 3
    magnitudes = []
    for picture in (first, second):
        grey = picture @ [0.299, 0.587, 0.114] / 255
        mean = signal.convolve2d(grey, np.ones((2, 2)) / 4)[1:, 1:][::2, ::2]
        dx, dy = (signal.convolve2d(mean, k, mode="same") for k in (kernel, kernel.T))
        magnitudes.append(np.sqrt(dx**2 + dy**2))
    a, b = magnitudes
    return np.std((2 * a * b + c) / (a * a + b * b + c))


@pytest.fixture(scope="module")
def photograph():
    return data.astronaut()[40:240, 120:300]


def damaged(picture):
    rng = np.random.default_rng(0)
    noisy = np.clip(picture + rng.normal(0, 20, picture.shape), 0, 255)
    return {
        "noisy": noisy.astype("uint8"),
        "blurred": ndimage.gaussian_filter(picture, (2, 2, 0)),
        "moved": np.roll(picture, 3, axis=1),
        "dark": (picture // 3).astype("uint8"),
    }


@pytest.mark.parametrize("kind", ["noisy", "blurred", "moved", "dark"])
@pytest.mark.parametrize("odd", [0, 1])
def test_equals_scipy(photograph, kind, odd):
    picture = photograph[odd:, odd:]
    other = damaged(picture)[kind]
    found = calculate_gmsd(picture, other)
    assert found == pytest.approx(independent(picture, other), rel=1e-9)
    assert calculate_gmsd(other, picture) == pytest.approx(found, rel=1e-12)
    assert 0.01 < found < 0.5


def test_by_hand():
    """An edge in the middle of six columns: of 3 x 3 places, those of its two columns differ."""
    edge, flat = np.zeros((6, 6)), np.zeros((6, 6))
    edge[:, 2:] = 90.0
    a = np.array([[60, 60, 90], [90, 0, 90], [60, 60, 90]]) * 0.0
    means = np.array([[0, 90, 90]] * 3)
    padded = np.pad(means, 1)
    for y in range(3):
        for x in range(3):
            around = padded[y : y + 3, x : x + 3]
            a[y, x] = np.hypot(
                (around[:, 2] - around[:, 0]).sum() / 3, (around[2] - around[0]).sum() / 3
            )
    assert a[1, 0] == 90.0
    assert calculate_gmsd(edge, flat) == pytest.approx(np.std(170 / (a * a + 170)), rel=1e-9)


def test_equal_pictures(photograph):
    assert calculate_gmsd(photograph, photograph) == 0.0
    assert calculate_gmsd(np.zeros((6, 6)), np.zeros((6, 6))) == 0.0


def test_lines_count_and_colours_do_not(photograph):
    """A picture without its lines is worse than one whose colours are a little off."""
    tinted = np.clip(photograph * [1.06, 1.0, 0.9], 0, 255).astype("uint8")
    blurred = damaged(photograph)["blurred"]
    assert calculate_gmsd(photograph, tinted) < 0.2 * calculate_gmsd(photograph, blurred)


def test_orders_channels_and_borders(photograph):
    other = damaged(photograph)["noisy"]
    want = calculate_gmsd(photograph, other)
    chw = [picture.transpose(2, 0, 1) for picture in (photograph, other)]
    assert calculate_gmsd(*chw, input_order="CHW") == want
    inner = [picture[4:-4, 4:-4] for picture in (photograph, other)]
    assert calculate_gmsd(photograph, other, crop_border=4) == calculate_gmsd(*inner) != want
    grey = [picture[..., :1] for picture in (photograph, other)]
    as_rgb = [np.repeat(picture, 3, axis=-1) for picture in grey]
    assert calculate_gmsd(*grey) == pytest.approx(calculate_gmsd(*as_rgb), rel=1e-9)


def test_refusals(photograph):
    with pytest.raises(ValueError, match="6 x 6 pixels, got 5 x 9"):
        calculate_gmsd(np.zeros((5, 9)), np.zeros((5, 9)))
    with pytest.raises(ValueError, match="differ in shape"):
        calculate_gmsd(photograph, photograph[1:])
    with pytest.raises(ValueError, match="seen no pictures"):
        GMSD().accumulate()


def test_metric_of_a_config(photograph):
    metric = build(METRICS, {"name": "GMSD"})
    others = list(damaged(photograph).values())
    images = [
        np.stack(pictures).transpose(0, 3, 1, 2).astype("float32") / 127.5 - 1
        for pictures in (others, [photograph] * len(others))
    ]
    metric.update_from({"fake": images[0], "real": images[1]})
    want = np.mean([calculate_gmsd(photograph, other) for other in others])
    assert metric.accumulate() == pytest.approx(want, rel=1e-6)
