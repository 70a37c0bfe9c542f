# SPDX-License-Identifier: Apache-2.0
"""A domain classifier that photographs and cartoons pass or fail as a person would say."""

import functools

import cv2
import numpy as np
import paddle
import pytest

from ppzoo.data.cartoon import cartoonise
from ppzoo.data.photographs import embedded_photograph
from ppzoo.metrics.domain import DomainClassifier, picture_features, spoiled
from ppzoo.registry import METRICS, build

COUNT, SIZE = 30, 64


@functools.cache
def crops(seed):
    """Return photographs and their cartoons, [30, 3, 64, 64] in [-1, 1]."""
    rng = np.random.default_rng(seed)
    photos, cartoons = [], []
    for name in ("chelsea", "coffee", "flower"):
        photo = embedded_photograph(name)
        scale = 1.5 * SIZE / min(photo.shape[:2])
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cartoon = cartoonise(photo, size=SIZE)
        for _ in range(COUNT // 3):
            y, x = (rng.integers(length - SIZE + 1) for length in photo.shape[:2])
            photos.append(photo[y : y + SIZE, x : x + SIZE])
            cartoons.append(cartoon[y : y + SIZE, x : x + SIZE])
    return tuple(
        np.stack(side).transpose(0, 3, 1, 2).astype("float32") / 127.5 - 1
        for side in (photos, cartoons)
    )


@functools.cache
def seen():
    """Return what a metric has seen of photographs, and cartoons of other crops."""
    photos, targets = crops(1)[0], crops(2)[1]
    metric = build(METRICS, {"name": "DomainClassifier"})
    for part in (slice(0, 7), slice(7, None)):
        metric.update(photos[part], paddle.to_tensor(targets[part]), photos[part])
    return metric.state()


def figures(translate):
    """Return the figures of a translation."""
    images = np.nan_to_num(translate(*crops(1)), nan=-1).clip(-1, 1)
    features = [picture_features(x) for x in images.transpose(0, 2, 3, 1) / 2 + 0.5]
    metric = DomainClassifier()
    metric.merge([{**seen(), "fake": np.array(features)}])
    return metric.accumulate()


def blurred(images, sigma):
    pictures = [cv2.GaussianBlur(x.transpose(1, 2, 0), (0, 0), sigma) for x in images]
    return np.stack(pictures).transpose(0, 3, 1, 2)


def test_true_translation():
    found = figures(lambda photos, cartoons: cartoons)
    assert found["fooled"] >= 0.95
    assert found["accuracy"] >= 0.95
    assert found["ceiling"] >= 0.95
    assert DomainClassifier.headline in found


def test_identity():
    found = figures(lambda photos, cartoons: photos)
    assert found["fooled"] <= 0.05
    assert found["accuracy"] >= 0.95


@pytest.mark.parametrize(
    "translate",
    [
        lambda x: np.broadcast_to(x.mean(axis=(2, 3), keepdims=True), x.shape),
        lambda x: np.zeros_like(x),
        lambda x: blurred(x, 1.5),
        lambda x: blurred(x, 4.0),
        lambda x: np.random.default_rng(0).uniform(-1, 1, x.shape),
        lambda x: x + np.random.default_rng(0).normal(0, 0.1, x.shape),
        lambda x: x * 0.2,
        lambda x: np.clip(x * 1.3, -1, 1),
    ],
    ids=["mean", "grey", "blur", "strong blur", "noise", "noisy", "pale", "contrast"],
)
def test_what_is_no_cartoon_does_not_pass(translate):
    assert figures(lambda photos, cartoons: translate(photos))["fooled"] <= 0.15


def test_half_way_is_between():
    half = figures(lambda photos, cartoons: 0.5 * photos + 0.5 * cartoons)["fooled"]
    most = figures(lambda photos, cartoons: 0.15 * photos + 0.85 * cartoons)["fooled"]
    assert half < most
    assert half < 0.75


def test_reduced_pictures_are_averages_of_pixels():
    photos, cartoons = crops(1)
    small = [images.reshape(COUNT, 3, 32, 2, 32, 2).mean(axis=(3, 5)) for images in crops(1)]
    reduced, whole = DomainClassifier(reduce=2), DomainClassifier()
    reduced.update(cartoons, cartoons, photos)
    whole.update(small[1], small[1], small[0])
    for side, rows in whole.state().items():
        np.testing.assert_allclose(reduced.state()[side], rows, atol=1e-3)
    with pytest.raises(ValueError, match="reduce is 0"):
        DomainClassifier(0)


def test_equal_domains_cannot_be_told_apart():
    photos, others = crops(1)[0], crops(2)[0]
    metric = DomainClassifier()
    metric.update(photos, others, photos)
    assert metric.accumulate()["accuracy"] < 0.75


def test_pictures_are_judged_without_their_own_label():
    """Domains that differ by chance alone: whoever has seen the labels tells them apart."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (2, 24, 3, 16, 16))
    metric = DomainClassifier()
    metric.update(noise[1], noise[1], noise[0])
    found = metric.accumulate()
    assert found["accuracy"] < 0.75
    assert found["fooled"] < 0.75


def test_the_same_every_time():
    first = figures(lambda photos, cartoons: 0.3 * photos + 0.7 * cartoons)
    np.random.seed(99)
    assert figures(lambda photos, cartoons: 0.3 * photos + 0.7 * cartoons) == first


def test_values_that_are_none_or_too_large():
    images = np.zeros((1, 3, 16, 16))
    low, high, odd = DomainClassifier(), DomainClassifier(), DomainClassifier()
    low.update(images - 1, images, images)
    high.update(images + 1, images, images)
    for values, expected in ((np.nan, low), (-7, low), (7, high), (np.inf, high)):
        odd.reset()
        odd.update(np.full_like(images, values), images, images)
        np.testing.assert_array_equal(odd.state()["fake"], expected.state()["fake"])


def test_value_range_of_a_config():
    photos, cartoons = crops(1)
    wide, narrow = DomainClassifier(), DomainClassifier()
    outputs = {"fake": photos[:4], "real": cartoons[:3], "source": photos[:4]}
    wide.update_from(outputs)
    narrow.update_from({key: (value + 1) / 2 for key, value in outputs.items()}, (0.0, 1.0))
    for side, rows in wide.state().items():
        np.testing.assert_allclose(narrow.state()[side], rows, atol=0.03)


def test_merging_equals_one_process():
    photos, cartoons = crops(1)
    whole, parts = DomainClassifier(), [DomainClassifier() for _ in range(3)]
    whole.update(cartoons, crops(2)[1], photos)
    parts[0].update(cartoons[:11], crops(2)[1][:11], photos[:11])
    parts[1].update(cartoons[11:], crops(2)[1][11:], photos[11:])
    parts[0].merge([part.state() for part in parts])
    assert parts[0].accumulate() == whole.accumulate()
    parts[0].reset()
    with pytest.raises(ValueError, match="needs 10 pictures of each domain, got 0"):
        parts[0].accumulate()


def test_refusals():
    metric, images = DomainClassifier(), np.zeros((2, 3, 16, 16))
    with pytest.raises(ValueError, match=r"\[2, 1, 16, 16\]"):
        metric.update(images[:, :1], images, images)
    with pytest.raises(ValueError, match="at least 16 x 16"):
        metric.update(images, images, images[..., :15])
    with pytest.raises(ValueError, match="1 translated pictures do not come from 2"):
        metric.update(images[:1], images, images)


class TestFeatures:
    def test_do_not_depend_on_what_is_shown_where(self):
        picture = crops(1)[0][0].transpose(1, 2, 0) / 2 + 0.5
        features = picture_features(picture)
        for other in (picture[:, ::-1], picture[::-1], picture.transpose(1, 0, 2)):
            np.testing.assert_allclose(picture_features(other), features, atol=0.05)
        assert np.isfinite(features).all()

    def test_lines_and_flat_places(self):
        white = np.ones((64, 64, 3))
        lined = white.copy()
        lined[20:22] = 0.1
        different = np.abs(picture_features(lined) - picture_features(white)) > 1e-6
        thin_lines = 17
        assert picture_features(white)[thin_lines] == 0
        assert picture_features(lined)[thin_lines] == pytest.approx(np.sqrt(2 / 64))
        assert different.sum() > 5

    def test_spoiled_pictures_stay_pictures(self):
        picture = crops(1)[0][0].transpose(1, 2, 0) / 2 + 0.5
        variants = spoiled(picture)
        assert {variant.shape for variant in variants} == {picture.shape}
        for variant in variants:
            assert 0 <= variant.min() < variant.max() <= 1
            assert np.abs(variant - picture).mean() > 0.02
