# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.motion.firstorder.antialias import AntiAliasInterpolation2d, ImagePyramide


def test_flat_pictures_stay_flat_inside():
    small = AntiAliasInterpolation2d(3, 0.25)(paddle.full([1, 3, 64, 64], 0.7)).numpy()
    assert small.shape == (1, 3, 16, 16)
    assert np.allclose(small[:, :, 3:-3, 3:-3], 0.7, atol=1e-5)


def test_stripes_too_narrow_to_be_seen_become_grey():
    stripes = paddle.tile(paddle.to_tensor([0.0, 1.0]), [1, 1, 32, 16])
    small = AntiAliasInterpolation2d(1, 0.25)(stripes).numpy()
    assert np.abs(small[:, :, 3:-3, 3:-3] - 0.5).max() < 0.01


def test_whole_size_is_the_picture_itself():
    x = paddle.rand([1, 3, 5, 5])
    assert AntiAliasInterpolation2d(3, 1)(x) is x


@pytest.mark.parametrize("scale", [0.3, 2, 0])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="expected 1 over a whole number"):
        AntiAliasInterpolation2d(3, scale)


def test_a_pyramid_names_its_sizes():
    pyramid = ImagePyramide([1, 0.5], 3)
    sizes = {key: picture.shape for key, picture in pyramid(paddle.rand([2, 3, 8, 6])).items()}
    assert sizes == {"prediction_1": [2, 3, 8, 6], "prediction_0.5": [2, 3, 4, 3]}
    assert list(pyramid.state_dict()) == ["downs.1.weight", "downs.0-5.weight"]
