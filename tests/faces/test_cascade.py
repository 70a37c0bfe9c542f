# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from ppzoo.faces.cascade import CascadeDetector

# The astronaut's face, by eye.
MIDDLE, SIZE = (225, 115), 105


@pytest.fixture(scope="module")
def detector():
    return CascadeDetector()


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


def is_the_face(face, middle=MIDDLE, size=SIZE):
    x1, y1, x2, y2 = face.box
    apart = np.hypot((x1 + x2) / 2 - middle[0], (y1 + y2) / 2 - middle[1])
    assert x2 - x1 == pytest.approx(y2 - y1)
    return apart < 0.15 * size and 0.8 * size < x2 - x1 < 1.25 * size


def test_finds_the_only_face(detector, astronaut) -> None:
    (face,) = detector.detect(astronaut)
    assert is_the_face(face)
    assert 0.5 < face.score < 1
    assert face.landmarks is None
    assert abs(face.roll) < 10


@pytest.mark.parametrize("lean", [-40, -20, 15, 30])
def test_finds_a_leaning_face_and_says_how_far_it_leans(detector, astronaut, lean) -> None:
    upright = detector.detect(astronaut)[0].roll
    # OpenCV counts counter-clockwise.
    matrix = cv2.getRotationMatrix2D(MIDDLE, -lean, 1.0)
    turned = cv2.warpAffine(astronaut, matrix, (400, 300), borderMode=cv2.BORDER_REFLECT)
    (face,) = detector.detect(turned)
    assert is_the_face(face)
    assert face.roll == pytest.approx(upright + lean, abs=8)


def test_boxes_are_in_pixels_of_the_picture_that_was_given(detector, astronaut) -> None:
    large = cv2.resize(astronaut, None, fx=3.5, fy=3.5)
    (face,) = detector.detect(large)
    assert is_the_face(face, np.array(MIDDLE) * 3.5, SIZE * 3.5)


@pytest.mark.parametrize("pixels", [32, 40, 64])
def test_enlarges_tiny_pictures(detector, astronaut, pixels) -> None:
    crop = astronaut[30:200, 140:310]
    tiny = cv2.resize(crop, (pixels, pixels), interpolation=cv2.INTER_AREA)
    scale = pixels / 170
    (face,) = detector.detect(tiny)
    assert is_the_face(face, np.array([85, 85]) * scale, SIZE * scale)


def test_a_face_that_fills_the_picture_is_found(detector, astronaut) -> None:
    (face,) = detector.detect(astronaut[65:165, 175:275])
    assert is_the_face(face, (50, 50), 100)


def test_two_faces_come_largest_first(detector, astronaut) -> None:
    face = astronaut[0:240, 100:340]
    canvas = np.full((240, 400, 3), 90, np.uint8)
    canvas[40:200, :160] = cv2.resize(face, (160, 160), interpolation=cv2.INTER_AREA)
    canvas[:, 160:] = face
    first, second = detector.detect(canvas)
    assert first.area > 1.5 * second.area
    assert is_the_face(first, (160 + 125, 115))
    assert is_the_face(second, (125 / 1.5, 40 + 115 / 1.5), SIZE / 1.5)


@pytest.mark.parametrize("name", ["coffee", "camera", "brick"])
def test_sees_no_face_where_there_is_none(detector, name) -> None:
    assert detector.detect(getattr(data, name)()) == []


def test_most_tiny_faces_are_found_and_background_is_not(detector) -> None:
    crops = data.lfw_subset()  # grey [200, 25, 25] in [0, 1]: 100 faces, then 100 backgrounds
    levels = (crops[5:200:10].clip(0, 1) * 255).astype(np.uint8)
    found = [len(faces) for faces in detector.detect_batch(levels)]
    assert sum(found[:10]) >= 8
    assert sum(found[10:]) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (23, 23)])
def test_pictures_too_small_for_a_face_have_none(detector, shape) -> None:
    assert detector.detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_asking_for_more_votes_finds_less(astronaut) -> None:
    assert CascadeDetector(min_votes=500).detect(astronaut) == []


@pytest.mark.parametrize("wrong", [{"search_size": 50}, {"smallest_face": 0}, {"min_votes": 0}])
def test_options_are_checked(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CascadeDetector(**wrong)
