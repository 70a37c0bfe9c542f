# SPDX-License-Identifier: Apache-2.0
"""Bicubic resizing as MATLAB's `imresize` does it, with which super-resolution makes its data.

The kernel is Keys' cubic with a = -0.5, stretched when a picture is shrunk so that nothing
aliases. OpenCV's bicubic has another a and does not stretch; Pillow's stretches, but rounds its
weights. A network that learnt from pictures shrunk otherwise loses decibels on the benchmarks,
which MATLAB made.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

# MATLAB before and after 2012 or so; the benchmarks of Set5 to Urban100 were made by the former.
Border = Literal["edge", "mirror"]

# How many numbers are worked on at once, which bounds the memory taken beside the result.
_BLOCK = 1 << 20


def resize_bicubic(
    image: np.ndarray,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    border: Border = "edge",
    antialias: bool = True,
) -> np.ndarray:
    """Return a picture resized as MATLAB's `imresize` would.

    Args:
        image: [H, W] or [H, W, C]. Unsigned whole numbers are rounded, halves upwards, and cut to
            their range, after each of the two axes; floats in [0, 1] may leave this range.
        scale: size of the result / size of the picture: 1/4 shrinks to a quarter. A side that is
            no whole number is rounded up.
        size: instead, (height, width) of the result.
        border: what stands beyond the picture: its outermost pixels, or its mirror image.
        antialias: stretch the kernel when shrinking; without, the picture must be blurred already.

    Returns:
        the resized picture, with the dtype of `image`.

    Raises:
        ValueError: both of `scale` and `size` or neither, a size that is not positive, or a
            picture of another shape or dtype.
    """
    if (scale is None) == (size is None):
        raise ValueError("give either 'scale' or 'size'")
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"expected a picture [H, W] or [H, W, C], got {list(image.shape)}")
    if image.dtype.kind not in "uf":
        raise ValueError(f"expected unsigned whole numbers or floats, got {image.dtype}")
    if border not in ("edge", "mirror"):
        raise ValueError(f"'border' must be edge or mirror, got {border!r}")
    if size is None:
        factors = (float(scale or 0),) * 2
        size = scaled_size(image.shape, factors[0])
    else:
        if min(size) < 1:
            raise ValueError(f"the size must be positive, got {tuple(size)}")
        factors = size[0] / image.shape[0], size[1] / image.shape[1]
    # The axis that shrinks more goes first and leaves the other less to do. MATLAB has this order
    # too, and where whole numbers are rounded after each axis the result depends on it.
    for axis in (0, 1) if factors[0] <= factors[1] else (1, 0):
        matrix = functools.partial(
            _matrix, image.shape[axis], size[axis], factors[axis], border, antialias
        )
        if (size[axis], factors[axis]) != (image.shape[axis], 1):
            image = _resize_axis(image, axis, size[axis], matrix)
    return image


def scaled_size(shape: Sequence[int], scale: float) -> tuple[int, int]:
    """Return (height, width) after scaling.

    Args:
        shape: begins with height and width.
        scale: what to multiply them by; what is no whole number is rounded up.

    Raises:
        ValueError: `scale` is not positive.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"the scale must be positive, got {scale!r}")
    # 1/3 of 3 is a whole number, whatever the last bit of the product says.
    height, width = (max(1, math.ceil(side * scale - 1e-6)) for side in shape[:2])
    return height, width


def _resize_axis(
    image: np.ndarray, axis: int, target: int, matrix_of: Callable[[str], Any]
) -> np.ndarray:
    """Return `image` with `target` rows or columns, made by the matrix of the dtype that suits."""
    work = np.float32 if image.dtype in (np.float16, np.float32) else np.float64
    matrix = matrix_of(np.dtype(work).name)
    shape = list(image.shape)
    shape[axis] = target
    result = np.empty(shape, image.dtype)
    # [length, others, C]: the sparse product runs along all that follows its first axis.
    source, drain = image.swapaxes(0, axis), result.swapaxes(0, axis)
    step = max(1, _BLOCK * source.shape[1] // source.size)
    for start in range(0, source.shape[1], step):
        block = source[:, start : start + step].astype(work, order="C")
        product = matrix @ block.reshape(len(block), -1)
        if image.dtype.kind == "u":
            product = np.floor(product + 0.5, out=product)
            np.clip(product, 0, np.iinfo(image.dtype).max, out=product)
        drain[:, start : start + step] = product.reshape(target, *block.shape[1:])
    return result


@functools.lru_cache(maxsize=32)
def _matrix(
    length: int, target: int, factor: float, border: Border, antialias: bool, dtype: str
) -> Any:
    """Return the sparse matrix [target, length] that resizes an axis."""
    from scipy import sparse

    stretch = min(factor, 1.0) if antialias else 1.0
    width = 4 / stretch
    centres = (np.arange(target) + 0.5) / factor - 0.5
    first = np.floor(centres - width / 2).astype(np.int64)
    places = first[:, np.newaxis] + np.arange(math.ceil(width) + 2)
    weights = _cubic(stretch * (centres[:, np.newaxis] - places))
    weights /= weights.sum(axis=1, keepdims=True)
    if border == "edge":
        columns = places.clip(0, length - 1)
    else:
        folded = places % (2 * length)
        columns = np.minimum(folded, 2 * length - 1 - folded)
    rows = np.repeat(np.arange(target), places.shape[1])
    entries = weights.astype(dtype).ravel(), (rows, columns.ravel())
    matrix = sparse.coo_matrix(entries, shape=(target, length)).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _cubic(x: np.ndarray) -> np.ndarray:
    """Return Keys' cubic for a = -0.5 at distances `x`, in pixels."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
