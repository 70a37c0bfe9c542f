# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest

from ppzoo.config import load_config
from ppzoo.config.overrides import parse_override
from ppzoo.errors import ConfigError

from .conftest import MINIMAL, Load, Write

TEXT = """\
epochs: 5
model:
  name: M
  generator: {name: G, ngf: 64, weights: {34: 1.0}}
  layers: [1, 2]
  nothing: null
dataset:
  train:
    name: D
    transforms:
      - {name: Resize, size: [2, 2]}
      - {name: Normalize, mean: [1.0]}
optimizer: {name: Adam}
validate: null
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("None", None),
        ("null", None),
        ("", None),
        ("True", True),
        ("false", False),
        ("1", 1),
        ("1e-4", 1e-4),
        ("(0., 1.)", (0.0, 1.0)),
        ("[1, 2]", [1, 2]),
        ("[None, True]", [None, True]),
        ("[a, b]", ["a", "b"]),
        ("text with = signs = in it", "text with = signs = in it"),
        ("'1'", "1"),
        ("inf", "inf"),
        ("data/faces", "data/faces"),
    ],
)
def test_values(load: Load, text: str, value: Any) -> None:
    config = load(TEXT, f"model.new={text}")
    assert config.model.kwargs["new"] == value
    assert type(config.model.kwargs["new"]) is type(value)


def test_mappings_are_written_as_yaml_or_python(load: Load) -> None:
    for text in (
        "{name: H, a: '(1, 2)', b: {c: None}}",
        "{'name': 'H', 'a': (1, 2), 'b': {'c': None}}",
    ):
        generator = load(TEXT, f"model.generator={text}").model.kwargs["generator"]
        assert (generator.name, generator.kwargs) == ("H", {"a": (1, 2), "b": {"c": None}})
        assert (generator.where, generator.line) == ("model.generator", 0)


def test_paths_lead_through_mappings_and_lists(load: Load) -> None:
    config = load(
        TEXT,
        "model.layers.1=7",
        "dataset.train.transforms.0.size.1=9",
        "dataset.train.transforms.1.name=Scale",
        "model.generator.weights.34=0.5",
    )
    assert config.model.kwargs["layers"] == [1, 7]
    first, second = config.dataset.train.component.kwargs["transforms"]
    assert (first.kwargs["size"], second.name) == ([2, 9], "Scale")
    assert config.model.kwargs["generator"].kwargs["weights"] == {34: 0.5}


def test_the_last_one_wins(load: Load) -> None:
    assert load(TEXT, "seed=1", "seed=2").seed == 2
    assert load(TEXT, "optimizer={name: SGD}", "optimizer.a=1").optimizer["optim"].component == (
        load(TEXT, "optimizer={name: SGD, a: 1}").optimizer["optim"].component
    )


@pytest.mark.parametrize(
    ("override", "attribute", "value"),
    [
        ("seed=3", "seed", 3),
        ("device=cpu", "device", "cpu"),
        ("output_dir=out", "output_dir", "out"),
        ("output_dir=2024", "output_dir", "2024"),
        ("enable_visualdl=False", "enable_visualdl", False),
        ("max_eval_steps=4", "max_eval_steps", 4),
        ("min_max=(0., 1.)", "min_max", (0.0, 1.0)),
    ],
)
def test_options_need_not_be_in_the_file(
    load: Load, override: str, attribute: str, value: Any
) -> None:
    assert getattr(load(TEXT, override), attribute) == value


def test_options_of_sections_need_not_be_in_the_file(load: Load) -> None:
    config = load(
        TEXT,
        "validate.interval=3",
        "validate.metrics.psnr={name: PSNR}",
        "validate.metrics.fid.name=FID",
        "log_config.visual_interval=4",
        "snapshot_config.interval=5",
        "ema.decay=0.9",
        "dataset.train.batch_size=6",
        "dataset.test={name: E, batch_size: 7}",
        "optimizer.lr=0.1",
        "optimizer.beta1=0.5",
    )
    assert config.validation.interval == 3
    assert {key: item.name for key, item in config.validation.metrics.items()} == {
        "psnr": "PSNR",
        "fid": "FID",
    }
    assert config.log_config.visiual_interval == 4
    assert config.snapshot_config.interval == 5
    assert config.ema.decay == 0.9
    assert (config.dataset.train.batch_size, config.dataset.test.batch_size) == (6, 7)
    assert config.optimizer_lr == 0.1
    assert config.optimizer["optim"].component.kwargs == {"beta1": 0.5}


def test_null_leaves_out_one_metric(load: Load) -> None:
    text = MINIMAL + "validate: {metrics: {fid: {name: FID}, psnr: {name: PSNR}}}\n"
    assert list(load(text, "validate.metrics.fid=null").validation.metrics) == ["psnr"]
    assert load(text, "validate.metrics=null").validation.metrics == {}
    with pytest.raises(ConfigError, match=r"no key 'fdi'; did you mean 'fid'\?"):
        load(text, "validate.metrics.fdi=null")


def test_total_iters_shortens_a_run_that_is_counted_in_epochs(write: Write) -> None:
    path = write(TEXT)
    config = load_config(path, ["total_iters=2"])
    assert (config.epochs, config.total_iters) == (None, 2)
    assert config.warnings == (f"-o total_iters=2 replaces epochs: 5 of {path}:1",)


def test_epochs_replaces_total_iters(load: Load) -> None:
    config = load(MINIMAL, "epochs=2")
    assert (config.epochs, config.total_iters) == (2, None)
    assert "replaces total_iters: 10" in config.warnings[0]


def test_null_removes_a_length_without_touching_the_other(load: Load) -> None:
    assert load(TEXT, "total_iters=null").epochs == 5
    with pytest.raises(ConfigError, match="one of 'epochs' and 'total_iters' is needed"):
        load(TEXT, "epochs=None")


def test_both_lengths_given_as_overrides_are_told_apart_as_in_a_file(load: Load) -> None:
    config = load(TEXT, "total_iters=2", "epochs=3")
    assert (config.epochs, config.total_iters) == (3, None)
    assert "wins" in config.warnings[0]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("modl.name=X", "the config has no key 'modl'; did you mean 'model'?"),
        ("model.genrator.ngf=3", "model has no key 'genrator'; did you mean 'generator'?"),
        ("ngf=3", "has no key 'ngf'; did you mean 'model.generator.ngf'?"),
        ("model.new.ngf=3", "model has no key 'new'; did you mean 'model.generator.ngf'?"),
        ("sed=3", "no key 'sed'; did you mean 'seed'?"),
        ("log_config.intervall=3", "did you mean 'interval'?"),
        ("optimizer.optimG.beta1=3", "optimizer has no key 'optimG'"),
        ("model.generator.weights.35=1", "model.generator.weights has no key '35'"),
        ("model.layers.2=1", "model.layers is a list of 2; its items are called 0 to 1"),
        ("model.layers.-1=1", "model.layers is a list of 2"),
        ("model.layers.x=1", "model.layers is a list of 2"),
        ("model.generator.ngf.x=1", "model.generator.ngf is 64 and has no 'x' in it"),
        ("model.nothing.x=1", "model.nothing is None and has no 'x' in it"),
        ("model.generator", "expected key=value"),
        ("=3", "expected key=value"),
        ("model..name=3", "expected key=value"),
        ("", "expected key=value"),
        ("seed=[1", "not valid YAML: "),
        ("seed=!!python/name:os.system x", "tagged 'python/name:os.system'"),
        ("seed={a: 1, a: 2}", "'a' stands here again"),
        ("dataset.test.batch_size=2", "there is no dataset.test to change; set it as a whole"),
        ("lr_scheduler.gamma=2", "there is no lr_scheduler to change"),
        ("_base_=other.yaml", "no key '_base_'"),
    ],
)
def test_overrides_that_lead_nowhere(load: Load, override: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(TEXT, override)
    assert str(error.value).startswith(f"-o {override}: ")
    assert reason in str(error.value)


MNIST = """\
total_iters: 1
model: {name: GANModel, generator: {name: G}, params: null}
dataset:
  train: {name: CommonVisionDataset, dataset_name: MNIST, batch_size: 4}
"""


def test_keys_of_mappings_that_the_file_leaves_out(load: Load) -> None:
    changes = ["dataset.train.params.data_dir=data/mnist", "dataset.train.params.download=False"]
    config = load(MNIST, *changes, "model.params.disc_iters=2", "model.params.clip_limit=0.1")
    params = config.dataset.train.component.kwargs["params"]
    assert params == {"data_dir": "data/mnist", "download": False}
    assert config.model.kwargs["params"] == {"disc_iters": 2, "clip_limit": 0.1}


def test_keys_of_any_components_mappings(load: Load) -> None:
    loss = "model: {name: ESRGAN, perceptual_criterion: {name: PerceptualLoss}}"
    text = MINIMAL.replace("model: {name: M}", loss)
    where = "model.perceptual_criterion.layer_weights"
    config = load(text, f"{where}.34=1.0", f"{where}.16=0.5")
    criterion = config.model.kwargs["perceptual_criterion"]
    assert criterion.kwargs["layer_weights"] == {"34": 1.0, "16": 0.5}


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("dataset.train.pramas.data_dir=x", "no key 'pramas'; did you mean 'params'?"),
        ("dataset.train.transform.size=2", "no key 'transform'; did you mean 'transforms'?"),
        ("dataset.train.return_label.x=2", "dataset.train has no key 'return_label'"),
        ("dataset.train.params.a.b=2", "dataset.train has no key 'params'"),
        ("model.gan_criterion.gan_mode=wgan", "model has no key 'gan_criterion'"),
        ("model.generator.opts.a=1", "model.generator has no key 'opts'"),
    ],
)
def test_other_paths_still_lead_nowhere(load: Load, override: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(MNIST.replace(", params: null", ""), override)
    assert reason in str(error.value)


def test_an_empty_list_has_no_items(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"model\.layers is an empty list"):
        load(TEXT, "model.layers=[]", "model.layers.0=1")


def test_all_bad_overrides_are_reported(load: Load) -> None:
    with pytest.raises(ConfigError) as error:
        load(TEXT, "modl=1", "seed=5", "nothing", "model.layers.9=1")
    assert len(str(error.value).splitlines()) == 3


def test_values_out_of_range_are_marked_as_overrides(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"^-o log_config.interval: should be .* got 0$"):
        load(TEXT, "log_config.interval=0")


def test_only_the_first_equals_sign_splits() -> None:
    override = parse_override("model.url=http://a/?b=c")
    assert override.keys == ("model", "url")
    assert override.value.value == "http://a/?b=c"


def test_params_of_a_dataset_take_keys_that_its_class_knows(load: Load) -> None:
    text = TEXT.replace("name: D\n", "name: D\n    params: {mode: train}\n")
    config = load(text, "dataset.train.params.data_dir=data/mnist")
    assert config.dataset.train is not None
    assert config.dataset.train.component.kwargs["params"] == {
        "mode": "train",
        "data_dir": "data/mnist",
    }
