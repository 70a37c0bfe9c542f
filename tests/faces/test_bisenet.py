# SPDX-License-Identifier: Apache-2.0
"""BiSeNet beyond its golden numbers: sizes, the scores before enlarging, gradients."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppzoo.errors import DataError
from ppzoo.faces.bisenet import BiSeNet


@pytest.fixture(scope="module")
def net() -> BiSeNet:
    paddle.seed(0)
    net = BiSeNet(n_classes=5)
    net.eval()
    return net


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 70), (64, 96)])
def test_any_size_and_three_heads(net: BiSeNet, height: int, width: int) -> None:
    x = paddle.randn([2, 3, height, width])
    with paddle.no_grad():
        outputs, scores = net(x), net.scores(x)
    assert [output.shape for output in outputs] == [[2, 5, height, width]] * 3
    assert scores.shape == [2, 5, -(-height // 8), -(-width // 8)]
    # Each pixel is that of the main head which it falls into.
    rows = np.arange(height) * scores.shape[2] // height
    columns = np.arange(width) * scores.shape[3] // width
    expected = scores.numpy()[:, :, rows][:, :, :, columns]
    np.testing.assert_array_equal(outputs[0].numpy(), expected)


def test_too_small(net: BiSeNet) -> None:
    with pytest.raises(DataError, match=r"at least 32 x 32 pixels, got 31 x 40"):
        net(paddle.zeros([1, 3, 31, 40]))


def test_every_parameter_takes_part_but_the_classifier_of_the_backbone() -> None:
    net = BiSeNet(n_classes=3)
    sum(output.square().mean() for output in net(paddle.randn([2, 3, 64, 64]))).backward()
    still = {
        name
        for name, parameter in net.named_parameters()
        if not parameter.stop_gradient and parameter.grad is None
    }
    assert still == {"cp.backbone.fc.weight", "cp.backbone.fc.bias"}
