# SPDX-License-Identifier: Apache-2.0
"""What U-GAT-IT's networks are built from: layer-instance norms and attention."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.conv import Conv2D
from ppzoo.nn.padding import ReflectionPad2D

EPSILON = 1e-5
# Pictures [N, C, H, W], logits of the auxiliary classifier [N, 2], attention [N, 1, H', W'].
Outputs = tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]


def layer_instance_norm(
    x: paddle.Tensor, rho: paddle.Tensor, gamma: paddle.Tensor, beta: paddle.Tensor
) -> paddle.Tensor:
    """Normalise by the statistics of each channel and of the whole picture, mixed.

    Both normalisations are linear in `x`, so their mixture is one product and one sum.

    Args:
        x: [N, C, H, W].
        rho: share of the channel's statistics, [1, C, 1, 1] in [0, 1].
        gamma: scale, [N or 1, C, 1, 1].
        beta: shift, [N or 1, C, 1, 1].
    """
    channels, pixels = x.shape[1], _pixels(x)
    # oneDNN of Paddle 3.3 prints a line for each mean of an exported graph, and none for sums.
    mean = x.sum(axis=[2, 3], keepdim=True) / pixels
    centred = x - mean
    variance = (centred * centred).sum(axis=[2, 3], keepdim=True) / (pixels - 1)
    offset = mean - mean.mean(axis=1, keepdim=True)
    spread = ((pixels - 1) * variance + pixels * offset * offset).sum(axis=1, keepdim=True)
    by_channel = rho * paddle.rsqrt(variance + EPSILON)
    by_picture = (1 - rho) * paddle.rsqrt(spread / (pixels * channels - 1) + EPSILON)
    return centred * (gamma * (by_channel + by_picture)) + (gamma * by_picture * offset + beta)


def _pixels(x: paddle.Tensor) -> int | paddle.Tensor:
    height, width = x.shape[2:]
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        return height * width
    # An exported graph learns the size when it runs.
    return paddle.shape(x)[2:].prod().astype(x.dtype)


class ILN(nn.Layer):
    """Layer-instance norm with a scale and a shift of its own for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = _parameter(self, [1, channels, 1, 1], 0.0)
        self.gamma = _parameter(self, [1, channels, 1, 1], 1.0)
        self.beta = _parameter(self, [1, channels, 1, 1], 0.0)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Normalise `x` [N, C, H, W]."""
        return layer_instance_norm(x, self.rho, self.gamma, self.beta)


class AdaILN(nn.Layer):
    """Layer-instance norm whose scale and shift are computed from the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = _parameter(self, [1, channels, 1, 1], 0.9)

    def forward(self, x: paddle.Tensor, gamma: paddle.Tensor, beta: paddle.Tensor) -> paddle.Tensor:
        """Normalise `x` [N, C, H, W] with scale and shift [N, C]."""
        return layer_instance_norm(x, self.rho, _as_maps(gamma), _as_maps(beta))


class SoftAdaLIN(nn.Layer):
    """`AdaILN` whose scale and shift mix what content and style ask for, channel by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = AdaILN(channels)
        self.w_gamma = _parameter(self, [1, channels], 0.0)
        self.w_beta = _parameter(self, [1, channels], 0.0)
        self.c_gamma, self.c_beta = (
            nn.Sequential(linear(channels, channels), nn.ReLU(), linear(channels, channels))
            for _ in range(2)
        )
        self.s_gamma, self.s_beta = linear(channels, channels), linear(channels, channels)

    def forward(
        self, x: paddle.Tensor, content: paddle.Tensor, style: paddle.Tensor
    ) -> paddle.Tensor:
        """Normalise `x` [N, C, H, W] as features of content and style, [N, C] each, ask for."""
        gamma = _mixed(self.w_gamma, self.c_gamma(content), self.s_gamma(style))
        beta = _mixed(self.w_beta, self.c_beta(content), self.s_beta(style))
        return self.norm(x, gamma, beta)


class AdaptiveBlock(nn.Layer):
    """A residual block with an adaptive norm, `AdaILN` or `SoftAdaLIN`."""

    def __init__(self, channels: int, norm: type[nn.Layer]) -> None:
        super().__init__()
        self.pad = ReflectionPad2D(1)
        self.conv1 = Conv2D(channels, channels, 3, bias_attr=False)
        self.norm1 = norm(channels)
        self.conv2 = Conv2D(channels, channels, 3, bias_attr=False)
        self.norm2 = norm(channels)

    def forward(self, x: paddle.Tensor, *features: paddle.Tensor) -> paddle.Tensor:
        """Return `x` [N, C, H, W] plus what the convolutions make of it."""
        y = F.relu(self.norm1(self.conv1(self.pad(x)), *features))
        return x + self.norm2(self.conv2(self.pad(y)), *features)


def _mixed(share: paddle.Tensor, content: paddle.Tensor, style: paddle.Tensor) -> paddle.Tensor:
    return (1.0 - share) * style + share * content


def _as_maps(values: paddle.Tensor) -> paddle.Tensor:
    return values.unsqueeze(2).unsqueeze(3)


def _parameter(layer: nn.Layer, shape: Sequence[int], value: float) -> paddle.Tensor:
    return layer.create_parameter(shape, default_initializer=nn.initializer.Constant(value))


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer without a bias."""
    return nn.Linear(inputs, outputs, bias_attr=False)


def attend(
    x: paddle.Tensor, gap_fc: nn.Layer, gmp_fc: nn.Layer, conv1x1: nn.Layer
) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Return feature maps weighted by the auxiliary classifier, before activation, and its logits.

    Weighting the maps twice and convolving both is one convolution with weighted kernels.

    Returns:
        Maps [N, C, H, W] and logits [N, 2].
    """
    average = F.adaptive_avg_pool2d(x, 1).flatten(1)
    largest = F.adaptive_max_pool2d(x, 1).flatten(1)
    logits = paddle.concat([gap_fc(average), gmp_fc(largest)], axis=1)
    # PaddleGAN's map of the discriminator uses the weights before spectral normalisation.
    on_average, on_largest = (
        getattr(fc, "weight_orig", fc.weight).t().unsqueeze(-1).unsqueeze(-1)
        for fc in (gap_fc, gmp_fc)
    )
    first, second = conv1x1.weight.split(2, axis=1)
    weight = first * on_average + second * on_largest
    return F.conv2d(x, weight, conv1x1.bias), logits


def style_layers(channels: int, img_size: int, light: bool) -> nn.Sequential:
    """Return what computes style features [N, channels] from what `pooled` gives."""
    inputs = channels if light else channels * (img_size // 4) ** 2
    return nn.Sequential(linear(inputs, channels), nn.ReLU(), linear(channels, channels), nn.ReLU())


def pooled(x: paddle.Tensor, light: bool) -> paddle.Tensor:
    """Return maps [N, C, H, W] as [N, C], their averages, or, if not `light`, as [N, C * H * W]."""
    return (F.adaptive_avg_pool2d(x, 1) if light else x).flatten(1)


def check_full_size(x: paddle.Tensor, net: nn.Layer) -> None:
    """Refuse pictures of another size than the one that a full generator is built for.

    Raises:
        ConfigError: `x` [N, C, H, W] is not img_size x img_size.
    """
    height, width = x.shape[2:]
    if not net.light and (height, width) != (net.img_size, net.img_size):
        raise ConfigError(
            f"the full generator of U-GAT-IT takes pictures of {net.img_size} x {net.img_size} "
            f"pixels, got {width} x {height}: resize them, set img_size, or use light: True"
        )


def doubling(channels: int) -> list[nn.Layer]:
    """Return layers that double the size and halve the channels."""
    return [
        nn.Upsample(scale_factor=2, mode="nearest"),
        ReflectionPad2D(1),
        Conv2D(channels, channels // 2, 3, bias_attr=False),
        ILN(channels // 2),
        nn.ReLU(),
    ]
