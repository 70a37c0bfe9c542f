# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: their layout, and what is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppzoo.engine import Trainer, checkpoint
from ppzoo.errors import ConfigError, TrainingError, UserError, WeightsError
from ppzoo.weights import read, write_pdparams

from ..runs import assert_same, checkpoint_in, make_trainer, state_of, trained

EMA = "ema={decay: 0.5, nets: [netG]}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return trained("wgan", tmp_path_factory.mktemp("run"), EMA, "total_iters=2")


@pytest.fixture
def path(run: Trainer) -> Path:
    return checkpoint_in(run.run_dir)


@pytest.fixture
def content(path: Path) -> dict[str, Any]:
    return read(path)


def test_layout_is_that_of_paddlegan(run: Trainer, content: dict[str, Any]) -> None:
    weights = read(run.run_dir / "iter_2_weight.pdparams")
    assert list(weights) == ["netG", "netD", "netG_ema"]
    assert all(isinstance(array, np.ndarray) for net in weights.values() for array in net.values())
    assert {*content} == {*weights, "epoch", "optimizer_G", "optimizer_D", "ppzoo"}
    assert content["epoch"] == 2  # an iteration, as in PaddleGAN
    for name in weights:
        assert all(np.array_equal(content[name][key], weights[name][key]) for key in weights[name])
    net = run.model.nets.netG
    assert all(np.array_equal(weights["netG"][k], v.numpy()) for k, v in net.state_dict().items())


def test_paddle_reads_the_files(run: Trainer) -> None:
    weights = paddle.load(str(run.run_dir / "iter_2_weight.pdparams"))
    assert sorted(weights) == ["netD", "netG", "netG_ema"]
    run.model.nets.netG.set_state_dict(weights["netG"])


def test_all_weights_are_kept_and_the_newest_checkpoint(tmp_path: Path) -> None:
    run = make_trainer("wgan", tmp_path, "total_iters=4", run_dir=tmp_path / "run")
    run.run_dir.mkdir()
    # Nobody's but the user's, who copied it there.
    (run.run_dir / "best_checkpoint.pdparams").write_bytes(b"mine")
    run.fit()
    names = sorted(path.name for path in run.run_dir.glob("*.pdparams"))
    assert names == [
        "best_checkpoint.pdparams",
        "iter_2_weight.pdparams",
        "iter_4_checkpoint.pdparams",
        "iter_4_weight.pdparams",
    ]


def test_weights_are_no_checkpoint(run: Trainer) -> None:
    path = run.run_dir / "iter_2_weight.pdparams"
    with pytest.raises(WeightsError, match=r"holds weights but no training state.*--load"):
        checkpoint.read_checkpoint(path)


def test_checkpoint_of_a_later_format(tmp_path: Path, content: dict[str, Any]) -> None:
    content["ppzoo"] |= {"format": 99, "version": "9.9"}
    write_pdparams(tmp_path / "x", content)
    with pytest.raises(WeightsError, match=r"format 99.* reads format 1.* 9\.9$"):
        checkpoint.read_checkpoint(tmp_path / "x")


@pytest.mark.parametrize("key", sorted(checkpoint._PROGRESS))
@pytest.mark.parametrize("value", [None, [1], "text"])
def test_checkpoint_with_a_damaged_state(
    tmp_path: Path, content: dict[str, Any], key: str, value: Any
) -> None:
    if key == "precision" and value == "text":
        return
    content["ppzoo"][key] = value
    write_pdparams(tmp_path / "x", content)
    with pytest.raises(WeightsError, match=f"no valid {key!r}"):
        make_trainer("wgan", tmp_path, EMA, "total_iters=4").resume(tmp_path / "x")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("netD",), None, "no entry 'netD'"),
        (("netG_ema",), 3, "no entry 'netG_ema'"),
        (("optimizer_G",), [], "no entry 'optimizer_G'"),
        (("ppzoo", "schedules"), {}, "no entry 'lr'"),
        (("netD", "model.0.weight"), np.zeros(3, "float32"), r"netD.* does not fit the network"),
        (("netG_ema",), {}, r"netG_ema.* does not fit the network"),
        (("netG", "l1.0.bias"), None, "does not fit the network"),
    ],
)
def test_checkpoint_that_does_not_fit_changes_no_network(
    tmp_path: Path, content: dict[str, Any], where: tuple[str, ...], value: Any, message: str
) -> None:
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    write_pdparams(tmp_path / "x", content)
    trainer = make_trainer("wgan", tmp_path, EMA, "total_iters=4")
    before = state_of(trainer)
    with pytest.raises(WeightsError, match=message) as caught:
        trainer.resume(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)
    after = state_of(trainer)
    assert_same(before, {key: after[key] for key in before})


@pytest.mark.parametrize("family", ["wgan", "cyclegan"])
@pytest.mark.parametrize("theirs", [False, True])
def test_what_fails_late_changes_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, theirs: bool
) -> None:
    """What Paddle finds wrong with one optimizer, or a family with its own state."""
    other = read(checkpoint_in(trained(family, tmp_path / "a", "total_iters=2", "seed=1").run_dir))
    trainer = trained(family, tmp_path / "b", "total_iters=3", "seed=2")
    model, calls = trainer.model, []
    last = list(model.optimizers.values())[-1]
    original = paddle.optimizer.Optimizer.set_state_dict

    def fails_once(optimizer: Any, state: dict[str, Any]) -> None:
        if optimizer is last and not calls:
            calls.append(state)
            raise RuntimeError("one optimizer cannot take it")
        original(optimizer, state)

    if theirs:
        del other["ppzoo"]
        monkeypatch.setattr(paddle.optimizer.Optimizer, "set_state_dict", fails_once)
        restore: Any = checkpoint.restore_paddlegans
    else:
        restore = checkpoint.restore
        other["ppzoo"]["extra"] = {"fake_A_pool": [np.zeros(3)], "fake_B_pool": 5}
        if family == "wgan":
            monkeypatch.setattr(paddle.optimizer.Optimizer, "set_state_dict", fails_once)
    before, extra = state_of(trainer), copy.deepcopy(checkpoint._arrays(model.extra_state()))
    before |= {f"rate {name}": s.last_lr for name, s in model.lr_schedulers.items()}
    with pytest.raises(WeightsError, match="its training state cannot be used"):
        restore(other, model, None, tmp_path / "x")
    after = state_of(trainer)
    after |= {f"rate {name}": s.last_lr for name, s in model.lr_schedulers.items()}
    assert_same(before, after)
    found = checkpoint._arrays(model.extra_state())
    assert found.keys() == extra.keys()
    for key, wanted in extra.items():
        assert len(found[key]) == len(wanted) > 0
        assert all(map(np.array_equal, found[key], wanted))


def test_names_in_a_checkpoint_cannot_act_on_terminals(
    tmp_path: Path, path: Path, content: dict[str, Any], run: Trainer
) -> None:
    evil = "\x1b[31m\x07" * 20_000
    told = []
    write_pdparams(tmp_path / "x", {evil: {"w": np.ones(1, "f4")}})
    with pytest.raises(WeightsError) as caught:
        checkpoint.load_weights(tmp_path / "x", run.model)
    told.append(caught.value)
    key = next(key for key in content["optimizer_D"] if "moment1" in key)
    odd = {f"{key.removesuffix('_moment1_0')}_{evil}_0": np.ones(3)}
    for changes in (
        {"optimizer_D": content["optimizer_D"] | odd},
        {"netG": content["netG"] | {evil: np.ones(1)}},
        {"optimizer_D": {evil: "text"}},
    ):
        with pytest.raises(WeightsError) as caught:
            checkpoint.restore(content | changes, run.model, None, path)
        told.append(caught.value)
    ours = content["ppzoo"]
    for changes in ({"precision": evil}, {"seed": 10**4000}, {"config": {evil: evil}}):
        with pytest.raises(ConfigError) as caught:
            checkpoint.refuse_changes({"ppzoo": ours | changes}, ours, path)
        told.append(caught.value)
    for error in told:
        assert str(error).isprintable()
        assert len(str(error)) < 2500, str(error)[:300]


def test_optimizer_state_of_another_shape(tmp_path: Path, content: dict[str, Any]) -> None:
    state = content["optimizer_D"]
    for key in [key for key in state if "moment" in key]:
        state[key] = np.zeros(3, "float32")
    write_pdparams(tmp_path / "x", content)
    trainer = make_trainer("wgan", tmp_path, EMA, "total_iters=4")
    with pytest.raises(WeightsError, match=r"optimizer_D\) does not fit the optimizer"):
        trainer.resume(tmp_path / "x")


def test_changed_options_are_listed(tmp_path: Path, path: Path) -> None:
    options = [
        "model.generator.ngf=8",
        "dataset.train.batch_size=16",
        "optimizer.optimizer_D.beta1=0.4",
        "lr_scheduler.learning_rate=0.1",
        "ema.decay=0.9",
        "seed=7",
    ]
    trainer = make_trainer("wgan", tmp_path, EMA, *options, "total_iters=4")
    with pytest.raises(ConfigError) as caught:
        trainer.resume(path)
    message = str(caught.value)
    for change in (
        "model.generator.ngf: 4 -> 8",
        "dataset.train.batch_size: 8 -> 16",
        "optimizer.optimizer_D.beta1: 0.5 -> 0.4",
        "lr_scheduler.learning_rate: 0.0002 -> 0.1",
        "ema.decay: 0.5 -> 0.9",
        "--seed: 0 -> 7",
    ):
        assert change in message
    assert message.count("->") == 6
    assert "\n" not in message
    assert "--load" in message


@pytest.mark.parametrize(
    ("overrides", "options", "change"),
    [
        (["ema=null"], {}, r"ema: \{'decay': 0.5.* -> None"),
        ([EMA, "epochs=2"], {}, "counted in: iterations -> epochs"),
        ([EMA], {"amp_level": "O1"}, "--amp, --amp_level: O0 -> O1"),
    ],
)
def test_other_changes_that_matter(
    tmp_path: Path, path: Path, overrides: list[str], options: dict[str, Any], change: str
) -> None:
    trainer = make_trainer("wgan", tmp_path, *overrides, **options)
    with pytest.raises(ConfigError, match=change):
        trainer.resume(path)


def test_model_of_another_kind(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.name: GANModel -> DCGANModel"):
        make_trainer("dcgan", tmp_path, EMA).resume(path)


def test_options_that_do_not_matter_may_change(tmp_path: Path, path: Path) -> None:
    trainer = make_trainer(
        "wgan",
        tmp_path,
        *(EMA, "total_iters=9", "log_config.interval=1", "snapshot_config.interval=5"),
        *("dataset.train.num_workers=1", "dataset.test.batch_size=2", "image_num=3", "device=cpu"),
    )
    trainer.resume(path)
    assert trainer.iteration == 2


def test_seed_comes_from_the_checkpoint(tmp_path: Path) -> None:
    run = trained("wgan", tmp_path, "seed=null", "total_iters=1")
    again = make_trainer("wgan", tmp_path, "seed=null", "total_iters=2")
    assert again.seed != run.seed
    again.resume(checkpoint_in(run.run_dir))
    assert again.seed == run.seed == read(checkpoint_in(run.run_dir))["ppzoo"]["seed"]
    # Given or chosen: the same seed is the same run.
    make_trainer("wgan", tmp_path, f"seed={run.seed}", "total_iters=2").resume(
        checkpoint_in(run.run_dir)
    )


def test_nothing_left_to_train(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"iteration 2 of 2.*raise total_iters"):
        make_trainer("wgan", tmp_path, EMA, "total_iters=2").resume(path)


def test_another_number_of_samples_is_told(
    tmp_path: Path, content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from ppzoo.engine.logs import setup_logging

    setup_logging()
    content["ppzoo"]["samples"] += 5
    write_pdparams(tmp_path / "x", content)
    make_trainer("wgan", tmp_path, EMA, "total_iters=4").resume(tmp_path / "x")
    assert "training samples now and there were" in capsys.readouterr().out


def test_malicious_checkpoint_runs_nothing(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    (tmp_path / "x").write_bytes(pickle.dumps({"netG": Bomb(), "ppzoo": {}}, protocol=4))
    trainer = make_trainer("wgan", tmp_path)
    for use in (trainer.resume, trainer.load):
        with pytest.raises(WeightsError, match="refused"):
            use(tmp_path / "x")
    assert not (tmp_path / "exploded").exists()


def test_truncated_checkpoint(tmp_path: Path, path: Path) -> None:
    data = path.read_bytes()
    (tmp_path / "x").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match="cut short"):
        make_trainer("wgan", tmp_path, EMA).resume(tmp_path / "x")


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, run: Trainer) -> None:
    model = copy.copy(run.model)
    parameter = model.nets.netD.parameters()[0]
    good = parameter.numpy().copy()
    bad = good.copy()
    bad.flat[0] = np.nan
    try:
        parameter.set_value(bad)
        with pytest.raises(
            TrainingError, match=r"netD\.model\.0\.weight is not finite at iter.* 7"
        ):
            checkpoint.save(tmp_path, "iter_7", model, None, {"iteration": 7})
    finally:
        parameter.set_value(good)
    assert not list(tmp_path.iterdir())


def test_kinds_and_how_many_stay(tmp_path: Path, run: Trainer) -> None:
    def written() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    def save(stem: str, **options: Any) -> None:
        checkpoint.save(tmp_path, stem, run.model, None, {"iteration": 7}, **options)

    (tmp_path / "mine_checkpoint.pdparams").touch()
    save("iter_1", kinds=["weight"])
    assert written() == {"mine_checkpoint.pdparams", "iter_1_weight.pdparams"}
    for index in range(2, 6):
        save(f"iter_{index}", kinds=["checkpoint"], keep=0)
    save("iter_3", kinds=["checkpoint"], keep=3)  # written last
    assert written() == {
        "mine_checkpoint.pdparams",
        "iter_1_weight.pdparams",
        *(f"iter_{index}_checkpoint.pdparams" for index in (3, 4, 5)),
    }
    save("iter_6")
    assert {name for name in written() if name.endswith("checkpoint.pdparams")} == {
        "mine_checkpoint.pdparams",
        "iter_6_checkpoint.pdparams",
    }


def test_load_takes_what_there_is(tmp_path: Path, run: Trainer, path: Path) -> None:
    trainer = make_trainer("wgan", tmp_path)
    trainer.load(path)
    first, second = run.model.nets.netG.state_dict(), trainer.model.nets.netG.state_dict()
    assert all(np.array_equal(first[key].numpy(), second[key].numpy()) for key in first)

    only = {key: value.numpy() for key, value in first.items()}
    write_pdparams(tmp_path / "one", {"netG": only})
    assert checkpoint.load_weights(tmp_path / "one", trainer.model) == ["netD"]


def test_load_prefers_averages_where_told(tmp_path: Path, content: dict[str, Any]) -> None:
    content["netG_ema"] = {key: value + 1 for key, value in content["netG"].items()}
    write_pdparams(tmp_path / "x", content)
    model = make_trainer("wgan", tmp_path).model
    for prefer_ema, name in ((False, "netG"), (True, "netG_ema")):
        checkpoint.load_weights(tmp_path / "x", model, prefer_ema=prefer_ema)
        loaded = model.nets.netG.state_dict()
        assert all(np.array_equal(content[name][key], loaded[key].numpy()) for key in loaded)


def test_load_of_a_single_network(tmp_path: Path, run: Trainer) -> None:
    model = make_trainer("wgan", tmp_path).model
    arrays = {key: value.numpy() for key, value in run.model.nets.netG.state_dict().items()}
    write_pdparams(tmp_path / "flat", arrays)
    assert checkpoint.load_weights(tmp_path / "flat", model) == ["netD"]
    del model.nets["netD"]
    assert checkpoint.load_weights(tmp_path / "flat", model) == []


def test_load_of_weights_that_fit_in_part_changes_nothing(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    content["netD"]["model.0.weight"] = np.zeros(3, "float32")
    write_pdparams(tmp_path / "x", content)
    trainer = make_trainer("wgan", tmp_path, "seed=5")
    before = state_of(trainer)
    with pytest.raises(WeightsError, match=r"x \(netD\) does not fit"):
        trainer.load(tmp_path / "x")
    assert_same(before, state_of(trainer))


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {}, ["a: 1 -> None"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c: 2 -> 3"]),
        ({"a": [{"b": 1}, 2]}, {"a": [{"b": 2}, 2]}, ["a.0.b: 1 -> 2"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: [1] -> [1, 2]"]),
        ({"device": "cpu"}, {"device": "gpu"}, []),
        ({"devices": 1}, {"devices": 2}, ["devices: 1 -> 2"]),
        ({"validate": {"interval": 1}}, {}, []),
        (
            {"dataset": {"test": 1, "train": {"num_workers": 1, "size": 2}}},
            {"dataset": {"test": 2, "train": {"num_workers": 2, "size": 3}}},
            ["dataset.train.size: 2 -> 3"],
        ),
    ],
)
def test_differing_options(old: dict[str, Any], new: dict[str, Any], lines: list[str]) -> None:
    assert checkpoint.differing_options(old, new) == lines


# What stands in the file in place of something else.
JUNK = [None, -1, 1.5, "x", b"b", [], {}, [1], {"a": 1}, {1: {}}, np.zeros(3), np.array("x")]


def parts(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the place of every part of a checkpoint, outer ones first."""
    for key, item in value.items() if isinstance(value, dict) else ():
        yield (*at, key)
        yield from parts(item, (*at, key))


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: f"{type(junk).__name__} {junk}"[:20])
def test_junk_anywhere_is_told_and_ends_no_process(
    monkeypatch: pytest.MonkeyPatch, run: Trainer, path: Path, junk: Any
) -> None:
    # Paddle ends the process when an optimizer's state has a dictionary in place of an array.
    told, content = 0, read(path)
    progress = copy.deepcopy(content["ppzoo"])
    for place in [*parts(content)][::3]:
        damaged = copy.copy(content)
        inner = damaged
        for key in place[:-1]:
            inner[key] = copy.copy(inner[key])
            inner = inner[key]
        inner[place[-1]] = junk
        monkeypatch.setattr(checkpoint, "read", lambda path, content=damaged: content)
        try:
            damaged = checkpoint.read_checkpoint(path)
            checkpoint.refuse_changes(damaged, progress, path)
            checkpoint.restore(damaged, run.model, None, path)
        except UserError as error:
            told += str(error).isprintable()
        if place[0] == "ppzoo" or type(damaged["epoch"]) is not int:
            continue
        try:  # the same without what PaddleGAN does not have
            checkpoint.restore_paddlegans(
                {key: damaged[key] for key in damaged if key != "ppzoo"}, run.model, None, path
            )
        except UserError as error:
            told += str(error).isprintable()
    assert told > 10
    checkpoint.restore(content, run.model, None, path)


def test_load_of_weights_without_a_name_by_what_they_fit(
    tmp_path: Path, run: Trainer, caplog: Any
) -> None:
    state = {key: value.numpy() for key, value in run.model.nets.netG.state_dict().items()}
    write_pdparams(tmp_path / "flat.pdparams", state)
    other = make_trainer("wgan", tmp_path)
    other.load(tmp_path / "flat.pdparams")
    for key, value in other.model.nets.netG.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key])
    assert "flat.pdparams names no network, and is taken for netG" in caplog.text
    assert "has no netD" in caplog.text
    state.popitem()
    write_pdparams(tmp_path / "part.pdparams", state)
    with pytest.raises(WeightsError, match="without a name, which fits none of netG, netD"):
        other.load(tmp_path / "part.pdparams")


def test_load_of_weights_without_a_name_that_fit_several(tmp_path: Path) -> None:
    trainer = make_trainer("cyclegan", tmp_path)
    first = next(iter(trainer.model.nets))
    state = {key: value.numpy() for key, value in trainer.model.nets[first].state_dict().items()}
    write_pdparams(tmp_path / "flat.pdparams", state)
    with pytest.raises(WeightsError, match=rf"fits {first} and .* alike: save it as {{'{first}'"):
        trainer.load(tmp_path / "flat.pdparams")
