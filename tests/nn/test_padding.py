# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.padding import ReflectionPad2D


def picture(*shape):
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=shape).astype("float32"))
    x.stop_gradient = False
    return x


@pytest.mark.parametrize("padding", [1, 3])
@pytest.mark.parametrize("size", [(4, 5), (8, 7), (8, 8), (9, 12)])
def test_equals_paddles(padding, size):
    results = []
    for layer in (ReflectionPad2D(padding), nn.Pad2D(padding, mode="reflect")):
        x = picture(2, 3, *size)
        y = layer(x)
        weight = paddle.to_tensor(np.random.default_rng(1).normal(size=y.shape).astype("float32"))
        (y * y * weight).sum().backward()
        results.append((y.numpy(), x.grad.numpy()))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.allclose(results[0][1], results[1][1], atol=1e-5)


def test_can_be_differentiated_twice():
    x = picture(1, 1, 8, 8)
    y = ReflectionPad2D(2)(x)
    (slope,) = paddle.grad((y**3).sum(), x, create_graph=True)
    (curvature,) = paddle.grad(slope.sum(), x)
    count = np.pad(np.ones((8, 8)), 2, mode="reflect") * 0 + 1  # how often each pixel is seen
    index = np.pad(np.arange(64).reshape(8, 8), 2, mode="reflect")
    seen = np.bincount(index.ravel(), count.ravel()).reshape(1, 1, 8, 8)
    assert np.allclose(curvature.numpy(), 6 * x.numpy() * seen, atol=1e-4)


def test_a_picture_that_is_too_small_is_named():
    with pytest.raises(ConfigError, match="map of 4 x 3 is too small"):
        ReflectionPad2D(3)(paddle.zeros([1, 1, 3, 4]))


def test_has_no_state():
    assert ReflectionPad2D(1).state_dict() == {}
