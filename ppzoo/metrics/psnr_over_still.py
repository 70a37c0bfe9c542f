# SPDX-License-Identifier: Apache-2.0
"""How much a network for video gains by looking at other frames than the middle one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.metrics.base import Metric
from ppzoo.metrics.paired import as_pictures
from ppzoo.metrics.psnr import calculate_psnr
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import METRICS


@METRICS.register()
class PSNROverStill(Metric):
    """PSNR beyond that of the same network on copies of the middle frame, in dB.

    Args:
        crop_border: pixels to cut off at each edge of the pictures.
        test_y_channel: compare by luma.
    """

    inputs: ClassVar[tuple[str, ...]] = ("output", "gt", "still")
    as_uint8: ClassVar[bool] = True
    headline: ClassVar[str | None] = "psnr_over_still"

    def __init__(self, crop_border: int, test_y_channel: bool = False) -> None:
        check_at_least(0, crop_border=crop_border)
        self.crop_border, self.test_y_channel = crop_border, test_y_channel
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._gains: list[float] = []

    def update(self, output: Any, gt: Any, still: Any) -> None:
        """See one or several pictures, uint8 RGB.

        Args:
            output: what the network made of a clip: a picture, a list of pictures, or a batch.
            gt: the true pictures, likewise.
            still: what the network made of copies of the middle frame, likewise.

        Raises:
            ValueError: numbers or shapes that do not fit.
        """
        pictures = zip(*map(as_pictures, (output, gt, still)), strict=True)
        for moving, truth, repeated in pictures:
            ours, alone = (
                calculate_psnr(picture, truth, self.crop_border, test_y_channel=self.test_y_channel)
                for picture in (moving, repeated)
            )
            self._gains.append(0.0 if ours == alone else ours - alone)

    def accumulate(self) -> dict[str, float]:
        """Return dB: `psnr_over_still`, on average; `psnr_over_still_least`, of any clip.

        Raises:
            ValueError: no picture was seen.
        """
        if not self._gains:
            raise ValueError("PSNROverStill has seen no pictures")
        return {
            "psnr_over_still": math.fsum(self._gains) / len(self._gains),
            "psnr_over_still_least": min(self._gains),
        }

    def state(self) -> dict[str, np.ndarray]:
        """Return the gain of every picture, [N]."""
        return {"gains": np.array(self._gains, dtype=np.float64)}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._gains = [float(gain) for state in states for gain in state["gains"]]
