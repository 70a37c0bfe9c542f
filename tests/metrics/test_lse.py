# SPDX-License-Identifier: Apache-2.0
"""LSE: distances worked out by hand, offsets that are known, clips, merging, mistakes."""

import math

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError, WeightsError
from ppzoo.metrics import lse
from ppzoo.metrics.lse import judge, load_expert, offset_distances
from ppzoo.registry import DISCRIMINATORS, METRICS, build
from ppzoo.weights import write_pdparams

REACH = 3
OFFSETS = 2 * REACH + 1


def metric(**options):
    return build(METRICS, {"name": "LSE", **options})


class Clocks:
    """An expert that hears and sees moments: its embeddings are hands of clocks."""

    def hear(self, moments):
        hands = moments.flatten(1)[:, 0]
        return paddle.stack([paddle.cos(hands), paddle.sin(hands)], axis=1)

    see = hear


def moments(shift, n=4, step=0.3):
    """Return lips at n moments, and sounds of which those `shift` frames later fit."""
    frames = np.arange(n)
    around = frames[:, np.newaxis] + np.arange(-REACH, REACH + 1) - shift
    lips = np.broadcast_to((step * frames)[:, np.newaxis, np.newaxis, np.newaxis], (n, 15, 4, 8))
    sounds = np.broadcast_to(
        (step * around)[..., np.newaxis, np.newaxis, np.newaxis], (n, OFFSETS, 1, 8, 4)
    )
    return [paddle.to_tensor(np.ascontiguousarray(array, np.float32)) for array in (lips, sounds)]


def windows(distances, **options):
    """Return arguments of `update` for windows that are like each other."""
    n = options.get("n", 1)
    rows = np.tile(np.float32(distances), (n, 1))
    return rows, np.ones_like(rows), np.zeros(n, int)


@pytest.mark.parametrize("shift", [-2, 0, 3])
@pytest.mark.parametrize("at_once", [256, 5])
def test_an_offset_is_recovered(shift, at_once, monkeypatch):
    monkeypatch.setattr(lse, "_AT_ONCE", at_once)
    lips, sounds = moments(shift)
    distances = offset_distances(Clocks(), lips, sounds).numpy()
    # Chords of angles of 0.3 a frame.
    away = 0.3 * np.abs(np.arange(-REACH, REACH + 1) - shift)
    assert np.allclose(distances, np.tile(2 * np.sin(away / 2), (4, 1)), atol=1e-5)
    made = metric()
    made.update(distances, distances, np.ones_like(distances), np.zeros(4, int))
    found = made.accumulate()
    assert found["offset"] == found["real_offset"] == shift
    assert found["distance"] == pytest.approx(0, abs=1e-5)
    assert found["confidence"] == pytest.approx(2 * math.sin(np.median(away) / 2), abs=1e-5)


def test_figures_by_hand():
    made = metric()
    fake, real = [0.9, 0.5, 0.7], [1.0, 0.9, 0.2]
    for n, (a, b) in ((1, (fake, real)), (3, (np.add(fake, 0.4), real))):
        made.update(windows(a, n=n)[0], *windows(b, n=n))
    # The second kind of window comes three times: 0.3 is added on average.
    assert made.accumulate() == {
        "distance": pytest.approx(0.8),
        "confidence": pytest.approx(0.2),
        "offset": 0,
        "real_distance": pytest.approx(0.2),
        "real_confidence": pytest.approx(0.7),
        "real_offset": 1,
    }


def test_an_offset_that_stands_out_is_clear():
    away = np.array([1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 1.0])
    for least, is_clear in ((0.5, True), (0.75, False)):
        means = np.insert(away, 4, [0.8, 0.9, least, 0.9, 0.8])
        found = judge(means)
        assert found.offset == -1
        assert found.spread == pytest.approx(away.std())
        assert found.confidence == pytest.approx(np.median(means) - least)
        assert found.is_clear is is_clear
    assert not judge(np.array([1.0, 0.1, 1.0])).is_clear


def test_where_there_was_no_sound_does_not_count():
    made = metric()
    rows = np.array([[0.0, 0.6, 0.8, 0.7, 0.9], [0.6, 0.2, 0.8, 0.7, 0.9]])
    known = np.array([[0, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    made.update(None, rows, known, [0, 0])
    assert made.accumulate() == {
        "real_distance": pytest.approx(0.6),
        "real_confidence": pytest.approx((0.7 + 0.8) / 2 - 0.6),
        "real_offset": -1,
    }


def test_clips_are_judged_one_by_one():
    early, late = [0.0, 0.4, 0.6, 0.6, 0.6], [0.6, 0.6, 0.6, 0.5, 0.2]
    rows, known = np.array([early, late, late]), np.ones([3, 5])
    whole, apart = metric(), metric(by_clip=True)
    for each in (whole, apart):
        each.update(rows, rows, known, [7, 9, 9])
    assert whole.accumulate()["offset"] == 2
    assert apart.accumulate() | {"real": None} == {
        "distance": pytest.approx(0.1),
        "confidence": pytest.approx((0.6 + 0.4) / 2),
        "offset": 0,
        "within_one": 0,
        "real_distance": pytest.approx(0.1),
        "real_confidence": pytest.approx((0.6 + 0.4) / 2),
        "real_offset": 0,
        "real_within_one": 0,
        "real": None,
    }
    apart.update([[0.6, 0.1, 0.6, 0.6, 0.6]], [early], np.ones([1, 5]), [8])
    found = apart.accumulate()
    assert found["within_one"] == pytest.approx(1 / 3)
    assert (found["offset"], found["real_offset"]) == (-1, -2)


@pytest.mark.parametrize("by_clip", [False, True])
def test_parts_add_up_to_the_whole(by_clip):
    random = np.random.RandomState(0)
    fake, real = random.uniform(size=(2, 6, OFFSETS))
    known, clips = random.uniform(size=(6, OFFSETS)) < 0.8, np.array([0, 1, 0, 2, 2, 1])
    whole = metric(by_clip=by_clip)
    whole.update(fake, real, known, clips)
    parts = [metric(by_clip=by_clip) for _ in range(3)]
    for part, rows in zip(parts, (slice(0, 2), slice(2, 6)), strict=False):
        part.update(fake[rows], real[rows], known[rows], clips[rows])
    merged = metric(by_clip=by_clip)
    merged.merge([part.state() for part in parts])
    assert merged.accumulate() == pytest.approx(whole.accumulate())


def test_what_a_broken_network_makes_is_not_hidden():
    made = metric()
    rows, known, clips = windows([0.4, 0.1, 0.4])
    made.update(np.full_like(rows, np.nan), rows, known, clips)
    found = made.accumulate()
    assert math.isnan(found["distance"])
    assert found["real_distance"] == pytest.approx(0.1)


class TestExpert:
    @pytest.fixture
    def expert(self):
        paddle.seed(1)
        return build(DISCRIMINATORS, {"name": "SyncNetColor", "ngf": 2})

    @pytest.fixture
    def outputs(self):
        paddle.seed(2)
        return {
            "mels_around": paddle.randn([2, 3, 1, 80, 16]),
            "mouths_fake": paddle.rand([2, 15, 48, 96]),
            "mouths_real": paddle.rand([2, 15, 48, 96]),
            "distances_fake": paddle.ones([2, 3]),
            "distances_real": paddle.ones([2, 3]),
            "has_sound": paddle.ones([2, 3]),
            "clip": paddle.to_tensor([0, 1]),
        }

    @pytest.mark.parametrize("layout", ["ours", "PaddleGAN's"])
    def test_weights_decide_who_is_asked(self, tmp_path, expert, outputs, layout):
        path = tmp_path / "expert.pdparams"
        state = {key: value.numpy() for key, value in expert.state_dict().items()}
        write_pdparams(path, {"syncnet": state} if layout == "ours" else state)
        made = metric(weights=str(path))
        made.update_from(outputs)
        found = made.accumulate()
        expert.eval()
        for kind, prefix in (("fake", ""), ("real", "real_")):
            means = offset_distances(expert, outputs[f"mouths_{kind}"], outputs["mels_around"])
            best = judge(means.numpy().mean(axis=0))
            assert found[f"{prefix}distance"] == pytest.approx(best.distance)
            assert 0 < best.distance < 1.42
        own = metric()
        own.update_from(outputs)
        assert own.accumulate()["distance"] == 1

    def test_other_weights_are_refused(self, tmp_path, expert):
        path = tmp_path / "expert.pdparams"
        state = {key: value.numpy() for key, value in expert.state_dict().items()}
        write_pdparams(path, {"netG": state})
        with pytest.raises(WeightsError, match="no network 'syncnet'"):
            load_expert(path)
        write_pdparams(path, {key: state[key] for key in list(state)[:-1]})
        with pytest.raises(WeightsError, match="does not fit"):
            load_expert(path)
        with pytest.raises(WeightsError, match="no weights file"):
            metric(weights=str(tmp_path / "none"))

    def test_missing_sounds_are_said(self):
        with pytest.raises(ConfigError, match="the option 'reach: 15'"):
            metric().update_from({"fake": 0})


def test_mistakes():
    with pytest.raises(ValueError, match="seen no frames"):
        metric().accumulate()
    with pytest.raises(ValueError, match="do not fit one another"):
        metric().update(np.ones([2, 3]), np.ones([2, 5]), np.ones([2, 5]), [0, 0])
    for means in ([1.0, 2.0], [1.0], [1.0, np.nan, 2.0]):
        with pytest.raises(ValueError, match="three offsets or more"):
            judge(np.array(means))
