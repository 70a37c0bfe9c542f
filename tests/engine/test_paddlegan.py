# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's checkpoints: resumed here, and ours resumed there."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.utils import unique_name

from ppzoo.engine import Trainer, checkpoint, paddlegan
from ppzoo.errors import ConfigError, WeightsError
from ppzoo.weights import read, write_pdparams

from ..runs import SignalAt, assert_same, checkpoint_in, make_trainer, state_of
from .paddlegan_twins import Pix2Pix, cyclegan_nets, dcgan_nets

PIX2PIX = ["model.generator.use_dropout=false", "total_iters=9"]


def batches(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            key: paddle.to_tensor(rng.uniform(-1, 1, [2, 3, 32, 32]).astype("float32"))
            for key in "AB"
        }
        for _ in range(count)
    ]


def trained_on(trainer: Trainer, batches: list[dict[str, Any]]) -> list[dict[str, float]]:
    losses = []
    trainer.model.train()
    for batch in batches:
        trainer.model.iteration = trainer.iteration
        logs = trainer.model.train_step(batch)
        trainer.model.step_lr_schedulers()
        trainer.iteration += 1
        losses.append({name: float(value) for name, value in logs.items()})
    return losses


def assert_close(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=2e-5, abs=1e-6)


def distance(trainer: Trainer, twin: Pix2Pix) -> float:
    """Return the largest difference of a weight."""
    return max(
        float(np.abs(value.numpy() - net.state_dict()[key].numpy()).max())
        for name, net in twin.nets.items()
        for key, value in trainer.model.nets[name].state_dict().items()
        if not key.endswith(("_mean", "_variance"))
    )


def test_run_of_paddlegan_goes_on(tmp_path: Path) -> None:
    paddle.seed(1)
    twin = Pix2Pix()
    data = batches(5)
    for batch in data[:2]:
        twin.train(batch)
    twin.save(tmp_path / "iter_2_checkpoint.pdparams")
    then = [twin.train(batch) for batch in data[2:]]

    trainer = make_trainer("pix2pix", tmp_path, *PIX2PIX)
    trainer.resume(tmp_path / "iter_2_checkpoint.pdparams")
    assert trainer.iteration == 2
    assert_close(trained_on(trainer, data[2:]), then)
    assert trainer.learning_rate == pytest.approx(twin.schedule.get_lr())
    assert distance(trainer, twin) < 2e-6

    # The moments matter: without them the same steps lead elsewhere.
    anew = make_trainer("pix2pix", tmp_path, *PIX2PIX)
    anew.load(tmp_path / "iter_2_checkpoint.pdparams")
    anew.setup_training()
    anew.iteration = 2
    anew.model.lr_schedulers["lr"].step(2)
    trained_on(anew, data[2:])
    assert distance(anew, twin) > 1e-4


def test_run_goes_on_in_paddlegan(tmp_path: Path) -> None:
    data = batches(4)
    trainer = make_trainer("pix2pix", tmp_path, *PIX2PIX)
    trainer.setup_training()
    trained_on(trainer, data[:2])
    path = trainer.save("iter_2")
    ours = trained_on(trainer, data[2:])

    # As in a program of its own, where names begin with 0.
    with unique_name.guard():
        twin = Pix2Pix()
        with path.open("rb") as file:
            content = pickle.load(file, encoding="latin1")  # noqa: S301 (as PaddleGAN does)
        twin.resume(content)
        theirs = [twin.train(batch) for batch in data[2:]]
    assert content["epoch"] == 2
    assert content.keys() == paddle.load(str(path), return_numpy=True).keys()
    assert_close(ours, theirs)
    assert twin.schedule.last_epoch == 4
    assert distance(trainer, twin) < 2e-6


def as_paddlegans(content: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Return a checkpoint of ours as PaddleGAN would have written it, with names of its own."""
    names = {
        key: f"layer_{1000 + i}.w_0" for i, key in enumerate(content["ppzoo"]["parameter_names"])
    }
    renamed = {content["ppzoo"]["parameter_names"][key]: name for key, name in names.items()}
    found: dict[str, Any] = {}
    for entry, state in content.items():
        if entry == "ppzoo":
            continue
        found[entry] = state
        if isinstance(state, dict) and "LR_Scheduler" in state:
            found[entry] = {}
            for key, value in state.items():
                old = max((n for n in renamed if key.startswith(f"{n}_")), key=len, default="")
                found[entry][renamed.get(old, "") + key[len(old) :]] = value
    return found | others


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Trainer], dict[str, dict[str, Any]]]:
    """Tell what a trainer's optimizers were given; Paddle 2 shows it only after the next step."""
    states: dict[int, dict[str, Any]] = {}
    original = paddle.optimizer.Optimizer.set_state_dict

    def spy(optimizer: Any, state: dict[str, Any]) -> None:
        states[id(optimizer)] = dict(state)
        original(optimizer, state)

    monkeypatch.setattr(paddle.optimizer.Optimizer, "set_state_dict", spy)
    return lambda trainer: {k: states[id(o)] for k, o in trainer.model.optimizers.items()}


FAMILIES = {
    "wgan": [],
    "cyclegan": [],
    "ugatit": [],
    "esrgan": [],
    "edvr": ["model.tsa_iter=0"],
    "firstorder": [],
    "wav2lip": ["model.pretrained_syncnet=null"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_find_their_parameters(tmp_path: Path, family: str, taken: Any) -> None:
    options = [*FAMILIES[family], "total_iters=2"]
    run = make_trainer(family, tmp_path, *options, callbacks=[SignalAt(1)])
    run.fit()
    path = checkpoint_in(tmp_path)
    write_pdparams(tmp_path / "theirs", as_paddlegans(read(path)))
    states = []
    for file in (path, tmp_path / "theirs"):
        trainer = make_trainer(family, tmp_path, *options, f"seed={run.seed}")
        trainer.resume(file)
        assert trainer.iteration == 1
        states.append(state_of(trainer))
        here = {p.name: k for k, p in checkpoint._parameters(trainer.model).items()}
        for name, state in taken(trainer).items():
            states[-1] |= _named(name, checkpoint._renamed(state, here))
    assert sum("moment1" in key for key in states[0]) > 5
    assert_same(*states)


def _named(name: str, state: dict[str, Any]) -> dict[str, Any]:
    schedule = state.pop("LR_Scheduler")
    return {f"{name} takes {key}": value for key, value in (state | schedule).items()}


def test_the_order_of_the_file_counts(tmp_path: Path, taken: Any) -> None:
    """U-GAT-IT has many layers of one shape, and PaddleGAN another order of them."""
    make_trainer("ugatit", tmp_path, "total_iters=2", callbacks=[SignalAt(1)]).fit()
    ours = read(checkpoint_in(tmp_path))
    trainer = make_trainer("ugatit", tmp_path, "total_iters=2")
    names, theirs = ours["ppzoo"]["parameter_names"], dict(ours)
    state = {"LR_Scheduler": ours["optimG"]["LR_Scheduler"]}
    kinds = ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")
    for net in ("genA2B", "genB2A"):
        keys = list(ours[net])
        first = [key for key in keys if not key.startswith(("DownBlock", "FC"))]
        keys = first[::-1] + [key for key in keys if key not in first]
        theirs[net] = {key: ours[net][key] for key in keys}
        for kind in kinds:
            for key in keys:
                stored = f"{names.get(f'{net}.{key}')}_{kind}_0"
                if stored in ours["optimG"]:
                    state[stored] = ours["optimG"][stored]
    theirs["optimG"] = state
    assert list(state) != list(ours["optimG"])
    write_pdparams(tmp_path / "theirs", as_paddlegans(theirs))
    trainer.resume(tmp_path / "theirs")
    found, number = taken(trainer)["optimG"], 0
    for net in ("genA2B", "genB2A"):
        for key, parameter in trainer.model.nets[net].named_parameters():
            for kind in kinds:
                if f"{parameter.name}_{kind}_0" in found:
                    number += 1
                    wanted = ours["optimG"][f"{names[f'{net}.{key}']}_{kind}_0"]
                    np.testing.assert_array_equal(found[f"{parameter.name}_{kind}_0"], wanted)
    assert number == len(state) - 1


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("run")
    make_trainer("wgan", folder, "total_iters=3", callbacks=[SignalAt(2)]).fit()
    return as_paddlegans(read(checkpoint_in(folder)))


def resumed(content: dict[str, Any], folder: Path, *options: str) -> Trainer:
    write_pdparams(folder / "x_checkpoint.pdparams", content)
    trainer = make_trainer("wgan", folder, "total_iters=9", *options)
    trainer.resume(folder / "x_checkpoint.pdparams")
    return trainer


def test_what_is_not_restored_is_told(tmp_path: Path, theirs: dict[str, Any], caplog: Any) -> None:
    resumed(theirs, tmp_path)
    (note,) = caplog.messages
    assert "is PaddleGAN's: it holds networks, optimizers and schedules, but neither seed" in note


def test_epoch_in_place_of_an_iteration(
    tmp_path: Path, theirs: dict[str, Any], caplog: Any
) -> None:
    trainer = resumed(theirs | {"epoch": 1}, tmp_path)
    assert trainer.iteration == 2
    assert "'epoch' is 1 and its schedule stands at 2, as PaddleGAN writes" in caplog.text


def test_nothing_left_to_train(tmp_path: Path, theirs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"iteration 9 of 9.*raise total_iters"):
        resumed(theirs | {"epoch": 9}, tmp_path)


def test_another_learning_rate_is_told(tmp_path: Path, theirs: dict[str, Any], caplog: Any) -> None:
    trainer = resumed(theirs, tmp_path, "lr_scheduler.learning_rate=0.1")
    assert trainer.learning_rate > 0.05
    assert "optimizer_G: the learning rate was 0.000177778 in the file" in caplog.text


def test_schedule_that_the_file_lacks(tmp_path: Path, theirs: dict[str, Any]) -> None:
    bare = {k: v for k, v in theirs["optimizer_G"].items() if k != "LR_Scheduler"}
    trainer = resumed(theirs | {"optimizer_G": bare}, tmp_path)
    assert trainer.model.lr_schedulers["lr"].last_epoch == 2


def test_optimizer_that_never_stepped(tmp_path: Path, theirs: dict[str, Any]) -> None:
    state = {"LR_Scheduler": theirs["optimizer_G"]["LR_Scheduler"]}
    trainer = resumed(theirs | {"optimizer_G": state}, tmp_path)
    trainer.fit()
    assert trainer.iteration == 9


def test_averages_begin_with_the_weights(
    tmp_path: Path, theirs: dict[str, Any], caplog: Any
) -> None:
    trainer = resumed(theirs, tmp_path, "ema={decay: 0.5, nets: [netG]}")
    for key, value in trainer._ema.shadow["netG"].items():
        np.testing.assert_array_equal(value.numpy(), theirs["netG"][key])
    assert "averages of weights begin with these weights" in caplog.text


def changed(theirs: dict[str, Any], change: str) -> dict[str, Any]:
    """Return a checkpoint with something wrong in the state of its discriminator's optimizer."""
    state = theirs["optimizer_D"]
    first = next(iter(state))
    if change == "shape":
        state = state | {key: np.zeros(3, "f4") for key in state if "_moment" in key}
    elif change == "kind":
        state = {key.replace("_moment1_", "_velocity_"): v for key, v in state.items()}
    elif change == "key":
        state = state | {"what": np.zeros(3, "f4")}
    elif change == "one lacks a moment":
        state = {key: value for key, value in state.items() if key != first}
    elif change == "power":
        state = state | {k: np.zeros(2, "f4") for k in state if k.endswith("_beta1_pow_acc_0")}
    return theirs | {"optimizer_D": state}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("shape", r"\(optimizer_D\) does not fit the optimizer: its \d+ entries have other shapes"),
        ("kind", r"does not fit the optimizer: it holds .*velocity.*, Adam keeps beta1_pow_acc"),
        ("key", r"\(optimizer_D\) holds what, which is no optimizer's state"),
        ("one lacks a moment", r"its parameters have states of different kinds"),
        ("power", r"a power of beta has 2 numbers"),
    ],
)
def test_state_that_does_not_fit_changes_nothing(
    tmp_path: Path, theirs: dict[str, Any], change: str, message: str
) -> None:
    write_pdparams(tmp_path / "x", changed(theirs, change))
    trainer = make_trainer("wgan", tmp_path, "total_iters=9")
    trainer.setup_training()
    before = state_of(trainer)
    with pytest.raises(WeightsError, match=message):
        trainer.resume(tmp_path / "x")
    assert_same(before, state_of(trainer))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("epoch",), -1, "its 'epoch' is no number of iterations"),
        (("epoch",), 10**30, "its 'epoch' is no number of iterations"),
        (("netG",), 3, "no entry 'netG'"),
        (("optimizer_D",), {1: np.ones(2, "f4")}, "which is no optimizer's state"),
        (("optimizer_D", "w_0_moment1_0"), np.array(["text"]), "which is no optimizer's state"),
        (("optimizer_D", "w_0_moment1_0"), {}, "which is no optimizer's state"),
        (("optimizer_D", "master_weights"), {"layer_1006.w_0": 3}, "master_weights do not fit"),
    ],
)
def test_hostile_values_are_refused(
    tmp_path: Path, theirs: dict[str, Any], path: tuple[str, ...], value: Any, message: str
) -> None:
    content = copy.deepcopy(theirs)
    if path[-1] == "master_weights":
        state = content["optimizer_D"]
        value = {next(iter(state)).removesuffix("_moment1_0"): 3}
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(WeightsError, match=message):
        resumed(content, tmp_path)


@pytest.mark.parametrize("value", [None, [], {}, {"last_epoch": "x", "last_lr": []}])
def test_schedules_that_make_no_sense_are_those_of_the_config(
    tmp_path: Path, theirs: dict[str, Any], value: Any
) -> None:
    state = theirs["optimizer_D"] | {"LR_Scheduler": value}
    trainer = resumed(theirs | {"optimizer_D": state}, tmp_path)
    assert trainer.model.lr_schedulers["lr"].last_epoch == 2


@pytest.mark.parametrize("entry", ["netD", "optimizer_D"])
def test_entry_that_is_missing(tmp_path: Path, theirs: dict[str, Any], entry: str) -> None:
    content = {key: value for key, value in theirs.items() if key != entry}
    with pytest.raises(WeightsError, match=rf"has no entry '{entry}'.*--load"):
        resumed(content, tmp_path)


def without(state: dict[str, Any], parameters: set[str]) -> dict[str, Any]:
    return {k: v for k, v in state.items() if not any(k.startswith(f"{p}_") for p in parameters)}


def test_parameters_without_a_state(tmp_path: Path, theirs: dict[str, Any], taken: Any) -> None:
    """Those of the last layer are the only ones of their shape: the others are told by order."""
    names = [k.removesuffix("_moment1_0") for k in theirs["optimizer_D"] if "_moment1_" in k]
    last = names[-2:]
    trainer = resumed(theirs | {"optimizer_D": without(theirs["optimizer_D"], set(last))}, tmp_path)
    state = taken(trainer)["optimizer_D"]
    *_, weight, bias = (p for p in trainer.model.nets.netD.parameters() if not p.stop_gradient)
    for parameter in (weight, bias):
        assert not np.any(state[f"{parameter.name}_moment1_0"])
    first = trainer.model.nets.netD.parameters()[0]
    np.testing.assert_array_equal(
        state[f"{first.name}_moment1_0"], theirs["optimizer_D"][f"{names[0]}_moment1_0"]
    )
    trainer.fit()
    assert trainer.iteration == 9


def test_state_of_some_of_many_alike_begins_anew(tmp_path: Path, capsys: Any, taken: Any) -> None:
    make_trainer("rcan", tmp_path, "total_iters=2", callbacks=[SignalAt(1)]).fit()
    content = as_paddlegans(read(checkpoint_in(tmp_path)))
    names = [k.removesuffix("_moment1_0") for k in content["optim"] if "_moment1_" in k]
    content["optim"] = without(content["optim"], set(names[10:14]))
    write_pdparams(tmp_path / "x", content)
    trainer = make_trainer("rcan", tmp_path, "total_iters=2")
    trainer.resume(tmp_path / "x")
    assert "optim BEGINS ANEW" in capsys.readouterr().out
    assert list(taken(trainer)["optim"]) == ["LR_Scheduler"]
    assert trainer.iteration == 1
    assert trainer.model.lr_schedulers["lr"].last_epoch == 1


def test_frozen_scales_of_paddlegans_discriminators(tmp_path: Path, taken: Any) -> None:
    """It trains them at a rate of 0, so that they have a state."""
    make_trainer("cyclegan", tmp_path, "total_iters=2", callbacks=[SignalAt(1)]).fit()
    ours = read(checkpoint_in(tmp_path))
    trainer = make_trainer("cyclegan", tmp_path, "total_iters=2")
    trainer.setup_training()
    state: dict[str, Any] = {"LR_Scheduler": ours["optimD"]["LR_Scheduler"]}
    names = ours["ppzoo"]["parameter_names"]
    wanted = {}
    for kind in ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc"):
        for net in ("netD_A", "netD_B"):
            for key, parameter in trainer.model.nets[net].named_parameters():
                stored = ours["optimD"].get(f"{names[f'{net}.{key}']}_{kind}_0")
                if stored is None:
                    size = [1] if "pow" in kind else parameter.shape
                    stored = np.full(size, 0.5, "f4")
                else:
                    wanted[f"{parameter.name}_{kind}_0"] = stored
                state[f"{names[f'{net}.{key}']}_{kind}_0"] = stored
    assert len(state) > len(wanted) + 1
    write_pdparams(tmp_path / "x", as_paddlegans(ours | {"optimD": state}))
    trainer.resume(tmp_path / "x")
    found = taken(trainer)["optimD"]
    assert {*found} == {*wanted, "LR_Scheduler"}
    assert all(np.array_equal(found[key], value) for key, value in wanted.items())


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_names_in_a_u_net(norm: str) -> None:
    from ppzoo.model import Model
    from ppzoo.networks.unet import UnetGenerator

    model = Model()
    model.nets["netG"] = UnetGenerator(3, 3, 5, 2, norm)
    names = paddlegan.parameter_names(model)
    inner = "model.model.1" + 3 * ".model.3"
    assert names["netG.model.model.0.weight"] == "conv2d_4.w_0"
    assert names["netG.model.model.3.weight"] == "conv2d_transpose_4.w_0"
    assert names[f"netG.{inner}.model.1.weight"] == "conv2d_0.w_0"
    if norm == "batch":
        assert names["netG.model.model.1.model.2.weight"] == "batch_norm_6.w_0"
        assert names[f"netG.{inner}.model.4.weight"] == "batch_norm_1.w_0"


def test_names_do_not_depend_on_what_was_made_before() -> None:
    from ppzoo.model import Model
    from ppzoo.networks.patch_discriminator import NLayerDiscriminator

    found = []
    for _ in range(2):
        model = Model()
        model.nets["netD"] = NLayerDiscriminator(3, 2, norm_type="spectral")
        model.nets["copy"] = copy.deepcopy(model.nets["netD"])
        found.append(paddlegan.parameter_names(model))
    assert found[0] == found[1]
    assert len(set(found[0].values())) == len(found[0])


@pytest.mark.parametrize("family", ["dcgan", "cyclegan"])
def test_names_are_those_of_a_run_of_paddlegans(tmp_path: Path, family: str) -> None:
    trainer = make_trainer(family, tmp_path)
    parts = trainer.config.model.kwargs
    generator, discriminator = parts["generator"].kwargs, parts["discriminator"].kwargs
    with unique_name.guard():
        if family == "dcgan":
            nets = dcgan_nets(generator["ngf"], discriminator["ndf"], generator["input_nz"])
        else:
            blocks, layers = generator["n_blocks"], discriminator["n_layers"]
            nets = cyclegan_nets(generator["ngf"], blocks, discriminator["ndf"], layers)
    ours = paddlegan.parameter_names(trainer.model)
    theirs = [(p.name, p.shape) for net in nets for p in net.parameters()]
    shapes = [p.shape for net in trainer.model.nets.values() for p in net.parameters()]
    assert list(zip(ours.values(), shapes, strict=True)) == theirs
