# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits that come with scikit-learn: real pictures without a download.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998: 1797 digits of 13 people as 8 x 8 pictures with 17 levels.
"""

from __future__ import annotations

import functools

import numpy as np

SOURCE_SIZE = 8
_HELD_OUT_SHARE = 0.25


@functools.lru_cache(maxsize=4)
def handwritten_digits(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all digits enlarged, white ink on black as in MNIST, and their classes.

    Args:
        size: side of the pictures in pixels, at least 8.

    Returns:
        uint8 [1797, size, size] and int64 [1797]; they are shared and cannot be written to.
    """
    import cv2
    from sklearn.datasets import load_digits

    source = load_digits()
    # Ink reaches the border of the source, where a kernel without a margin would cut it off.
    ink = np.pad(source.images.astype(np.float32) / 16, ((0, 0), (1, 1), (1, 1)))
    smooth = np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in ink])
    # The source's levels are counts of ink per 4 x 4 block, so strokes come out blurred: an
    # s-shaped curve gives them back their solid core and clean paper.
    core = np.clip((smooth - 0.05) / 0.85, 0, 1)
    curved = core * core * (3 - 2 * core)
    images = np.rint(curved * 255).astype(np.uint8)
    labels = source.target.astype(np.int64)
    for array in (images, labels):
        array.setflags(write=False)
    return images, labels


@functools.cache
def held_out_digits() -> np.ndarray:
    """Return which digits no model is trained on, bool [1797]: a quarter of each class.

    They are drawn by a fixed seed, so that held-out digits are of the same people as the others.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    labels = load_digits().target
    _, rows = train_test_split(
        np.arange(len(labels)), test_size=_HELD_OUT_SHARE, stratify=labels, random_state=0
    )
    mask = np.zeros(len(labels), bool)
    mask[rows] = True
    mask.setflags(write=False)
    return mask
