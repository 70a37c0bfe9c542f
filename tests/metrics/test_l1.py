# SPDX-License-Identifier: Apache-2.0
"""L1: values worked out by hand, its ratio over copying the source, merging, mistakes."""

import numpy as np
import paddle
import pytest

from ppzoo.metrics.l1 import calculate_l1
from ppzoo.registry import METRICS, build


def flat(level):
    return np.full((2, 3, 3), level, "uint8")


def metric():
    return build(METRICS, {"name": "L1"})


def test_one_pair():
    first = np.array([[[0, 255, 51]]], "uint8")
    second = np.array([[[255, 0, 0]]], "uint8")
    assert calculate_l1(first, second) == pytest.approx((1 + 1 + 0.2) / 3)
    assert calculate_l1(second, first) == pytest.approx((1 + 1 + 0.2) / 3)


def test_ratio_of_the_means():
    made = metric()
    made.update([flat(100), flat(40)], [flat(151), flat(91)], [flat(253), flat(91)])
    # 51 levels are 0.2; copying the second source would be right.
    assert made.accumulate() == {"mean": pytest.approx(0.2), "over_source": pytest.approx(1.0)}
    made.update(flat(10), flat(10), flat(214))
    assert made.accumulate() == {
        "mean": pytest.approx(0.4 / 3),
        "over_source": pytest.approx(0.4 / 1.2),
    }


def test_no_ratio_where_there_is_nothing_to_compare_with():
    made = metric()
    made.update([flat(0), flat(51)], [flat(0), flat(0)])
    assert made.accumulate() == {"mean": pytest.approx(0.1)}
    same = metric()
    same.update(flat(51), flat(0), flat(0))
    assert same.accumulate() == {"mean": pytest.approx(0.2)}


def test_from_outputs_of_a_model():
    def images(value):
        return paddle.full([2, 3, 4, 4], value)

    made = metric()
    made.update_from({"fake": images(0.2), "real": images(1.0), "source": images(-1.0)})
    assert made.accumulate() == {
        "mean": pytest.approx(0.4),
        "over_source": pytest.approx(0.4),
    }
    plain = metric()
    plain.update_from({"output": images(0.25), "gt": images(0.65)}, min_max=(0.0, 1.0))
    assert plain.accumulate() == {"mean": pytest.approx(0.4, abs=0.5 / 255)}


def test_parts_add_up_to_the_whole():
    whole, parts = metric(), [metric(), metric(), metric()]
    for part, levels in zip(parts, [(1, 2, 3), (10, 30, 90)], strict=False):
        for each in (whole, part):
            each.update(*map(flat, levels))
    merged = metric()
    merged.merge([part.state() for part in parts])
    assert merged.accumulate() == whole.accumulate()


def test_mistakes():
    with pytest.raises(ValueError, match="seen no pictures"):
        metric().accumulate()
    with pytest.raises(ValueError, match="differ in shape"):
        metric().update(flat(0), np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="1 and 2 pictures"):
        metric().update([flat(0)], [flat(0)] * 2)
