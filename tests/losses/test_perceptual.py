# SPDX-License-Identifier: Apache-2.0
"""The perceptual loss beside its golden cases: style, weights' files, what is said of mistakes."""

import numpy as np
import paddle
import pytest
from scipy import ndimage
from skimage import data

from ppzoo.errors import WeightsError
from ppzoo.losses.perceptual import OFFICIAL_URL, PerceptualLoss, gram
from ppzoo.networks.vgg import VGGFeatures
from ppzoo.registry import CRITERIONS, build
from ppzoo.weights import write_pdparams
from ppzoo.weights.manifest import cached_path

LAYERS = {"2": 0.5, "5": 1.0}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))


def tensor(picture, grad=False):
    array = np.asarray(picture, "float32").transpose(2, 0, 1)[None] / 255
    return paddle.to_tensor(array, stop_gradient=not grad)


@pytest.fixture(scope="module")
def photograph():
    return data.astronaut()[40:88, 120:160].astype("float64")


def write_vgg(path, factor=1.0):
    """Write a classifier's file with the layers up to 5, and some behind."""
    rng = np.random.default_rng(3)
    arrays = {
        "features." + name.removeprefix("vgg_layers."): (
            factor * rng.normal(0, 1 / np.sqrt(np.prod(value.shape)), value.shape)
        ).astype("float32")
        for name, value in VGGFeatures([7]).state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pdparams(path, {**arrays, "classifier.0.weight": np.zeros((2, 3), "float32")})
    return arrays


def test_squared_distance(photograph):
    x, gt = tensor(photograph), tensor(photograph[::-1])
    options = {"pretrained": None, "style_weight": 0.0, "norm_img": False}
    loss = PerceptualLoss({"5": 2.0}, criterion="l2", **options)
    content, _ = loss(x, gt)
    (vgg,) = loss._vgg
    answers = [vgg(side)[5].numpy().astype("float64") for side in (x, gt)]
    assert float(content) == pytest.approx(2.0 * ((answers[0] - answers[1]) ** 2).mean(), rel=1e-4)


class TestStyle:
    """PaddleGAN's style loss does not run, so that the paper's Gram matrices decide."""

    def test_gram(self):
        maps = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype("float32")
        want = np.einsum("nihw,njhw->nij", maps, maps) / (5 * 3 * 4)
        np.testing.assert_allclose(gram(paddle.to_tensor(maps)).numpy(), want, rtol=1e-5)

    def test_style_is_the_distance_of_gram_matrices(self, photograph):
        x, gt = tensor(photograph), tensor(photograph[::-1])
        loss = PerceptualLoss(LAYERS, pretrained=None, style_weight=3.0, perceptual_weight=0.0)
        content, style = loss(x, gt)
        assert content is None
        vgg = VGGFeatures([2, 5])
        vgg.set_state_dict(loss._vgg[0].state_dict())
        want = 0.0
        for layer, weight in ((2, 0.5), (5, 1.0)):
            a, b = (vgg((side + 1) / 2)[layer].numpy().astype("float64") for side in (x, gt))
            grams = [np.einsum("nihw,njhw->nij", m, m) / np.prod(m.shape[1:]) for m in (a, b)]
            want += 3.0 * weight * np.abs(grams[0] - grams[1]).mean()
        assert float(style) == pytest.approx(want, rel=1e-4)

    def test_style_has_gradients(self, photograph):
        x = tensor(photograph, grad=True)
        _, style = PerceptualLoss(LAYERS, pretrained=None, perceptual_weight=0.0)(
            x, tensor(photograph[::-1])
        )
        style.backward()
        assert np.abs(x.grad.numpy()).max() > 0

    def test_style_knows_no_places_and_content_does(self):
        """Texture that is moved keeps its style; another texture does not."""
        rng = np.random.default_rng(0)
        noise = ndimage.gaussian_filter(rng.normal(128, 300, (48, 48, 3)), (2, 2, 0), mode="wrap")
        other = ndimage.gaussian_filter(rng.normal(128, 300, (48, 48, 3)), (0, 4, 0), mode="wrap")
        loss = PerceptualLoss({"7": 1.0}, pretrained=None, norm_img=False)
        (content, style), (_, style_of_other) = (
            loss(tensor(picture), tensor(noise)) for picture in (np.roll(noise, 16, axis=1), other)
        )
        assert float(style) < 0.2 * float(style_of_other)
        assert float(content) > 0.05


class TestContent:
    def test_equal_pictures(self, photograph):
        content, style = PerceptualLoss(LAYERS, pretrained=None)(*[tensor(photograph)] * 2)
        assert float(content) == float(style) == 0.0

    def test_range(self, photograph):
        """Pictures in [-1, 1] give what the same pictures give in [0, 1]."""
        x, gt = tensor(photograph), tensor(photograph[::-1])
        plain = PerceptualLoss(LAYERS, pretrained=None, norm_img=False, style_weight=0.0)
        shifted = PerceptualLoss(LAYERS, pretrained=None, norm_img=True, style_weight=0.0)
        (want, none), (got, _) = plain(x, gt), shifted(x * 2 - 1, gt * 2 - 1)
        assert none is None
        assert float(want) > 0.01
        assert float(got) == pytest.approx(float(want), rel=1e-5)

    def test_no_gradient_flows_into_the_truth(self, photograph):
        x, gt = tensor(photograph, grad=True), tensor(photograph[::-1], grad=True)
        content, _ = PerceptualLoss(LAYERS, pretrained=None)(x, gt)
        content.backward()
        assert np.abs(x.grad.numpy()).max() > 0
        assert gt.grad is None

    def test_numbers_and_texts_name_layers(self, photograph):
        pair = tensor(photograph), tensor(photograph[::-1])
        texts, numbers = (
            PerceptualLoss(layers, pretrained=None)(*pair)[0]
            for layers in (LAYERS, {2: 0.5, 5: 1.0})
        )
        assert float(texts) == float(numbers)

    def test_without_weights_of_its_own_it_is_off(self, photograph):
        loss = PerceptualLoss(LAYERS, perceptual_weight=0.0, style_weight=0.0)
        assert loss(*[tensor(photograph)] * 2) == (None, None)

    def test_random_weights_draw_no_random_numbers(self, photograph):
        pair = tensor(photograph), tensor(photograph[::-1])
        paddle.seed(4)
        want = paddle.rand([3]).numpy()
        paddle.seed(4)
        losses = [float(PerceptualLoss(LAYERS, pretrained=None)(*pair)[0]) for _ in range(2)]
        assert losses[0] == losses[1] > 0
        np.testing.assert_array_equal(paddle.rand([3]).numpy(), want)


class TestWeights:
    def test_nothing_is_read_before_the_first_call(self, photograph):
        loss = build(CRITERIONS, {"name": "PerceptualLoss", "layer_weights": {"34": 1.0}})
        assert loss.state_dict() == {}
        with pytest.raises(WeightsError) as caught:
            loss(*[tensor(photograph)] * 2)
        text = str(caught.value)
        assert "https://paddlegan.bj.bcebos.com/models/vgg19.pdparams" in text
        assert str(cached_path("vgg19")) in text
        assert "'pretrained' takes the path of a file" in text

    @pytest.mark.parametrize(
        "pretrained", [OFFICIAL_URL, OFFICIAL_URL.replace("model/", "models/")]
    )
    @pytest.mark.parametrize(("vgg_type", "name"), [("vgg19", "vgg19"), ("vgg16", "lpips_vgg16")])
    def test_official_files(self, pretrained, vgg_type, name):
        if vgg_type == "vgg16" and pretrained != OFFICIAL_URL:
            with pytest.raises(ValueError, match="download the file and give its path"):
                PerceptualLoss(LAYERS, vgg_type, pretrained=pretrained)
            return
        arrays = write_vgg(cached_path(name))
        loss = PerceptualLoss(LAYERS, vgg_type, pretrained=pretrained)
        loss.prepare()
        state = loss._vgg[0].state_dict()
        assert len(state) == 6
        for key, value in state.items():
            want = arrays[f"features.{key.removeprefix('vgg_layers.')}"]
            np.testing.assert_array_equal(value.numpy(), want)

    def test_a_file_of_ones_own(self, tmp_path, photograph):
        write_vgg(tmp_path / "mine.pdparams")
        pair = tensor(photograph), tensor(photograph[::-1])
        mine = PerceptualLoss(LAYERS, pretrained=str(tmp_path / "mine.pdparams"))(*pair)[0]
        write_vgg(cached_path("vgg19"), factor=2.0)
        official = PerceptualLoss(LAYERS)(*pair)[0]
        assert 0 < float(mine) < float(official)

    def test_what_is_no_vgg(self, tmp_path, photograph):
        path = tmp_path / "other.pdparams"
        arrays = {
            f"features.{layer}.weight": np.zeros((64, 3, 3, 3), "float32") for layer in (0, 1)
        }
        write_pdparams(path, arrays)
        with pytest.raises(WeightsError, match=r"5 weights are missing: vgg_layers.0.bias"):
            PerceptualLoss(LAYERS, pretrained=path)(*[tensor(photograph)] * 2)
        with pytest.raises(WeightsError, match="there is no weights file"):
            PerceptualLoss(LAYERS, pretrained=tmp_path / "none").prepare()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer_weights": {"conv5_4": 1.0}}, "by numbers of layers, got .'conv5_4'"),
        ({"layer_weights": {"37": 1.0}}, "layers 0 to 36, asked for .37."),
        ({"layer_weights": {}}, "layers 0 to 36, asked for"),
        ({"layer_weights": LAYERS, "style_weight": -1.0}, "style_weight is -1.0"),
        ({"layer_weights": LAYERS, "criterion": "l3"}, "criterion is 'l3'"),
        (
            {"layer_weights": LAYERS, "pretrained": "https://example.org/x"},
            "example.org/x: download",
        ),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        PerceptualLoss(**arguments)
