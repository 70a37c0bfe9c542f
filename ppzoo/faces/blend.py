# SPDX-License-Identifier: Apache-2.0
"""Putting a changed face back into its picture, without a visible seam.

Boxes are (x1, y1, x2, y2) in pixels, the right and lower edges exclusive. Pixels are whole: what is
cut out at `whole(box)` and pasted there unchanged leaves the picture as it was.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Shape = Literal["rectangle", "ellipse"]
Box = tuple[float, float, float, float]


def paste(
    frame: np.ndarray,
    patch: np.ndarray,
    box: Box,
    mask: Shape | np.ndarray = "rectangle",
    feather: float = 0.1,
) -> None:
    """Lay a patch over a part of a picture, in place.

    What lies in the box beyond the picture is cut off. A rectangle fades out towards those sides
    only at which the picture goes on: at the picture's own edges there is no seam to hide.

    Args:
        frame: uint8 RGB [H, W, 3], is changed.
        patch: uint8 RGB [h, w, 3], which is resized to the box.
        box: where it goes; rounded to whole pixels.
        mask: what is seen of the patch: its rectangle, the ellipse in it, or the share of it in
            each pixel, float32 [h, w] from 0 to 1, which is resized to the box.
        feather: how far from its edge on a shape fades, as a share of the box's shorter side; 0 for
            a hard edge. Not used where `mask` is an array.

    Raises:
        ValueError: an array of another type or shape, an unknown mask, a box without an inside.
    """
    _check_picture(frame, "frame")
    _check_picture(patch, "patch")
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = whole(box)
    if x2 <= x1 or y2 <= y1:
        raise ValueError(f"the box {tuple(box)} has no inside")
    size = y2 - y1, x2 - x1
    if isinstance(mask, str):
        sides = (x1 > 0, y1 > 0, x2 < width, y2 < height)
        share = soft_mask(size, mask, feather, sides=sides)
    else:
        share = np.asarray(mask, np.float32)
        if share.ndim != 2 or not share.size:
            raise ValueError(f"expected a mask [h, w], got the shape {list(share.shape)}")
        share = resize(share, size).clip(0, 1)
    rows, columns = slice(max(y1, 0), min(y2, height)), slice(max(x1, 0), min(x2, width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    inner = (
        slice(rows.start - y1, rows.stop - y1),
        slice(columns.start - x1, columns.stop - x1),
    )
    below = frame[rows, columns]
    share = share[inner][..., np.newaxis]
    blended = below + (resize(patch, size)[inner] - below.astype(np.float32)) * share
    frame[rows, columns] = np.rint(blended).astype(np.uint8)


def soft_mask(
    size: tuple[int, int],
    shape: Shape = "rectangle",
    feather: float = 0.1,
    *,
    ratio: float = 0.5,
    sides: tuple[bool, bool, bool, bool] = (True, True, True, True),
) -> np.ndarray:
    """Return a mask that is 1 inside of a shape and falls smoothly to 0 at its edge.

    Args:
        size: height and width of the mask, in pixels.
        shape: "rectangle" or "ellipse".
        feather: how far from its edge on it falls, as a share of the shorter side; 0 for a hard
            edge.
        ratio: half the axes of the ellipse, as a share of the sides; from 0.71 on it holds the
            whole rectangle.
        sides: whether a rectangle falls towards its left, upper, right and lower side.

    Returns:
        float32 [H, W] from 0 to 1.

    Raises:
        ValueError: an unknown shape, a feather outside of 0 to 1, or a ratio that is not positive.
    """
    if shape not in ("rectangle", "ellipse"):
        raise ValueError(f"mask is {shape!r}, expected 'rectangle', 'ellipse' or an array [h, w]")
    if not 0 <= feather <= 1 or not ratio > 0:
        raise ValueError(f"feather is {feather} and ratio {ratio}: expected 0 to 1 and more than 0")
    height, width = size
    reach = feather * min(size)
    if shape == "ellipse":
        y, x = ((np.arange(side) + 0.5) / side - 0.5 for side in size)
        radius = np.hypot(x[np.newaxis, :], y[:, np.newaxis]) / ratio  # 1 on the ellipse
        # Pixels from the edge along the shorter axis.
        return _fall((1 - radius) * ratio * min(size), reach).astype(np.float32)
    left, upper, right, lower = sides
    lines = []
    for side, first, last in ((height, upper, lower), (width, left, right)):
        places = np.arange(side) + 0.5
        line = np.ones(side)
        if first:
            line *= _fall(places, reach)
        if last:
            line *= _fall(side - places, reach)
        lines.append(line)
    return np.outer(*lines).astype(np.float32)


def whole(box: Box) -> tuple[int, int, int, int]:
    """Return a box with its edges at whole pixels, halves rounded up."""
    x1, y1, x2, y2 = (int(np.floor(value + 0.5)) for value in box)
    return x1, y1, x2, y2


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture in another size: mean values where it shrinks, cubic where it grows.

    Args:
        picture: uint8 or float32 [h, w] or [h, w, C].
        size: the new height and width.
    """
    import cv2

    if picture.shape[:2] == size:
        return picture
    # Means cannot enlarge: where one side shrinks and the other grows, each is done by itself.
    height, width = min(size[0], picture.shape[0]), min(size[1], picture.shape[1])
    if (height, width) != picture.shape[:2]:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    if (height, width) != size:
        picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_CUBIC)
    return picture


def smooth_step(share: np.ndarray) -> np.ndarray:
    """Return 0 where a share is negative, 1 from 1 on, and a smooth step between."""
    t = np.asarray(share).clip(0, 1)
    return t * t * (3 - 2 * t)


def _fall(distance: np.ndarray, reach: float) -> np.ndarray:
    """Return 0 where a distance is negative, 1 beyond `reach`, and a smooth step between."""
    if reach <= 0:
        return (distance > 0).astype(np.float64)
    return smooth_step(distance / reach)


def _check_picture(picture: np.ndarray, name: str) -> None:
    is_picture = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
    if not is_picture or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(
            f"{name}: expected uint8 RGB [H, W, 3], got {getattr(picture, 'dtype', None)} of the "
            f"shape {list(np.shape(picture))}"
        )
