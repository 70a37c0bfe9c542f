# SPDX-License-Identifier: Apache-2.0
"""Portrait masks: by GrabCut on a real photograph and on odd ones, by PaddleSeg, and the choice."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from skimage import data

from ppzoo.errors import ConfigError, MissingExtraError, WeightsError
from ppzoo.faces import segmentation
from ppzoo.faces.detector import Face
from ppzoo.faces.faceseg import FaceSegFCN
from ppzoo.faces.portrait import (
    GrabCutSegmenter,
    PaddleSegSegmenter,
    build_segmenter,
    enlarged,
)
from ppzoo.weights import write_pdparams

from . import fake_paddleseg

FACE = Face((174, 65, 275, 166), 0.9)
# Where the astronaut certainly is, and where she is not (flag, wall, shuttle, helmet), as slices.
PERSON = [np.s_[70:160, 185:265], np.s_[20:40, 200:240], np.s_[300:420, 150:260]]
BEHIND = [np.s_[0:150, 0:90], np.s_[0:60, 300:370], np.s_[0:250, 420:512]]


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def alpha(astronaut: np.ndarray) -> np.ndarray:
    return GrabCutSegmenter().segment(astronaut, FACE).alpha


def test_grabcut_finds_the_astronaut(alpha: np.ndarray) -> None:
    assert alpha.shape == (512, 512)
    assert alpha.dtype == np.float32
    assert alpha.min() == 0
    assert alpha.max() == 1
    assert [float(alpha[place].mean()) > 0.95 for place in PERSON] == [True] * 3
    assert [float(alpha[place].mean()) < 0.03 for place in BEHIND] == [True] * 3
    assert 0.3 < alpha.mean() < 0.5
    # Edges are soft, and there are few of them.
    soft = (alpha > 0.05) & (alpha < 0.95)
    assert 0.005 < soft.mean() < 0.1


def test_grabcut_is_the_same_each_time(astronaut: np.ndarray, alpha: np.ndarray) -> None:
    cv2.setRNGSeed(12345)
    again = GrabCutSegmenter().segment(astronaut, FACE)
    assert again.backend == "grabcut"
    np.testing.assert_array_equal(again.alpha, alpha)


@pytest.mark.parametrize("factor", [0.65, 4])
def test_grabcut_on_another_scale(astronaut: np.ndarray, alpha: np.ndarray, factor: float) -> None:
    scaled = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    face = Face(tuple(factor * value for value in FACE.box), 0.9)
    result = GrabCutSegmenter().segment(scaled, face).alpha
    assert result.shape == scaled.shape[:2]
    same_size = cv2.resize(result, (512, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(same_size - alpha).mean() < 0.03


def test_eyes_count_more_than_the_box(astronaut: np.ndarray, alpha: np.ndarray) -> None:
    eyes = np.array([[205.3, 104.4], [243.7, 104.4]])  # where the box has them
    result = GrabCutSegmenter().segment(astronaut, Face((150, 0, 300, 300), 0.9, eyes)).alpha
    assert np.abs(result - alpha).mean() < 0.03


def test_leaning_head() -> None:
    # A red ellipse with blue above its shoulders, leaning 40 degrees to the right.
    picture = np.full((200, 200, 3), (20, 60, 20), np.uint8)
    cv2.ellipse(picture, (100, 90), (38, 55), 40, 0, 360, (200, 60, 50), -1)
    cv2.rectangle(picture, (70, 135), (130, 200), (60, 60, 200), -1)
    face = Face((60, 50, 140, 130), 0.9, roll=40.0)
    alpha = GrabCutSegmenter().segment(picture, face).alpha
    truth = (picture[..., 0] > 100) | (picture[..., 2] > 100)
    assert np.abs(alpha - truth).mean() < 0.03


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((1, 1), (0, 0, 1, 1)),
        ((8, 8), (2, 2, 6, 6)),
        ((40, 300), (100, 0, 140, 40)),
        ((64, 64), (-40, -40, 100, 100)),
        ((64, 64), (500, 500, 600, 600)),
        ((64, 64), (30, 30, 30, 30)),
    ],
)
def test_grabcut_bears_odd_pictures_and_boxes(
    shape: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    flat = np.full((*shape, 3), 128, np.uint8)
    noise = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    for picture in (flat, noise):
        alpha = GrabCutSegmenter().segment(picture, Face(box, 0.5)).alpha
        assert alpha.shape == shape
        assert np.isfinite(alpha).all()
        assert alpha.min() >= 0
        assert alpha.max() <= 1


def test_enlarged_stays_in_range() -> None:
    step = np.zeros((4, 4), np.float32)
    step[:, 2:] = 1
    result = enlarged(step, (10, 30))
    assert result.shape == (10, 30)
    assert (result.min(), result.max()) == (0, 1)
    assert (np.diff(result[5]) >= -1e-6).all()


@pytest.fixture(autouse=True)
def no_weights_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))


class TestFaceSeg:
    def test_probability_of_the_person(
        self,
        tmp_path: Path,
        astronaut: np.ndarray,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        paddle.seed(0)
        state = {name: value.numpy() for name, value in FaceSegFCN().state_dict().items()}
        path = tmp_path / "home/weights/faceseg_FCN-HRNetW18.pdparams"
        write_pdparams(path, state)
        monkeypatch.setattr("ppzoo.faces.portrait.is_installed", lambda: False)
        segmenter = build_segmenter()  # finds them where downloads go
        assert segmenter.backend == "faceseg"
        seen = []

        def forward(x: paddle.Tensor) -> list[paddle.Tensor]:
            seen.append(x.numpy())
            return [paddle.concat([paddle.zeros_like(x[:, :1]), 8 * x[:, :1] - 4], axis=1)]

        monkeypatch.setattr(segmenter._net, "forward", forward)
        picture = np.zeros((60, 40, 3), np.uint8)
        picture[:30, :, 0] = 255
        alpha = segmenter.segment(picture, FACE).alpha
        assert seen[0].shape == (1, 3, 384, 384)
        assert (seen[0].min(), seen[0].max()) == (0, 1)
        np.testing.assert_allclose(alpha[:28], 1 / (1 + np.exp(-4)), atol=1e-3)
        np.testing.assert_allclose(alpha[32:], 1 / (1 + np.exp(4)), atol=1e-3)

    def test_wrong_options(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="'faceseg' is one network"):
            build_segmenter("faceseg", model="pp_liteseg")
        write_pdparams(tmp_path / "w.pdparams", {"a": np.zeros(3, np.float32)})
        with pytest.raises(WeightsError, match="does not fit the network"):
            build_segmenter("faceseg", tmp_path / "w.pdparams")


def random_state(section: dict) -> dict[str, np.ndarray]:
    net = segmentation._built(section)
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("paddleseg", fake_paddleseg.IMPLEMENTATIONS)
class TestPaddleSeg:
    @pytest.fixture(autouse=True)
    def installed(self, paddleseg: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if paddleseg == "fake":
            fake_paddleseg.install(monkeypatch)

    @pytest.fixture
    def weights(self, installed: None, tmp_path: Path) -> Path:
        section = {"type": "BiSeNetV2", "num_classes": 2}
        write_pdparams(tmp_path / "w.pdparams", random_state(section))
        return tmp_path / "w.pdparams"

    def test_mask_is_the_probability_of_class_1(self, weights: Path, astronaut: np.ndarray) -> None:
        model = segmentation.Preset({"type": "BiSeNetV2", "num_classes": 2}, (96, 64))
        for segmenter in (
            PaddleSegSegmenter(model, weights),
            build_segmenter("paddleseg", weights, model),
            build_segmenter("auto", weights, model),
        ):
            mask = segmenter.segment(astronaut[:300], FACE)
            assert mask.backend == "paddleseg: BiSeNetV2"
            assert mask.alpha.shape == (300, 512)
            assert mask.alpha.dtype == np.float32
            probability = segmenter._net.probabilities(astronaut[:300])[1]
            np.testing.assert_array_equal(mask.alpha, enlarged(probability, (300, 512)))

    def test_one_class_is_no_mask(self, tmp_path: Path, astronaut: np.ndarray) -> None:
        section = {"type": "BiSeNetV2", "num_classes": 1}
        write_pdparams(tmp_path / "w.pdparams", random_state(section))
        segmenter = PaddleSegSegmenter(section, tmp_path / "w.pdparams")
        with pytest.raises(ConfigError, match="has one class"):
            segmenter.segment(astronaut, FACE)

    def test_auto_falls_back_and_says_why(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def offline(*args: object) -> None:
            raise WeightsError("no weights, no network")

        monkeypatch.setattr("ppzoo.faces.segmentation._built", lambda model: None)
        monkeypatch.setattr("ppzoo.faces.segmentation._official_weights", offline)
        with caplog.at_level(logging.WARNING):
            assert isinstance(build_segmenter(), GrabCutSegmenter)
        assert "made without PaddleSeg: no weights, no network" in caplog.text
        with pytest.raises(WeightsError, match="no network"):
            build_segmenter("paddleseg")


def test_without_paddleseg(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_paddleseg.remove(monkeypatch)
    assert isinstance(build_segmenter(), GrabCutSegmenter)
    with pytest.raises(MissingExtraError, match="seg"):
        build_segmenter("paddleseg")
    with pytest.raises(MissingExtraError, match="seg"):
        build_segmenter("auto", "w.pdparams")


def test_names_and_options() -> None:
    with pytest.raises(ConfigError, match="no portrait mask 'grab': choose one of 'auto'"):
        build_segmenter("grab")
    with pytest.raises(ConfigError, match="give no weights"):
        build_segmenter("grabcut", "w.pdparams")
