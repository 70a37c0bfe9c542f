# SPDX-License-Identifier: Apache-2.0
"""How far the mouths of drawn faces are open (ppzoo/data/talking_head.py), seen from pictures."""

from __future__ import annotations

import numpy as np

# The colour inside of an open mouth, RGB 0..255; nothing else in a drawn face is like it.
INSIDE = (90.0, 10.0, 30.0)
# Colours as far away as this, in [0, 1], are others: lips are.
_NEAR = 0.3


def mouth_opening(pictures: np.ndarray) -> np.ndarray:
    """Return how much of each picture is the inside of a mouth, float64 [N].

    Counts what is nearer to that colour than lips are, so that it also works for pictures that a
    network has made.

    Args:
        pictures: RGB [N, 3, H, W] with values in [0, 1].
    """
    lower = np.asarray(pictures, np.float64)[:, :, np.asarray(pictures).shape[2] // 2 :]
    apart = np.linalg.norm(lower - np.reshape(INSIDE, (1, 3, 1, 1)) / 255, axis=1)
    return np.clip(1 - apart / _NEAR, 0, 1).mean(axis=(1, 2))
