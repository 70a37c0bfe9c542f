# SPDX-License-Identifier: Apache-2.0
"""What a process does among others, as far as one can see alone; see tests/test_distributed.py."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppzoo.engine import distributed
from ppzoo.engine.distributed import World, join_world


def test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PADDLE_TRAINERS_NUM", raising=False)
    world = join_world()
    assert (world.rank, world.size, world.is_main) == (0, 1, True)
    assert world.gather("x") == ["x"]
    assert world.mean({"a": 1.5}) == {"a": 1.5}
    world.barrier()
    tensor = paddle.ones([2])
    world.broadcast([tensor])
    world.average_gradients([tensor])
    assert tensor.tolist() == [1.0, 1.0]
    assert not World(1, 2).is_main


def test_gradients_travel_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_BUCKET", 10)
    sizes = [4, 5, 3, 20, 1]
    gradients = [paddle.zeros([size]) for size in sizes]
    gradients.append(paddle.zeros([1], "float64"))
    pieces = distributed._buckets(gradients)
    assert [[int(g.size) for g in piece] for piece in pieces] == [[4, 5], [3], [20], [1], [1]]
    assert distributed._buckets([]) == []


def test_gradients_are_averaged_and_keep_their_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_BUCKET", 5)
    sent = []

    def all_reduce(tensor: paddle.Tensor) -> None:
        sent.append(int(tensor.size))
        tensor.set_value(tensor + 2.0)  # what the other one has

    monkeypatch.setattr(paddle.distributed, "all_reduce", all_reduce)
    first, second, idle = (paddle.create_parameter([2, 2], "float32") for _ in range(3))
    frozen = paddle.create_parameter([2], "float32")
    frozen.stop_gradient = True
    (first.sum() * 4.0 + second.sum() * 6.0).backward()
    World(0, 2).average_gradients([first, second, idle, frozen])
    assert sent == [4, 4]
    assert np.array_equal(first.grad.numpy(), np.full([2, 2], 3.0))
    assert np.array_equal(second.grad.numpy(), np.full([2, 2], 4.0))
    assert idle.grad is None
