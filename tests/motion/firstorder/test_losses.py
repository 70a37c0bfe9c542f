# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.motion.firstorder import losses
from ppzoo.motion.warp import RandomWarp, make_coordinate_grid


class TestEquivariance:
    @staticmethod
    def detect(frames):
        """Find the place at which a ramp of coordinates is 0, and its slope there, both exactly."""
        ramp = frames.reshape([frames.shape[0], 2, -1]).transpose([0, 2, 1])
        grid = make_coordinate_grid(frames.shape[2:]).reshape([1, -1, 2])
        ones = paddle.ones([ramp.shape[0], ramp.shape[1], 1])
        design = paddle.concat([grid.expand(ramp.shape), ones], axis=2)
        inverse = paddle.linalg.pinv(design)
        fit = paddle.matmul(inverse, ramp)  # [N, 3, 2]
        linear, shift = fit[:, :2].transpose([0, 2, 1]), fit[:, 2:]
        back = paddle.linalg.inv(linear)
        value = -paddle.matmul(shift, back, transpose_y=True)
        return {"value": value, "jacobian": back.unsqueeze(1)}

    def test_a_perfect_detector_has_no_loss(self):
        paddle.seed(0)
        warp = RandomWarp(2, 0.02)
        # Small ramps, so that the warp leads out of the picture nowhere.
        frames = (3 * make_coordinate_grid((33, 33))).transpose([2, 0, 1]).unsqueeze(0)
        frames = frames.expand([2, 2, 33, 33])
        found = losses.equivariance(self.detect, frames, self.detect(frames), warp, 10, 10)
        assert float(found["equivariance_value"]) < 0.2
        assert float(found["equivariance_jacobian"]) < 0.4

    def test_one_that_does_not_look_has(self):
        paddle.seed(0)
        fixed = {
            "value": paddle.full([2, 1, 2], 0.5),
            "jacobian": paddle.eye(2).expand([2, 1, 2, 2]),
        }
        warp, frames = RandomWarp(2, 0.2), paddle.rand([2, 2, 9, 9])
        found = losses.equivariance(lambda x: fixed, frames, fixed, warp, 10, 10)
        assert float(found["equivariance_value"]) > 0.5
        assert float(found["equivariance_jacobian"]) > 0.5
        assert list(losses.equivariance(lambda x: fixed, frames, fixed, warp, 0, 1)) == [
            "equivariance_jacobian"
        ]


def test_only_weighted_layers_of_vgg_are_asked():
    criterion = losses.perceptual_criterion([0, 2, 0, 0, 0], None)
    assert criterion.layer_weights == {6: 2}
    assert losses.perceptual_criterion([0] * 5, None) is None
    with pytest.raises(ValueError, match="expected 5 numbers"):
        losses.perceptual_criterion([1, 1], None)


def test_feature_matching_weighs_each_block():
    made = {"feature_maps_1": [paddle.ones([1, 1, 2, 2]), paddle.ones([1, 2, 1, 1])]}
    true = {"feature_maps_1": [paddle.zeros([1, 1, 2, 2]), 3 * paddle.ones([1, 2, 1, 1])]}
    assert float(losses.feature_matching(made, true, [1], [10, 1])) == 12
    with pytest.raises(ValueError, match="has 1 numbers and the discriminator 2 blocks"):
        losses.feature_matching(made, true, [1], [10])


def test_the_pyramid_sums_its_sizes():
    criterion = losses.perceptual_criterion([1, 0, 0, 0, 0], None)
    paddle.seed(0)
    made = {"prediction_1": paddle.rand([1, 3, 8, 8]), "prediction_0.5": paddle.rand([1, 3, 4, 4])}
    zero = losses.pyramid_distance(criterion, made, made)
    other = {key: 1 - picture for key, picture in made.items()}
    parts = [float(losses.pyramid_distance(criterion, {k: made[k]}, {k: other[k]})) for k in made]
    assert float(zero) == 0
    assert np.isclose(float(losses.pyramid_distance(criterion, made, other)), sum(parts))


def test_scores_are_drawn_to_their_target():
    judged = {"prediction_map_1": paddle.full([1, 1, 2, 2], 3.0)}
    assert float(losses.adversarial(judged, [1], 1.0)) == 4


def test_pixels_are_compared_in_all_sizes():
    made = {
        "prediction_1": paddle.full([1, 3, 4, 4], 0.5),
        "prediction_0.5": paddle.ones([1, 3, 2, 2]),
    }
    true = {
        "prediction_1": paddle.zeros([1, 3, 4, 4]),
        "prediction_0.5": paddle.zeros([1, 3, 2, 2]),
    }
    made["prediction_1"].stop_gradient = true["prediction_1"].stop_gradient = False
    distance = losses.pixel_distance(made, true)
    assert float(distance) == 1.5
    distance.backward()
    assert made["prediction_1"].grad is not None
    assert true["prediction_1"].grad is None
