# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppzoo import cli
from ppzoo.data import resize_bicubic
from ppzoo.media.image import read_image, write_image

CONFIG = """
total_iters: 1
output_dir: out
model:
  name: BaseSRModel
  generator: {{name: RRDBNet, in_nc: 3, out_nc: 3, nf: 4, nb: 1}}
  pixel_criterion: {{name: L1Loss}}
dataset:
  train:
    name: SRDataset
    {lq}
    gt_folder: {gt}
    scale: {scale}
    batch_size: 1
    preprocess:
      - {{name: LoadImageFromFile, key: lq}}
      - {{name: LoadImageFromFile, key: gt}}
      - name: Transforms
        input_keys: [lq, gt]
        pipeline:
          - {{name: SRPairedRandomCrop, gt_patch_size: {patch}, scale: {scale}}}
lr_scheduler: {{name: MultiStepDecay, learning_rate: 0.1, milestones: [1]}}
optimizer: {{name: Adam, net_names: [generator]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(3):
        image = np.random.RandomState(index).randint(0, 256, (48, 64, 3)).astype(np.uint8)
        write_image(tmp_path / "hr" / f"{index}.png", image)
        write_image(tmp_path / "lr" / f"{index}x4.png", resize_bicubic(image, 1 / 4))
    return tmp_path


def check(folder: Path, capsys, lq: str = "", gt: str = "hr", scale: int = 4, patch: int = 32):
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(lq=lq, gt=folder / gt, scale=scale, patch=patch))
    code = cli.main(["data", "check", str(path)])
    return code, capsys.readouterr().out


def test_patches_are_cut_and_then_trained_on(folder, capsys) -> None:
    command = ["data", "patches", "--input", f"{folder}/hr", "--out", f"{folder}/hr.lmdb"]
    command += ["--size", "32", "--step", "16", "--scale", "4", "--small", f"{folder}/lr"]
    command += ["--small-name", "{}x4", "--small-out", f"{folder}/lr_sub"]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert said == f"patches: 18 of 3 pictures in {folder}/hr.lmdb; 18 of them new\n"
    assert read_image(folder / "lr_sub" / "0_s006.png").shape == (8, 8, 3)
    code, said = check(folder, capsys, f"lq_folder: {folder}/lr_sub", "hr.lmdb")
    assert code == 0
    assert [line.split("  ")[-1].strip() for line in said.splitlines()[2:]] == ["0", "0"]
    assert "32 x 32" in said
    assert "8 x 8" in said
    assert cli.main(["data", "check", f"{folder}/hr.lmdb"]) == 0
    assert "18      32 x 32" in capsys.readouterr().out
    assert cli.main(["data", "check", f"{folder}/none.lmdb"]) == 1


@pytest.mark.parametrize(("size", "step"), [(32, 16), (24, 8)])
def test_patches_overlap_by_half_unless_told(folder, capsys, size, step) -> None:
    command = ["data", "patches", "--input", f"{folder}/hr", "--scale", "8", "--size", f"{size}"]
    assert cli.main([*command, "--out", f"{folder}/half"]) == 0
    assert cli.main([*command, "--out", f"{folder}/told", "--step", f"{step}"]) == 0
    half, told = (
        {p.name: read_image(p).shape for p in (folder / name).glob("*.png")}
        for name in ("half", "told")
    )
    assert half == told
    assert set(half.values()) == {(size, size, 3)}


def test_what_is_left_out_is_told(folder, capsys) -> None:
    write_image(folder / "hr" / "tiny.png", np.zeros((9, 9, 3), np.uint8))
    command = ["data", "patches", "--input", f"{folder}/hr", "--out", f"{folder}/sub"]
    command += ["--size", "32", "--step", "16"]
    assert cli.main(command) == 2
    assert "tiny.png" in capsys.readouterr().err
    assert cli.main([*command, "--on-error", "skip", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "patches: 18 of 3 pictures" in said
    assert "left out: 1\n  1 of 4 pairs" in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patch": 52}, "3 of 3 pairs have a side of less than 52 pixels"),
        ({"lq": "lq_folder: {folder}/lr"}, "0.png has no partner"),
        ({"lq": "lq_folder: {folder}/small"}, "set 'scale: 2'"),
        ({"gt": "none"}, "'gt_folder' does not exist"),
        ({"gt": "DIV2K/DIV2K_train_HR_sub"}, "ppzoo data prepare div2k"),
        ({"lq": "lq_folder: {folder}/none.lmdb"}, "'lq_folder' has no file data.mdb"),
    ],
)
def test_what_does_not_fit_is_told(folder, capsys, settings, words) -> None:
    for index in range(3):
        image = read_image(folder / "hr" / f"{index}.png")
        write_image(folder / "small" / f"{index}.png", resize_bicubic(image, 1 / 2))
    settings = {k: v.format(folder=folder) if k == "lq" else v for k, v in settings.items()}
    code, said = check(folder, capsys, **settings)
    assert code == 1
    assert words in said


def test_large_pictures_alone_are_enough(folder, capsys) -> None:
    code, said = check(folder, capsys)
    assert code == 0
    assert "64 x 48" in said


def test_photographs_become_pairs_and_noise(folder, capsys) -> None:
    noisy = np.random.RandomState(0).normal(120, 3, (64, 64, 3)).round().astype(np.uint8)
    write_image(folder / "noisy" / "sky.png", noisy)
    command = ["data", "degrade", "--input", f"{folder}/hr", "--out", f"{folder}/real"]
    command += ["--clean", "1", "--blur", "random", "--jpeg", "60-90"]
    command += ["--noise-from", f"{folder}/noisy", "--noise-size", "32"]
    for new in (3, 0):
        assert cli.main(command) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith("pairs: 3 in ")
        assert said[0].endswith(f"; {new} of them new")
        assert said[1] == f"noise: 4 pictures in {folder}/real/noise"
    code, _ = check(folder, capsys, f"lq_folder: {folder}/real/lq", "real/gt")
    assert code == 0
    assert cli.main(["data", "check", f"{folder}/real"]) == 0
    assert "16 x 12" in capsys.readouterr().out
    write_image(folder / "real" / "lq" / "1.png", np.zeros((24, 32, 3), np.uint8))
    assert cli.main(["data", "check", f"{folder}/real"]) == 1
    assert "1 of 3 pairs differ in size otherwise than 'scale: 4'" in capsys.readouterr().out


def test_noise_is_looked_for_in_the_photographs_themselves(folder, capsys) -> None:
    command = ["data", "degrade", "--input", f"{folder}/hr", "--out", f"{folder}/real"]
    assert cli.main(command) == 0
    assert "noise: none, since no photograph" in capsys.readouterr().out
    assert cli.main([*command, "--noise-from", f"{folder}/hr"]) == 2
    assert "flat place" in capsys.readouterr().err
    noisy = np.random.RandomState(0).normal(120, 3, (64, 64, 3)).round().astype(np.uint8)
    write_image(folder / "hr" / "sky.png", noisy)
    assert cli.main(command) == 0
    assert f"noise: 1 pictures in {folder}/real/noise" in capsys.readouterr().out


@pytest.mark.parametrize("jpeg", ["60", "low-high", "60-90-95"])
def test_qualities_are_two_numbers(folder, capsys, jpeg) -> None:
    command = ["data", "degrade", "--input", f"{folder}/hr", "--out", f"{folder}/real"]
    assert cli.main([*command, "--jpeg", jpeg]) == 2
    assert "--jpeg" in capsys.readouterr().err
