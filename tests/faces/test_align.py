# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from ppzoo.faces.align import align_face, paste_back
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


def test_what_is_pasted_back_is_where_it_came_from() -> None:
    image = data.astronaut()
    leaning_face = Face(FACE.box, 0.9, None, 20.0)
    crop, matrix = align_face(image, leaning_face, size=256)
    grey = np.full_like(image, 128)
    pasted = paste_back(grey, crop, matrix)
    x, y = slice(185, 270), slice(75, 160)
    assert np.abs(pasted[y, x].astype(int) - image[y, x]).mean() < 4
    assert (pasted[400:] == 128).all()
    assert (grey == 128).all()


@pytest.mark.parametrize("size", [16, 1024])
def test_pasting_enlarges_and_reduces(size) -> None:
    picture = np.zeros((size, size, 3), np.uint8)
    picture[:, ::2] = 200  # its mean is what is left where it is reduced
    background = np.full((512, 512, 3), 100, np.uint8)
    _, matrix = align_face(background, FACE, size=size)
    pasted = paste_back(background, picture, matrix)
    assert pasted[90:150, 190:260].mean() == pytest.approx(100, abs=6)
    if size == 1024:
        assert np.ptp(pasted[90:150, 190:260]) < 60


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_a_mask_says_how_much_shows(kind) -> None:
    background = np.full((300, 300, 3), 100, np.uint8)
    face = Face((100, 100, 200, 200), 0.5)
    picture, matrix = align_face(np.full((300, 300, 3), 200, np.uint8), face, size=64)
    mask = np.zeros((64, 64), np.float32)
    mask[:32] = 0.4
    if kind == "uint8":
        mask = (mask * 255).round().astype(np.uint8)[..., np.newaxis]
    pasted = paste_back(background, picture, matrix, mask)
    x, y = (np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) @ [32, 16, 1])[:2].astype(int)
    assert (pasted[y, x] == 140).all()
    x, y = (np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) @ [32, 50, 1])[:2].astype(int)
    assert (pasted[y, x] == 100).all()


def test_a_place_beside_the_background_changes_nothing() -> None:
    background = np.full((50, 50, 3), 100, np.uint8)
    picture, matrix = align_face(background, Face((900, 900, 950, 950), 0.5), size=32)
    assert (paste_back(background, picture * 0, matrix) == background).all()


def test_what_cannot_be_pasted_is_refused() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="matrix"):
        paste_back(image, image, np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\[3, 4\]"):
        paste_back(image, image, np.eye(2, 3), np.ones((3, 4)))
