# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ppzoo.data.cartoon import cartoonise
from ppzoo.data.photographs import embedded_photograph
from ppzoo.data.transforms import resize
from ppzoo.errors import ConfigError


def photo(name: str, size: int) -> np.ndarray:
    whole = embedded_photograph(name)
    side = min(whole.shape[:2])
    return resize(whole[:side, :side], (size, size), "area")


def two_tone(size: int = 96, noise: float = 0.0) -> np.ndarray:
    """Return a bright disc on a dark ground."""
    y, x = np.mgrid[:size, :size] - size / 2
    image = np.where((x**2 + y**2 < (size / 3) ** 2)[..., None], (230, 180, 150), (90, 110, 160))
    image = image + np.random.RandomState(0).normal(0, noise, image.shape)
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_flatter_than_the_photograph_and_with_lines(size: int) -> None:
    image = photo("astronaut", size)
    cartoon = cartoonise(image)
    assert cartoon.shape == image.shape
    assert cartoon.dtype == np.uint8

    def flat_share(picture: np.ndarray) -> float:
        """Return the share of neighbours that differ by 2 levels at most."""
        return (np.abs(np.diff(picture.astype(int), axis=1)).max(axis=2) <= 2).mean()

    assert flat_share(cartoonise(image, ink=0)) > 1.2 * flat_share(image)
    ink = np.abs(cartoon.astype(int) - cartoonise(image, ink=0)).max(axis=2) > 20
    assert 0.02 < ink.mean() < 0.3


def test_lines_run_along_the_edge_and_nowhere_else() -> None:
    image = two_tone(noise=4)
    lines = np.abs(cartoonise(image).astype(int) - cartoonise(image, ink=0)).max(axis=2) > 40
    y, x = np.nonzero(lines)
    radius = np.hypot(x - 48, y - 48)
    assert np.abs(radius - 32).max() < 5
    # The whole way round.
    angles = np.floor(np.arctan2(y - 48, x - 48) / (2 * np.pi) * 24) % 24
    assert len(np.unique(angles)) == 24


def test_lines_hold_together_in_a_noisy_picture() -> None:
    y, x = np.mgrid[:96, :96] - 48
    pieces = astray = inked = 0
    for seed in range(6):
        noise = np.random.RandomState(seed).normal(0, 14, x.shape)
        grey = (np.where(np.hypot(x, y) < 30, 150, 115) + noise).clip(0, 255).astype(np.uint8)
        image = np.repeat(grey[..., None], 3, axis=2)
        lines = np.abs(cartoonise(image).astype(int) - cartoonise(image, ink=0)).max(axis=2) > 40
        pieces += ndimage.label(lines, np.ones((3, 3)))[1]
        astray += (np.abs(np.hypot(x, y)[lines] - 30) > 5).sum()
        inked += lines.sum()
    # Without averaging along edges, or with specks, there are more than 105 pieces.
    assert pieces < 96
    assert astray < 0.1 * inked
    assert inked > 6 * 200


def test_noise_and_plain_pictures_get_no_lines() -> None:
    plain = np.full((80, 80, 3), (120, 160, 90), np.uint8)
    noise = np.random.RandomState(1).normal(0, 5, plain.shape)
    for image in (plain, (plain + noise).clip(0, 255).astype(np.uint8)):
        assert np.array_equal(cartoonise(image), cartoonise(image, ink=0))


def test_colours_get_livelier_and_greys_stay_grey() -> None:
    image = np.full((32, 32, 3), (170, 130, 120), np.uint8)
    spread = [np.ptp(cartoonise(image, saturation=s)[16, 16].astype(int)) for s in (0, 1, 1.5)]
    assert spread[0] <= 1
    assert spread[0] < spread[1] < spread[2]
    grey = cartoonise(np.repeat(photo("chelsea", 48)[..., :1], 3, axis=2), ink=0)
    assert np.ptp(grey.astype(int), axis=2).max() <= 2


def test_lightness_keeps_its_order_and_becomes_few_steps() -> None:
    ramp = np.repeat(np.arange(0, 256, dtype=np.uint8), 4)
    image = np.broadcast_to(ramp[None, :, None], (16, 1024, 3)).copy()
    row = cartoonise(image, levels=4, ink=0)[8, :, 0].astype(int)
    assert (np.diff(row) >= -1).all()
    # Even steps: where lightness is quantised, levels gather at a few values.
    counts = np.sort(np.bincount(row, minlength=256))[::-1]
    assert counts[:40].sum() > 0.5 * len(row)
    assert row[0] < 20
    assert row[-1] > 240


def test_equal_pictures_give_equal_cartoons_and_the_input_stays() -> None:
    image = photo("coffee", 96)
    before = image.copy()
    assert np.array_equal(cartoonise(image), cartoonise(image))
    assert np.array_equal(image, before)


def test_size_decides_the_width_of_lines() -> None:
    image = two_tone(256)
    ink = [
        (np.abs(cartoonise(image, size=s).astype(int) - cartoonise(image, size=s, ink=0)) > 60)
        .any(axis=2)
        .sum()
        for s in (64, 256, 1024)
    ]
    assert ink[0] < ink[1] < ink[2]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (5, 3, 3)])
def test_tiny_pictures(shape: tuple[int, ...]) -> None:
    image = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    assert cartoonise(image).shape == shape


def test_bad_arguments() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ConfigError, match="'levels' must be from 2 to 64, got 1"):
        cartoonise(image, levels=1)
    with pytest.raises(ConfigError, match="'ink'"):
        cartoonise(image, ink=2)
    with pytest.raises(ConfigError, match="'size'"):
        cartoonise(image, size=-3)
    for wrong in (image.astype(np.float32), image[..., :1], image[0]):
        with pytest.raises(ValueError, match="uint8 picture"):
            cartoonise(wrong)
