# SPDX-License-Identifier: Apache-2.0
"""Patches in pictures: place, size, masks, edges."""

from __future__ import annotations

import numpy as np
import pytest

from ppzoo.faces.blend import paste, resize, soft_mask, whole


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat(height, width, level):
    return np.full((height, width, 3), level, np.uint8)


class TestPaste:
    @pytest.mark.parametrize("mask", ["rectangle", "ellipse", np.full((5, 5), 0.3, np.float32)])
    @pytest.mark.parametrize("feather", [0, 0.1, 0.5])
    def test_what_was_cut_out_leaves_the_picture_as_it_was(self, mask, feather) -> None:
        frame = noise(40, 50)
        before = frame.copy()
        paste(frame, frame[10:30, 5:45].copy(), (5, 10, 45, 30), mask, feather)
        assert (frame == before).all()

    def test_a_hard_rectangle_is_the_patch(self) -> None:
        frame, patch = noise(40, 50), noise(20, 30, seed=1)
        before = frame.copy()
        paste(frame, patch, (5, 10, 35, 30), feather=0)
        assert (frame[10:30, 5:35] == patch).all()
        frame[10:30, 5:35] = before[10:30, 5:35]
        assert (frame == before).all()

    def test_it_fades_towards_the_inner_edges_only(self) -> None:
        frame = flat(40, 40, 0)
        paste(frame, flat(20, 20, 200), (0, 10, 20, 30), "rectangle", 0.25)
        row = frame[20, :, 0].astype(int)
        assert (row[:15] == 200).all()  # up to the left edge, which is the picture's own
        assert (np.diff(row[14:21]) < 0).all()
        assert row[20] == 0
        column = frame[:, 5, 0].astype(int)
        assert (np.diff(column[9:16]) > 0).all()
        assert (column[:10] == 0).all()

    @pytest.mark.parametrize("box", [(-10, -5, 10, 15), (45, 35, 65, 55), (-10, 5, 60, 30)])
    def test_a_box_beyond_the_picture_is_cut(self, box) -> None:
        x1, y1, x2, y2 = box
        frame, patch = noise(40, 50), noise(y2 - y1, x2 - x1, seed=1)
        wide = np.pad(frame, ((20, 20), (20, 20), (0, 0)))
        wide[y1 + 20 : y2 + 20, x1 + 20 : x2 + 20] = patch
        paste(frame, patch, box, feather=0)
        assert (frame == wide[20:-20, 20:-20]).all()

    def test_a_box_beside_the_picture_changes_nothing(self) -> None:
        frame = noise(20, 20)
        before = frame.copy()
        paste(frame, flat(5, 5, 9), (30, 2, 35, 7))
        assert (frame == before).all()

    def test_the_patch_takes_the_size_of_the_box(self) -> None:
        frame = flat(64, 64, 255)
        patch = np.repeat(np.repeat(noise(8, 8), 4, 0), 4, 1)  # squares of 4 x 4 pixels
        paste(frame, patch, (10, 20, 18, 28), feather=0)
        assert (frame[20:28, 10:18] == patch[::4, ::4]).all()
        paste(frame, flat(8, 8, 77), (0, 0, 40, 20), feather=0)
        assert (frame[:20, :40] == 77).all()

    def test_shares_of_a_mask(self) -> None:
        frame = flat(10, 10, 100)
        share = np.zeros((10, 10), np.float32)
        share[:, 5:] = 0.25
        paste(frame, flat(10, 10, 200), (0, 0, 10, 10), share)
        assert (frame[:, :5] == 100).all()
        assert (frame[:, 5:] == 125).all()

    def test_the_later_one_lies_above(self) -> None:
        frame = flat(20, 20, 0)
        paste(frame, flat(10, 10, 100), (2, 2, 12, 12), feather=0)
        paste(frame, flat(10, 10, 200), (6, 6, 16, 16), feather=0)
        assert frame[8, 8, 0] == 200
        assert frame[4, 4, 0] == 100

    def test_mistakes_are_named(self) -> None:
        frame, patch = noise(20, 20), noise(5, 5)
        with pytest.raises(ValueError, match="frame: expected uint8"):
            paste(frame.astype(np.float32), patch, (0, 0, 5, 5))
        with pytest.raises(ValueError, match="patch: expected uint8"):
            paste(frame, patch[..., 0], (0, 0, 5, 5))
        with pytest.raises(ValueError, match="no inside"):
            paste(frame, patch, (5, 5, 5, 9))
        with pytest.raises(ValueError, match="mask is 'star'"):
            paste(frame, patch, (0, 0, 5, 5), "star")
        with pytest.raises(ValueError, match="expected a mask"):
            paste(frame, patch, (0, 0, 5, 5), np.ones((5, 5, 1), np.float32))
        with pytest.raises(ValueError, match="feather is -1"):
            paste(frame, patch, (0, 0, 5, 5), feather=-1)


class TestMasks:
    def test_an_ellipse_touches_the_sides(self) -> None:
        mask = soft_mask((100, 200), "ellipse", 0)
        assert mask.sum() == pytest.approx(np.pi * 50 * 100, rel=0.01)
        assert mask[50].all()
        assert mask[:, 100].all()
        assert not mask[0, 0]

    def test_a_larger_ellipse_holds_the_rectangle(self) -> None:
        assert (soft_mask((50, 80), "ellipse", 0, ratio=0.71) == 1).all()
        assert soft_mask((50, 80), "ellipse", 0, ratio=0.4).mean() == pytest.approx(
            np.pi * 0.16, rel=0.02
        )

    @pytest.mark.parametrize("shape", ["rectangle", "ellipse"])
    def test_it_is_smooth_symmetrical_and_whole_inside(self, shape) -> None:
        mask = soft_mask((60, 80), shape, 0.3)
        assert mask.dtype == np.float32
        assert (mask == mask[::-1]).all()
        assert np.abs(mask - mask[:, ::-1]).max() < 1e-6
        assert mask[30, 40] == 1
        assert mask[0].max() < 0.01
        assert np.abs(np.diff(mask[30])).max() < 0.1


def test_edges_of_boxes_are_rounded_alike() -> None:
    assert whole((0.5, 1.5, -0.5, 2.4)) == (1, 2, 0, 2)


@pytest.mark.parametrize("size", [(30, 30), (5, 30), (30, 5), (4, 4)])
def test_resizing_keeps_the_mean(size) -> None:
    x = np.linspace(0, 1, 16, dtype=np.float32)
    assert resize(np.outer(x, x), size).mean() == pytest.approx(0.25, abs=0.02)
