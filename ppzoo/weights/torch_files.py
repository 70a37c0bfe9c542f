# SPDX-License-Identifier: Apache-2.0
"""PyTorch's files, read without PyTorch and without running code.

A file of `torch.save` is a pickle that refers to memory beside it: in a zip archive, or, as written
before PyTorch 1.6 and by the authors of most papers here, behind the pickle in the same file. The
pickle is read as data like Paddle's (`ppzoo.weights.pickles`); of PyTorch it may name kinds of
memory and the functions that put tensors together, no other thing.
"""

from __future__ import annotations

import itertools
import math
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ppzoo.weights.pickles import (
    CALLS,
    Array,
    DamagedError,
    Machine,
    Name,
    Plain,
    RefusedError,
    TruncatedError,
    empty_array,
    is_length,
    shown,
)

# What PyTorch wrote until 1.5 begins with the number 0x1950a86a20f9469cfc6c as its own pickle.
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
_LEGACY_PROTOCOL = 1001
# NumPy has no bfloat16: as in Paddle's own files, its bits are kept as uint16.
_STORAGES = {
    "Bool": "b1",
    "Byte": "u1",
    "Char": "i1",
    "Short": "i2",
    "Half": "f2",
    "BFloat16": "u2",
    "Int": "i4",
    "Float": "f4",
    "Long": "i8",
    "Double": "f8",
    "ComplexFloat": "c8",
    "ComplexDouble": "c16",
}
_MOST_AXES = 32
# Archives that someone has packed again may be compressed; weights hardly get smaller by that.
_GROWTH = 4
# Networks that share memory repeat it here, where each array has its own: arrays take as many times
# the file's size at most.
_SHARED = 4


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _View(NamedTuple):
    array: Array
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TorchMachine(Machine):
    """Reads the pickle in a file of PyTorch; `views` lists the tensors whose memory follows."""

    def __init__(self, file: BinaryIO, size: int, whole: int, memory: int) -> None:
        super().__init__(file, size, _SHARED * whole)
        # An honest archive has each kind of memory once; a hostile one, whose parts overlap, could
        # have thousands as large as itself.
        self._room["memory"] = memory
        self.views: list[_View] = []
        self.storages: dict[str, _Storage] = {}

    def outside(self, reference: Any) -> _Storage:
        """Return the memory that a reference names."""
        if not isinstance(reference, tuple) or len(reference) not in (5, 6):
            raise RefusedError("a reference to something other than memory")
        mark, kind, key, _, length, *view = reference
        if not isinstance(mark, str) or not isinstance(kind, Name) or not isinstance(key, str):
            raise RefusedError("a reference to something other than memory")
        if mark != "storage":
            raise RefusedError("a reference to something other than memory")
        code = _STORAGES.get(kind.full.removeprefix("torch.").removesuffix("Storage"))
        if code is None or not is_length(length):
            raise RefusedError("memory of an unknown kind")
        if any(part is not None for part in view):
            raise RefusedError("memory that is a part of other memory (save it with PyTorch 1.6)")
        storage = _Storage(key, np.dtype(code), length)
        if self.storages.setdefault(key, storage) != storage:
            raise RefusedError("memory of two kinds at once")
        return storage

    def ignores(self, target: Any, state: Any) -> bool:
        """Leave out the versions of layers, which state dictionaries have as an attribute."""
        return isinstance(target, dict) and isinstance(state, dict)

    def view(self, storage: Any, offset: Any, shape: Any, strides: Any) -> Array:
        """Return a tensor whose numbers follow."""
        if not isinstance(storage, _Storage) or not is_length(offset):
            raise RefusedError("a tensor that is not made from memory")
        for numbers in (shape, strides):
            if not isinstance(numbers, tuple) or not all(map(is_length, numbers)):
                raise RefusedError("a tensor whose shape is not a shape")
        if len(shape) != len(strides) or len(shape) > _MOST_AXES:
            raise RefusedError("a tensor whose shape is not a shape")
        self.spend("arrays", math.prod(shape) * storage.dtype.itemsize)
        last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if 0 not in shape and offset + last >= storage.length:
            raise RefusedError("a tensor larger than its memory")
        array = Array()
        self.views.append(_View(array, storage, offset, shape, strides))
        return array


def _tensor(
    m: Any, storage: Any, offset: Any, shape: Any, strides: Any, *gradient_and_hooks: Any
) -> Array:
    return m.view(storage, offset, shape, strides)


def _parameter(m: Any, data: Any, *gradient_and_hooks: Any) -> Array:
    if not isinstance(data, Array):
        raise RefusedError("a parameter that is not made from a tensor")
    return data


def _no_call(m: Any, *arguments: Any) -> Any:
    raise RefusedError("a call of something that is not a function")


_TorchMachine.calls = {
    **CALLS,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": lambda m, items=(): tuple(m.copy(items)),
    "torch.device": lambda m, *place: None,
    **{f"torch.{kind}Storage": _no_call for kind in _STORAGES},
}


def is_torch_zip(path: Path) -> bool:
    """Tell whether a zip archive is a file of PyTorch."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def load_zip(path: Path, size: int) -> Any:
    """Return what a zip archive of PyTorch holds, as containers, numbers, text and NumPy arrays.

    Args:
        path: the archive.
        size: its bytes.

    Raises:
        RefusedError: it needs more than tensors, arrays, numbers, text and containers.
        DamagedError: it is not whole.
    """
    with _open(path) as archive:
        memory_size = size + _compressed(archive, size)
        folder = next(n for n in archive.namelist() if n.endswith("/data.pkl"))[: -len("data.pkl")]
        order = _member(archive, f"{folder}byteorder", memory_size, optional=True)
        if order not in (b"", b"little"):
            raise RefusedError("numbers in the byte order of other machines")
        pickled = archive.getinfo(f"{folder}data.pkl")
        _check_packing(pickled, size)
        with archive.open(pickled) as file:
            machine = _TorchMachine(
                file,  # type: ignore[arg-type]
                pickled.file_size,
                size,
                memory_size,
            )
            top = machine.run()

        def memory(storage: _Storage) -> bytes:
            machine.spend("memory", storage.length * storage.dtype.itemsize)
            return _member(archive, f"{folder}data/{storage.key}", memory_size)

        _fill(machine.views, memory)
    return _plain(top, pickled.file_size)


def load_legacy(file: BinaryIO, size: int) -> Any:
    """Return what a file of PyTorch before 1.6 holds; see `load_zip`.

    Args:
        file: positioned at its start.
        size: its bytes.
    """

    def machine() -> _TorchMachine:
        return _TorchMachine(file, size - file.tell(), size, size)

    machine().run()  # the number by which such files are known
    protocol, system = machine().run(), machine().run()
    if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise DamagedError("its beginning is not PyTorch's")
    if system.get("little_endian") is not True:
        raise RefusedError("numbers in the byte order of other machines")
    begin = file.tell()
    reader = machine()
    top = reader.run()
    pickled = file.tell() - begin
    keys = machine().run()
    known = reader.storages
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in known for key in keys):
        raise DamagedError("its list of memory does not fit its tensors")
    places = {}
    for key in keys:
        length = int.from_bytes(file.read(8), "little", signed=True)
        data = known[key].length * known[key].dtype.itemsize
        if length != known[key].length:
            raise DamagedError("its memory does not fit its tensors")
        if file.tell() + data > size:
            raise TruncatedError(f"{data} bytes should follow, {size - file.tell()} do")
        places[key] = file.tell()
        file.seek(data, 1)

    def memory(storage: _Storage) -> bytes:
        if storage.key not in places:
            raise DamagedError("the memory of a tensor is missing")
        file.seek(places[storage.key])
        return file.read(storage.length * storage.dtype.itemsize)

    _fill(reader.views, memory)
    return _plain(top, pickled)


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DamagedError("it is no whole zip archive") from error


def _member(archive: zipfile.ZipFile, name: str, size: int, optional: bool = False) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        if optional:
            return b""
        raise DamagedError(f"{shown(name)} is missing in it") from None
    _check_packing(info, size)
    try:
        # Without a number, Python would unpack all that is there, and then cut it to its length.
        with archive.open(info) as file:
            return file.read(info.file_size + 1)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise DamagedError(f"{shown(name)} in it is damaged") from error


def _compressed(archive: zipfile.ZipFile, size: int) -> int:
    """Return the bytes that compressed parts hold, if they are not too many."""
    parts = [info for info in archive.infolist() if info.compress_type == zipfile.ZIP_DEFLATED]
    total = sum(info.file_size for info in parts)
    if total > _GROWTH * size:
        raise RefusedError("parts that grow more than fourfold, which PyTorch never writes")
    return total


def _check_packing(info: zipfile.ZipInfo, size: int) -> None:
    """Refuse what is packed in another way than PyTorch and common archivers do."""
    known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if not known or info.file_size > size or info.flag_bits & 1:
        raise RefusedError("compressed or encrypted parts, which PyTorch never writes")


def _fill(views: list[_View], memory: Callable[[_Storage], bytes]) -> None:
    """Give all tensors their numbers, in the order of memory, so that it is read once."""
    ordered = sorted(views, key=lambda view: view.storage.key)
    for storage, using in itertools.groupby(ordered, key=lambda view: view.storage):
        # By a function of its own, so that one memory is gone before the next is read.
        _fill_from(storage, using, memory(storage))


def _fill_from(storage: _Storage, views: Iterable[_View], raw: bytes) -> None:
    if len(raw) != storage.length * storage.dtype.itemsize:
        raise DamagedError("the memory of a tensor has another length than it says")
    is_bool = storage.dtype.kind == "b"
    flat = np.frombuffer(raw, np.uint8 if is_bool else storage.dtype.newbyteorder("<"))
    for view in views:
        if 0 in view.shape:
            view.array.value = empty_array(view.shape, storage.dtype)
            continue
        strides = [stride * flat.itemsize for stride in view.strides]
        window = np.lib.stride_tricks.as_strided(
            flat[view.offset :], view.shape, strides, writeable=False
        )
        # What is neither 0 nor 1 is true.
        view.array.value = (
            np.not_equal(window, 0, order="C")
            if is_bool
            else window.astype(storage.dtype, order="C", copy=True)
        )


def _plain(top: Any, size: int) -> Any:
    return Plain(size, unwrap_tensors=False)(top, 0)
