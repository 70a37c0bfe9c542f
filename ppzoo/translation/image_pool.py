# SPDX-License-Identifier: Apache-2.0
"""A memory of generated pictures (Shrivastava et al. 2017, arXiv:1612.07828)."""

from __future__ import annotations

import random

import numpy as np
import paddle


class ImagePool:
    """Keeps generated pictures, so that a discriminator sees the generator's past as well.

    Args:
        pool_size: pictures to keep; 0 keeps none and hands every picture on.
    """

    def __init__(self, pool_size: int = 50) -> None:
        if pool_size < 0:
            raise ValueError(f"pool_size is {pool_size}, expected at least 0")
        self.pool_size = pool_size
        self.images: list[paddle.Tensor] = []

    def query(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return pictures [N, C, H, W]: each the given one or, half of the time, an older one.

        An older picture's place is taken by the given one. Draws come from Python's generator,
        which is seeded from the iteration, see `ppzoo.nn.random`.
        """
        if self.pool_size == 0:
            return images.detach()
        chosen = []
        for image in images.detach().split(images.shape[0]):
            if len(self.images) < self.pool_size:
                self.images.append(image)
                chosen.append(image)
            elif random.random() > 0.5:
                place = random.randrange(self.pool_size)
                chosen.append(self.images[place])
                self.images[place] = image
            else:
                chosen.append(image)
        return paddle.concat(chosen)

    def state(self) -> list[np.ndarray]:
        """Return the pictures, each [1, C, H, W], for a checkpoint."""
        return [image.astype("float32").numpy() for image in self.images]

    def load_state(self, state: list[np.ndarray]) -> None:
        """Take back what `state` returned."""
        self.images = [paddle.to_tensor(np.asarray(image)) for image in state]
