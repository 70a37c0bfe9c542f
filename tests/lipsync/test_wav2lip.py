# SPDX-License-Identifier: Apache-2.0
import contextlib

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from ppzoo.errors import DataError, WeightsError
from ppzoo.lipsync import wav2lip
from ppzoo.weights import write_pdparams

from .pieces import batch, model, ready, state

NAMES = ["wav2lip", "wav2lip_hq"]


def test_clips_are_drawn_frame_by_frame():
    net, clips = model("wav2lip").nets.netG, batch()
    net.eval()
    drawn = net(clips["indiv_mels"], clips["x"])
    assert drawn.shape == clips["y"].shape
    alone = net(clips["indiv_mels"][:, 3], clips["x"][:, :, 3])
    assert np.allclose(drawn[:, :, 3].numpy(), alone.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_to_draw_faces(name):
    made, clips = ready(model(name), rate=3e-3), batch()
    first = made.train_step(clips)
    for made.iteration in range(1, 12):
        last = made.train_step(clips)
    assert float(last["l1_loss"]) < 0.9 * float(first["l1_loss"])
    expected = {"sync_loss", "l1_loss"}
    if name == "wav2lip_hq":
        expected |= {"perceptual_loss", "disc_real_loss", "disc_fake_loss"}
    assert set(last) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_expert_stays_as_it_is(name):
    made = ready(model(name))
    expert = made.nets[made.EXPERT]
    before = state(expert)
    seen = []
    expert.register_forward_pre_hook(lambda layer, inputs: seen.append(layer.training))
    made.train_step(batch())
    assert seen == [False]
    assert all(np.array_equal(value, before[key]) for key, value in state(expert).items())
    assert all(layer.training for layer in expert.sublayers(include_self=True))


def test_the_expert_has_its_share():
    logs = {"sync_loss": paddle.to_tensor(2.0), "l1_loss": paddle.to_tensor(1.0)}
    total, _ = model("wav2lip").weighted(logs, {"sync_loss": 0.25})
    assert float(total) == 1.25


class TestLateExpert:
    @pytest.fixture
    def late(self, monkeypatch):
        monkeypatch.setattr(wav2lip, "_ASK_EVERY", 1)
        return ready(model("wav2lip", syncnet_wt=0.0))

    def test_it_waits_for_good_faces(self, late):
        late.sync_threshold = 0.0
        assert float(late.train_step(batch())["sync_loss"]) == 0
        assert late.syncnet_wt == 0
        assert 0 < late.expert_loss < float("inf")

    def test_then_it_takes_part_and_a_resumed_run_knows(self, late):
        late.sync_threshold = 1e9
        assert float(late.train_step(batch())["sync_loss"]) > 0
        assert late.syncnet_wt == 0.01
        other = model("wav2lip", syncnet_wt=0.0)
        other.load_extra_state(late.extra_state())
        assert (other.syncnet_wt, other.expert_loss) == (0.01, late.expert_loss)

    def test_never_if_its_late_share_is_zero(self, late):
        late.sync_threshold, late.late_syncnet_wt = 1e9, 0.0
        late.train_step(batch())
        assert late.syncnet_wt == 0


class TestExpertsWeights:
    def test_they_come_from_a_training_of_ours(self, tmp_path):
        expert = model("syncnet").nets.syncnet
        for parameter in expert.parameters():
            parameter.set_value(parameter + 0.1)
        path = tmp_path / "expert.pdparams"
        write_pdparams(path, {"syncnet": state(expert)})
        made = ready(model("wav2lip", pretrained_syncnet=str(path)))
        loaded = state(made.nets.netD)
        assert all(np.array_equal(loaded[key], value) for key, value in state(expert).items())

    def test_a_missing_file_is_said(self, tmp_path):
        with pytest.raises(WeightsError, match="there is no weights file"):
            ready(model("wav2lip", pretrained_syncnet=str(tmp_path / "none")))


def test_looking_tells_faces_and_cosines():
    made = model("wav2lip")
    made.train()
    outputs = made.eval_step(batch(3))
    assert outputs["fake"].shape == outputs["real"].shape == outputs["source"].shape
    assert outputs["fake"].shape == [15, 3, 96, 96]
    assert outputs["sync_fake"].shape == outputs["sync_real"].shape == [3]
    assert made.visuals(batch(3))["made"].shape == [3, 3, 96, 96]


def test_whole_clips_are_also_made_to_another_sound():
    made, clips = model("wav2lip"), batch(3, whole=True)
    outputs = made.eval_step(clips)
    with made.evaluating():
        own, other = (
            made.nets.netG(clips[key], clips["x"])[1, :, 2] for key in ("indiv_mels", "other_sound")
        )
    place = 1 * 5 + 2  # the third frame of the second window
    for name, face in (("fake", own), ("fake_other_sound", other)):
        expected = face.numpy()[::-1] * 2 - 1
        assert np.allclose(outputs[name][place].numpy(), expected, atol=1e-5)
    assert not np.allclose(own.numpy(), other.numpy(), atol=1e-4)
    for key in ("clip", "opening", "opening_other_sound"):
        assert np.array_equal(outputs[key].numpy(), clips[key].numpy())
    assert "fake_other_sound" not in made.eval_step(batch(2))


def test_sounds_around_are_compared_with_both_kinds_of_lips():
    made = model("wav2lip")
    assert not set(made.eval_step(batch(2))) & {"mels_around", "mouths_fake", "distances_fake"}
    outputs = made.eval_step(batch(2, reach=3))
    expert = made.nets.netD
    expert.eval()
    for kind, cosines in (("fake", "sync_fake"), ("real", "sync_real")):
        assert outputs[f"mouths_{kind}"].shape == [2, 15, 48, 96]
        distances = outputs[f"distances_{kind}"].numpy()
        assert distances.shape == (2, 7)
        # Of embeddings of length 1, and no offset is in the middle.
        expected = np.sqrt(2 - 2 * outputs[cosines].numpy())
        assert np.allclose(distances[:, 3], expected, atol=1e-3)
        sounds, lips = expert(outputs["mels_around"][1], outputs[f"mouths_{kind}"][1:])
        apart = np.linalg.norm(sounds.numpy() - lips.numpy(), axis=1)
        assert np.allclose(distances[1], apart, atol=1e-5)
    first = outputs["fake"][0].numpy()  # of five frames, RGB in [-1, 1]
    lower = (first[::-1, 48:] + 1) / 2
    assert np.allclose(outputs["mouths_fake"][0, :3].numpy(), lower, atol=1e-5)


def test_the_discriminator_sees_lower_halves_only():
    net = model("wav2lip_hq").nets.netDH
    faces = paddle.rand([2, 3, 5, 96, 96])
    other = paddle.concat([1 - faces[:, :, :, :48], faces[:, :, :, 48:]], axis=3)
    assert net(faces).shape == [10, 1]
    assert np.array_equal(net(faces).numpy(), net(other).numpy())


class TestLowPrecision:
    """The discriminator's last convolution gives float16, as under autocast."""

    @pytest.fixture
    def sure(self):
        class Sure(nn.Layer):
            def forward(self, x):
                return paddle.full([x.shape[0], 1, 1, 1], 9.0, "float16")

        made = model("wav2lip_hq")
        made.nets.netDH.binary_pred[0] = Sure()
        return made

    def test_a_sure_discriminator_is_not_certain(self, sure):
        faces = batch()["y"]
        chances = sure.nets.netDH(faces)
        assert chances.dtype == paddle.float32
        assert np.allclose(1 - chances.numpy(), 1.2339e-4, rtol=1e-3)
        _, logs = sure.d_loss(faces, faces)
        assert float(logs["disc_fake_loss"]) == pytest.approx(9.0, abs=1e-3)
        assert float(logs["disc_real_loss"]) == pytest.approx(1.2339e-4, rel=1e-3)

    def test_autocast_does_not_reach_chances_and_their_loss(self, sure, monkeypatch):
        depth, seen = [], []

        @contextlib.contextmanager
        def off(enable=True):
            assert not enable
            depth.append(None)
            yield
            depth.pop()

        def spy(name):
            real = getattr(F, name)

            def spied(*args, **options):
                seen.append((name, len(depth)))
                return real(*args, **options)

            monkeypatch.setattr(F, name, spied)

        monkeypatch.setattr(paddle.amp, "auto_cast", off)
        spy("sigmoid")
        spy("binary_cross_entropy")
        sure.nets.netDH.perceptual_forward(batch()["y"])
        assert [each for each in seen if each[0] == "sigmoid"][-1:] == [("sigmoid", 1)]
        assert seen[-1] == ("binary_cross_entropy", 1)


@pytest.mark.parametrize("changes", [{"syncnet_wt": 1.5}, {"late_syncnet_wt": -1}])
def test_shares_are_checked(changes):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        model("wav2lip", **changes)


def test_other_data_are_refused():
    with pytest.raises(DataError, match="gives no x, y, mel, indiv_mels"):
        ready(model("wav2lip")).train_step({})
