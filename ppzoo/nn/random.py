# SPDX-License-Identifier: Apache-2.0
"""Random draws of models: one place, so that runs can be repeated, resumed and distributed.

Paddle's generator is seeded anew from (run seed, iteration) before each training step (see
`ppzoo.engine`), so a draw is a function of the seed, the iteration and its place in the step.
With several processes each draws for the global batch and keeps its own rows: noise does not
depend on how many processes share the work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import paddle


class NoiseSource(Protocol):
    """Where random draws come from; the default is Paddle's generator on the current device."""

    def normal(self, shape: Sequence[int]) -> Any:
        """Return standard-normal values."""

    def uniform(self, shape: Sequence[int]) -> Any:
        """Return values in [0, 1)."""

    def randint(self, low: int, high: int, shape: Sequence[int]) -> Any:
        """Return integers, low <= i < high."""


class _PaddleSource:
    def normal(self, shape: Sequence[int]) -> paddle.Tensor:
        return paddle.randn(shape)

    def uniform(self, shape: Sequence[int]) -> paddle.Tensor:
        return paddle.rand(shape)

    def randint(self, low: int, high: int, shape: Sequence[int]) -> paddle.Tensor:
        return paddle.randint(low, high, shape)


_source: NoiseSource = _PaddleSource()
_rank, _world_size = 0, 1


def normal(shape: Sequence[int]) -> paddle.Tensor:
    """Draw standard-normal noise of `shape`, float32; the first axis is the batch."""
    return _tensor(_own_rows(_source.normal(_global(shape))), "float32")


def uniform(shape: Sequence[int]) -> paddle.Tensor:
    """Draw noise in [0, 1) of `shape`, float32; the first axis is the batch."""
    return _tensor(_own_rows(_source.uniform(_global(shape))), "float32")


def randint(low: int, high: int, shape: Sequence[int]) -> paddle.Tensor:
    """Draw integers low <= i < high of `shape`, int64; the first axis is the batch."""
    return _tensor(_own_rows(_source.randint(low, high, _global(shape))), "int64")


def set_shard(rank: int, world_size: int) -> None:
    """Say which rows of a global batch this process works on: `rank`, `rank + world_size`, ..."""
    global _rank, _world_size
    _rank, _world_size = rank, world_size


@contextlib.contextmanager
def source(replacement: NoiseSource) -> Iterator[None]:
    """Take every draw inside the context from `replacement`, as the golden cases do."""
    global _source
    previous, _source = _source, replacement
    try:
        yield
    finally:
        _source = previous


def _global(shape: Sequence[int]) -> list[int]:
    shape = [int(size) for size in shape]
    if shape and _world_size > 1:
        shape[0] *= _world_size
    return shape


def _own_rows(draw: Any) -> Any:
    if _world_size == 1 or draw.ndim == 0:
        return draw
    return draw[_rank::_world_size]


def _tensor(draw: Any, dtype: str) -> paddle.Tensor:
    return draw.astype(dtype) if isinstance(draw, paddle.Tensor) else paddle.to_tensor(draw, dtype)
