# SPDX-License-Identifier: Apache-2.0
"""What a file is that is not a weights file: people pass all kinds of them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

HEAD_BYTES = 1024

_AGAIN = "download it again"
_UNPACK = "unpack it and use the file inside"
# Of the protocols since 2; of the older ones, where there is a container around the rest.
_PICKLE_STARTS = (b"\x80", b"(", b"}", b"]", b"c")
_TEXT_PICKLE = re.compile(rb"\([dlti](p\d+)?\n|c[\w.]+\n[\w.]+\n|\(i[\w.]+\n")
# (bytes, offset, what begins so)
_MAGIC = (
    (
        b"version https://git-lfs.github.com",
        0,
        "a Git LFS pointer, not the file: run `git lfs pull`",
    ),
    (b"\x93NUMPY", 0, "a NumPy .npy array, where a weights file was expected"),
    (b"\x89HDF\r\n\x1a\n", 0, "an HDF5 file (Keras?): convert it to safetensors"),
    (b"\x1f\x8b", 0, f"a gzip archive: {_UNPACK}"),
    (b"BZh", 0, f"a bzip2 archive: {_UNPACK}"),
    (b"\xfd7zXZ\x00", 0, f"an xz archive: {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", 0, f"a 7z archive: {_UNPACK}"),
    (b"Rar!\x1a\x07", 0, f"a RAR archive: {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", 0, f"a zstd archive: {_UNPACK}"),
    (b"ustar", 257, f"a tar archive: {_UNPACK}"),
    (b"\x89PNG", 0, "a PNG picture, where a weights file was expected"),
    (b"\xff\xd8\xff", 0, "a JPEG picture, where a weights file was expected"),
    (b"GIF8", 0, "a GIF picture, where a weights file was expected"),
    (b"BM", 0, "a BMP picture, where a weights file was expected"),
    (b"WEBP", 8, "a WebP picture, where a weights file was expected"),
    (b"WAVE", 8, "a WAV sound, where a weights file was expected"),
    (b"ftyp", 4, "an MP4 video, where a weights file was expected"),
    (b"%PDF", 0, "a PDF document, where a weights file was expected"),
    (b"TFL3", 4, "a TensorFlow Lite model, which ppzoo cannot read"),
    (b"\x7fELF", 0, "a program, where a weights file was expected"),
    (b"MZ", 0, "a Windows program, where a weights file was expected"),
)


def describe(path: Path, head: bytes) -> str | None:
    """Say what a file seems to be and what to do, or None for anything that may hold weights.

    Args:
        path: the file, opened only if it is an archive.
        head: its first `HEAD_BYTES` bytes.
    """
    if not head:
        return f"an empty file: {_AGAIN}"
    for magic, offset, what in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return what
    if head.startswith(b"PK\x03\x04"):
        return _describe_zip(path)
    if not any(head):
        return f"filled with zeros, as broken downloads and disks leave files: {_AGAIN}"
    if head[:12] == bytes(12) or (head[:1] == b"\x08" and b"\n" in head[:64]):
        return (
            "an exported inference model (.pdiparams, .pdmodel or ONNX): "
            "use the .pdparams that training saved"
        )
    return _describe_text(head) or _describe_other(head)


def _describe_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return f"a damaged zip archive: {_AGAIN}"
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy .npz archive, where a weights file was expected"
    return f"a zip archive: {_UNPACK}"


def _describe_other(head: bytes) -> str | None:
    if head[:1] in _PICKLE_STARTS:
        return None
    return (
        "not a weights file, or damaged at its start: ppzoo reads Paddle's .pdparams and .pdopt, "
        ".safetensors, and PyTorch's .pth"
    )


def _describe_text(head: bytes) -> str | None:
    if _TEXT_PICKLE.match(head):
        return None
    # A cut within a character is no sign of binary data, hence the tolerance at the end.
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8-sig")
    if any(ord(character) < 32 and character not in "\t\r\n\f" for character in text):
        return None
    text = " ".join(text.split())
    start = text.lower()
    if start.startswith("<"):
        page = "an error message" if start.startswith("<?xml") else "a web page"
        return f"{page}, saved in place of the file: {_AGAIN} and check its address"
    if start.startswith(("{", "[")):
        return (
            "JSON text, often a server's error message saved in place of the file: "
            f"{_AGAIN} and check its address{_beginning(text)}"
        )
    return f"a text file, which cannot hold weights{_beginning(text)}"


def _beginning(text: str) -> str:
    """Return what a text begins with, if every terminal can show it."""
    start = text[:60]
    return f" (it begins with {start!r})" if start.isascii() else ""
