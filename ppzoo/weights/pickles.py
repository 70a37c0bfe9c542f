# SPDX-License-Identifier: Apache-2.0
"""Pickles as data: the opcodes that build arrays, numbers, text and containers, and no others.

Paddle's `.pdparams` and `.pdopt` files are pickles, and a pickle is a program. `load` runs the
harmless part of that language on a stack of its own: nothing that a file names is ever imported or
called, since the few names that NumPy and Paddle write are looked up in a table of functions here.

Why not `pickle.Unpickler` with a filter in `find_class`: with nothing but tuples, dictionaries and
`numpy.dtype`, all of which a weights file needs, a file of some kilobytes ends the interpreter (the
hash of a deeply nested tuple overflows the C stack; `numpy.dtype.__setstate__` trusts offsets that
lie outside the item). Here sizes are compared with the file before memory is taken, and arrays are
made from checked parts.

Read are protocols 2 to 5, as written by Paddle 2 and 3 on NumPy 1 and 2.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

# Paddle's own marks in a saved dictionary.
NAME_TABLE = "StructuredToParameterName@@"
SPLIT_TABLE = "UnpackBigParamInfor@@"

MAX_DEPTH = 64
_MAX_NAME = 256  # bytes of a module or attribute name
_MAX_LONG = 1024  # bytes of a whole number; Python refuses to print those of 1800 and more
# The largest checkpoints of PaddleGAN's models take less than a tenth of this. What a file can make
# with one byte takes up to 216, so it is a limit of memory as well as of time.
_MAX_STEPS = 5_000_000
# The hash of a text cannot be foreseen, that of a number can: keys that all have the same one would
# take time that grows with the square of their number.
_MAX_ODD_KEYS = 1000
ARRAY_TYPES = re.compile(r"b1|[iu][1248]|f[248]|c(8|16)|[SU][1-9]\d{0,5}")
_NUMBERS_AND_TEXT = (bool, int, float, complex, str, bytes, type(None), np.generic)


class RefusedError(ValueError):
    """The pickle asks for something that is not data, or claims more than it can hold."""


class DamagedError(ValueError):
    """The bytes are not a whole pickle."""


class TruncatedError(DamagedError):
    """The file ends before the pickle does."""


def load(file: BinaryIO, size: int) -> Any:
    """Return what a pickle holds, as plain Python containers, scalars and NumPy arrays.

    The result equals `paddle.load(..., return_numpy=True)`: saved tensors, which Paddle writes as
    `(name, array)`, become arrays, split arrays are joined, the table of names is dropped. An
    `OrderedDict` becomes a `dict`; arrays are writable and in native byte order.

    Args:
        file: the pickle, positioned at its start.
        size: the bytes from there to the end of the file.

    Raises:
        RefusedError: it needs more than arrays, numbers, text and containers.
        DamagedError: it is not a whole pickle.
    """
    top = Machine(file, size).run()
    named = isinstance(top, dict) and NAME_TABLE in top
    content = Plain(size, unwrap_tensors=not named)(top, 0)
    if isinstance(content, dict):
        _join_split(content, size)
        content.pop(NAME_TABLE, None)
    return content


class Name:
    """A class or function that the file mentions; it is compared, never imported."""

    def __init__(self, full: str) -> None:
        self.full = full


class _DType:
    """A NumPy dtype on its way from its text and its state."""

    def __init__(self, text: str) -> None:
        if not ARRAY_TYPES.fullmatch(text):
            kind = "Python objects, which can be anything" if text[:1] == "O" else shown(text)
            raise RefusedError(f"an array of {kind}")
        self.native = np.dtype(text)
        self.swapped = False

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (8, 9):
            raise RefusedError("an array type with an unknown state")
        order, *structure = state[1:5]
        if any(part is not None for part in structure):
            raise RefusedError("an array of records")
        if not isinstance(order, str) or order not in ("<", ">", "=", "|"):
            raise RefusedError("an array type of unknown byte order")
        self.swapped = order not in ("=", "|") and np.dtype(f"{order}i4") != np.dtype("i4")

    @property
    def stored(self) -> np.dtype:
        return self.native.newbyteorder() if self.swapped else self.native


class Array:
    """A NumPy array that the file has announced, and whose content follows."""

    value: np.ndarray | None = None


class Machine:
    """The stack on which a pickle's opcodes work.

    Args:
        file: the pickle, positioned at its start.
        size: the bytes that belong to it, at most.
        room: bytes of arrays that can be made; as many as the pickle has by default.
    """

    calls: Mapping[str, Callable[..., Any]]

    def __init__(self, file: BinaryIO, size: int, room: int | None = None) -> None:
        self._file = file
        self._size = size
        self.position = 0
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        # An honest pickle holds every byte of an array, and every item of a container, once: what
        # is made from them is never larger than the file.
        self._room = {"arrays": size if room is None else room, "text": size, "items": size}
        self._odd_keys = 0

    def run(self) -> Any:
        """Return what the pickle builds, and leave the file behind it.

        Raises:
            RefusedError: see `load`.
            DamagedError: likewise.
        """
        try:
            return self._run()
        except (IndexError, UnicodeDecodeError) as error:
            raise DamagedError(f"the bytes before {self.position} make no sense") from error

    def _run(self) -> Any:
        for _ in range(_MAX_STEPS):
            code = self.read(1)
            if code == pickle.STOP:
                if len(self._stack) != 1 or self._outer:
                    raise DamagedError("it ends with unused values")
                return self._stack[0]
            if code in _VALUES:
                value = _VALUES[code](self)
                self._stack.append(value)
            elif code in _ACTIONS:
                _ACTIONS[code](self)
            elif code in _REFUSED:
                raise RefusedError(_REFUSED[code])
            else:
                raise DamagedError(f"the byte {code.hex()} is no instruction")
        raise RefusedError(f"more than {_MAX_STEPS} instructions")

    # Input

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > self._size - self.position:
            raise TruncatedError(f"{count} bytes should follow, {self._size - self.position} do")
        data = self._file.read(count)
        if len(data) != count:
            raise TruncatedError("it became shorter while it was read")
        self.position += count
        return data

    def number(self, count: int, signed: bool = False) -> int:
        """Return a whole number of so many bytes."""
        return int.from_bytes(self.read(count), "little", signed=signed)

    def long(self, count: int) -> int:
        """Return a whole number of so many bytes, if they are not too many."""
        if count > _MAX_LONG:
            raise RefusedError(f"a whole number of {count} bytes")
        return self.number(count, signed=True)

    def line(self) -> str:
        """Return the text up to the end of the line."""
        data = self._file.readline(_MAX_NAME)
        self.position += len(data)
        if not data.endswith(b"\n"):
            if self.position >= self._size:
                raise TruncatedError("it ends within a name")
            raise DamagedError("a name is too long")
        return data[:-1].decode("utf-8")

    def protocol(self) -> None:
        """Check the version of the language."""
        version = self.number(1)
        if not 2 <= version <= 5:
            raise DamagedError(f"it says that its protocol is {version}, known are 2 to 5")

    def frame(self) -> None:
        """Check the length of a part."""
        length = self.number(8)
        if length > self._size - self.position:
            raise TruncatedError(f"{length} bytes should follow, {self._size - self.position} do")

    # Stack and memo

    def mark(self) -> None:
        """Begin a list of values."""
        self._outer.append(self._stack)
        self._stack = []

    def pop_mark(self) -> list[Any]:
        """End the latest list of values and return it."""
        items, self._stack = self._stack, self._outer.pop()
        return items

    def pop(self, count: int) -> list[Any]:
        """Return the latest values, which are used up."""
        if len(self._stack) < count:
            raise DamagedError("values are missing")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def store(self, key: int) -> None:
        """Note the latest value under a number."""
        self._memo[key] = self._stack[-1]

    def memoize(self) -> None:
        """Note the latest value under the next number."""
        self.store(len(self._memo))

    def recall(self, key: int) -> Any:
        """Return the value that was noted under a number."""
        if key not in self._memo:
            raise DamagedError(f"it refers to value {key}, which is not there")
        return self._memo[key]

    def spend(self, kind: str, amount: int) -> None:
        """Refuse what would make more of something than the file can hold."""
        self._room[kind] -= amount
        if self._room[kind] < 0:
            raise RefusedError(f"more {kind} than there is room for in the file")

    # Containers

    def append(self, items: list[Any]) -> None:
        """Add items to the list that is being filled."""
        self._target(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Add keys and values, by turns, to the dictionary that is being filled."""
        if len(items) % 2:
            raise DamagedError("a key has no value")
        target = self._target(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = value

    def add_items(self) -> None:
        """Add items to the set that is being filled."""
        items = self.pop_mark()
        self._target(set).update(map(self.key, items))

    def key(self, value: Any) -> Any:
        """Return a value that can be looked up at no cost."""
        if not _is_cheap_key(_hashable(value)):
            self._odd_keys += 1
            if self._odd_keys > _MAX_ODD_KEYS:
                raise RefusedError(f"more than {_MAX_ODD_KEYS} keys that are not text")
        return value

    def _target(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise DamagedError(f"it fills something that is not a {kind.__name__}")
        return self._stack[-1]

    # What stands for names, calls and states

    def name(self, module: Any, attribute: Any) -> Name:
        """Return a name that the file mentions, if it is one that weights need."""
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise DamagedError("a name is not text")
        full = _alias(module, attribute)
        if full not in self.calls:
            raise RefusedError(shown(f"{module}.{attribute}"))
        return Name(full)

    def reduce(self) -> None:
        """Do what a call of a name means here."""
        function, arguments = self.pop(2)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise RefusedError("a call of something that is not a function")
        try:
            value = self.calls[function.full](self, *arguments)
        except TypeError:
            raise RefusedError(f"{function.full} with arguments that NumPy never writes") from None
        self._stack.append(value)

    def outside(self, reference: Any) -> Any:
        """Return what a reference to something outside of the pickle stands for."""
        raise RefusedError(_OUTSIDE)

    def build(self) -> None:
        """Give an array, or its type, the state that follows."""
        (state,) = self.pop(1)
        target = self._stack[-1]
        if isinstance(target, _DType):
            target.build(state)
        elif isinstance(target, Array) and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, raw = state
            target.value = self.array(raw, dtype, shape, "F" if fortran else "C")
        elif not self.ignores(target, state):
            raise RefusedError("a state for something that is not an array")

    def ignores(self, target: Any, state: Any) -> bool:
        """Tell whether a state, of something that has none here, can be left out."""
        return False

    def array(self, raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
        """Return a new array of exactly the bytes `raw`, once type, shape and length agree."""
        if isinstance(raw, str):  # Python 2 wrote bytes as text
            raw = self.encode(raw)
        if not isinstance(dtype, _DType) or not isinstance(raw, (bytes, bytearray)):
            raise RefusedError("an array whose content is not bytes")
        if not isinstance(shape, tuple) or len(shape) > 32 or not all(map(is_length, shape)):
            raise RefusedError("an array whose shape is not a shape")
        if math.prod(shape) * dtype.native.itemsize != len(raw):
            raise RefusedError(f"an array of shape {shown(shape)} from {len(raw)} bytes")
        self.spend("arrays", len(raw))
        if not raw:
            return empty_array(shape, dtype.native)
        flat = np.frombuffer(raw, dtype.stored)
        if dtype.native.kind == "b":
            flat = flat.view(np.uint8) != 0
        if dtype.native.kind == "U":
            codes = np.frombuffer(raw, np.dtype("u4").newbyteorder(dtype.stored.byteorder))
            if codes.max() > sys.maxunicode:
                raise DamagedError("text holds characters that do not exist")
        return flat.reshape(shape, order=order).astype(dtype.native, copy=True, order="K")

    def encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        """Return bytes that were written as text."""
        names = ("latin1", "latin-1", "iso-8859-1")
        if not isinstance(text, str) or not isinstance(encoding, str) or encoding not in names:
            raise RefusedError("a conversion of text other than Latin-1")
        self.spend("text", len(text))
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise DamagedError("bytes are not bytes") from None

    def copy(self, items: Any) -> Any:
        """Return a list or tuple that something is made from, if there is room for it."""
        if not isinstance(items, (list, tuple)):
            raise RefusedError("a container made from something that is not a list")
        self.spend("items", len(items))
        return items


# The instructions of the pickle language (CPython's pickletools documents each).
_VALUES: Mapping[bytes, Callable[[Machine], Any]] = {
    pickle.NONE: lambda m: None,
    pickle.NEWTRUE: lambda m: True,
    pickle.NEWFALSE: lambda m: False,
    pickle.BININT: lambda m: m.number(4, signed=True),
    pickle.BININT1: lambda m: m.number(1),
    pickle.BININT2: lambda m: m.number(2),
    pickle.LONG1: lambda m: m.number(m.number(1), signed=True),
    pickle.LONG4: lambda m: m.long(m.number(4)),
    pickle.BINFLOAT: lambda m: struct.unpack(">d", m.read(8))[0],
    pickle.SHORT_BINSTRING: lambda m: m.read(m.number(1)).decode("latin-1"),
    pickle.BINSTRING: lambda m: m.read(m.number(4)).decode("latin-1"),
    pickle.SHORT_BINBYTES: lambda m: m.read(m.number(1)),
    pickle.BINBYTES: lambda m: m.read(m.number(4)),
    pickle.BINBYTES8: lambda m: m.read(m.number(8)),
    pickle.BYTEARRAY8: lambda m: m.read(m.number(8)),
    pickle.SHORT_BINUNICODE: lambda m: m.read(m.number(1)).decode("utf-8"),
    pickle.BINUNICODE: lambda m: m.read(m.number(4)).decode("utf-8"),
    pickle.BINUNICODE8: lambda m: m.read(m.number(8)).decode("utf-8"),
    pickle.EMPTY_LIST: lambda m: [],
    pickle.EMPTY_DICT: lambda m: {},
    pickle.EMPTY_SET: lambda m: set(),
    pickle.EMPTY_TUPLE: lambda m: (),
    pickle.LIST: lambda m: m.pop_mark(),
    pickle.TUPLE: lambda m: tuple(m.pop_mark()),
    pickle.TUPLE1: lambda m: tuple(m.pop(1)),
    pickle.TUPLE2: lambda m: tuple(m.pop(2)),
    pickle.TUPLE3: lambda m: tuple(m.pop(3)),
    pickle.FROZENSET: lambda m: frozenset(map(m.key, m.pop_mark())),
    pickle.BINGET: lambda m: m.recall(m.number(1)),
    pickle.LONG_BINGET: lambda m: m.recall(m.number(4)),
    pickle.GLOBAL: lambda m: m.name(m.line(), m.line()),
    pickle.STACK_GLOBAL: lambda m: m.name(*m.pop(2)),
    pickle.BINPERSID: lambda m: m.outside(m.pop(1)[0]),
}
_ACTIONS: Mapping[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: Machine.protocol,
    pickle.FRAME: Machine.frame,
    pickle.MARK: Machine.mark,
    pickle.BINPUT: lambda m: m.store(m.number(1)),
    pickle.LONG_BINPUT: lambda m: m.store(m.number(4)),
    pickle.MEMOIZE: Machine.memoize,
    pickle.APPEND: lambda m: m.append(m.pop(1)),
    pickle.APPENDS: lambda m: m.append(m.pop_mark()),
    pickle.SETITEM: lambda m: m.set_items(m.pop(2)),
    pickle.SETITEMS: lambda m: m.set_items(m.pop_mark()),
    pickle.ADDITEMS: Machine.add_items,
    pickle.REDUCE: Machine.reduce,
    pickle.BUILD: Machine.build,
}
_OBJECT = "objects of a class"
_OLD = "the text instructions of pickle protocols 0 and 1 (save it again with protocol 4)"
_OUTSIDE = "objects from outside the file"
_REFUSED: Mapping[bytes, str] = {
    **dict.fromkeys((pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX), _OBJECT),
    **dict.fromkeys((pickle.PERSID, pickle.NEXT_BUFFER), _OUTSIDE),
    **dict.fromkeys((pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.READONLY_BUFFER), _OUTSIDE),
    **dict.fromkeys((pickle.INT, pickle.LONG, pickle.FLOAT, pickle.STRING), _OLD),
    **dict.fromkeys((pickle.UNICODE, pickle.GET, pickle.PUT, pickle.DICT), _OLD),
    **dict.fromkeys((pickle.DUP, pickle.POP, pickle.POP_MARK), "containers that hold themselves"),
}


# The names that Paddle and NumPy write, and what each one does here.


def _alias(module: str, attribute: str) -> str:
    """Return one name for what moved between Python 2 and 3, NumPy 1 and 2, Paddle 2 and 3."""
    if attribute == "_rebuild_tensor" and module.split(".")[0] == "paddle":
        return "paddle._rebuild_tensor"
    module = {"__builtin__": "builtins"}.get(module, module)
    module = re.sub(r"^numpy\._core\b", "numpy.core", module)
    return f"{module}.{attribute}"


def _new_array(m: Machine, *announcement: Any) -> Array:
    return Array()


def _reconstruct(m: Machine, kind: Any, shape: Any, code: Any) -> Array:
    if not isinstance(kind, Name) or kind.full != "numpy.ndarray":
        raise RefusedError("an array that is not a plain numpy.ndarray")
    return Array()


def _dtype(m: Machine, text: Any, align: Any = False, copy: Any = False) -> _DType:
    if not isinstance(text, str):
        raise RefusedError("an array type that is not named")
    return _DType(text)


def _scalar(m: Machine, dtype: Any, raw: Any) -> Any:
    return m.array(raw, dtype, (), "C")[()]


def _from_buffer(
    m: Machine, raw: Any, dtype: Any, shape: Any, order: Any, axes: Any = None
) -> np.ndarray:
    if not isinstance(order, str) or order not in ("C", "F", "K"):
        raise RefusedError("an array of unknown order")
    array = m.array(raw, dtype, shape, "F" if order == "F" else "C")
    if axes is None:
        return array
    if not isinstance(axes, (tuple, list)) or len(axes) != array.ndim:
        raise RefusedError("an array of unknown order")
    if not all(map(is_length, axes)) or set(axes) != set(range(array.ndim)):
        raise RefusedError("an array of unknown order")
    return array.transpose(axes)


def _rebuild_tensor(m: Machine, data: Any, *placement: Any) -> Any:
    if not isinstance(data, (Array, np.ndarray)):
        raise RefusedError("a tensor that is not made from an array")
    return data


def _complex(m: Machine, real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise RefusedError("a complex number that is not made from numbers")
    return complex(real, imaginary)


def _bytes(m: Machine, data: Any = b"", encoding: Any = "latin1") -> bytes:
    if isinstance(data, bytes):
        m.spend("text", len(data))
        return data
    return m.encode(data, encoding)


def _pairs(m: Machine, pairs: Any = ()) -> dict[Any, Any]:
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in m.copy(pairs)):
        raise RefusedError("a dictionary that is not made from pairs")
    return {m.key(key): value for key, value in pairs}


CALLS: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": _new_array,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "paddle._rebuild_tensor": _rebuild_tensor,
    "collections.OrderedDict": _pairs,
    "_codecs.encode": lambda m, text, encoding: m.encode(text, encoding),
    "builtins.tuple": lambda m, items: tuple(m.copy(items)),
    "builtins.list": lambda m, items: list(m.copy(items)),
    "builtins.set": lambda m, items: set(map(m.key, m.copy(items))),
    "builtins.frozenset": lambda m, items: frozenset(map(m.key, m.copy(items))),
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.complex": _complex,
}
Machine.calls = CALLS


class Plain:
    """Turns what the machine made into plain containers, each of them new.

    A container that the file repeats by reference is copied, up to a limit of values in all, so
    that a small file cannot stand for an endless structure.

    Args:
        size: of the pickle in bytes.
        unwrap_tensors: whether pairs of a name and an array stand for the array.
    """

    def __init__(self, size: int, unwrap_tensors: bool) -> None:
        self._unwrap_tensors = unwrap_tensors
        self._left = min(size, _MAX_STEPS) + 100_000

    def __call__(self, value: Any, depth: int) -> Any:
        """Return a value as plain containers."""
        self._left -= 1
        if self._left < 0:
            raise RefusedError("a structure that unfolds to more than the file holds")
        if depth > MAX_DEPTH:
            raise RefusedError(f"containers nested more than {MAX_DEPTH} deep")
        if isinstance(value, Array):
            if value.value is None:
                raise DamagedError("an array has no content")
            return value.value
        if isinstance(value, dict):
            return {key: self(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            items = [self(item, depth + 1) for item in value]
            if isinstance(value, list):
                return items
            return items[1] if self._unwrap_tensors and is_tensor_pair(items) else tuple(items)
        if isinstance(value, (np.ndarray, set, frozenset, *_NUMBERS_AND_TEXT)):
            return value
        raise RefusedError("a function or type as a value")


def is_tensor_pair(items: list[Any]) -> bool:
    """Tell whether a tuple of these items is what Paddle writes for a tensor: name and array."""
    return len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], np.ndarray)


def _join_split(content: dict[Any, Any], room: int) -> None:
    """Join the arrays that Paddle splits at one gigabyte under protocols 2 and 3."""
    table = content.pop(SPLIT_TABLE, {})
    try:
        for key, entry in table.items():
            parts = [content.pop(part) for part in entry["slices"]]
            # One array can be there under any number of names.
            room -= sum(part.nbytes for part in parts)
            if room < 0:
                raise RefusedError("parts of a split array that repeat others")
            if {(type(part), part.ndim, part.dtype) for part in parts} != {
                (np.ndarray, 1, parts[0].dtype)
            }:
                raise ValueError
            content[_hashable(key)] = np.concatenate(parts).reshape(entry["OriginShape"])
    except RefusedError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise DamagedError("the parts of a split array do not fit together") from None


def _hashable(value: Any) -> Any:
    """Return `value` if its hash costs nothing: a number, text, or a flat tuple of these."""
    items = value if isinstance(value, tuple) else (value,)
    if len(items) > 64 or not all(isinstance(item, _NUMBERS_AND_TEXT) for item in items):
        raise RefusedError("a key that is neither text nor a number")
    return value


def _is_cheap_key(value: Any) -> bool:
    """Tell whether few keys of this kind can have one hash."""
    return isinstance(value, (str, bytes)) or (isinstance(value, int) and abs(value) < 2**63)


def is_length(value: Any) -> bool:
    """Tell whether a value can be the size of something."""
    return type(value) is int and 0 <= value < 2**48


def empty_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array of no numbers.

    Raises:
        RefusedError: NumPy cannot make one of this shape.
    """
    try:
        return np.empty(shape, dtype)
    except ValueError:
        raise RefusedError(f"an array of shape {shown(shape)}, too large for NumPy") from None


def shown(value: Any, most: int = 80) -> str:
    """Return a printable form, of `most` characters, of something that a file says."""
    text = repr(value[:most])[1:-1] if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
