# SPDX-License-Identifier: Apache-2.0
"""Whether pictures have as much texture as the truth, and where the truth has it.

A network trained for PSNR alone blurs what it cannot know: its mistakes are small and its gradients
weak. PSNR rewards that. This figure compares how strong gradients are, without asking where exactly
within some pixels they lie, so that texture that is invented well counts as good and blur as bad.
That natural pictures are told by the distribution of their gradients is long known (Huang & Mumford
1999, "Statistics of natural images and models").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.metrics.base import Metric
from ppzoo.metrics.paired import as_pictures, grey, prepare_pair
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import METRICS


def gradient_statistics(
    output: Any, gt: Any, crop_border: int = 0, block: int = 16
) -> tuple[float, float, float]:
    """Return how far the gradients of two pictures are apart, and how strong they are in each.

    Gradients are the magnitudes of forward differences of luma. In each block of pixels their
    distribution in one picture is compared with that in the other by the Wasserstein-1 distance,
    which for equally many values is the mean difference of the sorted ones; the distance is the
    mean over all blocks. Blocks keep noise in plain sky from passing for the texture of a meadow;
    noise in the meadow may pass for it.

    Args:
        output: a picture [H, W, 3] or [H, W], values 0..255.
        gt: the true one, of the same shape.
        crop_border: pixels to cut off at each edge.
        block: side of a block in pixels. What is left at the right and the bottom edge does not
            count; a picture that is smaller is one block.

    Returns:
        the distance, the mean gradient of `output` and that of `gt`, in levels per pixel.

    Raises:
        ValueError: shapes that differ, or fewer than 2 x 2 pixels.
    """
    pair = prepare_pair(output, gt, crop_border, "HWC", test_y_channel=False)
    if min(pair[0].shape[:2]) < 2:
        raise ValueError(f"gradients need 2 x 2 pixels, got {list(pair[0].shape[:2])}")
    blocks = [_blocks(_gradients(picture), block) for picture in pair]
    ours, truth = (np.sort(values, axis=-1) for values in blocks)
    return float(np.abs(ours - truth).mean()), float(ours.mean()), float(truth.mean())


def _gradients(picture: np.ndarray) -> np.ndarray:
    levels = grey(picture)
    return np.hypot(np.diff(levels, axis=0)[:, :-1], np.diff(levels, axis=1)[:-1])


def _blocks(values: np.ndarray, side: int) -> np.ndarray:
    """Return values [H, W] by block, [blocks, pixels of a block]."""
    height, width = (min(side, length) for length in values.shape)
    rows, columns = values.shape[0] // height, values.shape[1] // width
    cut = values[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return cut.transpose(0, 2, 1, 3).reshape(rows * columns, height * width)


@METRICS.register()
class GradientStatistics(Metric):
    """Distance of the gradients of pictures from those of the truth; see `gradient_statistics`.

    Sums over all pictures are divided by each other, so that a picture counts by its texture, and
    contrast and brightness of the test data are of no account.

    Args:
        crop_border: pixels to cut off at each edge.
        block: side in pixels of the blocks in which gradients are compared.
    """

    inputs: ClassVar[tuple[str, ...]] = ("output|fake", "gt|real")
    as_uint8: ClassVar[bool] = True
    headline: ClassVar[str | None] = "gradient_distance"

    def __init__(self, crop_border: int = 0, block: int = 16) -> None:
        check_at_least(0, crop_border=crop_border)
        check_at_least(1, block=block)
        self.crop_border, self.block = crop_border, block
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._sums = np.zeros(3)

    def update(self, preds: Any, gts: Any) -> None:
        """See one or several pictures, values 0..255.

        Args:
            preds: a picture, a list of pictures, or a batch with one more axis in front.
            gts: the true pictures, likewise.

        Raises:
            ValueError: numbers or shapes that differ.
        """
        outputs, truths = as_pictures(preds), as_pictures(gts)
        if len(outputs) != len(truths):
            raise ValueError(f"{len(outputs)} pictures cannot be compared with {len(truths)}")
        for pair in zip(outputs, truths, strict=True):
            self._sums += gradient_statistics(*pair, self.crop_border, self.block)

    def accumulate(self) -> dict[str, float]:
        """Return two figures, both without unit.

        `gradient_distance` is the distance divided by the mean gradient of the truth: 0 for the
        truth, 1 for pictures without any gradient, lower is better. `gradient_strength` is the
        mean gradient divided by that of the truth: below 1 for blur, above 1 for noise.

        Raises:
            ValueError: nothing was seen, or the truth has no gradients at all.
        """
        distance, ours, truth = map(float, self._sums)
        if truth == 0:
            raise ValueError("GradientStatistics has seen no true picture with any gradient")
        return {"gradient_distance": distance / truth, "gradient_strength": ours / truth}

    def state(self) -> dict[str, np.ndarray]:
        """Return the sums over pictures: distance, mean gradients of outputs and of truths."""
        return {"sums": self._sums.copy()}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._sums = np.sum([state["sums"] for state in states], axis=0)
