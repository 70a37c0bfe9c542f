# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's parts of faces."""

from __future__ import annotations

import numpy as np
import paddle

from ppgan.compat import hooks
from ppzoo.faces import parsing

__getattr__, __dir__ = hooks(__name__)

# The number that PaddleGAN gives each of the network's 19 classes, in turn.
_NUMBERS = np.array([0, 1, 2, 3, 4, 5, 0, 11, 12, 0, 6, 8, 7, 9, 13, 0, 0, 10, 0], np.float32)


class FaceParser:
    """Tells the parts of a face apart.

    Args:
        device: accepted as PaddleGAN's; `paddle.set_device` chooses.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.parser = parsing.FaceParser()

    def parse(self, image: np.ndarray) -> paddle.Tensor:
        """Return PaddleGAN's number of the part that each pixel shows, float32 [H, W].

        Args:
            image: RGB [H, W, 3], values 0 to 255.
        """
        return paddle.to_tensor(_NUMBERS[self.parser.parse(np.asarray(image).astype(np.uint8))])
