# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppzoo.errors import WeightsError
from ppzoo.faces.blazeface import (
    BlazeFace,
    BlazeFaceDetector,
    anchors,
    decode,
    weighted_suppression,
)
from ppzoo.weights import write_safetensors


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "blazeface.safetensors"
    net = BlazeFace()
    # Every anchor takes itself for the middle of a face of 60 x 60 pixels with eyes 20 apart.
    face = np.array([0, 0, 60, 60, -10, -5, 10, -5, *[0] * 8], np.float32)
    for layer, count in ((net.regressor_8, 2), (net.regressor_16, 6)):
        layer.weight.set_value(paddle.zeros_like(layer.weight))
        layer.bias.set_value(paddle.to_tensor(np.tile(face, count)))
    for layer in (net.classifier_8, net.classifier_16):
        layer.weight.set_value(paddle.zeros_like(layer.weight))
        layer.bias.set_value(paddle.full_like(layer.bias, 3.0))
    state = net.state_dict()
    write_safetensors(path, {name: array.numpy() for name, array in state.items()})
    return path


class Painted:
    """Stands for the network: the red part of what it sees is a face, eyes and all."""

    def __init__(self):
        self.batches = []

    def __call__(self, x):
        self.batches.append(len(x))
        coordinates = np.zeros((len(x), 896, 16), np.float32)
        scores = np.full((len(x), 896, 1), -9, np.float32)
        for item, (red, green, _) in enumerate(x.numpy()):
            ys, xs = np.nonzero((red > 0) & (green < 0))
            if len(ys) < 30:  # too small for the network
                continue
            x1, y1, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            middle = np.array([x1 + x2, y1 + y2]) / 2
            anchor = int(np.hypot(*(anchors() * 128 - middle).T).argmin())
            points = [middle, (x2 - x1, y2 - y1), (x1, y1), (x2, y1), *[middle] * 4]
            points = np.array(points, np.float32)
            points[[0, 2, 3, 4, 5, 6, 7]] -= anchors()[anchor] * 128
            coordinates[item, anchor] = points.ravel()
            scores[item, anchor] = 3
        return [paddle.to_tensor(coordinates), paddle.to_tensor(scores)]


@pytest.fixture
def detector(weights):
    detector = BlazeFaceDetector(weights)
    detector.net = Painted()
    return detector


def picture(height, width, box):
    image = np.full((height, width, 3), 140, np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = (255, 0, 0)
    return image


def test_network_answers_for_every_anchor() -> None:
    net = BlazeFace()
    with paddle.no_grad():
        coordinates, scores = net(paddle.zeros([2, 3, 128, 128]))
    assert (coordinates.shape, scores.shape) == ([2, 896, 16], [2, 896, 1])


def test_anchors_go_along_the_rows_twice_and_then_six_times() -> None:
    table = anchors()
    assert table.shape == (896, 2)
    assert table[:3].tolist() == [[1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32]]
    assert table[32].tolist() == [1 / 32, 3 / 32]
    assert table[512:519, 0].tolist() == [1 / 16] * 6 + [3 / 16]
    assert table[-1].tolist() == [15 / 16, 15 / 16]


def test_decode_adds_the_anchor_to_places_and_not_to_sizes() -> None:
    coordinates = np.zeros((896, 16))
    coordinates[0] = [12.8, 0, 25.6, 12.8, *[6.4, -6.4] * 6]
    face, empty = decode(coordinates)[:2]
    x = y = 1 / 32
    assert face[:4] == pytest.approx([x, y - 0.05, x + 0.2, y + 0.05])
    assert face[4:] == pytest.approx([x + 0.05, y - 0.05] * 6)
    assert empty == pytest.approx([x, y] * 8)


def test_suppression_averages_by_score() -> None:
    faces = np.zeros((3, 16))
    faces[:, :4] = [[0, 0, 10, 10], [50, 50, 60, 60], [2, 0, 12, 10]]
    faces[:, 4] = [4, 0, 8]
    result = weighted_suppression(faces, np.array([0.9, 0.8, 0.3]), 0.3)
    assert result[:, :5] == pytest.approx(np.array([[0.5, 0, 10.5, 10, 5], [50, 50, 60, 60, 0]]))
    assert result[:, 16] == pytest.approx([0.6, 0.8])
    assert weighted_suppression(faces[:0], np.zeros(0), 0.3).shape == (0, 17)


def test_suppression_ends_with_empty_boxes() -> None:
    assert len(weighted_suppression(np.zeros((2, 16)), np.array([0.9, 0.8]), 0.3)) == 2


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((300, 400), (150, 90, 260, 200)),
        ((400, 300), (10, 200, 120, 310)),
        ((90, 64), (20, 30, 50, 60)),
        ((500, 100), (30, 400, 90, 460)),  # small beside the height
    ],
)
def test_boxes_and_points_are_in_pixels_of_the_picture(detector, size, box) -> None:
    (face,) = detector.detect(picture(*size, box))
    tolerance = 0.06 * (box[2] - box[0])
    assert face.box == pytest.approx(box, abs=tolerance)
    x1, y1, x2, _ = box
    assert face.landmarks.shape == (6, 2)
    assert face.landmarks[:2] == pytest.approx(np.array([[x1, y1], [x2, y1]]), abs=tolerance)
    assert face.roll == pytest.approx(0, abs=1)
    assert face.score == pytest.approx(1 / (1 + np.exp(-3)))


def test_small_faces_are_found_in_parts_of_the_picture(detector) -> None:
    (face,) = detector.detect(picture(600, 800, (700, 500, 730, 530)))
    assert face.box == pytest.approx((700, 500, 730, 530), abs=3)


def test_a_face_at_first_glance_alone_is_none(detector) -> None:
    painted, calls = detector.net, []

    def fickle(x):
        calls.append(len(x))
        coordinates, scores = painted(x)
        return [coordinates, scores - 9.0 * (len(calls) > 1)]

    detector.net = fickle
    assert detector.detect(picture(300, 400, (150, 90, 260, 200))) == []
    assert calls[:2] == [1, 3]


def test_batches_mix_sizes_and_share_passes(detector) -> None:
    box = (20, 20, 60, 60)
    images = [picture(100, 120, box), picture(80, 80, box), np.zeros((50, 50, 3), np.uint8)]
    together = detector.detect_batch(images)
    assert detector.net.batches[:2] == [3, 6]
    assert [len(faces) for faces in together] == [1, 1, 0]
    alone = [detector.detect(image) for image in images]
    assert [face.box for faces in alone for face in faces] == [
        face.box for faces in together for face in faces
    ]


def test_batch_size_bounds_a_pass(detector) -> None:
    detector.batch_size = 2
    detector.detect_batch([picture(80, 80, (20, 20, 60, 60))] * 3)
    assert max(detector.net.batches) == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (2, 3), (128, 128)])
def test_pictures_without_a_face(detector, shape) -> None:
    assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []


def test_network_and_detector_agree(weights) -> None:
    detector = BlazeFaceDetector(weights)
    faces = detector.detect(np.zeros((256, 256, 3), np.uint8))
    assert len(faces) >= 4
    for face in faces:
        width, height = face.size
        assert width == pytest.approx(height)
        eyes = face.landmarks[1] - face.landmarks[0]
        assert eyes == pytest.approx([width / 3, 0], abs=1e-3)
        assert face.score == pytest.approx(1 / (1 + np.exp(-3)))


def test_missing_weights_are_named(tmp_path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        BlazeFaceDetector(tmp_path / "missing.pdparams")


def test_batch_size_is_checked(weights) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        BlazeFaceDetector(weights, batch_size=0)
