# SPDX-License-Identifier: Apache-2.0
"""AKD: values worked out by hand, units, the ratio over copying the source, merging, mistakes."""

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.registry import METRICS, build

TRUE = [[[10.0, 20.0], [30.0, 40.0]]]


def metric():
    return build(METRICS, {"name": "AKD"})


def moved(x, y):
    """Return the true keypoints with the second one moved by pixels."""
    return np.add(TRUE, [[[0, 0], [x, y]]])


def test_pixels():
    made = metric()
    made.update(moved(3, 4), TRUE)
    assert made.accumulate() == {"mean": 2.5, "per_coordinate": 1.75}
    made.update(moved(-6, 8), TRUE)
    assert made.accumulate() == {"mean": 3.75, "per_coordinate": 2.625}


def test_pictures_give_the_size():
    # From the middle of the first to that of the last of 9 columns and of 5 rows.
    made = metric()
    corners = paddle.to_tensor([[[-1.0, -1.0], [1.0, 1.0]]])
    ends = paddle.to_tensor([[[1.0, -1.0], [1.0, -1.0]]])
    made.update_from({"kp_fake": corners, "kp_driving": ends, "real": paddle.zeros([1, 3, 5, 9])})
    assert made.accumulate() == {"mean": (8 + 4) / 2, "per_coordinate": (8 + 4) / 4}


def test_ratio_over_copying_the_source():
    made = metric()
    made.update(moved(3, 4), TRUE, source=moved(0, 20))
    made.update(moved(0, 1), TRUE, source=moved(0, 4))
    assert made.accumulate()["over_source"] == pytest.approx((5 + 1) / (20 + 4))
    made.update(moved(3, 4), TRUE)
    assert "over_source" not in made.accumulate()
    still = metric()
    still.update(moved(3, 4), TRUE, source=TRUE)
    assert "over_source" not in still.accumulate()


def test_parts_add_up_to_the_whole():
    whole, parts = metric(), [metric(), metric(), metric()]
    for part, (x, y) in zip(parts, [(3, 4), (6, 8)], strict=False):
        for each in (whole, part):
            each.update(moved(x, y), TRUE, source=moved(20, 0))
    merged = metric()
    merged.merge([part.state() for part in parts])
    assert (
        merged.accumulate()
        == whole.accumulate()
        == {
            "mean": 3.75,
            "per_coordinate": 2.625,
            "over_source": 0.375,
        }
    )


def test_a_state_stays_as_it_was():
    made, other = metric(), metric()
    made.update(moved(3, 4), TRUE)
    state = made.state()
    made.update(moved(6, 8), TRUE)
    other.merge([state])
    assert other.accumulate() == {"mean": 2.5, "per_coordinate": 1.75}


def test_mistakes():
    with pytest.raises(ValueError, match="seen no keypoints"):
        metric().accumulate()
    with pytest.raises(ValueError, match=r"\[N, K, 2\].*\[1, 2, 2\] and \[1, 1, 2\]"):
        metric().update(TRUE, [[[0.0, 0.0]]])
    with pytest.raises(ValueError, match=r"\[N, K, 2\]"):
        metric().update(TRUE[0], TRUE[0])
    with pytest.raises(ConfigError, match="needs the output 'kp_fake'"):
        metric().update_from({"fake": 0})
