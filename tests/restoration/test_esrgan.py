# SPDX-License-Identifier: Apache-2.0
"""ESRGAN's relativistic losses. Its training steps are among the golden cases."""

import numpy as np
import pytest

from tests.restoration.pieces import SMALL_D, VANILLA, batch, build, scores


def softplus(x):
    return np.logaddexp(0, x)


@pytest.fixture
def model():
    return build("ESRGAN", discriminator=SMALL_D, gan_criterion=VANILLA)


def test_scores_are_compared_with_the_other_kind(model):
    truth = batch()["gt"]
    output = truth * 0.5
    real, fake = scores(model, truth), scores(model, output)
    # The truth should score above the outputs' mean, and they below the truth's.
    want_real = softplus(-(real - fake.mean())).mean() * 0.5
    want_fake = softplus(fake - real.mean()).mean() * 0.5
    total, logs = model.d_loss(truth, output)
    assert float(logs["l_d_real"]) == pytest.approx(want_real, rel=1e-4)
    assert float(logs["l_d_fake"]) == pytest.approx(want_fake, rel=1e-4)
    assert float(total) == pytest.approx(want_real + want_fake, rel=1e-4)
    want = (softplus(real - fake.mean()).mean() + softplus(-(fake - real.mean())).mean()) / 2
    got = float(model.g_adversarial(truth, output))
    assert got == pytest.approx(0.01 * want, rel=1e-4)


def test_the_generator_is_not_taught_by_the_truths_scores(model):
    truth = batch()["gt"]
    truth.stop_gradient = False
    output = (truth * 0.5).detach()
    output.stop_gradient = False
    model.g_adversarial(truth, output).backward()
    assert truth.grad is None
    assert float(output.grad.abs().sum()) > 0
