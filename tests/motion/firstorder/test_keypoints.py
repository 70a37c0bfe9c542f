# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.motion.firstorder.keypoints import KPDetector, inverse, kp2gaussian, normalize_kp
from ppzoo.motion.warp import make_coordinate_grid

from .pieces import COMMON, DETECTOR, keypoints


class TestDetector:
    @pytest.mark.parametrize("mobile", [False, True])
    def test_jacobians_begin_as_identities(self, mobile):
        net = KPDetector(**DETECTOR, **COMMON, mobile_net=mobile, pad=1 if mobile else 0)
        found = net(paddle.rand([2, 3, 32, 32]))
        assert found["value"].shape == [2, 3, 2]
        assert np.allclose(found["jacobian"].numpy(), np.eye(2), atol=1e-5)

    def test_places_are_the_means_of_heatmaps(self):
        net = KPDetector(**DETECTOR, **COMMON | {"estimate_jacobian": False})
        net.kp.weight.set_value(paddle.zeros_like(net.kp.weight))  # flat heatmaps
        found = net(paddle.rand([1, 3, 32, 32]))
        assert np.allclose(found["value"].numpy(), 0, atol=1e-6)
        assert "jacobian" not in found

    def test_heatmaps_are_shares_whose_mean_is_the_place(self):
        net = KPDetector(**DETECTOR, **COMMON)
        net.eval()
        pictures = paddle.rand([2, 3, 32, 64])
        maps, places = net.heatmaps(pictures), net(pictures)["value"]
        assert maps.shape[:2] == [2, 3]
        assert np.allclose(maps.sum(axis=[2, 3]).numpy(), 1, atol=1e-5)
        grid = make_coordinate_grid(tuple(maps.shape[2:]))  # [h, w, 2]
        mean = (maps.unsqueeze(-1) * grid).sum(axis=[2, 3])
        assert np.allclose(mean.numpy(), places.numpy(), atol=1e-5)
        assert maps.shape[3] > maps.shape[2]

    def test_one_map_of_matrices_can_serve_all(self):
        net = KPDetector(**DETECTOR, **COMMON, single_jacobian_map=True)
        assert net.jacobian.weight.shape[0] == 4
        assert net(paddle.rand([1, 3, 32, 32]))["jacobian"].shape == [1, 3, 2, 2]

    def test_odd_sizes_are_refused(self):
        with pytest.raises(ConfigError, match="multiples of 8, got 30 x 32"):
            KPDetector(**DETECTOR, **COMMON)(paddle.rand([1, 3, 32, 30]))


def test_a_spot_is_brightest_at_its_keypoint():
    spots = kp2gaussian({"value": paddle.to_tensor([[[0.5, -0.5]]])}, (5, 9), 0.01).numpy()
    assert np.unravel_index(spots.argmax(), spots.shape) == (0, 0, 1, 6)
    assert spots.max() == 1


def test_inverses_undo_their_matrices():
    matrices = paddle.to_tensor(np.random.default_rng(0).normal(size=[2, 5, 2, 2]), "float32")
    assert np.allclose(paddle.matmul(inverse(matrices), matrices).numpy(), np.eye(2), atol=1e-4)


class TestNormalize:
    def test_absolute_is_the_driver_itself(self):
        driving = keypoints(shift=0.2)
        assert normalize_kp(keypoints(), driving, keypoints()) == driving

    def test_relative_adds_the_drivers_motion(self):
        moved = normalize_kp(
            keypoints(1, shift=-0.3),
            keypoints(4, shift=0.5),
            keypoints(1, shift=0.4),
            use_relative_movement=True,
        )
        assert np.allclose(moved["value"].numpy(), keypoints(4, shift=-0.2)["value"].numpy())

    def test_a_larger_face_moves_farther(self):
        corners = paddle.to_tensor([[[0.0, 0.0], [0.2, 0.0], [0.2, 0.2], [0.0, 0.2]]])
        moved = normalize_kp(
            {"value": 2 * corners},
            {"value": corners + 0.1},
            {"value": corners},
            adapt_movement_scale=True,
            use_relative_movement=True,
        )
        assert np.allclose(moved["value"].numpy(), (2 * corners + 0.2).numpy(), atol=1e-6)

    def test_keypoints_on_a_line_have_no_scale(self):
        moved = normalize_kp(
            keypoints(1),
            keypoints(1, shift=0.1),
            keypoints(1),
            adapt_movement_scale=True,
            use_relative_movement=True,
        )
        assert np.allclose(moved["value"].numpy(), keypoints(1, shift=0.1)["value"].numpy())
