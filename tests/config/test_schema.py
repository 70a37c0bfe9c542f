# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ppzoo.config import Component, DataConfig, ExportItem, TrainConfig, load_config
from ppzoo.config.problems import Origin

from .conftest import MINIMAL, Load, Write

FULL = """\
epochs: 3
output_dir: out
seed: 7
device: gpu:1
model:
  name: M
  generator: {name: G, ngf: 8, range: '(0., 1.)'}
  nothing: None
  text: "'1'"
  texts: ['1', None, a]
  pairs: '[(1, 2), (3, 4)]'
  deep: {name: P, stages: [{name: Q, size: [1, 2]}, {a: [[1], [2]]}]}
  weights: {34: 1.0, '34': 2.0}
  small: 1e-08
dataset:
  train: {name: D, batch_size: 4, num_workers: 2, use_shared_memory: false, root: data}
  test: {name: D, root: 'yes'}
lr_scheduler: {name: LinearDecay, learning_rate: 1e-4}
optimizer:
  lr: 0.1
  optimG: {name: Adam, net_names: [netG], beta1: 0.5}
  optimD: {name: Adam}
ema: {decay: 0.999, nets: netG, start: 5}
validate: {interval: 2, save_img: false, metrics: {fid: {name: FID, batch_size: 2}}}
log_config: {interval: 1, visiual_interval: 2}
snapshot_config: {interval: 3}
export_model: [{name: netG, inputs_num: 2}, {name: netD}]
enable_visualdl: false
min_max: (0., 1.)
find_unused_parameters: true
image_num: 4
max_eval_steps: 5
"""


def test_every_section_is_typed(load: Load) -> None:
    config = load(FULL)
    assert (config.name, config.path.name) == ("x", "x.yaml")
    assert (config.epochs, config.total_iters) == (3, None)
    assert (config.output_dir, config.seed, config.device) == ("out", 7, "gpu:1")
    assert config.model.name == "M"
    assert config.model.kwargs["generator"] == Component("G", {"ngf": 8, "range": (0.0, 1.0)})
    train = config.dataset.train
    assert (train.batch_size, train.num_workers, train.use_shared_memory) == (4, 2, False)
    assert train.component == Component("D", {"root": "data"})
    assert config.dataset.test == DataConfig(component=Component("D", {"root": "yes"}))
    assert config.lr_scheduler == Component("LinearDecay", {"learning_rate": 1e-4})
    assert config.optimizer_lr == 0.1
    assert list(config.optimizer) == ["optimG", "optimD"]
    assert config.optimizer["optimG"].component == Component("Adam", {"beta1": 0.5})
    assert config.optimizer["optimG"].net_names == ("netG",)
    assert config.optimizer["optimD"].net_names is None
    assert (config.ema.decay, config.ema.nets, config.ema.start) == (0.999, ("netG",), 5)
    assert (config.validation.interval, config.validation.save_img) == (2, False)
    assert config.validation.metrics == {"fid": Component("FID", {"batch_size": 2})}
    assert (config.log_config.interval, config.log_config.visiual_interval) == (1, 2)
    assert config.snapshot_config.interval == 3
    assert config.export_model == (
        ExportItem(name="netG", inputs_num=2),
        ExportItem(name="netD", inputs_num=1),
    )
    assert (config.enable_visualdl, config.find_unused_parameters) == (False, True)
    assert (config.min_max, config.image_num, config.max_eval_steps) == ((0.0, 1.0), 4, 5)


def test_defaults(load: Load) -> None:
    config = load(MINIMAL)
    assert (config.epochs, config.total_iters, config.output_dir) == (None, 10, "output_dir")
    assert config.dataset.train.batch_size == 1
    assert config.dataset.train.num_workers == 0
    assert config.dataset.train.use_shared_memory is True
    assert config.dataset.test is None
    assert config.optimizer == {}
    assert config.validation is None
    assert (config.log_config.interval, config.log_config.visiual_interval) == (100, 500)
    assert config.snapshot_config.interval == 1
    assert config.min_max == (-1.0, 1.0)
    assert config.enable_visualdl is True
    assert config.warnings == ()
    for name in ("lr_scheduler", "optimizer_lr", "ema", "seed", "device", "image_num"):
        assert getattr(config, name) is None


@pytest.mark.parametrize("text", [FULL, MINIMAL])
def test_the_resolved_config_reads_back_equal(write: Write, text: str) -> None:
    config = load_config(write(text))
    again = load_config(write(config.to_yaml(), "resolved.yaml"))
    assert again == config
    assert again.to_dict() == config.to_dict()
    assert again.to_yaml() == config.to_yaml()


def test_the_resolved_config_is_complete_and_readable(load: Load) -> None:
    text = load(MINIMAL + "lr_scheduler: {name: L, gamma: null, steps: [1, 2]}\n").to_yaml()
    assert "use_shared_memory: true\n" in text
    assert "min_max: [-1.0, 1.0]\n" in text
    assert "  gamma: null\n" in text
    assert "  steps: [1, 2]\n" in text
    assert "seed" not in text


def test_configs_differ_when_they_say_different_things(load: Load) -> None:
    assert load(MINIMAL) == load("# a comment\n" + MINIMAL)
    assert load(MINIMAL) != load(MINIMAL, "model.new=1")
    assert load(MINIMAL) != load(MINIMAL, "seed=1")
    assert load(MINIMAL) != MINIMAL


def test_nothing_can_be_assigned(load: Load) -> None:
    config = load(FULL)
    for owner, name in (
        (config, "seed"),
        (config.log_config, "interval"),
        (config.dataset, "train"),
        (config.dataset.train, "batch_size"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(owner, name, 1)
    with pytest.raises(AttributeError):
        config.model.name = "N"
    with pytest.raises(TypeError):
        config.model.kwargs["new"] = 1


def test_changes_to_the_dict_do_not_reach_the_config(load: Load) -> None:
    config = load(FULL)
    data = config.to_dict()
    data["model"]["generator"]["ngf"] = 9
    data["model"]["texts"].append("more")
    data["dataset"]["train"]["root"] = "elsewhere"
    assert config == load(FULL)


def test_components_are_equal_wherever_they_stand() -> None:
    first = Component("G", {"a": [1], "b": Component("H", {})}, "model.generator", 3)
    assert first == Component("G", {"a": [1], "b": Component("H", {}, "x", 1)})
    assert first != Component("G", {"a": [2], "b": Component("H", {})})
    assert first.to_dict() == {"name": "G", "a": [1], "b": {"name": "H"}}
    assert first.without("a").kwargs == {"b": Component("H", {})}
    assert first.without("a").where == "model.generator"
    assert copy.deepcopy(first) == first


def test_components_know_their_place(load: Load) -> None:
    config = load(FULL)
    stage = config.model.kwargs["deep"].kwargs["stages"][0]
    assert (config.model.where, config.model.line) == ("model", 6)
    assert (stage.where, stage.line) == ("model.deep.stages.0", 12)
    assert config.dataset.train.component.where == "dataset.train"
    assert config.optimizer["optimG"].component.where == "optimizer.optimG"
    assert config.validation.metrics["fid"].where == "validate.metrics.fid"


def test_configs_can_be_made_in_python() -> None:
    config = TrainConfig(
        path=Path("none.yaml"),
        name="none",
        epochs=1,
        model=Component("M", {}),
        dataset={"train": DataConfig(component=Component("D", {}), batch_size=2)},
    )
    assert config.dataset.train.batch_size == 2
    assert config.origin("model.generator") == Origin("none.yaml")
    with pytest.raises(ValidationError, match="one of 'epochs' and 'total_iters'"):
        TrainConfig(path=Path("x"), name="x", model=Component("M", {}), dataset={})
    with pytest.raises(ValidationError, match="colour"):
        TrainConfig(
            path=Path("x"), name="x", epochs=1, model=Component("M", {}), dataset={}, colour=1
        )


@pytest.mark.parametrize("where", ["model.deep.stages.0.missing.more", "model.deep.stages.0"])
def test_origin_of_what_is_not_there_is_the_nearest_around(load: Load, where: str) -> None:
    config = load(FULL)
    assert config.origin(where).line == 12


def test_copies_keep_origins(load: Load) -> None:
    config = load(FULL).model_copy(update={"seed": 8})
    assert config.seed == 8
    assert config.origin("seed").line == 3


@pytest.mark.parametrize("value", [[(1, 2)], (1, "a", None), "None", "'", "1e5", "a\nb", "é", "#"])
def test_awkward_values_survive_writing(write: Write, load: Load, value: Any) -> None:
    config = load(MINIMAL)
    config = config.model_copy(update={"model": Component("M", {"value": value, "list": ["1"]})})
    again = load_config(write(config.to_yaml(), "again.yaml"))
    assert again.model.kwargs == {"value": value, "list": ["1"]}
