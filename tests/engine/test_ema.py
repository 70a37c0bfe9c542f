# SPDX-License-Identifier: Apache-2.0
"""Averaged weights."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.engine.ema import EMA


def network() -> nn.Layer:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1D(3))


def values(state: dict[str, paddle.Tensor]) -> dict[str, np.ndarray]:
    return {key: value.numpy().copy() for key, value in state.items()}


def add(net: nn.Layer, amount: float) -> None:
    for value in net.state_dict().values():
        value.set_value(value + amount)


def test_average_moves_by_its_share_and_running_statistics_are_copied() -> None:
    net = network()
    ema = EMA({"net": net, "other": network()}, ["net"], decay=0.75)
    before = values(net.state_dict())
    add(net, 4.0)
    ema.update(1)
    assert list(ema.shadow) == ["net"]
    for key, average in values(ema.shadow["net"]).items():
        moved = 4.0 if key in ("1._mean", "1._variance") else 1.0
        np.testing.assert_allclose(average, before[key] + moved, rtol=1e-6)


def test_average_starts_late() -> None:
    net = network()
    ema = EMA({"net": net}, ["net"], decay=0.5, start=2)
    add(net, 4.0)
    ema.update(1)
    start = values(net.state_dict())
    assert all(np.array_equal(ema.shadow["net"][key].numpy(), start[key]) for key in start)
    add(net, 4.0)
    ema.update(2)
    np.testing.assert_allclose(ema.shadow["net"]["0.bias"].numpy(), start["0.bias"] + 2.0)


def test_networks_have_the_averages_inside_and_their_own_weights_outside() -> None:
    net = network()
    ema = EMA({"net": net}, ["net"], decay=0.5)
    add(net, 4.0)
    ema.update(1)
    own, average = values(net.state_dict()), values(ema.shadow["net"])
    with ema.applied():
        inside = values(net.state_dict())
        assert all(np.array_equal(inside[key], average[key]) for key in average)
    with pytest.raises(RuntimeError, match="oops"), ema.applied():
        raise RuntimeError("oops")
    outside = values(net.state_dict())
    assert all(np.array_equal(outside[key], own[key]) for key in own)


def test_averages_of_a_network_in_low_precision_are_exact() -> None:
    net = nn.Linear(2, 2)
    net.weight.set_value(paddle.ones([2, 2]))
    net.to(dtype="bfloat16")
    ema = EMA({"net": net}, ["net"], decay=0.999)
    net.weight.set_value(paddle.full([2, 2], 2.0, "bfloat16"))
    for step in range(100):
        ema.update(step)
    # In bfloat16 a step of a thousandth would be rounded away.
    np.testing.assert_allclose(ema.shadow["net"]["weight"].numpy(), 2.0 - 0.999**100, rtol=1e-4)
    with ema.applied():
        assert net.weight.dtype == paddle.bfloat16
        assert float(net.weight.astype("float32")[0, 0]) == pytest.approx(1.0952, abs=0.005)
    assert float(net.weight.astype("float32")[0, 0]) == 2.0
