# SPDX-License-Identifier: Apache-2.0
"""Convolutions of an ONNX graph rewritten so that ONNX Runtime has less to compute.

ONNX Runtime convolves directly. Two kinds of convolutions need fewer products otherwise:

- 3 x 3 kernels between many channels by minimal filtering (Lavin & Gray 2016, arXiv:1509.09308):
  36 products for 16 outputs instead of 144. The transforms are products with constant matrices.
- Kernels of 5 x 5 pixels or more with up to four outputs, of which ONNX Runtime computes 16: four
  neighbouring pixels of each become channels of a convolution of stride 2.

All shapes of the graph must be known. Results equal those of the graph up to rounding.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_PRODUCTS = 100e9  # floating-point operations a second of a core; only ratios matter
_TRANSFORMS = 60e9  # the same in products with a thin matrix
_COPIES = 1e9  # values a second that a transposition takes
_GAIN = 0.9  # of the estimated time, below which a rewriting is worth its memory
_LANES = 16  # outputs that are computed together
# For tiles of four outputs: what makes six numbers of inputs, of the kernel, and outputs of six.
_OF_INPUTS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_OF_KERNEL = (
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
)
_OF_OUTPUTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


@dataclasses.dataclass(frozen=True)
class _Conv:
    """A convolution of stride 1 without groups and dilation.

    Args:
        node: of the graph.
        weight: [O, C, k, k].
        bias: [O], or None.
        pads: above, to the left, below, to the right.
        size_in: of its input, (N, C, H, W).
        size_out: of its output, (N, O, H', W').
    """

    node: Any
    weight: np.ndarray
    bias: np.ndarray | None
    pads: tuple[int, ...]
    size_in: tuple[int, ...]
    size_out: tuple[int, ...]

    def size_of_pads(self) -> tuple[int, ...]:
        """Return the height and width that the output has by `pads`."""
        kernel, pads = self.weight.shape[2], self.pads
        return tuple(self.size_in[2 + i] + pads[i] + pads[i + 2] - kernel + 1 for i in range(2))

    @property
    def products(self) -> float:
        """Return the floating-point operations of a direct convolution."""
        n, o, h, w = self.size_out
        lanes = -(-o // _LANES) * _LANES
        return 2.0 * n * lanes * h * w * self.weight[0].size


def rewrite(source: Path, target: Path) -> bool:
    """Write a graph with rewritten convolutions, and tell whether there are any.

    Args:
        source: an ONNX file.
        target: the new one, written only if there are any.
    """
    import onnx
    import onnxruntime

    inputs = onnx.load(os.fspath(source)).graph.input
    if not all(dim.dim_value for entry in inputs for dim in entry.type.tensor_type.shape.dim):
        return False
    options = onnxruntime.SessionOptions()
    # This puts batch norms into convolutions, and leaves operators of ONNX only.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    options.optimized_model_filepath = os.fspath(target)
    onnxruntime.InferenceSession(os.fspath(source), options, providers=["CPUExecutionProvider"])
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(os.fspath(target)))
    finally:
        target.unlink()
    graph = _Graph(model)
    for conv in graph.convolutions():
        if _is_wide(conv):
            graph.replace(conv.node, lambda g, conv=conv: _put_squares(g, conv))
        elif _pays(conv):
            graph.replace(conv.node, lambda g, conv=conv: _put_filtering(g, conv))
    if not graph.replaced:
        return False
    # Spelt out, they let transpositions pass.
    for node in [node for node in model.graph.node if node.op_type == "BatchNormalization"]:
        graph.replace(node, lambda g, node=node: _put_norm(g, node))
    graph.write(target)
    return True


class _Graph:
    """A model whose nodes are replaced.

    Args:
        model: of ONNX, with known shapes.
    """

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.model = model
        self.constants = {
            entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer
        }
        values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
        self.shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in values
        }
        self.replaced = 0
        self._new: list[Any] = []
        self._at: dict[int, list[Any]] = {}

    def convolutions(self) -> list[_Conv]:
        """Return those that could be rewritten."""
        found = []
        for node in self.model.graph.node:
            if node.op_type != "Conv":
                continue
            options = {entry.name: tuple(entry.ints) or entry.i for entry in node.attribute}
            weight = self.constants.get(node.input[1])
            sizes = [self.shapes.get(name, ()) for name in (node.input[0], node.output[0])]
            is_plain = (
                weight is not None
                and weight.ndim == 4
                and weight.shape[2] == weight.shape[3]
                and options.get("strides", (1, 1)) == (1, 1)
                and options.get("dilations", (1, 1)) == (1, 1)
                and options.get("group", 1) in (1, ())
                and all(
                    entry.name != "auto_pad" or entry.s == b"NOTSET" for entry in node.attribute
                )
                and all(len(size) == 4 and min(size) > 0 for size in sizes)
            )
            if not is_plain or any(name not in self.constants for name in node.input[2:]):
                continue
            bias = self.constants[node.input[2]] if len(node.input) > 2 else None
            pads = options.get("pads", (0, 0, 0, 0))
            conv = _Conv(node, weight, bias, pads, *sizes)
            # Otherwise its margins are said in another way.
            if conv.size_of_pads() == conv.size_out[2:]:
                found.append(conv)
        return found

    def replace(self, node: Any, put: Any) -> None:
        """Replace a node by what `put(self)` adds, whose last result takes its place."""
        self._new = []
        put(self)
        self._new[-1].output[0] = node.output[0]
        index = next(i for i, other in enumerate(self.model.graph.node) if other is node)
        self._at[index] = self._new
        self.replaced += 1

    def constant(self, array: np.ndarray) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"rewritten.{len(self.model.graph.initializer)}"
        kind = np.int64 if array.dtype.kind == "i" else np.float32
        entry = numpy_helper.from_array(np.ascontiguousarray(array, kind), name)
        self.model.graph.initializer.append(entry)
        return name

    def add(self, kind: str, *inputs: str, **options: Any) -> str:
        """Add a node and return the name of its result."""
        from onnx import helper

        name = f"rewritten.node.{self.replaced}.{len(self._new)}"
        self._new.append(helper.make_node(kind, list(inputs), [name], **options))
        return name

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """Add a reshaping and return the name of its result."""
        return self.add("Reshape", name, self.constant(np.array(shape)))

    def write(self, path: Path) -> None:
        """Write the model with all replacements, without constants that are not used any more."""
        import onnx

        nodes: list[Any] = []
        for index, node in enumerate(self.model.graph.node):
            nodes += self._at.get(index, [node])
        nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)
        used = {name for node in nodes for name in node.input}
        entries = [entry for entry in self.model.graph.initializer if entry.name in used]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(entries)
        del self.model.graph.value_info[:]
        onnx.save(self.model, os.fspath(path))


def _is_wide(conv: _Conv) -> bool:
    """Tell whether a convolution computes many outputs that nobody wants."""
    (o, _, kernel, _), (h, w) = conv.weight.shape, conv.size_out[2:]
    before = -(-o // _LANES) * kernel**2
    after = -(-4 * o // _LANES) * (kernel + 1) ** 2 / 4
    return kernel >= 5 and h % 2 == w % 2 == 0 and after < _GAIN * before


def _put_squares(graph: _Graph, conv: _Conv) -> str:
    o, c, k, _ = conv.weight.shape
    weight = np.zeros((o, 2, 2, c, k + 1, k + 1), np.float32)
    for y in range(2):
        for x in range(2):
            weight[:, y, x, :, y : y + k, x : x + k] = conv.weight
    inputs = [conv.node.input[0], graph.constant(weight.reshape(4 * o, c, k + 1, k + 1))]
    if conv.bias is not None:
        inputs.append(graph.constant(conv.bias.repeat(4)))
    out = graph.add("Conv", *inputs, strides=[2, 2], pads=list(conv.pads))
    return graph.add("DepthToSpace", out, blocksize=2, mode="CRD")


def _pays(conv: _Conv) -> bool:
    """Tell whether minimal filtering is estimated to be faster."""
    if conv.weight.shape[2] != 3:
        return False
    (n, c, h, w), (_, o, high, wide) = conv.size_in, conv.size_out
    rows, columns = 6 * -(-high // 4), 6 * -(-wide // 4)
    transforms = n * c * columns * h * (w + rows) + n * o * columns * high * (rows + wide)
    products = rows * columns * n * c * o
    copies = rows * columns * n * (c + o)
    seconds = 2 * transforms / _TRANSFORMS + 2 * products / _PRODUCTS + copies / _COPIES
    return seconds < _GAIN * conv.products / _PRODUCTS


def _put_filtering(graph: _Graph, conv: _Conv) -> str:
    (n, c, h, w), (_, o, high, wide) = conv.size_in, conv.size_out
    down, across = (_axis(*sides) for sides in ((h, high, conv.pads[0]), (w, wide, conv.pads[1])))
    v, u = down[0].shape[0] // 6, across[0].shape[0] // 6  # tiles
    kernels = np.einsum("ak,bl,ockl->abco", _OF_KERNEL, _OF_KERNEL, conv.weight.astype(np.float64))
    matrix, put, reshape = graph.constant, graph.add, graph.reshape
    x = put("Transpose", conv.node.input[0], perm=[0, 2, 3, 1])
    x = put("MatMul", matrix(across[0]), x)  # [N, H, 6 u, C]
    x = put("MatMul", matrix(down[0]), reshape(x, [n, h, 6 * u * c]))  # [N, 6 v, 6 u C]
    x = put("Transpose", reshape(x, [n, 6, v, 6, u, c]), perm=[1, 3, 0, 2, 4, 5])
    x = put("MatMul", reshape(x, [36, n * v * u, c]), matrix(kernels.reshape(36, c, o)))
    x = put("Transpose", reshape(x, [6, 6, n, v, u, o]), perm=[2, 0, 3, 1, 4, 5])
    x = put("MatMul", matrix(down[1]), reshape(x, [n, 6 * v, 6 * u * o]))  # [N, H', 6 u O]
    x = put("MatMul", matrix(across[1]), reshape(x, [n, high, 6 * u, o]))  # [N, H', W', O]
    if conv.bias is not None:
        x = put("Add", x, matrix(conv.bias))
    return put("Transpose", x, perm=[0, 3, 1, 2])


def _axis(length: int, length_out: int, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what makes tiles of inputs, [6 tiles, length], and outputs, [length_out, 6 tiles]."""
    tiles = -(-length_out // 4)
    inputs, outputs = np.zeros((6, tiles, length)), np.zeros((length_out, 6, tiles))
    for tile in range(tiles):
        for i in range(6):
            if 0 <= 4 * tile + i - margin < length:
                inputs[:, tile, 4 * tile + i - margin] = _OF_INPUTS[:, i]
        for i in range(min(4, length_out - 4 * tile)):
            outputs[4 * tile + i, :, tile] = _OF_OUTPUTS[i]
    return inputs.reshape(6 * tiles, length), outputs.reshape(length_out, 6 * tiles)


def _put_norm(graph: _Graph, node: Any) -> str:
    scale, shift, mean, variance = (graph.constants[name] for name in node.input[1:])
    epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    shape = (1, -1, 1, 1)
    x = graph.add("Mul", node.input[0], graph.constant(factor.reshape(shape)))
    return graph.add("Add", x, graph.constant((shift - mean * factor).reshape(shape)))
