# SPDX-License-Identifier: Apache-2.0
"""Tiles: together they are the picture, of one shape, equal to no tiles at all, within memory."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import paddle
import pytest

from ppzoo.apps.tiles import Tile, count_tiles, walk
from ppzoo.errors import UserError

SIZES = [(1, 1), (5, 64), (40, 64), (64, 64), (65, 64), (97, 200), (131, 77)]


class Small(paddle.nn.Layer):
    """A network with a receptive field of 4 pixels, which enlarges twofold."""

    def __init__(self):
        super().__init__()
        paddle.seed(5)
        self.first = paddle.nn.Conv2D(3, 8, 5, padding=2)
        self.second = paddle.nn.Conv2D(8, 12, 5, padding=2)

    def forward(self, x):
        x = paddle.nn.functional.leaky_relu(self.first(x), 0.2)
        return paddle.nn.functional.pixel_shuffle(self.second(x), 2)


def runner(net):
    def run(x):
        with paddle.no_grad():
            return net(paddle.to_tensor(x)).numpy()

    return run


def picture(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def walked(size, tile, overlap, **options):
    found: list[Tile] = []
    walk(found.append, size, tile, overlap, **options)
    return found


def tiled(run, whole, scale, tile, overlap, **options):
    """Return what a network makes of a picture [..., H, W], tile by tile."""
    size, found = whole.shape[-2:], []

    def process(part):
        kept = part.inner(run(part.cut(whole)), scale)
        if not found:
            found.append(np.full((*kept.shape[:-2], *(side * scale for side in size)), np.nan))
        found[0][(..., *part.place(scale))] = kept

    walk(process, size, tile, overlap, **options)
    return found[0]


@pytest.mark.parametrize("multiple", [1, 2, 4])
@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_each_pixel_once_with_their_surroundings(size, multiple):
    found = walked(size, 32, 8, multiple=multiple)
    count = np.zeros(size, int)
    for tile in found:
        count[tile.inner_rows, tile.inner_columns] += 1
        parts = ((tile.rows, tile.inner_rows), (tile.columns, tile.inner_columns))
        for (seen, kept), side in zip(parts, size, strict=True):
            assert seen.start % multiple == seen.stop % multiple == 0
            assert 0 <= seen.start <= kept.start < kept.stop <= seen.stop < side + multiple
            assert kept.start == 0 or kept.start - seen.start >= 8
            assert kept.stop == side or seen.stop - kept.stop >= 8
    assert (count == 1).all()
    assert count_tiles(size, 32, 8, multiple) == len(found)


@pytest.mark.parametrize("size", SIZES)
def test_tiles_have_one_shape_which_is_the_largest_allowed(size):
    shapes = {tile.shape for tile in walked(size, 32, 8)}
    assert shapes == {(min(32, size[0]), min(32, size[1]))}


def test_as_few_tiles_as_will_do():
    # Two of 32 have 2 x 8 pixels in common, and are 48 together.
    assert [count_tiles((n, 32), 32, 8) for n in (32, 33, 48, 49, 64, 65)] == [1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("size", SIZES)
def test_the_result_is_that_of_the_whole_picture(size):
    run = runner(Small())
    whole = picture(1, 3, *size)
    np.testing.assert_allclose(tiled(run, whole, 2, 24, 4), run(whole), atol=1e-6)


def test_less_overlap_than_the_receptive_field_shows():
    run = runner(Small())
    whole = picture(1, 3, 60, 50)
    difference = np.abs(tiled(run, whole, 2, 24, 1) - run(whole))
    assert difference.max() > 1e-3
    # But not away from the seams.
    assert np.median(difference) < 1e-6


def test_sides_that_the_network_does_not_take_are_mirrored():
    seen = []

    def run(x):
        seen.append(x.copy())
        return x.repeat(3, axis=-1).repeat(3, axis=-2)

    whole = picture(1, 1, 5, 6)
    result = tiled(run, whole, 3, 64, 8, multiple=4)
    np.testing.assert_array_equal(result, whole.repeat(3, axis=-1).repeat(3, axis=-2))
    mirrored = np.pad(whole, [(0, 0), (0, 0), (0, 3), (0, 2)], mode="symmetric")
    np.testing.assert_array_equal(seen[0], mirrored)


def test_frames_and_channels_may_stand_before_the_sides():
    def middle(x):
        return x[:, 2]

    frames = picture(1, 5, 3, 40, 50)
    np.testing.assert_array_equal(tiled(middle, frames, 1, 16, 2), frames[:, 2])


def test_channels_may_stand_after_the_sides():
    image = picture(40, 50, 3)
    found = np.zeros_like(image)
    for tile in walked((40, 50), 16, 2, multiple=4):
        found[tile.place(1)] = tile.inner(tile.cut(image, -3), 1, -3)
    np.testing.assert_array_equal(found, image)


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(UserError, match=r"tile of 16 pixels .* choose at least 24"):
        walked((20, 20), 16, 8)
    with pytest.raises(UserError, match="expected at least 1"):
        walked((20, 20), 16, -1)
    with pytest.raises(ValueError, match="no tiles"):
        walked((0, 4), 16, 2)


def limited(pixels, error=MemoryError, shapes=None):
    def run(x):
        if shapes is not None:
            shapes.append(x.shape[-2:])
        if x.shape[-1] * x.shape[-2] > pixels:
            raise error
        return x * 2

    return run


def test_without_memory_tiles_are_halved_and_work_goes_on(caplog):
    whole, steps, shapes = picture(1, 3, 100, 90), [], []
    with caplog.at_level(logging.WARNING):
        result = tiled(
            limited(30 * 30, shapes=shapes),
            whole,
            1,
            64,
            4,
            progress=lambda *step: steps.append(step),
        )
    np.testing.assert_array_equal(result, whole * 2)
    assert [record.getMessage() for record in caplog.records] == [
        "memory does not suffice for tiles of 64 x 64 pixels, going on with 32 x 32",
        "memory does not suffice for tiles of 32 x 32 pixels, going on with 16 x 16",
    ]
    assert shapes[:3] == [(64, 64), (32, 32), (16, 16)]
    assert steps[-1][0] == steps[-1][1] == len(shapes) - 2
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize("multiple", [1, 4])
def test_memory_that_ends_in_the_middle_costs_a_row_at_most(multiple):
    for broken in range(12):
        whole = picture(1, 1, 90, 84)
        calls = itertools.count()
        is_low = []

        def run(x, calls=calls, broken=broken, is_low=is_low):
            if next(calls) >= broken and max(x.shape[-2:]) > 16:
                is_low.append(1)
                raise MemoryError
            return x + 1

        result = tiled(run, whole, 1, 32, 4, multiple=multiple)
        np.testing.assert_array_equal(result, whole + 1)
        assert len(is_low) == 1
        # What is left takes tiles of half the side, and the row that was begun is done again.
        left = 90 - broken // 4 * 23
        again = count_tiles((min(90, left + 4), 84), 16, 4, multiple) + 2 * 11
        assert broken < next(calls) <= broken + 1 + again


def test_the_side_that_memory_suffices_for_is_returned():
    def process(tile):
        if tile.shape[0] > 20:
            raise MemoryError

    assert walk(process, (100, 100), 64, 4) == 16
    # A picture that is smaller than the tile is cut into tiles of half its own side.
    assert walk(process, (30, 22), 64, 4) == 15


def test_too_little_memory_for_any_tile_is_said():
    with pytest.raises(UserError, match="memory does not suffice for a tile of 16 x 16"):
        tiled(limited(10), picture(1, 3, 70, 70), 1, 64, 4)


def test_other_failures_are_not_taken_for_missing_memory():
    with pytest.raises(RuntimeError, match="broken"):
        tiled(limited(10, RuntimeError("broken")), picture(1, 3, 70, 70), 1, 64, 4)


def test_halving_stops_at_the_picture_when_it_is_small():
    shapes = []
    tiled(limited(40 * 40, shapes=shapes), picture(1, 3, 50, 50), 1, 1024, 4)
    assert shapes[:2] == [(50, 50), (25, 25)]
