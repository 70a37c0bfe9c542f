# SPDX-License-Identifier: Apache-2.0
"""FID over batches and processes."""

import numpy as np
import paddle
import pytest

from ppzoo.metrics.features import frechet_distance
from ppzoo.metrics.fid import FID, fid_from_features
from ppzoo.registry import METRICS, build


def flatten(images):
    return images.reshape([images.shape[0], -1])


@pytest.fixture
def sides():
    rng = np.random.default_rng(5)
    fake = rng.normal(0.2, 1.3, (31, 3, 2, 2)).astype(np.float32)
    return fake, rng.normal(size=(40, 3, 2, 2)).astype(np.float32)


def expected_distance(fake, real):
    a, b = (side.reshape(len(side), -1).astype(np.float64) for side in (fake, real))
    return frechet_distance(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))


def test_from_features(sides):
    features = [side.reshape(len(side), -1) for side in sides]
    assert fid_from_features(*features) == pytest.approx(expected_distance(*sides), rel=1e-9)
    assert fid_from_features(features[0], features[0]) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match=r"\[31, 3, 2, 2\]"):
        fid_from_features(*sides)
    with pytest.raises(ValueError, match="at least two images"):
        fid_from_features(features[0][:1], features[1])


def test_fewer_samples_than_features():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(4, 64)), rng.normal(size=(6, 64))
    found = fid_from_features(a, b)
    assert np.isfinite(found)
    assert found >= ((a.mean(0) - b.mean(0)) ** 2).sum()


def test_batches_equal_the_whole(sides):
    fake, real = sides
    metric = FID(feature_extractor=flatten)
    for start in range(0, 40, 8):
        metric.update(
            paddle.to_tensor(fake[start : start + 8]), paddle.to_tensor(real[start : start + 8])
        )
    assert metric.accumulate() == pytest.approx(expected_distance(fake, real), rel=1e-6)


def test_merging_equals_one_process(sides):
    fake, real = sides
    whole, parts = FID(model=flatten), [FID(model=flatten) for _ in range(3)]
    whole.update(fake, real)
    for rank in range(2):
        parts[rank].update(fake[rank::2], real[rank::2])
    parts[2].merge([part.state() for part in parts])
    assert parts[2].accumulate() == pytest.approx(whole.accumulate(), rel=1e-9)


def test_memory_does_not_grow(sides):
    metric = FID(feature_extractor=flatten)
    sizes = []
    for _ in range(3):
        metric.update(*sides)
        sizes.append(sum(array.nbytes for array in metric.state().values()))
    assert len(set(sizes)) == 1


def test_reset(sides):
    metric = FID(feature_extractor=flatten)
    metric.update(*sides)
    metric.reset()
    with pytest.raises(ValueError, match="at least two images"):
        metric.accumulate()


def test_digits_extractor_by_name_in_a_config():
    from ppzoo.metrics.digits import digit_classifier

    classifier = digit_classifier()
    real = classifier.images[:, None] * 2 - 1
    metric = build(METRICS, {"name": "FID", "feature_extractor": "digits"})
    metric.update(real[:300], real[300:])
    close = metric.accumulate()
    metric.reset()
    metric.update(np.zeros_like(real[:300]), real[300:])
    assert close < 10 < 100 < metric.accumulate()
