# SPDX-License-Identifier: Apache-2.0
"""Deformable convolutions (Dai et al. 2017, arXiv:1703.06211; Zhu et al. 2019, arXiv:1811.11168).

They sample their input, bilinearly, at places that are computed for each pixel. `DeformConv2D` is
Paddle's layer, faster on CPUs: Paddle's operator visits one value after the other, and takes eight
times as long backward as forward. Here all four neighbours of a place lie side by side in one row
of a table, so that sampling is `gather`, small products, and one large product with the weights.
Results equal Paddle's up to rounding.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.autograd import PyLayer
from paddle.vision import ops

from ppzoo.nn.conv import Conv2D, as_geometry
from ppzoo.nn.conv_plans import Geometry, Pair

# Values that are gathered at once: more would leave the caches, and take memory for nothing.
_MOST_GATHERED = 2**23
# Sampled values below which Paddle's operator is as fast: it is one call instead of thirty.
_FEW_SAMPLED = 2**17
# Channels in a group below which Paddle's operator is as fast forward.
_FEW_CHANNELS = 8


class DeformConv2D(ops.DeformConv2D):
    """`paddle.vision.ops.DeformConv2D` that is fast on CPUs; arguments and state dict are the same.

    Its gradient cannot be differentiated in its turn, as Paddle's cannot.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        deformable_groups: int = 1,
        groups: int = 1,
        weight_attr: Any = None,
        bias_attr: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            deformable_groups=deformable_groups,
            groups=groups,
            weight_attr=weight_attr,
            bias_attr=bias_attr,
        )
        plain = groups == 1 and not (
            in_channels % deformable_groups or out_channels % deformable_groups
        )
        self._geometry = as_geometry(kernel_size, stride, padding, dilation) if plain else None
        self._sampled_groups = deformable_groups

    def forward(
        self, x: paddle.Tensor, offset: paddle.Tensor, mask: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        """Convolve `x` [N, C, H, W], sampled at places of its own for each output.

        Args:
            x: the input.
            offset: [N, 2 G K, H', W'] for G groups and K taps: how far, in pixels, each sample is
                from where an ordinary convolution takes it, down and to the right by turns.
            mask: [N, G K, H', W'], what each sample is multiplied by; None for 1.
        """
        if not paddle.in_dynamic_mode():
            return ops.DeformConv2D.forward(self, x, offset, mask)
        tensors = [x, offset, self.weight] + ([] if mask is None else [mask])
        taken = offset.size // 2 * (x.shape[1] // self._sampled_groups)
        if self._geometry is None or not all(map(_is_plain, tensors)) or taken < _FEW_SAMPLED:
            return ops.DeformConv2D.forward(self, x, offset, mask)
        if mask is None:
            n, rows, h, w = offset.shape
            mask = paddle.ones([n, rows // 2, h, w])
        sampling = _sampling(self._geometry, tuple(x.shape[2:]), self._sampled_groups)
        y = _DeformConvolve.apply(x, offset, mask, self.weight, sampling)
        return y if self.bias is None else y + self.bias.reshape([1, -1, 1, 1])


class OffsetDeformConv2D(nn.Layer):
    """A 3 x 3 deformable convolution that another feature map tells where to sample.

    State-dict keys are those of PaddleGAN's `DCNPack`. To begin with, all offsets are 0 and all
    samples count one half: an ordinary convolution with half its weights.

    Args:
        channels: of both feature maps, and of the result.
        groups: groups of channels that are sampled at places of their own.
    """

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        zero = nn.initializer.Constant(0.0)
        # For each group and tap: vertical and horizontal offset by turns, then all samples' logits.
        self.conv_offset_mask = Conv2D(
            channels, groups * 3 * 9, 3, padding=1, weight_attr=zero, bias_attr=zero
        )
        self.dcn = DeformConv2D(channels, channels, 3, padding=1, deformable_groups=groups)
        self._offsets = groups * 2 * 9

    def forward(self, x: paddle.Tensor, guide: paddle.Tensor) -> paddle.Tensor:
        """Convolve `x` [N, C, H, W] at places that `guide`, of the same shape, leads to."""
        places = self.conv_offset_mask(guide)  # [N, groups * 27, H, W]
        offset, logits = places[:, : self._offsets], places[:, self._offsets :]
        return self.dcn(x, offset, F.sigmoid(logits))


class _Places(NamedTuple):
    """Where some outputs of N pictures sample them.

    Args:
        row: [S], int64, of the table, its top left neighbour's; S samples in the order of pictures,
            outputs, groups, taps.
        down: [S], the share of the lower neighbours.
        right: [S], the share of the right neighbours.
        inside: two of [S], 1 where moving the place up or down, left or right, changes anything.
    """

    row: paddle.Tensor
    down: paddle.Tensor
    right: paddle.Tensor
    inside: tuple[paddle.Tensor, paddle.Tensor]


class _Sampling:
    """How one deformable convolution samples pictures of one size.

    The table of a picture has a row [4 * c] for each place between pixels and each of G groups of c
    channels: the four pixels around it, zeros beyond the borders.

    Args:
        geometry: of the ordinary convolution.
        size: height and width of the input.
        groups: groups of channels that are sampled at places of their own.
    """

    def __init__(self, geometry: Geometry, size: Pair, groups: int) -> None:
        self.geometry, self.size, self.groups = geometry, size, groups
        self.output_size = geometry.output_size(size)
        self.area = self.output_size[0] * self.output_size[1]
        self.taps = geometry.kernel[0] * geometry.kernel[1]
        height, width = size
        self._pixels = height * width * groups + 1  # the last one is a zero
        # The place before the first pixel belongs to the border, as does that behind the last.
        top, left = (a.reshape(-1, 1) for a in np.mgrid[-1 : height + 1, -1 : width + 1])
        corners = []
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            y, x = top + down, left + right
            is_pixel = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            pixel = (y * width + x) * groups + np.arange(groups)
            corners.append(np.where(is_pixel, pixel, self._pixels - 1))
        self._corners = np.stack(corners, axis=-1).reshape(-1)
        self.rows = len(self._corners) // 4
        self._corners_of: dict[int, paddle.Tensor] = {}
        taps = np.mgrid[: geometry.kernel[0], : geometry.kernel[1]].reshape(2, -1)
        outputs = np.mgrid[: self.output_size[0], : self.output_size[1]].reshape(2, -1)
        self._begin = []
        for axis in range(2):
            tap = np.tile(taps[axis] * geometry.dilation[axis] - geometry.padding[axis], groups)
            output = outputs[axis] * geometry.stride[axis]
            pair = tap.astype("float32").reshape(1, -1), output.astype("float32").reshape(-1, 1)
            self._begin.append(tuple(map(_constant, pair)))
        group = np.repeat(np.arange(groups), self.taps).astype("int64")
        self._group = _constant(group.reshape(1, -1))

    def chunks(self, pictures: int, channels: int) -> list[tuple[slice, list[slice]]]:
        """Return the ranges of pictures, and those of their outputs, that are computed at once."""
        outputs = max(1, _MOST_GATHERED // (4 * self.taps * channels))
        step = max(1, outputs // self.area)
        return [(part, _ranges(self.area, outputs)) for part in _ranges(pictures, step)]

    def table(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return the tables [N * rows, 4 * c] of pictures [N, C, H, W], one below the other."""
        n, channels = x.shape[:2]
        c = channels // self.groups
        if n not in self._corners_of:
            first = np.arange(n).reshape(-1, 1) * self._pixels
            self._corners_of[n] = _constant((first + self._corners).reshape(-1).astype("int64"))
        pixels = x.reshape([n, channels, -1]).transpose([0, 2, 1]).reshape([n, -1, c])
        pixels = paddle.concat([pixels, paddle.zeros([n, 1, c])], axis=1).reshape([-1, c])
        return paddle.gather(pixels, self._corners_of[n]).reshape([-1, 4 * c])

    def places(self, offset: paddle.Tensor, outputs: slice) -> _Places:
        """Return where some outputs sample, given offsets [N, 2 * G * K, H', W']."""
        n = offset.shape[0]
        pairs = offset.reshape([n, -1, 2, self.area])
        firsts, shares, inside = [], [], []
        for axis, side in enumerate(self.size):
            tap, output = self._begin[axis]
            place = _by_output(pairs[:, :, axis], outputs) + tap + output[outputs]
            held = place.clip(-1.0, float(side))  # [N, outputs, G * K]
            first = held.floor()
            firsts.append(first.astype("int64"))
            shares.append((held - first).reshape([-1]))
            is_inside = (place > -1.0).logical_and(place < float(side))
            inside.append(is_inside.astype("float32").reshape([-1]))
        row = ((firsts[0] + 1) * (self.size[1] + 2) + (firsts[1] + 1)) * self.groups + self._group
        # Where an offset is not a number, the row must still be one of the table.
        row = row.clip(0, self.rows - 1)
        if n > 1:
            row += (paddle.arange(n, dtype="int64") * self.rows).reshape([-1, 1, 1])
        return _Places(row.reshape([-1]), *shares, tuple(inside))

    def paddles(
        self, x: paddle.Tensor, offset: paddle.Tensor, mask: paddle.Tensor, weight: paddle.Tensor
    ) -> paddle.Tensor:
        """Return what Paddle's operator makes of pictures."""
        _, stride, padding, dilation = dataclasses.astuple(self.geometry)
        return ops.deform_conv2d(
            x, offset, weight, None, stride, padding, dilation, self.groups, 1, mask
        )

    def filters(self, weight: paddle.Tensor) -> paddle.Tensor:
        """Return weights [O, C, kh, kw] as [G * K * c, O], in the order of the samples."""
        w = weight.reshape([weight.shape[0], self.groups, -1, self.taps])  # [O, G, c, K]
        return w.transpose([1, 3, 2, 0]).reshape([-1, weight.shape[0]])

    def unfilter(self, filters: paddle.Tensor) -> paddle.Tensor:
        """Return what `filters` made, as weights again."""
        o = filters.shape[1]
        w = filters.reshape([self.groups, self.taps, -1, o]).transpose([3, 0, 2, 1])
        return w.reshape([o, -1, *self.geometry.kernel])


@functools.lru_cache(maxsize=8)  # films and pyramids have few sizes, and each has large tables
def _sampling(geometry: Geometry, size: Pair, groups: int) -> _Sampling:
    return _Sampling(geometry, size, groups)


class _DeformConvolve(PyLayer):
    """A deformable convolution without bias. It keeps its inputs only and samples them again."""

    @staticmethod
    def forward(
        ctx: Any,
        x: paddle.Tensor,
        offset: paddle.Tensor,
        mask: paddle.Tensor,
        weight: paddle.Tensor,
        sampling: _Sampling,
    ) -> paddle.Tensor:
        ctx.save_for_backward(x, offset, mask, weight)
        ctx.sampling = sampling
        if x.shape[1] // sampling.groups < _FEW_CHANNELS:
            return sampling.paddles(x, offset, mask, weight)
        filters = sampling.filters(weight)
        results = []
        for part, ranges in sampling.chunks(*x.shape[:2]):
            table, rows = sampling.table(x[part]), []
            for outputs in ranges:
                places = sampling.places(offset[part], outputs)
                factor = _by_output(mask[part], outputs).reshape([-1])
                samples = _mix(_shares(places, factor), paddle.gather(table, places.row))
                y = paddle.matmul(samples.reshape([-1, filters.shape[0]]), filters)
                rows.append(y.reshape([part.stop - part.start, -1, y.shape[1]]))
            # [n, outputs, O] -> [n, O, H', W']
            result = paddle.concat(rows, axis=1).transpose([0, 2, 1])
            results.append(result.reshape([*result.shape[:2], *sampling.output_size]))
        return paddle.concat(results)

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        x, offset, mask, weight = ctx.saved_tensor()
        sampling = ctx.sampling
        filters = sampling.filters(weight)
        filters_gradient = paddle.zeros_like(filters)
        parts: list[tuple[paddle.Tensor, ...]] = []
        for part, ranges in sampling.chunks(*x.shape[:2]):
            inputs = (x[part], offset[part], mask[part], gradient[part])
            *others, of_filters = _gradients(sampling, filters, ranges, *inputs)
            filters_gradient += of_filters
            parts.append(tuple(others))
        gradients = [paddle.concat(list(column)) for column in zip(*parts, strict=True)]
        gradients.append(sampling.unfilter(filters_gradient))
        return tuple(
            None if tensor.stop_gradient else value
            for tensor, value in zip((x, offset, mask, weight), gradients, strict=True)
        )


def _gradients(
    sampling: _Sampling,
    filters: paddle.Tensor,
    ranges: Sequence[slice],
    x: paddle.Tensor,
    offset: paddle.Tensor,
    mask: paddle.Tensor,
    gradient: paddle.Tensor,
) -> tuple[paddle.Tensor, ...]:
    """Return the gradients of some pictures, their offsets, their mask, and the filters."""
    n, c = x.shape[0], x.shape[1] // sampling.groups
    with paddle.enable_grad():
        source = x.detach()
        source.stop_gradient = False
        table = sampling.table(source)
        leaf = table.detach()
        leaf.stop_gradient = False
    table_gradient = paddle.zeros_like(table)
    filters_gradient = paddle.zeros_like(filters)
    offsets, masks = [], []
    for outputs in ranges:
        places = sampling.places(offset, outputs)
        factor = _by_output(mask, outputs).reshape([-1])
        with paddle.enable_grad():
            # Of all operators that gather, this one has the fastest gradient.
            gathered = F.embedding(places.row, leaf)
        around = gathered.detach()
        shares = _shares(places, factor)  # [S, 4]
        samples = _mix(shares, around).reshape([-1, filters.shape[0]])
        of_outputs = _by_output(gradient, outputs).reshape([-1, filters.shape[1]])
        filters_gradient += paddle.matmul(samples, of_outputs, transpose_x=True)
        back = paddle.matmul(of_outputs, filters, transpose_y=True).reshape([-1, c])
        spread = paddle.matmul(shares, _repeat(c)) * paddle.matmul(back, _tile(c))  # [S, 4 * c]
        table_gradient += paddle.grad(gathered, leaf, spread)[0]
        corners = paddle.matmul(
            back.reshape([-1, 1, c]), around.reshape([-1, 4, c]), transpose_y=True
        )
        down, right, of_factor = (
            part.reshape([n, outputs.stop - outputs.start, -1]).transpose([0, 2, 1])
            for part in _place_gradients(places, factor, corners.reshape([-1, 4]))
        )
        offsets.append(paddle.stack([down, right], axis=2))  # [n, G * K, 2, outputs]
        masks.append(of_factor)
    return (
        paddle.grad(table, source, table_gradient)[0],
        paddle.concat(offsets, axis=3).reshape(offset.shape),
        paddle.concat(masks, axis=2).reshape(mask.shape),
        filters_gradient,
    )


def _place_gradients(
    places: _Places, factor: paddle.Tensor, corners: paddle.Tensor
) -> tuple[paddle.Tensor, ...]:
    """Return the gradients [S] of places, down and to the right, and of the factors of samples.

    Args:
        places: of the samples.
        factor: of each sample, [S].
        corners: [S, 4], the gradient that a share of each neighbour would have.
    """
    a, b, c, d = corners.t().contiguous()
    upper, lower = a + (b - a) * places.right, c + (d - c) * places.right
    of_factor = upper + (lower - upper) * places.down
    down = (lower - upper) * factor * places.inside[0]
    right = ((b - a) + ((d - c) - (b - a)) * places.down) * factor * places.inside[1]
    return down, right, of_factor


def _shares(places: _Places, factor: paddle.Tensor) -> paddle.Tensor:
    """Return what each of the four neighbours adds to a sample, [S, 4]."""
    lower = places.down * factor
    upper = factor - lower
    upper_right, lower_right = upper * places.right, lower * places.right
    corners = [upper - upper_right, upper_right, lower - lower_right, lower_right]
    return paddle.stack(corners).t().contiguous()


def _mix(shares: paddle.Tensor, around: paddle.Tensor) -> paddle.Tensor:
    """Return samples [S, 1, c] of shares [S, 4] in neighbours [S, 4 * c]."""
    return paddle.matmul(shares.unsqueeze(1), around.reshape([len(around), 4, -1]))


def _by_output(x: paddle.Tensor, outputs: slice) -> paddle.Tensor:
    """Return [N, outputs, rows] of [N, rows, ...]."""
    return x.reshape([*x.shape[:2], -1])[:, :, outputs].transpose([0, 2, 1])


def _ranges(length: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, length)) for i in range(0, length, step)]


@functools.cache
def _repeat(c: int) -> paddle.Tensor:
    """Return the matrix [4, 4 * c] that repeats each of four values c times."""
    return _constant(np.kron(np.eye(4), np.ones((1, c))).astype("float32"))


@functools.cache
def _tile(c: int) -> paddle.Tensor:
    """Return the matrix [c, 4 * c] that repeats c values four times."""
    return _constant(np.tile(np.eye(c), (1, 4)).astype("float32"))


def _constant(array: np.ndarray) -> paddle.Tensor:
    return paddle.to_tensor(array, place=paddle.CPUPlace())


def _is_plain(x: paddle.Tensor) -> bool:
    return (
        paddle.in_dynamic_mode()
        and x.place.is_cpu_place()
        and x.ndim == 4
        and x.dtype == paddle.float32
        and x.size > 0
    )
