# SPDX-License-Identifier: Apache-2.0
"""Media files opened for reading, with errors that name them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import av
import av.error

from ppzoo.errors import DataError

# What people call videos and recordings. FFmpeg knows formats beyond these that open further
# files or addresses named inside the given one (hls, concat, dash, image2), and would take a text
# (tty) or a single picture (png_pipe) for a film.
_FORMATS = (
    "3gp,aac,ac3,aiff,amr,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,"
    "mov,mp3,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,w64,wav,webm,wv"
)


# What PyAV raises where a file cannot be read further; the second, where packets belong to streams
# that came up midway.
READ_ERRORS = (av.error.FFmpegError, IndexError)


def read_packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield a stream's packets up to the file's end, or to where it cannot be read further."""
    with contextlib.suppress(*READ_ERRORS):
        yield from container.demux(stream)


@contextlib.contextmanager
def open_media(path: str | os.PathLike[str], kind: str = "video") -> Iterator[Any]:
    """Give PyAV's container of a file, closed when the block ends.

    Args:
        path: the file; any name, also one with colons or percent signs.
        kind: what errors call it, "video" or "audio".

    Raises:
        DataError: the file is missing, empty, a folder, unreadable or of another kind.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise DataError(f"there is no {kind} file {name}") from None
    except IsADirectoryError:
        raise DataError(f"{name} is a folder, not a {kind} file") from None
    except OSError as error:
        raise DataError(f"cannot read the {kind} file {name}: {error.strerror or error}") from error
    if not head:
        raise DataError(f"the {kind} file {name} is empty")
    try:
        # With its protocol spelled out, "a:b.mp4" is a file and no address.
        container = av.open(
            "file:" + os.path.abspath(path),
            options={"format_whitelist": _FORMATS},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError) as error:
        if head[4:8] == b"ftyp":
            raise DataError(
                f"the {kind} file {name} has no index, without which nothing in it can be found: "
                "it was cut off while it was recorded or copied; copy it again"
            ) from error
        raise DataError(
            f"{name} is not {'an' if kind == 'audio' else 'a'} {kind} file of a known format (or "
            "its header is damaged)"
        ) from error
    with container:
        yield container


def video_stream(container: Any, path: str | os.PathLike[str]) -> Any:
    """Return the stream of pictures, the default one or else the largest.

    Raises:
        DataError: there is none (a cover is none), or its codec is not known.
    """
    stream = find_video_stream(container)
    if stream is None:
        holds = "sound but no pictures" if container.streams.audio else "no pictures"
        raise DataError(f"{os.fspath(path)} is not a video: it holds {holds}")
    if stream.codec_context is None:
        raise DataError(f"the pictures of {os.fspath(path)} are coded in a way that is not known")
    return stream


def find_video_stream(container: Any) -> Any | None:
    """Return the stream of moving pictures, None without one."""
    import av.stream

    picture = av.stream.Disposition.attached_pic
    default = av.stream.Disposition.default
    streams = [s for s in container.streams.video if not s.disposition & picture]

    def rank(stream: Any) -> tuple[bool, int]:
        context = stream.codec_context
        area = context.width * context.height if context else 0
        return bool(stream.disposition & default), area

    return max(streams, key=rank, default=None)


def find_audio_stream(container: Any) -> Any | None:
    """Return the stream of sound that can be decoded, the default one or else the first."""
    import av.stream

    default = av.stream.Disposition.default
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    return max(streams, key=lambda stream: bool(stream.disposition & default), default=None)
