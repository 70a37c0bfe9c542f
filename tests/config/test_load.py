# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ppzoo.config import Component, load_config
from ppzoo.config.schema import CLOSED
from ppzoo.errors import ConfigError

from .conftest import MINIMAL, Load, Write


def problems(load: Load, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(text)
    return [line.partition("x.yaml")[2] for line in str(error.value).splitlines()]


# Each shape stands in one or more of PaddleGAN's 61 files, which is named beside it.
SHAPES = {
    "aotgan: both lengths, a bare rate, predict": """\
total_iters: 1000000
output_dir: output_dir
checkpoints_dir: checkpoints
epochs: 5
model:
  name: AOTGANModel
  generator: {name: InpaintGenerator, rates: [1, 2, 4, 8], block_num: 8}
  adversal_weight: 0.01
dataset:
  train: {name: AOTGANDataset, batch_size: 8, img_size: 512, use_shared_memory: False}
  test: {name: AOTGANDataset_test, batch_size: 1, img_size: 512, use_shared_memory: False}
lr_scheduler: {name: MultiStepDecay, learning_rate: 0.0001, milestones: [990000], gamma: 0.1}
optimizer:
  lr: 0.0001
  optimG: {name: Adam, net_names: [netG], beta1: 0.5, beta2: 0.999}
  optimD: {name: Adam, net_names: [netD], beta1: 0.5, beta2: 0.999}
log_config: {interval: 100, visiual_interval: 100}
snapshot_config: {interval: 1000}
predict: {name: AOTGANGenerator, rates: [1, 2, 4, 8]}
export_model: [{name: net_gen, inputs_num: 1}]
""",
    "firstorder_fashion: a scheduler without a name, export_model null": """\
epochs: 100
output_dir: output_dir
model:
  name: FirstOrderModel
  common_params: {num_kp: 10, num_channels: 3, estimate_jacobian: True}
  generator:
    name: FirstOrderGenerator
    kp_detector_cfg: {temperature: 0.1, block_expansion: 32}
dataset:
  train: {name: FirstOrderDataset, pairs_list: None, max_dataset_size: inf}
  test: {name: FirstOrderDataset}
optimizer: {name: Adam}
lr_scheduler: {epoch_milestones: [60, 90], lr_generator: 2.0e-4, lr_discriminator: 2.0e-4}
log_config: {interval: 100, visiual_interval: 500}
snapshot_config: {interval: 5}
export_model:
""",
    "firstorder_vox_mobile_256: dead sections, export_model [{}]": """\
epochs: 100
output_dir: output_dir
model: {name: FirstOrderModelMobile, mode: generator, kp_weight_path: None}
dataset:
  train: {name: FirstOrderDataset, frame_shape: [ 256, 256, 3 ]}
lr_scheduler: {name: MultiStepDecay, epoch_milestones: 2000000000000, lr_generator: 2.0e-4}
reconstruction_params: {num_videos: 1000, format: '.mp4'}
animate_params: {num_pairs: 50, normalization_params: {use_relative_movement: True}}
visualizer_params: {kp_size: 5, draw_border: True}
validate: {interval: 300000000, save_img: true}
optimizer: {name: Adam}
export_model:
  - {}
""",
    "gfpgan_ffhq1024: mappings with a type, tags, nulls": """\
total_iters: 800000
find_unused_parameters: True
enable_visualdl: False
validate: {interval: 5000, save_img: True, metrics: {LPIPS: {name: LPIPSMetric}}}
model:
    name: GFPGANModel
    network_d_left_eye:
        type: FacialComponentDiscriminator

    path: {pretrain_network_g: ~, param_key_g: params_ema}
    pixel_opt: {name: GFPGANL1Loss, loss_weight: !!float 1e-1}
    perceptual_opt:
        name: GFPGANPerceptualLoss
        layer_weights:
            "conv1_2": 0.1
        perceptual_weight: !!float 1
dataset:
    train: {name: FFHQDegradationDataset, io_backend: {type: disk}, prefetch_mode: ~}
optimizer:
    optim_g: {name: Adam, beta1: 0}
    optim_component: {name: Adam, beta1: 0.9}
""",
    "stylegan_v2_256_ffhq: save_imig": """\
total_iters: 800000
model: {name: StyleGAN2Model, path_batch_shrink: 2., max_eval_steps: 50000}
dataset:
  train: {name: SingleDataset, num_workers: 3, batch_size: 3}
validate:
  interval: 5000
  save_imig: False
  metrics:
    fid: # metric name, can be arbitrary
      name: FID
      batch_size: 4
""",
    "starganv2_afhq: anchors": """\
epochs: 200
model:
  name: StarGANv2Model
  generator: {name: StarGANv2Generator, img_size: &SIZE 256}
  style: {name: StarGANv2Style, img_size: *SIZE, num_domains: &NUM 3}
dataset:
  train:
    name: StarGANv2Dataset
    preprocess:
      - name: Transforms
        input_keys: [src, ref]
        pipeline:
          - {name: Resize, size: [*SIZE, *SIZE], interpolation: 'bilinear'}
""",
    "msvsr_reds: a repeated dataset, min_max as text, one optimizer": """\
total_iters: 150000
use_dataset: True
# tensor range for function tensor2img
min_max:
  (0., 1.)
model: {name: MultiStageVSRModel, fix_iter: 2500}
dataset:
  train:
    name: RepeatDataset
    times: 1000
    num_workers: 6
    batch_size: 2  #8 gpus
    dataset:
      name: VSRREDSMultipleGTDataset
      preprocess:
        - {name: GetNeighboringFramesIdx, interval_list: [1]}
lr_scheduler:
  name: CosineAnnealingRestartLR
  learning_rate: !!float 2e-4
  eta_min: !!float 1e-7
optimizer: {name: Adam, net_names: [generator], beta1: 0.9, epsilon: 1e-8, clip_grad_norm: 10}
""",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_paddlegans_files(write: Write, shape: str) -> None:
    config = load_config(write(SHAPES[shape]))
    again = load_config(write(config.to_yaml(), "again.yaml"))
    assert again == config
    assert not any("ignored" in warning for warning in again.warnings)


def shaped(load: Load, start: str) -> Any:
    return load(next(text for name, text in SHAPES.items() if name.startswith(start)))


def test_epochs_win_and_a_bare_rate_is_kept_apart(load: Load) -> None:
    config = shaped(load, "aotgan")
    assert (config.epochs, config.total_iters) == (5, None)
    assert config.optimizer_lr == 0.0001
    assert list(config.optimizer) == ["optimG", "optimD"]
    assert [warning.partition("x.yaml")[2] for warning in config.warnings] == [
        ":3 checkpoints_dir: is ignored, training does not use it",
        ":19 predict: is ignored, training does not use it",
        ":1 total_iters: is ignored, because 'epochs' is given too and wins",
        ":14 optimizer.lr: is for the families that read it; others take their rate from "
        "lr_scheduler",
    ]


def test_a_scheduler_may_lack_a_name(load: Load) -> None:
    config = shaped(load, "firstorder_fashion")
    assert config.lr_scheduler == {
        "epoch_milestones": [60, 90],
        "lr_generator": 2e-4,
        "lr_discriminator": 2e-4,
    }
    assert config.export_model == ()
    assert config.dataset.train.component.kwargs == {"pairs_list": None, "max_dataset_size": "inf"}


def test_dead_sections_are_named_once_each(load: Load) -> None:
    config = shaped(load, "firstorder_vox_mobile_256")
    named = [warning.split(": ")[0].split()[-1] for warning in config.warnings]
    assert named == ["reconstruction_params", "animate_params", "visualizer_params"]
    assert config.export_model == ()


def test_mappings_without_a_name_stay_mappings(load: Load) -> None:
    kwargs = shaped(load, "gfpgan").model.kwargs
    assert kwargs["network_d_left_eye"] == {"type": "FacialComponentDiscriminator"}
    assert kwargs["path"] == {"pretrain_network_g": None, "param_key_g": "params_ema"}
    assert kwargs["pixel_opt"] == Component("GFPGANL1Loss", {"loss_weight": 0.1})


def test_a_misspelt_option_of_paddlegan_is_pointed_out(load: Load) -> None:
    config = shaped(load, "stylegan")
    assert config.validation.save_img is True
    (warning,) = config.warnings
    assert warning.endswith("x.yaml:7 validate.save_imig: is ignored; did you mean 'save_img'?")


def test_a_misspelt_component_of_paddlegan_is_taken_for_what_it_means(load: Load) -> None:
    text = MINIMAL.replace(
        "dataset:",
        """dataset:
  test:
    name: UnpairedDataset
    preprocess:
      - {name: Transfroms, input_keys: [A, B], pipeline: [{name: Transpose}]}
""",
        1,
    )
    config = load(text)
    (step,) = config.dataset.test.component.kwargs["preprocess"]
    assert (step.name, step.kwargs["input_keys"]) == ("Transforms", ["A", "B"])
    (warning,) = config.warnings
    assert warning.endswith("is 'Transfroms', taken for 'Transforms'")
    assert "Transfroms" not in config.to_yaml()


def test_the_cap_of_evaluations_moves_from_the_model_to_the_trainer(load: Load) -> None:
    config = shaped(load, "stylegan")
    assert config.max_eval_steps == 50000
    assert "max_eval_steps" not in config.model.kwargs
    config = load(MINIMAL + "max_eval_steps: 3\n", "model.max_eval_steps=5")
    assert config.max_eval_steps == 3
    assert config.warnings == (
        "-o model.max_eval_steps: is ignored, because 'max_eval_steps' is given too",
    )


def test_loader_keys_stay_out_of_the_dataset(load: Load) -> None:
    train = shaped(load, "msvsr").dataset.train
    assert (train.batch_size, train.num_workers) == (2, 6)
    assert set(train.component.kwargs) == {"times", "dataset"}
    assert train.component.kwargs["dataset"].where == "dataset.train.dataset"


def test_one_optimizer_is_called_optim(load: Load) -> None:
    config = shaped(load, "msvsr")
    assert list(config.optimizer) == ["optim"]
    assert config.optimizer["optim"].net_names == ("generator",)
    assert config.optimizer["optim"].component.kwargs == {
        "beta1": 0.9,
        "epsilon": 1e-8,
        "clip_grad_norm": 10,
    }


def test_one_metric_takes_its_name_from_the_class(load: Load) -> None:
    config = load(MINIMAL + "validate: {interval: 1, metrics: {name: PSNR, crop_border: 4}}\n")
    assert config.validation.metrics == {"psnr": Component("PSNR", {"crop_border": 4})}


def test_whole_floats_count_as_integers_in_sections(load: Load) -> None:
    assert load(MINIMAL, "total_iters=1e5").total_iters == 100_000


def test_a_null_option_is_the_default(load: Load) -> None:
    config = load(MINIMAL + "log_config: null\noutput_dir: null\nvalidate: {interval: null}\n")
    assert config.log_config.interval == 100
    assert config.output_dir == "output_dir"
    assert config.validation.interval == -1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("snapshot_confg: {interval: 1}", "snapshot_confg: unknown key; did you mean 'snapshot_co"),
        ("log_config: {intervall: 1}", "log_config.intervall: unknown key; did you mean 'interval"),
        ("validate: {save_image: 1}", "validate.save_image: unknown key; did you mean 'save_img'"),
        ("dataset: {trian: {name: D}}", "dataset.trian: unknown key; did you mean 'train'"),
        ("validate: {xyz: 1}", "validate.xyz: unknown key; known are interval, save_img, metrics"),
        ("name: x", "name: unknown key"),
        ("path: x", "path: unknown key"),
        ("3: x", "3: unknown key"),
        ("epochs: 0", "epochs: should be greater than or equal to 1, got 0"),
        ("epochs: 1.5", "epochs: should be a valid integer, got 1.5"),
        ("epochs: true", "epochs: should be a valid integer, got True"),
        ("epochs: many", "epochs: should be a valid integer, got 'many'"),
        ("dataset: {train: {name: D, batch_size: 0}}", "dataset.train.batch_size: should be great"),
        ("dataset: {train: {name: D, num_workers: -1}}", "dataset.train.num_workers: should be"),
        ("dataset: {train: {name: D, use_shared_memory: 1}}", "dataset.train.use_shared_memory: "),
        ("dataset: {train: {root: D}}", "dataset.train: needs a 'name' to be a dataset"),
        ("dataset: {train: D}", "dataset.train: should be a dataset: a mapping with a 'name', got"),
        ("dataset: 3", "dataset: should be a mapping, got 3"),
        ("log_config: {interval: 0}", "log_config.interval: should be greater"),
        ("log_config: 3", "log_config: should be a mapping, got 3"),
        ("snapshot_config: {interval: -1}", "snapshot_config.interval: should be greater"),
        ("validate: {interval: 0}", "validate.interval: should be at least 1, or -1 for never"),
        ("validate: {interval: -2}", "validate.interval: should be at least 1, or -1 for never"),
        ("validate: {save_img: 'no'}", "validate.save_img: should be a valid boolean, got 'no'"),
        ("validate: {metrics: [PSNR]}", "validate.metrics: should be a mapping, got ['PSNR']"),
        ("validate: {metrics: {psnr: PSNR}}", "validate.metrics.psnr: should be a metric: a mapp"),
        ("device: tpu", "device: should be cpu, gpu or gpu:N, got"),
        ("device: 'gpu:'", "device: should be cpu, gpu or gpu:N, got"),
        ("seed: -1", "seed: should be greater than or equal to 0"),
        ("seed: abc", "seed: should be a valid integer, got 'abc'"),
        ("min_max: (1., 0.)", "min_max: should be two numbers, the smaller one first"),
        ("min_max: [0]", "min_max.1: is missing"),
        ("output_dir: [a]", "output_dir: should be a valid string, got ['a']"),
        ("ema: {decay: 1.0}", "ema.decay: should be less than 1"),
        ("ema: {start: 1}", "ema.decay: is missing"),
        ("export_model: [{inputs_num: 1}]", "export_model.0.name: is missing"),
        ("export_model: netG", "export_model: should be a valid list, got 'netG'"),
        (
            "optimizer: {beta1: 0.5}",
            "optimizer.beta1: should be an optimizer: a mapping with",
        ),
        ("optimizer: {optimG: {beta1: 1}}", "optimizer.optimG: needs a 'name' to be an optimizer"),
        (
            "optimizer: Adam",
            "optimizer: should be an optimizer: a mapping with a 'name', got",
        ),
        ("optimizer: {name: Adam, net_names: [1]}", "optimizer.net_names: should be a list of nam"),
        ("optimizer: {name: Adam, net_names: []}", "optimizer.net_names: should be a list of nam"),
        ("optimizer: {lr: fast}", "optimizer.lr: should be a valid number, got 'fast'"),
        ("lr_scheduler: Linear", "lr_scheduler: should be a scheduler: a mapping with a 'name', "),
        ("model: M", "model: should be a model: a mapping with a 'name', got 'M'"),
        ("model: {nam: M}", "model: needs a 'name' to be a model"),
        ("model: {name: M, 3: x}", "model.3: names of arguments are texts, got 3"),
    ],
)
def test_one_mistake_is_one_sentence_with_its_line(load: Load, line: str, problem: str) -> None:
    key = line.partition(":")[0]
    kept = {
        "total_iters": "total_iters: 10",
        "model": "model: {name: M}",
        "dataset": "dataset: {train: {name: D}}",
    }
    kept.pop(key, None)
    (found,) = problems(load, "\n".join([*kept.values(), line]))
    assert found.startswith(f":{len(kept) + 1} {problem}")


def test_what_must_be_there(load: Load) -> None:
    assert problems(load, "seed: 1\n") == [
        ": one of 'epochs' and 'total_iters' is needed",
        " model: is missing; it is a model: a mapping with a 'name'",
        " dataset: is missing; it holds 'train' and 'test'",
    ]


def test_all_problems_are_reported_in_the_order_of_lines(load: Load) -> None:
    found = problems(
        load,
        """\
        epochs: 0
        model: {name: M}
        modle: {name: M}
        dataset:
          train: {name: D, batch_size: 0}
        optimizer: {beta1: 1}
        log_config: {interval: x, visiual_intervall: 3}
        """,
    )
    assert [item.split(": ")[0] for item in found] == [
        ":1 epochs",
        ":3 modle",
        ":5 dataset.train.batch_size",
        ":6 optimizer.beta1",
        ":7 log_config.interval",
        ":7 log_config.visiual_intervall",
    ]


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: there is no such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_loading_imports_neither_paddle_nor_opencv(write: Write) -> None:
    path = write(MINIMAL)
    code = (
        "import sys; from ppzoo.config import load_config; load_config(sys.argv[1], ['seed=1']);"
        "assert not {'paddle', 'cv2', 'visualdl'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["(0., 1.)", "None", "1e-4", "'1'", "[(1, 2)]", "{'name': 'A'}", "Adam", "inf"]
    ),
)
KEYS = st.one_of(st.sampled_from(["name", "lr", "net_names", "train", "a"]), st.text(max_size=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
SECTIONS = st.dictionaries(
    st.one_of(st.sampled_from([*CLOSED[""], "predict", "_base_"]), KEYS), VALUES, max_size=6
)
OVERRIDES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.builds(
            "{}={}".format,
            st.sampled_from(
                ["seed", "model", "model.name", "dataset.train.a", "validate.metrics.a"]
            ),
            st.one_of(st.text(max_size=8), SCALARS),
        ),
    ),
    max_size=2,
)
FUZZ = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(st.binary() | st.text().map(str.encode))
def test_random_files_are_config_errors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load_config(path)


@FUZZ
@given(data=SECTIONS, overrides=OVERRIDES)
def test_random_mappings_are_read_or_refused(
    tmp_path: Path, data: dict[str, Any], overrides: list[str]
) -> None:
    path = tmp_path / "x.yaml"
    with path.open("w", encoding="utf-8", errors="replace") as file:
        YAML().dump(data, file)
    try:
        config = load_config(path, overrides)
    except ConfigError as error:
        assert str(error)  # noqa: PT017  (not raising is right, too)
    else:
        assert config.model.name


@FUZZ
@given(kwargs=st.dictionaries(st.text(max_size=4).filter(lambda key: key != "name"), VALUES))
def test_any_arguments_survive_writing_and_reading(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    path = tmp_path / "x.yaml"
    data = {"epochs": 1, "model": {"name": "M", **kwargs}, "dataset": {"train": {"name": "D"}}}
    with path.open("w", encoding="utf-8", errors="replace") as file:
        YAML().dump(data, file)
    try:
        config = load_config(path)
    except ConfigError:
        return
    again = tmp_path / "again.yaml"
    again.write_text(config.to_yaml(), encoding="utf-8")
    assert repr(load_config(again).to_dict()) == repr(config.to_dict())  # NaN differs from itself
