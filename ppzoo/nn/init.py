# SPDX-License-Identifier: Apache-2.0
"""Weight initialisation that networks share."""

from __future__ import annotations

from typing import Literal

import numpy as np
import paddle
from paddle import nn

from ppzoo.nn.norm import SpectralNorm

InitType = Literal["normal", "xavier", "kaiming"]


def init_weights(net: nn.Layer, init_type: InitType = "normal", gain: float = 0.02) -> nn.Layer:
    """Initialise a network as the GAN papers do, and return it.

    Convolutions and linear layers draw from the distribution of `init_type`, biases become 0;
    batch-norm scales draw from N(1, gain). DCGAN (Radford et al. 2016, arXiv:1511.06434) and
    pix2pix use `normal` with a gain of 0.02. Frozen parameters keep their values.

    Args:
        net: the network, changed in place.
        init_type: `normal` N(0, gain), `xavier` (Glorot normal times gain) or `kaiming` (He).
        gain: the standard deviation, or the factor for `xavier`.
    """
    for layer in net.sublayers(include_self=True):
        if isinstance(layer, SpectralNorm):
            weight, bias = layer.weight_orig, layer.layer.bias
        else:
            # `paddle.nn.utils.spectral_norm` moves the parameter and leaves what it computes.
            weight = getattr(layer, "weight_orig", getattr(layer, "weight", None))
            bias = getattr(layer, "bias", None)
        if weight is None or weight.stop_gradient:
            continue
        if weight.ndim >= 2:
            _initializer(init_type, gain, weight)(weight)
        elif isinstance(layer, (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)):
            nn.initializer.Normal(1.0, gain)(weight)
        if bias is not None and not bias.stop_gradient:
            nn.initializer.Constant(0.0)(bias)
    return net


def _initializer(
    init_type: InitType, gain: float, weight: paddle.Tensor
) -> nn.initializer.Initializer:
    if init_type == "normal":
        return nn.initializer.Normal(0.0, gain)
    if init_type == "kaiming":
        return nn.initializer.KaimingNormal()
    if init_type == "xavier":
        receptive_field = 1
        for size in weight.shape[2:]:
            receptive_field *= size
        fan_sum = (weight.shape[0] + weight.shape[1]) * receptive_field
        return nn.initializer.Normal(0.0, gain * (2.0 / fan_sum) ** 0.5)
    raise ValueError(f"init_type is {init_type!r}, expected 'normal', 'xavier' or 'kaiming'")


def bilinear_kernels(factor: int) -> np.ndarray:
    """Return what makes the pixels of a bilinear enlargement out of a pixel and its neighbours.

    Args:
        factor: how many times higher and wider the enlargement is.

    Returns:
        float32 [factor * factor, 3, 3]: the kernel of each pixel that takes the place of one, row
        by row, as PixelShuffle orders them.
    """
    offsets = (np.arange(factor) + 0.5) / factor - 0.5  # of the new pixels' centres from the old
    weights = np.stack([np.maximum(-offsets, 0), 1 - abs(offsets), np.maximum(offsets, 0)], axis=1)
    kernels = weights[:, np.newaxis, :, np.newaxis] * weights[np.newaxis, :, np.newaxis, :]
    return kernels.reshape(-1, 3, 3).astype(np.float32)


@paddle.no_grad()
def hand_through(conv: nn.Layer, channels: int, kernels: np.ndarray | None = None) -> None:
    """Let the first channels of a convolution come out filtered and nothing else, at the start.

    Args:
        conv: a convolution with an odd kernel, changed in place.
        channels: how many channels.
        kernels: [P, k, k], the filters of the P outputs that each channel has; one, the identity,
            by default.
    """
    kernels = np.ones((1, 1, 1), np.float32) if kernels is None else kernels
    weight = conv.weight.numpy()
    rows, margin = channels * len(kernels), (weight.shape[-1] - kernels.shape[-1]) // 2
    weight[:rows] = 0.0
    inner = slice(margin, margin + kernels.shape[-1])
    for row in range(rows):
        weight[row, row // len(kernels), inner, inner] = kernels[row % len(kernels)]
    conv.weight.set_value(weight)
    if conv.bias is not None:
        bias = conv.bias.numpy()
        bias[:rows] = 0.0
        conv.bias.set_value(bias)


@paddle.no_grad()
def start_at_zero(conv: nn.Layer) -> None:
    """Let a convolution, at the start, add nothing: weights and biases become 0."""
    conv.weight.set_value(paddle.zeros_like(conv.weight))
    if conv.bias is not None:
        conv.bias.set_value(paddle.zeros_like(conv.bias))
