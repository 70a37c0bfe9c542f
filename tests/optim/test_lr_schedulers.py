# SPDX-License-Identifier: Apache-2.0
"""Learning rates at the iterations where they turn."""

import math

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.optim.lr_schedulers import CosineAnnealingRestartLR, LinearDecay, NonLinearDecay
from ppzoo.registry import LRSCHEDULERS, build


def rates(scheduler, steps):
    values = []
    for _ in range(steps):
        values.append(scheduler.get_lr())
        scheduler.step()
    return values


class TestLinearDecay:
    def test_constant_then_down_to_zero(self):
        # Epochs from 1: 1 and 2 at the full rate, 3 and 4 on the line, the fifth at zero.
        scheduler = LinearDecay(9.0, start_epoch=2, decay_epochs=2)
        assert rates(scheduler, 5) == pytest.approx([9.0, 9.0, 6.0, 3.0, 0.0])

    def test_an_epoch_has_one_rate(self):
        scheduler = LinearDecay(4.0, start_epoch=1, decay_epochs=1, iters_per_epoch=3)
        assert rates(scheduler, 9) == pytest.approx([4.0] * 3 + [2.0] * 3 + [0.0] * 3)

    def test_of_pix2pix(self):
        scheduler = LinearDecay(2e-4, start_epoch=100, decay_epochs=100, iters_per_epoch=400)
        for iteration, factor in ((0, 1), (100 * 400 - 1, 1), (100 * 400, 100 / 101)):
            scheduler.step(iteration)
            assert scheduler.get_lr() == pytest.approx(2e-4 * factor)
        scheduler.step(200 * 400 - 1)
        assert scheduler.get_lr() == pytest.approx(2e-4 / 101)

    def test_goes_on_where_it_was(self):
        first = LinearDecay(1.0, 2, 10)
        rates(first, 7)
        second = LinearDecay(1.0, 2, 10)
        second.set_state_dict(first.state_dict())
        assert rates(second, 3) == rates(first, 3)

    def test_an_epoch_has_iterations(self):
        with pytest.raises(ValueError, match="iters_per_epoch is 0, expected at least 1"):
            LinearDecay(1.0, 2, 2, iters_per_epoch=0)

    def test_a_line_has_a_length(self):
        with pytest.raises(ValueError, match="decay_epochs is -1, expected at least 0"):
            LinearDecay(1.0, 2, -1)


class TestNonLinearDecay:
    def test_formula(self):
        assert rates(NonLinearDecay(1.0, lr_decay=0.5), 4) == pytest.approx(
            [1, 1 / 1.5, 1 / 2, 1 / 2.5]
        )


class TestCosineAnnealingRestartLR:
    def test_an_end_belongs_to_its_period(self):
        scheduler = CosineAnnealingRestartLR(1.0, [4, 4], [1, 0.5], eta_min=0.1)
        half = [0.1 + 0.45 * (1 + math.cos(math.pi * i / 4)) for i in range(5)]
        again = [0.1 + 0.225 * (1 + math.cos(math.pi * i / 4)) for i in range(1, 5)]
        assert rates(scheduler, 8) == pytest.approx(half + again[:3])
        assert scheduler.get_lr() == pytest.approx(0.1)

    def test_past_the_last_period_it_stops(self):
        scheduler = CosineAnnealingRestartLR(1.0, [2, 3], [1, 1])
        scheduler.step(5)
        with pytest.raises(
            ConfigError, match="iteration 6 is past the last period, which ends at 5"
        ):
            scheduler.step()

    def test_every_period_has_a_weight(self):
        with pytest.raises(ValueError, match="periods has 2 entries and restart_weights 1"):
            CosineAnnealingRestartLR(1.0, [2, 2])

    def test_a_period_has_a_length(self):
        with pytest.raises(ValueError, match="an entry of periods is 0, expected at least 1"):
            CosineAnnealingRestartLR(1.0, [2, 0], [1, 1])

    def test_one_period_needs_no_weight(self):
        scheduler = CosineAnnealingRestartLR(2.0, [2])
        assert [*rates(scheduler, 2), scheduler.get_lr()] == pytest.approx([2.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("spec", "after_two"),
    [
        ({"name": "LinearDecay", "start_epoch": 1, "decay_epochs": 3}, 0.5),
        ({"name": "MultiStepDecay", "milestones": [1, 2], "gamma": 0.5}, 0.25),
        ({"name": "NonLinearDecay", "lr_decay": 1.0}, 1 / 3),
        ({"name": "CosineAnnealingRestartLR", "periods": [4]}, 0.5),
    ],
)
def test_an_optimizer_follows(spec, after_two):
    scheduler = build(LRSCHEDULERS, spec, learning_rate=1.0)
    weight = paddle.create_parameter([1], "float32")
    weight.set_value(paddle.to_tensor([0.0]))
    optimizer = paddle.optimizer.SGD(scheduler, [weight])
    for _ in range(2):
        scheduler.step()
    weight.sum().backward()
    optimizer.step()
    assert optimizer.get_lr() == pytest.approx(after_two)
    np.testing.assert_allclose(weight.numpy(), [-after_two], rtol=1e-6)
