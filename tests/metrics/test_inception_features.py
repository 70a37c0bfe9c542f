# SPDX-License-Identifier: Apache-2.0
"""InceptionV3 behind FID and KID: weights, value ranges, batches, and the way out when offline."""

from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppzoo.config import load_config
from ppzoo.errors import UserError, WeightsError
from ppzoo.metrics import features as module
from ppzoo.metrics.features import extract, find_extractor, inception_features
from ppzoo.metrics.fid import FID, fid_from_features
from ppzoo.metrics.kid import KID, polynomial_mmd
from ppzoo.registry import METRICS, build
from ppzoo.weights import write_pdparams
from tests.metrics.pieces import write_inception

SMOKE = Path(__file__).parents[2] / "configs" / "smoke" / "dcgan.yaml"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "InceptionV3.pdparams"
    return path, write_inception(path)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (5, 20, 24, 3)).astype("uint8")


def scaled(pictures):
    return pictures.transpose(0, 3, 1, 2).astype("float32") / 255 * 2 - 1


def expected(network, images):
    """Return what the network gives, resized, all at once."""
    x = F.interpolate(paddle.to_tensor(images), size=[299, 299], mode="bilinear")
    with paddle.no_grad():
        return network(x)[0][0].numpy().mean(axis=(2, 3))


def test_features(weights, pictures):
    path, network = weights
    want = expected(network, scaled(pictures))
    assert want.std(axis=0).max() > 0
    for size in (1, 2, 16):
        found = extract(inception_features(64, path, size), paddle.to_tensor(scaled(pictures)))
        assert found.shape == (5, 64)
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_uint8_pictures_mean_the_same(weights, pictures):
    extractor = inception_features(64, weights[0])
    want = extract(extractor, scaled(pictures))
    for given in (pictures, list(pictures), paddle.to_tensor(pictures)):
        np.testing.assert_allclose(extract(extractor, given), want, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"\[5, 24, 3, 20\]"):
        extract(extractor, pictures.transpose(0, 2, 3, 1))


def test_grey_images(weights, pictures):
    extractor = inception_features(64, weights[0])
    grey = scaled(pictures)[:, :1]
    want = extract(extractor, np.repeat(grey, 3, axis=1))
    np.testing.assert_allclose(extract(extractor, grey), want, rtol=1e-4, atol=1e-5)


def test_no_gradients(weights, pictures):
    images = paddle.to_tensor(scaled(pictures), stop_gradient=False)
    extract(inception_features(64, weights[0]), images)
    assert images.grad is None
    assert all(
        p.stop_gradient for p in module._inception.__wrapped__(64, weights[0], 0).parameters()
    )


def test_fid_and_kid_of_a_config(weights, pictures):
    path, network = weights
    spec = {"dims": 64, "premodel_path": str(path), "batch_size": 2}
    fid, kid = (build(METRICS, {"name": name, **spec}) for name in ("FID", "KID"))
    assert fid._extractor.__closure__ is not None
    half = np.concatenate([pictures // 2, pictures // 3])
    for metric in (fid, kid):
        # Values in [0, 1], as `min_max` of a config says.
        images = [paddle.to_tensor((scaled(x) + 1) / 2) for x in (half, pictures)]
        for part in (slice(0, 3), slice(3, None)):
            outputs = {"fake": images[0][part], "real": images[1][part]}
            metric.update_from(outputs, (0.0, 1.0))
    fake, real = (expected(network, scaled(x)) for x in (half, pictures))
    assert fid.accumulate() == pytest.approx(fid_from_features(fake, real), rel=1e-3)
    assert kid.accumulate()["mean"] == pytest.approx(polynomial_mmd(fake, real), rel=1e-3)


def test_metrics_share_one_network(weights):
    module._inception.cache_clear()
    FID(dims=64, premodel_path=weights[0])
    KID(dims=64, premodel_path=weights[0])
    assert module._inception.cache_info().misses == 1


def test_a_changed_file_is_read_again(weights, tmp_path, pictures):
    path = tmp_path / "mine.pdparams"
    path.write_bytes(weights[0].read_bytes())
    before = extract(inception_features(64, path), pictures)
    other = write_inception(path)
    other.set_state_dict({k: v * 0 for k, v in other.state_dict().items()})
    write_pdparams(path, other.state_dict())
    after = extract(inception_features(64, path), pictures)
    assert np.any(before)
    assert not np.any(after)


def test_official_file_in_the_cache(weights, home, pictures):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "InceptionV3.pdparams").write_bytes(weights[0].read_bytes())
    metric = FID(dims=64)
    metric.update(pictures, pictures)
    assert metric.accumulate() == pytest.approx(0, abs=1e-6)


def test_weights_of_fewer_blocks(weights):
    with pytest.raises(WeightsError, match=r"InceptionV3\.pdparams does not fit.*missing"):
        FID(premodel_path=weights[0])


@pytest.mark.parametrize("metric", ["FID", "KID"])
@pytest.mark.parametrize("extractor", [None, "inception"])
def test_offline(metric, extractor, home):
    with pytest.raises(WeightsError) as caught:
        build(METRICS, {"name": metric, "batch_size": 8, "feature_extractor": extractor})
    text = str(caught.value)
    assert f"the metric {metric} needs InceptionV3" in text
    assert "https://paddlegan.bj.bcebos.com/InceptionV3.pdparams" in text
    assert str(home / "weights" / "InceptionV3.pdparams") in text
    assert "premodel_path" in text
    assert "\n" not in text


def test_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no weights file .*mine\.pdparams"):
        FID(premodel_path=tmp_path / "mine.pdparams")


def test_contradictions(weights):
    with pytest.raises(UserError, match="give one of them"):
        FID(premodel_path=weights[0], feature_extractor="digits")
    with pytest.raises(UserError, match="64, 192, 768, 2048"):
        FID(dims=100, premodel_path=weights[0])
    with pytest.raises(UserError, match="batch_size"):
        find_extractor("inception", "FID", 64, weights[0], batch_size=0)


def test_a_run_fails_before_it_starts(tmp_path):
    from ppzoo.engine.trainer import Trainer

    text = (
        f"_base_: {SMOKE}\noutput_dir: {tmp_path}/runs\nvalidate:\n  interval: 1\n  metrics:\n    "
    )
    (tmp_path / "run.yaml").write_text(text + "fid: {name: FID, batch_size: 8}\n")
    trainer = Trainer(load_config(tmp_path / "run.yaml"))
    with pytest.raises(UserError, match="FID needs InceptionV3"):
        trainer.fit()
    assert trainer.iteration == 0
    assert not (tmp_path / "runs").exists()
