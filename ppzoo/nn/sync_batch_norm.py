# SPDX-License-Identifier: Apache-2.0
"""Batch norm over the batches of all processes, on CPUs (gloo) as well as on GPUs (NCCL).

Paddle's own `SyncBatchNorm` runs on GPUs only.
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.autograd import PyLayer


class SyncBatchNorm(nn.Layer):
    """A batch norm whose training statistics are those of all processes together.

    Parameters and state dict are those of the layer that it replaces, and so is
    everything that it does in eval mode, where processes need not move in step. It cannot be
    differentiated twice, so a gradient penalty does not go with it.

    Args:
        norm: the layer to replace, a `BatchNorm1D`, `BatchNorm2D` or `BatchNorm3D` of Paddle's.
    """

    def __init__(self, norm: nn.Layer) -> None:
        super().__init__()
        # Paddle keeps running statistics as frozen parameters.
        self.weight, self.bias = norm.weight, norm.bias
        self._mean, self._variance = norm._mean, norm._variance
        self._momentum, self._epsilon = norm._momentum, norm._epsilon
        # In a tuple, for it must not become a sublayer with a state of its own.
        self._alone = (norm,)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Normalise `x` [N, C, ...] over all axes but the second, and over all processes."""
        if not self.training:
            (norm,) = self._alone
            norm.training = False
            return norm(x)
        mean, variance = _global_moments(x.detach().astype("float32"))
        with paddle.no_grad():
            for running, value in ((self._mean, mean), (self._variance, variance)):
                running.set_value(running * self._momentum + value * (1.0 - self._momentum))
        shape = [1, -1] + [1] * (x.ndim - 2)
        inverse = paddle.rsqrt(variance + self._epsilon)
        y = _Normalize.apply(x, mean.reshape(shape), inverse.reshape(shape))
        if self.weight is not None:
            y = y * self.weight.reshape(shape)
        return y if self.bias is None else y + self.bias.reshape(shape)


def sync_batch_norms(net: nn.Layer) -> nn.Layer:
    """Replace every batch norm in a network, in place, before its optimizer is built."""
    for parent in net.sublayers(include_self=True):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)):
                parent.add_sublayer(name, SyncBatchNorm(layer))
    return net


class _Normalize(PyLayer):
    """(x - mean) / deviation, where both depend on the `x` of all processes."""

    @staticmethod
    def forward(
        ctx: paddle.autograd.PyLayerContext,
        x: paddle.Tensor,
        mean: paddle.Tensor,
        inverse: paddle.Tensor,
    ) -> paddle.Tensor:
        normal = (x.astype("float32") - mean) * inverse
        ctx.save_for_backward(normal, inverse)
        return normal.astype(x.dtype)

    @staticmethod
    def backward(
        ctx: paddle.autograd.PyLayerContext, gradient: paddle.Tensor
    ) -> tuple[paddle.Tensor, None, None]:
        normal, inverse = ctx.saved_tensor()
        exact = gradient.astype("float32")
        axes = _axes(exact)
        # The derivative of the sum of all processes' losses: what one process does with its x
        # moves the others' outputs, too.
        sums = paddle.stack([exact.sum(axes), (exact * normal).sum(axes), _count(exact)])
        paddle.distributed.all_reduce(sums)
        shape = inverse.shape
        mean, slope = (sums[0] / sums[2]).reshape(shape), (sums[1] / sums[2]).reshape(shape)
        return ((exact - mean - normal * slope) * inverse).astype(gradient.dtype), None, None


def _global_moments(x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Return mean and variance [C] of the batches of all processes, from those of each."""
    axes = _axes(x)
    mean = x.mean(axes)
    variance = (x - mean.reshape([1, -1] + [1] * (x.ndim - 2))).square().mean(axes)
    parts: list[paddle.Tensor] = []
    paddle.distributed.all_gather(parts, paddle.stack([mean, variance, _count(x)]))
    means, variances, counts = paddle.stack(parts, axis=1)  # each [processes, C]
    shares = counts / counts.sum(0, keepdim=True)
    total = (shares * means).sum(0)
    return total, (shares * (variances + (means - total).square())).sum(0)


def _axes(x: paddle.Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]


def _count(x: paddle.Tensor) -> paddle.Tensor:
    """Return how many values a channel has, [C]."""
    return paddle.full([x.shape[1]], x.size // x.shape[1], "float32")
