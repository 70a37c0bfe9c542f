# SPDX-License-Identifier: Apache-2.0
"""What datasets have in common whose samples are drawn: the index decides all of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle

from ppzoo.errors import ConfigError


class DrawnDataset(paddle.io.Dataset):
    """A dataset of `samples` samples, which a subclass draws in `_sample`, always the same."""

    is_random = False
    samples: int

    def get_batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the samples at `indices`, stacked; the loader's fast path."""
        samples = [self._sample(int(index)) for index in indices]
        return {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._sample(index)

    def __len__(self) -> int:
        return self.samples

    def _sample(self, index: int) -> dict[str, Any]:
        raise NotImplementedError

    def _check_ranges(self, ranges: Mapping[str, tuple[Any, int, int]]) -> None:
        """Refuse arguments that are no whole numbers, or not from a least to a greatest one.

        Args:
            ranges: value, least and greatest by the argument's name.

        Raises:
            ConfigError: one is; names it.
        """
        for key, (value, low, high) in ranges.items():
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(
                    f"{type(self).__name__}: {key!r} must be from {low} to {high}, got {value!r}"
                )
