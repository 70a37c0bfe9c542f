# SPDX-License-Identifier: Apache-2.0
"""PaddleSeg's networks: built from presets, mappings and YAML; weights; pictures of any size."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError, MissingExtraError, WeightsError
from ppzoo.faces import segmentation
from ppzoo.faces.segmentation import PRESETS, PaddleSegNetwork, Preset, is_installed
from ppzoo.weights import write_pdparams

from ..watch import memory_peak
from . import fake_paddleseg

PICTURE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


@pytest.fixture(params=fake_paddleseg.IMPLEMENTATIONS, autouse=True)
def paddleseg(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "fake":
        fake_paddleseg.install(monkeypatch)
    return request.param


def random_weights(path: Path, model: Any) -> dict[str, np.ndarray]:
    paddle.seed(3)
    net = segmentation._built(model)
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    write_pdparams(path, arrays)
    return arrays


@pytest.mark.parametrize("shape", [(50, 70), (1, 1), (200, 9)])
def test_probabilities_for_any_size_of_picture(tmp_path: Path, shape: tuple[int, int]) -> None:
    random_weights(tmp_path / "w.pdparams", PRESETS["pp_liteseg"].model)
    net = PaddleSegNetwork("pp_liteseg", tmp_path / "w.pdparams", size=(96, 64))
    result = net.probabilities(np.resize(PICTURE, (*shape, 3)))
    assert result.shape == (2, 64, 96)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(0), 1, rtol=1e-5)
    assert net.name == "PPLiteSeg"


def test_the_pictures_are_prepared_as_the_network_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    random_weights(tmp_path / "w.pdparams", PRESETS["bisenetv2"].model)
    preset = Preset(PRESETS["bisenetv2"].model, (64, 64), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1))
    net = PaddleSegNetwork(preset, tmp_path / "w.pdparams")
    layer = net._net
    net._net = lambda x: seen.append(x.numpy()) or layer(x)
    result = net.probabilities(np.full((64, 64, 3), (51, 102, 255), np.uint8))
    assert result.shape == (19, 64, 64)
    assert seen[0].dtype == np.float32
    # RGB, of 0 to 1, per channel.
    np.testing.assert_allclose(seen[0][0, :, 0, 0], [0.2, 0.8, 0.7], rtol=1e-6)


def test_yaml_of_paddleseg(tmp_path: Path) -> None:
    (tmp_path / "net.yml").write_text(
        """
train_dataset: {type: Dataset, mode: train, dataset_root: ., train_path: x, num_classes: 2,
                transforms: [{type: Normalize}]}
val_dataset: {type: Dataset, mode: val, dataset_root: ., val_path: x, num_classes: 2,
              transforms: [{type: Resize, target_size: [96, 32]},
                           {type: Normalize, mean: [0.4, 0.4, 0.4], std: [0.2, 0.2, 0.2]}]}
iters: 1
batch_size: 1
optimizer: {type: sgd}
lr_scheduler: {type: PolynomialDecay, learning_rate: 0.1}
loss: {types: [{type: CrossEntropyLoss}], coef: [1]}
model:
  type: PPLiteSeg
  num_classes: 2
  pretrained: https://example.org/never-fetched.pdparams
  backbone: {type: STDC1, pretrained: https://example.org/never-fetched.tar.gz}
"""
    )
    random_weights(tmp_path / "w.pdparams", PRESETS["pp_liteseg"].model)
    net = PaddleSegNetwork(tmp_path / "net.yml", tmp_path / "w.pdparams")
    assert net.size == (96, 32)
    assert net.probabilities(PICTURE).shape == (2, 32, 96)
    assert net._preset.mean == (0.4, 0.4, 0.4)
    assert net._preset.std == (0.2, 0.2, 0.2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("pp_litseg", "'pp_litseg' is no segmentation network: give one of human_pp"),
        ("nowhere.yml", "there is no config nowhere.yml"),
        ({"num_classes": 2}, "has no `type`"),
        ({"type": "NoSuchNet"}, "PaddleSeg has no model 'NoSuchNet': it has"),
        ({"type": "BiSeNetV2", "num_classes": 2, "x": 1}, "PaddleSeg cannot build 'BiSeNetV2'"),
        ({"type": "PPLiteSeg", "num_classes": 2, "backbone": {"type": "No"}}, "has no model 'No'"),
    ],
)
def test_model_that_cannot_be_built(model: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PaddleSegNetwork(model, "w.pdparams")


def test_config_that_is_none_of_paddlesegs(tmp_path: Path) -> None:
    (tmp_path / "net.yml").write_text("model: {type: PPLiteSeg}")
    with pytest.raises(ConfigError, match=r"PaddleSeg cannot use the config .*net\.yml"):
        PaddleSegNetwork(tmp_path / "net.yml", "w.pdparams")


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    random_weights(tmp_path / "w.pdparams", {"type": "BiSeNetV2", "num_classes": 5})
    with pytest.raises(WeightsError, match="does not fit the network"):
        PaddleSegNetwork("bisenetv2", tmp_path / "w.pdparams")
    with pytest.raises(WeightsError, match="publishes no weights of 'bisenetv2'"):
        PaddleSegNetwork("bisenetv2")


class TestOfficialWeights:
    @pytest.fixture
    def preset(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
        monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
        (tmp_path / "weights").mkdir()
        return Preset(PRESETS["bisenetv2"].model, (64, 64), "https://example.org/a/net.zip")

    def test_are_taken_from_the_archive_once(self, preset: Preset, tmp_path: Path) -> None:
        arrays = random_weights(tmp_path / "w.pdparams", preset.model)
        with zipfile.ZipFile(tmp_path / "weights/net.zip", "w") as archive:
            archive.write(tmp_path / "w.pdparams", "net/model.pdparams")
            archive.writestr("net/readme.txt", "hello")
        for _ in range(2):
            net = PaddleSegNetwork(preset)
            loaded = net._net.state_dict()
            assert all(np.array_equal(loaded[name].numpy(), arrays[name]) for name in arrays)
            (tmp_path / "weights/net.zip").unlink(missing_ok=True)
        assert (tmp_path / "weights/net.pdparams").is_file()

    def test_damaged_archive(self, preset: Preset, tmp_path: Path) -> None:
        (tmp_path / "weights/net.zip").write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(WeightsError, match=r"net\.zip is damaged, remove it"):
            PaddleSegNetwork(preset)
        with zipfile.ZipFile(tmp_path / "weights/net.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.pdparams", bytes(range(256)) * 9)
        data = bytearray((tmp_path / "weights/net.zip").read_bytes())
        data[40:60] = b"\xff" * 20  # in the compressed bytes, which zlib then refuses
        (tmp_path / "weights/net.zip").write_bytes(data)
        with pytest.raises(WeightsError, match=r"net\.zip is damaged, remove it"):
            PaddleSegNetwork(preset)
        with zipfile.ZipFile(tmp_path / "weights/net.zip", "w") as archive:
            archive.writestr("readme.txt", "hello")
        with pytest.raises(WeightsError, match=r"holds 0 files \*\.pdparams, expected one"):
            PaddleSegNetwork(preset)
        assert not (tmp_path / "weights/net.pdparams").exists()

    @pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    def test_bombs(self, preset: Preset, tmp_path: Path, method: int) -> None:
        with zipfile.ZipFile(tmp_path / "weights/net.zip", "w", method) as archive:
            archive.writestr("a.pdparams", bytes(30_000_000))
        with memory_peak() as peak, pytest.raises(WeightsError, match="far more than its size"):
            segmentation._official_weights("net", preset)
        assert peak[0] < 1_000_000
        assert sorted(os.listdir(tmp_path / "weights")) == ["net.zip"]

    def test_without_a_network(
        self, preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ppzoo.download._PAUSE", 0)
        with pytest.raises(WeightsError, match=r"are missing.*https://example\.org/a/net\.zip"):
            PaddleSegNetwork(preset)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_installed()
    fake_paddleseg.remove(monkeypatch)
    assert not is_installed()
    with pytest.raises(MissingExtraError, match=r"pip install 'ppzoo\[seg\]'"):
        PaddleSegNetwork("pp_liteseg", "w.pdparams")
