# SPDX-License-Identifier: Apache-2.0
"""VGG's convolutions as a measure of likeness (Simonyan & Zisserman 2014, arXiv:1409.1556).

What the layers of a classifier answer to a picture says more about what it shows than its pixels
do. Layers are numbered as in Paddle's and PyTorch's models, ReLU and pooling layers among them, so
that `features.N.weight` of their weights files belongs to layer N here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import paddle
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.conv import Conv2D

VGGType = Literal["vgg16", "vgg19"]

# Convolutions in each of the five blocks; pooling stands behind every block.
_BLOCKS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)
# Of the pictures that the classifiers were trained with, in [0, 1].
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGGFeatures(nn.Layer):
    """The answers of some of VGG's layers to a picture; what lies behind the last one is left out.

    The weights are constants, all zero at first: nothing is drawn, so that the random numbers of a
    training do not depend on whether it measures by VGG.

    Args:
        layers: numbers of the layers whose answers are wanted.
        vgg_type: 16 or 19 layers.
        use_input_norm: pictures come in [0, 1] and are brought to the mean and spread that the
            classifier was trained with; otherwise they come that way.

    Raises:
        ValueError: no layer, or one that there is not.
    """

    def __init__(
        self, layers: Iterable[int], vgg_type: VGGType = "vgg19", use_input_norm: bool = True
    ) -> None:
        super().__init__()
        self.wanted = frozenset(layers)
        check_layers(self.wanted, vgg_type)
        plan = _plan(vgg_type)[: max(self.wanted) + 1]
        self.vgg_layers = nn.Sequential(*(_layer(*step) for step in plan))
        self.use_input_norm = use_input_norm
        if use_input_norm:
            for name, values in (("mean", _MEAN), ("std", _STD)):
                value = paddle.to_tensor(values, "float32").reshape([1, 3, 1, 1])
                self.register_buffer(name, value, persistable=False)
        self.least = 2 ** sum(kind == "pool" for kind, *_ in plan)
        for parameter in self.parameters():
            parameter.stop_gradient = True

    def forward(self, x: paddle.Tensor) -> dict[int, paddle.Tensor]:
        """Return the wanted answers [N, C, H', W'] to pictures `x` [N, 3, H, W], by layer.

        Raises:
            ConfigError: pictures too small for the pooling.
        """
        if min(x.shape[2:]) < self.least:
            raise ConfigError(
                f"VGG's layer {max(self.wanted)} needs pictures of {self.least} x {self.least} "
                f"pixels or more, got {x.shape[2]} x {x.shape[3]}"
            )
        if self.use_input_norm:
            x = (x - self.mean) / self.std
        answers = {}
        for number, layer in enumerate(self.vgg_layers):
            x = layer(x)
            if number in self.wanted:
                answers[number] = x
        return answers

    def arrays_of(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Return what belongs to these layers, under their names, out of a classifier's weights.

        Args:
            weights: by `features.N.weight` and `features.N.bias`, where N is a layer; the layers
                behind, and the classifier itself, are left out.
        """
        names = {f"features.{name.removeprefix('vgg_layers.')}": name for name in self.state_dict()}
        return {name: weights[key] for key, name in names.items() if key in weights}


def check_layers(layers: Collection[int], vgg_type: str) -> None:
    """Refuse layers that a classifier does not have.

    Raises:
        ValueError: there is no such classifier or layer, or none is asked for.
    """
    if vgg_type not in _BLOCKS:
        raise ValueError(f"vgg_type is {vgg_type!r}, expected one of {', '.join(_BLOCKS)}")
    last = len(_plan(vgg_type)) - 1
    if not layers or min(layers) < 0 or max(layers) > last:
        raise ValueError(f"{vgg_type} has the layers 0 to {last}, asked for {sorted(layers)}")


def _plan(vgg_type: str) -> list[tuple[str, int, int]]:
    """Return kind, input and output channels of every layer."""
    plan, c_in = [], 3
    for depth, c_out in zip(_BLOCKS[vgg_type], _CHANNELS, strict=True):
        for _ in range(depth):
            plan += [("conv", c_in, c_out), ("relu", c_out, c_out)]
            c_in = c_out
        plan.append(("pool", c_out, c_out))
    return plan


def _layer(kind: str, c_in: int, c_out: int) -> nn.Layer:
    if kind == "relu":
        return nn.ReLU()
    if kind == "pool":
        return nn.MaxPool2D(2, stride=2)
    zero = nn.initializer.Constant(0.0)
    return Conv2D(
        c_in,
        c_out,
        3,
        padding=1,
        weight_attr=paddle.ParamAttr(initializer=zero),
        bias_attr=paddle.ParamAttr(initializer=zero),
    )
