# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from tests.translation import pieces


def l1(x, y):
    return float(np.abs(x.numpy() - y.numpy()).mean())


def test_losses_are_those_of_the_paper():
    model, batch = pieces.build("cyclegan", lambda_a=10.0, lambda_b=7.0), pieces.batch()
    a, b = batch["A"], batch["B"]
    to_b, to_a = model.nets.netG_A, model.nets.netG_B
    fake_b, fake_a = to_b(a), to_a(b)
    total, logs = model.g_loss(a, b, fake_a, fake_b)
    expected = {
        "G_A_adv_loss": float(((model.nets.netD_A(fake_b) - 1) ** 2).mean()),
        "G_B_adv_loss": float(((model.nets.netD_B(fake_a) - 1) ** 2).mean()),
        "G_A_cycle_loss": 10 * l1(to_a(fake_b), a),
        "G_B_cycle_loss": 7 * l1(to_b(fake_a), b),
        "G_idt_A_loss": 7 * 0.5 * l1(to_b(b), b),
        "G_idt_B_loss": 10 * 0.5 * l1(to_a(a), a),
    }
    assert {key: float(value) for key, value in logs.items()} == pytest.approx(expected, rel=1e-4)
    assert float(total) == pytest.approx(sum(expected.values()), rel=1e-4)
    total, logs = model.d_loss(a, b, fake_a.detach(), fake_b.detach())
    judged = model.nets.netD_A
    d_a = 0.5 * (((judged(b) - 1) ** 2).mean() + (judged(fake_b) ** 2).mean())
    assert float(logs["D_A_loss"]) == pytest.approx(float(d_a), rel=1e-4)
    assert float(total) == pytest.approx(sum(float(value) for value in logs.values()), rel=1e-5)


def test_both_networks_of_a_kind_start_differently():
    nets = pieces.build("cyclegan").nets
    for first, second in (("netG_A", "netG_B"), ("netD_A", "netD_B")):
        pairs = zip(nets[first].parameters(), nets[second].parameters(), strict=True)
        assert all(not np.array_equal(x.numpy(), y.numpy()) for x, y in pairs if x.ndim > 1), (
            first,
            second,
        )


def test_without_identity_there_is_no_such_loss():
    model = pieces.build("cyclegan", idt_criterion=None)
    logs = model.train_step(pieces.batch())
    assert not [name for name in logs if "idt" in name]


def test_the_generators_learn_first_and_the_pools_keep_what_they_made():
    model, batch = pieces.build("cyclegan"), pieces.batch()
    made = model.nets.netG_A(batch["A"]).numpy()
    model.train_step(batch)
    kept = np.concatenate(model.extra_state()["fake_B_pool"])
    assert np.array_equal(kept, made)  # from before the update


def test_pools_survive_a_checkpoint():
    first, second = pieces.build("cyclegan"), pieces.build("cyclegan")
    first.train_step(pieces.batch())
    second.load_extra_state(first.extra_state())
    for one, other in zip(first.extra_state().values(), second.extra_state().values(), strict=True):
        assert np.array_equal(np.concatenate(one), np.concatenate(other))


def test_discriminators_get_no_gradient_from_the_generators_step():
    model, batch = pieces.build("cyclegan"), pieces.batch()
    before = pieces.weights(model)
    with paddle.no_grad():
        fakes = model.nets.netG_B(batch["B"]), model.nets.netG_A(batch["A"])
    frozen = ["netD_A", "netD_B"]
    model.update("optimG", model.g_loss, batch["A"], batch["B"], *fakes, frozen=frozen)
    after = pieces.weights(model)
    assert all(np.array_equal(before[k], after[k]) for k in before if k.startswith("netD"))
    assert all(p.grad is None for name in frozen for p in model.nets[name].parameters())


@pytest.mark.parametrize("missing", ["gan_criterion", "cycle_criterion"])
def test_missing_criterion_is_named(missing):
    model = pieces.build("cyclegan", **{missing: None})
    with pytest.raises(ConfigError, match=missing):
        model.train_step(pieces.batch())


def test_visuals_have_paddlegans_labels():
    labels = list(pieces.build("cyclegan").visuals(pieces.batch()))
    assert labels == ["real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B"]
