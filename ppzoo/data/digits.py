# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits that come with scikit-learn, as a dataset."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from ppzoo.data.pictures import ArrayDataset
from ppzoo.errors import ConfigError
from ppzoo.media.digits import SOURCE_SIZE, handwritten_digits, held_out_digits
from ppzoo.registry import DATASETS, TRANSFORMS


@DATASETS.register()
class DigitsDataset(ArrayDataset):
    """The 1797 handwritten digits of scikit-learn, enlarged.

    A sample is `img`, float32 [1, size, size] in [-1, 1] (white ink on black, as in MNIST), and
    `class_id`, int64 [].

    Args:
        mode: `train` has three quarters of each class, `test` the others, which no metric's
            classifier has seen either, `all` both.
        size: side of the pictures in pixels, 8 to 1024.
        return_label: whether samples have a `class_id`.
        transforms: transforms of uint8 pictures [size, size, 1]; what is uint8 after them is
            scaled to [-1, 1].

    Raises:
        ConfigError: an unknown mode or a size out of range.
    """

    n_class = 10

    def __init__(
        self,
        mode: Literal["train", "test", "all"] = "train",
        size: int = 32,
        return_label: bool = True,
        transforms: list[Annotated[Any, TRANSFORMS]] | None = None,
    ) -> None:
        if mode not in ("train", "test", "all"):
            raise ConfigError(f"DigitsDataset: 'mode' must be train, test or all, got {mode!r}")
        if not isinstance(size, int) or not SOURCE_SIZE <= size <= 1024:
            raise ConfigError(f"DigitsDataset: 'size' must be from 8 to 1024, got {size!r}")
        images, labels = handwritten_digits(size)
        held_out = held_out_digits()
        chosen = {"train": ~held_out, "test": held_out, "all": np.full(len(labels), True)}[mode]
        super().__init__(images[chosen, :, :, np.newaxis], labels[chosen], transforms, return_label)
