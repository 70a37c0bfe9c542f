# SPDX-License-Identifier: Apache-2.0
"""PSNR beyond bicubic enlargement: its definition, the worst picture, mistakes, merging."""

import math

import numpy as np
import paddle
import pytest
from skimage import data

from ppzoo.errors import ConfigError
from ppzoo.media.bicubic import resize_bicubic
from ppzoo.metrics.psnr import calculate_psnr
from ppzoo.metrics.psnr_gain import PSNRGain, calculate_psnr_gain
from ppzoo.registry import METRICS, build


@pytest.fixture(scope="module")
def photographs():
    """(result, truth, small picture) of two crops; the results lie between bicubic and truth."""
    cases = []
    for start, share in ((40, 0.5), (80, 0.2)):
        truth = data.astronaut()[start : start + 64, 120:168]
        small = resize_bicubic(truth, 1 / 4)
        mixed = (1 - share) * resize_bicubic(small, 4.0) + share * truth
        cases.append((mixed.round().astype("uint8"), truth, small))
    return cases


@pytest.mark.parametrize("luma", [False, True])
def test_definition(photographs, luma):
    output, truth, small = photographs[0]
    gain, bicubic = calculate_psnr_gain(output, truth, small, 4, luma)
    enlarged = resize_bicubic(small, 4.0)
    assert bicubic == calculate_psnr(enlarged, truth, 4, test_y_channel=luma)
    assert gain == calculate_psnr(output, truth, 4, test_y_channel=luma) - bicubic
    assert gain == pytest.approx(20 * math.log10(2), abs=0.2)  # half the error is left


def test_bicubic_itself_gains_nothing(photographs):
    _, truth, small = photographs[0]
    gain, _ = calculate_psnr_gain(resize_bicubic(small, 4.0), truth, small, 4)
    assert gain == 0.0


def test_mean_and_worst_picture(photographs):
    metric = build(METRICS, {"name": "PSNRGain", "crop_border": 4, "scale": 4})
    outputs, truths, smalls = map(list, zip(*photographs, strict=True))
    metric.update(outputs, truths, smalls)
    found = metric.accumulate()
    gains, bicubic = zip(*[calculate_psnr_gain(*case, 4) for case in photographs], strict=True)
    assert gains[1] < gains[0] - 1
    assert found == {
        "psnr_gain": pytest.approx(np.mean(gains)),
        "psnr_gain_least": gains[1],
        "psnr_bicubic": pytest.approx(np.mean(bicubic)),
    }
    worse = np.full_like(truths[0], 0)
    metric.update(worse, truths[0], smalls[0])
    assert metric.accumulate()["psnr_gain_least"] < 0


def test_flat_pictures_are_perfect_both_ways():
    flat = np.full((32, 32, 3), 77, np.uint8)
    assert calculate_psnr_gain(flat, flat, flat[:8, :8], 0) == (0.0, math.inf)


def test_tensors_of_a_model(photographs):
    def tensor(picture, low, high):
        array = picture.transpose(2, 0, 1)[None].astype("float32") / 255
        return paddle.to_tensor(low + (high - low) * array)

    for low, high in ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)):
        metric = PSNRGain(4)
        names = dict(zip(("output", "gt", "lq"), photographs[0], strict=True))
        outputs = {name: tensor(picture, low, high) for name, picture in names.items()}
        metric.update_from(outputs, (low, high))
        gain, bicubic = calculate_psnr_gain(*photographs[0], 4)
        assert metric.accumulate()["psnr_gain"] == gain
        assert metric.accumulate()["psnr_bicubic"] == bicubic
    with pytest.raises(ConfigError, match="needs the output 'lq'"):
        PSNRGain(4).update_from({name: outputs[name] for name in ("output", "gt")})


def test_merge(photographs):
    whole, parts = PSNRGain(4), [PSNRGain(4) for _ in range(3)]
    for part, case in zip(parts, photographs, strict=False):  # the third process sees nothing
        part.update(*case)
        whole.update(*case)
    merged = PSNRGain(4)
    merged.merge([part.state() for part in parts])
    assert merged.accumulate() == whole.accumulate()
    merged.reset()
    with pytest.raises(ValueError, match="PSNRGain has seen no pictures"):
        merged.accumulate()


@pytest.mark.parametrize(
    ("size", "scale", "message"),
    [
        ((16, 12), 3, r"\[64, 48, 3\] is not 3 times as large as its small one, \[16, 12, 3\]"),
        ((16, 11), None, "is not a whole number of times as large"),
        ((128, 96), None, "is not a whole number of times as large"),
    ],
)
def test_sizes_that_do_not_fit(photographs, size, scale, message):
    output, truth, _ = photographs[0]
    with pytest.raises(ValueError, match=message):
        PSNRGain(4, scale=scale).update(output, truth, np.zeros((*size, 3), np.uint8))


def test_other_mistakes(photographs):
    output, truth, small = photographs[0]
    with pytest.raises(ValueError, match="1 outputs, 2 true and 1 small pictures"):
        PSNRGain(4).update(output, [truth, truth], small)
    with pytest.raises(ValueError, match=r"differ in shape: \[63, 48, 3\]"):
        PSNRGain(4).update(output[1:], truth, small)
    with pytest.raises(ValueError, match="crop_border is -1"):
        PSNRGain(-1)
    with pytest.raises(ValueError, match="scale is 0"):
        PSNRGain(4, scale=0)
