# SPDX-License-Identifier: Apache-2.0
"""Who is to talk and what is said: sounds, rates, framing, films and pictures, speakers, places."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ppzoo.apps import talkers
from ppzoo.apps.talkers import (
    FaceFilm,
    Framing,
    Speaker,
    Voice,
    exact_rate,
    face_place,
    given_place,
    read_voice,
    voice_of,
)
from ppzoo.errors import DataError, UserError
from ppzoo.faces.detector import Face
from ppzoo.faces.tracking import TrackedFace
from ppzoo.media.image import write_image
from ppzoo.media.mel import melspectrogram
from ppzoo.media.video import VideoReader

from ..media.video.clips import make_film, number_of, numbered, tone

NTSC = Fraction(30000, 1001)


def film(path, *arguments, **options):
    make_film(path, *arguments, **options)
    return path


def ramp(columns):
    """A voice whose spectrogram tells the number of each column."""
    mel = np.broadcast_to(np.arange(columns, dtype=np.float32), (80, columns))
    return Voice(mel, (columns - 1) * 200)


class TestVoice:
    @pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24000, 1001), Fraction(25, 2)])
    def test_windows_begin_at_their_frames_exactly(self, fps):
        frames = range(0, 200_000, 997)
        voice = ramp(frames[-1] * 80 * 1001 // 12000 + 100)
        heard = voice.windows(frames, fps, Fraction(0))
        assert heard.shape == (len(frames), 80, 16)
        # In whole numbers: the floor of 80 i / fps.
        firsts = [80 * i * fps.denominator // fps.numerator for i in frames]
        np.testing.assert_array_equal(heard[:, 5, 0], np.float32(firsts))
        np.testing.assert_array_equal(heard[:, 5, 15], np.float32(firsts) + 15)

    def test_it_begins_before_its_frame(self):
        heard = ramp(100).windows(range(5, 7), Fraction(25), Fraction(1, 25))
        assert heard[:, 0, 0].tolist() == [12, 16]

    def test_around_the_sound_is_silence(self):
        heard = ramp(40).windows(range(0, 11, 10), Fraction(25), Fraction(1, 25))
        assert heard[0, 0].tolist() == [-4] * 4 + list(range(12))
        assert heard[1, 0].tolist() == [*range(28, 40), *[-4] * 4]

    @pytest.mark.parametrize(
        ("samples", "fps", "frames"),
        [(128000, 25, 200), (128000, NTSC, 240), (128001, 25, 200), (10, 25, 1), (16000, 12, 12)],
    )
    def test_it_lasts_as_long_as_it_sounds(self, samples, fps, frames):
        assert Voice(np.zeros((80, 3), np.float32), samples).frame_count(Fraction(fps)) == frames

    def test_a_file_is_what_its_samples_are(self, tmp_path):
        path = film(tmp_path / "a.mp4", 25, sound=(tone(1.0), 0))
        voice = read_voice(path)
        assert voice.samples == pytest.approx(16000, abs=1100)  # AAC comes in pieces of 1024
        assert voice.mel.shape == (80, 1 + voice.samples // 200)

    def test_pieces_are_parts_of_the_whole(self):
        wav = 0.1 * np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
        voice = voice_of(np.array_split(wav, 7))
        np.testing.assert_allclose(voice.mel, melspectrogram(wav), atol=1e-6)
        assert voice.samples == 20_000

    def test_a_click_is_followed_by_silence(self):
        voice = voice_of([np.full(100, 0.5, np.float32)])
        assert voice.samples == 100
        assert voice.mel.shape == (80, 3)
        assert voice.mel.max() > -4


class TestRate:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [(29.97, NTSC), (23.976, Fraction(24000, 1001)), (25, 25), (12.5, Fraction(25, 2)), (7, 7)],
    )
    def test_a_number_means_an_exact_one(self, given, meant):
        assert exact_rate(given) == meant

    @pytest.mark.parametrize("given", [0, -1, 0.0001, 1e6, float("nan"), float("inf")])
    def test_what_is_no_rate_is_refused(self, given):
        with pytest.raises(UserError, match="fps is"):
            exact_rate(given)


class TestFraming:
    def test_order_is_smaller_turned_cut(self):
        frame = np.zeros((40, 60, 3), np.uint8)
        frame[:20, :20] = 200  # the upper left corner, which turns to the upper right
        framed = Framing(2, True, (0, 15, 5, -1))(frame)
        assert framed.shape == (15, 15, 3)
        assert (framed[:10, 5:] == 200).all()
        assert not framed[10:].any()
        assert not framed[:, :5].any()
        assert framed.flags.c_contiguous

    def test_a_frame_may_stay_as_it_is(self):
        frame = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
        np.testing.assert_array_equal(Framing()(frame), frame)

    def test_a_crop_may_reach_beyond(self):
        assert Framing(crop=(-1, 900, -1, 900))(np.zeros((8, 6, 3), np.uint8)).shape == (8, 6, 3)

    def test_a_crop_that_leaves_nothing(self):
        with pytest.raises(UserError, match=r"crop 9 -1 0 -1 .* nothing of frames of 6 x 8 pixels"):
            Framing(crop=(9, -1, 0, -1))(np.zeros((8, 6, 3), np.uint8))

    @pytest.mark.parametrize("options", [{"resize_factor": 0}, {"crop": (1, 2, 3)}])
    def test_what_makes_no_sense(self, options):
        with pytest.raises(UserError, match="expected"):
            Framing(**options)


class TestFaceFilm:
    def test_a_picture_is_told_by_its_content(self, tmp_path):
        path = tmp_path / "my.face.mp4.png"
        write_image(path, numbered(3))
        source = FaceFilm(path.rename(tmp_path / "my.face.mp4"), Framing(), 29.97)
        assert source.fps == NTSC
        assert source.size == (64, 48)
        assert source.is_still
        for _ in range(2):
            (frame,) = source.frames()
            assert number_of(frame) == 3
            frame[:] = 0  # the next one is an array of its own

    def test_a_film_too(self, tmp_path):
        path = film(tmp_path / "a.mp4", 5, NTSC).rename(tmp_path / "my.film")
        source = FaceFilm(path, Framing())
        assert source.fps == NTSC
        assert not source.is_still
        assert [number_of(frame) for frame in source.frames()] == [0, 1, 2, 3, 4]

    def test_static_is_the_first_frame(self, tmp_path):
        source = FaceFilm(film(tmp_path / "a.mp4", 5), Framing(), static=True)
        assert [number_of(frame) for frame in source.frames()] == [0]
        assert source.is_still

    def test_what_stands_still_is_read_once(self, tmp_path, monkeypatch):
        write_image(tmp_path / "a.png", numbered(3))
        still = FaceFilm(tmp_path / "a.png", Framing(2))
        static = FaceFilm(film(tmp_path / "a.mp4", 5), Framing(2), static=True)
        for source, number in ((still, 3), (static, 0)):
            for _ in range(3):
                (frame,) = source.frames()
                assert number_of(frame) == number
                frame[:] = 0  # the next one is an array of its own
                monkeypatch.setattr(VideoReader, "__iter__", None)
                monkeypatch.setattr(talkers, "resize", None)
            monkeypatch.undo()

    @pytest.mark.parametrize("held", [1, 3, 100])
    def test_backwards(self, tmp_path, monkeypatch, held):
        monkeypatch.setattr(talkers, "_HELD_BYTES", held * numbered(0).nbytes)
        source = FaceFilm(film(tmp_path / "a.mp4", 9), Framing())
        assert [number_of(frame) for frame in source.backwards(7)] == [6, 5, 4, 3, 2, 1, 0]

    def test_the_way_back_frames_each_once_and_says_if_it_is_long(
        self, tmp_path, monkeypatch, caplog
    ):
        monkeypatch.setattr(talkers, "_HELD_BYTES", 2 * numbered(0).nbytes)
        framed = []
        source = FaceFilm(film(tmp_path / "a.mp4", 20), lambda x: framed.append(number_of(x)) or x)
        list(source.backwards(16))
        assert sorted(framed) == [0, *range(16)]  # the first one twice, to know its size
        assert not caplog.records
        list(source.backwards(17))
        assert "through 17 frames" in caplog.text

    def test_what_is_neither(self, tmp_path):
        (tmp_path / "a.txt").write_text("hello")
        with pytest.raises(DataError, match=r"a\.txt is not a video"):
            FaceFilm(tmp_path / "a.txt", Framing())


def seen(*ids):
    return [TrackedFace(i, Face((0, 0, 9, 9), 1.0), True) for i in ids]


def chosen(speaker, *frames):
    found = [speaker.choose(seen(*ids)) for ids in frames]
    return [None if face is None else face.id for face in found]


class TestSpeaker:
    def test_the_largest_keeps_the_word_when_it_is_not_so_any_more(self):
        assert chosen(Speaker(), (4, 7), (7, 4), (7, 4, 9)) == [4, 4, 4]

    def test_a_rank_waits_for_as_many(self):
        speaker = Speaker(1)
        assert chosen(speaker, (), (1,), (1, 2), (2, 1), (2,)) == [None, None, 2, 2, 2]
        assert speaker.most == 2

    def test_a_listener_does_not_take_over(self):
        assert chosen(Speaker(), (1, 2), (2,), (2,), (2, 3), (3,)) == [1, None, None, 3, 3]

    def test_another_scene_begins_anew(self):
        assert chosen(Speaker(), (1, 2), (5, 6), (6, 5)) == [1, 5, 5]
        assert chosen(Speaker(1), (1, 2), (6, 5), (5,)) == [2, 5, 5]

    def test_a_speaker_comes_back_when_the_listener_has_left(self):
        assert chosen(Speaker(1), (0, 1), (1,), (), (7,), (7,)) == [1, 1, None, 7, 7]
        # Another scene of fewer faces cannot be told from that.
        assert chosen(Speaker(1), (1, 2), (5,), (6, 5)) == [2, 5, 5]
        assert chosen(Speaker(2), (1, 2, 3), (5, 6)) == [3, 6]


class TestPlace:
    def test_pads_are_clipped(self):
        assert face_place((10, 20, 30, 40), (5, 10, 1, 2), (60, 60)) == (9, 15, 32, 50)
        assert face_place((10, 20, 30, 40), (99, 99, 99, 99), (50, 60)) == (0, 0, 60, 50)

    def test_a_face_partly_outside(self):
        assert face_place((-9.6, -5, 8.4, 9), (0, 0, 0, 0), (60, 60)) == (0, 0, 8, 9)

    @pytest.mark.parametrize("box", [(-20, 5, 1, 30), (70, 70, 90, 90), (5, 5, 6.2, 30)])
    def test_too_little_of_a_face(self, box):
        assert face_place(box, (0, 0, 0, 0), (60, 60)) is None

    def test_a_given_box_is_rows_and_columns(self):
        assert given_place((10, 20, 30, 99), (50, 60)) == (30, 10, 60, 20)
        with pytest.raises(UserError, match=r"box 50 60 0 10 .* nothing of frames of 60 x 50"):
            given_place((50, 60, 0, 10), (50, 60))
