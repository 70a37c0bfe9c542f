# SPDX-License-Identifier: Apache-2.0
"""Learned perceptual image patch similarity (Zhang et al. 2018, arXiv:1801.03924).

Names and layout of the weights are PaddleGAN's.
"""

from __future__ import annotations

from typing import Literal

import paddle
from paddle import nn

from ppzoo.networks.vgg import VGGFeatures
from ppzoo.nn.conv import Conv2D

# The last ReLU of each block of VGG16, and its channels.
_LAYERS = {3: 64, 8: 128, 15: 256, 22: 512, 29: 512}
# Mean and spread of the classifier's pictures, for values in [-1, 1].
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPSILON = 1e-10


class LPIPS(nn.Layer):
    """How different two pictures look: VGG16's answers to both, compared channel by channel.

    At each place, answers are divided by their length; how much each channel's squared difference
    counts was learned from what people said of pairs of pictures. All weights are zero, or those of
    new layers, until they are loaded.

    Args:
        net: the classifier; both names mean VGG16.
        version: of the method; 0.1 is the one whose weights are published.

    Raises:
        ValueError: another classifier or version.
    """

    def __init__(
        self, net: Literal["vgg", "vgg16"] = "vgg", version: Literal["0.1"] = "0.1"
    ) -> None:
        super().__init__()
        check_variant(net, version)
        self.scaling_layer = _Scaling()
        self.net = nn.LayerDict({"vgg16": VGGFeatures(_LAYERS, "vgg16", use_input_norm=False)})
        heads = [_Head(channels) for channels in _LAYERS.values()]
        for number, head in enumerate(heads):
            setattr(self, f"lin{number}", head)
        self.lins = nn.LayerList(heads)  # the same layers again, as the weights have them

    def forward(self, in0: paddle.Tensor, in1: paddle.Tensor) -> paddle.Tensor:
        """Return the distance [N, 1, 1, 1] of pictures [N, 3, H, W] in [-1, 1], 16 pixels or more.

        Raises:
            ConfigError: smaller pictures.
        """
        vgg = self.net["vgg16"]
        answers = [vgg(self.scaling_layer(side)) for side in (in0, in1)]
        parts = []
        for layer, head in zip(_LAYERS, self.lins, strict=True):
            first, second = (_unit(side[layer]) for side in answers)
            parts.append(head(paddle.square(first - second)).mean(axis=[2, 3], keepdim=True))
        return sum(parts[1:], parts[0])


def check_variant(net: str, version: str) -> None:
    """Refuse variants of LPIPS that there are not.

    Raises:
        ValueError: another classifier than VGG16, or another version than 0.1.
    """
    if net not in ("vgg", "vgg16") or version != "0.1":
        raise ValueError(f"LPIPS has the net 'vgg' in version '0.1', not {net!r} in {version!r}")


class _Scaling(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        for name, values in (("shift", _SHIFT), ("scale", _SCALE)):
            value = paddle.to_tensor(values, "float32").reshape([1, 3, 1, 1])
            self.register_buffer(name, value)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return (x - self.shift) / self.scale


class _Head(nn.Layer):
    """A weight for each channel; the dropout belongs to its training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), Conv2D(channels, 1, 1, bias_attr=False))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.model(x)


def _unit(maps: paddle.Tensor) -> paddle.Tensor:
    length = paddle.sqrt(paddle.square(maps).sum(axis=1, keepdim=True))
    return maps / (length + _EPSILON)
