# SPDX-License-Identifier: Apache-2.0
"""Small films and sounds, made on the spot."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

SIZE = (48, 64)  # height, width
STEP = 8  # grey levels between neighbouring pictures


def numbered(index, size=SIZE):
    """A picture whose grey level tells its number (modulo 30)."""
    return np.full((*size, 3), 10 + STEP * (index % 30), np.uint8)


def number_of(picture):
    return round((float(picture.mean()) - 10) / STEP)


def numbers_of(reader):
    return [number_of(picture) for picture in reader]


def make_film(
    path,
    count=10,
    fps=25,
    times=None,
    pictures=None,
    codec="libx264",
    matrix=None,
    aspect=None,
    sound=None,
    options=None,
    container=None,
):
    """Write a film with PyAV alone.

    Args:
        times: when each picture is shown, in milliseconds; at a constant rate by default.
        matrix: the display matrix of a turned film.
        aspect: of stored pixels.
        sound: float32 [N] at 16 kHz, and when it begins in seconds.
        options, container: for the encoder and the muxer.
    """
    pictures = [numbered(i) for i in range(count)] if pictures is None else pictures
    fps = Fraction(fps)
    tick = 1 / fps if times is None else Fraction(1, 1000)
    with av.open(str(path), "w", container_options=container or {}) as film:
        options = {"crf": "1", "g": "5", **(options or {})} if codec == "libx264" else {}
        stream = film.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = tick
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            stream.set_display_matrix(matrix)
        track = None
        if sound is not None:
            track = film.add_stream("aac", rate=16000)
            track.codec_context.layout = "mono"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index if times is None else times[index], tick
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if track is not None:
            samples, begin = sound
            frame = audio_frame(samples, 16000)
            frame.pts = round(begin * 16000)
            film.mux(track.encode(frame))
            film.mux(track.encode(None))


def audio_frame(samples, rate):
    samples = np.atleast_2d(np.asarray(samples, np.float32))
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    return frame


def make_sound(path, samples, rate=16000, codec="pcm_s16le"):
    """Write float32 [N] or [channels, N] as an audio file."""
    frame = audio_frame(samples, rate)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate)
        stream.codec_context.layout = frame.layout
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def tone(seconds, hertz=440.0, rate=16000):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype("f4")
