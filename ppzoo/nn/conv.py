# SPDX-License-Identifier: Apache-2.0
"""Convolutions: Paddle's layers, faster on CPUs.

State dicts, initialisation and results are those of `paddle.nn.Conv2D` and `Conv2DTranspose`. On a
CPU, in float32, with zero padding and one group, `ppzoo.nn.conv_plans` says how to go about it;
everything else, GPUs and exported graphs among it, goes to Paddle's own layers.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.conv_plans import Geometry, Pair, plan_for, transposing_plan_for

__all__ = ["Conv2D", "Conv2DTranspose", "UpsampleConv2D"]


class Conv2D(nn.Conv2D):
    """`paddle.nn.Conv2D` that is fast on CPUs; arguments and state dict are the same."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        weight_attr: Any = None,
        bias_attr: Any = None,
        data_format: Literal["NCHW", "NHWC"] = "NCHW",
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            padding_mode=padding_mode,
            weight_attr=weight_attr,
            bias_attr=bias_attr,
            data_format=data_format,
        )
        plain = groups == 1 and padding_mode == "zeros" and data_format == "NCHW"
        self._geometry = as_geometry(kernel_size, stride, padding, dilation) if plain else None

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Convolve `x` [N, C, H, W].

        Raises:
            ConfigError: `x` has other channels, or is smaller than the kernel, which Paddle answers
                by corrupting memory.
        """
        g = self._geometry
        _check_channels(x, g, self.weight.shape[1])
        if _is_too_small(x, g):
            raise ConfigError(
                f"a convolution with a kernel of {g.kernel[0]} x {g.kernel[1]} got {x.shape[2]} x "
                f"{x.shape[3]} pixels: the network needs larger pictures, or fewer layers"
            )
        if g is None or not _is_plain(x, self.weight):
            return nn.Conv2D.forward(self, x)
        n, c, h, w = x.shape
        work = g, (h, w), n, c, self.weight.shape[0]
        plan = plan_for(*work) or transposing_plan_for(*work, _is_trained(x, self.weight))
        if plan is None:
            y = F.conv2d(x, self.weight, stride=g.stride, padding=g.padding, dilation=g.dilation)
        else:
            y = plan.convolve(x, self.weight)
        return _add_bias(y, self.bias)


class Conv2DTranspose(nn.Conv2DTranspose):
    """`paddle.nn.Conv2DTranspose` that is fast on CPUs; arguments and state dict are the same."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        output_padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        weight_attr: Any = None,
        bias_attr: Any = None,
        data_format: Literal["NCHW", "NHWC"] = "NCHW",
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
            weight_attr=weight_attr,
            bias_attr=bias_attr,
            data_format=data_format,
        )
        plain = groups == 1 and data_format == "NCHW"
        self._geometry = as_geometry(kernel_size, stride, padding, dilation) if plain else None
        self._extra = _pair(output_padding)

    def forward(
        self, x: paddle.Tensor, output_size: int | Sequence[int] | None = None
    ) -> paddle.Tensor:
        """Convolve `x` [N, C, H, W] transposed, optionally to an `output_size` (height, width).

        Raises:
            ConfigError: `x` has other channels.
        """
        g = self._geometry
        _check_channels(x, g, self.weight.shape[0])
        if (
            g is None
            or self._extra is None
            or output_size is not None
            or not _is_plain(x, self.weight)
        ):
            return nn.Conv2DTranspose.forward(self, x, output_size)
        n, c, h, w = x.shape
        size = tuple(a + b for a, b in zip(g.input_size((h, w)), self._extra, strict=True))
        plan = None
        if min(size) > 0 and g.output_size(size) == (h, w):
            plan = plan_for(g, size, n, self.weight.shape[1], c)
        if plan is None:
            y = F.conv2d_transpose(
                x,
                self.weight,
                stride=g.stride,
                padding=g.padding,
                output_padding=self._extra,
                dilation=g.dilation,
            )
        else:
            y = plan.transpose(x, self.weight)
        return _add_bias(y, self.bias)


class UpsampleConv2D(Conv2D):
    """Nearest upsampling to twice the size, then a 3 x 3 convolution with padding 1.

    On CPUs and in exported graphs the two are one transposed convolution of stride 2 with a 4 x 4
    kernel, each tap of which is the sum of those of the 3 x 3 kernel that meet the same pixel: 16
    products for four outputs instead of 36, and no upsampled picture. (The same identity as in
    Odena, Dumoulin & Olah 2016, "Deconvolution and checkerboard artifacts", read backwards.)

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        weight_attr: as in `Conv2D`.
        bias_attr: as in `Conv2D`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, weight_attr: Any = None, bias_attr: Any = None
    ) -> None:
        super().__init__(
            in_channels, out_channels, 3, padding=1, weight_attr=weight_attr, bias_attr=bias_attr
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, 2 H, 2 W]."""
        o, c = self.weight.shape[:2]
        _check_channels(x, self._geometry, c)
        if not paddle.in_dynamic_mode():
            return F.conv2d_transpose(x, self._wide_weight(), self.bias, stride=2, padding=1)
        if _is_plain(x, self.weight):
            n, _, h, w = x.shape
            plan = plan_for(_UPSAMPLING, (2 * h, 2 * w), n, o, c)
            if plan is not None:
                return _add_bias(plan.transpose(x, self._wide_weight()), self.bias)
            if not _is_trained(x, self.weight):
                y = F.conv2d_transpose(x, self._wide_weight(), stride=2, padding=1)
                return _add_bias(y, self.bias)
        # The gradient of Paddle's transposed convolution cannot be differentiated on CPUs.
        return Conv2D.forward(self, _doubled(x))

    def _wide_weight(self) -> paddle.Tensor:
        """Return the kernel [C, O, 4, 4] of the transposed convolution."""
        o, c = self.weight.shape[:2]
        # A graph holds no tensors of the process that traces it.
        matrix = _wide_kernel() if paddle.in_dynamic_mode() else _wide_kernel.__wrapped__()
        weight = paddle.matmul(self.weight.reshape([o * c, 9]), matrix)
        return weight.reshape([o, c, 16]).transpose([1, 0, 2]).reshape([c, o, 4, 4])


_UPSAMPLING = Geometry(kernel=(4, 4), stride=(2, 2), padding=(1, 1), dilation=(1, 1))


@functools.cache
def _wide_kernel() -> paddle.Tensor:
    """Return the matrix [9, 16] that makes the 4 x 4 kernel of a 3 x 3 one."""
    sums = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]], "float32")
    return paddle.to_tensor(np.kron(sums, sums), place=paddle.CPUPlace())


def _doubled(x: paddle.Tensor) -> paddle.Tensor:
    """Return `x` [N, C, H, W] as [N, C, 2 H, 2 W], each pixel four times."""
    n, c, h, w = x.shape
    # On CPUs interpolation takes twice as long, and its gradient thrice.
    wide = x.reshape([n, c, h, 1, w, 1]).expand([n, c, h, 2, w, 2])
    return wide.reshape([n, c, 2 * h, 2 * w])


def _is_plain(x: paddle.Tensor, weight: paddle.Tensor) -> bool:
    return (
        paddle.in_dynamic_mode()
        and x.place.is_cpu_place()
        and x.ndim == 4
        and x.dtype == paddle.float32
        and weight.dtype == paddle.float32
        and x.size > 0
    )


def _is_trained(x: paddle.Tensor, weight: paddle.Tensor) -> bool:
    return paddle.is_grad_enabled() and not (x.stop_gradient and weight.stop_gradient)


def _check_channels(x: paddle.Tensor, geometry: Geometry | None, channels: int) -> None:
    # Of wrong channels in a config, Paddle would only say that shapes do not fit somewhere.
    is_known = geometry is not None and paddle.in_dynamic_mode() and x.ndim == 4
    if is_known and x.shape[1] != channels:
        raise ConfigError(
            f"a convolution for {channels} channels got {x.shape[1]}: make the channels in the "
            "config (input_nc, output_nc) fit the pictures and each other"
        )


def _is_too_small(x: paddle.Tensor, geometry: Geometry | None) -> bool:
    return (
        geometry is not None
        and paddle.in_dynamic_mode()
        and x.ndim == 4
        and min(geometry.output_size(x.shape[2:])) < 1
    )


def as_geometry(kernel: Any, stride: Any, padding: Any, dilation: Any) -> Geometry | None:
    """Return a layer's arguments as a geometry, None where they are not plain numbers or pairs."""
    pairs = [_pair(value) for value in (kernel, stride, padding, dilation)]
    return None if None in pairs else Geometry(*pairs)


def _pair(value: Any) -> Pair | None:
    """Return (vertical, horizontal) of a number or two, None for what else Paddle takes."""
    if isinstance(value, int):
        return (value, value)
    if not isinstance(value, (list, tuple)) or [type(item) for item in value] != [int, int]:
        return None
    return (value[0], value[1])


def _add_bias(y: paddle.Tensor, bias: paddle.Tensor | None) -> paddle.Tensor:
    if bias is None:
        return y
    n, o, h, w = y.shape
    # Adding [O, 1] to [N, O, H W] takes a tenth of the time of [O, 1, 1] to [N, O, H, W].
    return (y.reshape([n, o, h * w]) + bias.reshape([o, 1])).reshape([n, o, h, w])
