# SPDX-License-Identifier: Apache-2.0
"""What is said of a film before it is decoded."""

from __future__ import annotations

import errno
import os
from fractions import Fraction

import av
import numpy as np
import pytest

from ppzoo.errors import DataError
from ppzoo.media.image import write_image
from ppzoo.media.video import VideoReader, probe

from .clips import audio_frame, make_film, make_sound, numbered, numbers_of, tone

NTSC = Fraction(30000, 1001)
FILM = Fraction(24000, 1001)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi", "ts", "flv"])
@pytest.mark.parametrize("fps", [NTSC, FILM, Fraction(25), Fraction(24)])
def test_constant_rates_are_exact(tmp_path, suffix, fps):
    path = tmp_path / f"film.{suffix}"
    make_film(path, count=40, fps=fps)
    info = probe(path)
    assert (info.fps, info.frame_count, info.is_variable_rate) == (fps, 40, False)
    assert info.duration == 40 / fps
    assert (info.width, info.height, info.rotation, info.has_audio) == (64, 48, 0, False)
    assert info.path == str(path)


def test_a_rate_that_nobody_uses(tmp_path):
    make_film(tmp_path / "a.mp4", count=20, fps=Fraction(37, 3))
    assert probe(tmp_path / "a.mp4").fps == Fraction(37, 3)


def test_time_stamps_in_milliseconds_do_not_make_a_variable_rate(tmp_path):
    # 0, 33, 67, 100, ...: what screen recorders and browsers write of 30 frames per second
    make_film(tmp_path / "a.mkv", fps=30, count=60, times=[round(i * 100 / 3) for i in range(60)])
    info = probe(tmp_path / "a.mkv")
    assert (info.fps, info.frame_count, info.is_variable_rate) == (30, 60, False)


def test_variable_rate(tmp_path):
    # A phone that slows from 30 to 15 frames per second in the dark.
    times = [round(i * 1000 / 30) for i in range(30)]
    times += [1000 + round(i * 1000 / 15) for i in range(10)]
    make_film(tmp_path / "a.mp4", count=40, times=times)
    info = probe(tmp_path / "a.mp4")
    assert info.is_variable_rate
    assert info.fps == 30
    assert abs(info.duration - Fraction(5, 3)) < Fraction(1, 20)
    assert info.frame_count == round(info.duration * 30)


def test_variable_rate_of_a_stream_that_promises_no_length(tmp_path):
    # As browsers record: two seconds at 20 frames per second, with a second of nothing between.
    times = [i * 50 for i in range(20)] + [2000 + i * 50 for i in range(20)]
    make_film(tmp_path / "a.mkv", count=40, times=times, container={"live": "1"})
    with av.open(str(tmp_path / "a.mkv")) as container:
        assert container.duration is None
    with VideoReader(tmp_path / "a.mkv") as reader:
        assert (reader.info.is_variable_rate, reader.info.frame_count) == (True, 60)
        assert reader.problems == []
        assert numbers_of(reader)[18:42] == [18, *[19] * 21, 20, 21]


def test_one_picture(tmp_path):
    make_film(tmp_path / "a.mp4", count=1, fps=25)
    info = probe(tmp_path / "a.mp4")
    assert (info.frame_count, info.fps, info.is_variable_rate) == (1, 25, False)


def test_animated_gif(tmp_path):
    make_film(tmp_path / "a.gif", count=12, fps=10, codec="gif")
    info = probe(tmp_path / "a.gif")
    assert (info.fps, info.frame_count) == (10, 12)


@pytest.mark.parametrize(
    ("aspect", "width"), [(Fraction(16, 15), 68), (Fraction(1, 1), 64), (Fraction(500, 1), 64)]
)
def test_pixels_that_are_not_square(tmp_path, aspect, width):
    make_film(tmp_path / "a.mp4", aspect=aspect)
    assert (probe(tmp_path / "a.mp4").width, probe(tmp_path / "a.mp4").height) == (width, 48)


def test_sound(tmp_path):
    make_film(tmp_path / "a.mp4", sound=(tone(0.4), 0))
    assert probe(tmp_path / "a.mp4").has_audio


@pytest.mark.parametrize(
    "name", ["a: b.mp4", "http:x.mp4", "100%d.mp4", "旧 电影.final.mp4", "-i.mp4"]
)
def test_any_name_is_a_file(tmp_path, monkeypatch, name):
    make_film(tmp_path / "plain.mp4")
    os.rename(tmp_path / "plain.mp4", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(name).frame_count == 10


class TestErrors:
    def complain(self, path):
        with pytest.raises(DataError) as error:
            probe(path)
        sentence = str(error.value)
        assert str(path) in sentence
        assert "\n" not in sentence
        return sentence

    def test_missing(self, tmp_path):
        assert "there is no video file" in self.complain(tmp_path / "a.mp4")

    def test_folder(self, tmp_path):
        assert "is a folder" in self.complain(tmp_path)

    def test_empty(self, tmp_path):
        (tmp_path / "a.mp4").touch()
        assert "is empty" in self.complain(tmp_path / "a.mp4")

    def test_not_permitted(self, tmp_path, monkeypatch):
        def refuse(path, mode):
            raise PermissionError(errno.EACCES, "Permission denied", path)

        make_film(tmp_path / "a.mp4")
        monkeypatch.setattr("ppzoo.media.video.files.open", refuse, raising=False)
        assert "Permission denied" in self.complain(tmp_path / "a.mp4")

    def test_text(self, tmp_path):
        (tmp_path / "a.txt").write_text("once upon a time " * 100, "utf-8")
        assert "not a video" in self.complain(tmp_path / "a.txt")

    def test_picture(self, tmp_path):
        write_image(tmp_path / "a.png", numbered(3))
        assert "not a video" in self.complain(tmp_path / "a.png")

    @pytest.mark.parametrize(
        "text",
        [
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n",
            "ffconcat version 1.0\nfile secret.ts\n",
        ],
    )
    def test_a_list_of_other_files_is_not_followed(self, tmp_path, text):
        make_film(tmp_path / "secret.ts")
        (tmp_path / "a.mp4").write_text(text, "utf-8")
        assert "not a video" in self.complain(tmp_path / "a.mp4")

    def test_sound_only(self, tmp_path):
        make_sound(tmp_path / "a.wav", tone(0.2))
        assert "sound but no pictures" in self.complain(tmp_path / "a.wav")

    def test_a_cover_is_no_film(self, tmp_path):
        path = tmp_path / "a.mp3"
        with av.open(str(path), "w") as file:
            cover = file.add_stream("png", rate=1)
            cover.width = cover.height = 32
            cover.pix_fmt = "rgb24"
            track = file.add_stream("mp3", rate=16000)
            track.codec_context.layout = "mono"
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            file.mux(cover.encode(picture))
            file.mux(track.encode(audio_frame(tone(1), 16000)))
            file.mux(track.encode(None))
        with av.open(str(path)) as file:
            assert file.streams.video, "the test's own file has no cover"
        assert "sound but no pictures" in self.complain(path)

    def test_index_cut_off(self, tmp_path):
        path = tmp_path / "a.mp4"
        make_film(path, count=30)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        assert "has no index" in self.complain(path)

    def test_header_damaged(self, tmp_path):
        path = tmp_path / "a.mkv"
        make_film(path)
        path.write_bytes(b"\xff" * 400 + path.read_bytes()[400:])
        assert "not a video" in self.complain(path)

    def test_nothing_to_decode(self, tmp_path):
        path = tmp_path / "a.mp4"
        make_film(path, count=30, container={"movflags": "faststart"})
        data = path.read_bytes()
        begin = data.index(b"mdat") + 4
        path.write_bytes(data[:begin] + b"\xff" * (len(data) - begin))
        assert "can be decoded" in self.complain(path)
