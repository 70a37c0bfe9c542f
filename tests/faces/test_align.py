# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from ppzoo.faces.align import align_face
from ppzoo.faces.detector import Face

EYES = np.array([[206.0, 106.0], [245.0, 108.0]])  # the astronaut's, by eye
FACE = Face((178, 65, 280, 167), 0.9, EYES, 3.0)


def leaning(face, degrees, about):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([(face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2])
    x, y = turn @ (middle - about) + about
    half = face.size[0] / 2
    eyes = (face.landmarks - about) @ turn.T + about
    return Face((x - half, y - half, x + half, y + half), 0.9, eyes, face.roll + degrees)


def in_cut(points, matrix):
    return (np.asarray(points) - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5


def test_eyes_are_level_and_where_photo2cartoon_has_them() -> None:
    crop, matrix = align_face(data.astronaut(), FACE)
    assert (crop.shape, crop.dtype, matrix.shape) == ((256, 256, 3), np.uint8, (2, 3))
    left, right = in_cut(EYES, matrix)
    assert left[1] == pytest.approx(right[1])
    assert (left + right) / 2 == pytest.approx([128, 0.46 * 256])
    assert right[0] - left[0] == pytest.approx(256 / 4.6)


@pytest.mark.parametrize("degrees", [-90, -25, 40, 120])
def test_a_leaning_face_gives_the_same_crop(degrees) -> None:
    image, about = data.astronaut(), np.array([220.5, 130.5])
    matrix = cv2.getRotationMatrix2D(tuple(about - 0.5), -degrees, 1.0)
    turned = cv2.warpAffine(image, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    upright, _ = align_face(image, FACE, size=64)
    again, _ = align_face(turned, leaning(FACE, degrees, about), size=64)
    middle = np.s_[12:-12, 12:-12]
    assert np.abs(upright[middle].astype(int) - again[middle]).mean() < 3


def test_box_and_roll_serve_where_there_are_no_eyes() -> None:
    bare = Face(FACE.box, 0.9, None, 3.0)
    _, matrix = align_face(data.astronaut(), bare)
    left, right = in_cut(EYES, matrix)
    assert (left + right) / 2 == pytest.approx([128, 118], abs=14)
    assert right[0] - left[0] == pytest.approx(256 / 4.6, rel=0.15)
    assert right[1] - left[1] == pytest.approx(0, abs=2)


def test_a_profile_is_as_large_as_its_mouth_is_low() -> None:
    nose, mouth = [225, 125], [225, 149]
    frontal = np.array([[205, 107], [245, 107], nose, mouth])
    turned = np.array([[215, 107], [235, 107], nose, mouth])
    sizes = [
        np.sqrt(np.linalg.det(align_face(data.astronaut(), Face(FACE.box, 1.0, eyes))[1][:, :2]))
        for eyes in (frontal, turned)
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_zoom_and_size() -> None:
    image = data.astronaut()
    _, one = align_face(image, FACE, size=128)
    crop, two = align_face(image, FACE, size=128, zoom=2)
    assert crop.shape == (128, 128, 3)
    assert two[:, :2] == pytest.approx(one[:, :2] * 2)


@pytest.mark.parametrize(("border", "level"), [("white", 255), ("black", 0), ("replicate", 90)])
def test_a_face_at_the_edge_has_a_border(border, level) -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    crop, _ = align_face(image, Face((-20, -20, 30, 30), 0.5), border=border)
    assert (crop[:20, :20] == level).all()
    assert (crop[-60:, -60:] == 90).all()


@pytest.mark.parametrize("box", [(3, 3, 4, 4), (3.2, 3.1, 3.4, 3.4), (-500, -500, 900, 900)])
def test_tiny_and_huge_faces_have_a_crop(box) -> None:
    image = np.full((9, 9), 77, np.uint8)
    crop, _ = align_face(image, Face(box, 0.5))
    assert crop.shape == (256, 256, 3)
    assert (crop == 77).all()


def test_collapsed_landmarks_are_of_no_account() -> None:
    image = data.astronaut()
    collapsed = Face(FACE.box, 0.5, np.full((6, 2), 200.0), 3.0)
    _, matrix = align_face(image, collapsed)
    assert matrix == pytest.approx(align_face(image, Face(FACE.box, 0.5, None, 3.0))[1])


@pytest.mark.parametrize(
    ("face", "options", "says"),
    [
        (Face((5, 5, 5, 9), 0.5), {}, "empty"),
        (FACE, {"size": 0}, "size"),
        (FACE, {"zoom": 0}, "zoom"),
        (FACE, {"border": "pink"}, "pink"),
    ],
)
def test_what_cannot_be_aligned_is_refused(face, options, says) -> None:
    with pytest.raises(ValueError, match=says):
        align_face(data.astronaut(), face, **options)
