# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from tests.translation import pieces


def mean_square(x, target):
    return float(((x - target) ** 2).mean())


def test_losses_are_those_of_the_paper():
    model, batch = pieces.build("ugatit"), pieces.batch()
    model.eval()  # spectral norm's estimates stand still
    nets, a, b = model.nets, batch["A"], batch["B"]
    a2b, b2a = nets.genA2B(a), nets.genB2A(b)
    expected = 0.0
    for domain, real, fake in (("A", a, b2a[0]), ("B", b, a2b[0])):
        for scope in "GL":
            net = nets[f"dis{scope}{domain}"]
            for judged, target in ((net(real), 1), (net(fake), 0)):
                expected += mean_square(judged[0], target) + mean_square(judged[1], target)
    total, logs = model.d_loss(a, b, b2a[0].detach(), a2b[0].detach())
    assert float(total) == pytest.approx(expected, rel=1e-4)
    assert list(logs) == ["discriminator_loss"]

    def cross_entropy(logits, label):
        return float(paddle.nn.functional.softplus(-logits if label else logits).mean())

    expected = 0.0
    for domain, real, made, generator, back in (
        ("A", a, b2a, nets.genB2A, a2b[0]),
        ("B", b, a2b, nets.genA2B, b2a[0]),
    ):
        for scope in "GL":
            judged = nets[f"dis{scope}{domain}"](made[0])
            expected += mean_square(judged[0], 1) + mean_square(judged[1], 1)
        same = generator(real)
        expected += 10 * float((generator(back)[0] - real).abs().mean())
        expected += 10 * float((same[0] - real).abs().mean())
        expected += 1000 * (cross_entropy(made[1], True) + cross_entropy(same[1], False))
    total, logs = model.g_loss(a, b, a2b, b2a)
    assert float(total) == pytest.approx(expected, rel=1e-4)
    assert list(logs) == ["generator_loss"]


def test_all_six_networks_start_differently():
    nets = pieces.build("ugatit").nets
    for first, second in (("genA2B", "genB2A"), ("disGA", "disGB"), ("disLA", "disLB")):
        pairs = zip(nets[first].parameters(), nets[second].parameters(), strict=True)
        same = [np.array_equal(x.numpy(), y.numpy()) for x, y in pairs if x.squeeze().ndim > 1]
        assert not any(same), (first, second)


def test_shares_stay_between_nothing_and_all():
    model, batch = pieces.build("ugatit", learning_rate=0.5), pieces.batch()
    model.train_step(batch)
    shares = [
        parameter.numpy()
        for name in ("genA2B", "genB2A")
        for key, parameter in model.nets[name].named_parameters()
        if key.endswith("rho")
    ]
    assert shares
    assert all((share >= 0).all() and (share <= 1).all() for share in shares)


@pytest.mark.parametrize("missing", ["l1_criterion", "mse_criterion", "bce_criterion"])
def test_missing_criterion_is_named(missing):
    model = pieces.build("ugatit", **{missing: None})
    with pytest.raises(ConfigError, match=rf"model\.{missing} is missing"):
        model.train_step(pieces.batch())


def test_a_model_without_discriminators_translates():
    spec = pieces.SPECS["ugatit"] | {"discriminator_g": None, "discriminator_l": None}
    model = pieces.registry.build(pieces.registry.MODELS, spec)
    assert list(model.nets) == ["genA2B", "genB2A"]
    assert model.eval_step(pieces.batch())["fake"].shape == [2, 3, 32, 32]


def test_visuals_have_paddlegans_labels():
    labels = list(pieces.build("ugatit").visuals(pieces.batch()))
    assert labels == ["real_A", "fake_A2B", "real_B", "fake_B2A"]
