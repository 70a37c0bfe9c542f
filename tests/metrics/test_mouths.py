# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ppzoo.media.mouths import INSIDE
from ppzoo.metrics.mouths import LowerHalfError, MouthFollows

OPEN = np.array([0, 2, 5, 3, 1, 4])
HEARD = np.array([4, 1, 0, 2, 5, 3])


def faces(openings, level=200):
    pictures = np.full((len(openings), 24, 24, 3), level, np.uint8)
    for picture, rows in zip(pictures, openings, strict=True):
        picture[15 : 15 + rows, 6:18] = INSIDE
    return list(pictures)


def seen(metric, made, other, opening=OPEN, heard=HEARD, clip=(7, 7)):
    """Show six frames as two windows of three."""
    metric.update(
        faces(made), faces(opening), faces(other), opening.reshape(2, 3), heard.reshape(2, 3), clip
    )


def test_mouths_that_do_what_is_heard():
    metric = MouthFollows()
    seen(metric, OPEN, HEARD)
    found = metric.accumulate()
    other = np.corrcoef(OPEN, HEARD)[0, 1]
    assert found["sound"] == found["sound_least"] == pytest.approx(1)
    assert found["real"] == found["other_sound_heard"] == pytest.approx(1)
    assert found["other_sound_own"] == pytest.approx(other)


def test_mouths_that_stand_still_follow_nothing():
    metric = MouthFollows()
    seen(metric, np.full(6, 3), np.full(6, 3))
    found = metric.accumulate()
    assert found["sound"] == found["other_sound_heard"] == found["other_sound_own"] == 0


def test_each_clip_has_its_own_correlation():
    metric = MouthFollows()
    # Of all frames together the correlation would be high: the second clip's mouths are wider open.
    metric.update(
        faces([0, 1, 2, 9, 8, 7]),
        faces([0, 1, 2, 7, 8, 9]),
        faces([0] * 6),
        np.array([[0, 1, 2], [7, 8, 9]]),
        np.array([[0, 1, 2], [7, 8, 9]]),
        np.array([3, 4]),
    )
    found = metric.accumulate()
    assert found["sound"] == pytest.approx(0, abs=1e-9)
    assert found["sound_least"] == pytest.approx(-1)


def test_one_frame_has_no_correlation():
    metric = MouthFollows()
    metric.update(faces([1]), faces([1]), faces([1]), np.ones((1, 1)), np.ones((1, 1)), [0])
    with pytest.raises(ValueError, match="two frames"):
        metric.accumulate()


def test_the_lower_half_is_compared_with_what_needs_no_sound():
    metric = LowerHalfError()
    real, source, other = (
        faces([0, 4], 200),
        faces([2, 2], 200),
        faces([4, 0], 200),
    )
    made = [picture.copy() for picture in real]
    for picture in made:
        picture[12:] += 6  # an error of 6 levels
        picture[:12] = 0  # of the upper half, which is of no account
    metric.update(made, real, other, source, [1])
    found = metric.accumulate()
    mouth = np.abs(200 - np.array(INSIDE)).mean() * 12 / (12 * 24)  # of each row that differs
    assert found["made"] == pytest.approx(6)
    assert found["reference"] == pytest.approx(2 * mouth)
    assert found["other_sound"] == pytest.approx(4 * mouth)
    assert found["average"] == pytest.approx(2 * mouth)  # half of four rows
    assert found["of_average"] == found["of_average_most"] == pytest.approx(6 / (2 * mouth))
    assert found["of_other_sound"] == pytest.approx(6 / (4 * mouth))


def test_the_average_is_each_clips_own():
    metric = LowerHalfError()
    for clip, level in ((0, 50), (1, 220)):
        pictures = faces([1, 1], level)
        metric.update(pictures, pictures, faces([3, 3], level), pictures, [clip])
    assert metric.accumulate()["average"] == 0


@pytest.mark.parametrize("metric", [MouthFollows, LowerHalfError])
def test_nothing_seen_and_what_does_not_fit(metric):
    empty = metric()
    with pytest.raises(ValueError, match="no frames"):
        empty.accumulate()
    three = faces([1, 2, 3])
    known = [three] if metric is LowerHalfError else [np.ones(3), np.ones(3)]
    with pytest.raises(ValueError, match="2 windows"):
        empty.update(three, three, three, *known, [0, 1])


@pytest.mark.parametrize("metric", [MouthFollows, LowerHalfError])
def test_processes_see_together_what_one_would(metric):
    random = np.random.RandomState(0)
    whole, parts = metric(), [metric(), metric()]
    for clip in range(2):
        kinds = [faces(random.randint(0, 8, 4)) for _ in range(4)]
        known = [random.rand(2, 2), random.rand(2, 2)]
        for part in (whole, parts[clip]):
            if metric is LowerHalfError:
                part.update(*kinds, [clip, clip])
            else:
                part.update(*kinds[:3], *known, [clip, clip])
    parts[0].merge([part.state() for part in parts])
    assert parts[0].accumulate() == pytest.approx(whole.accumulate())
    parts[0].reset()
    with pytest.raises(ValueError, match="no frames"):
        parts[0].accumulate()
