# SPDX-License-Identifier: Apache-2.0
"""How much better than bicubic enlargement a super-resolution network is, and if it always is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.bicubic import resize_bicubic
from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric
from ppzoo.metrics.paired import as_pictures
from ppzoo.metrics.psnr import calculate_psnr
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import METRICS


def calculate_psnr_gain(
    output: Any,
    gt: Any,
    lq: Any,
    crop_border: int,
    test_y_channel: bool = False,
    scale: int | None = None,
) -> tuple[float, float]:
    """Return the PSNR of a picture minus that of a bicubic enlargement, and the latter, in dB.

    The enlargement is MATLAB's `imresize`, rounded to 8 bits, as published comparisons have it.

    Args:
        output: what the network made of `lq`, uint8 [H, W, 3].
        gt: the true picture, uint8 [H, W, 3].
        lq: the small picture, uint8 [H / scale, W / scale, 3].
        crop_border: pixels to cut off at each edge of `gt`; `scale` of them are usual.
        test_y_channel: compare by luma (BT.601, 16..235).
        scale: how many times larger `gt` is; None to see it from the shapes.

    Returns:
        the gain, 0 where both are perfect, and the PSNR of the enlargement.

    Raises:
        ValueError: shapes that do not fit each other or the scale.
    """
    small, truth = as_array(lq), as_array(gt)
    found = truth.shape[0] // max(1, small.shape[0]) if scale is None else scale
    if small.ndim != truth.ndim or truth.shape[:2] != tuple(n * found for n in small.shape[:2]):
        times = "a whole number of times" if scale is None else f"{scale} times"
        raise ValueError(
            f"a picture of the shape {list(truth.shape)} is not {times} as large as its small one, "
            f"{list(small.shape)}"
        )
    enlarged = resize_bicubic(small, size=truth.shape[:2])
    ours, bicubic = (
        calculate_psnr(picture, truth, crop_border, test_y_channel=test_y_channel)
        for picture in (output, enlarged)
    )
    return 0.0 if ours == bicubic else ours - bicubic, bicubic


@METRICS.register()
class PSNRGain(Metric):
    """PSNR beyond that of bicubic enlargement in dB, on average and in the worst case.

    Args:
        crop_border: pixels to cut off at each edge of the large pictures.
        test_y_channel: compare by luma.
        scale: how many times larger the true pictures are; None to see it from the shapes.
    """

    inputs: ClassVar[tuple[str, ...]] = ("output", "gt", "lq")
    as_uint8: ClassVar[bool] = True
    headline: ClassVar[str | None] = "psnr_gain"

    def __init__(
        self, crop_border: int, test_y_channel: bool = False, scale: int | None = None
    ) -> None:
        check_at_least(0, crop_border=crop_border)
        if scale is not None:
            check_at_least(1, scale=scale)
        self.crop_border, self.test_y_channel, self.scale = crop_border, test_y_channel, scale
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._pairs: list[tuple[float, float]] = []

    def update(self, output: Any, gt: Any, lq: Any) -> None:
        """See one or several pictures, uint8 RGB.

        Args:
            output: what the network made: a picture, a list of pictures, or a batch.
            gt: the true pictures, likewise.
            lq: the small pictures, likewise.

        Raises:
            ValueError: numbers or shapes that do not fit.
        """
        sides = [as_pictures(side) for side in (output, gt, lq)]
        if len({len(side) for side in sides}) > 1:
            raise ValueError(
                "{} outputs, {} true and {} small pictures do not belong together".format(
                    *map(len, sides)
                )
            )
        self._pairs += [
            calculate_psnr_gain(*pictures, self.crop_border, self.test_y_channel, self.scale)
            for pictures in zip(*sides, strict=True)
        ]

    def accumulate(self) -> dict[str, float]:
        """Return dB: `psnr_gain`, its mean; `psnr_gain_least`, of any picture; `psnr_bicubic`.

        Raises:
            ValueError: no picture was seen.
        """
        if not self._pairs:
            raise ValueError("PSNRGain has seen no pictures")
        gains, bicubic = zip(*self._pairs, strict=True)
        return {
            "psnr_gain": math.fsum(gains) / len(gains),
            "psnr_gain_least": min(gains),
            "psnr_bicubic": math.fsum(bicubic) / len(bicubic),
        }

    def state(self) -> dict[str, np.ndarray]:
        """Return gain and bicubic PSNR of every picture, [N, 2]."""
        return {"pairs": np.array(self._pairs, dtype=np.float64).reshape(-1, 2)}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._pairs = [(float(a), float(b)) for state in states for a, b in state["pairs"]]
