# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppzoo.errors import WeightsError
from ppzoo.faces import sfd
from ppzoo.faces.sfd import S3FD, SFDDetector, decode
from ppzoo.weights import write_safetensors


class Painted:
    """Stands for the network: each red square is a face, of the level that fits its size."""

    def __init__(self):
        self.shapes = []

    def __call__(self, x):
        self.shapes.append(tuple(x.shape))
        blue, _, red = (x.numpy() + np.array([104, 117, 123]).reshape(1, 3, 1, 1)).swapaxes(0, 1)
        outputs = []
        for stride in (4, 8, 16, 32, 64, 128):
            places = [-(-side // stride) for side in x.shape[2:]]
            scores = np.zeros((len(red), 2, *places), np.float32)
            loc = np.zeros((len(red), 4, *places), np.float32)
            if stride == 8:
                sampled = (red > 200) & (blue < 50)
                sampled = sampled[:, stride // 2 :: stride, stride // 2 :: stride]
                scores[:, 1, : sampled.shape[1], : sampled.shape[2]] = np.where(sampled, 4.0, -4.0)
            outputs += [paddle.to_tensor(scores - 2.0 * (stride != 8)), paddle.to_tensor(loc)]
            if stride != 8:
                outputs[-2][:, 1] = -9.0
        return outputs


@pytest.fixture
def detector(monkeypatch):
    monkeypatch.setattr(sfd, "load_weights", lambda *_: None)
    monkeypatch.setattr(sfd, "find_weights", lambda *_: None)
    monkeypatch.setattr(sfd, "S3FD", lambda: paddle.nn.Identity())
    detector = SFDDetector(max_pixels=200 * 200)
    detector.net = Painted()
    return detector


def picture(height, width, *squares):
    image = np.full((height, width, 3), 120, np.uint8)
    for x, y in squares:
        image[y : y + 8, x : x + 8] = (255, 0, 0)
    return image


def test_network_has_six_levels_of_scores_and_boxes() -> None:
    net = S3FD()
    with paddle.no_grad():
        outputs = net(paddle.zeros([2, 3, 64, 96]))
    places = [(16, 24), (8, 12), (4, 6), (6, 7), (3, 4), (2, 2)]
    expected = [[2, channels, *place] for place in places for channels in (2, 4)]
    assert [list(output.shape) for output in outputs] == expected
    assert float(net.conv4_3_norm.weight.mean()) == 8


def test_decode_of_nothing_is_the_prior() -> None:
    prior = np.array([[50.0, 40.0, 16.0, 32.0]])
    assert decode(np.zeros((1, 4)), prior, (0.1, 0.2)).tolist() == [[42, 24, 58, 56]]


def test_decode_moves_and_stretches() -> None:
    prior = np.array([50.0, 40.0, 16.0, 32.0])
    loc = np.array([10.0, 0.0, 0.0, np.log(2) / 0.2])
    assert decode(loc, prior, (0.1, 0.2)) == pytest.approx([58, 8, 74, 72])


def test_squares_are_found_where_they_are(detector) -> None:
    (face,) = detector.detect(picture(100, 120, (64, 40)))
    # A prior of 32 pixels about the middle of a place of the second level.
    assert face.box == (52, 28, 84, 60)
    assert face.score == pytest.approx(1 / (1 + np.exp(-8)), abs=0.02)
    assert face.landmarks is None


def test_the_network_gets_blue_first_and_no_mean(detector) -> None:
    seen = []
    outputs = detector.net
    detector.net = lambda x: (seen.append(x.numpy()), outputs(x))[1]
    image = np.empty((40, 40, 3), np.uint8)
    image[...] = (123, 117, 104)
    image[0, 0] = (124, 119, 107)
    detector.detect(image)
    assert seen[0][0, :, 0, 0].tolist() == [3, 2, 1]
    assert (seen[0][0, :, 1:] == 0).all()


def test_neighbouring_answers_are_one_face(detector) -> None:
    image = picture(100, 120, (64, 40), (72, 40), (64, 48))
    assert len(detector.detect(image)) == 1
    far = picture(100, 160, (24, 40), (120, 40))
    assert len(detector.detect(far)) == 2


def test_large_pictures_are_reduced_and_boxes_are_in_their_pixels(detector) -> None:
    image = np.kron(picture(150, 200, (64, 40)), np.ones((4, 4, 1), np.uint8))
    (face,) = detector.detect(image)
    _, _, height, width = detector.net.shapes[0]
    assert height * width <= 200 * 200
    x, y = (np.array(face.box[:2]) + face.box[2:]) / 2
    assert (x, y) == (pytest.approx(68 * 4, abs=8), pytest.approx(44 * 4, abs=8))


def test_films_are_searched_in_smaller_frames_and_pictures_are_not(detector) -> None:
    detector.search_pixels = 100 * 100
    film = detector.for_films()
    assert (film.search_pixels, film.max_pixels) == (100 * 100, 200 * 200)
    assert SFDDetector().for_films().search_pixels == 320 * 320
    assert SFDDetector().search_pixels == 640 * 640
    found = film.detect_batch([picture(200, 200)] * 5)
    assert detector.net.shapes == [(4, 3, 100, 100), (1, 3, 100, 100)]
    assert found == [[]] * 5


def test_tiny_pictures_are_padded(detector) -> None:
    assert detector.detect(np.full((3, 5), 120, np.uint8)) == []
    assert detector.net.shapes == [(1, 3, 32, 32)]


def test_pictures_of_one_size_share_a_pass_within_bounds(detector) -> None:
    small, other = picture(100, 100, (40, 40)), picture(64, 100, (64, 16))
    found = detector.detect_batch([small, other, small, small, small, small])
    assert detector.net.shapes == [(4, 3, 100, 100), (1, 3, 100, 100), (1, 3, 64, 100)]
    assert [len(faces) for faces in found] == [1] * 6
    assert found[1][0].box == (52, 4, 84, 36)
    assert found[5][0].box == (28, 28, 60, 60)


def test_score_limit(detector) -> None:
    image = picture(100, 120, (64, 40))
    detector.min_score = 0.9999
    assert detector.detect(image) == []


def test_weights_come_from_the_given_file(tmp_path) -> None:
    net = S3FD()
    arrays = {name: array.numpy() for name, array in net.state_dict().items()}
    write_safetensors(tmp_path / "s3fd.safetensors", arrays)
    detector = SFDDetector(tmp_path / "s3fd.safetensors")
    assert (detector.net.conv1_1.weight.numpy() == arrays["conv1_1.weight"]).all()
    assert not detector.net.training
    with pytest.raises(WeightsError, match="missing"):
        SFDDetector(tmp_path / "missing.pdparams")


@pytest.mark.parametrize("name", ["max_pixels", "search_pixels"])
def test_a_bound_that_is_too_low_is_refused(name) -> None:
    with pytest.raises(ValueError, match=name):
        SFDDetector(**{name: 100})
