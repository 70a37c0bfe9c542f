# SPDX-License-Identifier: Apache-2.0
"""Pictures of any size through a network, one tile after another.

A tile is given to the network with some of what surrounds it, and only its middle is kept. What a
convolutional network makes of a pixel depends on its surroundings up to the receptive field; with
that much overlap the result is the one of the whole picture. By its layers the receptive field of a
deep network is huge (350 pixels to each side for 23 RRDB blocks), but what is far away hardly
counts. Small networks that were trained on photographs had, on a photograph of others, no value
that was more than one level of 255 off from 4 pixels of overlap on (two RRDB blocks) or from 8 on
(six blocks of SRResNet, six of RCAN); with 2 pixels 0.1 to 0.9 % of the values were, with none 2 %.
At the picture's own borders a tile ends where the picture ends, so that borders look the same too.

Networks that average over the whole picture, as the channel attention of RCAN does, average over
the tile instead: their tiled result differs from the untiled one everywhere, however much tiles
overlap. In the measurement above by one level in 2 % of the values.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator

import numpy as np

from ppzoo.errors import UserError
from ppzoo.runtime import is_out_of_memory

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of a picture, in pixels of the picture.

    Args:
        rows: of what the network is given. The last ones may lie below the picture, see `cut`.
        columns: of what the network is given.
        inner_rows: of what is kept of the result.
        inner_columns: of what is kept of the result.
    """

    rows: slice
    columns: slice
    inner_rows: slice
    inner_columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width of what the network is given."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def cut(self, picture: np.ndarray, axis: int = -2) -> np.ndarray:
        """Return what the network is given of a picture, mirrored where the picture has ended.

        Args:
            picture: any array whose axes `axis` and `axis + 1` are height and width.
            axis: of the height, counted from the last: -2 or, with channels last, -3.
        """
        behind = (slice(None),) * (-axis - 2)
        part = picture[(..., self.rows, self.columns, *behind)]
        missing = [self.shape[i] - part.shape[axis + i] for i in range(2)]
        if any(missing):
            around = [(0, 0)] * part.ndim
            around[axis], around[axis + 1] = (0, missing[0]), (0, missing[1])
            part = np.pad(part, around, mode="symmetric")
        return part

    def inner(self, result: np.ndarray, scale: int, axis: int = -2) -> np.ndarray:
        """Return what is kept of the network's result for this tile."""
        behind = (slice(None),) * (-axis - 2)
        rows = _shifted(self.inner_rows, self.rows.start, scale)
        columns = _shifted(self.inner_columns, self.columns.start, scale)
        return result[(..., rows, columns, *behind)]

    def place(self, scale: int) -> tuple[slice, slice]:
        """Return where the kept part belongs in the result for the whole picture."""
        return _shifted(self.inner_rows, 0, scale), _shifted(self.inner_columns, 0, scale)


def walk(
    process: Callable[[Tile], None],
    size: tuple[int, int],
    tile: int,
    overlap: int,
    *,
    multiple: int = 1,
    progress: Progress | None = None,
) -> int:
    """Call `process` with each tile of a picture, row by row, and return the tile's final side.

    All tiles have one shape: those at the borders see more of the inside. Where memory does not
    suffice for a tile, its row is begun again with tiles of half the side.

    Args:
        process: runs the network on a tile and keeps the result.
        size: height and width of the picture.
        tile: side in pixels of what the network is given, overlap included. Where memory does not
            suffice, it is halved, as often as need be.
        overlap: pixels on each side of a tile that are only there for the network to see.
        multiple: the network takes sides that are multiples of this only.
        progress: is called with the number of tiles done and of all tiles.

    Raises:
        UserError: the tile is too small for its overlap, or memory does not suffice for the
            smallest.
        ValueError: the picture is empty.
    """
    if min(size) < 1:
        raise ValueError(f"a picture of {size[1]} x {size[0]} pixels has no tiles")
    tile, overlap = _rounded(tile, overlap, multiple)
    begin, done = 0, 0
    while True:
        rows = list(_rows(begin, size, tile, overlap, multiple))
        total = done + sum(map(len, rows))
        if progress is not None:
            progress(done, total)
        try:
            for row in rows:
                before = done
                for part in row:
                    process(part)
                    done += 1
                    if progress is not None:
                        progress(done, total)
                begin = row[0].inner_rows.stop
            return tile
        # Backends have exceptions of their own for this.
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # No tile is larger than the picture; halving what is would change nothing.
            used = max(rows[0][0].shape)
            smaller = _rounded_up(max(used // 2, 1), multiple)
            if smaller >= used or smaller <= 2 * overlap:
                raise UserError(
                    f"memory does not suffice for a tile of {used} x {used} pixels, and smaller "
                    f"ones leave nothing beside their overlap of {overlap}: close other programs"
                ) from error
            _LOG.warning(
                "memory does not suffice for tiles of %d x %d pixels, going on with %d x %d",
                used,
                used,
                smaller,
                smaller,
            )
            tile, done = smaller, before


def count_tiles(size: tuple[int, int], tile: int, overlap: int, multiple: int = 1) -> int:
    """Return the number of tiles that `walk` makes of a picture.

    Raises:
        UserError: the tile is too small for its overlap.
    """
    return sum(map(len, _rows(0, size, *_rounded(tile, overlap, multiple), multiple)))


def _rounded(tile: int, overlap: int, multiple: int) -> tuple[int, int]:
    if overlap < 0 or tile < 1:
        raise UserError(f"tile is {tile} and overlap {overlap}, expected at least 1 and 0 pixels")
    overlap = _rounded_up(overlap, multiple)
    if tile <= 2 * overlap:
        raise UserError(
            f"a tile of {tile} pixels leaves nothing beside its overlap of {overlap} on each side: "
            f"choose at least {3 * overlap}"
        )
    return _rounded_up(tile, multiple), overlap


def _rounded_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _rows(
    begin: int, size: tuple[int, int], tile: int, overlap: int, multiple: int
) -> Iterator[list[Tile]]:
    columns = list(_spans(0, size[1], tile, overlap, multiple))
    for window, inner in _spans(begin, size[0], tile, overlap, multiple):
        yield [Tile(window, across, inner, kept) for across, kept in columns]


def _spans(
    begin: int, length: int, tile: int, overlap: int, multiple: int
) -> Iterator[tuple[slice, slice]]:
    """Yield windows of one size and what each is for, which together are `begin` to `length`."""
    low = max(0, begin - overlap) // multiple * multiple
    high = _rounded_up(length, multiple)
    if high - tile < low:
        # A rest that is shorter than a tile sees more of what is done already.
        low = max(0, high - tile)
    whole, step = high - low, tile - 2 * overlap
    count = 1 if whole <= tile else -(-(whole - 2 * overlap) // step)
    side = min(tile, whole)
    # Evenly spread, so that what tiles share is shared by all of them.
    starts = [
        low + (whole - side) // multiple * i // max(1, count - 1) * multiple for i in range(count)
    ]
    cuts = [(a + side + b) // 2 // multiple * multiple for a, b in itertools.pairwise(starts)]
    for start, first, last in zip(starts, [begin, *cuts], [*cuts, length], strict=True):
        yield slice(start, start + side), slice(first, last)


def _shifted(part: slice, start: int, scale: int) -> slice:
    return slice((part.start - start) * scale, (part.stop - start) * scale)
