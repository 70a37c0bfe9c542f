# SPDX-License-Identifier: Apache-2.0
"""How metrics take a model's outputs."""

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.metrics.base import Metric
from ppzoo.registry import METRICS


class Recorder(Metric):
    inputs = ("fake", "fake_class?")

    def reset(self):
        self.seen = []

    def update(self, *args):
        self.seen = list(args)

    def accumulate(self):
        return 0.0

    def state(self):
        return {}

    def merge(self, states):
        raise NotImplementedError


class Pictures(Recorder):
    inputs = ("output", "gt")
    as_uint8 = True


def test_inputs_are_picked_by_name():
    metric = Recorder()
    metric.update_from({"fake": "images", "fake_class": "classes", "other": 1})
    assert metric.seen == ["images", "classes"]


def test_optional_inputs_may_be_absent():
    metric = Recorder()
    metric.update_from({"fake": "images"})
    assert metric.seen == ["images", None]
    metric.update_from({"fake": "images", "fake_class": None})
    assert metric.seen == ["images", None]


def test_a_missing_output_is_named():
    with pytest.raises(ConfigError, match=r"Pictures needs the output 'gt'.*gives fake, output"):
        Pictures().update_from({"output": np.zeros((1, 3, 4, 4)), "fake": 1})


@pytest.mark.parametrize("min_max", [(-1.0, 1.0), (0.0, 1.0)])
def test_images_become_pictures(min_max):
    metric = Pictures()
    ones = paddle.ones([2, 1, 4, 5])
    metric.update_from({"output": ones, "gt": 0 * ones}, min_max)
    result, truth = metric.seen
    assert [picture.shape for picture in result] == [(4, 5, 3)] * 2
    assert result[0].dtype == np.uint8
    assert result[0].max() == 255
    assert truth[1].max() == (128 if min_max[0] else 0)


def test_all_are_registered():
    assert {"PSNR", "SSIM", "FID", "KID", "DigitQuality"} <= set(METRICS)


def test_the_first_of_two_inputs_that_is_there_is_picked():
    class Either(Recorder):
        inputs = ("output|fake",)

    metric = Either()
    metric.update_from({"fake": 2})
    assert metric.seen == [2]
    metric.update_from({"output": 1, "fake": 2})
    assert metric.seen == [1]
    with pytest.raises(ConfigError, match="needs the output 'output'"):
        metric.update_from({"real": 3})
