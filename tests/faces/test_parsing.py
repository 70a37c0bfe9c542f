# SPDX-License-Identifier: Apache-2.0
"""Face parsing: the classes, both backends through their weights files, pictures of the result."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import paddle
import pytest
from skimage import data

from ppzoo.errors import ConfigError, WeightsError
from ppzoo.faces import parsing, segmentation
from ppzoo.faces.parsing import CLASSES, COLOURS, NAMES, ORDERS, FaceParser, colourise, legend
from ppzoo.faces.segmentation import Preset
from ppzoo.weights import write_pdparams

from . import fake_paddleseg
from .pieces import write_bisenet


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bisenet(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def parser(weights: Path) -> FaceParser:
    return FaceParser(weights)


def test_the_classes() -> None:
    assert len(CLASSES) == 19
    assert len(set(NAMES)) == len({part.chinese for part in CLASSES}) == 19
    assert all(sorted(order) == sorted(NAMES) for order in ORDERS.values())
    colours = COLOURS.astype(int)
    distances = [np.abs(a - b).sum() for a, b in itertools.combinations(colours, 2)]
    assert min(distances) >= 75  # told apart at a glance


def test_bisenet_gets_what_it_was_trained_on(
    parser: FaceParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def scores(x: paddle.Tensor) -> paddle.Tensor:
        seen.append(x.numpy())
        return paddle.zeros([1, 19, 64, 64])

    monkeypatch.setattr(parser._scores._net, "scores", scores)
    picture = np.zeros((100, 60, 3), np.uint8)
    picture[..., 0], picture[:, :30, 2] = 255, 255
    classes = parser.parse(picture)
    assert classes.shape == (100, 60)
    assert classes.dtype == np.uint8
    (x,) = seen
    assert x.shape == (1, 3, 512, 512)
    np.testing.assert_allclose(x[0, 0], (1 - 0.485) / 0.229, rtol=1e-5)
    np.testing.assert_allclose(x[0, 1], -0.456 / 0.224, rtol=1e-5)
    # Blue on the left, its edge repeated into the padding; the picture itself is centred.
    np.testing.assert_allclose(x[0, 2, :, :240], (1 - 0.406) / 0.225, rtol=1e-5)
    np.testing.assert_allclose(x[0, 2, :, 272:], -0.406 / 0.225, rtol=1e-5)


def test_scores_decide(parser: FaceParser, monkeypatch: pytest.MonkeyPatch) -> None:
    # Hair above, skin below, and a little nose in the middle of a tall picture.
    scores = np.zeros((19, 64, 64), np.float32)
    scores[17, :32], scores[1, 32:], scores[10, 30:34, 30:34] = 1, 1, 5
    monkeypatch.setattr(parser, "_scores", lambda square: scores)
    for height, width in [(90, 50), (50, 90), (1, 7), (2000, 1500)]:
        classes = parser.parse(np.zeros((height, width, 3), np.uint8))
        assert classes.shape == (height, width)
        assert classes[height // 2, width // 2] == 10
        if height > 40:
            assert classes[0, 0] == 17
            assert classes[-1, -1] == 1


def test_parses_the_same_each_time(parser: FaceParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_SIZE", 128)
    picture = data.astronaut()[:200, 130:330]
    first, again = parser.parse(picture), parser.parse(picture)
    np.testing.assert_array_equal(first, again)
    assert parser.backend == "paddlegan: BiSeNet"
    assert len(np.unique(first)) > 1


@pytest.mark.parametrize("paddleseg", fake_paddleseg.IMPLEMENTATIONS)
def test_paddleseg_and_the_order_of_its_classes(
    paddleseg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if paddleseg == "fake":
        fake_paddleseg.install(monkeypatch)
    model = Preset({"type": "BiSeNetV2", "num_classes": 19}, (64, 64))
    net = segmentation._built(model.model)
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    write_pdparams(tmp_path / "w.pdparams", state)
    picture = data.astronaut()[:150, 150:300]
    plain = FaceParser(tmp_path / "w.pdparams", "paddleseg", model)
    other = FaceParser(tmp_path / "w.pdparams", "paddleseg", model, "celebamask-hq")
    assert plain.backend == "paddleseg: BiSeNetV2"
    classes = plain.parse(picture)
    expected = np.vectorize(lambda index: NAMES.index(ORDERS["celebamask-hq"][index]))(classes)
    np.testing.assert_array_equal(other.parse(picture), expected)
    short = FaceParser(tmp_path / "w.pdparams", "paddleseg", model, ["background", "skin"])
    with pytest.raises(ConfigError, match="tells 19 classes apart, but its order names 2"):
        short.parse(picture)
    with pytest.raises(WeightsError, match="publishes no weights"):
        FaceParser(None, "paddleseg", "bisenetv2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "dlib"}, "no face parser 'dlib'"),
        ({"order": "celeba"}, "no order 'celeba' of classes: choose paddlegan, celebamask-hq"),
        ({"order": ["skin", "tail"]}, "no part 'tail' of a face"),
        ({"model": "bisenetv2"}, "for the face parser 'paddleseg' only"),
        ({"order": "celebamask-hq"}, "for the face parser 'paddleseg' only"),
    ],
)
def test_wrong_options(weights: Path, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FaceParser(weights, **options)


def test_weights_of_another_network(tmp_path: Path) -> None:
    write_pdparams(tmp_path / "w.pdparams", {"a": np.zeros(3, np.float32)})
    with pytest.raises(WeightsError, match="does not fit the network"):
        FaceParser(tmp_path / "w.pdparams")
    with pytest.raises(WeightsError, match="there is no weights file"):
        FaceParser(tmp_path / "nowhere.pdparams")


class TestColourise:
    CLASSES = np.arange(20).reshape(4, 5).clip(0, 18)

    def test_alone(self) -> None:
        picture = colourise(self.CLASSES)
        assert picture.dtype == np.uint8
        assert picture[3, 2].tolist() == list(CLASSES[17].colour)

    def test_on_an_image(self) -> None:
        image = np.full((4, 5, 3), 100, np.uint8)
        half = colourise(self.CLASSES, image, 0.5)
        assert half[0, 0].tolist() == [100, 100, 100]  # background
        assert half[0, 1].tolist() == [178, 152, 132]
        np.testing.assert_array_equal(colourise(self.CLASSES, image, 0), image)
        full = colourise(self.CLASSES, image, 1)
        np.testing.assert_array_equal(full[0, 1:], COLOURS[1:5])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((np.zeros((2, 2)),), "as integers"),
            ((np.zeros((2, 2, 1), int),), "as integers"),
            ((np.full((2, 2), 19),), "0 to 18, got 19"),
            ((np.full((2, 2), -1),), "0 to 18"),
            ((np.zeros((2, 2), int), np.zeros((2, 3, 3), np.uint8)), r"image is \[2, 3, 3\]"),
            ((np.zeros((2, 2), int), np.zeros((2, 2, 3), np.uint8), 2), "blend is 0 to 1, got 2"),
            ((np.zeros((2, 2), int), None, 0.5), "needs an image"),
        ],
    )
    def test_wrong_arguments(self, arguments: tuple, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            colourise(*arguments)


def test_legend_shows_every_colour_and_text() -> None:
    picture = legend()
    assert picture.dtype == np.uint8
    shown = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert {part.colour for part in CLASSES} <= shown
    # From top to bottom in the order of the classes.
    rows = [np.argwhere((picture == part.colour).all(-1))[0][0] for part in CLASSES[1:]]
    assert rows == sorted(rows)
    assert (picture[:, 40:] < 100).any()  # names
    assert legend(height=900).shape[0] == 900
    some = legend(classes=[1, 17])
    assert some.shape[0] < picture.shape[0] / 5
    assert not (some == CLASSES[4].colour).all(-1).any()
    assert legend(classes=[]).shape[0] >= 1


def test_large_pictures_do_not_take_gigabytes(
    parser: FaceParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    enlarge = parsing.F.interpolate
    monkeypatch.setattr(
        parsing.F,
        "interpolate",
        lambda x, size, **options: sizes.append(size) or enlarge(x, size, **options),
    )
    monkeypatch.setattr(parser, "_scores", lambda square: np.ones((19, 8, 8), np.float32))
    assert parser.parse(np.zeros((3000, 4000, 3), np.uint8)).shape == (3000, 4000)
    assert sizes == [[1024, 1024]]
