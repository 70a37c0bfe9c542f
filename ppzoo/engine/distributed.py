# SPDX-License-Identifier: Apache-2.0
"""Several processes as one run: NCCL on GPUs, gloo on CPUs, under Paddle's launcher.

    python -m paddle.distributed.launch --nproc_per_node 2 tools/main.py -c ...

Gradients are averaged once per update rather than by hooks inside backward, so that frozen
networks, several updates a step and double backward work the same with any number of processes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle

from ppzoo.nn import random

# Gradients travel in pieces of this many values: large enough to be bound by bandwidth, small
# enough not to double the memory of a large model.
_BUCKET = 8_000_000


@dataclasses.dataclass(frozen=True)
class World:
    """The processes of a run.

    Args:
        rank: of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def broadcast(self, tensors: Sequence[paddle.Tensor]) -> None:
        """Give every process the values of the first one."""
        if self.size > 1:
            for tensor in tensors:
                paddle.distributed.broadcast(tensor, src=0)

    def average_gradients(self, parameters: Sequence[paddle.Tensor]) -> None:
        """Replace each gradient by its mean over processes.

        All processes must hold gradients of the same parameters.
        """
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if not p.stop_gradient and p.grad is not None]
        for bucket in _buckets(gradients):
            flat = paddle.concat([gradient.reshape([-1]) for gradient in bucket])
            paddle.distributed.all_reduce(flat)
            flat = flat / self.size
            parts = paddle.split(flat, [int(gradient.size) for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.set_value(part.reshape(gradient.shape))

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Return each value averaged over processes; all must give the same names."""
        if self.size == 1 or not values:
            return values
        total = paddle.to_tensor(np.array(list(values.values()), "float64"))
        paddle.distributed.all_reduce(total)
        return dict(zip(values, (total / self.size).numpy().tolist(), strict=True))

    def gather(self, value: Any) -> list[Any]:
        """Return what every process gave, in the order of ranks, on all of them."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = []
        paddle.distributed.all_gather_object(gathered, value)
        return gathered

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            paddle.distributed.barrier()


def join_world() -> World:
    """Join the other processes if a launcher started this one among several."""
    if int(os.environ.get("PADDLE_TRAINERS_NUM", "1")) < 2:
        return World()
    if not paddle.distributed.is_initialized():
        paddle.distributed.init_parallel_env()
    world = World(paddle.distributed.get_rank(), paddle.distributed.get_world_size())
    random.set_shard(world.rank, world.size)
    return world


def _buckets(gradients: list[paddle.Tensor]) -> list[list[paddle.Tensor]]:
    buckets: list[list[paddle.Tensor]] = []
    filled, dtype = _BUCKET, None
    for gradient in gradients:
        if filled + int(gradient.size) > _BUCKET or gradient.dtype != dtype:
            buckets.append([])
            filled, dtype = 0, gradient.dtype
        buckets[-1].append(gradient)
        filled += int(gradient.size)
    return buckets
