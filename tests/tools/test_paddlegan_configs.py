# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest

from ppzoo import registry
from ppzoo.config import check_config, load_config
from ppzoo.errors import NotHereYetError
from ppzoo.paddlegan_names import REGISTERED
from tests.tools.paddlegan_files import FILES
from tools import paddlegan_configs, paddlegan_data
from tools.paddlegan_configs import BEGIN, END, Row, main, read_table, write_table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "migrating.md"
KINDS = (
    ("model",),
    ("generator", "discriminator"),
    ("criterion",),
    ("dataset",),
    ("preprocess step", "transform"),
    ("metric",),
)
REGISTRIES = {
    value.label: value for value in vars(registry).values() if isinstance(value, registry.Registry)
}

# Files that train here, ask for no metrics, and ask for pictures.
DRAWING = {"firstorder_fashion", "firstorder_vox_mobile_256"}

OURS = """\
epochs: 200
output_dir: output_dir
checkpoints_dir: checkpoints
find_unused_parameters: True
# range of values
min_max:
  (-1., 1.)

model:
  name: DCGANModel
  generator:
    name: DCGenerator
    norm_type: batch
    input_nz: 8
    input_nc: 1
    output_nc: 1
    ngf: 2
  discriminator:
    name: DCDiscriminator
    norm_type: batch
    ndf: 2
    input_nc: 1
  gan_criterion:
    name: GANLoss
    gan_mode: vanilla

export_model:
  - {name: 'netG', inputs_num: 1}

dataset:
  train: &data
    name: CommonVisionDataset
    dataset_name: MNIST
    num_workers: 0
    batch_size: 128
    return_label: False
    transforms:
      - name: Resize
        size: [64, 64]
        interpolation: 'bicubic' #cv2.INTER_CUBIC
      - name: Normalize
        mean: [127.5]
        std: [127.5]
        keys: [image]
  test: *data

lr_scheduler:
  name: LinearDecay
  learning_rate: !!float 2e-4
  start_epoch: 100
  decay_epochs: 100
  iters_per_epoch: 1

optimizer:
  optimizer_G: {name: Adam, net_names: [netG], beta1: 0.5, epsilon: '1e-8'}
  optimizer_D: {name: Adam, net_names: [netD], beta1: 0.5}

validate:
  interval: 4000
  save_imig: False

log_config:
  interval: 100
  visiual_interval: 500

snapshot_config:
  interval: 5
"""
FAR = OURS.replace("DCGANModel", "SinGANModel").replace("DCGenerator", "SinGANGenerator")
BROKEN = OURS.replace("beta1: 0.5", "beta: 0.5")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder of three files as PaddleGAN's: one of ours, one of another family, one damaged."""
    for name, text in (("near", OURS), ("far", FAR), ("broken", BROKEN)):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def lacking(group: str, labels: tuple[str, ...]) -> list[str]:
    """Return the names of a group that no registry of these kinds has."""
    return [n for n in group.split() if not any(n in REGISTRIES[label] for label in labels)]


def missing(file: str) -> list[str]:
    """Return what a file of PaddleGAN's names and ppzoo does not have, the model first."""
    groups = FILES[file].split("|")
    assert len(groups) == len(KINDS)
    return [name for pair in zip(groups, KINDS, strict=True) for name in lacking(*pair)]


class TestTheCommand:
    def test_says_what_becomes_of_each_file(
        self, checkout: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([str(checkout)]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("broken.yaml: fails (")
        assert "Adam has no argument 'beta'; did you mean 'beta" in "".join(lines)
        assert lines[-3:] == [
            "far.yaml: parses: no SinGANModel yet",
            "near.yaml: checks",
            "3 files: 1 check, 1 parse, 1 fail",
        ]

    def test_only_some(self, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([str(checkout), "--only", "near", "far.yaml"]) == 0
        assert capsys.readouterr().out.endswith("2 files: 1 check, 1 parse, 0 fail\n")

    @pytest.mark.smoke
    def test_trains_and_writes(self, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page = checkout / "page.md"
        page.write_text(f"before\n{BEGIN}\n{END}\nbehind\n", encoding="utf-8")
        names = ["near", "far"]
        assert main([str(checkout), "--train", "--write", str(page), "--only", *names]) == 0
        assert capsys.readouterr().out.endswith("2 files: 1 train, 1 parse, 0 fail\n")
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"before\n{BEGIN}\n")
        assert text.endswith(f"{END}\nbehind\n")
        assert read_table(text) == [
            Row("far.yaml", "SinGANModel", "parses: no SinGANModel yet"),
            Row("near.yaml", "DCGANModel", "trains", "pictures"),
        ]

    @pytest.mark.smoke
    def test_a_file_that_asks_for_no_evaluation_is_trained_as_it_is(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = OURS.replace("save_imig: False", "save_img: False")
        (checkout / "silent.yaml").write_text(text, encoding="utf-8")
        run, calls = paddlegan_configs._run, []

        def noted(*args: object) -> str:
            calls.append([str(word) for part in args[2:] for word in part])
            return run(*args)

        monkeypatch.setattr(paddlegan_configs, "_run", noted)
        page = checkout / "page.md"
        page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
        assert main([str(checkout), "--train", "--write", str(page), "--only", "silent"]) == 0
        (row,) = read_table(page.read_text(encoding="utf-8"))
        assert row == Row("silent.yaml", "DCGANModel", "trains", "nothing")
        first, second = calls
        assert not [word for word in first if "validate" in word or word.startswith("-")]
        assert second[:2] == ["--evaluate-only", "--load"]
        assert not [word for word in second if "validate" in word]

    def test_a_folder_without_files(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([str(tmp_path)]) == 2
        assert "holds no YAML files: name the folder configs" in capsys.readouterr().err

    def test_only_what_was_trained_is_written(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit):
            main([str(tmp_path), "--write", "page.md"])

    def test_a_run_that_stops_fails(self, checkout: Path, tmp_path: Path) -> None:
        limits = paddlegan_configs.Limits(tmp_path / "scratch", batch=2, seconds=0.01)
        limits.scratch.mkdir()
        row = paddlegan_configs.train_and_evaluate(checkout / "near.yaml", "DCGANModel", limits)
        assert (row.result, row.is_good) == ("fails", False)
        assert row.detail == "not done after 0 s"


class TestTheTable:
    def test_rows_of_other_files_stay(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text(f"{BEGIN}\n{END}", encoding="utf-8")
        b, c = Row("b.yaml", "B", "trains", "fid, psnr"), Row("c.yaml", "C", "trains", "nothing")
        write_table(page, [b, Row("c.yaml", "C", "fails")])
        write_table(page, [Row("a.yaml", "A", "parses: no A yet"), c])
        text = page.read_text(encoding="utf-8")
        assert [row.line for row in read_table(text)] == [
            "| a.yaml | A | parses: no A yet |  |  |",
            "| b.yaml | B | trains | fid, psnr |  |",
            "| c.yaml | C | trains | nothing |  |",
        ]
        assert "Of PaddleGAN's 3 files, 2 train and 1 parse." in text
        assert text.count(BEGIN) == text.count(END) == 1

    def test_a_page_without_a_place(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text("nothing", encoding="utf-8")
        with pytest.raises(paddlegan_configs.ConfigError, match="where the table would be"):
            write_table(page, [])
        assert page.read_text(encoding="utf-8") == "nothing"

    def test_our_config_of_the_same_name_is_linked(self) -> None:
        line = Row("edvr_m_wo_tsa.yaml", "EDVRModel", "trains", "psnr").line
        assert line.endswith("| [edvr_m_wo_tsa.yaml](../configs/edvr_m_wo_tsa.yaml) |")


class TestTheCommittedTable:
    """The page says today's truth: nothing that a file names came or went since."""

    ROWS: ClassVar = {
        row.file.removesuffix(".yaml"): row for row in read_table(DOCS.read_text("utf-8"))
    }

    def test_has_all_of_paddlegans_files(self) -> None:
        assert len(FILES) == 61
        assert list(self.ROWS) == sorted(FILES)
        text = DOCS.read_text("utf-8")
        trains = sum(row.result == "trains" for row in self.ROWS.values())
        assert f"Of PaddleGAN's 61 files, {trains} train and {61 - trains} parse." in text

    @pytest.mark.parametrize("file", FILES)
    def test_row(self, file: str) -> None:
        row, gaps = self.ROWS[file], missing(file)
        assert row.model == FILES[file].split("|")[0].strip()
        assert row.result == (f"parses: no {gaps[0]} yet" if gaps else "trains")
        metrics = FILES[file].split("|")[5].lower().replace("lpipsmetric", "lpips").split()
        of_itself = ", ".join(sorted(metrics)) or ("pictures" if file in DRAWING else "nothing")
        assert row.evaluates == ("" if gaps else of_itself)
        ours = ROOT / "configs" / f"{file}.yaml"
        assert row.line in DOCS.read_text("utf-8").splitlines()
        assert (f"../configs/{file}.yaml" in row.line) == ours.is_file()
        if ours.is_file():
            config = load_config(ours)
            check_config(config)
            assert config.model.name == row.model


@pytest.mark.parametrize("file", FILES)
def test_every_name_is_paddlegans(file: str) -> None:
    for group, labels in zip(FILES[file].split("|"), KINDS, strict=True):
        known = {"RepeatDataset"}.union(*(REGISTERED[label] for label in labels))
        assert set(group.split()) <= known


@pytest.mark.parametrize("file", [name for name in FILES if missing(name)])
def test_what_is_missing_is_one_sentence(file: str, tmp_path: Path) -> None:
    gaps = missing(file)
    model, nets, losses, data, *_ = (
        [name for name in group.split() if name in gaps] for group in FILES[file].split("|")
    )
    if not model:  # a network of a family that ppzoo has
        assert not losses
        assert not data
        return
    parts = [f"  part{number}: {{name: {name}}}" for number, name in enumerate(nets + losses)]
    sets = data or ["DigitsDataset"]
    path = tmp_path / f"{file}.yaml"
    path.write_text(
        "\n".join(
            [
                "total_iters: 2",
                f"model:\n  name: {model[0]}",
                *parts,
                f"dataset:\n  train: {{name: {sets[0]}}}\n  test: {{name: {sets[-1]}}}",
            ]
        ),
        encoding="utf-8",
    )
    with pytest.raises(NotHereYetError) as error:
        load_config(path, check=True)
    assert set(error.value.names) == {*model, *nets, *losses, *data[:1], *data[-1:]}
    text = str(error.value)
    assert re.fullmatch(r"\S+\.yaml:3 model\.name: ppzoo does not have PaddleGAN's .+", text)
    assert "\n" not in text


LAYOUTS = {
    "wgan_mnist": "img",
    "pix2pix_facades": "A",
    "cyclegan_horse2zebra": "B",
    "esrgan_psnr_x2_div2k": "lq",
    "realsr_kernel_noise_x4_dped": "lq",
    "edvr_m_wo_tsa": "gt",
    "edvr_l_blur_wo_tsa": "gt",
    "firstorder_vox_256": "source",
    "wav2lip": "mel",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_drawn_can_be_read(name: str, tmp_path: Path) -> None:
    path = ROOT / "configs" / f"{name}.yaml"
    changes = paddlegan_data.overrides(load_config(path), tmp_path)
    config = load_config(path, changes)
    assert str(tmp_path) in config.to_yaml()
    paddlegan_data.draw(config)
    train = registry.build(registry.DATASETS, config.dataset.train.component)
    test = registry.build(registry.DATASETS, config.dataset.test.component)
    assert len(train) >= 2
    assert LAYOUTS[name] in train[0]
    assert len(test) >= 2
    assert test[len(test) - 1]


def test_every_dataset_of_files_that_train_can_be_drawn() -> None:
    names = {
        name
        for file, text in FILES.items()
        if not missing(file)
        for name in text.split("|")[3].split()
    }
    assert names == {*paddlegan_data.DRAWN, "RepeatDataset"}
