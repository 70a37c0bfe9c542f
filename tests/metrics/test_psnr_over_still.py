# SPDX-License-Identifier: Apache-2.0
"""What other frames are worth: its definition, the worst clip, merging, mistakes."""

import numpy as np
import pytest
from skimage import data

from ppzoo.metrics.psnr import calculate_psnr
from ppzoo.registry import METRICS, build


@pytest.fixture(scope="module")
def clips():
    """(output, truth, still): noise in `still` is twice and four times that of the output."""
    random = np.random.RandomState(0)
    truth = data.astronaut()[40:72, 100:140]
    noise = random.normal(size=truth.shape)

    def noisy(amount):
        return (truth + amount * noise).round().clip(0, 255).astype("uint8")

    return [(noisy(4), truth, noisy(8)), (noisy(3), truth, noisy(12))]


def metric(**options):
    return build(METRICS, {"name": "PSNROverStill", "crop_border": 2, **options})


@pytest.mark.parametrize("luma", [False, True])
def test_mean_and_worst_clip(clips, luma):
    made = metric(test_y_channel=luma)
    outputs, truths, stills = map(np.stack, zip(*clips, strict=True))
    made.update(outputs, truths, stills)
    gains = [
        calculate_psnr(output, truth, 2, test_y_channel=luma)
        - calculate_psnr(still, truth, 2, test_y_channel=luma)
        for output, truth, still in clips
    ]
    assert made.accumulate() == {
        "psnr_over_still": pytest.approx(np.mean(gains)),
        "psnr_over_still_least": pytest.approx(gains[0]),
    }
    assert gains[0] == pytest.approx(6, abs=0.7)
    assert gains[1] == pytest.approx(12, abs=0.7)


def test_a_network_that_ignores_time_gains_nothing(clips):
    made, (output, truth, _) = metric(), clips[0]
    made.update(output, truth, output)
    made.update(truth, truth, truth)
    assert made.accumulate() == {"psnr_over_still": 0.0, "psnr_over_still_least": 0.0}


def test_parts_add_up_to_the_whole(clips):
    whole, parts = metric(), [metric(), metric()]
    for part, clip in zip(parts, clips, strict=True):
        whole.update(*clip)
        part.update(*clip)
    merged = metric()
    merged.merge([part.state() for part in parts])
    assert merged.accumulate() == whole.accumulate()


def test_mistakes_are_named(clips):
    with pytest.raises(ValueError, match="has seen no pictures"):
        metric().accumulate()
    _, truth, still = clips[0]
    with pytest.raises(ValueError, match=r"longer|shorter"):
        metric().update([truth], [truth, truth], [still])
    with pytest.raises(ValueError, match="crop_border is -1"):
        metric(crop_border=-1)
