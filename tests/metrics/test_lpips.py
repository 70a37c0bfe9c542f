# SPDX-License-Identifier: Apache-2.0
"""LPIPS beside its golden cases: the formula, weights' files, what is said of mistakes."""

import numpy as np
import paddle
import pytest
from skimage import data

from ppzoo.errors import ConfigError, WeightsError
from ppzoo.metrics.lpips import LPIPSMetric, load_lpips
from ppzoo.networks.vgg import VGGFeatures
from ppzoo.registry import METRICS, build
from ppzoo.weights import write_pdparams
from ppzoo.weights.manifest import cached_path

LAYERS = (3, 8, 15, 22, 29)
CHANNELS = (64, 128, 256, 512, 512)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Write VGG16's weights and those of the channels; return the files and the arrays."""
    folder = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(3)
    vgg, heads = {"classifier.0.bias": np.zeros(2, "float32")}, {}
    for name, value in VGGFeatures([29], "vgg16").state_dict().items():
        array = rng.standard_normal(value.shape, dtype="float32")
        array *= np.float32(0.1 if value.ndim == 1 else np.sqrt(2 / np.prod(value.shape[1:])))
        vgg["features." + name.removeprefix("vgg_layers.")] = array
    for number, channels in enumerate(CHANNELS):
        heads[f"{number}.model.1.weight"] = rng.random((1, channels, 1, 1), "float32")
    paths = folder / "vgg16.pdparams", folder / "lins.pdparams"
    write_pdparams(paths[0], vgg)
    write_pdparams(paths[1], heads)
    return paths, vgg, heads


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))


@pytest.fixture
def metric(weights):
    vgg, lin = map(str, weights[0])
    return build(METRICS, {"name": "LPIPSMetric", "vgg_path": vgg, "lin_path": lin})


@pytest.fixture(scope="module")
def pair():
    picture = data.astronaut()[40:72, 120:168]
    noise = np.random.default_rng(0).normal(0, 25, picture.shape)
    return np.clip(picture + noise, 0, 255).astype("uint8"), picture


def by_hand(weights, pictures):
    """The paper's formula 1 on VGG's answers."""
    _, vgg, heads = weights
    net = VGGFeatures(LAYERS, "vgg16", use_input_norm=False)
    net.set_state_dict(net.arrays_of(vgg))
    shift, scale = np.array([-0.03, -0.088, -0.188]), np.array([0.458, 0.448, 0.45])
    sides = []
    for picture in pictures:
        x = (picture / 127.5 - 1 - shift) / scale
        with paddle.no_grad():
            answers = net(paddle.to_tensor(x.transpose(2, 0, 1)[None].astype("float32")))
        sides.append([answers[layer].numpy()[0].astype("float64") for layer in LAYERS])
    total = 0.0
    for number, (first, second) in enumerate(zip(*sides, strict=True)):
        first, second = (side / np.sqrt((side**2).sum(axis=0)) for side in (first, second))
        factors = heads[f"{number}.model.1.weight"].reshape(-1, 1, 1)
        total += (factors * (first - second) ** 2).sum(axis=0).mean()
    return total


def test_formula(metric, weights, pair):
    found = metric.compare(*pair)
    assert found == pytest.approx(by_hand(weights, pair), rel=1e-4)
    assert found > 0.01
    assert metric.compare(*pair[::-1]) == pytest.approx(found, rel=1e-6)
    assert metric.compare(pair[0], pair[0]) == 0.0


def test_mean_over_pictures(metric, pair):
    metric.update([pair[0], pair[1]], [pair[1], pair[1]])
    assert metric.accumulate() == pytest.approx(metric.compare(*pair) / 2)
    other = LPIPSMetric.__new__(LPIPSMetric)  # another process: what was seen travels as a state
    other.merge([metric.state(), metric.state()])
    assert other.accumulate() == pytest.approx(metric.accumulate())


def test_tensors_of_a_model(metric, pair):
    tensors = [paddle.to_tensor(p.transpose(2, 0, 1)[None].astype("float32") / 255) for p in pair]
    metric.update_from(dict(zip(("output", "gt"), tensors, strict=True)), (0.0, 1.0))
    assert metric.accumulate() == metric.compare(*pair)


def test_mean_and_std(weights, pair):
    vgg, lin = weights[0]
    dark = LPIPSMetric(mean=[0, 0.5, 0.5], std=(1, 0.5, 0.5), vgg_path=vgg, lin_path=lin)
    want = LPIPSMetric(vgg_path=vgg, lin_path=lin)
    # Red from 0 to 1 instead of -1 to 1 is what a red half as strong around the middle is.
    changed = [np.dstack([127.5 + side[..., :1] / 2, side[..., 1:]]) for side in pair]
    assert dark.compare(*pair) == pytest.approx(want.compare(*changed), rel=1e-4)
    with pytest.raises(ValueError, match="three numbers each"):
        LPIPSMetric(mean=[0.5], vgg_path=vgg, lin_path=lin)
    with pytest.raises(ValueError, match="those of std not 0"):
        LPIPSMetric(std=[1, 0, 1], vgg_path=vgg, lin_path=lin)


def test_official_files_and_those_of_the_authors(weights, tmp_path):
    (vgg, lin), _, heads = weights
    cached_path("lpips_vgg16").parent.mkdir(parents=True)
    cached_path("lpips_vgg16").symlink_to(vgg)
    cached_path("lpips_lin_vgg").symlink_to(lin)
    theirs = tmp_path / "vgg.pdparams"
    write_pdparams(theirs, {f"lin{key}": value for key, value in heads.items()})
    for network in (load_lpips(), load_lpips(lin_path=theirs)):
        assert not network.training
        for number in range(5):
            for key in (f"lin{number}", f"lins.{number}"):
                value = network.state_dict()[f"{key}.model.1.weight"].numpy()
                np.testing.assert_array_equal(value, heads[f"{number}.model.1.weight"])


def test_two_metrics_share_a_network(weights):
    assert load_lpips("vgg", "0.1", *weights[0]) is load_lpips("vgg", "0.1", *weights[0])


def test_missing_weights(weights, tmp_path):
    with pytest.raises(WeightsError) as caught:
        LPIPSMetric()
    text = str(caught.value)
    assert "https://paddlegan.bj.bcebos.com/models/vgg16_official.pdparams" in text
    assert str(cached_path("lpips_vgg16")) in text
    assert "'vgg_path' and 'lin_path' take the paths" in text
    with pytest.raises(WeightsError, match="there is no weights file"):
        LPIPSMetric(vgg_path=weights[0][0], lin_path=tmp_path / "none")


def test_weights_of_something_else(weights):
    vgg, lin = weights[0]
    with pytest.raises(WeightsError, match="26 weights are missing"):
        LPIPSMetric(vgg_path=lin, lin_path=lin)
    with pytest.raises(WeightsError, match=r"5 weights are missing: 0.model.1.weight"):
        LPIPSMetric(vgg_path=vgg, lin_path=vgg)


def test_mistakes(metric, pair):
    with pytest.raises(ValueError, match=r"of one size, got \[32, 48, 3\] and \[31, 48, 3\]"):
        metric.compare(pair[0], pair[1][1:])
    with pytest.raises(ValueError, match="RGB pictures"):
        metric.compare(pair[0][..., 0], pair[1][..., 0])
    with pytest.raises(ConfigError, match="16 x 16 pixels or more, got 15 x 48"):
        metric.compare(pair[0][:15], pair[1][:15])
    with pytest.raises(ValueError, match=r"not 'alex' in '0.1'"):
        LPIPSMetric("alex")
