# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ppzoo.metrics.sync import SyncAccuracy


def test_both_kinds_of_pairs_count_alike():
    metric = SyncAccuracy()
    metric.update(np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 1, 1, 0]))
    found = metric.accumulate()
    assert found["accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["ranked"] == 1


def test_guessing_ranks_by_half():
    metric = SyncAccuracy()
    metric.update(np.full(4, 0.7), np.array([1, 1, 0, 0]))
    assert metric.accumulate() == {"accuracy": 0.5, "ranked": 0.5}


def test_one_kind_is_too_little():
    metric = SyncAccuracy()
    metric.update(np.array([0.9]), np.array([1]))
    with pytest.raises(ValueError, match="pairs in sync and others"):
        metric.accumulate()


def test_processes_see_together_what_one_would():
    whole, parts = SyncAccuracy(), [SyncAccuracy(), SyncAccuracy()]
    cosines, truth = np.array([0.9, 0.4, 0.6, 0.1]), np.array([1, 0, 1, 0])
    whole.update(cosines, truth)
    for i, part in enumerate(parts):
        part.update(cosines[i::2], truth[i::2])
    parts[0].merge([part.state() for part in parts])
    assert parts[0].accumulate() == whole.accumulate()
    parts[0].reset()
    assert parts[0].state()["cosines"].size == 0
