# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's means of times."""

from __future__ import annotations


class TimeAverager:
    """The mean of times, in seconds, and of samples per second."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all times."""
        self._count, self._seconds, self._samples = 0, 0.0, 0

    def record(self, usetime: float, num_samples: int | None = None) -> None:
        """Add a time, and the number of samples that it was spent on."""
        self._count += 1
        self._seconds += usetime
        self._samples += num_samples or 0

    def get_average(self) -> float:
        """Return the mean time, 0 without any."""
        return self._seconds / self._count if self._count else 0.0

    def get_ips_average(self) -> float:
        """Return samples per second, 0 without any."""
        return self._samples / self._seconds if self._seconds else 0.0
