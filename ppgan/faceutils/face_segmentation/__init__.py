# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's mask of people."""

from __future__ import annotations

import numpy as np

from ppgan.compat import hooks
from ppzoo.faces.detector import Face
from ppzoo.faces.portrait import FaceSegSegmenter

__getattr__, __dir__ = hooks(__name__)


class FaceSeg:
    """Tells a person from the background, by PaddleGAN's official weights."""

    def __init__(self) -> None:
        self.segmenter = FaceSegSegmenter()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return where the person is, uint8 [H, W], 255 for the person; edges are soft.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        height, width = image.shape[:2]
        # The network looks at the whole picture: which face is meant is of no account.
        mask = self.segmenter.segment(image, Face((0, 0, width, height), 1.0))
        return np.rint(mask.alpha * 255).astype(np.uint8)
