# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle

from ppzoo.lipsync.losses import cosine_loss, mouths_of


def test_equal_embeddings_are_in_sync():
    one = paddle.nn.functional.normalize(paddle.rand([4, 8]), axis=1)
    assert float(cosine_loss(one, one, paddle.ones([4, 1]))) < 1e-4
    assert float(cosine_loss(one, one, paddle.zeros([4, 1]))) > 10
    assert np.isfinite(float(cosine_loss(1e3 * one, 1e3 * one, paddle.zeros([4, 1]))))


def test_orthogonal_embeddings_are_not():
    axes = paddle.eye(2)
    assert float(cosine_loss(axes[:1], axes[1:], paddle.zeros([1, 1]))) == 0


def test_mouths_are_the_lower_halves_frame_by_frame():
    faces = paddle.arange(2 * 3 * 5 * 4 * 2, dtype="float32").reshape([2, 3, 5, 4, 2])
    mouths = mouths_of(faces)
    assert mouths.shape == [2, 15, 2, 2]
    assert (mouths[1, 3 * 2 + 1] == faces[1, 1, 2, 2:]).all()
