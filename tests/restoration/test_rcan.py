# SPDX-License-Identifier: Apache-2.0
"""RCAN: scales, what its attention weighs, its fixed mean colour, and its start."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppzoo.restoration.rcan import RCAN, ChannelAttention, MeanShift


def net(**changes):
    small = {"scale": 4, "n_resgroups": 1, "n_resblocks": 1, "n_feats": 8, "reduction": 4}
    return RCAN(**(small | changes))


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_enlarges_by_its_scale(scale):
    assert net(scale=scale)(paddle.rand([1, 3, 5, 6])).shape == [1, 3, 5 * scale, 6 * scale]


def test_the_mean_colour_goes_and_comes_back():
    x = paddle.rand([1, 3, 4, 4]) * 255
    shifted = MeanShift(255, -1)(x)
    means = np.array([0.4488, 0.4371, 0.4040], "float32").reshape(1, 3, 1, 1) * 255
    np.testing.assert_allclose(shifted.numpy(), x.numpy() - means, atol=1e-4)
    np.testing.assert_allclose(MeanShift(255, 1)(shifted).numpy(), x.numpy(), atol=1e-4)


def test_the_mean_colour_is_not_trained():
    frozen = {name for name, value in net().named_parameters() if value.stop_gradient}
    assert frozen == {"sub_mean.weight", "sub_mean.bias", "add_mean.weight", "add_mean.bias"}


def test_attention_scales_whole_channels():
    layer = ChannelAttention(8, 2)
    x = paddle.rand([2, 8, 5, 5]) + 0.1
    factors = (layer(x) / x).numpy()
    assert ((factors > 0) & (factors < 1)).all()
    assert np.ptp(factors, axis=(2, 3)).max() < 1e-6
    # It sees each channel's mean only, wherever in the picture the values are.
    np.testing.assert_allclose((layer(x[..., ::-1]) / x[..., ::-1]).numpy(), factors, rtol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_starts_as_bilinear_enlargement(scale):
    model = net(scale=scale, n_feats=16)
    model.start_as_bilinear()
    x = paddle.rand([1, 3, 10, 9]) * 255
    want = x
    for factor in [3] if scale == 3 else [2] * (scale // 2):
        want = F.interpolate(want, scale_factor=factor, mode="bilinear")
    inside = (..., slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(model(x)[inside].numpy(), want[inside].numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 5}, "scale is 5"),
        ({"n_colors": 1}, "n_colors is 1"),
        ({"kernel_size": 4}, "kernel_size is 4"),
        ({"n_feats": 2}, "n_feats is 2, expected at least 4"),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(ValueError, match=message):
        net(**changes)
