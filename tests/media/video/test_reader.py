# SPDX-License-Identifier: Apache-2.0
"""Pictures as they come out of a film: which, when, how turned, in which colours."""

from __future__ import annotations

import subprocess
import sys
import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from ppzoo.errors import DataError
from ppzoo.media.video import VideoReader, VideoWriter, probe

from .clips import make_film, number_of, numbered, numbers_of, tone

# Quarters of a picture that are told apart after turning it: grey levels by row.
CORNERS = np.array([[40, 90], [150, 220]])


def corners(height=48, width=64):
    levels = CORNERS.repeat(height // 2, axis=0).repeat(width // 2, axis=1)
    return np.repeat(levels[..., np.newaxis], 3, axis=-1).astype(np.uint8)


def corners_of(picture):
    height, width, _ = picture.shape
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return np.array([[int(picture[y, x, 0]) for x in columns] for y in rows])


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("ppzoo")]


class TestOrder:
    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
    def test_all_pictures_in_order(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        make_film(path, count=30, fps=Fraction(30000, 1001), options={"bf": "3"})
        with VideoReader(path) as reader:
            pictures = list(reader)
        assert [number_of(p) for p in pictures] == list(range(30))
        assert {(p.shape, str(p.dtype)) for p in pictures} == {((48, 64, 3), "uint8")}
        assert reader.problems == []

    def test_without_time_stamps(self, tmp_path):
        make_film(tmp_path / "a.h264", count=12)
        with VideoReader(tmp_path / "a.h264") as reader:
            assert numbers_of(reader) == list(range(12))
            assert reader.info.frame_count == 12

    def test_pictures_belong_to_the_caller(self, tmp_path):
        make_film(tmp_path / "a.mp4", times=[0, 40, 80, 400], count=4)
        kept = []
        with VideoReader(tmp_path / "a.mp4") as reader:
            for picture in reader:
                kept.append(picture.copy())
                picture[:] = 255
        assert [number_of(p) for p in kept[:3]] == [0, 1, 2]
        assert {number_of(p) for p in kept} == {0, 1, 2, 3}

    def test_each_iteration_starts_anew(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=8)
        with VideoReader(tmp_path / "a.mp4") as reader:
            assert number_of(next(iter(reader))) == 0
            assert numbers_of(reader) == list(range(8))


class TestRate:
    def test_variable_becomes_constant(self, tmp_path):
        times = [0, 33, 67, 100, 133, 333, 367, 400, 500, 700]
        make_film(tmp_path / "a.mp4", times=times, count=len(times))
        with VideoReader(tmp_path / "a.mp4") as reader:
            numbers = numbers_of(reader)
            info = reader.info
        assert info.is_variable_rate
        assert info.fps == 30
        assert len(numbers) == info.frame_count
        assert abs(len(numbers) / info.fps - info.duration) < 1 / info.fps
        for index, number in enumerate(numbers):
            # The picture on the screen at that time, give or take half a frame.
            due = [i for i, time in enumerate(times) if time <= index * 1000 / 30 + 17]
            assert number == due[-1]

    def test_three_pictures_far_apart(self, tmp_path):
        make_film(tmp_path / "a.mkv", count=3, times=[0, 40, 1000])
        with VideoReader(tmp_path / "a.mkv") as reader:
            numbers = numbers_of(reader)
        assert reader.info.fps == 25
        assert numbers[:26] == [0] + [1] * 24 + [2]

    def test_a_picture_left_out_by_the_camera_keeps_its_place(self, tmp_path):
        times = [40 * i for i in range(20) if i not in (7, 8)]
        make_film(tmp_path / "a.mp4", times=times, count=18)
        with VideoReader(tmp_path / "a.mp4") as reader:
            numbers = numbers_of(reader)
        assert reader.info.fps == 25
        assert numbers == [0, 1, 2, 3, 4, 5, 6, 6, 6, *range(7, 18)]

    def test_so_it_does_where_time_is_told_in_whole_pictures(self, tmp_path):
        path = tmp_path / "a.avi"
        with av.open(str(path), "w") as film:
            stream = film.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for place in (0, 1, 2, 4, 5, 6):
                frame = av.VideoFrame.from_ndarray(numbered(place), format="rgb24")
                frame.pts, frame.time_base = place, Fraction(1, 25)
                film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
        with VideoReader(path) as reader:
            assert numbers_of(reader) == [0, 1, 2, 2, 4, 5, 6]
            assert reader.info.fps == 25
            assert reader.info.frame_count == 7

    @pytest.mark.parametrize(
        ("fps", "numbers"),
        [
            (25, [0, 2, 4, 6, 8]),
            (50, list(range(10))),
            (100, [i // 2 for i in range(20)]),
            (Fraction(75, 2), [0, 1, 3, 4, 5, 7, 8, 9]),
        ],
    )
    def test_conversion(self, tmp_path, fps, numbers):
        make_film(tmp_path / "a.mp4", count=10, fps=50)
        with VideoReader(tmp_path / "a.mp4", fps=fps) as reader:
            found = numbers_of(reader)
        assert reader.info.fps == fps
        assert reader.info.frame_count == len(found) == len(numbers)
        # A picture half a step away from the grid may be taken to either side.
        assert all(abs(a - b) <= 1 for a, b in zip(found, numbers, strict=True))
        assert found[0] == 0

    def test_conversion_without_time_stamps(self, tmp_path):
        make_film(tmp_path / "a.h264", count=10, fps=25)
        with VideoReader(tmp_path / "a.h264", fps=50) as reader:
            assert numbers_of(reader) == [i // 2 for i in range(20)]

    def test_impossible_rate(self, tmp_path):
        make_film(tmp_path / "a.mp4")
        with pytest.raises(ValueError, match="positive"):
            VideoReader(tmp_path / "a.mp4", fps=0)


def fixed(*values):
    """A display matrix [a, b, c, d] in the file's fixed point."""
    a, b, c, d = (value << 16 for value in values)
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


class TestOrientation:
    @pytest.mark.parametrize(
        ("matrix", "rotation", "shown"),
        [
            (None, 0, CORNERS),
            (fixed(0, 1, -1, 0), 90, [[150, 40], [220, 90]]),
            (fixed(-1, 0, 0, -1), 180, [[220, 150], [90, 40]]),
            (fixed(0, -1, 1, 0), 270, [[90, 220], [40, 150]]),
            (fixed(-1, 0, 0, 1), 0, [[90, 40], [220, 150]]),
            (fixed(1, 0, 0, -1), 180, [[150, 220], [40, 90]]),
            (fixed(0, 1, 1, 0), None, [[40, 150], [90, 220]]),
        ],
        ids=["plain", "90", "180", "270", "mirrored", "upside down mirrored", "transposed"],
    )
    def test_turned_and_mirrored(self, tmp_path, matrix, rotation, shown):
        make_film(tmp_path / "a.mp4", pictures=[corners()] * 3, matrix=matrix)
        with VideoReader(tmp_path / "a.mp4") as reader:
            picture = list(reader)[-1]
        assert picture.shape == (reader.info.height, reader.info.width, 3)
        assert np.abs(corners_of(picture) - np.array(shown)).max() <= 2
        if rotation is not None:
            assert reader.info.rotation == rotation
            assert picture.shape == ((64, 48, 3) if rotation % 180 else (48, 64, 3))

    def test_pixels_become_square(self, tmp_path):
        make_film(tmp_path / "a.mp4", pictures=[corners()] * 3, aspect=Fraction(3, 2))
        with VideoReader(tmp_path / "a.mp4") as reader:
            picture = next(iter(reader))
        assert picture.shape == (48, 96, 3)
        assert np.abs(corners_of(picture) - CORNERS).max() <= 2

    def test_turned_with_oblong_pixels(self, tmp_path):
        matrix = fixed(0, 1, -1, 0)
        make_film(
            tmp_path / "a.mp4", pictures=[corners()] * 3, aspect=Fraction(3, 2), matrix=matrix
        )
        with VideoReader(tmp_path / "a.mp4") as reader:
            picture = next(iter(reader))
        assert picture.shape == (96, 48, 3)
        assert np.abs(corners_of(picture) - [[150, 40], [220, 90]]).max() <= 2


WEIGHTS = {601: (0.299, 0.114), 709: (0.2126, 0.0722), 2020: (0.2627, 0.0593)}
TAGS = {601: 6, 709: 1, 2020: 9}
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (16, 16, 16), (200, 120, 40)]


def coded(colour, standard, full):
    """Y, Cb and Cr of a colour, by the definition in ITU-R BT.601, BT.709 and BT.2020."""
    red, green, blue = (c / 255 for c in colour)
    kr, kb = WEIGHTS[standard]
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))
    values = (
        (255 * y, 128 + 255 * cb, 128 + 255 * cr)
        if full
        else (
            16 + 219 * y,
            128 + 224 * cb,
            128 + 224 * cr,
        )
    )
    return [min(255, round(value)) for value in values]


def make_coloured(path, standard, full, size=(32, 32), tagged=True):
    width, height = size
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        if tagged:
            context.colorspace, context.color_range = TAGS[standard], 2 if full else 1
        for index, colour in enumerate(COLOURS):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(frame.planes, coded(colour, standard, full), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            if tagged:
                frame.colorspace, frame.color_range = TAGS[standard], 2 if full else 1
            frame.pts = index
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


class TestColours:
    def check(self, path):
        with VideoReader(path) as reader:
            for picture, colour in zip(reader, COLOURS, strict=True):
                assert np.abs(picture.astype(int) - colour).max() <= 2

    @pytest.mark.parametrize("standard", [601, 709, 2020])
    @pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
    def test_as_tagged(self, tmp_path, standard, full):
        make_coloured(tmp_path / "a.mp4", standard, full)
        self.check(tmp_path / "a.mp4")

    @pytest.mark.parametrize(
        ("size", "standard"), [((64, 48), 601), ((720, 576), 601), ((1280, 720), 709)]
    )
    def test_without_tags_by_size(self, tmp_path, size, standard):
        make_coloured(tmp_path / "a.mp4", standard, False, size, tagged=False)
        self.check(tmp_path / "a.mp4")

    def test_hdr_is_told(self, tmp_path):
        with av.open(str(tmp_path / "a.mp4"), "w") as film:
            stream = film.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            stream.codec_context.color_trc = 16
            frame = av.VideoFrame(32, 32, "yuv420p")
            frame.color_trc = 16
            film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
        assert "HDR" in VideoReader(tmp_path / "a.mp4").problems[0]


class TestDamage:
    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
    def test_cut_off(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        container = {"movflags": "faststart"} if suffix == "mp4" else {}
        noise = np.random.default_rng(0).integers(0, 60, (50, 48, 64, 3), dtype=np.uint8)
        pictures = [numbered(i) // 2 + noise[i] for i in range(50)]
        make_film(path, pictures=pictures, container=container)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10])
        with VideoReader(path) as reader:
            kept = len(list(reader))
        assert 20 <= kept <= 35
        assert len(reader.problems) >= 1
        assert str(path) in reader.problems[0]
        assert "cut off" in reader.problems[0]
        assert abs(probe(path).frame_count - kept) <= 1

    def test_bytes_overwritten(self, tmp_path):
        path = tmp_path / "a.mp4"
        noise = np.random.default_rng(0).integers(0, 60, (40, 48, 64, 3), dtype=np.uint8)
        make_film(path, pictures=[numbered(i) // 2 + noise[i] for i in range(40)])
        data = bytearray(path.read_bytes())
        begin = data.index(b"mdat") + len(data) // 3
        data[begin : begin + len(data) // 6] = b"\xa5" * (len(data) // 6)
        path.write_bytes(data)
        with VideoReader(path) as reader:
            pictures = list(reader)
        # The film keeps its length, whole pictures their places.
        assert len(pictures) == 40
        assert any("damaged" in sentence for sentence in reader.problems)
        for index in (0, 1, 2, 38, 39):
            expected = numbered(index) // 2 + noise[index]
            assert np.abs(pictures[index].mean() - expected.mean()) < 2
        found = list(reader.problems)
        assert len(list(reader)) == 40
        assert reader.problems == found

    def test_first_pictures_lost(self, tmp_path):
        # A recording that begins between two key pictures, as a cut of a broadcast does.
        path, cut = tmp_path / "a.ts", tmp_path / "cut.ts"
        make_film(path, count=30, options={"g": "10", "bf": "0", "sc_threshold": "0"})
        with av.open(str(path)) as source, av.open(str(cut), "w") as film:
            track = film.add_stream_from_template(source.streams.video[0])
            for packet in list(source.demux(video=0))[4:-1]:
                packet.stream = track
                film.mux(packet)
        with VideoReader(cut) as reader:
            numbers = numbers_of(reader)
        assert len(numbers) == reader.info.frame_count == 26
        # Sound would be heard from picture 4 on, so 10 must come six places later.
        assert numbers[6:] == list(range(10, 30))

    def test_absurd_time_stamp(self, tmp_path):
        # Taken at its word, the third picture would stand for three hours.
        make_film(tmp_path / "a.mkv", count=4, times=[0, 40, 80, 10_000_000])
        with VideoReader(tmp_path / "a.mkv") as reader:
            assert numbers_of(reader) == [0, 1, 2, 3]
        assert "time stamps" in reader.problems[0]

    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "flv"])
    def test_whatever_is_damaged_there_is_one_sentence(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        container = {"movflags": "faststart"} if suffix == "mp4" else {}
        make_film(path, count=12, sound=(tone(0.4), 0), container=container)
        whole = path.read_bytes()
        generator = np.random.default_rng(1)
        kept, sentences = 0, []
        for index in range(24):
            damaged = bytearray(whole)
            # Headers are at the beginning: most of the damage goes there.
            region = 1500 if index % 2 else len(damaged)
            for place in generator.integers(0, region, 8):
                damaged[place] = generator.integers(256)
            path.write_bytes(damaged[: generator.integers(1, len(whole))] if index % 3 else damaged)
            try:
                with VideoReader(path) as reader:
                    kept += sum(1 for _ in reader)
                with VideoWriter(tmp_path / "out.mkv", 25, audio_from=path) as writer:
                    writer.write(numbered(0))
            except DataError as error:
                sentences.append(str(error))
        assert kept > 40
        assert sentences
        assert all(str(path) in one and "\n" not in one for one in sentences)

    def test_file_replaced_after_it_was_looked_at(self, tmp_path):
        path = tmp_path / "a.mp4"
        make_film(path, count=10)
        with VideoReader(path) as reader:
            path.write_bytes(b"\0" * 5000)
            with pytest.raises(DataError, match="not a video"):
                list(reader)
        assert threads() == []


class TestThreads:
    def test_stopping_early_ends_the_thread(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=30)
        with VideoReader(tmp_path / "a.mp4") as reader:
            for index, _ in enumerate(reader):
                assert len(threads()) == 1
                if index == 2:
                    break
        assert threads() == []

    def test_an_exception_ends_the_thread(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=30)

        def fail():
            with VideoReader(tmp_path / "a.mp4") as reader:
                for _ in reader:
                    raise RuntimeError("elsewhere")

        with pytest.raises(RuntimeError, match="elsewhere"):
            fail()
        assert threads() == []

    def test_a_forgotten_iteration_ends_its_thread(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=30)
        next(iter(VideoReader(tmp_path / "a.mp4")))
        assert threads() == []


# Linux hands the peak that `resource` tells on from parent to child, /proc's begins anew.
PEAK = """
import pathlib, resource, sys
from fractions import Fraction
import numpy as np
from ppzoo.media.video import VideoReader, VideoWriter
with VideoReader(sys.argv[1]) as reader:
    with VideoWriter(sys.argv[2], reader.info.fps, audio_from=sys.argv[1], preset="ultrafast") as w:
        count = 0
        for picture in reader:
            w.write(picture)
            count += 1
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak = status.read_text().split("VmHWM:")[1].split()[0]
print(count, peak)
"""


def test_memory_does_not_grow_with_length(tmp_path):
    peaks = {}
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    pictures = [np.roll(noise, 4 * i, axis=1) for i in range(8)]
    for seconds in (10, 60):
        path = tmp_path / f"{seconds}.mp4"
        options = {"preset": "ultrafast", "crf": "35"}
        sound = (np.zeros(seconds * 16000, np.float32), 0)
        film = pictures * (seconds * 3 // 4)
        make_film(path, pictures=film, fps=6, options=options, sound=sound)
        out = subprocess.run(
            [sys.executable, "-c", PEAK, path, tmp_path / "out.mp4"],
            capture_output=True,
            text=True,
            check=True,
        )
        count, peaks[seconds] = (int(word) for word in out.stdout.split())
        assert count == len(film)
    assert peaks[60] < 1.1 * peaks[10], peaks
