# SPDX-License-Identifier: Apache-2.0
"""The front page's pictures are cut out of those that the proofs left."""

from __future__ import annotations

import numpy as np
import pytest

from ppzoo.media.image import read_image
from tools import showcase

FAMILIES = {path.stem for path in showcase.MODELS.glob("*.md")}


def test_every_family_has_a_picture():
    assert len(FAMILIES) > 15
    assert showcase.THUMBNAILS.keys() == FAMILIES
    assert {path.stem for path in showcase.PICTURES.glob("*.png")} == FAMILIES | {"banner"}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_small_pictures_are_fresh(name):
    expected, stored = showcase.draw_thumbnail(name), read_image(showcase.PICTURES / f"{name}.png")
    np.testing.assert_allclose(stored, expected, atol=1, err_msg="run python tools/showcase.py")


def test_banner_is_fresh():
    expected, stored = showcase.draw_banner(), read_image(showcase.PICTURES / "banner.png")
    assert stored.shape == expected.shape
    # Pillow's versions draw letters a little differently.
    difference = np.abs(stored.astype(int) - expected)
    assert difference[: showcase._PANEL].max() <= 1, "run python tools/showcase.py"
    assert difference.mean() < 1


def test_pictures_show_something_and_load_fast():
    for path in showcase.PICTURES.glob("*.png"):
        assert path.stat().st_size < 300_000
        # Both halves: a cut that misses its square would show one colour.
        for half in np.array_split(read_image(path)[:80], 2, axis=1):
            assert half.std() > 10, path.name
