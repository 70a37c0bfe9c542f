# SPDX-License-Identifier: Apache-2.0
"""Normalisation layers under the `norm_type` names of PaddleGAN's configs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import nn

NormType = Literal["batch", "instance", "spectral", "none"]


class BatchNormOfBatch(nn.BatchNorm2D):
    """Batch norm that uses the statistics of the current batch in eval mode too.

    PaddleGAN's `norm_type: batch` behaves so (its `trainable_statistics`), and weights trained
    with it were judged that way. Running statistics are kept for its checkpoint layout only.
    """

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Normalise `x` [N, C, H, W] over N, H and W."""
        if not self.training and not paddle.in_dynamic_mode():
            return self._normalise_exported(x)
        return F.batch_norm(
            x,
            self._mean,
            self._variance,
            weight=self.weight,
            bias=self.bias,
            training=True,
            # Looking at a network must not change it: with 1 the running statistics stay.
            momentum=self._momentum if self.training else 1.0,
            epsilon=self._epsilon,
            data_format=self._data_format,
        )

    def _normalise_exported(self, x: paddle.Tensor) -> paddle.Tensor:
        # Saving a network for inference turns every batch norm to its running statistics, as do
        # the passes of Paddle Inference and the converter to ONNX; arithmetic is left alone.
        shape, axes, size = [1, -1, 1, 1], [0, 2, 3], paddle.shape(x)
        # Sums, because oneDNN's mean writes a line to the standard output.
        number = (size[0] * size[2] * size[3]).astype(x.dtype)
        centred = x - x.sum(axes, keepdim=True) / number
        variance = (centred * centred).sum(axes, keepdim=True) / number
        scale = paddle.rsqrt(variance + self._epsilon) * self.weight.reshape(shape)
        return centred * scale + self.bias.reshape(shape)


class SpectralNorm(nn.Layer):
    """A convolution or linear layer whose weight is divided by its largest singular value.

    Miyato et al. 2018 (arXiv:1802.05957). One power iteration a training step estimates the
    singular value. The estimate is kept between steps; PaddleGAN starts from the stored vectors
    anew each time.

    Args:
        layer: the layer to normalise; its own `weight` moves to `weight_orig` here.
        dim: the weight's axis of output channels, 0 for a convolution, 1 for a linear layer.
        power_iterations: iterations a training step.
        epsilon: guards the division by a vector's norm.
    """

    def __init__(
        self, layer: nn.Layer, dim: int = 0, power_iterations: int = 1, epsilon: float = 1e-12
    ) -> None:
        super().__init__()
        self.weight_orig = self.create_parameter(layer.weight.shape)
        self.weight_orig.set_value(layer.weight)
        del layer.weight
        self.spectral_norm = _SingularVectors(self.weight_orig, dim)
        self.layer = layer
        self._dim, self._power_iterations, self._epsilon = dim, power_iterations, epsilon

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Apply the layer with its normalised weight."""
        rows = self._as_matrix(self.weight_orig)
        u, v = self.spectral_norm.weight_u, self.spectral_norm.weight_v
        if self.training:
            with paddle.no_grad():
                for _ in range(self._power_iterations):
                    v = F.normalize(paddle.mv(rows.t(), u), axis=0, epsilon=self._epsilon)
                    u = F.normalize(paddle.mv(rows, v), axis=0, epsilon=self._epsilon)
                self.spectral_norm.weight_u.set_value(u)
                self.spectral_norm.weight_v.set_value(v)
        sigma = paddle.sum(u * paddle.mv(rows, v))
        self.layer.weight = self.weight_orig / sigma
        out = self.layer(x)
        # Not kept: the layer would have it as a buffer, and with it the graph of this call.
        del self.layer.weight
        return out

    def _as_matrix(self, weight: paddle.Tensor) -> paddle.Tensor:
        order = [self._dim] + [axis for axis in range(weight.ndim) if axis != self._dim]
        return weight.transpose(order).reshape([weight.shape[self._dim], -1])


class _SingularVectors(nn.Layer):
    """The left and right singular vectors, under PaddleGAN's checkpoint keys."""

    def __init__(self, weight: paddle.Tensor, dim: int) -> None:
        super().__init__()
        height = weight.shape[dim]
        width = weight.size // height
        for name, size in (("weight_u", int(height)), ("weight_v", int(width))):
            self.register_buffer(name, F.normalize(paddle.randn([size]), axis=0))


class Identity(nn.Layer):
    """The input, unchanged; keeps its place in a Sequential's numbering."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return `x`."""
        return x


def build_norm_layer(norm_type: NormType = "instance") -> Callable[..., nn.Layer]:
    """Return what makes a normalisation layer from a number of channels.

    `instance` has a scale and a bias in its state dict that are frozen at 1 and 0 (PaddleGAN's
    layout). `spectral` wraps the preceding layer instead of taking a channel count.

    Raises:
        ValueError: an unknown `norm_type`.
    """
    if norm_type == "batch":
        return lambda channels: BatchNormOfBatch(
            channels, weight_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(1.0, 0.02))
        )
    if norm_type == "instance":
        return lambda channels: nn.InstanceNorm2D(
            channels,
            weight_attr=paddle.ParamAttr(initializer=nn.initializer.Constant(1.0), trainable=False),
            bias_attr=paddle.ParamAttr(initializer=nn.initializer.Constant(0.0), trainable=False),
        )
    if norm_type == "spectral":
        return SpectralNorm
    if norm_type == "none":
        return lambda channels: Identity()
    raise ValueError(
        f"norm_type is {norm_type!r}, expected 'batch', 'instance', 'spectral' or 'none'"
    )
