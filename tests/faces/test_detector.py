# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import numpy as np
import pytest

from ppzoo.errors import ConfigError
from ppzoo.faces import detector
from ppzoo.faces.boxes import hairline_to_chin
from ppzoo.faces.cascade import CascadeDetector
from ppzoo.faces.detector import (
    Face,
    FaceDetector,
    as_picture,
    build_detector,
    roll_of_eyes,
)


class Fixed(FaceDetector):
    def _detect(self, images):
        assert all(image.shape[2:] == (3,) for image in images)
        boxes = [(0, 0, 10, 10), (5, 5, 25, 30), (0, 0, 12, 12)]
        return [[Face(box, 0.5) for box in boxes] for _ in images]


def test_faces_come_largest_first() -> None:
    faces = Fixed().detect(np.zeros((40, 40, 3), np.uint8))
    assert [face.area for face in faces] == [500, 144, 100]
    assert faces[0].size == (20, 25)


def test_a_batch_may_mix_sizes_and_grey() -> None:
    shapes = [(40, 40, 3), (10, 20), (10, 20, 1)]
    found = Fixed().detect_batch([np.zeros(shape, np.uint8) for shape in shapes])
    assert [len(faces) for faces in found] == [3, 3, 3]
    assert Fixed().detect_batch([]) == []


def test_grey_becomes_rgb() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    rgb = as_picture(grey)
    assert rgb.shape == (2, 3, 3)
    assert (rgb == grey[..., None]).all()
    assert as_picture(rgb) is rgb


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4, 4), np.uint8), "alpha"),
        (np.zeros((4, 4, 2), np.uint8), r"\[4, 4, 2\]"),
        (np.zeros((0, 4, 3), np.uint8), r"\[0, 4, 3\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"\[2, 4, 4, 3\]"),
    ],
)
def test_what_is_no_picture_is_refused(image, says) -> None:
    with pytest.raises(ValueError, match=says):
        Fixed().detect(image)


def test_roll_is_clockwise() -> None:
    assert roll_of_eyes(np.array([[0, 0], [10, 0]])) == 0
    assert roll_of_eyes(np.array([[0, 0], [10, 10], [99, -99]])) == pytest.approx(45)
    assert roll_of_eyes(np.array([[0, 0], [10, -10]])) == pytest.approx(-45)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "cascade"),
        (["blazeface.pdparams"], "blazeface"),
        (["s3fd_paddle.pdparams"], "sfd"),
        (["s3fd_paddle.pdparams", "blazeface.pdparams"], "sfd"),
    ],
)
def test_auto_takes_what_is_at_hand_and_says_so(
    files, expected, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
    # Other tests may have sent ppzoo's log elsewhere.
    monkeypatch.setattr(logging.getLogger("ppzoo"), "propagate", True)
    (tmp_path / "weights").mkdir()
    for name in files:
        (tmp_path / "weights" / name).touch()
    monkeypatch.setattr(detector, "_CLASSES", {expected: ("builtins", "repr")})
    monkeypatch.setitem(detector._CLASSES, "cascade", ("builtins", "list"))
    with caplog.at_level(logging.INFO, "ppzoo"):
        built = build_detector("auto")
    assert built == ([] if expected == "cascade" else "None")
    assert repr(expected) in caplog.text


def test_the_cascade_needs_nothing() -> None:
    assert isinstance(build_detector("cascade"), CascadeDetector)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'dlib'.*'auto', 'cascade', 'sfd', 'blazeface'"):
        build_detector("dlib")


@pytest.mark.parametrize("name", ["auto", "cascade"])
def test_weights_for_no_network_are_refused(name) -> None:
    with pytest.raises(ConfigError, match=r"weights|weight_path"):
        build_detector(name, "some.pdparams")


def test_whole_faces_reach_to_the_hairline_whatever_finds_them() -> None:
    box = (100.0, 200.0, 200.0, 300.0)
    assert CascadeDetector().whole_face(box) == hairline_to_chin(box)
    assert detector.FaceDetector().whole_face(box) == box
