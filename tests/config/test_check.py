# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest

from ppzoo import registry
from ppzoo.config import check, check_config, load_config
from ppzoo.errors import ConfigError, NotHereYetError
from ppzoo.registry import Registry

from .conftest import Write

MODELS, GENERATORS, CRITERIONS = Registry("model"), Registry("generator"), Registry("criterion")
DATASETS, TRANSFORMS, METRICS = Registry("dataset"), Registry("transform"), Registry("metric")
OPTIMIZERS, LRSCHEDULERS = Registry("optimizer"), Registry("learning-rate scheduler")


class Layer:
    pass


Generator = Annotated[Layer, GENERATORS]
Criterion = Annotated[Layer, CRITERIONS]
Transform = Annotated[Any, TRANSFORMS]


@MODELS.register()
class Pix2PixModel:
    NETS = ("netG", "netD")
    OPTIMIZERS = ("optimizer_G", "optimizer_D")

    def __init__(
        self,
        generator: Generator,
        criterion: Criterion | None = None,
        losses: Mapping[str, Criterion] | None = None,
        direction: Literal["a2b", "b2a"] = "a2b",
        params: dict[str, Any] | None = None,
    ) -> None:
        raise AssertionError("checking builds nothing")


@MODELS.register()
class FreeModel:
    def __init__(self, generator: Generator, **more: Any) -> None:
        raise AssertionError("checking builds nothing")


@MODELS.register()
class MotionModel:
    LR_SCHEDULER_ARGS = ("epoch_milestones", "lr_generator")

    def __init__(self) -> None:
        raise AssertionError("checking builds nothing")


@GENERATORS.register()
class UnetGenerator:
    def __init__(
        self, input_nc: int, norm_type: Literal["batch", "instance"] = "batch", ngf: int = 64
    ) -> None: ...


@GENERATORS.register()
class Wrapper:
    def __init__(self, inner: Generator, scale: float = 1.0) -> None: ...


@CRITERIONS.register()
def gan_loss(mode: str = "lsgan", weight: float = 1.0) -> None: ...


@DATASETS.register()
class Folder:
    def __init__(
        self, root: str, transforms: list[Transform] | None = None, size: tuple[int, int] = (8, 8)
    ) -> None: ...


@DATASETS.register()
class RepeatDataset:
    def __init__(self, dataset: Annotated[Any, DATASETS], times: int) -> None: ...


@TRANSFORMS.register()
class Resize:
    def __init__(self, size: tuple[int, int] | int) -> None: ...


@TRANSFORMS.register()
class Compose:
    def __init__(self, pipeline: list[Transform]) -> None: ...


@METRICS.register()
class PSNR:
    def __init__(self, crop_border: int = 0) -> None: ...


@OPTIMIZERS.register()
class Adam:
    def __init__(
        self, learning_rate: float, parameters: list, beta1: float = 0.9, name: str = ""
    ) -> None: ...


@LRSCHEDULERS.register()
class LinearDecay:
    def __init__(self, learning_rate: float, start_epoch: int, iters_per_epoch: int) -> None: ...


GOOD = """\
epochs: 1
model:
  name: Pix2PixModel
  generator:
    name: UnetGenerator
    input_nc: 3
    norm_type: instance
  criterion: {name: gan_loss}
  losses: {a: {name: gan_loss}, b: {name: gan_loss, weight: 2}}
dataset:
  train:
    name: RepeatDataset
    times: 2
    batch_size: 4
    dataset:
      name: Folder
      root: data
      transforms:
        - {name: Resize, size: '(4, 4)'}
        - {name: Compose, pipeline: [{name: Resize, size: 4}]}
lr_scheduler: {name: LinearDecay, learning_rate: 1e-4, start_epoch: 3}
optimizer:
  optimizer_G: {name: Adam, net_names: [netG], beta1: 0.5}
  optimizer_D: {name: Adam, net_names: [netD], beta1: 0}
ema: {decay: 0.9, nets: [netG]}
validate: {interval: 1, metrics: {psnr: {name: PSNR, crop_border: 4}}}
export_model: [{name: netG}]
"""


@pytest.fixture(autouse=True)
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODELS", "DATASETS", "METRICS", "OPTIMIZERS", "LRSCHEDULERS"):
        monkeypatch.setattr(check, name, globals()[name])
    # The registries of this file are full; the package's modules need not be imported.
    monkeypatch.setattr(registry, "_import_packages", lambda: None)


def problems(write: Write, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        check_config(load_config(write(text), overrides))
    return [
        line.replace(line.partition("x.yaml")[0], "") if "x.yaml" in line else line
        for line in str(error.value).splitlines()
    ]


def test_a_good_config_passes(write: Write) -> None:
    check_config(load_config(write(GOOD)))


def test_the_sentence_of_the_design(write: Write) -> None:
    assert problems(write, GOOD.replace("norm_type", "norm_typ")) == [
        "x.yaml:7 model.generator: UnetGenerator has no argument 'norm_typ'; "
        "did you mean 'norm_type'?"
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "name: UnetGenerator",
            "name: UnetGen",
            "x.yaml:5 model.generator: no generator is named 'UnetGen'; did you mean 'Unet",
        ),
        (
            "input_nc: 3",
            "ngf: 3",
            "x.yaml:4 model.generator: UnetGenerator needs the argument 'input_nc'",
        ),
        (
            "input_nc: 3",
            "input_nc: three",
            "x.yaml:6 model.generator.input_nc: UnetGenerator takes int, got 'three'",
        ),
        (
            "norm_type: instance",
            "norm_type: instanc",
            "x.yaml:7 model.generator.norm_type: UnetGenerator takes 'batch' or 'instance', got "
            "'instanc'; did you mean 'instance'?",
        ),
        (
            "norm_type: instance",
            "xyz: 1",
            "x.yaml:7 model.generator: UnetGenerator has no argument 'xyz'; it takes input_nc, "
            "norm_type, ngf",
        ),
        (
            "criterion: {name: gan_loss}",
            "criterion: gan_loss",
            "x.yaml:8 model.criterion: Pix2PixModel takes a criterion (a mapping with a 'name') or "
            "None, got 'gan_loss'",
        ),
        (
            "criterion: {name: gan_loss}",
            "criterion: {type: gan_loss}",
            "x.yaml:8 model.criterion: Pix2PixModel takes a criterion (a mapping with a 'name') or "
            "None, got {'type': 'gan_loss'}",
        ),
        (
            "criterion: {name: gan_loss}",
            "criterion: [{name: gan_loss}]",
            "x.yaml:8 model.criterion: Pix2PixModel takes a criterion (a mapping with a 'name') or "
            "None, got [{'name': 'gan_loss'}]",
        ),
        (
            "b: {name: gan_loss, weight: 2}",
            "b: {name: gan_loss, weight: heavy}",
            "x.yaml:9 model.losses.b.weight: gan_loss takes float, got 'heavy'",
        ),
        (
            "times: 2",
            "times: 2.5",
            "x.yaml:13 dataset.train.times: RepeatDataset takes int, got 2.5",
        ),
        (
            "batch_size: 4",
            "batchsize: 4",
            "x.yaml:14 dataset.train: RepeatDataset has no argument 'batchsize'; did you mean "
            "'batch_size'?",
        ),
        (
            "root: data",
            "root: 3",
            "x.yaml:17 dataset.train.dataset.root: Folder takes str, got 3",
        ),
        (
            "{name: Resize, size: '(4, 4)'}",
            "{name: Resize, size: '(4, 4, 4)'}",
            "x.yaml:19 dataset.train.dataset.transforms.0.size: Resize takes tuple[int, int] or "
            "int, got (4, 4, 4)",
        ),
        (
            "pipeline: [{name: Resize, size: 4}]",
            "pipeline: [{name: Resiz, size: 4}]",
            "x.yaml:20 dataset.train.dataset.transforms.1.pipeline.0: no transform is named "
            "'Resiz'; did you mean 'Resize'?",
        ),
        (
            "pipeline: [{name: Resize, size: 4}]",
            "pipeline: {name: Resize, size: 4}",
            "x.yaml:20 dataset.train.dataset.transforms.1.pipeline: Compose takes list[a transform "
            "(a mapping with a 'name')], got {'name': 'Resize', 'size': 4}",
        ),
        (
            "pipeline: [{name: Resize, size: 4}]",
            "pipeline: [Resize]",
            "x.yaml:20 dataset.train.dataset.transforms.1.pipeline.0: Compose takes a transform "
            "(a mapping with a 'name'), got 'Resize'",
        ),
        (
            "start_epoch: 3",
            "start_epch: 3",
            "x.yaml:21 lr_scheduler: LinearDecay has no argument 'start_epch'; did you mean "
            "'start_epoch'?",
        ),
        (
            "lr_scheduler: {name: LinearDecay,",
            "lr_scheduler: {",
            "x.yaml:21 lr_scheduler: needs a 'name'; known are LinearDecay",
        ),
        (
            "lr_scheduler: {name: LinearDecay, learning_rate: 1e-4, start_epoch: 3}",
            "",
            "x.yaml lr_scheduler: needs a 'name'",
        ),
        (
            "beta1: 0.5",
            "betta1: 0.5",
            "x.yaml:23 optimizer.optimizer_G: Adam has no argument 'betta1'; did you mean 'beta1'?",
        ),
        (
            "beta1: 0.5",
            "momentum: 0.5",
            "x.yaml:23 optimizer.optimizer_G: Adam has no argument 'momentum'; it takes beta1, "
            "net_names",
        ),
        (
            "beta1: 0.5",
            "learning_rate: 0.5",
            "x.yaml:23 optimizer.optimizer_G.learning_rate: Adam does not take it here: its rate "
            "comes from lr_scheduler",
        ),
        (
            "net_names: [netD]",
            "net_names: [netd]",
            "x.yaml:24 optimizer.optimizer_D.net_names: Pix2PixModel has no network 'netd'; did "
            "you mean 'netD'?",
        ),
        (
            "nets: [netG]",
            "nets: [gen]",
            "x.yaml:25 ema.nets: Pix2PixModel has no network 'gen'; known are netG, netD",
        ),
        (
            "name: PSNR",
            "name: PNSR",
            "x.yaml:26 validate.metrics.psnr: no metric is named 'PNSR'; did you mean 'PSNR'?",
        ),
        (
            "crop_border: 4",
            "crop_border: true",
            "x.yaml:26 validate.metrics.psnr.crop_border: PSNR takes int, got True",
        ),
        (
            "export_model: [{name: netG}]",
            "export_model: [{name: netH}]",
            "x.yaml:27 export_model: Pix2PixModel has no network 'netH'",
        ),
    ],
)
def test_mistakes_are_named_with_their_lines(
    write: Write, old: str, new: str, problem: str
) -> None:
    assert old in GOOD
    found = problems(write, GOOD.replace(old, new, 1))
    assert found[0].startswith(problem) or found[-1].startswith(problem)
    assert len(found) <= 2


def test_all_problems_are_reported_together(write: Write) -> None:
    text = (
        GOOD.replace("norm_type: instance", "norm_typ: instance")
        .replace("times: 2", "times: two")
        .replace("beta1: 0.5", "betta: 0.5")
    )
    assert [line.split()[0] for line in problems(write, text)] == [
        "x.yaml:7",
        "x.yaml:13",
        "x.yaml:23",
    ]


def test_loading_can_check_at_once(write: Write) -> None:
    text = GOOD.replace("norm_type", "norm_typ").replace("interval: 1", "interval: 0")
    text += "log_config: {interval: 0}\n"
    with pytest.raises(ConfigError) as error:
        load_config(write(text), ["device=tpu"], check=True)
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("-o device: should be cpu, gpu or gpu:N")
    assert "norm_typ" in lines[1]
    assert load_config(write(GOOD), check=True) == load_config(write(GOOD))


def test_problems_of_bases_and_overrides_name_their_origin(write: Write) -> None:
    base = write(GOOD.replace("norm_type", "norm_typ"), "base.yaml")
    child = write("_base_: base.yaml\nmodel: {direction: b2b}\n", "child.yaml")
    with pytest.raises(ConfigError) as error:
        check_config(load_config(child, ["model.generator.nfg=3", "dataset.train.times=x"]))
    lines = str(error.value).splitlines()
    assert lines[:2] == [
        "-o model.generator: UnetGenerator has no argument 'nfg'; did you mean 'ngf'?",
        "-o dataset.train.times: RepeatDataset takes int, got 'x'",
    ]
    assert lines[2].startswith(f"{base}:7 model.generator: UnetGenerator has no argument")
    assert lines[3].startswith(f"{child}:2 model.direction: Pix2PixModel takes 'a2b' or 'b2a'")


def test_a_family_that_is_not_there_is_one_problem(write: Write) -> None:
    text = GOOD.replace("Pix2PixModel", "Pix2PixHDModel").replace("Unet", "Global")
    assert problems(write, text) == [
        "x.yaml:3 model: no model is named 'Pix2PixHDModel'; did you mean 'Pix2PixModel'?"
    ]


def test_optimizers_must_be_those_of_the_model(write: Write) -> None:
    found = problems(write, GOOD.replace("optimizer_D: ", "optimizer_d: "))
    assert found == [
        "x.yaml:22 optimizer: Pix2PixModel needs an optimizer 'optimizer_D'",
        "x.yaml:24 optimizer.optimizer_d: Pix2PixModel has no optimizer 'optimizer_d'; did you "
        "mean 'optimizer_D'?",
    ]
    found = problems(write, GOOD, "optimizer={name: Adam}")
    assert (
        "-o optimizer: Pix2PixModel has no optimizer 'optim'; did you mean 'optimizer_G'?" in found
    )


def test_a_model_that_declares_nothing_takes_any_names(write: Write) -> None:
    text = """\
    epochs: 1
    model: {name: FreeModel, generator: {name: UnetGenerator, input_nc: 3}, anything: [1]}
    dataset: {}
    lr_scheduler: {name: LinearDecay, learning_rate: 1, start_epoch: 3, iters_per_epoch: 5}
    optimizer: {name: Adam, net_names: [any]}
    ema: {decay: 0.9, nets: [any]}
    export_model: [{name: any}]
    """
    check_config(load_config(write(text)))


def test_a_family_may_read_the_scheduler_itself(write: Write) -> None:
    text = """\
    epochs: 1
    model: {name: MotionModel}
    dataset: {}
    optimizer: {name: Adam}
    """
    section = "lr_scheduler={epoch_milestones: [1], lr_generator: 1e-4%s}"
    check_config(load_config(write(text), [section % ""]))
    with pytest.raises(ConfigError, match="did you mean 'lr_generator'"):
        check_config(load_config(write(text), [section % ", lr_generatr: 3"]))
    # PaddleGAN's files name a scheduler there, which the family does not use.
    check_config(load_config(write(text), [section % ", name: MultiStepDecay"]))


def test_nested_components_of_one_kind(write: Write) -> None:
    generator = (
        "{name: Wrapper, inner: {name: Wrapper, inner: {name: UnetGenerator, input_nc: %s}}}"
    )
    path = write(GOOD)
    check_config(load_config(path, [f"model.generator={generator % 3}"]))
    with pytest.raises(ConfigError, match=r"-o model.generator.inner.inner.input_nc: UnetGen"):
        check_config(load_config(path, [f"model.generator={generator % 'x'}"]))


def test_null_is_right_where_it_is_the_default(write: Write) -> None:
    path = write(GOOD)
    check_config(load_config(path, ["model.criterion=None", "model.params=None"]))
    with pytest.raises(ConfigError, match="UnetGenerator takes int, got None"):
        check_config(load_config(path, ["model.generator.input_nc=None"]))


def test_checking_twice_changes_nothing(write: Write) -> None:
    config = load_config(write(GOOD))
    before = config.to_yaml()
    check_config(config)
    check_config(config)
    assert config.to_yaml() == before


class TestWhatOnlyPaddleGANHas:
    """`SwinIRModel` and the like are names of PaddleGAN's that this file does not register."""

    UNKNOWN = GOOD.replace("name: Pix2PixModel", "name: SwinIRModel")

    @pytest.fixture(autouse=True)
    def own_kinds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "NESTED", (GENERATORS, CRITERIONS))

    def test_one_sentence_names_all_of_it(self, write: Write) -> None:
        text = self.UNKNOWN.replace("name: UnetGenerator", "name: SwinIR")
        text = text.replace("name: Folder", "name: SwinIRDataset").replace("gan_loss}", "IDLoss}")
        with pytest.raises(NotHereYetError) as error:
            check_config(load_config(write(text)))
        assert error.value.names == ("SwinIRModel", "SwinIR", "IDLoss", "SwinIRDataset")
        assert str(error.value).endswith(
            "x.yaml:3 model.name: ppzoo does not have PaddleGAN's SwinIRModel yet, nor SwinIR, "
            "IDLoss, SwinIRDataset; `ppzoo list` shows what it has"
        )

    def test_a_network_only(self, write: Write) -> None:
        (line,) = problems(write, GOOD.replace("name: UnetGenerator", "name: PAN"))
        assert line.startswith("x.yaml:5 model.generator.name: ppzoo does not have PaddleGAN's PAN")

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("norm_type", "norm_typ", "UnetGenerator has no argument 'norm_typ'"),
            ("name: gan_loss}", "name: gan_los}", "is named 'gan_los'; did you mean 'gan_loss'?"),
            ("size: 4", "siz: 4", "Resize has no argument 'siz'"),
            ("crop_border", "crop", "PSNR has no argument 'crop'"),
            ("beta1: 0.5", "beta: 0.5", "Adam has no argument 'beta'"),
            ("start_epoch", "begin", "LinearDecay has no argument 'begin'"),
        ],
    )
    def test_the_rest_is_checked(self, write: Write, old: str, new: str, problem: str) -> None:
        lines = problems(write, self.UNKNOWN.replace(old, new))
        assert any(problem in line for line in lines), lines
        assert any("SwinIRModel yet;" in line for line in lines)

    def test_mistakes_besides_are_mistakes(self, write: Write) -> None:
        with pytest.raises(ConfigError) as error:
            check_config(load_config(write(self.UNKNOWN.replace("size: 4", "siz: 4"))))
        assert not isinstance(error.value, NotHereYetError)
