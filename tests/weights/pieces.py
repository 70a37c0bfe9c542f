# SPDX-License-Identifier: Apache-2.0
"""Pieces of pickles, to put honest and hostile ones together by hand."""

import struct

PROTO = b"\x80\x04"


def text(value):
    """Push a text."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def name(module, attribute):
    """Push the object that a module holds under a name."""
    return text(module) + text(attribute) + b"\x93"


def number(value):
    """Push a whole number of up to eight bytes."""
    return b"\x8a\x08" + struct.pack("<q", value)


def dtype(code, state=b"NNN"):
    """Push a NumPy dtype, little-endian; `state` are its subarray, names and fields."""
    made = name("numpy", "dtype") + text(code) + b"\x89\x88\x87R"
    return made + b"(K\x03" + text("<") + state + number(-1) * 2 + b"K\x00tb"


# Push an array without content, as NumPy announces it.
ARRAY = (
    name("numpy._core.multiarray", "_reconstruct")
    + name("numpy", "ndarray")
    + b"K\x00\x85C\x01b\x87R"
)


def content(length, data, kind=None):
    """Give the array on the stack one dimension and the value that `data` pushes."""
    return b"(K\x01" + number(length) + b"\x85" + (kind or dtype("f4")) + b"\x89" + data + b"tb"
