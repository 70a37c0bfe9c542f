# SPDX-License-Identifier: Apache-2.0
"""VGG's layers, their numbers and weights; golden cases of the perceptual loss hold its numbers."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle.vision.models import vgg16, vgg19

from ppzoo.errors import ConfigError
from ppzoo.networks.vgg import VGGFeatures, check_layers


def weights_of(net, seed=0):
    """Return weights for a network's layers as a classifier's file has them."""
    rng = np.random.default_rng(seed)
    return {
        "features." + name.removeprefix("vgg_layers."): rng.normal(
            0, 1 / np.sqrt(max(1, np.prod(value.shape[1:]))), value.shape
        ).astype("float32")
        for name, value in net.state_dict().items()
    }


def ready(layers, vgg_type="vgg19", **options):
    net = VGGFeatures(layers, vgg_type, **options)
    weights = weights_of(net)
    net.set_state_dict(net.arrays_of(weights))
    return net, weights


@pytest.mark.parametrize(("vgg_type", "model"), [("vgg16", vgg16), ("vgg19", vgg19)])
def test_layers_are_numbered_as_paddles(vgg_type, model):
    """Every layer has the kind, and every weight the name and shape, of Paddle's own model."""
    with paddle.LazyGuard():  # its 140 million weights are not needed
        paddles = model(num_classes=-1, with_pool=False).features
    last = len(paddles) - 1
    net = VGGFeatures([last], vgg_type)
    kinds = {"Conv2D", "ReLU", "MaxPool2D"}
    found = [type(layer).__name__ for layer in net.vgg_layers]
    assert found == [type(layer).__name__ for layer in paddles]
    assert set(found) == kinds
    shapes = {name: value.shape for name, value in net.vgg_layers.state_dict().items()}
    assert shapes == {name: value.shape for name, value in paddles.state_dict().items()}
    with pytest.raises(ValueError, match=f"layers 0 to {last}, asked for .{last + 1}."):
        check_layers([last + 1], vgg_type)


def test_answers_are_those_of_the_layers():
    net, weights = ready([0, 3, 4, 5], use_input_norm=False)
    x = paddle.to_tensor(np.random.default_rng(1).random((2, 3, 10, 12), "float32"))
    answers = net(x)
    assert sorted(answers) == [0, 3, 4, 5]
    y = F.conv2d(
        x, *(paddle.to_tensor(weights[f"features.0.{k}"]) for k in ("weight", "bias")), 1, 1
    )
    np.testing.assert_allclose(answers[0].numpy(), y.numpy(), rtol=1e-5, atol=1e-6)
    assert (answers[0].numpy() < 0).any()  # before its ReLU
    y = F.relu(y)
    y = F.conv2d(
        y, *(paddle.to_tensor(weights[f"features.2.{k}"]) for k in ("weight", "bias")), 1, 1
    )
    np.testing.assert_allclose(answers[3].numpy(), F.relu(y).numpy(), rtol=1e-4, atol=1e-5)
    assert answers[4].shape == [2, 64, 5, 6]
    assert answers[5].shape == [2, 128, 5, 6]


def test_input_norm():
    with_norm, _ = ready([0])
    without, _ = ready([0], use_input_norm=False)
    x = np.random.default_rng(1).random((1, 3, 8, 8), "float32")
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normed = ((x - mean.reshape(1, 3, 1, 1)) / std.reshape(1, 3, 1, 1)).astype("float32")
    np.testing.assert_allclose(
        with_norm(paddle.to_tensor(x))[0].numpy(),
        without(paddle.to_tensor(normed))[0].numpy(),
        rtol=1e-4,
        atol=1e-5,
    )
    assert with_norm.state_dict().keys() == without.state_dict().keys()


def test_no_random_numbers_are_drawn():
    paddle.seed(5)
    want = paddle.rand([3]).numpy()
    paddle.seed(5)
    net = VGGFeatures([7])
    np.testing.assert_array_equal(paddle.rand([3]).numpy(), want)
    assert not any(value.numpy().any() for value in net.state_dict().values())


def test_weights_are_constant_but_gradients_pass():
    net, _ = ready([2])
    x = paddle.to_tensor(np.random.default_rng(1).random((1, 3, 8, 8), "float32"))
    x.stop_gradient = False
    net(x)[2].sum().backward()
    assert np.abs(x.grad.numpy()).max() > 0
    assert all(p.stop_gradient and p.grad is None for p in net.parameters())


def test_behind_the_last_layer_there_is_nothing():
    net = VGGFeatures([2, 7])
    assert len(net.vgg_layers) == 8
    everything = {**weights_of(VGGFeatures([12])), "classifier.0.weight": np.zeros((2, 2))}
    assert set(net.arrays_of(everything)) == set(net.state_dict())
    del everything["features.5.bias"]
    assert set(net.state_dict()) - set(net.arrays_of(everything)) == {"vgg_layers.5.bias"}


@pytest.mark.parametrize(("layer", "side"), [(3, 1), (4, 2), (34, 16)])
def test_small_pictures(layer, side):
    net = VGGFeatures([layer])
    assert min(net(paddle.zeros([1, 3, side, side + 3]))[layer].shape) >= 1
    if side > 1:
        with pytest.raises(ConfigError, match=rf"{side} x {side} pixels or more, got {side + 3} x"):
            net(paddle.zeros([1, 3, side + 3, side - 1]))


@pytest.mark.parametrize(
    ("layers", "vgg_type", "message"),
    [
        ([], "vgg19", "asked for \\[\\]"),
        ([-1], "vgg19", "layers 0 to 36"),
        ([31], "vgg16", "layers 0 to 30"),
        ([1], "vgg11", "expected one of vgg16, vgg19"),
    ],
)
def test_what_there_is_not(layers, vgg_type, message):
    with pytest.raises(ValueError, match=message):
        VGGFeatures(layers, vgg_type)
