# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import re
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

import ppzoo
from ppzoo.apps import talking_clips
from ppzoo.apps.talking_clips import make_clips
from ppzoo.errors import DataError
from ppzoo.media.image import read_image
from ppzoo.media.video import VideoReader, probe
from tests.apps.talking_films import (
    HEIGHT,
    RATE,
    RECIPE,
    SIDE,
    ColourDetector,
    hum,
    still,
    write_film,
)

LIPS = dataclasses.replace(RECIPE, layout="lips", size=32, margin=0.0)


@pytest.fixture(autouse=True)
def _detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking_clips, "_detector", lambda name: ColourDetector())


def made_of(film, recipe=RECIPE, **changes):
    target = film.parent / "clips"
    shutil.rmtree(target, ignore_errors=True)
    heard = []
    made = make_clips(film, target, dataclasses.replace(recipe, **changes), heard.append)
    return target, made, sum(heard)


def green(picture):
    """Return (x1, y1, x2, y2) of the green square in a picture."""
    rows, columns = np.nonzero(picture[..., 1].astype(int) - picture[..., 0] > 60)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def moving(number):
    return (30 + 0.4 * number, 30 + 4 * np.sin(number / 6))


def test_a_clip_of_motion_is_one_square_of_the_film(tmp_path) -> None:
    film = write_film(tmp_path / "a.mp4", moving, count=45)
    target, made, heard = made_of(film)
    assert made.clips == {"0001": 45 / 25}
    assert heard == pytest.approx(45 / 25)
    assert not made.left_out
    assert not made.problems
    files = sorted((target / "0001").iterdir())
    assert [file.name for file in files] == [f"{number:07d}.png" for number in range(45)]
    # The face moves by 17.6 and about 8 pixels and has a margin of half its side all around.
    side = 17.6 + SIDE + 2 * 0.5 * SIDE
    places = np.array([green(read_image(file)) for file in files]) * side / 64
    assert (places[:, 2] - places[:, 0]).mean() == pytest.approx(SIDE, abs=1.5)
    assert places[0, 0] == pytest.approx(0.5 * SIDE, abs=2)
    assert side - places[-1, 2] == pytest.approx(0.5 * SIDE, abs=2)
    assert np.diff(places[:, 0]).mean() == pytest.approx(0.4, abs=0.1)


def test_a_square_stays_inside_of_the_picture(tmp_path) -> None:
    film = write_film(tmp_path / "a.mp4", lambda number: (4, 2), count=30)
    target, _, _ = made_of(film, margin=2.0, size=HEIGHT)
    picture = read_image(target / "0001" / "0000000.png")
    with VideoReader(film) as reader:
        frame = next(iter(reader))
    np.testing.assert_array_equal(picture, frame[:HEIGHT, :HEIGHT])


def test_clips_may_be_films(tmp_path) -> None:
    film = write_film(tmp_path / "a.mp4", count=30)
    target, _, _ = made_of(film, store="mp4")
    (path,) = target.iterdir()
    info = probe(path)
    assert path.name == "0001.mp4"
    assert (info.width, info.frame_count, info.fps, info.has_audio) == (64, 30, 25, False)


def test_a_clip_of_lips_is_the_face_and_its_sound(tmp_path) -> None:
    # The face comes after a second, when there is a beep of a tenth of a second at 1.4 s.
    def late(number):
        return moving(number) if number >= 25 else None

    sound = np.zeros(3 * RATE)
    sound[round(1.4 * RATE) : round(1.5 * RATE)] = 0.5 * np.sin(np.arange(RATE // 10) * 0.5)
    film = write_film(tmp_path / "a.mp4", late, count=75, sound=sound)
    target, made, _ = made_of(film, LIPS)
    assert made.clips == {"0001": 2.0}
    names = {path.name for path in (target / "0001").iterdir()}
    assert names == {"audio.wav", *(f"{number}.jpg" for number in range(50))}
    for number in (0, 24, 49):
        picture = read_image(target / "0001" / f"{number}.jpg")
        assert picture.shape == (32, 32, 3)
        np.testing.assert_allclose(green(picture), [0, 0, 32, 32], atol=2)
    rate, samples = wavfile.read(target / "0001" / "audio.wav")
    assert (rate, samples.dtype, samples.shape) == (RATE, np.int16, (2 * RATE,))
    loud = np.flatnonzero(np.abs(samples) > 4000) / RATE
    assert loud[0] == pytest.approx(0.4, abs=0.01)
    assert loud[-1] == pytest.approx(0.5, abs=0.01)


def test_one_module_alone_says_what_rate_sounds_have() -> None:
    files = Path(ppzoo.__file__).parent.rglob("*.py")
    given = [f for f in files if re.search(r"(?m)^SAMPLE_RATE\b.* = ", f.read_text("utf-8"))]
    assert [file.name for file in given] == ["mel.py"]


def test_square_boxes_become_those_that_wav2lip_knows(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ColourDetector, "is_from_brows", True)
    film = write_film(tmp_path / "a.mp4", count=30, sound=hum(1.2))
    target, _, _ = made_of(film, LIPS, size=96)
    picture = read_image(target / "0001" / "10.jpg")
    x1, y1, x2, y2 = green(picture)
    # It ends below the chin, and before the ears.
    assert (x1, x2) == (0, 96)
    assert y1 <= 5
    assert y2 == pytest.approx(91, abs=2)


def test_films_have_another_rate_afterwards(tmp_path) -> None:
    film = write_film(tmp_path / "a.mp4", count=60, fps=Fraction(30000, 1001))
    target, made, _ = made_of(film)
    assert len(list((target / "0001").iterdir())) == 50
    assert made.clips == {"0001": 2.0}


def test_what_is_left_out_is_counted(tmp_path) -> None:
    def brief(number):
        return (80, 60) if 5 <= number < 20 else None

    film = write_film(tmp_path / "a.mp4", still, brief, count=30)
    assert made_of(film, max_faces=2)[1].left_out["faces seen too shortly"] == 1
    assert made_of(film, max_faces=1)[1].left_out["faces beyond --max-faces"] == 1
    made = made_of(film, min_face=SIDE + 4)[1]
    assert made.left_out["faces too small"] == 1
    assert made.clips == {}
    empty = write_film(tmp_path / "b.mp4", lambda number: None, count=10)
    assert made_of(empty)[1].left_out == {"films without a face": 1}
    assert made_of(film, LIPS)[1].left_out == {"films without sound": 1}
    silent = write_film(tmp_path / "c.mp4", count=30, sound=np.zeros(2 * RATE))
    target, made, _ = made_of(silent, LIPS)
    assert made.left_out == {"faces without sound": 1}
    assert not (target / "0001").exists()


def test_two_faces_are_two_clips(tmp_path) -> None:
    def other(number):
        return (88, 60) if number >= 10 else None

    film = write_film(tmp_path / "a.mp4", still, other, count=40, sound=hum(1.6))
    target, made, _ = made_of(film, LIPS, max_faces=2)
    assert made.clips == {"0001": 1.6, "0002": 1.2}
    blue = read_image(target / "0002" / "5.jpg").astype(int)
    assert (blue[..., 2] - blue[..., 1] > 60).mean() > 0.9
    assert len(wavfile.read(target / "0002" / "audio.wav")[1]) == round(1.2 * RATE)


def test_long_tracks_are_cut_in_equal_parts(tmp_path) -> None:
    film = write_film(tmp_path / "a.mp4", count=70, sound=hum(2.8))
    target, made, _ = made_of(film, LIPS, max_seconds=1.0)
    assert list(made.clips.values()) == [23 / 25, 24 / 25, 23 / 25]
    parts = [wavfile.read(target / name / "audio.wav")[1] for name in made.clips]
    assert sum(len(part) for part in parts) == round(2.8 * RATE)


def test_a_head_that_goes_far_begins_a_new_clip(tmp_path) -> None:
    film = write_film(tmp_path / "a.mp4", lambda number: (4 + 1.5 * number, 40), count=56)
    target, made, _ = made_of(film, min_seconds=0.4)
    assert len(made.clips) > 1
    for name in made.clips:
        picture = read_image(target / name / "0000000.png")
        x1, _, x2, _ = green(picture)
        assert (x2 - x1) / 64 > 1 / (1 + 0.75 + 2 * 0.5) - 0.05


def test_a_face_that_leaves_the_picture_is_followed_no_further(tmp_path) -> None:
    film = write_film(tmp_path / "a.mp4", lambda number: (38 - 1.0 * number, 40), count=70)
    target, made, _ = made_of(film)
    frames = sum(len(list((target / name).iterdir())) for name in made.clips)
    assert 38 <= frames <= 38 + 0.4 * SIDE + 2


def test_damaged_films(tmp_path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("nothing")
    with pytest.raises(DataError, match=r"a\.mp4"):
        made_of(path)
    film = write_film(tmp_path / "b.mp4", count=60)
    film.write_bytes(film.read_bytes()[:-200])
    with pytest.raises(DataError):
        made_of(film)
