# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from ppzoo.faces.boxes import (
    clip,
    enlarge,
    hairline_to_chin,
    non_maximum_suppression,
    overlaps,
)


def test_overlaps_are_shared_area_over_joint_area() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]])
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]])
    assert overlaps(boxes, others) == pytest.approx(np.array([[1, 1 / 3, 0], [0, 0, 0]]))


def test_empty_boxes_overlap_nothing() -> None:
    empty = np.array([[5, 5, 5, 5], [9, 9, 3, 3]])
    assert (overlaps(empty, empty) == 0).all()
    assert overlaps(np.zeros((0, 4)), empty).shape == (0, 2)


def test_suppression_keeps_the_best_of_each_group() -> None:
    boxes = np.array(
        [
            [10, 10, 50, 60, 0.9],
            [12, 11, 52, 58, 0.8],
            [100, 100, 140, 150, 0.7],
            [102, 98, 139, 152, 0.99],
        ]
    )
    assert non_maximum_suppression(boxes, 0.3) == [3, 0]
    assert non_maximum_suppression(boxes, 1.0) == [3, 0, 1, 2]
    assert non_maximum_suppression(np.zeros((0, 5)), 0.3) == []


def test_suppression_counts_the_last_pixel_in() -> None:
    # 11 x 10 pixels each, 5 x 10 of them shared: 50/170 with the last pixel, 40/160 without.
    boxes = np.array([[0, 0, 10, 9, 0.9], [6, 0, 16, 9, 0.8]])
    assert non_maximum_suppression(boxes, 0.27) == [0]
    assert non_maximum_suppression(boxes, 0.3) == [0, 1]


def test_enlarging_keeps_the_middle() -> None:
    assert enlarge((10, 20, 20, 40), 2) == (5, 10, 25, 50)
    assert enlarge((10, 20, 20, 40), 0.5) == (12.5, 25, 17.5, 35)
    with pytest.raises(ValueError, match="positive"):
        enlarge((0, 0, 1, 1), 0)


def test_clipping_leaves_what_is_in_the_picture() -> None:
    assert clip((-5, 10, 50, 99), height=60, width=40) == (0, 10, 40, 60)
    assert clip((-5, -5, -2, -2), height=60, width=40) == (0, 0, 0, 0)
    assert clip((50, 70, 60, 80), height=60, width=40) == (40, 60, 40, 60)


def test_a_square_box_becomes_a_tall_one() -> None:
    tall = hairline_to_chin((100, 200, 200, 300))
    assert tall == pytest.approx((108, 196, 192, 306))
    assert hairline_to_chin((0, 0, 50, 50)) == pytest.approx((4, -2, 46, 53))
