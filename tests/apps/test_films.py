# SPDX-License-Identifier: Apache-2.0
"""Films through chains of steps: one pass, sound, rates, sizes, damage, errors, memory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ppzoo.apps.films import EachFrame, Step, restore_film, stem_of, target_of
from ppzoo.errors import DataError, UserError
from ppzoo.media.image import read_image, write_image
from ppzoo.media.video import VideoReader, probe, read_audio

from ..media.video.clips import make_film, numbered, numbers_of, tone

NTSC = Fraction(30000, 1001)
ROOT = Path(__file__).parents[2]


def larger(name="double", scale=2):
    return EachFrame(name, scale, lambda frame: np.kron(frame, np.ones((scale, scale, 1), "u1")))


class Interpolator:
    """A step that gives two frames for each, and knows where scenes begin."""

    name, scale, rate = "slow motion", 1, 2
    cuts, remarks = (4,), ("it was fun",)

    def stream(self, frames):
        for frame in frames:
            yield frame
            yield frame


def restore(source, target, *steps, **options):
    return restore_film(source, target, steps or [larger()], progress=False, **options)


def test_steps_follow_the_protocol():
    assert isinstance(larger(), Step)
    assert isinstance(Interpolator(), Step)


def test_frames_go_through_all_steps_in_order(tmp_path):
    make_film(tmp_path / "a.mp4", count=8)
    darker = EachFrame("darker", 1, lambda frame: frame // 2)
    film = restore(tmp_path / "a.mp4", tmp_path / "b.mp4", larger(), darker, larger("triple", 3))
    assert (film.frames, film.size, film.size_before, film.fps) == (8, (384, 288), (64, 48), 25)
    assert (film.path, film.pattern, film.problems) == (tmp_path / "b.mp4", None, ())
    with VideoReader(tmp_path / "b.mp4") as reader:
        means = [float(frame.mean()) for frame in reader]
    np.testing.assert_allclose(means, [(10 + 8 * i) // 2 for i in range(8)], atol=1.5)


def test_each_frame_goes_all_the_way_before_the_next(tmp_path):
    order = []

    def noting(name):
        def note(frame):
            order.append(name)
            return frame

        return EachFrame(name, 1, note)

    make_film(tmp_path / "a.mp4", count=5)
    restore(tmp_path / "a.mp4", tmp_path / "b.mp4", noting("a"), noting("b"), noting("c"))
    assert order == ["a", "b", "c"] * 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("fps", [NTSC, Fraction(24000, 1001), Fraction(25), Fraction(37, 3)])
def test_rates_stay_exact(tmp_path, fps):
    make_film(tmp_path / "a.mp4", count=12, fps=fps)
    assert restore(tmp_path / "a.mp4", tmp_path / "b.mp4").fps == fps
    info = probe(tmp_path / "b.mp4")
    assert (info.fps, info.frame_count, info.duration) == (fps, 12, 12 / fps)
    doubled = restore(tmp_path / "a.mp4", tmp_path / "c.mp4", Interpolator())
    assert (doubled.fps, doubled.frames) == (2 * fps, 24)
    assert probe(tmp_path / "c.mp4").duration == 12 / fps


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_sound_is_kept(tmp_path, suffix):
    make_film(tmp_path / "a.mp4", count=50, sound=(tone(2.0), 0.0))
    restore(tmp_path / "a.mp4", tmp_path / f"b.{suffix}")
    before, after = (read_audio(tmp_path / name, 16000) for name in ("a.mp4", f"b.{suffix}"))
    assert before.ndim == 1
    assert abs(len(before) - len(after)) <= 2048
    # The ends of copied sound depend on how a container counts a codec's delay.
    inner = slice(1600, 30000)
    assert np.abs(before[inner]).max() > 0.4
    assert np.abs(before[inner] - after[inner]).max() < 1e-3


def test_a_film_without_sound_stays_silent(tmp_path):
    make_film(tmp_path / "a.mp4", count=5)
    restore(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert not probe(tmp_path / "b.mp4").has_audio


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (1, 1), (2, 90)])
def test_odd_sizes(tmp_path, size):
    pictures = [numbered(i, size) for i in range(4)]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "bgr0"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    seen = []
    step = EachFrame("look", 1, lambda frame: seen.append(frame) or frame)
    film = restore(tmp_path / "a.mkv", tmp_path / "b.mp4", step, larger("triple", 3))
    np.testing.assert_array_equal(seen, pictures)
    info = probe(tmp_path / "b.mp4")
    # H.264 has even sizes.
    even = tuple(3 * side + side % 2 for side in reversed(size))
    assert (info.width, info.height) == film.size == even


def test_a_variable_rate_keeps_its_length(tmp_path):
    times = [*range(0, 1000, 50), *range(1000, 3000, 100)]
    make_film(tmp_path / "a.mp4", count=40, times=times, sound=(tone(3.0), 0))
    before = probe(tmp_path / "a.mp4")
    assert before.is_variable_rate
    film = restore(tmp_path / "a.mp4", tmp_path / "b.mp4")
    after = probe(tmp_path / "b.mp4")
    assert not after.is_variable_rate
    assert (after.fps, after.frame_count) == (film.fps, film.frames)
    assert abs(after.duration - before.duration) <= 1 / film.fps


def test_a_turned_phone_video_comes_out_upright(tmp_path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :16] = 255  # the left of what is stored
    quarter = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    make_film(tmp_path / "a.mp4", pictures=[picture] * 4, matrix=quarter)
    before = probe(tmp_path / "a.mp4")
    assert before.rotation in (90, 270)
    film = restore(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert film.size == (96, 128)
    assert probe(tmp_path / "b.mp4").rotation == 0
    with VideoReader(tmp_path / "a.mp4") as first, VideoReader(tmp_path / "b.mp4") as second:
        expected = np.kron(next(iter(first)), np.ones((2, 2, 1), np.uint8))
        found = next(iter(second))
    assert np.abs(np.int16(found) - np.int16(expected)).mean() < 4


def test_a_truncated_film_is_kept_as_far_as_it_goes(tmp_path):
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(40)]
    make_film(tmp_path / "a.mkv", pictures=pictures, sound=(tone(1.6), 0))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    film = restore(tmp_path / "cut.mkv", tmp_path / "b.mp4")
    assert 5 < film.frames < 40
    assert film.problems
    assert all("cut.mkv" in problem for problem in film.problems)
    assert probe(tmp_path / "b.mp4").frame_count == film.frames


def test_only_the_beginning(tmp_path):
    make_film(tmp_path / "a.mp4", count=50, sound=(tone(2.0), 0.0))
    film = restore(tmp_path / "a.mp4", tmp_path / "b.mp4", seconds=0.4)
    assert film.frames == 10
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert numbers_of(reader) == list(range(10))
    assert 0.3 < len(read_audio(tmp_path / "b.mp4", 16000)) / 16000 < 0.6
    assert restore(tmp_path / "a.mp4", tmp_path / "c.mp4", seconds=1e-6).frames == 1
    assert restore(tmp_path / "a.mp4", tmp_path / "d.mp4", seconds=99).frames == 50
    assert restore(tmp_path / "a.mp4", tmp_path / "e.mp4", seconds=1e300).frames == 50
    for seconds in (0, float("inf"), float("nan")):
        with pytest.raises(UserError, match=f"seconds is {seconds}"):
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4", seconds=seconds)


def test_what_happened_is_told(tmp_path):
    make_film(tmp_path / "a.mp4", count=10, fps=10)
    film = restore(tmp_path / "a.mp4", tmp_path / "b.mp4", Interpolator(), larger())
    assert film.problems == ("it was fun",)
    assert film.cuts == (0.4,)
    assert film.seconds > 0
    said = film.describe()
    assert said.startswith("64 x 48 became 128 x 96 pixels; 20 frames at 20 a second; ")
    assert said.endswith("; 2 scenes, which begin also at 0:00.40")


def test_cuts_are_in_seconds_of_the_film_whatever_came_before(tmp_path):
    make_film(tmp_path / "a.mp4", count=10, fps=10)

    class Watcher(Interpolator):
        rate, cuts = 1, (8,)

        def stream(self, frames):
            return frames

    first = Interpolator()
    first.cuts = ()
    assert restore(tmp_path / "a.mp4", tmp_path / "b.mp4", first, Watcher()).cuts == (0.4,)


class TestFrames:
    def test_they_are_the_films(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=4)
        folder = tmp_path / "new" / "frames"
        film = restore(tmp_path / "a.mp4", tmp_path / "b.mp4", frames_folder=folder)
        assert film.pattern == str(folder / "%08d.png")
        assert sorted(p.name for p in folder.iterdir()) == [f"0000000{i}.png" for i in range(4)]
        with VideoReader(tmp_path / "a.mp4") as reader:
            for index, frame in enumerate(reader):
                right = np.kron(frame, np.ones((2, 2, 1), np.uint8))
                np.testing.assert_array_equal(read_image(film.pattern % index), right)

    def test_those_of_an_earlier_longer_film_do_not_stay(self, tmp_path):
        for count in (7, 3):
            make_film(tmp_path / "a.mp4", count=count)
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4", frames_folder=tmp_path / "frames")
        assert len(list((tmp_path / "frames").iterdir())) == 3
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "frames"]

    def test_they_stay_if_the_new_ones_fail(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=7)
        restore(tmp_path / "a.mp4", tmp_path / "b.mp4", frames_folder=tmp_path / "frames")
        before = (tmp_path / "b.mp4").read_bytes()
        with pytest.raises(ZeroDivisionError):
            restore(
                tmp_path / "a.mp4",
                tmp_path / "b.mp4",
                EachFrame("broken", 1, lambda frame: 1 // 0),
                frames_folder=tmp_path / "frames",
            )
        assert len(list((tmp_path / "frames").iterdir())) == 7
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "frames"]
        assert (tmp_path / "b.mp4").read_bytes() == before

    def test_they_stay_if_the_new_ones_cannot_take_their_place(self, tmp_path, monkeypatch):
        make_film(tmp_path / "a.mp4", count=3)
        restore(tmp_path / "a.mp4", tmp_path / "b.mp4", frames_folder=tmp_path / "frames")
        rename = os.rename

        def failing(source, target):
            if os.fspath(source).endswith(".tmp"):
                raise OSError(errno.EIO, "the disk is broken")
            rename(source, target)

        monkeypatch.setattr(os, "rename", failing)
        with pytest.raises(UserError, match="frames: the disk is broken"):
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4", frames_folder=tmp_path / "frames")
        assert len(list((tmp_path / "frames").iterdir())) == 3
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "frames"]

    def test_a_folder_of_other_things_is_left_alone(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=2)
        write_image(tmp_path / "holiday" / "beach.png", numbered(0))
        with pytest.raises(UserError, match=r"holiday holds beach\.png, which is no frame"):
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4", frames_folder=tmp_path / "holiday")
        assert (tmp_path / "holiday" / "beach.png").exists()
        assert not (tmp_path / "b.mp4").exists()


class TestErrors:
    def test_missing_and_foreign_files(self, tmp_path):
        with pytest.raises(DataError, match=r"no video file .*a\.mp4"):
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4")
        (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
        with pytest.raises(DataError, match=r"a\.mp4 is not a video"):
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4")
        assert not (tmp_path / "b.mp4").exists()

    def test_the_film_itself_is_not_replaced(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=2)
        (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
        before = (tmp_path / "a.mp4").read_bytes()
        for name in ("a.mp4", "link.mp4"):
            with pytest.raises(UserError, match="would replace the film"):
                restore(tmp_path / "a.mp4", tmp_path / name)
        assert (tmp_path / "a.mp4").read_bytes() == before

    def test_other_names(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=2)
        with pytest.raises(UserError, match=r"b\.gif: end its name in \.mp4"):
            restore(tmp_path / "a.mp4", tmp_path / "b.gif")

    def test_a_result_that_no_film_can_hold(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=2)
        steps = [larger("realsr", 16), larger("edvr", 17)]
        with pytest.raises(
            UserError, match=r"realsr \(x16\), edvr \(x17\) would make a film of 17408 x 13056"
        ):
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4", *steps)

    def test_no_steps(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=2)
        with pytest.raises(UserError, match="at least one step"):
            restore_film(tmp_path / "a.mp4", tmp_path / "b.mp4", [])

    def test_a_step_that_fails_leaves_nothing_and_no_thread(self, tmp_path):
        make_film(tmp_path / "a.mp4", count=30)

        def failing(frame, seen=[]):  # noqa: B006
            seen.append(1)
            if len(seen) == 6:
                raise UserError("enough")
            return frame

        with pytest.raises(UserError, match="enough"):
            restore(tmp_path / "a.mp4", tmp_path / "b.mp4", EachFrame("x", 1, failing))
        assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_names_of_results():
    assert stem_of("films/old.film.avi") == "old"
    assert stem_of(".hidden") == ".hidden"
    assert str(target_of("films/old.avi", "new", "edvr")) == "new/old_edvr.mp4"
    assert str(target_of("films/a.part2.avi", "new", "edvr")) == "new/a.part2_edvr.mp4"
    assert str(target_of("films/old.avi", "new/film.mkv", "edvr")) == "new/film.mkv"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (8, 40, 3), dtype=np.uint8)
    wide = np.kron(coarse, np.ones((10, 10, 1), np.uint8))
    peaks = {}
    for seconds in (10, 60):
        pictures = [wide[:72, i % 300 : i % 300 + 96] for i in range(10 * seconds)]
        source = tmp_path / f"{seconds}.mp4"
        make_film(source, fps=10, pictures=pictures, sound=(tone(float(seconds)), 0.0))
        result = subprocess.run(
            [sys.executable, "-m", "tests.apps.film_worker", source, tmp_path / "out.mp4"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        frames, peaks[seconds] = map(int, result.stdout.split())
        assert frames == 10 * seconds
    # The result's 600 frames of 384 x 288 would be 200 MB.
    assert peaks[60] < 1.1 * peaks[10]
