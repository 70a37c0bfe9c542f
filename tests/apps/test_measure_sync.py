# SPDX-License-Identifier: Apache-2.0
"""`ppzoo measure sync` finds how much the sound of a film is off, and whose lips it fits."""

import json
import math
from fractions import Fraction

import numpy as np
import paddle
import pytest
from scipy.io import wavfile

from ppzoo import cli
from ppzoo.apps import measure_sync
from ppzoo.apps.measure_sync import measure_film
from ppzoo.errors import DataError
from ppzoo.faces.detector import Face, FaceDetector
from ppzoo.media.video import VideoWriter
from ppzoo.registry import DISCRIMINATORS, build
from ppzoo.weights import write_pdparams

SECONDS, RATE = 3, 16000
_TURN = 3 / 25  # seconds after which what is said may change


def speech(seed=0):
    """Return whether something is said at each time in seconds."""
    said = np.random.RandomState(seed).uniform(size=1000) < 0.5
    return lambda times: said[np.floor(np.asarray(times) / _TURN + 1e-6).astype(int) + 100]


def picture(time, *mouths):
    """Return a dark scene with mouths: (left edge, what they say), white while they say it."""
    frame = np.random.RandomState(1).randint(0, 100, (6, 8, 3), np.uint8)
    frame = np.kron(frame, np.ones((8, 8, 1), np.uint8))
    for left, said in mouths:
        frame[35:45, left : left + 12] = 255 * said(time)
    return frame


def write(path, late=0.0, fps=25, mouths=None, heard=None, dark=()):
    """Write a film whose sound is late by seconds, and some of whose frames are dark."""
    times = np.arange(SECONDS * RATE) / RATE
    wav = 0.5 * np.sin(2 * np.pi * 440 * times) * (heard or speech())(times - late)
    wavfile.write(path.with_suffix(".wav"), RATE, np.int16(32767 * wav))
    with VideoWriter(path, fps, audio_from=path.with_suffix(".wav"), preset="ultrafast") as writer:
        for number in range(round(SECONDS * fps)):
            frame = picture(float(number / fps), *(mouths or [(26, speech())]))
            writer.write(frame * (number not in dark))
    return path


class Boxes(FaceDetector):
    """Finds faces where they are said to be, but in the dark."""

    def __init__(self, *boxes):
        self.boxes = boxes or ((0, 0, 64, 48),)

    def _detect(self, images):
        return [[Face(box, 1.0) for box in self.boxes if image.max() > 50] for image in images]


class Meter:
    """An expert whose embeddings are hands that show how much of the time something is said."""

    def see(self, mouths):
        brightest = mouths.reshape([mouths.shape[0], 5, -1]).max(axis=2)
        return self.hands((brightest > 0.9).astype("float32").mean(axis=1))

    def hear(self, mels):
        return self.hands((mels.max(axis=2) > 0).astype("float32").flatten(1).mean(axis=1))

    @staticmethod
    def hands(shares):
        return paddle.stack([paddle.cos(1.5 * shares), paddle.sin(1.5 * shares)], axis=1)


def measured(path, detector=None, expert=None, **options):
    options = {"pads": (0, 0, 0, 0), "progress": False} | options
    return measure_film(path, expert or Meter(), detector or Boxes(), **options)


@pytest.mark.parametrize(
    ("late", "fps"), [(0, 25), (-4, 25), (6, 25), (3, Fraction(30000, 1001)), (-15, 25)]
)
def test_the_offset_of_the_sound_is_found(tmp_path, late, fps):
    (face,) = measured(write(tmp_path / "film.mp4", late / 25, fps))
    assert face.sync.offset == late
    assert face.sync.distance < 0.25
    assert face.sync.confidence > 0.2
    assert face.as_dict()["offset_ms"] == 40 * late
    assert face.first == 0
    assert face.last == pytest.approx(SECONDS, abs=0.05)
    assert face.windows == pytest.approx(25 * SECONDS - 4, abs=1)


def test_a_foreign_sound_fits_worse(tmp_path):
    (own,) = measured(write(tmp_path / "own.mp4"))
    (foreign,) = measured(write(tmp_path / "foreign.mp4", heard=speech(seed=5)))
    assert own.sync.distance < 0.5 * foreign.sync.distance
    assert own.sync.confidence > 1.5 * foreign.sync.confidence
    assert own.as_dict()["clear"]
    assert not foreign.as_dict()["clear"]


def test_the_speaker_comes_first(tmp_path):
    film = write(tmp_path / "film.mp4", mouths=[(8, speech(seed=5)), (46, speech())])
    faces = measured(film, Boxes((0, 0, 30, 48), (42, 12, 62, 46)))
    assert len(faces) == 2
    assert faces[0].sync.distance < 0.5 * faces[1].sync.distance
    assert faces[0].sync.offset == 0


def test_a_face_that_was_lost_between_is_one_speaker(tmp_path):
    film = write(tmp_path / "film.mp4", dark=range(33, 41))
    (face,) = measured(film, every=1)
    assert [(piece.first, piece.last) for piece in face.pieces] == [(0, 33 / 25), (41 / 25, 3)]
    assert (face.first, face.last) == (0, 3)
    assert [piece.windows for piece in face.pieces] == [29, 30]
    assert face.windows == 59
    assert [each.sync.offset for each in (face, *face.pieces)] == [0, 0, 0]
    assert [each.sync.is_clear for each in (face, *face.pieces)] == [True, False, False]
    distances = [piece.sync.distance for piece in face.pieces]
    mean = np.average(distances, weights=[29, 30])
    assert face.sync.distance == pytest.approx(mean, abs=1e-6)
    parts = face.as_dict()["pieces"]
    assert [part["distance"] for part in parts] == distances
    assert "pieces" not in parts[0]


def test_other_faces_are_those_seen_at_the_same_time(tmp_path):
    mouths = [(8, speech(seed=5)), (46, speech())]
    film = write(tmp_path / "film.mp4", mouths=mouths, dark=range(33, 41))
    faces = measured(film, Boxes((0, 0, 30, 48), (42, 12, 62, 46)), every=1)
    assert [len(face.pieces) for face in faces] == [2, 2]
    assert faces[0].sync.distance < 0.5 * faces[1].sync.distance
    assert all(piece.sync.offset == 0 for piece in faces[0].pieces)


def test_pads_belong_to_a_face(tmp_path):
    film, box = write(tmp_path / "film.mp4"), Boxes((10, 10, 50, 34))  # the mouth is below
    (with_chin,) = measured(film, box, pads=(0, 12, 0, 0))
    (without,) = measured(film, box)
    assert with_chin.sync.confidence > 0.2
    assert without.sync.confidence < 0.1


def test_figures_do_not_depend_on_batches(tmp_path):
    film = write(tmp_path / "film.mp4")
    paddle.seed(3)
    expert = build(DISCRIMINATORS, {"name": "SyncNetColor", "ngf": 2})
    expert.eval()
    alone, together = (measured(film, expert=expert, batch_size=size)[0].sync for size in (7, 64))
    assert alone == pytest.approx(together, abs=1e-5)
    assert 0 < alone.distance < math.sqrt(2)


def test_what_cannot_be_measured_is_said(tmp_path):
    film = write(tmp_path / "film.mp4")
    with pytest.raises(DataError, match=r"no face is seen for a second .*film.mp4"):
        measured(film, Boxes((100, 100, 120, 120)))
    with VideoWriter(tmp_path / "silent.mp4", 25) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(DataError, match="has no sound"):
        measured(tmp_path / "silent.mp4")


@pytest.fixture
def weights(tmp_path):
    paddle.seed(3)
    expert = build(DISCRIMINATORS, {"name": "SyncNetColor", "ngf": 2})
    state = {key: value.numpy() for key, value in expert.state_dict().items()}
    write_pdparams(tmp_path / "expert.pdparams", {"syncnet": state})
    return str(tmp_path / "expert.pdparams")


class TestCommand:
    @pytest.fixture(autouse=True)
    def boxes(self, monkeypatch):
        monkeypatch.setattr("ppzoo.apps.faces.build_detector", lambda name, weights: Boxes())
        monkeypatch.setattr(measure_sync, "load_expert", lambda weights: Meter())

    def test_one_film(self, tmp_path, capsys):
        film = write(tmp_path / "a film.mp4", 2 / 25)
        arguments = ["--video", str(film), "--pads", "0", "0", "0", "0"]
        assert cli.main(["measure", "sync", *arguments]) == 0
        assert "the sound is 2 frames (80 ms) late" in capsys.readouterr().out
        foreign = write(tmp_path / "foreign.mp4", heard=speech(seed=5))
        arguments[1] = str(foreign)
        assert cli.main(["measure", "sync", *arguments]) == 0
        assert "lips and sound fit at no offset" in capsys.readouterr().out

    def test_a_face_in_pieces(self, tmp_path, capsys):
        film = write(tmp_path / "film.mp4", dark=range(33, 41))
        arguments = ["--video", str(film), "--detect-every", "1", "--pads", "0", "0", "0", "0"]
        assert cli.main(["measure", "sync", *arguments]) == 0
        said = "the sound is on time (a face from 0.0 to 3.0 s in 2 pieces)\n"
        assert capsys.readouterr().out.endswith(said)

    def test_a_folder_and_json(self, tmp_path, capsys):
        folder, report = tmp_path / "films", tmp_path / "report.json"
        folder.mkdir()
        (folder / "0.mp4").write_text("no film")
        write(folder / "a.mp4")
        with VideoWriter(folder / "b.mp4", 25) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8))
        write(folder / "c.mp4", -0.2)
        write(folder / "d.mp4", dark=range(75))
        arguments = ["--video", str(folder), "--json", str(report), "--pads", "0", "0", "0", "0"]
        assert cli.main(["measure", "sync", *arguments]) == 1
        out, err = capsys.readouterr()
        assert "on time" in out
        assert "5 frames (200 ms) early" in out
        assert "mean of 2 films" in out
        found = json.loads(report.read_text())
        assert [faces[0]["offset"] for faces in found["films"].values()] == [0, -5]
        assert found["mean"]["within_one"] == 0.5
        distances = [faces[0]["distance"] for faces in found["films"].values()]
        assert found["mean"]["distance"] == pytest.approx(np.mean(distances))
        reasons = {"0": "not a", "b": "b.mp4 has no sound", "d": "no face is seen for a second"}
        assert list(found["left_out"]) == [str(folder / f"{name}.mp4") for name in reasons]
        for told, reason in zip(found["left_out"].values(), reasons.values(), strict=True):
            assert reason in told
            assert f"note: {told}; this film is left out\n" in err

    @pytest.mark.parametrize("number", [1, 2])
    def test_no_film_can_be_measured(self, tmp_path, capsys, number):
        films, report = [str(tmp_path / f"{i}.mp4") for i in range(number)], tmp_path / "it.json"
        for film in films:
            (tmp_path / film).write_text("no film")
        assert cli.main(["measure", "sync", "--video", *films, "--json", str(report)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert [line.partition(":")[0] for line in lines] == ["note"] * (2 * number - 2) + ["error"]
        assert ("0.mp4 is not a" if number == 1 else "none of 2 films") in lines[-1]
        found = json.loads(report.read_text())
        assert list(found["left_out"]) == films
        assert (found["films"], found["mean"]) == ({}, None)

    @pytest.mark.parametrize(
        ("option", "least"), [("--reach", 5), ("--detect-every", 1), ("--batch-size", 1)]
    )
    def test_numbers_are_checked(self, tmp_path, capsys, option, least):
        (tmp_path / "film.mp4").touch()
        arguments = ["--video", str(tmp_path / "film.mp4"), option, str(least - 1)]
        assert cli.main(["measure", "sync", *arguments]) == 2
        assert f"{option} must be {least} or more" in capsys.readouterr().err


def test_an_expert_of_a_run(tmp_path, capsys, monkeypatch, weights):
    monkeypatch.setattr("ppzoo.apps.faces.build_detector", lambda name, weights: Boxes())
    film = write(tmp_path / "film.mp4")
    assert cli.main(["measure", "sync", "--video", str(film), "--weights", weights]) == 0
    assert "distance (LSE-D)" in capsys.readouterr().out
    missing = ["--weights", str(tmp_path / "none")]
    assert cli.main(["measure", "sync", "--video", str(film), *missing]) == 2
    assert "there is no weights file" in capsys.readouterr().err
