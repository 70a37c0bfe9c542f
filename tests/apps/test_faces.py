# SPDX-License-Identifier: Apache-2.0
"""Which face of a picture, and which pictures of a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from ppzoo.apps import faces, talking_clips
from ppzoo.apps.faces import (
    add_face_arguments,
    choose_faces,
    detector_name,
    detector_of_film,
    detector_of_picture,
    for_each_picture,
    name_of,
    result_path,
)
from ppzoo.errors import ConfigError, DataError, WeightsError
from ppzoo.faces.detector import FaceDetector, build_detector
from ppzoo.media.image import write_image

from .face_pieces import RedDetector, picture_with_faces

TWO = picture_with_faces((20, 20, 50, 60), (100, 30, 180, 120))


class TestChoice:
    def test_largest_first(self) -> None:
        boxes = [face.box for face in choose_faces(RedDetector(), TWO, "all", "x.png")]
        assert boxes == [(100, 30, 180, 120), (20, 20, 50, 60)]
        for which in (0, 1):
            (face,) = choose_faces(RedDetector(), TWO, which, "x.png")
            assert face.box == boxes[which]

    def test_no_face(self) -> None:
        with pytest.raises(DataError, match=r"no face in x\.png \(300 x 200 pixels.*by 'red'\)"):
            choose_faces(RedDetector(), picture_with_faces(), 0, "x.png")

    def test_no_such_face(self) -> None:
        with pytest.raises(DataError, match=r"no face 2 in x\.png: it shows 2 faces"):
            choose_faces(RedDetector(), TWO, 2, "x.png")
        one = picture_with_faces((20, 20, 50, 60))
        with pytest.raises(DataError, match=r"no face 1 in x\.png: it shows one face"):
            choose_faces(RedDetector(), one, 1, "x.png")

    @pytest.mark.parametrize("which", [-1, 1.0, True, "every", None])
    def test_what_is_no_number(self, which: object) -> None:
        with pytest.raises(ConfigError, match=r"face is .*, expected 0 for the largest"):
            choose_faces(RedDetector(), TWO, which, "x.png")

    def test_option(self) -> None:
        parser = argparse.ArgumentParser()
        add_face_arguments(parser, "output")
        for text, value in (("0", 0), ("3", 3), ("all", "all")):
            assert parser.parse_args(["--input", "x", "--face", text]).face == value
        for text in ("-1", "x", "1.5"):
            with pytest.raises(SystemExit):
                parser.parse_args(["--input", "x", "--face", text])


def test_names() -> None:
    assert detector_name(build_detector("cascade")) == "cascade"
    assert name_of("a.png") == name_of(Path("a.png")) == "a.png"
    assert name_of(np.zeros(3)) == "the picture"


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("b.png", "a.jpg", "a.png", "sub/c.png"):
            write_image(tmp_path / "in" / name, TWO)
        (tmp_path / "in/notes.txt").write_text("no picture")
        return tmp_path / "in"

    def test_each_picture_once_and_results_that_do_not_collide(self, folder: Path) -> None:
        calls = []
        done = for_each_picture(folder, "out", lambda path, stem: calls.append((path, stem)))
        names = {"a.jpg": "a.jpg", "a.png": "a.png", "b.png": "b", "sub/c.png": "sub/c"}
        assert sorted(calls) == [(folder / path, stem) for path, stem in sorted(names.items())]
        assert done == 4

    def test_files_that_are_no_pictures_are_said(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for_each_picture(folder, folder / "out", lambda path, stem: None)
        ends = ".bmp, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp"
        kinds = f"(in folders, names of pictures end in {ends})"
        assert capsys.readouterr().err == f"left out: notes.txt {kinds}\n"
        # Results are no input, whatever they are.
        for name in ("sub/b.gif", "out/a.npy"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        for_each_picture(folder, folder / "out", lambda path, stem: None)
        assert capsys.readouterr().err == f"left out: 2 files, such as notes.txt {kinds}\n"
        for_each_picture(folder / "b.png", folder / "out", lambda path, stem: None)
        (folder / "notes.txt").unlink()
        (folder / "sub/b.gif").unlink()
        for_each_picture(folder, folder / "out", lambda path, stem: None)
        assert capsys.readouterr().err == ""

    def test_one_file(self, folder: Path) -> None:
        calls = []
        assert for_each_picture(folder / "b.png", "out", lambda *call: calls.append(call)) == 1
        assert calls == [(folder / "b.png", "b")]

    def test_bad_pictures_stop_or_are_counted(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def work(path: Path, stem: str) -> None:
            if path.name.startswith("a"):
                raise DataError(f"{path.name} is bad")

        hint = "0 of 4 pictures are done, --on-error skip leaves such ones out"
        with pytest.raises(DataError, match=rf"^a\.jpg is bad; {hint}$"):
            for_each_picture(folder, "out", work)
        with pytest.raises(DataError, match=r"^a\.jpg is bad$"):
            for_each_picture(folder / "a.jpg", "out", work)
        assert for_each_picture(folder, "out", work, "skip") == 2
        said = capsys.readouterr().err
        assert "left out: a.jpg is bad\nleft out: a.png is bad\n" in said
        assert said.endswith("2 of 4 pictures are left out\n")

        def refuse_c(path: Path, stem: str) -> None:
            if path.name == "c.png":
                raise DataError("c.png is bad")

        with pytest.raises(DataError, match="3 of 4 pictures are done"):
            for_each_picture(folder, "out", refuse_c)

        def fail(path: Path, stem: str) -> None:
            raise DataError("bad")

        with pytest.raises(DataError, match="none of 4 pictures can be used, such as: bad"):
            for_each_picture(folder, "out", fail, "skip")

    def test_results_are_no_input(self, folder: Path) -> None:
        calls = []
        assert for_each_picture(folder, folder / "sub", lambda path, _: calls.append(path)) == 3
        assert folder / "sub/c.png" not in calls
        with pytest.raises(DataError, match="are in --output: choose another"):
            for_each_picture(folder, folder, print)
        assert result_path(folder / "d.png", folder / "b.png") == folder / "d.png"
        with pytest.raises(ConfigError, match=r"would replace the picture .*b\.png"):
            result_path(folder / "sub/../b.png", folder / "b.png")

    def test_nothing_there(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="'--input' is empty"):
            for_each_picture(tmp_path / "empty", "out", print)
        with pytest.raises(DataError, match=r"no file or folder .*nope \(--input\)"):
            for_each_picture(tmp_path / "nope", "out", print)


def test_films_are_searched_in_small_frames(monkeypatch) -> None:
    class Detector(FaceDetector):
        def for_films(self) -> FaceDetector:
            return small

    small, full = RedDetector(), Detector()
    monkeypatch.setattr(faces, "build_detector", lambda name, weights: full)
    assert detector_of_picture("sfd") is full
    assert detector_of_film("sfd") is small
    assert talking_clips._detector.__wrapped__("sfd") is small
    assert small.for_films() is small


def test_a_film_without_the_detectors_weights_says_how_to_do_without() -> None:
    with pytest.raises(WeightsError, match="--face-detector cascade"):
        detector_of_film("sfd", "nowhere.pdparams")
    with pytest.raises(WeightsError, match=r" --detector cascade \(detector='cascade'\)"):
        detector_of_film("sfd", "nowhere.pdparams", "--detector")
