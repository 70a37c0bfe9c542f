# SPDX-License-Identifier: Apache-2.0
"""PatchGAN: PaddleGAN's layout for every norm, logits, classes, and double backward."""

import numpy as np
import paddle
import pytest

from ppzoo.networks.patch_discriminator import (
    NLayerDiscriminator,
    NLayerDiscriminatorWithClassification,
)

NORMS = ["batch", "instance", "spectral", "none"]


@pytest.fixture
def float64():
    """Build networks in double precision, where finite differences are sharp."""
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


class TestLayout:
    @pytest.mark.parametrize("n_layers", [1, 2, 3, 4, 5])
    @pytest.mark.parametrize("norm_type", NORMS)
    def test_one_value_judges_a_patch(self, n_layers, norm_type):
        net = NLayerDiscriminator(2, 4, n_layers, norm_type)
        size = 2 ** (n_layers + 2)
        assert net(paddle.randn([2, 2, size, 2 * size])).shape == [2, 1, 2, 6]

    @pytest.mark.parametrize("norm_type", NORMS)
    def test_widths_double_up_to_eight_times(self, norm_type):
        weights = [
            value.shape
            for key, value in NLayerDiscriminator(3, 4, 5, norm_type).state_dict().items()
            if value.ndim == 4
        ]
        assert weights == [
            [4, 3, 4, 4],
            [8, 4, 4, 4],
            [16, 8, 4, 4],
            [32, 16, 4, 4],
            [32, 32, 4, 4],
            [32, 32, 4, 4],
            [1, 32, 4, 4],
        ]

    @pytest.mark.parametrize(
        ("norm_type", "with_bias"),
        [
            ("instance", [0, 2, 5, 8]),
            ("batch", [8]),
            ("none", [8]),
            ("spectral", [0, 2, 4]),
        ],
    )
    def test_which_convolutions_have_biases(self, norm_type, with_bias):
        net = NLayerDiscriminator(3, 4, 2, norm_type)
        found = [
            int(name.split(".")[0])
            for name, layer in net.model.named_sublayers()
            if isinstance(layer, paddle.nn.Conv2D) and layer.bias is not None
        ]
        assert found == with_bias

    @pytest.mark.parametrize(("norm_type", "slope"), [("instance", 0.2), ("spectral", 0.01)])
    def test_slope(self, norm_type, slope):
        net = NLayerDiscriminator(3, 4, 2, norm_type)
        layers = [layer for layer in net.model if isinstance(layer, paddle.nn.LeakyReLU)]
        assert len(layers) == 3
        for layer in layers:
            assert layer(paddle.to_tensor(-1.0)).item() == pytest.approx(-slope)

    @pytest.mark.parametrize("name", ["input_nc", "ndf", "n_layers"])
    def test_there_is_something_of_everything(self, name):
        with pytest.raises(ValueError, match=f"{name} is 0, expected at least 1"):
            NLayerDiscriminator(**{"input_nc": 3, name: 0})


class TestSigmoid:
    def test_forward_is_the_sigmoid_of_the_logits(self):
        net = NLayerDiscriminator(1, 4, 2, use_sigmoid=True)
        x = paddle.randn([2, 1, 16, 16])
        scores, logits = net(x).numpy(), net.logits(x).numpy()
        np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)
        assert np.abs(logits).max() > 0

    def test_without_it_forward_gives_logits(self):
        net = NLayerDiscriminator(1, 4, 2)
        x = paddle.randn([2, 1, 16, 16])
        assert np.array_equal(net(x).numpy(), net.logits(x).numpy())

    def test_it_adds_no_keys(self):
        keys = [list(NLayerDiscriminator(1, 4, use_sigmoid=s).state_dict()) for s in (False, True)]
        assert keys[0] == keys[1]


class TestClasses:
    def test_are_maps_behind_the_picture(self):
        net = NLayerDiscriminatorWithClassification(2, n_class=3, ndf=4, n_layers=2)
        x = paddle.randn([2, 2, 16, 16])
        maps = np.zeros([2, 3, 16, 16], "float32")
        maps[0, 2], maps[1, 0] = 1, 1
        joined = paddle.concat([x, paddle.to_tensor(maps)], axis=1)
        scores = net(x, paddle.to_tensor([2, 0]))
        assert np.array_equal(scores.numpy(), net.model(joined).numpy())

    def test_count_modulo_their_number_and_in_any_shape(self):
        net = NLayerDiscriminatorWithClassification(1, n_class=3, ndf=4, n_layers=2)
        x = paddle.randn([2, 1, 16, 16])
        expected = net(x, paddle.to_tensor([1, 2])).numpy()
        assert np.array_equal(net(x, paddle.to_tensor([[4], [5]])).numpy(), expected)

    def test_logits_see_them_too(self):
        net = NLayerDiscriminatorWithClassification(1, 3, 4, 2, use_sigmoid=True)
        x, classes = paddle.randn([2, 1, 16, 16]), paddle.to_tensor([0, 1])
        scores, logits = net(x, classes).numpy(), net.logits(x, classes).numpy()
        np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)

    def test_there_are_some(self):
        with pytest.raises(ValueError, match="n_class is 0, expected at least 1"):
            NLayerDiscriminatorWithClassification(1, n_class=0)

    def test_norm_and_sigmoid_reach_the_base(self):
        net = NLayerDiscriminatorWithClassification(1, 3, 4, 2, "spectral", True)
        assert "model.0.weight_orig" in net.state_dict()
        assert net.use_sigmoid
        assert net.n_class == 3


@pytest.mark.parametrize("norm_type", NORMS)
def test_double_backward_equals_finite_differences(norm_type, float64):
    """What a gradient penalty differentiates: the slope at the input, by the weights."""
    net = NLayerDiscriminator(2, 4, 2, norm_type)
    x = paddle.randn([3, 2, 12, 12], dtype="float64")
    net(x)
    if norm_type == "spectral":
        net.eval()  # its vectors stand still
    weights = [p for p in net.parameters() if not p.stop_gradient and p.ndim == 4]
    rng = np.random.default_rng(0)
    start = [w.numpy() for w in weights]
    direction = [rng.normal(size=w.shape) for w in weights]

    def steepness(offset=0.0):
        for weight, value, step in zip(weights, start, direction, strict=True):
            weight.set_value(value + offset * step)
        points = x.clone()
        points.stop_gradient = False
        (slope,) = paddle.grad(net(points).sum(), points, create_graph=True)
        return (slope**2).sum()

    steepness().backward()
    expected = sum((w.grad.numpy() * d).sum() for w, d in zip(weights, direction, strict=True))
    measured = (steepness(1e-6).item() - steepness(-1e-6).item()) / 2e-6
    assert abs(measured) > 1e-3
    assert expected == pytest.approx(measured, rel=1e-4)


def test_double_backward_with_classes():
    """Paddle's concat refuses one where an input, here the class maps, has no gradient."""
    net = NLayerDiscriminatorWithClassification(1, 3, 4, 1, "none")
    x, classes = paddle.randn([2, 1, 8, 8]), paddle.to_tensor([0, 2])
    x.stop_gradient = False
    (slope,) = paddle.grad(net(x, classes).sum(), x, create_graph=True)
    (slope**2).sum().backward()
    gradient = net.model[0].weight.grad.numpy()
    assert np.abs(gradient[:, :1]).max() > 0
    # Without a norm the slope at the picture does not depend on the weights of the class maps.
    assert not gradient[:, 1:].any()
