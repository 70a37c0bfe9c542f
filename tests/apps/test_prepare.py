# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ppzoo import cli
from ppzoo.apps import prepare
from ppzoo.data.photographs import embedded_photograph
from ppzoo.data.sources import SOURCES, Source
from ppzoo.media.image import read_image, write_image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("astronaut", "coffee"):
        write_image(folder / f"{name}.jpg", embedded_photograph(name))
    return folder


def test_cartoons_of_faces_and_of_other_things(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    command = ["data", "prepare", "cartoon", "--photos", str(photos), "--out", str(out)]
    assert cli.main([*command, "--size", "64", "--val", "0"]) == 0
    said = capsys.readouterr().out
    assert f"pairs: 2 in {out}/train, 0 in {out}/test; 2 of them new" in said
    assert "new pairs: 1 of a face, 1 of the centre" in said
    pair = read_image(out / "train" / "astronaut.png")
    assert pair.shape == (64, 128, 3)
    # The face fills a good part: skin in the middle of the photograph.
    red, green, blue = pair[22:42, 22:42].reshape(-1, 3).mean(axis=0)
    assert red > green > blue > 60
    assert cli.main([*command, "--size", "64", "--val", "0"]) == 0
    assert "; 0 of them new" in capsys.readouterr().out


def test_the_centre_on_request(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    command = ["data", "prepare", "cartoon", "--photos", str(photos), "--out", str(out)]
    assert (
        cli.main([*command, "--size", "32", "--faces", "off", "--val", "0.5", "--jobs", "1"]) == 0
    )
    said = capsys.readouterr().out
    assert f"pairs: 1 in {out}/train, 1 in {out}/test; 2 of them new" in said
    assert "face" not in said


def test_damaged_photographs(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for index in range(7):
        (photos / f"bad{index}.jpg").write_text("no picture")
    out = tmp_path / "out"
    command = ["data", "prepare", "cartoon", "--photos", str(photos), "--out", str(out)]
    command += ["--size", "16", "--faces", "off"]
    assert cli.main(command) == 2
    assert ".jpg is not an image file" in capsys.readouterr().err
    assert cli.main([*command, "--on-error", "skip"]) == 0
    said = capsys.readouterr().out
    assert "photographs left out: 7" in said
    assert said.count("is not an image file") == 5
    assert "... and 2 more" in said


def test_a_missing_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["data", "prepare", "cartoon", "--photos", str(tmp_path / "x"), "--out", "y"]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the folder")
    assert "does not exist" in error


def test_public_datasets(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["data", "prepare", "selfie2anime", "--out", str(tmp_path / "new")]) == 2
    assert "drive.google.com" in capsys.readouterr().err
    monkeypatch.setitem(SOURCES, "facades", Source("two photos", "free", {".": 2}, by_hand="take"))
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", photos.parent, "photos")
    command = ["data", "prepare", "facades", "--out", str(tmp_path / "out"), "--archive", archive]
    assert cli.main(command) == 0
    assert f"2 pictures of facades are in {tmp_path / 'out'} (free)" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2


def test_check_a_folder(photos: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["data", "check", str(photos)]) == 0
    assert "400-512" in capsys.readouterr().out
    (photos / "bad.png").write_text("no picture")
    assert cli.main(["data", "check", str(photos)]) == 1
    assert "bad.png is not an image file" in capsys.readouterr().out
    assert cli.main(["data", "check", str(photos / "none")]) == 2


def write_config(folder: Path, train: str) -> Path:
    """Write a config that trains on what `train` says."""
    base = Path(__file__).parents[2] / "configs" / "smoke" / "dcgan.yaml"
    text = base.read_text(encoding="utf-8")
    start = text.index("dataset:")
    lines = text[start:].split("\n")
    end = next(i for i, line in enumerate(lines[1:], 1) if line and not line[0].isspace())
    steps = "preprocess: [{name: LoadImageFromFile, key: A}]"
    section = f"dataset:\n  train:\n    {train}\n    {steps}\n"
    config = folder / "c.yaml"
    config.write_text(text[:start] + section + "\n".join(lines[end:]), "utf-8")
    return config


@pytest.mark.parametrize(
    ("train", "kinds"),
    [
        ("name: PairedDataset\n    dataroot: {0}/pairs", ["pairs"]),
        ("name: PairedDataset\n    dataroot_a: {0}/a\n    dataroot_b: {0}/b", ["pictures"] * 2),
        ("name: UnpairedDataset\n    dataroot_a: {0}/a\n    dataroot_b: {0}/b", ["pictures"] * 2),
        ("name: SingleDataset\n    dataroot: {0}/a", ["pictures"]),
    ],
)
def test_check_the_folders_of_a_config(tmp_path: Path, train: str, kinds: list[str]) -> None:
    for folder, width in (("a", 16), ("b", 16), ("pairs", 32)):
        write_image(tmp_path / folder / "0.png", np.zeros((16, width, 3), np.uint8))
    write_image(tmp_path / "b" / "1.png", np.zeros((16, 16, 3), np.uint8))
    config = write_config(tmp_path, train.format(tmp_path))
    surveys = prepare.check(str(config))
    assert [survey.kind for survey in surveys] == kinds
    problems = [problem for survey in surveys for problem in survey.problems]
    matched = "PairedDataset" in train and "dataroot_a" in train and "Unp" not in train
    assert [("has no partner" in p) for p in problems] == [True] * matched


@pytest.mark.parametrize(
    ("folder", "hint"),
    [
        ("facades/train", "get it: ppzoo data prepare facades --out {}/facades"),
        ("cartoon/train", "make it: ppzoo data prepare cartoon --photos DIR --out {}/cartoon"),
        ("other", ""),
    ],
)
def test_check_says_how_to_get_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture, folder: str, hint: str
) -> None:
    config = write_config(tmp_path, f"name: PairedDataset\n    dataroot: {tmp_path}/{folder}")
    assert cli.main(["data", "check", str(config)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[2].split() == [f"{tmp_path}/{folder}", "pairs", "0", "-", "1"]
    assert said[3].endswith(f"does not exist{'; ' if hint else ''}{hint.format(tmp_path)}")


def test_check_a_config_without_folders(capsys: pytest.CaptureFixture) -> None:
    base = Path(__file__).parents[2] / "configs" / "smoke" / "dcgan.yaml"
    assert cli.main(["data", "check", str(base)]) == 0
    assert "names no folder of pictures" in capsys.readouterr().out
