# SPDX-License-Identifier: Apache-2.0
"""Films written picture by picture, with the sound of another file."""

from __future__ import annotations

import contextlib
import itertools
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import av.filter
import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.errors import UserError
from ppzoo.media.video.background import BackgroundSink
from ppzoo.media.video.files import open_media
from ppzoo.media.video.reader import BT709
from ppzoo.media.video.sound import CopiedSound, EncodedSound, carry_over, mux_undamaged

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_LIMITED_RANGE = 1
_CRF = range(52)
# A filter and not PyAV's reformatter, which puts colour samples between two columns; players expect
# them on the left one. The flags are those of `reader.EXACT_BICUBIC`.
_CONVERSION = (
    "flags=bicubic+accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv:"
    "out_chroma_loc=left"
)


class VideoWriter:
    """Write a film of H.264 (yuv420p, BT.709, limited range) that any player shows.

    A context manager: the file takes its name when the block ends without an exception, and nothing
    of it stays after one; an older file of that name stays as it was. A thread encodes while the
    next picture is made. H.264 of this kind has even sizes only: the last column or row of an odd
    picture is repeated once, so that nothing is stretched.

    Sound is copied bit by bit where such a file can hold it, else coded as AAC. It begins with the
    first picture (of `audio_from` too, where that is a video) and ends with the last; copied sound
    that is shorter ends sooner.

    Args:
        path: the film, a name that ends in .mp4, .m4v, .mov or .mkv. Missing folders are made.
        fps: frames per second, kept exactly: give `Fraction(30000, 1001)`, not 29.97.
        audio_from: an audio or video file whose sound is taken; without sound in it, the film has
            none either.
        crf: x264's quality, 0 (largest) to 51 (worst).
        preset: x264's effort, from "ultrafast" to "veryslow": larger or smaller files.
        depth: how many pictures may wait to be encoded.

    Raises:
        UserError: another suffix, or a file that cannot be written; names it.
        DataError: `audio_from` is missing or cannot be read.
        ValueError: a rate or quality out of range, a picture unlike the first, or no picture.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction | int,
        audio_from: str | os.PathLike[str] | None = None,
        crf: int = 17,
        preset: str = "faster",
        depth: int = 4,
    ) -> None:
        suffix = Path(path).suffix.lower()
        if suffix not in _FORMATS:
            known = ", ".join(_FORMATS)
            raise UserError(f"cannot write {os.fspath(path)}: the name must end in {known}")
        if not fps > 0:
            raise ValueError(f"fps must be positive, got {fps}")
        if crf not in _CRF:
            raise ValueError(f"crf must be from 0 to 51, got {crf}")
        self.path = os.fspath(path)
        self.fps = Fraction(fps)
        self._form = _FORMATS[suffix]
        self._audio_from = audio_from
        self._options = {"crf": str(crf), "preset": preset}
        self._depth = depth
        self._shape: tuple[int, ...] | None = None
        self._sink: BackgroundSink[Any] | None = None
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> VideoWriter:
        with contextlib.ExitStack() as exits:
            source = None
            if self._audio_from is not None:
                source = exits.enter_context(open_media(self._audio_from, "audio"))
            file = exits.enter_context(atomic_write(self.path))
            film = _Film(file, self._form, self.fps, self._options)
            exits.push(film.end)
            if source is not None:
                film.sound = carry_over(self._audio_from, source, film.container, self._form)
            self._sink = BackgroundSink(film.add, self._depth)
            exits.push(self._end)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._exits.__exit__(*error)

    def write(self, frame: np.ndarray) -> None:
        """Add a picture.

        Args:
            frame: uint8 RGB [H, W, 3] of the first one's shape; it may be changed afterwards.

        Raises:
            UserError: the disk is full, or the like; raised by this or a later call.
            ValueError: another type or shape, or a writer that is not used as context manager.
        """
        if self._sink is None:
            raise ValueError("write inside of `with VideoWriter(...) as writer:`")
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise ValueError(
                f"expected uint8 RGB [H, W, 3], got {frame.dtype} of the shape {list(frame.shape)}"
            )
        if self._shape not in (None, frame.shape):
            raise ValueError(
                f"pictures differ: {list(self._shape)} at first and then {list(frame.shape)}"
            )
        self._shape = frame.shape
        height, width, _ = frame.shape
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._sink.put(av.VideoFrame.from_ndarray(even, format="rgb24"))

    def _end(self, error: type[BaseException] | None, *_: object) -> None:
        sink, self._sink = self._sink, None
        if error is None:
            sink.finish()
            if self._shape is None:
                raise ValueError("a film needs at least one picture")
        else:
            sink.abandon()


class _Film:
    """The file under way; all but `end` runs in the encoding thread."""

    def __init__(self, file: Any, form: str, fps: Fraction, options: dict[str, str]) -> None:
        self.container = av.open(file, "w", format=form)
        self.sound: CopiedSound | EncodedSound | None = None
        self._fps = fps
        self._count = 0
        self._graph: Any = None
        self._stream = self.container.add_stream("libx264", rate=fps, options=options)
        self._stream.time_base = 1 / fps
        context = self._stream.codec_context
        context.time_base = 1 / fps
        context.pix_fmt = "yuv420p"
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = _LIMITED_RANGE

    def add(self, picture: Any) -> None:
        if not self._count:
            self._stream.width, self._stream.height = picture.width, picture.height
            self.container.start_encoding()
            self._graph = self._converter(picture)
        picture.pts, picture.time_base = self._count, 1 / self._fps
        self._graph.push(picture)
        frame = self._graph.pull()
        frame.pts, frame.time_base = self._count, 1 / self._fps
        self._mux(self._stream.encode(frame))
        self._count += 1
        if self.sound is not None:
            self.sound.follow(self._count / self._fps)

    def end(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            with contextlib.suppress(OSError, ValueError, av.error.FFmpegError):
                self.container.close()
            return
        self._mux(self._stream.encode(None))
        if self.sound is not None:
            self.sound.finish(self._count / self._fps, 1 / self._fps)
        self.container.close()

    def _converter(self, picture: Any) -> Any:
        """Return what makes frames to encode of pictures like the given one."""
        graph = av.filter.Graph()
        parts = [
            graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format,
                time_base=1 / self._fps,
            ),
            graph.add("scale", _CONVERSION),
            graph.add("format", "yuv420p"),
            graph.add("buffersink"),
        ]
        for one, next_one in itertools.pairwise(parts):
            one.link_to(next_one)
        graph.configure()
        return graph

    def _mux(self, packets: list[Any]) -> None:
        if isinstance(self.sound, CopiedSound):
            mux_undamaged(self.container, packets)
        else:
            self.container.mux(packets)
