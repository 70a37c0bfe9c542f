# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's portrait network beyond its golden numbers: sizes, gradients."""

from __future__ import annotations

import paddle
import pytest

from ppzoo.faces.faceseg import FaceSegFCN, HRNetW18


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 70)])
def test_any_size(height: int, width: int) -> None:
    net = FaceSegFCN(num_classes=3)
    net.eval()
    with paddle.no_grad():
        (scores,) = net(paddle.rand([1, 3, height, width]))
    assert scores.shape == [1, 3, height, width]


def test_features_are_those_of_four_sizes() -> None:
    net = HRNetW18()
    features = net(paddle.rand([2, 3, 64, 64]))
    assert features.shape == [2, 18 + 36 + 72 + 144, 16, 16]
    features.square().mean().backward()
    still = [
        name
        for name, parameter in net.named_parameters()
        if not parameter.stop_gradient and parameter.grad is None
    ]
    assert still == []
