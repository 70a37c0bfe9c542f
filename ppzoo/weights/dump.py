# SPDX-License-Identifier: Apache-2.0
"""Pickles that every NumPy, Paddle and `ppzoo.weights.pickles` can read."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from ppzoo.weights.pickles import ARRAY_TYPES, MAX_DEPTH, is_tensor_pair


def dump(content: Mapping[str, Any], file: BinaryIO) -> None:
    """Write a pickle that `read`, `paddle.load` and plain `pickle.load` read back.

    Arrays are written under the names `numpy.ndarray` and `numpy.dtype` alone, which every NumPy
    has, whereas NumPy's own pickles name modules that moved between NumPy 1 and 2. Tensors become
    arrays (bfloat16 ones of type uint16, as Paddle does), NumPy scalars become Python's.

    Args:
        content: tensors, arrays, numbers, text and containers of these, with text as keys.
            `paddle.load`, but not `read`, rejects files with bytes or arrays of text.
        file: where to write.

    Raises:
        TypeError: anything else is among it, or a pair of text and array, which `read` and
            `paddle.load` would take for a tensor; names the key.
    """
    _Pickler(file, protocol=4).dump(_writable(content, "the content", 0))


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is not np.ndarray:
            return NotImplemented
        state = (1, value.shape, value.dtype, False, value.tobytes())
        return np.ndarray, ((0,), "b1"), state


def _writable(value: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise TypeError(f"{where} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in (bool, int, float, complex, str, bytes, type(None)):
        return value
    if isinstance(value, Mapping):
        return {
            _key(k, where): _writable(v, f"{where}[{k!r}]", depth + 1) for k, v in value.items()
        }
    if type(value) in (list, tuple):
        items = [_writable(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
        if isinstance(value, tuple) and is_tensor_pair(items):
            raise TypeError(f"{where} is a pair of text and array: make it a list or a dict")
        return type(value)(items)
    if type(value) in (set, frozenset):
        return type(value)(_key(item, where) for item in value)
    return as_array(value, where)


def as_array(value: Any, where: str) -> np.ndarray:
    """Return a tensor or array as a plain array in native byte order.

    Raises:
        TypeError: it is neither, or its elements are not numbers, truth values or text.
    """
    if hasattr(value, "numpy") and not isinstance(value, np.ndarray):
        value = value.numpy()
    if not isinstance(value, np.ndarray) or not ARRAY_TYPES.fullmatch(value.dtype.str[1:]):
        kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value)
        raise TypeError(f"{where} is {kind}, which a weights file does not hold")
    return np.asarray(value).astype(value.dtype.newbyteorder("="), copy=False)


def _key(value: Any, where: str) -> Any:
    if type(value) not in (str, int, float, bool, type(None)):
        raise TypeError(f"{where} has a key of {type(value)}: use text")
    return value
