# SPDX-License-Identifier: Apache-2.0
"""InceptionV3's shapes, scaling and pooling; its numbers are golden."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppzoo.networks.inception import BLOCK_OF_DIMS, BlockE, InceptionV3, _average_pool


@pytest.fixture(scope="module")
def shallow():
    paddle.seed(1)
    network = InceptionV3([0, 1], normalize_input=False)
    network.eval()
    return network


def run(network, x):
    with paddle.no_grad():
        outputs, other = network(paddle.to_tensor(x))
    assert other is None
    return [output.numpy() for output in outputs]


@pytest.mark.parametrize("dims", BLOCK_OF_DIMS)
def test_shapes(dims):
    network = InceptionV3([BLOCK_OF_DIMS[dims]])
    network.eval()
    side = {64: 73, 192: 35, 768: 17, 2048: 1}[dims]
    assert [o.shape for o in run(network, np.zeros((1, 3, 20, 30), "float32"))] == [
        (1, dims, side, side)
    ]


def test_several_blocks_come_in_order(shallow):
    assert InceptionV3([1, 0]).output_blocks == [0, 1]
    assert [o.shape[1] for o in run(shallow, np.zeros((1, 3, 30, 30), "float32"))] == [64, 192]


def test_blocks_behind_the_last_one_do_not_exist(shallow):
    assert not any(name.startswith("Mixed") for name in shallow.state_dict())
    assert len(InceptionV3([3]).state_dict()) == 470


def test_two_networks_of_one_process_are_independent(shallow):
    x = np.linspace(-1, 1, 3 * 40 * 40, dtype="float32").reshape(1, 3, 40, 40)
    before = run(shallow, x)
    second = InceptionV3([0, 1], normalize_input=False)
    second.set_state_dict({k: v * 0 for k, v in second.state_dict().items()})
    second.eval()
    assert not np.any(run(second, x)[0])
    np.testing.assert_array_equal(run(shallow, x)[0], before[0])
    assert np.any(before[0])


def test_pictures_are_resized_and_scaled(shallow):
    rng = np.random.default_rng(0)
    small = rng.random((2, 3, 50, 70)).astype("float32")
    large = F.interpolate(paddle.to_tensor(small), size=[299, 299], mode="bilinear").numpy()
    scaled = InceptionV3([0, 1], normalize_input=True)
    scaled.set_state_dict(shallow.state_dict())
    scaled.eval()
    fixed = InceptionV3([0, 1], resize_input=False, normalize_input=False)
    fixed.set_state_dict(shallow.state_dict())
    fixed.eval()
    expected = run(fixed, large * 2 - 1)[1]
    np.testing.assert_allclose(run(scaled, small)[1], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(shallow, large * 2 - 1)[1], expected, rtol=1e-4, atol=1e-5)


def test_average_leaves_the_padding_out():
    assert np.allclose(_average_pool(paddle.ones([1, 1, 5, 5])).numpy(), 1)


def test_pools_of_the_last_blocks_differ():
    network = InceptionV3([3])
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(1, 4, 6, 6)).astype("float32"))
    assert isinstance(network.Mixed_7b, BlockE)
    mean, maximum = network.Mixed_7b.pool(x).numpy(), network.Mixed_7c.pool(x).numpy()
    middle = x.numpy()[0, :, 1:4, 1:4]
    np.testing.assert_allclose(mean[0, :, 2, 2], middle.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(maximum[0, :, 2, 2], middle.max(axis=(1, 2)))


@pytest.mark.parametrize("blocks", [[], [4], [-1]])
def test_unknown_blocks(blocks):
    with pytest.raises(ValueError, match="0, 1, 2, 3"):
        InceptionV3(blocks)
