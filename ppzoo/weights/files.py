# SPDX-License-Identifier: Apache-2.0
"""Weights and checkpoint files: read without running code, written whole or not at all.

`.pdparams` and `.pdopt` are Paddle's pickles, `.pth` is PyTorch's, `.safetensors` is Hugging Face's
format. What a file is, its content decides, never its name.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.errors import WeightsError
from ppzoo.weights import dump, foreign, pickles, torch_files
from ppzoo.weights.pickles import shown
from ppzoo.weights.torch_names import unwrapped

_LOG = logging.getLogger(__name__)
# The metadata key under which `write_safetensors` notes what names are.
LAYOUT = "layout"
NESTED, FLAT = "net/param", "param"
_EMPTY = "empty"

# NumPy has no bfloat16: as in Paddle's own files, its bits are kept as uint16.
_DTYPES = {
    "BOOL": "b1",
    "U8": "u1",
    "I8": "i1",
    "U16": "u2",
    "I16": "i2",
    "F16": "f2",
    "BF16": "u2",
    "U32": "u4",
    "I32": "i4",
    "F32": "f4",
    "U64": "u8",
    "I64": "i8",
    "F64": "f8",
    "C64": "c8",
}


def read(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Return the content of a `.pdparams`, `.pdopt`, checkpoint, `.safetensors` or `.pth` file.

    Nested dictionaries of NumPy arrays, numbers, text and containers: what
    `paddle.load(path, return_numpy=True)` returns, without its power to run code. Of PyTorch's
    files, and of safetensors that say `format: pt`, networks are under Paddle's names
    (`ppzoo.weights.torch_names`). Takes memory for about twice the size of the file; for up to nine
    times, if it is an archive of PyTorch's that is compressed or whose tensors share memory.

    Raises:
        WeightsError: the file is missing, damaged, foreign, or holds more than that; nothing in
            it has run.
    """
    with _reading(Path(path)) as (file, size):
        if _is_safetensors(file, size):
            return _read_safetensors(Path(path), file.read())
        return _read_pickle(Path(path), file, size)


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the arrays of a safetensors file; bfloat16 ones as their bits in uint16.

    Nested as they were, if `write_safetensors` nested them; flat otherwise.

    Raises:
        WeightsError: it is not a safetensors file, or missing, or damaged.
    """
    with _reading(Path(path)) as (file, size):
        if not _is_safetensors(file, size):
            raise WeightsError(f"{path} is not a safetensors file, or cut short")
        return _read_safetensors(Path(path), file.read())


def write_pdparams(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write tensors, arrays, numbers, text and containers as `.pdparams`, for `paddle.load` too.

    Args:
        path: the file; a file of that name is replaced once the new one is safely on the disk.
        content: see `ppzoo.weights.dump.dump`.

    Raises:
        UserError: it cannot be written; names the reason.
        TypeError: something that a weights file does not hold is among the content.
    """
    with atomic_write(path) as file:
        dump.dump(content, file)


def write_safetensors(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays or tensors, flat or as `{net: {param: array}}`, as a safetensors file.

    Nested names are joined to `net/param`, and the metadata says which of the two it is.

    Args:
        path: the file; a file of that name is replaced once the new one is safely on the disk.
        arrays: only arrays and tensors of numbers, up to 64 bits (complex ones 2 x 32). Numbers and
            text by themselves belong into the metadata.
        metadata: more texts for the file's header.

    Raises:
        UserError: it cannot be written; names the reason.
        TypeError: something other than such arrays is among them; names it.
        ValueError: a name contains "/", or the metadata uses a name of this module.
    """
    from safetensors.numpy import save

    header = {LAYOUT: FLAT, **(metadata or {})}
    if (metadata or {}).keys() & {LAYOUT, _EMPTY}:
        raise ValueError(f"the metadata keys {LAYOUT!r} and {_EMPTY!r} are taken")
    flat: dict[str, np.ndarray] = {}
    empty: list[str] = []
    _flatten(arrays, (), flat, empty)
    if empty or any(isinstance(value, Mapping) for value in arrays.values()):
        header[LAYOUT] = NESTED
        header[_EMPTY] = json.dumps(empty)
    data = save(flat, metadata=header)
    with atomic_write(path) as file:
        file.write(data)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file, give it with its size, and explain whatever goes wrong meanwhile."""
    try:
        _check_is_file(path)
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except WeightsError:
        raise
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place outside of the file, where it points to
            raise WeightsError(f"{path} is damaged: download or copy it again") from error
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise WeightsError(f"{path} does not fit into memory: close other programs") from error
    except Exception as error:  # a hostile file must not reach the caller in any other way
        raise WeightsError(f"{path} is damaged: download or copy it again") from error


def _check_is_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        hint = "check the path"
        for suffix in (".pdparams", ".safetensors"):
            if path.name and path.with_name(path.name + suffix).is_file():
                hint = f"did you mean {path.name}{suffix}?"
        raise WeightsError(f"there is no file {path}: {hint}") from None
    if stat.S_ISDIR(mode):
        raise WeightsError(f"{path} is a folder: name the weights file in it")
    if not stat.S_ISREG(mode):
        raise WeightsError(f"{path} is a device or pipe: name a file")


def _is_safetensors(file: BinaryIO, size: int) -> bool:
    """Tell by the first nine bytes: the length of a JSON header, and its opening brace."""
    head = file.read(9)
    file.seek(0)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= size


def _read_pickle(path: Path, file: BinaryIO, size: int) -> dict[Any, Any]:
    head = file.read(foreign.HEAD_BYTES)
    file.seek(0)
    is_zip = head.startswith(b"PK\x03\x04") and torch_files.is_torch_zip(path)
    is_torch = is_zip or head.startswith(torch_files.LEGACY_START)
    what = None if is_torch else foreign.describe(path, head)
    if what is not None:
        raise WeightsError(f"{path} is {what}")
    try:
        if is_zip:
            content = torch_files.load_zip(path, size)
        elif is_torch:
            content = torch_files.load_legacy(file, size)
        else:
            content = pickles.load(file, size)
    except pickles.RefusedError as error:
        advice = "; of a whole model of PyTorch's, save model.state_dict()" if is_torch else ""
        raise WeightsError(
            f"{path} is refused, because it holds {error}: only arrays, numbers, text and "
            f"containers are read, so that no file can run code{advice}"
        ) from error
    except pickles.TruncatedError as error:
        raise WeightsError(
            f"{path} is cut short after {size} bytes: download or copy it again"
        ) from error
    except pickles.DamagedError as error:
        raise WeightsError(f"{path} is damaged ({error}): download or copy it again") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise WeightsError(f"{path} holds a {kind}, where a dictionary of arrays was expected")
    return unwrapped(content, path) if is_torch else content


def _read_safetensors(path: Path, data: bytes) -> dict[str, Any]:
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(data)
    except SafetensorError as error:
        reason = shown(str(error), 200)
        raise WeightsError(
            f"{path} is a damaged safetensors file ({reason}): download or copy it again"
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    del data  # the entries are copies, and each goes as soon as its array is made
    flat = {}
    entries.reverse()
    while entries:
        name, entry = entries.pop()
        if entry["dtype"] not in _DTYPES:
            raise WeightsError(
                f"{path} is refused, because {shown(name)} is of type {entry['dtype']}, "
                "which NumPy lacks: convert it to float32"
            )
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        if math.prod(entry["shape"]) == 0:
            flat[name] = np.empty(entry["shape"], dtype)
            continue
        array = np.frombuffer(entry["data"], dtype.newbyteorder("<")).reshape(entry["shape"])
        flat[name] = array.astype(dtype, copy=True)
    metadata = header.get("__metadata__") or {}
    if metadata.get("format") == "pt":  # Hugging Face's mark for PyTorch's weights
        return unwrapped(flat, path)
    if not metadata.keys() & {"format", LAYOUT}:
        _warn_of_squares(flat, path)
    if metadata.get(LAYOUT) != NESTED:
        return flat
    return _nest(flat, json.loads(metadata.get(_EMPTY, "[]")))


def _warn_of_squares(flat: Mapping[str, np.ndarray], path: Path) -> None:
    """Tell of matrices that fit both ways round, where a file does not say who wrote it."""
    for name, array in flat.items():
        square = array.ndim == 2 and array.shape[0] == array.shape[1] > 1
        if square and name.endswith(".weight"):
            _LOG.warning(
                "%s does not say whether PyTorch wrote it, and is taken for Paddle's: PyTorch "
                "stores matrices such as %s transposed where they belong to linear layers; if it "
                "is PyTorch's, save it anew with metadata={'format': 'pt'}",
                path,
                shown(name),
            )
            return


def _flatten(
    value: Any, keys: tuple[str, ...], flat: dict[str, np.ndarray], empty: list[str]
) -> None:
    name = "/".join(keys)
    if not isinstance(value, Mapping):
        array = dump.as_array(value, f"'{shown(name)}'")
        if array.dtype.str[1:] not in _DTYPES.values():
            raise TypeError(f"'{shown(name)}' is an array of {array.dtype}")
        # The writer takes the memory as it is, so it must be in C order.
        flat[name] = np.asarray(array, order="C")
        return
    if keys and not value:
        empty.append(name)
    for key, item in value.items():
        if not isinstance(key, str) or "/" in key:
            raise ValueError(f"the name '{shown(key)}' is not text without '/'")
        _flatten(item, (*keys, key), flat, empty)


def _nest(flat: Mapping[str, np.ndarray], empty: list[str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in [*flat.items(), *((name, {}) for name in empty)]:
        *parents, last = name.split("/")
        if len(parents) > pickles.MAX_DEPTH:
            raise ValueError("nested too deep")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return nested
