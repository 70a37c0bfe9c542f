# SPDX-License-Identifier: Apache-2.0
"""Arguments and inputs are looked at before weights are: official ones may have to be fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppzoo.apps.edvr import EDVRPredictor
from ppzoo.apps.firstorder import FirstOrderPredictor
from ppzoo.apps.photo2cartoon import Photo2CartoonPredictor
from ppzoo.apps.realsr import RealSRPredictor
from ppzoo.apps.wav2lip import Wav2LipPredictor
from ppzoo.cli import main
from ppzoo.errors import ConfigError

from .face_pieces import check_one_sentence


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no official weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("name", ["faceparse", "photo2cartoon", "esrgan", "realsr"])
def test_inputs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", name, "--input", "none.png", "--output", "o.png"]) == 2
    check_one_sentence(capsys, r"there is no file or folder none\.png")


@pytest.mark.parametrize(
    "predictor",
    [
        EDVRPredictor,
        FirstOrderPredictor,
        Photo2CartoonPredictor,
        RealSRPredictor,
        Wav2LipPredictor,
    ],
)
def test_configs(predictor: type) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml"):
        predictor(config="nope.yaml", device="cpu")


@pytest.mark.parametrize(
    ("predictor", "argument"),
    [
        (FirstOrderPredictor, "face_detector"),
        (Photo2CartoonPredictor, "detector"),
        (Wav2LipPredictor, "face_detector"),
    ],
)
def test_detectors(predictor: type, argument: str) -> None:
    with pytest.raises(ConfigError, match="no face detector 'dlib'"):
        predictor(**{argument: "dlib"}, device="cpu")
    with pytest.raises(ConfigError, match="'cascade' takes no weights, got 'x'"):
        predictor(**{argument: "cascade"}, detector_weights="x", device="cpu")
