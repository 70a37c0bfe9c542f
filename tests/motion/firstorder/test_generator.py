# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.motion.firstorder.generator import FirstOrderGenerator, OcclusionAwareGenerator
from ppzoo.motion.warp import make_coordinate_grid

from .pieces import COMMON, DETECTOR, GENERATOR, keypoints

TRAINING = {"scales": [1, 0.5]}


@pytest.mark.parametrize("mobile", [False, True])
def test_a_picture_at_rest_is_deformed_by_nothing(mobile):
    net = OcclusionAwareGenerator(**GENERATOR, **COMMON, mobile_net=mobile)
    source = paddle.rand([2, 3, 32, 32])
    made = net(source, keypoints(), keypoints())
    assert made["prediction"].shape == source.shape
    assert 0 < made["prediction"].min() <= made["prediction"].max() < 1
    # The deformation is half the size of the picture, whose outermost pixels it does not reach.
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    ramp = make_coordinate_grid((32, 32)).transpose([2, 0, 1]).unsqueeze(0)
    moved = net.deform(ramp, make_coordinate_grid((16, 16)).unsqueeze(0))
    assert np.abs(moved.numpy()[inner] - ramp.numpy()[inner]).max() < 0.05


def test_without_motion_there_is_only_a_prediction():
    options = GENERATOR | {"dense_motion_params": None}
    made = OcclusionAwareGenerator(**options, **COMMON)(
        paddle.rand([1, 3, 16, 16]), keypoints(1), keypoints(1)
    )
    assert list(made) == ["prediction"]


def test_at_inference_the_edges_stay_where_they_are():
    paddle.seed(0)
    net = OcclusionAwareGenerator(**GENERATOR, **COMMON, inference=True)
    net.eval()
    source = paddle.rand([1, 3, 64, 64])
    shifted = make_coordinate_grid((32, 32)).unsqueeze(0) + 0.3
    moved = net.deform(source, shifted).numpy()
    assert np.allclose(moved[:, :, 0], source.numpy()[:, :, 0], atol=1e-4)
    assert not np.allclose(moved[:, :, 32], source.numpy()[:, :, 32], atol=0.1)
    visible = net._visible(paddle.zeros([1, 1, 32, 32]), paddle.rand([1, 8, 32, 32])).numpy()
    assert visible[0, 0, 0, 0] == 1
    assert visible[0, 0, 16, 16] == 0


def test_all_in_one_piece_has_paddlegans_parts():
    net = FirstOrderGenerator(GENERATOR, DETECTOR, COMMON, TRAINING, dis_scales=[1])
    parts = {key.split(".")[0] for key in net.state_dict()}
    assert parts == {"kp_extractor", "generator", "pyramid"}
    made = net(paddle.rand([1, 3, 32, 32]), paddle.rand([1, 3, 32, 32]))
    assert made["kp_driving"]["value"].shape == [1, 3, 2]


def test_a_discriminator_needs_its_sizes_in_the_pyramid():
    with pytest.raises(ValueError, match=r"scales \[0.25\], and train_params.scales has only"):
        FirstOrderGenerator(GENERATOR, DETECTOR, COMMON, TRAINING, dis_scales=[0.25])
