# SPDX-License-Identifier: Apache-2.0
"""Paddle's optimizers by name, and `clip_grad_norm` as a number."""

import inspect

import numpy as np
import paddle
import pytest

from ppzoo.registry import OPTIMIZERS, build

NAMES = ["Adam", "AdamW", "SGD", "Momentum", "RMSProp"]


def parameter(values):
    tensor = paddle.create_parameter([len(values)], "float32")
    tensor.set_value(paddle.to_tensor(values, dtype="float32"))
    return tensor


@pytest.mark.parametrize("name", NAMES)
class TestEveryOptimizer:
    def test_steps_like_paddles(self, name):
        moved = []
        for make in (OPTIMIZERS.get(name), getattr(paddle.optimizer, name)):
            weight = parameter([1.0, -2.0])
            optimizer = make(learning_rate=0.1, parameters=[weight], weight_decay=0.01)
            for _ in range(3):
                (weight**2).sum().backward()
                optimizer.step()
                optimizer.clear_grad()
            moved.append(weight.numpy())
        assert np.array_equal(moved[0], moved[1])
        assert not np.array_equal(moved[0], [1.0, -2.0])

    def test_its_signature_is_that_of_paddle_and_the_norm(self, name):
        ours = inspect.signature(OPTIMIZERS.get(name)).parameters
        theirs = inspect.signature(getattr(paddle.optimizer, name)).parameters
        assert list(ours) == [*theirs, "clip_grad_norm"]

    def test_is_paddles_object(self, name):
        optimizer = build(
            OPTIMIZERS, {"name": name}, learning_rate=0.1, parameters=[parameter([1.0])]
        )
        assert type(optimizer) is getattr(paddle.optimizer, name)


class TestClipGradNorm:
    def step(self, norm):
        first, second = parameter([0.0]), parameter([0.0, 0.0])
        optimizer = build(
            OPTIMIZERS,
            {"name": "SGD", "clip_grad_norm": norm},
            learning_rate=1.0,
            parameters=[first, second],
        )
        (3.0 * first.sum() + 4.0 * second[0]).backward()
        optimizer.step()
        return [*first.numpy(), *second.numpy()]

    def test_limits_the_norm_of_all_gradients_together(self):
        np.testing.assert_allclose(self.step(1), [-0.6, -0.8, 0.0], rtol=1e-5)

    def test_leaves_a_smaller_one_alone(self):
        np.testing.assert_allclose(self.step(10.0), [-3.0, -4.0, 0.0], rtol=1e-6)

    @pytest.mark.parametrize("norm", [0, -1.0, float("nan")])
    def test_is_positive(self, norm):
        with pytest.raises(ValueError, match=f"clip_grad_norm is {norm}, expected more than 0"):
            self.step(norm)

    def test_none_does_not_clip(self):
        np.testing.assert_allclose(self.step(None), [-3.0, -4.0, 0.0], rtol=1e-6)


def test_a_weight_decay_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="weight_decay is 'L2', expected a number"):
        build(OPTIMIZERS, {"name": "Adam", "weight_decay": "L2"}, parameters=[parameter([1.0])])
