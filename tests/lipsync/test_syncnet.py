# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import DataError

from .pieces import batch, model, ready


def test_embeddings_have_length_one_and_no_negative_number():
    net = model("syncnet").nets.syncnet
    sound, lips = net(paddle.randn([3, 1, 80, 16]), paddle.rand([3, 15, 48, 96]))
    for embedding in (sound, lips):
        assert embedding.shape == [3, 32]
        assert np.allclose(np.linalg.norm(embedding.numpy(), axis=1), 1, atol=1e-5)
        assert embedding.numpy().min() >= 0


def test_it_learns_to_tell_pairs_apart():
    made, pairs = ready(model("syncnet"), rate=3e-3), batch(4)
    first = made.train_step(pairs)
    for made.iteration in range(1, 30):
        last = made.train_step(pairs)
    assert float(last["sync_loss"]) < 0.6 * float(first["sync_loss"])
    assert float(last["accuracy"]) >= 0.9


def test_half_of_the_pairs_are_in_sync():
    made = model("syncnet")
    made.train()
    outputs = made.eval_step(batch(3))
    assert outputs["in_sync"].tolist() == [1, 1, 1, 0, 0, 0]
    assert outputs["cosine"].shape == [6]


def test_sounds_around_are_compared_with_true_lips():
    made = model("syncnet")
    outputs = made.eval_step(batch(2, reach=3))
    expected = np.sqrt(2 - 2 * outputs["cosine"][:2].numpy())
    assert np.allclose(outputs["distances_real"][:, 3].numpy(), expected, atol=1e-3)
    assert "distances_fake" not in outputs


def test_other_data_are_refused():
    with pytest.raises(DataError, match="gives no x, mel, y"):
        ready(model("syncnet")).train_step({})
