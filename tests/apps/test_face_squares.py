# SPDX-License-Identifier: Apache-2.0
"""Squares about faces in pictures and films, and what is seen of several."""

from __future__ import annotations

import numpy as np
import pytest

from ppzoo.apps.face_squares import (
    FacePlace,
    centre_square,
    cut,
    driver_square,
    face_masks,
    face_square,
    without_doubles,
)
from ppzoo.faces.blend import paste
from ppzoo.faces.detector import Face, FaceDetector


class Listed(FaceDetector):
    """Finds in each frame what a list says, by the frame's level."""

    def __init__(self, boxes):
        self.boxes, self.batches = boxes, []

    def _detect(self, images):
        self.batches.append(len(images))
        found = [self.boxes[int(image[0, 0, 0])] for image in images]
        return [[Face(box, 1.0) for box in boxes] for boxes in found]


def frames(count, size=(100, 200)):
    return (np.full((*size, 3), level, np.uint8) for level in range(count))


class TestFaceSquare:
    def test_it_is_twice_the_face_about_its_middle(self):
        assert face_square((100, 80, 140, 130), (300, 400)) == (70, 55, 170, 155)

    @pytest.mark.parametrize(
        ("box", "expected"),
        [
            ((0, 0, 40, 40), (0, 0, 80, 80)),
            ((370, 270, 410, 310), (320, 220, 400, 300)),
            ((-30, 100, 30, 160), (0, 70, 120, 190)),
        ],
    )
    def test_it_is_shifted_into_the_picture(self, box, expected):
        assert face_square(box, (300, 400)) == expected

    def test_it_is_no_larger_than_the_picture(self):
        assert face_square((100, 100, 350, 350), (300, 400)) == (75, 0, 375, 300)
        # Nearly as large is as large: pictures that are cut out already stay whole.
        assert face_square((60, 60, 180, 180), (256, 256)) == (0, 0, 256, 256)

    def test_the_middle(self):
        assert centre_square((100, 201)) == (50, 0, 150, 100)
        assert centre_square((201, 100)) == (0, 50, 100, 150)
        assert centre_square((64, 64)) == (0, 0, 64, 64)


class TestDoubles:
    def test_the_larger_of_two_on_one_place_stays(self):
        boxes = [(100, 100, 160, 160), (105, 100, 160, 155), (300, 100, 340, 140)]
        places = without_doubles([Face(box, 1.0) for box in boxes], (400, 600))
        squares = [place.square for place in places]
        assert squares == [face_square(boxes[0], (400, 600)), face_square(boxes[2], (400, 600))]
        assert [place.middle for place in places] == [(130, 130), (320, 120)]

    def test_neighbours_stay(self):
        boxes = [(100, 100, 160, 160), (165, 100, 220, 155)]
        assert len(without_doubles([Face(box, 1.0) for box in boxes], (400, 600))) == 2
        assert without_doubles([], (10, 10)) == []


class TestDriver:
    def test_it_stays_at_the_usual_place(self):
        boxes = [[(50 + i, 40, 70 + i, 60)] for i in range(9)]
        detector = Listed(boxes)
        square = driver_square(frames(9), detector, 1, (100, 200))
        assert square == (44, 30, 84, 70)
        assert sum(detector.batches) == 9

    def test_it_grows_where_the_face_moves_far(self):
        boxes = [[(50, 40, 70, 60)]] * 8 + [[(62, 52, 90, 80)]]
        x1, y1, x2, y2 = driver_square(frames(9), Listed(boxes), 1, (100, 200))
        assert (x1, y1) == (40, 30)
        assert x2 == 90
        assert x2 - x1 == y2 - y1 == 50

    def test_faces_elsewhere_are_somebody_else(self):
        boxes = [[(50, 40, 70, 60)]] * 5 + [[(150, 20, 190, 60)]]
        assert driver_square(frames(6), Listed(boxes), 1, (100, 200)) == (40, 30, 80, 70)

    def test_the_largest_face_is_the_drivers(self):
        boxes = [[(150, 20, 160, 30), (50, 40, 70, 60)]] * 2
        assert driver_square(frames(2), Listed(boxes), 1, (100, 200)) == (40, 30, 80, 70)

    def test_it_looks_at_every_nth_frame(self):
        detector = Listed([[(50, 40, 70, 60)]] * 11)
        driver_square(frames(11), detector, 5, (100, 200))
        assert detector.batches == [3]

    def test_a_face_must_be_there_often(self):
        boxes = [[(50, 40, 70, 60)]] + [[]] * 5
        assert driver_square(frames(6), Listed(boxes), 1, (100, 200)) is None
        assert driver_square(frames(4), Listed(boxes), 1, (100, 200)) is not None
        assert driver_square(frames(2), Listed([[], []]), 1, (100, 200)) is None


def centred(*squares):
    return [FacePlace(s, ((s[0] + s[2]) / 2, (s[1] + s[3]) / 2)) for s in squares]


class TestMasks:
    def test_where_two_meet_each_keeps_its_own_middle(self):
        parts = [(0, 0, 100, 100), (40, 10, 120, 90)]
        frame = np.zeros((100, 130, 3), np.uint8)
        for level, part, mask in zip(
            (100, 200), parts, face_masks(centred(*parts), 0.5, 0.1), strict=True
        ):
            side = part[2] - part[0]
            paste(frame, np.full((side, side, 3), level, np.uint8), part, mask)
        row = frame[50, :, 0].astype(int)
        assert (row[10:50] == 100).all()
        assert (row[75:110] == 200).all()
        assert (np.diff(row[50:75]) >= 0).all()
        assert row[50:75].min() == 100  # nothing of the picture below shines through
        assert row[64:70].max() > 110  # half way, in units of either size, at 66.7

    def test_alone_it_is_the_ellipse(self):
        (mask,) = face_masks(centred((10, 10, 110, 110)), 0.4, 0)
        assert mask.mean() == pytest.approx(np.pi * 0.16, rel=0.02)
        (mask,) = face_masks(centred((10, 10, 110, 110)), 1.0, 0.1)
        assert (mask == 1).all()

    def test_order_decides_which_one_is_whole(self):
        parts = centred((0, 0, 60, 60), (30, 0, 90, 60))
        masks = face_masks(parts, 0.5, 0.1)
        alone = face_masks(parts[:1], 0.5, 0.1)[0]
        assert (masks[0] == alone).all()
        assert (masks[1] == alone).mean() < 0.9

    def test_at_the_edge_it_is_about_the_face_and_not_the_square(self):
        (place,) = without_doubles([Face((170, 40, 200, 70), 1.0)], (100, 200))
        assert place == FacePlace((140, 25, 200, 85), (185, 55))
        (mask,) = face_masks([place], 0.4, 0.1)
        assert (mask[30, 30:] == 1).all()  # the whole face up to the picture's edge
        assert (mask[:, :20] == 0).all()


def test_cut() -> None:
    picture = np.arange(60).reshape(4, 5, 3)
    assert (cut(picture, (1, 2, 3, 4)) == picture[2:4, 1:3]).all()
