# SPDX-License-Identifier: Apache-2.0
"""RRDBNet: sizes, scales, and its start as bilinear enlargement."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppzoo.errors import ConfigError
from ppzoo.networks.rrdb import ResidualDenseBlock, RRDBNet


def net(**changes):
    return RRDBNet(**({"in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1, "gc": 2} | changes))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_enlarges_by_its_scale(scale):
    output = net(scale=scale)(paddle.rand([2, 3, 8, 12]))
    assert output.shape == [2, 3, 8 * scale, 12 * scale]


def test_other_scales_and_sizes_are_refused():
    with pytest.raises(ValueError, match="scale is 3"):
        net(scale=3)
    with pytest.raises(ConfigError, match="multiples of 2, got 9 x 8"):
        net(scale=2)(paddle.rand([1, 3, 8, 9]))


def test_a_block_begins_near_the_identity():
    # The paper's small initial weights keep a deep stack of blocks from growing.
    x = paddle.randn([1, 64, 8, 8])
    change = ResidualDenseBlock(64, 32)(x) - x
    assert 0 < float(change.abs().mean()) < 0.02 * float(x.abs().mean())


def test_starts_as_bilinear_enlargement():
    model = net(nf=8)
    model.start_as_bilinear()
    x = paddle.rand([1, 3, 10, 9])
    want = x
    for _ in range(2):
        want = F.interpolate(want, scale_factor=2, mode="bilinear")
    inside = (..., slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(model(x)[inside].numpy(), want[inside].numpy(), atol=1e-6)


@pytest.mark.parametrize("changes", [{"scale": 2}, {"out_nc": 1}])
def test_cannot_always_start_so(changes):
    with pytest.raises(ConfigError, match="start_as_bilinear"):
        net(**changes).start_as_bilinear()


def test_learns_from_its_bilinear_start():
    model = net(nf=8)
    model.start_as_bilinear()
    optimizer = paddle.optimizer.Adam(1e-3, parameters=model.parameters())
    before = {name: value.numpy() for name, value in model.named_parameters()}
    x = paddle.rand([1, 3, 8, 8])
    for _ in range(3):
        (model(x) - 0.5).abs().mean().backward()
        optimizer.step()
        optimizer.clear_grad()
    still = [n for n, v in model.named_parameters() if np.array_equal(before[n], v.numpy())]
    assert still == []
