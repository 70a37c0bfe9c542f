# SPDX-License-Identifier: Apache-2.0
"""Ways to convolve a batch on a CPU by a few large matrix products.

Paddle's own CPU convolution goes through a batch picture by picture: it copies the patches of one
on one thread and multiplies them in small pieces. Here the whole batch goes through large products,
which MKL computes on all cores. All ways of doing so have the same form, a product of *spread*
pictures:

    y = collapse(spread(x) * filters(w))

where `spread`, `filters` and `collapse` are linear; their adjoints give the transposed convolution
and all gradients. A `Plan` is one way, and `plan_for` estimates which is the fastest:

- `_FlatPlan` spreads pictures into patches (im2col), all in one matrix: for very small outputs.
- `_MinimalPlan` is minimal filtering (Toom 1963, Winograd 1980; Lavin & Gray 2016,
  arXiv:1509.09308): 16 products instead of 36 for four outputs of a 3 x 3 kernel, 36 instead of 64
  for a 4 x 4 kernel of stride 2. Its transforms are products with constant matrices, which pad,
  and lay the pictures of the batch side by side, on the way: nothing else is ever copied.

For few channels or a single large picture Paddle's own way is as good. Results equal Paddle's up to
rounding; docs/benchmarks.md has the times.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle.autograd import PyLayer

Pair = tuple[int, int]
Map = Callable[[paddle.Tensor], paddle.Tensor]

# Measured on two cores of an AMD EPYC (Zen 3); only their ratios matter, when plans are compared.
_PRODUCTS = 140e9  # floating-point operations a second in a large matrix product
_STREAM = 4e9  # values a second that a thin product reads and writes
_UNFOLD = 1.1e9  # values a second out of `unfold` or into `fold`
_UNFOLD_FAR = 0.6e9  # values a second inside Paddle's convolution where they exceed the cache
_FOLD_FAR = 1e9  # values a second inside its transposed convolution
_CACHED = 2**20  # values that stay in the cache
_TRANSPOSE = 0.6e9  # values a second of a transposition
_CALL = 20e-6  # seconds that a call of an operator takes
_PICTURE = 12e-6  # seconds that Paddle's convolution takes for a picture besides
_FULL_WIDTH = 16  # columns below which a product is as slow as with this many
_MOST_VALUES = 2**28  # in a spread batch: 1 GiB


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What a convolution does to heights and widths; each item is (vertical, horizontal)."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def output_size(self, size: Sequence[int]) -> Pair:
        """Return the output's height and width for an input of `size`."""
        h, w = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                size, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return h, w

    def input_size(self, size: Sequence[int]) -> Pair:
        """Return the smallest input whose output has `size`: what transposing gives."""
        h, w = (
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, k, s, p, d in zip(
                size, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return h, w


def linear(x: paddle.Tensor, function: Map, adjoint: Map) -> paddle.Tensor:
    """Return `function(x)` for a linear function, whose derivative is its adjoint.

    Nothing is kept in memory for the derivative, and it can be differentiated in its turn.
    """
    return _Linear.apply(x, function, adjoint)


class _Linear(PyLayer):
    # One differentiable argument: with more, `paddle.grad` fails unless all are asked for.
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, function: Map, adjoint: Map) -> paddle.Tensor:
        ctx.maps = (function, adjoint)
        return function(x)

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        function, adjoint = ctx.maps
        return linear(gradient, adjoint, function)


class Plan(abc.ABC):
    """One way to convolve pictures of one size.

    x is [N, C, H, W], y [N, O, H', W'], w [O, C, kh, kw]. The forms in which they are multiplied
    are called v, m and u; their shapes are each plan's own matter.
    """

    def __init__(self, geometry: Geometry, size: Pair) -> None:
        self.geometry = geometry
        self.size = size
        self.output_size = geometry.output_size(size)
        self.area = self.output_size[0] * self.output_size[1]
        self.taps = geometry.kernel[0] * geometry.kernel[1]

    def convolve(self, x: paddle.Tensor, w: paddle.Tensor) -> paddle.Tensor:
        """Return y."""
        v = linear(x, self.spread, self.gather)
        m = self.multiply(v, linear(w, self.filters, self.unfilter))
        return linear(m, self.collapse, self.expand)

    def transpose(self, y: paddle.Tensor, w: paddle.Tensor) -> paddle.Tensor:
        """Return x, by the adjoint of `convolve` in x: the transposed convolution."""
        m = linear(y, self.expand, self.collapse)
        v = self.multiply_back(m, linear(w, self.filters, self.unfilter))
        return linear(v, self.gather, self.spread)

    @abc.abstractmethod
    def cost(self, n: int, c: int, o: int) -> float:
        """Return the estimated seconds for a batch of `n`, `c` channels in and `o` out."""

    @abc.abstractmethod
    def spread(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return v."""

    @abc.abstractmethod
    def gather(self, v: paddle.Tensor) -> paddle.Tensor:
        """Return x, by the adjoint of `spread`."""

    @abc.abstractmethod
    def expand(self, y: paddle.Tensor) -> paddle.Tensor:
        """Return m, by the adjoint of `collapse`."""

    @abc.abstractmethod
    def collapse(self, m: paddle.Tensor) -> paddle.Tensor:
        """Return y."""

    @abc.abstractmethod
    def filters(self, w: paddle.Tensor) -> paddle.Tensor:
        """Return u."""

    @abc.abstractmethod
    def unfilter(self, u: paddle.Tensor) -> paddle.Tensor:
        """Return w, by the adjoint of `filters`."""

    def multiply(self, v: paddle.Tensor, u: paddle.Tensor) -> paddle.Tensor:
        """Return m, linear in both v and u."""
        return paddle.matmul(v, u, transpose_y=True)

    def multiply_back(self, m: paddle.Tensor, u: paddle.Tensor) -> paddle.Tensor:
        """Return v, by the adjoint of `multiply` in v."""
        return paddle.matmul(m, u)


class _FlatPlan(Plan):
    """Patches of all pictures as one matrix.

    v is [N H' W', C kh kw], m [N H' W', O], u [O, C kh kw].
    """

    def __init__(self, geometry: Geometry, size: Pair) -> None:
        super().__init__(geometry, size)
        # Paddle 2.6 takes lists only.
        self._window = [list(pair) for pair in dataclasses.astuple(geometry)]
        self._whole = geometry.kernel == size and geometry.padding == (0, 0)

    def cost(self, n: int, c: int, o: int) -> float:
        values = n * c * self.taps * self.area
        if values > _MOST_VALUES:
            return math.inf
        if min(self.size) < 2 and not self._whole:  # Paddle 2.6 does not fold into a single row
            return math.inf
        copies = 0.0 if self._whole else values / _UNFOLD + 3 * _CALL
        if self.area > 1:
            copies += (values + n * o * self.area) / _TRANSPOSE
        return copies + 2 * values * o / _PRODUCTS + _CALL

    def spread(self, x: paddle.Tensor) -> paddle.Tensor:
        if self._whole:
            return x.reshape([x.shape[0], -1])
        return self._flatten(F.unfold(x, *self._window))

    def gather(self, v: paddle.Tensor) -> paddle.Tensor:
        if self._whole:
            return v.reshape([v.shape[0], -1, *self.size])
        return F.fold(self._restore(v), list(self.size), *self._window)

    def expand(self, y: paddle.Tensor) -> paddle.Tensor:
        return self._flatten(y.reshape([y.shape[0], y.shape[1], self.area]))

    def collapse(self, m: paddle.Tensor) -> paddle.Tensor:
        return self._restore(m).reshape([-1, m.shape[1], *self.output_size])

    def filters(self, w: paddle.Tensor) -> paddle.Tensor:
        return w.reshape([w.shape[0], -1])

    def unfilter(self, u: paddle.Tensor) -> paddle.Tensor:
        return u.reshape([u.shape[0], -1, *self.geometry.kernel])

    def _flatten(self, t: paddle.Tensor) -> paddle.Tensor:
        """Return [N H' W', rows] of [N, rows, H' W']."""
        n, rows, area = t.shape
        return (t if area == 1 else t.transpose([0, 2, 1])).reshape([n * area, rows])

    def _restore(self, t: paddle.Tensor) -> paddle.Tensor:
        rows = t.shape[1]
        if self.area == 1:
            return t.reshape([-1, rows, 1])
        return t.reshape([-1, self.area, rows]).transpose([0, 2, 1])


class _MinimalPlan(Plan):
    """Minimal filtering: v [R, T N, C], m [R, T N, O], u [R, O, C] for R products on T tiles.

    Args:
        geometry: without dilation.
        size: height and width of the input.
    """

    def __init__(self, geometry: Geometry, size: Pair) -> None:
        super().__init__(geometry, size)
        vertical, horizontal = (
            _axis(n, k, s, p)
            for n, k, s, p in zip(
                size, geometry.kernel, geometry.stride, geometry.padding, strict=True
            )
        )
        # Heights are transformed for each product along the width by itself, so that the tiles of
        # each end side by side, and one copy of the filters serves all.
        parts = len(horizontal.filters)
        inputs = [_rows(horizontal.inputs), np.stack([_rows(vertical.inputs)] * parts)]
        outputs = [_rows(horizontal.outputs), np.stack([_rows(vertical.outputs)] * parts)]
        filters = np.einsum("bx,ay->bayx", horizontal.filters, vertical.filters)
        self._inputs = [_constant(array) for array in inputs]
        self._outputs = [_constant(array) for array in outputs]
        self._filters = _constant(filters.reshape(-1, self.taps))

    def cost(self, n: int, c: int, o: int) -> float:
        r = self._filters.shape[0]
        filtering = r * o * c * (2 * self.taps / _PRODUCTS + 1 / _STREAM)
        seconds, v = _transform_cost(n * c * self.size[0] * self.size[1], self._inputs)
        collapsing, m = _transform_cost(n * o * self.area, self._outputs)
        if max(v, m) > _MOST_VALUES:
            return math.inf
        calls = (2 + len(self._inputs) + len(self._outputs)) * _CALL
        return seconds + collapsing + 2 * v * o / _PRODUCTS + filtering + calls

    def spread(self, x: paddle.Tensor) -> paddle.Tensor:
        v = _transform(x, self._inputs)
        return v.reshape([self._filters.shape[0], -1, x.shape[1]])

    def gather(self, v: paddle.Tensor) -> paddle.Tensor:
        return _transform_back(v, self._inputs).reshape([-1, v.shape[2], *self.size])

    def expand(self, y: paddle.Tensor) -> paddle.Tensor:
        m = _transform(y, self._outputs)
        return m.reshape([self._filters.shape[0], -1, y.shape[1]])

    def collapse(self, m: paddle.Tensor) -> paddle.Tensor:
        return _transform_back(m, self._outputs).reshape([-1, m.shape[2], *self.output_size])

    def filters(self, w: paddle.Tensor) -> paddle.Tensor:
        u = paddle.matmul(self._filters, w.reshape([-1, self.taps]), transpose_y=True)
        return u.reshape([u.shape[0], w.shape[0], w.shape[1]])

    def unfilter(self, u: paddle.Tensor) -> paddle.Tensor:
        w = paddle.matmul(u.reshape([u.shape[0], -1]), self._filters, transpose_x=True)
        return w.reshape([u.shape[1], u.shape[2], *self.geometry.kernel])


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Minimal filtering along one axis, for `products` on each of `tiles`.

    Args:
        inputs: [products, tiles, input length].
        outputs: [products, tiles, output length].
        filters: [products, kernel].
    """

    inputs: np.ndarray
    outputs: np.ndarray
    filters: np.ndarray


# For kernels of 1 to 3 taps: what makes, of a tile of inputs, of the kernel, and of the products
# (transposed), a tile of two outputs with the fewest products. One tap: nothing can be saved.
_MINIMAL = {
    1: (np.eye(2), np.ones((2, 1)), np.eye(2)),
    2: (
        np.array([[1, -1, 0], [0, 1, 0], [0, -1, 1]]),
        np.array([[1, 0], [1, 1], [0, 1]]),
        np.array([[1, 0], [1, 1], [0, 1]]),
    ),
    3: (
        np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]),
        np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        np.array([[1, 0], [1, 1], [1, -1], [0, 1]]),
    ),
}


def _axis(length: int, kernel: int, stride: int, padding: int) -> _Axis:
    """Return the filtering of one axis; each residue of the stride is a kernel of its own."""
    length_out = (length + 2 * padding - kernel) // stride + 1
    tiles = -(-length_out // 2)
    parts: list[_Axis] = []
    for phase in range(min(stride, kernel)):
        of_inputs, of_kernel, of_outputs = _MINIMAL[len(range(phase, kernel, stride))]
        products = len(of_kernel)
        inputs = np.zeros((products, tiles, length))
        outputs = np.zeros((products, tiles, length_out))
        filters = np.zeros((products, kernel))
        filters[:, phase::stride] = of_kernel
        for tile in range(tiles):
            for i, column in enumerate(of_inputs.T):
                position = (2 * tile + i) * stride + phase - padding
                if 0 <= position < length:
                    inputs[:, tile, position] = column
            for i, column in enumerate(of_outputs.T):
                if 2 * tile + i < length_out:
                    outputs[:, tile, 2 * tile + i] = column
        parts.append(_Axis(inputs, outputs, filters))
    return _Axis(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.outputs for part in parts]),
        np.concatenate([part.filters for part in parts]),
    )


def _transform(x: paddle.Tensor, matrices: Sequence[paddle.Tensor]) -> paddle.Tensor:
    """Transform the last axes of `x`, the last one first; each becomes the first axis instead.

    A stack of matrices goes along the first axis, which stays the first.
    """
    for matrix in matrices:
        *stack, _, columns = matrix.shape
        x = paddle.matmul(matrix, x.reshape([*stack, -1, columns]), transpose_y=True)
    return x


def _transform_back(v: paddle.Tensor, matrices: Sequence[paddle.Tensor]) -> paddle.Tensor:
    """Return the adjoint of `_transform`."""
    for matrix in reversed(matrices):
        v = paddle.matmul(v.reshape([*matrix.shape[:-1], -1]), matrix, transpose_x=True)
    return v


def _transform_cost(values: int, matrices: Sequence[paddle.Tensor]) -> tuple[float, int]:
    """Return the seconds that `_transform` of so many values takes, and how many it returns."""
    seconds = 0.0
    for matrix in matrices:
        rows, columns = matrix.shape[-2:]
        after = values // columns * rows
        seconds += 2 * values * rows / _PRODUCTS + (values + after) / _STREAM
        values = after
    return seconds, values


def _rows(array: np.ndarray) -> np.ndarray:
    """Return all axes but the last as one."""
    return array.reshape(-1, array.shape[-1])


def _constant(array: np.ndarray) -> paddle.Tensor:
    return paddle.to_tensor(array.astype("float32"), place=paddle.CPUPlace())


@functools.lru_cache(maxsize=512)
def plan_for(geometry: Geometry, size: Pair, n: int, c: int, o: int) -> Plan | None:
    """Return the plan with the least estimated time, None where Paddle's convolution must do.

    Args:
        geometry: of the convolution.
        size: height and width of its input (of the output, for a transposed one).
        n: pictures in the batch.
        c: its channels in.
        o: its channels out.
    """
    costs = [(plan.cost(n, c, o), name, plan) for name, plan in plans(geometry, size).items()]
    if not costs:
        return None
    cost, _, plan = min(costs)
    return plan if cost < _cost_of_paddles(geometry, size, n, c, o) else None


@dataclasses.dataclass(frozen=True)
class TransposingPlan:
    """A convolution of stride 1 as a transposed one with its kernels reversed.

    That unfolds the output instead of the input, and pays off where few channels follow many: in
    the last layer of a generator, or of a discriminator.

    Args:
        kernel: height and width.
        padding: of the transposed convolution.
        output_size: height and width.
    """

    kernel: Pair
    padding: Pair
    output_size: Pair

    def convolve(self, x: paddle.Tensor, w: paddle.Tensor) -> paddle.Tensor:
        """Return the convolution of `x` [N, C, H, W] with `w` [O, C, K, L]."""
        n, c, h, width = x.shape
        reverse = w.flip([2, 3])
        if not paddle.is_grad_enabled() or (x.stop_gradient and w.stop_gradient):
            # Paddle's own is faster, but its gradient cannot be differentiated on CPUs.
            return F.conv2d_transpose(x, reverse.transpose([1, 0, 2, 3]), padding=self.padding)
        rows = reverse.transpose([0, 2, 3, 1]).reshape([1, -1, c])
        return linear(
            # Expanded: Paddle crashes where a product that broadcasts is differentiated twice.
            paddle.matmul(rows.expand([n, -1, -1]), x.reshape([n, c, h * width])),
            lambda m: F.fold(m, self.output_size, self.kernel, 1, self._sides),
            lambda y: F.unfold(y, self.kernel, 1, self._sides),
        )

    @property
    def _sides(self) -> list[int]:
        return [*self.padding, *self.padding]


def transposing_plan_for(
    geometry: Geometry, size: Pair, n: int, c: int, o: int, is_trained: bool = True
) -> TransposingPlan | None:
    """Return the plan that transposes, None where Paddle's convolution is estimated to be faster.

    Args:
        geometry: of the convolution.
        size: height and width of its input.
        n: pictures in the batch.
        c: its channels in.
        o: its channels out.
        is_trained: gradients will be asked for.
    """
    height, width = (k - 1 - p for k, p in zip(geometry.kernel, geometry.padding, strict=True))
    if geometry.stride != (1, 1) or geometry.dilation != (1, 1) or min(height, width) < 0:
        return None
    if min(geometry.output_size(size)) < 2:  # Paddle 2.6 does not fold into a single row
        return None
    taps = geometry.kernel[0] * geometry.kernel[1]
    unfolded = n * o * taps * size[0] * size[1]
    cost = 2 * unfolded * c / _PRODUCTS + 2 * unfolded / _UNFOLD
    pays = cost <= _cost_of_paddles(geometry, size, n, c, o)
    if not is_trained and min(unfolded, unfolded // o * c) > _CACHED:
        # As many products either way: it is about how many values are copied, and how fast.
        pays = o / _FOLD_FAR < c / _UNFOLD_FAR
    if not pays:
        return None
    return TransposingPlan(geometry.kernel, (height, width), geometry.output_size(size))


def _cost_of_paddles(geometry: Geometry, size: Pair, n: int, c: int, o: int) -> float:
    h, w = geometry.output_size(size)
    weights = o * c * geometry.kernel[0] * geometry.kernel[1]
    products = 2 * n * weights * h * w / _PRODUCTS * max(1.0, _FULL_WIDTH / (h * w))
    unfolding = n * weights // o * h * w / _UNFOLD
    if geometry == Geometry((1, 1), (1, 1), (0, 0), geometry.dilation):
        unfolding = 0.0
    # The gradient of the weights is read and written for each picture; a third of the passes.
    return products + unfolding + n * (_PICTURE + 2 / 3 * weights / _STREAM)


@functools.lru_cache(maxsize=256)
def plans(geometry: Geometry, size: Pair) -> dict[str, Plan]:
    """Return the plans that can be used, by name; none if the picture is too small."""
    if min(geometry.output_size(size)) < 1:
        return {}
    found: dict[str, Plan] = {"flat": _FlatPlan(geometry, size)}
    taps = [-(-k // s) for k, s in zip(geometry.kernel, geometry.stride, strict=True)]
    if 1 < max(taps) <= max(_MINIMAL) and geometry.dilation == (1, 1):
        found["minimal"] = _MinimalPlan(geometry, size)
    return found
