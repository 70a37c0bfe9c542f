# SPDX-License-Identifier: Apache-2.0
"""The base of every model: one way to update, whatever the precision, and nothing left behind."""

import copy
import warnings
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.model import Model, Nets, Precision


class Pair(Model):
    """A generator and a discriminator of one weight each: scores are d * g * x."""

    NETS = ("netG", "netD")

    def __init__(self):
        super().__init__()
        for name, value in (("netG", 2.0), ("netD", 3.0)):
            layer = nn.Linear(1, 1, bias_attr=False)
            layer.weight.set_value(paddle.full([1, 1], value))
            self.nets[name] = layer

    def loss(self, x, sign=1.0):
        total = sign * self.nets.netD(self.nets.netG(x)).mean()
        return total, {"adv": total}


NAMES = ["optimizer_G", "optimizer_D"]


def sgd(*net_names):
    return {"name": "SGD"}, net_names or None


@pytest.fixture
def model():
    model = Pair()
    model.setup_lr_schedulers({"name": "MultiStepDecay", "learning_rate": 0.1, "milestones": [2]})
    model.setup_optimizers({"optimizer_G": sgd("netG"), "optimizer_D": sgd("netD")})
    return model


@pytest.fixture
def scaler(monkeypatch):
    """Return Paddle's scaler, which believes that it is on a GPU: on a CPU it does nothing."""
    gpu = SimpleNamespace(is_gpu_place=lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(
            "paddle.amp.grad_scaler._dygraph_tracer", lambda: SimpleNamespace(_expected_place=gpu)
        )
        made = Precision("O1").scaler()
    # Paddle 3 asks whether the last forward pass was in float16.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with paddle.amp.auto_cast(dtype="float16"):
            pass
    assert made.is_enable()
    return made


def weights(model):
    return {name: net.weight.item() for name, net in model.nets.items()}


X = paddle.full([4, 1], 5.0)


class TestNets:
    def test_are_attributes_too(self):
        nets = Nets(netG=nn.Linear(1, 1))
        assert nets.netG is nets["netG"]
        with pytest.raises(AttributeError, match=r"no network is named 'netD', only \['netG'\]"):
            _ = nets.netD

    def test_can_be_copied(self):
        nets = Nets(netG=nn.Linear(1, 1))
        twin = copy.deepcopy(nets)
        assert twin.netG is not nets.netG
        assert np.array_equal(twin.netG.weight.numpy(), nets.netG.weight.numpy())


class TestUpdate:
    def test_steps_down_the_gradient_of_one_optimizers_networks(self, model):
        logs = model.update("optimizer_D", model.loss, X)
        # d/dD of d * g * x is g * x = 10.
        assert weights(model) == pytest.approx({"netG": 2.0, "netD": 3.0 - 0.1 * 10})
        assert float(logs["adv"]) == pytest.approx(30.0)
        assert logs["adv"].stop_gradient

    def test_arguments_reach_the_loss(self, model):
        model.update("optimizer_G", model.loss, X, -1.0)
        assert weights(model)["netG"] == pytest.approx(2.0 + 0.1 * 15)

    def test_old_gradients_are_not_added(self, model):
        model.loss(X)[0].backward()
        model.update("optimizer_D", model.loss, X)
        assert weights(model)["netD"] == pytest.approx(2.0)

    def test_frozen_networks_pass_gradients_on_and_get_none(self, model):
        model.update("optimizer_G", model.loss, X, frozen=["netD"])
        assert weights(model)["netG"] == pytest.approx(2.0 - 0.1 * 15)
        assert model.nets.netD.weight.grad is None
        assert not model.nets.netD.weight.stop_gradient

    def test_frozen_networks_thaw_when_the_loss_fails(self, model):
        def fail():
            assert model.nets.netD.weight.stop_gradient
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            model.update("optimizer_G", fail, frozen=["netD"])
        assert not model.nets.netD.weight.stop_gradient

    def test_what_was_frozen_before_stays_frozen(self, model):
        model.nets.netD.weight.stop_gradient = True
        model.update("optimizer_G", model.loss, X, frozen=["netD"])
        assert model.nets.netD.weight.stop_gradient

    def test_gradients_are_averaged_before_the_step(self, model):
        seen = []

        def halve(parameters):
            seen.extend(parameters)
            for parameter in parameters:
                parameter.grad.set_value(parameter.grad * 0.5)

        model.reduce_gradients = halve
        model.update("optimizer_D", model.loss, X)
        assert len(seen) == 1
        assert seen[0] is model.nets.netD.weight
        assert weights(model)["netD"] == pytest.approx(2.5)

    def test_clipping_comes_from_the_optimizers_section(self):
        model = Pair()
        model.setup_lr_schedulers({"name": "NonLinearDecay", "learning_rate": 1.0, "lr_decay": 0.0})
        model.setup_optimizers({"optim": ({"name": "SGD", "clip_grad_norm": 1.0}, ["netD"])})
        model.update("optim", model.loss, X)
        assert weights(model)["netD"] == pytest.approx(2.0)


class TestUpdateOfSeveral:
    def test_one_gradient_moves_all(self, model):
        model.update(["optimizer_G", "optimizer_D"], model.loss, X)
        # d/dg = 3 * 5, d/dd = 2 * 5: both from the weights before the step.
        assert weights(model) == pytest.approx({"netG": 2 - 0.1 * 15, "netD": 3 - 0.1 * 10})

    def test_each_asks_for_the_mean_over_processes(self, model):
        asked = []
        model.reduce_gradients = lambda parameters: asked.append(len(parameters))
        model.update(["optimizer_G", "optimizer_D"], model.loss, X)
        assert asked == [1, 1]


class TestPrecision:
    class Scaler:
        """Doubles the loss, and halves what arrives; writes down what it is asked."""

        def __init__(self):
            self.asked = []

        def scale(self, loss):
            self.asked.append("scale")
            return loss * 2

        def step(self, optimizer):
            self.asked.append("step")
            for parameter in optimizer._parameter_list:
                parameter.grad.set_value(parameter.grad * 0.5)
            optimizer.step()

        def update(self):
            self.asked.append("update")

        def set_decr_every_n_nan_or_inf(self, number):
            assert number > 1e6

        def state_dict(self):
            return {}

    def test_a_scaled_loss_steps_as_far(self, model):
        scaler = self.Scaler()
        model.scalers = {"optimizer_D": scaler}
        model.reduce_gradients = lambda parameters: scaler.asked.append("reduce")
        logs = model.update("optimizer_D", model.loss, X)
        assert scaler.asked == ["scale", "reduce", "step", "update"]
        assert weights(model)["netD"] == pytest.approx(2.0)
        assert float(logs["adv"]) == pytest.approx(30.0)

    @pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
    @pytest.mark.parametrize("net", Pair.NETS)
    def test_if_the_gradient_of_one_overflows_none_steps(self, model, scaler, names, net):
        model.scalers = dict.fromkeys(NAMES, scaler)
        scaler.set_decr_every_n_nan_or_inf(1)  # as older checkpoints have it

        def loss(factor):
            total, logs = model.loss(X)
            return total + (model.nets[net].weight * factor).sum(), logs

        model.update(names, loss, 0.0)
        moved = {"netG": 2 - 0.1 * 15, "netD": 3 - 0.1 * 10}
        assert weights(model) == pytest.approx(moved)
        assert scaler.state_dict()["scale"].item() == 1024
        model.update(names, loss, float("inf"))
        assert weights(model) == pytest.approx(moved)
        assert scaler.state_dict()["scale"].item() == 512
        model.update(names, loss, 0.0)  # goes on as if nothing had been
        moved = {"netG": 0.5 - 0.1 * 2 * 5, "netD": 2 - 0.1 * 0.5 * 5}
        assert weights(model) == pytest.approx(moved)

    @pytest.mark.parametrize("level", ["O0", "O1", "O2"])
    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_every_level_runs(self, model, level, dtype):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Paddle says that it does nothing on a CPU
            model.setup_precision(Precision(level, dtype))
            model.update("optimizer_D", model.loss, X)
        assert weights(model)["netD"] == pytest.approx(2.0, rel=1e-2)

    def test_only_float16_needs_scalers(self, model):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for precision, expected in (
                (Precision("O1", "float16"), {"optimizer_G", "optimizer_D"}),
                (Precision("O1", "bfloat16"), set()),
                (Precision("O0", "float16"), set()),
            ):
                model.setup_precision(precision)
                assert set(model.scalers) == expected

    def test_full_precision_is_the_default(self, model):
        assert Precision() == Precision("O0", "float16")
        assert model.precision.scaler() is None

    def test_the_loss_runs_inside_autocast(self, model, monkeypatch):
        inside = []

        class Context:
            def __enter__(self):
                inside.append(True)

            def __exit__(self, *args):
                inside.append(False)

        monkeypatch.setattr(paddle.amp, "auto_cast", lambda **options: Context())
        model.precision = Precision("O1", "bfloat16")

        def loss():
            assert inside == [True]
            return model.loss(X)

        model.update("optimizer_D", loss)
        assert inside == [True, False]


class TestSetup:
    def test_all_networks_by_default(self):
        model = Pair()
        model.setup_lr_schedulers({"name": "NonLinearDecay", "learning_rate": 0.1, "lr_decay": 0.0})
        model.setup_optimizers({"optim": sgd()})
        model.update("optim", model.loss, X)
        assert weights(model) == pytest.approx({"netG": 2.0 - 1.5, "netD": 3.0 - 1.0})
        assert len(model.trained_parameters["optim"]) == 2

    def test_an_unknown_network_is_named(self, model):
        with pytest.raises(ConfigError) as raised:
            model.setup_optimizers({"optimizer_X": sgd("netX")})
        assert str(raised.value) == (
            "optimizer.optimizer_X.net_names: Pair has no network 'netX', only netG, netD"
        )

    def test_all_optimizers_follow_one_schedule(self, model):
        for expected in (0.1, 0.1, 0.01):
            rates = [optimizer.get_lr() for optimizer in model.optimizers.values()]
            assert rates == pytest.approx([expected] * 2)
            model.step_lr_schedulers()

    def test_the_trainer_supplies_arguments_of_the_schedule(self):
        spec = {"name": "LinearDecay", "learning_rate": 1.0, "start_epoch": 1, "decay_epochs": 1}
        schedules = Pair().setup_lr_schedulers(spec, iters_per_epoch=7)
        assert schedules["lr"].iters_per_epoch == 7


class TestModes:
    def test_evaluating_restores_every_layer(self, model):
        model.nets["netG"] = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
        model.nets.netG[1].eval()
        layers = [layer for net in model.nets.values() for layer in net.sublayers(True)]
        before = [layer.training for layer in layers]
        assert True in before
        assert False in before
        with model.evaluating():
            assert not any(layer.training for layer in layers)
            assert not paddle.is_grad_enabled()
        assert [layer.training for layer in layers] == before
        assert paddle.is_grad_enabled()

    def test_evaluating_ends_after_an_error_too(self, model):
        with pytest.raises(KeyError), model.evaluating():
            raise KeyError
        assert model.nets.netD.training
        assert paddle.is_grad_enabled()

    def test_train_and_eval_reach_all_networks(self, model):
        model.eval()
        assert not any(net.training for net in model.nets.values())
        model.train()
        assert all(net.training for net in model.nets.values())


class TestDefaults:
    def test_steps_are_the_familys(self, model):
        with pytest.raises(AttributeError, match="Pair does not train: it has no train_step"):
            model.train_step({})
        with pytest.raises(AttributeError, match="Pair has no eval_step"):
            model.eval_step({})

    def test_there_is_nothing_to_see_and_nothing_to_keep(self, model):
        assert model.visuals({}) == {}
        assert model.extra_state() == {}
        model.load_extra_state({})
