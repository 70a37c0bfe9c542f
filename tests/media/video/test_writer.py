# SPDX-License-Identifier: Apache-2.0
"""Films as they are written: rate, size, colours, sound, and nothing half done."""

from __future__ import annotations

import errno
import os
import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from ppzoo.errors import DataError, UserError
from ppzoo.media.video import VideoReader, VideoWriter, probe, read_audio

from .clips import make_film, make_sound, number_of, numbered, numbers_of, tone

SUFFIXES = ["mp4", "mov", "mkv"]


def write(path, count=10, fps=25, **arguments):
    with VideoWriter(path, fps, preset="ultrafast", **arguments) as writer:
        for index in range(count):
            writer.write(numbered(index))


def streams(path):
    with av.open(str(path)) as film:
        return {
            stream.type: (
                stream.codec_context.codec.canonical_name,
                float((stream.start_time or 0) * stream.time_base),
            )
            for stream in film.streams
        }


def seconds(path):
    with av.open(str(path)) as film:
        return film.duration / av.time_base


def sound_packets(path):
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(audio=0) if packet.size]


def chord(rate):
    """One second of tones that are in step at no other time."""
    return sum(tone(1, hertz, rate) for hertz in (211, 347, 571, 883, 1291)) / 5


def delay(samples, reference):
    """By how many samples the first is late."""
    return int(np.argmax(np.correlate(samples, reference, "full"))) - len(reference) + 1


class TestPictures:
    @pytest.mark.parametrize("suffix", [*SUFFIXES, "m4v"])
    @pytest.mark.parametrize(
        "fps", [25, Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60000, 1001)]
    )
    def test_rates_are_exact(self, tmp_path, suffix, fps):
        path = tmp_path / f"a.{suffix}"
        write(path, count=40, fps=fps)
        info = probe(path)
        assert (info.fps, info.frame_count, info.is_variable_rate) == (fps, 40, False)
        assert not info.has_audio
        with av.open(str(path)) as film:
            stated = film.streams.video[0].average_rate
            # .mkv states the time between pictures in whole nanoseconds.
            assert abs(1 / stated - 1 / Fraction(fps)) < (1e-9 if suffix == "mkv" else 1e-20)
            assert film.streams.video[0].start_time in (0, None)
        with VideoReader(path) as reader:
            assert numbers_of(reader) == [i % 30 for i in range(40)]
            assert reader.problems == []

    def test_what_is_written_can_be_changed_afterwards(self, tmp_path):
        picture = numbered(0)
        with VideoWriter(tmp_path / "a.mp4", 25) as writer:
            for index in range(12):
                picture[:] = numbered(index)
                writer.write(picture)
                picture[:] = 0
        with VideoReader(tmp_path / "a.mp4") as reader:
            assert numbers_of(reader) == list(range(12))

    def test_codec_and_colour_tags(self, tmp_path):
        write(tmp_path / "a.mp4")
        with av.open(str(tmp_path / "a.mp4")) as film:
            context = film.streams.video[0].codec_context
            assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
            assert context.colorspace == context.color_primaries == context.color_trc == 1
            assert context.color_range == 1

    @pytest.mark.parametrize(
        "colour",
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40)],
    )
    def test_colours_come_back(self, tmp_path, colour):
        picture = np.full((48, 64, 3), colour, np.uint8)
        with VideoWriter(tmp_path / "a.mp4", 25, crf=1) as writer:
            for _ in range(3):
                writer.write(picture)
        with VideoReader(tmp_path / "a.mp4") as reader:
            assert max(np.abs(p.astype(int) - picture).max() for p in reader) <= 3

    def test_stored_colours_are_those_of_bt709(self, tmp_path):
        with VideoWriter(tmp_path / "a.mp4", 25, crf=1) as writer:
            writer.write(np.full((48, 64, 3), (255, 0, 0), np.uint8))
        with av.open(str(tmp_path / "a.mp4")) as film:
            frame = next(film.decode(video=0))
        # Y = 16 + 219 * 0.2126, Cb = 128 - 224 * 0.2126 / 1.8556, Cr = 128 + 224 / 2
        stored = [int(np.frombuffer(plane, np.uint8)[0]) for plane in frame.planes]
        assert np.abs(np.array(stored) - (62.6, 102.3, 240)).max() <= 1.5

    def test_colours_do_not_move(self, tmp_path):
        # Blue rises from left to right by 4 per column, so that a shift by half a column is 2.
        picture = np.full((48, 64, 3), 60, np.uint8)
        picture[..., 2] = 4 * np.arange(64)
        with VideoWriter(tmp_path / "a.mp4", 25, crf=0) as writer:
            writer.write(picture)
        with VideoReader(tmp_path / "a.mp4") as reader:
            found = next(iter(reader)).astype(float)
        shift = (found - picture)[:, 8:56, 2].mean() / 4
        assert abs(shift) < 0.1
        with av.open(str(tmp_path / "a.mp4")) as film:
            cb = np.frombuffer(next(film.decode(video=0)).planes[1], np.uint8)
        blue = 4 * np.arange(0, 64, 0.25) / 255
        luma = 0.9278 * 60 / 255 + 0.0722 * blue
        column = np.interp(
            cb.reshape(24, -1)[12, 4:28], 128 + 224 * (blue - luma) / 1.8556, np.arange(0, 64, 0.25)
        )
        assert abs((column - 2 * np.arange(4, 28)).mean()) < 0.1

    @pytest.mark.parametrize(("height", "width"), [(47, 63), (47, 64), (48, 63), (1, 1)])
    def test_odd_sizes_are_padded_and_not_stretched(self, tmp_path, height, width):
        rows, columns = np.mgrid[:height, :width]
        picture = np.repeat((2 * rows + 2 * columns)[..., np.newaxis], 3, -1).astype(np.uint8)
        with VideoWriter(tmp_path / "a.mp4", 25, crf=1) as writer:
            for _ in range(3):
                writer.write(picture)
        with VideoReader(tmp_path / "a.mp4") as reader:
            found = list(reader)[1].astype(int)
        assert found.shape == (height + height % 2, width + width % 2, 3)
        assert np.abs(found[:height, :width] - picture).max() <= 3
        assert np.abs(found[height:, :width] - picture[-1:]).max(initial=0) <= 3
        assert np.abs(found[:height, width:] - picture[:, -1:]).max(initial=0) <= 3

    def test_quality(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        sizes = []
        for crf in (0, 17, 51):
            path = tmp_path / f"{crf}.mp4"
            with VideoWriter(path, 25, crf=crf) as writer:
                for i in range(5):
                    writer.write(np.roll(noise, 3 * i, axis=1))
            sizes.append(path.stat().st_size)
        assert sizes[0] > 1.3 * sizes[1] > 1.3 * sizes[2]


class TestSound:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_sound_of_a_film_is_copied(self, tmp_path, suffix):
        make_film(tmp_path / "in.mp4", count=25, sound=(tone(1), 0))
        write(tmp_path / f"out.{suffix}", count=25, audio_from=tmp_path / "in.mp4")
        before, after = (sound_packets(tmp_path / n) for n in ("in.mp4", f"out.{suffix}"))
        assert streams(tmp_path / f"out.{suffix}") == {"video": ("h264", 0), "audio": ("aac", 0)}
        # Only what primes the decoder before the film, and a part beyond its end, may be missing.
        assert len(before) - 2 <= len(after) <= len(before)
        assert all(packet in before for packet in after)
        sounds = [read_audio(tmp_path / name)[1000:15000] for name in ("in.mp4", f"out.{suffix}")]
        np.testing.assert_allclose(*sounds, atol=1e-4)

    @pytest.mark.parametrize(
        ("name", "codec", "kept"),
        [
            ("旧 录音.v2.wav", "pcm_s16le", {"mov", "mkv"}),
            ("a.mp3", "libmp3lame", {"mp4", "mov", "mkv"}),
            ("a.flac", "flac", {"mkv"}),
            ("a.ogg", "libopus", {"mkv"}),
            ("a.m4a", "aac", {"mp4", "mov", "mkv"}),
            ("a.aac", "aac", {"mp4", "mov", "mkv"}),
        ],
    )
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_any_sound(self, tmp_path, name, codec, kept, suffix):
        rate = 48000
        make_sound(tmp_path / name, chord(rate), rate=rate, codec=codec)
        path = tmp_path / f"out.{suffix}"
        write(path, count=25, audio_from=tmp_path / name)
        given = streams(tmp_path / name)["audio"][0]
        assert streams(path)["audio"][0] == (given if suffix in kept else "aac")
        info = probe(path)
        assert (info.frame_count, info.duration) == (25, 1)
        assert abs(seconds(path) - 1) <= 1 / 25
        samples, expected = read_audio(path), read_audio(tmp_path / name)
        late = delay(samples[:16000], expected[:16000])
        # Times in .mkv are whole milliseconds, 16 samples.
        assert abs(late) <= (16 if suffix == "mkv" else 1)
        shifted = np.roll(expected, late)
        assert np.corrcoef(samples[1500:14000], shifted[1500:14000])[0, 1] > 0.98

    @pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_longer_sound_is_cut(self, tmp_path, suffix, codec):
        source = tmp_path / ("a.m4a" if codec == "aac" else "a.wav")
        make_sound(source, tone(3), codec=codec)
        path = tmp_path / f"out.{suffix}"
        write(path, count=10, fps=Fraction(30000, 1001), audio_from=source)
        assert abs(seconds(path) - 10 * 1001 / 30000) <= 1001 / 30000
        assert abs(len(read_audio(path)) / 16000 - 10 * 1001 / 30000) <= 1001 / 30000 + 0.064

    @pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_shorter_sound(self, tmp_path, suffix, codec):
        source = tmp_path / ("a.m4a" if codec == "aac" else "a.wav")
        make_sound(source, tone(0.3), codec=codec)
        path = tmp_path / f"out.{suffix}"
        write(path, count=25, audio_from=source)
        assert abs(seconds(path) - 1) < 0.001
        samples = read_audio(path)
        assert np.abs(samples[6500:]).max(initial=0) < 0.02
        assert np.corrcoef(samples[1100:4500], tone(0.3)[1100:4500])[0, 1] > 0.99

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_sound_that_begins_late_stays_in_step(self, tmp_path, suffix):
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)
        make_film(tmp_path / "in.mp4", count=25, sound=(noise, 0.25))
        path = tmp_path / f"out.{suffix}"
        write(path, count=25, audio_from=tmp_path / "in.mp4")
        before, after = (read_audio(tmp_path / name)[:15000] for name in ("in.mp4", path.name))
        assert abs(delay(after, before)) <= (16 if suffix == "mkv" else 0)

    def test_pictures_that_begin_late_stay_in_step(self, tmp_path):
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
        times = [240 + 40 * i for i in range(15)]
        make_film(tmp_path / "in.mkv", count=15, times=times, sound=(noise, 0))
        write(tmp_path / "out.mp4", count=15, audio_from=tmp_path / "in.mkv")
        after = read_audio(tmp_path / "out.mp4")[:9600]
        begin = np.argmax(np.correlate(noise, after, "valid"))
        assert abs(begin - 0.24 * 16000) <= 32
        assert streams(tmp_path / "out.mp4")["video"][1] == 0

    def test_many_channels_become_two(self, tmp_path):
        with av.open(str(tmp_path / "a.wav"), "w") as file:
            stream = file.add_stream("pcm_s16le", rate=48000)
            stream.codec_context.layout = "5.1"
            frame = av.AudioFrame.from_ndarray(
                np.tile(tone(1, 300, 48000), (6, 1)), format="fltp", layout="5.1"
            )
            frame.sample_rate = 48000
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        write(tmp_path / "a.mp4", count=25, audio_from=tmp_path / "a.wav")
        with av.open(str(tmp_path / "a.mp4")) as film:
            assert film.streams.audio[0].codec_context.channels == 2
        assert np.abs(read_audio(tmp_path / "a.mp4")).max() > 0.2

    def test_silent_source(self, tmp_path):
        make_film(tmp_path / "in.mp4")
        write(tmp_path / "out.mp4", audio_from=tmp_path / "in.mp4")
        assert not probe(tmp_path / "out.mp4").has_audio

    def test_source_that_is_cut_off(self, tmp_path):
        path = tmp_path / "in.mkv"
        make_film(path, count=50, sound=(tone(2), 0))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        write(tmp_path / "out.mp4", count=50, audio_from=path)
        assert 0.2 < len(read_audio(tmp_path / "out.mp4")) / 16000 < 1.9
        assert probe(tmp_path / "out.mp4").duration == 2

    def test_film_over_its_own_source(self, tmp_path):
        path = tmp_path / "a.mp4"
        make_film(path, count=20, sound=(tone(0.8), 0))
        before = read_audio(path)
        with VideoReader(path) as reader, VideoWriter(path, 25, audio_from=path) as writer:
            for picture in reader:
                writer.write(255 - picture)
        with VideoReader(path) as reader:
            assert abs(255 - float(next(iter(reader)).mean()) - 10) < 3
        after = read_audio(path)
        assert np.array_equal(before[1100:11000], after[1100:11000])


class TestAllOrNothing:
    def left(self, folder):
        assert [t for t in threading.enumerate() if t.name.startswith("ppzoo")] == []
        return sorted(os.listdir(folder))

    @pytest.mark.parametrize("count", [0, 1, 60])
    def test_an_exception_leaves_nothing(self, tmp_path, count):
        def fail():
            with VideoWriter(tmp_path / "a.mp4", 25) as writer:
                for index in range(count):
                    writer.write(numbered(index))
                raise RuntimeError("elsewhere")

        with pytest.raises(RuntimeError, match="elsewhere"):
            fail()
        assert self.left(tmp_path) == []

    def test_an_exception_keeps_the_old_film(self, tmp_path):
        write(tmp_path / "a.mp4", count=5)
        old = (tmp_path / "a.mp4").read_bytes()

        def fail():
            with VideoWriter(tmp_path / "a.mp4", 25) as writer:
                writer.write(numbered(0))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert (tmp_path / "a.mp4").read_bytes() == old
        assert self.left(tmp_path) == ["a.mp4"]

    def test_nothing_is_seen_before_the_end(self, tmp_path):
        with VideoWriter(tmp_path / "new/a.mp4", 25) as writer:
            writer.write(numbered(0))
            assert not (tmp_path / "new/a.mp4").exists()
        assert self.left(tmp_path / "new") == ["a.mp4"]

    def test_no_picture(self, tmp_path):
        with (
            pytest.raises(ValueError, match="at least one picture"),
            VideoWriter(tmp_path / "a.mp4", 25),
        ):
            pass
        assert self.left(tmp_path) == []

    @pytest.mark.parametrize("room", [0, 5000])
    def test_full_disk(self, tmp_path, monkeypatch, room):
        class Full:
            def __init__(self, file):
                self.file, self.room = file, room

            def write(self, data):
                self.room -= len(data)
                if self.room < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return self.file.write(data)

            def __getattr__(self, name):
                return getattr(self.file, name)

        noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
        really_open = av.open

        def open_full(file, mode="r", **arguments):
            return really_open(Full(file) if mode == "w" else file, mode, **arguments)

        (tmp_path / "a.mp4").write_bytes(b"old")
        monkeypatch.setattr("ppzoo.media.video.writer.av.open", open_full)

        def film():
            with VideoWriter(tmp_path / "a.mp4", 25, preset="ultrafast") as writer:
                for index in range(300):
                    writer.write(np.roll(noise, index, axis=0))

        with pytest.raises(
            UserError, match=r"cannot write .*a\.mp4: No space left.*free some space"
        ):
            film()
        assert (tmp_path / "a.mp4").read_bytes() == b"old"
        assert self.left(tmp_path) == ["a.mp4"]

    def test_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="a part of this path is a file"):
            write(tmp_path / "file/a.mp4")

    def test_missing_sound_is_told_before_any_work(self, tmp_path):
        with pytest.raises(DataError, match=r"no audio file .*a\.wav"):
            VideoWriter(tmp_path / "a.mp4", 25, audio_from=tmp_path / "a.wav").__enter__()
        assert self.left(tmp_path) == []


class TestArguments:
    @pytest.mark.parametrize("name", ["a.avi", "a", "a.mp4.png", "a.webm"])
    def test_suffix(self, tmp_path, name):
        with pytest.raises(UserError, match=r"must end in \.mp4, \.m4v, \.mov, \.mkv"):
            VideoWriter(tmp_path / name, 25)

    @pytest.mark.parametrize("arguments", [{"fps": 0}, {"fps": 25, "crf": 52}])
    def test_range(self, tmp_path, arguments):
        with pytest.raises(ValueError, match="must be"):
            VideoWriter(tmp_path / "a.mp4", **arguments)

    @pytest.mark.parametrize(
        "picture",
        [
            np.zeros((48, 64), np.uint8),
            np.zeros((48, 64, 3), np.float32),
            np.zeros((0, 64, 3), "u1"),
        ],
    )
    def test_picture(self, tmp_path, picture):
        with (
            pytest.raises(ValueError, match="expected uint8 RGB"),
            VideoWriter(tmp_path / "a.mp4", 25) as writer,
        ):
            writer.write(picture)

    def test_pictures_of_two_sizes(self, tmp_path):
        with VideoWriter(tmp_path / "a.mp4", 25) as writer:
            writer.write(numbered(0))
            with pytest.raises(ValueError, match=r"pictures differ.*48.*64.*48.*66"):
                writer.write(numbered(0, (48, 66)))
        assert probe(tmp_path / "a.mp4").frame_count == 1

    def test_outside_of_with(self, tmp_path):
        with pytest.raises(ValueError, match="write inside of"):
            VideoWriter(tmp_path / "a.mp4", 25).write(numbered(0))


def test_number_of_tells_pictures_apart():
    assert [number_of(numbered(i)) for i in range(30)] == list(range(30))
