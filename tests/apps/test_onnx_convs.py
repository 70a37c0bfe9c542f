# SPDX-License-Identifier: Apache-2.0
"""Convolutions rewritten for ONNX Runtime compute the same, and only where that pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppzoo.apps import onnx_convs
from ppzoo.apps.onnx_convs import _Conv


class Calculator:
    """Computes what would be added to a graph, by ONNX's definitions of the operators."""

    def constant(self, array: np.ndarray) -> np.ndarray:
        return array.astype(np.int64 if array.dtype.kind == "i" else np.float32)

    def reshape(self, x: np.ndarray, shape: list[int]) -> np.ndarray:
        return x.reshape(shape)

    def add(self, kind: str, *inputs: np.ndarray, **options: Any) -> np.ndarray:
        x, *others = inputs
        if kind == "Transpose":
            return x.transpose(options["perm"])
        if kind == "MatMul":
            return np.matmul(x, others[0])
        if kind in ("Add", "Mul"):
            return x + others[0] if kind == "Add" else x * others[0]
        if kind == "Conv":
            top, left, bottom, right = options["pads"]
            tensors = [paddle.to_tensor(each) for each in inputs]
            padded = F.pad(tensors[0], [left, right, top, bottom])
            return F.conv2d(padded, *tensors[1:], stride=options["strides"]).numpy()
        assert (kind, options) == ("DepthToSpace", {"blocksize": 2, "mode": "CRD"})
        n, c, h, w = x.shape
        x = x.reshape(n, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
        return x.reshape(n, c // 4, 2 * h, 2 * w)


class Node:
    def __init__(self, *inputs: np.ndarray) -> None:
        self.input, self.attribute = list(inputs), []


def conv(
    size: tuple[int, ...], outputs: int, kernel: int, pads: tuple[int, ...], bias: bool = True
) -> tuple[_Conv, np.ndarray]:
    """Return a random convolution of a random picture, and its result."""
    random = np.random.RandomState(0)
    x = random.normal(size=size).astype(np.float32)
    weight = random.normal(size=(outputs, size[1], kernel, kernel)).astype(np.float32)
    weight /= np.sqrt(weight[0].size)
    shift = random.normal(size=outputs).astype(np.float32) if bias else None
    top, left, bottom, right = pads
    padded = F.pad(paddle.to_tensor(x), [left, right, top, bottom])
    y = F.conv2d(padded, paddle.to_tensor(weight)).numpy()
    if shift is not None:
        y = y + shift[:, np.newaxis, np.newaxis]
    return _Conv(Node(x), weight, shift, pads, x.shape, y.shape), y


@pytest.mark.parametrize(
    ("size", "pads", "bias"),
    [
        ((1, 3, 8, 8), (1, 1, 1, 1), True),
        ((2, 3, 7, 13), (1, 1, 1, 1), False),
        ((2, 2, 10, 6), (0, 0, 0, 0), True),
        ((1, 2, 5, 9), (1, 0, 0, 2), True),
    ],
)
def test_minimal_filtering_convolves(
    size: tuple[int, ...], pads: tuple[int, ...], bias: bool
) -> None:
    given, expected = conv(size, 5, 3, pads, bias)
    made = onnx_convs._put_filtering(Calculator(), given)
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, atol=2e-5)


@pytest.mark.parametrize(
    ("kernel", "pads"), [(7, (3, 3, 3, 3)), (5, (2, 2, 2, 2)), (7, (0, 0, 0, 0)), (5, (1, 2, 3, 0))]
)
def test_squares_of_pixels_convolve(kernel: int, pads: tuple[int, ...]) -> None:
    size = (2, 4, 12 + kernel - 1 - pads[0] - pads[2], 8 + kernel - 1 - pads[1] - pads[3])
    given, expected = conv(size, 3, kernel, pads)
    assert expected.shape == (2, 3, 12, 8)
    made = onnx_convs._put_squares(Calculator(), given)
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_size_by_pads_is_that_of_the_result() -> None:
    given, expected = conv((1, 2, 9, 10), 3, 3, (1, 0, 2, 1))
    assert given.size_of_pads() == expected.shape[2:]


def shaped(n: int, c: int, o: int, side: int, kernel: int) -> _Conv:
    weight = np.zeros((o, c, kernel, kernel), np.float32)
    pads = (kernel // 2,) * 4
    return _Conv(None, weight, None, pads, (n, c, side, side), (n, o, side, side))


@pytest.mark.parametrize(
    ("n", "channels", "side", "pays"),
    [
        (1, 256, 64, True),  # as measured: 28 instead of 44 ms
        (8, 256, 24, True),
        (8, 384, 12, True),
        (8, 128, 48, False),  # 46 to 49 instead of 50 ms
        (8, 64, 96, False),  # 105 instead of 54 ms
        (8, 32, 48, False),
    ],
)
def test_minimal_filtering_is_for_many_channels(
    n: int, channels: int, side: int, pays: bool
) -> None:
    assert onnx_convs._pays(shaped(n, channels, channels, side, 3)) == pays
    assert not onnx_convs._pays(shaped(n, channels, channels, side, 1))


def test_squares_are_for_few_outputs_and_large_kernels() -> None:
    assert onnx_convs._is_wide(shaped(1, 64, 3, 256, 7))
    assert not onnx_convs._is_wide(shaped(1, 64, 3, 255, 7))
    assert not onnx_convs._is_wide(shaped(1, 64, 3, 256, 3))
    assert not onnx_convs._is_wide(shaped(1, 64, 16, 256, 7))


def test_batch_norm_spelt_out_is_the_same() -> None:
    random = np.random.RandomState(1)
    x = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    scale, shift, mean = random.normal(size=(3, 3)).astype(np.float32)
    variance = random.uniform(0.5, 2, 3).astype(np.float32)
    graph = Calculator()
    graph.constants = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    node = Node(x, *graph.constants)
    made = onnx_convs._put_norm(graph, node)
    tensors = [paddle.to_tensor(each) for each in (x, mean, variance, scale, shift)]
    expected = F.batch_norm(*tensors, epsilon=1e-5).numpy()
    np.testing.assert_allclose(made, expected, atol=1e-5)
