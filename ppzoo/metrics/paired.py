# SPDX-License-Identifier: Apache-2.0
"""What PSNR and SSIM share: preparing two pictures, and the mean over pairs of pictures."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric

# BT.601 luma of RGB in 0..255, in the "video" range 16..235, as MATLAB's rgb2ycbcr has it.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0
# The same in the whole range 0..255.
_FULL_LUMA = np.array([0.299, 0.587, 0.114])
_CHANNELS = (1, 2, 3, 4)


def prepare_pair(
    img1: Any, img2: Any, crop_border: int, input_order: str, test_y_channel: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return two pictures as float64 [H, W, C] with borders cut off, as luma [H, W, 1] if asked.

    Args:
        img1: a picture, RGB or grey, values 0..255, laid out as `input_order` says, or [H, W].
        img2: another of the same shape.
        crop_border: pixels to cut off at each edge.
        input_order: "HWC" or "CHW".
        test_y_channel: compare RGB pictures by their luma; grey ones stay as they are.

    Raises:
        ValueError: shapes that differ or do not fit the order, nothing left after cropping.
    """
    first, second = as_array(img1), as_array(img2)
    if first.shape != second.shape:
        raise ValueError(f"pictures differ in shape: {list(first.shape)} and {list(second.shape)}")
    if input_order not in ("HWC", "CHW"):
        raise ValueError(f"input_order must be 'HWC' or 'CHW', got {input_order!r}")
    prepared = [
        _cropped(_channels_last(array, input_order), crop_border) for array in (first, second)
    ]
    if test_y_channel and prepared[0].shape[-1] == 3:
        prepared = [(array @ _LUMA + 16.0)[..., np.newaxis] for array in prepared]
    return prepared[0], prepared[1]


def grey(picture: np.ndarray) -> np.ndarray:
    """Return the luma (BT.601) [H, W] of a picture [H, W, C] in the picture's own range.

    Args:
        picture: RGB, with a fourth channel that is of no account, or grey in the first channel.
    """
    return picture[..., :3] @ _FULL_LUMA if picture.shape[-1] >= 3 else picture[..., 0]


def _channels_last(array: np.ndarray, order: str) -> np.ndarray:
    if array.ndim == 2:
        return array[..., np.newaxis].astype(np.float64)
    if array.ndim != 3:
        raise ValueError(f"expected one picture in the order {order}, got {list(array.shape)}")
    if array.shape[order.index("C")] not in _CHANNELS:
        raise ValueError(
            f"a picture of shape {list(array.shape)} cannot be in the order {order}: "
            f"{array.shape[order.index('C')]} would be its channels"
        )
    if order == "CHW":
        array = array.transpose(1, 2, 0)
    return array.astype(np.float64)


def _cropped(array: np.ndarray, border: int) -> np.ndarray:
    if border < 0 or min(array.shape[:2]) <= 2 * border:
        raise ValueError(
            f"cannot crop {border} pixels from each edge of {array.shape[0]} x {array.shape[1]}"
        )
    return array[border : array.shape[0] - border, border : array.shape[1] - border]


class PairedMetric(Metric):
    """The mean of a figure over pairs of a result and the truth."""

    inputs: ClassVar[tuple[str, ...]] = ("output|fake", "gt|real")
    as_uint8: ClassVar[bool] = True

    def __init__(
        self, crop_border: int, input_order: str = "HWC", test_y_channel: bool = False
    ) -> None:
        if crop_border < 0:
            raise ValueError(f"crop_border must not be negative, got {crop_border}")
        if input_order not in ("HWC", "CHW"):
            raise ValueError(f"input_order must be 'HWC' or 'CHW', got {input_order!r}")
        self.crop_border = crop_border
        self.input_order = input_order
        self.test_y_channel = test_y_channel
        self.reset()

    @abc.abstractmethod
    def compare(self, img1: Any, img2: Any) -> float:
        """Return the figure of one pair."""

    def reset(self) -> None:
        """Forget all that was seen."""
        self._sum = 0.0
        self._count = 0

    def update(self, preds: Any, gts: Any, is_seq: bool = False) -> None:
        """See one or several pairs of pictures, values 0..255.

        Args:
            preds: a picture, a list of pictures, or a batch with one more axis in front.
            gts: the true pictures, likewise.
            is_seq: the pictures are one sequence, which counts as one result: its mean.

        Raises:
            ValueError: numbers or shapes that differ, or do not fit `input_order`.
        """
        results, truths = as_pictures(preds), as_pictures(gts)
        if len(results) != len(truths):
            raise ValueError(f"{len(results)} pictures cannot be compared with {len(truths)}")
        figures = [self.compare(*pair) for pair in zip(results, truths, strict=True)]
        if is_seq and figures:
            figures = [float(np.mean(figures))]
        self._sum += sum(figures)
        self._count += len(figures)

    def accumulate(self) -> float:
        """Return the mean over all pairs (sequences) seen.

        Raises:
            ValueError: none was seen.
        """
        if self._count == 0:
            raise ValueError(f"{type(self).__name__} has seen no pictures")
        return self._sum / self._count

    def state(self) -> dict[str, np.ndarray]:
        """Return the sum and the number of figures."""
        return {"sum": np.array(self._sum), "count": np.array(self._count)}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._sum = float(sum(float(state["sum"]) for state in states))
        self._count = sum(int(state["count"]) for state in states)


def as_pictures(pictures: Any) -> list[Any]:
    """Return a picture, a list of pictures, or a batch with one more axis in front, as a list."""
    if isinstance(pictures, (list, tuple)):
        return list(pictures)
    array = as_array(pictures)
    return list(array) if array.ndim == 4 else [array]
