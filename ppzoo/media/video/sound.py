# SPDX-License-Identifier: Apache-2.0
"""The sound of a file: as samples, or carried over into a new film."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from typing import Any

import av.error
import av.filter
import numpy as np

from ppzoo.errors import DataError
from ppzoo.media.video.files import (
    find_audio_stream,
    find_video_stream,
    open_media,
    read_packets,
)

# Codecs that players find in such a file; other sound is coded anew.
_COPIED = {
    "mp4": {"aac", "ac3", "alac", "eac3", "mp3"},
    "mov": {"aac", "ac3", "alac", "eac3", "mp3", "pcm_s16le", "pcm_s16be", "pcm_s24le"},
    "matroska": {
        *("aac", "ac3", "alac", "dts", "eac3", "flac", "mp2", "mp3", "opus", "vorbis"),
        *("pcm_s16le", "pcm_s24le", "pcm_f32le"),
    },
}
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz
_AAC_BITS = 96_000  # per second and channel
_LAYOUTS = {1: "mono", 2: "stereo"}
# Longer silence, to be filled in, is more likely damage.
_LONGEST_GAP = 600  # seconds
# Packets that begin before the film by up to this much prime the decoder; nothing is heard of them.
_PRIMING = Fraction(1, 10)  # seconds


def read_audio(path: str | os.PathLike[str], rate: int = 16000) -> np.ndarray:
    """Return the sound of an audio or video file.

    The first sample belongs to the first picture of a video; sound that begins later is preceded by
    silence, and what comes before is left out. Gaps are silence as well.

    Args:
        path: a file of any common format.
        rate: samples per second to convert to.

    Returns:
        float32 [N], all channels mixed to one, in [-1, 1].

    Raises:
        DataError: the file is missing, unreadable or has no sound; names it.
    """
    chunks = [chunk[0] for chunk in audio_chunks(path, rate)]
    if not chunks:
        raise DataError(f"the sound of {os.fspath(path)} cannot be decoded: it is damaged")
    return np.concatenate(chunks)


def audio_chunks(
    path: str | os.PathLike[str], rate: int = 16000, channels: int = 1
) -> Generator[np.ndarray, None, None]:
    """Yield the sound of a file piece by piece, as `read_audio` returns it.

    Args:
        path: a file of any common format.
        rate: samples per second to convert to.
        channels: 1, or 2 for stereo.

    Yields:
        float32 [channels, n].

    Raises:
        DataError: the file is missing, unreadable or has no sound; names it.
    """
    if rate < 1 or channels not in _LAYOUTS:
        raise ValueError(f"expected a positive rate and 1 or 2 channels, got {rate}, {channels}")
    with open_media(path, "audio") as container:
        stream = _audio_stream(container, path)
        begin = film_start(container)
        reached = Fraction(0)
        graph = None
        for frame in _decoded(container, stream):
            own = frame.sample_rate
            time = (frame.pts or 0) * frame.time_base - begin
            if time > reached + _LONGEST_GAP:
                continue  # its time stamp is damaged
            reached = time + Fraction(frame.samples, own)
            frame.time_base = Fraction(1, own)
            frame.pts = round(time * own)
            try:
                graph = graph or _converter(frame, rate, channels)
                graph.push(frame)
            except av.error.FFmpegError as error:
                raise DataError(
                    f"the sound of {os.fspath(path)} cannot be converted: {error.strerror}"
                ) from error
            yield from _pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)


def film_start(container: Any) -> Fraction:
    """Return when the first picture is shown, or without pictures the first sound is heard.

    In seconds of the file's clock.
    """
    for stream in (find_video_stream(container), find_audio_stream(container)):
        if stream is not None and stream.start_time is not None:
            return stream.start_time * stream.time_base
    return Fraction(0)


def _audio_stream(container: Any, path: str | os.PathLike[str]) -> Any:
    stream = find_audio_stream(container)
    if stream is None:
        raise DataError(f"{os.fspath(path)} has no sound (or of a kind that is not known)")
    return stream


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    for packet in read_packets(container, stream):
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            continue  # the gap that a damaged packet leaves becomes silence
        yield from frames


def _converter(frame: Any, rate: int, channels: int) -> Any:
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=Fraction(1, frame.sample_rate),
    )
    # `async` fills gaps, `first_pts` starts at time 0; mixing must not raise the volume.
    resample = graph.add("aresample", f"{rate}:async=1:first_pts=0:rematrix_maxval=1")
    shape = graph.add("aformat", f"sample_fmts=fltp:channel_layouts={_LAYOUTS[channels]}")
    sink = graph.add("abuffersink")
    source.link_to(resample)
    resample.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[np.ndarray]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame.to_ndarray()


def mux_undamaged(film: Any, packets: Iterable[Any]) -> None:
    """Add packets to a film that has copied sound, and leave out what cannot be written.

    Packets wait for those of the other stream, so that adding a picture may meet the exception of
    damaged sound.

    Raises:
        OSError: the disk is full, or the like.
    """
    for packet in packets:
        try:
            film.mux(packet)
        except OSError:
            raise
        except av.error.FFmpegError:
            continue


class CopiedSound:
    """Sound that goes into a film packet by packet, as it is coded.

    Args:
        source: PyAV's container of the file that has it.
        stream: the sound in it.
        film: PyAV's container of the new film.
        keeps_priming: whether the film may have packets before its first picture.
    """

    def __init__(self, source: Any, stream: Any, film: Any, keeps_priming: bool) -> None:
        self._film, self._out = film, film.add_stream_from_template(stream)
        self._packets = read_packets(source, stream)
        self._shift = round(film_start(source) / stream.time_base)  # ticks
        self._earliest = -_PRIMING if keeps_priming else Fraction(0)
        self._held: Any = None
        self._last_dts: int | None = None

    def follow(self, until: Fraction) -> None:
        """Add the sound that ends before a time, in seconds from the first picture on."""
        self._add(until, until)

    def finish(self, end: Fraction, slack: Fraction) -> None:
        """Add the rest of the sound, up to the end of the film.

        Args:
            end: seconds from the first picture on.
            slack: how much longer than that the last packet may sound, in seconds.
        """
        self._add(end, end + slack)

    def _add(self, until: Fraction, limit: Fraction) -> None:
        while (packet := self._next()) is not None:
            begin = packet.pts * packet.time_base
            if begin >= until or begin + (packet.duration or 0) * packet.time_base > limit:
                self._held = packet
                return
            if begin >= self._earliest and (self._last_dts is None or packet.dts > self._last_dts):
                self._last_dts = packet.dts
                packet.stream = self._out
                mux_undamaged(self._film, [packet])

    def _next(self) -> Any | None:
        """Return the packet held back or the next one, in the film's time; None at the end."""
        if self._held is not None:
            packet, self._held = self._held, None
            return packet
        for packet in self._packets:
            if packet.size and packet.dts is not None and packet.pts is not None:
                packet.pts -= self._shift
                packet.dts -= self._shift
                return packet
        return None


class EncodedSound:
    """Sound that goes into a film as AAC.

    Args:
        path: the file that has it.
        stream: the sound in that file.
        film: PyAV's container of the new film.
    """

    def __init__(self, path: str | os.PathLike[str], stream: Any, film: Any) -> None:
        self._rate = min(_AAC_RATES, key=lambda one: (abs(one - stream.rate), -one))
        self._channels = 2 if stream.codec_context.channels > 1 else 1
        self._film, self._out = film, film.add_stream("aac", rate=self._rate)
        self._out.codec_context.layout = _LAYOUTS[self._channels]
        self._out.codec_context.bit_rate = _AAC_BITS * self._channels
        self._chunks = audio_chunks(path, self._rate, self._channels)
        self._held = np.zeros((self._channels, 0), np.float32)
        self._position = 0  # samples

    def follow(self, until: Fraction) -> None:
        """Add the sound before a time, in seconds from the first picture on."""
        wanted = round(until * self._rate)
        while self._position < wanted:
            if not self._held.shape[1]:
                self._held = next(self._chunks, self._held)
            if not self._held.shape[1]:
                return
            count = wanted - self._position
            piece, self._held = self._held[:, :count], self._held[:, count:]
            self._encode(piece)

    def finish(self, end: Fraction, slack: Fraction) -> None:
        """Add the rest of the sound, and silence up to the end of the film in seconds."""
        self.follow(end)
        self._chunks.close()
        silence = round(end * self._rate) - self._position
        if silence > 0:
            self._encode(np.zeros((self._channels, silence), np.float32))
        self._film.mux(self._out.encode(None))

    def _encode(self, samples: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), format="fltp", layout=_LAYOUTS[self._channels]
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._position
        self._position += samples.shape[1]
        self._film.mux(self._out.encode(frame))


def carry_over(
    path: str | os.PathLike[str], source: Any, film: Any, form: str
) -> CopiedSound | EncodedSound | None:
    """Give a film a track for the sound of a file: a copy where such films can hold it, else AAC.

    Args:
        path: the file.
        source: PyAV's container of it.
        film: PyAV's container of the new film.
        form: its format, "mp4", "mov" or "matroska".

    Returns:
        What adds the sound while the film is written; None if the file has none.
    """
    stream = find_audio_stream(source)
    if stream is None:
        return None
    name = stream.codec_context.codec.canonical_name
    if name in _COPIED[form] and _fits(stream, form):
        return CopiedSound(source, stream, film, keeps_priming=form != "matroska")
    return EncodedSound(path, stream, film)


def _fits(stream: Any, form: str) -> bool:
    """Tell whether a file's header can describe the sound: of damaged sound it cannot."""
    with contextlib.closing(av.open(io.BytesIO(), "w", format=form)) as trial:
        try:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
        except (av.error.FFmpegError, ValueError):
            return False
    return True
