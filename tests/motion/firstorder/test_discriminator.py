# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle

from ppzoo.motion.firstorder.discriminator import Discriminator, FirstOrderDiscriminator

from .pieces import COMMON, keypoints

OPTIONS = {"scales": [1, 0.5], "block_expansion": 4, "max_features": 16, "num_blocks": 2}


def test_it_judges_each_size():
    net = FirstOrderDiscriminator(OPTIONS | {"sn": True}, COMMON, {})
    judged = net(paddle.rand([2, 3, 32, 32]))
    assert judged["prediction_map_1"].shape == [2, 1, 11, 11]
    assert judged["prediction_map_0.5"].shape[0] == 2
    assert len(judged["feature_maps_0.5"]) == 2
    assert {key.split(".")[0] for key in net.state_dict()} == {"discriminator", "pyramid"}


def test_keypoints_can_be_shown_to_it():
    paddle.seed(0)
    net = Discriminator(block_expansion=4, num_blocks=2, use_kp=True, num_kp=3)
    x = paddle.rand([1, 3, 32, 32])
    scores = [net(x, keypoints(1, shift=shift))[1].numpy() for shift in (0.0, 0.3)]
    assert not np.allclose(*scores)


def test_spectral_norm_bounds_the_weights():
    paddle.seed(0)
    net = Discriminator(block_expansion=4, num_blocks=2, sn=True)
    net.down_blocks[0].conv.weight_orig.set_value(100 * net.down_blocks[0].conv.weight_orig)
    for _ in range(30):
        net(paddle.rand([1, 3, 32, 32]))
    weight = net.down_blocks[0].conv.weight.numpy()
    assert np.linalg.svd(weight.reshape(len(weight), -1))[1][0] < 1.05
