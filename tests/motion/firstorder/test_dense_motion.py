# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle

from ppzoo.motion.firstorder.dense_motion import DenseMotionNetwork
from ppzoo.motion.warp import make_coordinate_grid

from .pieces import MOTION, keypoints


def network(**changes):
    paddle.seed(0)
    options = MOTION | {"num_kp": 3, "num_channels": 3, "estimate_occlusion_map": True} | changes
    return DenseMotionNetwork(**options)


def test_nothing_moves_where_keypoints_do_not():
    found = network()(paddle.rand([2, 3, 32, 32]), keypoints(), keypoints())
    grid = make_coordinate_grid((16, 16)).numpy()
    assert np.allclose(found["deformation"].numpy(), grid, atol=1e-5)
    assert np.allclose(found["mask"].sum(axis=1).numpy(), 1, atol=1e-5)
    assert found["sparse_deformed"].shape == [2, 4, 3, 16, 16]
    assert found["occlusion_map"].shape == [2, 1, 16, 16]


def test_each_motion_shows_the_source_moved_by_its_keypoint():
    """Keypoints go right by a quarter of the picture; so do all but the first."""
    source = make_coordinate_grid((32, 32)).transpose([2, 0, 1]).unsqueeze(0)
    source = paddle.concat([source, source[:, :1]], axis=1)
    net = network(scale_factor=1)
    driving = keypoints(1)
    driving["value"] = driving["value"] + paddle.to_tensor([0.5, 0.0])
    moved = net(source, driving, keypoints(1))["sparse_deformed"][0].numpy()
    assert np.allclose(moved[0], source[0].numpy(), atol=1e-5)
    assert np.allclose(moved[1:, 0, :, 20:], source[0, 0, :, 20:].numpy() - 0.5, atol=1e-4)


def test_jacobians_stretch_the_surroundings():
    net, driving = network(scale_factor=1), keypoints(1)
    driving["value"] = paddle.zeros([1, 3, 2])
    twice = {"value": paddle.zeros([1, 3, 2]), "jacobian": 2 * driving["jacobian"]}
    motions = net._motions(driving, twice, (3, 3)).numpy()
    assert np.allclose(motions[:, 1:], 2 * motions[:, :1])


def test_gradients_reach_the_keypoints():
    driving = keypoints(1)
    driving["value"].stop_gradient = False
    network()(paddle.rand([1, 3, 32, 32]), driving, keypoints(1, shift=0.1))["mask"][
        :, 1
    ].sum().backward()
    assert np.abs(driving["value"].grad.numpy()).max() > 0
