# SPDX-License-Identifier: Apache-2.0
"""Generators that turn a latent vector into a picture: sampling, truncation, interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import paddle
from paddle import nn

from ppzoo.nn import random
from ppzoo.nn.modes import evaluating


class LatentGenerator(nn.Layer):
    """A generator of pictures [N, C, H, W] in [-1, 1] from latents, and perhaps a class.

    A subclass sets these in its constructor:

    Attributes:
        latent_shape: shape of one latent, such as (100, 1, 1).
        latent_distribution: what latents are drawn from, `normal` N(0, 1) or `uniform` [0, 1).
        n_class: number of classes, 0 for an unconditional generator.
    """

    latent_shape: tuple[int, ...]
    latent_distribution: Literal["normal", "uniform"] = "normal"
    n_class: int = 0

    def random_inputs(self, batch_size: int) -> list[paddle.Tensor]:
        """Draw what `forward` takes while training: latents, and classes of a conditional one."""
        draw = random.normal if self.latent_distribution == "normal" else random.uniform
        inputs = [draw([batch_size, *self.latent_shape])]
        if self.n_class:
            inputs.append(random.randint(0, self.n_class, [batch_size]))
        return inputs

    def latents(self, num: int, seed: int = 0, truncation: float = 1.0) -> paddle.Tensor:
        """Return latents [num, *latent_shape] that are a function of the seed alone.

        Args:
            num: how many.
            seed: the same seed gives the same latents on every machine and device.
            truncation: how far latents keep from the mean of their distribution, in (0, 1]; less
                than 1 trades variety for typical samples.

        Raises:
            ValueError: `num` or `truncation` is out of range.
        """
        if num < 1:
            raise ValueError(f"num is {num}, expected at least 1")
        if not 0.0 < truncation <= 1.0:
            raise ValueError(f"truncation is {truncation}, expected a number in (0, 1]")
        generator = np.random.default_rng(seed)
        shape = (num, *self.latent_shape)
        if self.latent_distribution == "normal":
            values = truncation * generator.standard_normal(shape)
        else:
            values = 0.5 + truncation * (generator.random(shape) - 0.5)
        return paddle.to_tensor(values.astype("float32"))

    def sample(
        self,
        num: int = 1,
        seed: int = 0,
        truncation: float = 1.0,
        class_id: int | Sequence[int] | None = None,
    ) -> paddle.Tensor:
        """Return samples [num, C, H, W] in [-1, 1].

        Args:
            num: how many.
            seed: which ones.
            truncation: see `latents`.
            class_id: for a conditional generator one class for all, or one each; by default the
                classes take turns.
        """
        return self._decode(self.latents(num, seed, truncation), class_id)

    def interpolate(
        self,
        num: int = 8,
        steps: int = 8,
        seed: int = 0,
        truncation: float = 1.0,
        class_id: int | Sequence[int] | None = None,
    ) -> paddle.Tensor:
        """Return walks between pairs of latents, [num * steps, C, H, W], one walk after another.

        Normal latents move along the great circle, since their length carries no meaning but must
        stay typical; uniform ones along a straight line.

        Args:
            num: number of walks.
            steps: pictures a walk, both ends included.
            seed: which ends.
            truncation: see `latents`.
            class_id: for a conditional generator one class for all walks, or one each.
        """
        if steps < 2:
            raise ValueError(f"steps is {steps}, expected at least 2: a walk has two ends")
        ends = self.latents(2 * num, seed, truncation).numpy()
        start, end = ends[:num], ends[num:]
        move = slerp if self.latent_distribution == "normal" else lerp
        walks = np.stack([move(start, end, t) for t in np.linspace(0.0, 1.0, steps)], axis=1)
        latents = paddle.to_tensor(
            walks.reshape([num * steps, *self.latent_shape]).astype("float32")
        )
        if self.n_class:
            class_id = [c for c in self._classes(num, class_id) for _ in range(steps)]
        return self._decode(latents, class_id)

    def _classes(self, num: int, class_id: int | Sequence[int] | None) -> list[int]:
        if class_id is None:
            return [i % self.n_class for i in range(num)]
        classes = [int(c) for c in np.ravel(class_id)]
        if np.ndim(class_id) == 0:
            classes *= num
        if len(classes) != num:
            raise ValueError(f"class_id has {len(classes)} entries for {num} samples")
        wrong = [c for c in classes if not 0 <= c < self.n_class]
        if wrong:
            raise ValueError(f"class_id is {wrong[0]}, expected 0 to {self.n_class - 1}")
        return classes

    def _decode(
        self, latents: paddle.Tensor, class_id: int | Sequence[int] | None, batch_size: int = 64
    ) -> paddle.Tensor:
        if class_id is not None and not self.n_class:
            raise ValueError("class_id is given, but this generator is not conditional")
        classes = self._classes(latents.shape[0], class_id) if self.n_class else None
        parts = []
        with evaluating(self):
            for first in range(0, latents.shape[0], batch_size):
                inputs = [latents[first : first + batch_size]]
                if classes is not None:
                    inputs.append(paddle.to_tensor(classes[first : first + batch_size], "int64"))
                parts.append(self(*inputs))
        return paddle.concat(parts)


def lerp(start: np.ndarray, end: np.ndarray, t: float) -> np.ndarray:
    """Return the point at `t` in [0, 1] on the straight line between two arrays [N, ...]."""
    return (1.0 - t) * start + t * end


def slerp(start: np.ndarray, end: np.ndarray, t: float) -> np.ndarray:
    """Return the point at `t` in [0, 1] on the great circle between two arrays [N, ...].

    Shoemake 1985; White 2016 (arXiv:1609.04468) for latents.
    """
    flat_start, flat_end = (a.reshape(len(a), -1) for a in (start, end))
    cosine = np.sum(flat_start * flat_end, axis=1)
    cosine /= np.linalg.norm(flat_start, axis=1) * np.linalg.norm(flat_end, axis=1) + 1e-12
    angle = np.arccos(np.clip(cosine, -1.0, 1.0)).reshape([-1] + [1] * (start.ndim - 1))
    sine = np.sin(angle)
    flat = sine < 1e-6
    safe = np.where(flat, 1.0, sine)
    curved = (np.sin((1.0 - t) * angle) * start + np.sin(t * angle) * end) / safe
    return np.where(flat, lerp(start, end, t), curved)
