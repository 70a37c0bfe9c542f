# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's functions that initialise parameters in place and return them."""

from __future__ import annotations

import math
from typing import Literal

import paddle
from paddle import nn

from ppzoo.nn import init

Fan = Literal["fan_in", "fan_out"]


def constant_(x: paddle.Tensor, value: float) -> paddle.Tensor:
    """Set all values."""
    nn.initializer.Constant(value)(x)
    return x


def normal_(x: paddle.Tensor, mean: float = 0.0, std: float = 1.0) -> paddle.Tensor:
    """Draw from a normal distribution."""
    nn.initializer.Normal(mean, std)(x)
    return x


def uniform_(x: paddle.Tensor, a: float = -1.0, b: float = 1.0) -> paddle.Tensor:
    """Draw from a uniform distribution between `a` and `b`."""
    nn.initializer.Uniform(a, b)(x)
    return x


def xavier_normal_(x: paddle.Tensor, gain: float = 1.0, reverse: bool = False) -> paddle.Tensor:
    """Draw from Glorot's normal distribution; see `kaiming_normal_` for `reverse`."""
    return normal_(x, 0.0, gain * math.sqrt(2.0 / sum(_fans(x, reverse))))


def xavier_uniform_(x: paddle.Tensor, gain: float = 1.0, reverse: bool = False) -> paddle.Tensor:
    """Draw from Glorot's uniform distribution; see `kaiming_normal_` for `reverse`."""
    bound = gain * math.sqrt(6.0 / sum(_fans(x, reverse)))
    return uniform_(x, -bound, bound)


def kaiming_normal_(
    x: paddle.Tensor,
    a: float = 0,
    mode: Fan = "fan_in",
    nonlinearity: str = "leaky_relu",
    reverse: bool = False,
) -> paddle.Tensor:
    """Draw from He's normal distribution.

    Args:
        x: the parameter, of at least two axes.
        a: slope of the leaky ReLU that follows, on its negative side.
        mode: keep variances forwards (`fan_in`) or backwards (`fan_out`).
        nonlinearity: what follows, as `paddle.nn.initializer.calculate_gain` names it.
        reverse: the first axis is the input's, as in the weights of Paddle's linear layers and
            transposed convolutions.
    """
    return normal_(x, 0.0, _he(x, a, mode, nonlinearity, reverse))


def kaiming_uniform_(
    x: paddle.Tensor,
    a: float = 0,
    mode: Fan = "fan_in",
    nonlinearity: str = "leaky_relu",
    reverse: bool = False,
) -> paddle.Tensor:
    """Draw from He's uniform distribution; see `kaiming_normal_` for the arguments."""
    bound = math.sqrt(3.0) * _he(x, a, mode, nonlinearity, reverse)
    return uniform_(x, -bound, bound)


def constant_init(layer: nn.Layer, val: float, bias: float = 0) -> None:
    """Set all weights of a layer to one value, and all biases."""
    for name, value in (("weight", val), ("bias", bias)):
        if getattr(layer, name, None) is not None:
            constant_(getattr(layer, name), value)


def init_weights(
    net: nn.Layer,
    init_type: init.InitType = "normal",
    init_gain: float = 0.02,
    distribution: str = "normal",
) -> None:
    """Initialise a network; see `ppzoo.nn.init.init_weights`.

    Args:
        net: the network, changed in place.
        init_type: `normal`, `xavier` or `kaiming`.
        init_gain: the standard deviation, or the factor for `xavier`.
        distribution: accepted as PaddleGAN's; ppzoo draws from normal distributions.
    """
    init.init_weights(net, init_type, init_gain)


def _fans(x: paddle.Tensor, reverse: bool) -> tuple[int, int]:
    first, second, *kernel = (int(size) for size in x.shape)
    field = math.prod(kernel)
    fans = (second * field, first * field)
    return fans[::-1] if reverse else fans


def _he(x: paddle.Tensor, a: float, mode: Fan, nonlinearity: str, reverse: bool) -> float:
    fan = _fans(x, reverse)[("fan_in", "fan_out").index(mode)]
    gain = nn.initializer.calculate_gain(nonlinearity, a if nonlinearity == "leaky_relu" else None)
    return gain / math.sqrt(fan)
