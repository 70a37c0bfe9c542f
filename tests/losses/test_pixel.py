# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.losses.pixel import (
    BCEWithLogitsLoss,
    CharbonnierLoss,
    L1Loss,
    MSELoss,
    cross_entropy,
)

PREDICTION = np.array([[0.5, -1.0], [2.0, 0.0]], "float32")
TARGET = np.array([[1.0, 0.0], [1.0, 1.0]], "float32")
EXPECTED = {
    L1Loss: np.abs(PREDICTION - TARGET),
    MSELoss: (PREDICTION - TARGET) ** 2,
    BCEWithLogitsLoss: np.log1p(np.exp(PREDICTION)) - TARGET * PREDICTION,
}


@pytest.mark.parametrize("criterion", EXPECTED)
def test_values(criterion):
    inputs = paddle.to_tensor(PREDICTION), paddle.to_tensor(TARGET)
    expected = EXPECTED[criterion]
    assert np.allclose(criterion("none")(*inputs).numpy(), expected, atol=1e-6)
    assert float(criterion()(*inputs)) == pytest.approx(expected.mean())
    assert float(criterion("sum", loss_weight=3)(*inputs)) == pytest.approx(3 * expected.sum())


@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
def test_cross_entropy_of_any_score(label):
    scores = np.array([0.0, -0.0, 1e-6, 5.0, -5.0, 30.0, -90.0])
    tensor = paddle.to_tensor(scores.astype("float32"), stop_gradient=False)
    loss = cross_entropy(tensor, label, "none")
    expected = label * np.logaddexp(0, -scores) + (1 - label) * np.logaddexp(0, scores)
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-6, atol=1e-8)
    loss.sum().backward()
    np.testing.assert_allclose(tensor.grad.numpy(), 1 / (1 + np.exp(-scores)) - label, atol=1e-6)


def test_cross_entropy_is_of_full_precision():
    scores = paddle.to_tensor([6.0, 12.0]).astype("float16")
    loss = cross_entropy(scores, 1.0, "none")
    np.testing.assert_allclose(loss.numpy(), np.logaddexp(0, [-6.0, -12.0]), atol=1e-6)


def test_charbonnier_is_a_smooth_distance():
    inputs = paddle.to_tensor(PREDICTION), paddle.to_tensor(TARGET)
    expected = np.sqrt((PREDICTION - TARGET) ** 2 + 0.01)
    assert float(CharbonnierLoss(eps=0.01)(*inputs)) == pytest.approx(expected.sum())
    assert float(CharbonnierLoss(0.01, "mean")(*inputs)) == pytest.approx(expected.mean())
    equal = paddle.to_tensor(TARGET, stop_gradient=False)
    CharbonnierLoss()(equal, paddle.to_tensor(TARGET)).backward()
    assert not equal.grad.numpy().any()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="reduction is 'none'"):
        CharbonnierLoss(reduction="none")
    with pytest.raises(ValueError, match="reduction is 'avg'"):
        L1Loss("avg")
    with pytest.raises(ValueError, match="loss_weight is -1"):
        MSELoss(loss_weight=-1)
