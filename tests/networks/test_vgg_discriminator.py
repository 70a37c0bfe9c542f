# SPDX-License-Identifier: Apache-2.0
"""ESRGAN's discriminator: what it takes. Its numbers are among the golden cases."""

import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.networks.vgg_discriminator import VGGDiscriminator128


def test_scores_each_picture():
    assert VGGDiscriminator128(3, 2)(paddle.rand([2, 3, 128, 128])).shape == [2, 1]


@pytest.mark.parametrize("shape", [[1, 3, 96, 96], [1, 1, 128, 128]])
def test_refuses_other_pictures(shape):
    with pytest.raises(ConfigError, match=r"\[3, 128, 128\].*gt_patch_size"):
        VGGDiscriminator128(3, 2)(paddle.rand(shape))


def test_refuses_other_norms():
    with pytest.raises(ValueError, match="norm_layer is 'instance'"):
        VGGDiscriminator128(3, 2, norm_layer="instance")
