# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest

from ppzoo.cli import main

SMOKE = Path(__file__).parents[2] / "configs" / "smoke"


def changed(folder: Path, *changes: tuple[str, str]) -> str:
    """Write the smoke config of DCGAN with some texts exchanged, and return its path."""
    text = (SMOKE / "dcgan.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_good_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(SMOKE / "dcgan.yaml")]) == 0
    assert capsys.readouterr().out.endswith("dcgan.yaml: DCGANModel, nothing is wrong\n")


def test_what_paddlegan_has_and_ppzoo_has_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(tmp_path, ("DCGANModel", "SinGANModel"), ("name: DCGenerator", "name: SwinIR"))
    assert main(["check", path, str(SMOKE / "dcgan.yaml")]) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith(path)
    assert "model.name: ppzoo does not have PaddleGAN's SinGANModel yet, nor SwinIR;" in first
    assert second.endswith("nothing is wrong")
    assert last == "1 of 2 configs can be trained"


def test_mistakes_in_a_file_of_an_unknown_family_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(
        tmp_path,
        ("DCGANModel", "SinGANModel"),
        ("gan_mode: vanilla", "gan_mode: vanilla\n    loss_wight: 2"),
        ("name: LinearDecay", "name: LinearDecai"),
    )
    assert main(["check", path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert any("'LinearDecai'; did you mean 'LinearDecay'?" in line for line in lines)
    assert any("GANLoss has no argument 'loss_wight'" in line for line in lines)


def test_overrides_are_checked_too(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(SMOKE / "dcgan.yaml")
    assert main(["check", path, "-o", "model.gan_criterion.name=IDLoss"]) == 1
    assert "-o model.gan_criterion.name: ppzoo does not have PaddleGAN's IDLoss" in (
        capsys.readouterr().out
    )


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nowhere.yaml"]) == 1
    assert capsys.readouterr().out.startswith("nowhere.yaml: there is no such file")
