# SPDX-License-Identifier: Apache-2.0
"""PNG files that are written from the top to the bottom, in memory for a few rows.

Pillow and OpenCV take whole pictures only: 768 and 576 MB for what becomes of a photograph of 12
megapixels at x4. PNG itself is a stream: rows, of which each may be stored as its difference to
what is beside or above it, through zlib.
"""

from __future__ import annotations

import zlib
from types import TracebackType
from typing import BinaryIO

import numpy as np

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, with alpha, RGB, with alpha
_STRIP = 32  # rows that are encoded at a time
_INCH = 0.0254  # metres


class PngFile:
    """A PNG file of which parts are put in from the top to the bottom, and from left to right.

    Args:
        file: where to write.
        height: in pixels.
        width: in pixels.
        channels: 1 for grey, 3 for RGB, one more with alpha.
        dtype: uint8 or uint16.
        exif: tags, as Pillow has them.
        icc_profile: of the colour space.
        dpi: dots per inch, across and down.
    """

    def __init__(
        self,
        file: BinaryIO,
        height: int,
        width: int,
        channels: int,
        dtype: np.dtype,
        *,
        exif: bytes | None = None,
        icc_profile: bytes | None = None,
        dpi: tuple[float, float] | None = None,
    ) -> None:
        from PIL.PngImagePlugin import putchunk

        self._file, self._put_chunk = file, putchunk
        self._shape, self._dtype = (height, width, channels), np.dtype(dtype)
        self._done = 0
        self._band: np.ndarray | None = None
        self._above = np.zeros(width * channels * self._dtype.itemsize, np.uint8)
        self._compressor = zlib.compressobj()
        file.write(b"\x89PNG\r\n\x1a\n")
        sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        kind = bytes([8 * self._dtype.itemsize, _COLOUR_TYPES[channels], 0, 0, 0])
        putchunk(file, b"IHDR", sizes + kind)
        if icc_profile:
            putchunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile))
        if dpi:
            dots = b"".join(round(value / _INCH).to_bytes(4, "big") for value in dpi)
            putchunk(file, b"pHYs", dots + b"\x01")
        if exif:
            putchunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))

    def put(self, rows: slice, columns: slice, part: np.ndarray) -> None:
        """Fill a part of the picture: what is right of the last one, or a new band of rows.

        A band may be begun again as long as it is not complete.

        Args:
            rows: where, with start and stop; those of a band are the same.
            columns: where, with start and stop.
            part: [h, w, C].

        Raises:
            ValueError: another type or shape, or another place than the next one.
        """
        _, width, channels = self._shape
        if columns.start == 0:
            self._band = np.zeros((rows.stop - rows.start, width, channels), self._dtype)
            self._filled = 0
        band = self._band
        shape = rows.stop - rows.start, columns.stop - columns.start, channels
        if part.dtype != self._dtype or part.shape != shape:
            raise ValueError(
                f"expected {self._dtype} {list(shape)}, got {part.dtype} {list(part.shape)}"
            )
        is_next = band is not None and len(band) == shape[0] and columns.start == self._filled
        if rows.start != self._done or not is_next:
            raise ValueError(
                f"rows from {rows.start} and columns from {columns.start} are not next in the file"
            )
        band[:, columns] = part
        self._filled = columns.stop
        if columns.stop == width:
            for top in range(0, len(band), _STRIP):
                self._encode(band[top : top + _STRIP])
            self._done, self._band = rows.stop, None

    def close(self) -> None:
        """Write what ends the file; what takes the file is up to the caller.

        Raises:
            ValueError: the picture is not complete.
        """
        if self._done != self._shape[0]:
            raise ValueError(f"the picture has {self._shape[0]} rows, {self._done} are filled")
        self._put_chunk(self._file, b"IDAT", self._compressor.flush())
        self._put_chunk(self._file, b"IEND", b"")

    def __enter__(self) -> PngFile:
        """Return the file to fill."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the file, unless the block has failed."""
        if kind is None:
            self.close()

    def _encode(self, strip: np.ndarray) -> None:
        step = strip.shape[2] * self._dtype.itemsize
        big_endian = np.ascontiguousarray(strip, self._dtype.newbyteorder(">"))
        raw = big_endian.view(np.uint8).reshape(len(strip), -1)
        above = np.concatenate([self._above[np.newaxis], raw[:-1]])
        left = np.pad(raw[:, :-step], ((0, 0), (step, 0)))
        mean = ((left.astype(np.uint16) + above) >> 1).astype(np.uint8)
        # Filter types 0 to 3 of the format; differences wrap around.
        filtered = np.stack([raw, raw - left, raw - above, raw - mean])
        # The usual guess of what compresses best: the smallest sum of differences with sign.
        sums = np.abs(filtered.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
        best = sums.argmin(axis=0)
        rows = filtered[best, np.arange(len(strip))]
        self._above = raw[-1].copy()
        coded = np.concatenate([best.astype(np.uint8)[:, np.newaxis], rows], axis=1)
        data = self._compressor.compress(coded.tobytes())
        if data:
            self._put_chunk(self._file, b"IDAT", data)
