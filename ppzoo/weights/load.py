# SPDX-License-Identifier: Apache-2.0
"""From the content of a weights file into a network: all of it, or nothing and a reason."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ppzoo.errors import WeightsError
from ppzoo.weights import files
from ppzoo.weights.optimizers import is_optimizer_state
from ppzoo.weights.pickles import NAME_TABLE, shown
from ppzoo.weights.torch_names import TorchArrays, fitted

if TYPE_CHECKING:
    from paddle import nn

Source = str | os.PathLike[str]

_SHOWN = 3


def load_weights(
    layer: nn.Layer, path: Source, net: str, *, prefer_ema: bool = False
) -> dict[str, np.ndarray]:
    """Load a network's weights from a file and return what was loaded.

    Args:
        layer: the network, unchanged if anything does not fit.
        path: a file of one of the layouts that `select_net` knows.
        net: the network's name in the file.
        prefer_ema: take the averaged weights, where the file has them.

    Raises:
        WeightsError: the file cannot be read, lacks the network, or does not fit it.
    """
    arrays = select_net(files.read(path), net, path, prefer_ema=prefer_ema)
    return load_state(layer, arrays, path)


def select_net(
    content: Mapping[Any, Any], net: str, source: Source, *, prefer_ema: bool = False
) -> dict[str, np.ndarray]:
    """Return the arrays of one network, by parameter, from what a weights file holds.

    Known are `{param: array}`, PaddleGAN's `{net: {param: array}}` with or without the states of
    optimizers, and ppzoo's checkpoints, which hold the moving average of `net` as `net_ema`.

    Args:
        content: what `ppzoo.weights.files.read` returned.
        net: the network's name; of no account in a file of one network.
        source: the file's name, for error messages.
        prefer_ema: take the averaged weights, where the file has them.

    Raises:
        WeightsError: the network is not in it; names those that are.
    """
    for name in (f"{net}_ema", net) if prefer_ema else (net,):
        entry = content.get(name)
        if isinstance(entry, Mapping):
            return _arrays(entry, f"{source}: {name}")
    kind = TorchArrays if isinstance(content, TorchArrays) else dict
    flat = kind((k, value) for k, value in content.items() if isinstance(value, np.ndarray))
    if flat:
        return _arrays(flat, source)
    found = [repr(key) for key, value in content.items() if is_network(value)]
    holds = f"it holds {listed(found)}" if found else "it holds no network"
    raise WeightsError(f"{source} has no network {net!r}: {holds}")


def load_state(layer: nn.Layer, arrays: Mapping[str, Any], source: Source) -> dict[str, np.ndarray]:
    """Set every parameter and buffer of a network, and return what they were set to.

    Raises:
        WeightsError: see `match_state`; the network is unchanged then.
    """
    matched = match_state(layer, arrays, source)
    layer.set_state_dict(matched)
    return matched


def match_state(
    expected: nn.Layer | Mapping[str, Any], arrays: Mapping[str, Any], source: Source
) -> dict[str, np.ndarray]:
    """Return `arrays` in the types that a network expects, if names and shapes all agree.

    Floating-point types are converted into one another, whole numbers and truth values into
    floating point. Paddle keeps bfloat16 as uint16, and so a uint16 array is taken for bfloat16
    bits where floating point is expected. One element is one element: `[1]` fits `[]`, as Paddle
    before 2.5 knew no `[]`. Weights of PyTorch are fitted to a network, see `torch_names.fitted`.

    Args:
        expected: the network, or its state: anything with `shape` and `dtype` by name.
        arrays: the weights by name.
        source: the file's name, for error messages.

    Raises:
        WeightsError: names that are missing or too many, other shapes, values that the type
            expected cannot hold; names the file, the first of each kind, and the likely cause.
    """
    state = expected if isinstance(expected, Mapping) else expected.state_dict()
    if isinstance(arrays, TorchArrays) and not isinstance(expected, Mapping):
        arrays = fitted(expected, arrays)
    problems = _differences(state, arrays)
    if problems:
        raise WeightsError(
            f"{source} does not fit the network: {'; '.join(problems)} "
            f"({_likely_cause(state, arrays)})"
        )
    return {name: _converted(arrays[name], value, name, source) for name, value in state.items()}


def _differences(state: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[str]:
    missing = [name for name in state if name not in arrays]
    unexpected = [name for name in arrays if name not in state]
    reshaped = [
        f"{name} is {_shape(arrays[name])} in the file and {_shape(value)} in the network"
        for name, value in state.items()
        if name in arrays and not _same_shape(_shape(arrays[name]), _shape(value))
    ]
    problems = []
    if missing:
        problems.append(f"{_count(missing, 'weight')} missing: {listed(missing)}")
    if unexpected:
        problems.append(f"{_count(unexpected, 'weight')} too many: {listed(unexpected)}")
    if reshaped:
        problems.append(f"{_count(reshaped, 'weight')} of another shape: {listed(reshaped)}")
    return problems


def _likely_cause(state: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    common = state.keys() & arrays.keys()
    if common == state.keys() == arrays.keys():
        other = [
            name for name in common if not _same_shape(_shape(arrays[name]), _shape(state[name]))
        ]
        if all(_shape(arrays[name]) == _shape(state[name])[::-1] for name in other):
            return "linear layers are transposed: are these PyTorch's weights?"
        return "the network was trained with other options, such as its width or image size"
    if any(isinstance(value, Mapping) for value in arrays.values()):
        return "the file holds several networks: name one of them"
    if any(str(name).endswith(("running_mean", "num_batches_tracked")) for name in arrays):
        return "the names are PyTorch's: convert the weights first"
    for prefix in sorted({str(name).partition(".")[0] + "." for name in arrays}):
        if all(prefix + name in arrays for name in state):
            return f"in the file, the names begin with '{shown(prefix)}'"
    if not common:
        return "these are the weights of another network"
    return "the network was built with other options, such as its depth or kind of norm"


def _converted(array: Any, like: Any, name: str, source: Source) -> np.ndarray:
    array = np.asarray(array).reshape(_shape(like))
    wanted = str(like.dtype).removeprefix("paddle.")
    if array.dtype == np.uint16 and wanted.startswith(("float", "bfloat")):
        if wanted == "bfloat16":
            return array
        array = np.left_shift(array, 16, dtype=np.uint32).view(np.float32)
    target = np.dtype("float32" if wanted == "bfloat16" else wanted)
    if array.dtype != target and not _fits(array.dtype, target):
        raise WeightsError(
            f"{source} does not fit the network: {name} is {array.dtype} in the file and {wanted} "
            "in the network, which would lose its values"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(target, copy=False)
    if target.kind == "f" and (np.isinf(result) != np.isinf(array)).any():
        raise WeightsError(
            f"{source} does not fit the network: {name} holds values that are too large for "
            f"{wanted}"
        )
    return np.asarray(_bfloat16_bits(result) if wanted == "bfloat16" else result)


def _fits(source: np.dtype, target: np.dtype) -> bool:
    if target.kind == "f":
        return source.kind in "biuf"
    return np.can_cast(source, target, "same_kind") and source.kind in "biufc"


def _bfloat16_bits(array: np.ndarray) -> np.ndarray:
    """Round float32 to the nearest bfloat16, ties to even, and return the bits as uint16."""
    bits = array.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # Rounding could carry the payload of a NaN over into infinity.
    return np.where(np.isnan(array), 0x7FC0, rounded).astype(np.uint16)


def _arrays(entry: Mapping[Any, Any], where: Source) -> dict[str, np.ndarray]:
    entry = type(entry)((key, value) for key, value in entry.items() if key != NAME_TABLE)
    others = [repr(key) for key, value in entry.items() if not isinstance(value, np.ndarray)]
    if others:
        raise WeightsError(
            f"{where} holds no weights of a network: {listed(others)} "
            f"{'is not an array' if len(others) == 1 else 'are not arrays'}"
        )
    return entry


def is_network(value: Any) -> bool:
    """Tell whether a part of a weights file is a network, and not the state of an optimizer."""
    if not isinstance(value, Mapping) or not value:
        return False
    is_all_arrays = all(isinstance(item, np.ndarray) for item in value.values())
    return is_all_arrays and not is_optimizer_state(value)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ("no array",)))


def _same_shape(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a == b or {a, b} == {(), (1,)}


def _count(items: Sequence[str], noun: str) -> str:
    return f"{len(items)} {noun} is" if len(items) == 1 else f"{len(items)} {noun}s are"


def listed(items: Sequence[Any]) -> str:
    """Return the first of some names that a file holds, in a printable form."""
    first = ", ".join(shown(str(item), 200) for item in items[:_SHOWN])
    return f"{first} and {len(items) - _SHOWN} more" if len(items) > _SHOWN else first
