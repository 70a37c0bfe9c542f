# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ppzoo
from ppzoo.engine.records import read_curves
from ppzoo.errors import DataError


def write_log(folder: Path, tag: str, points: dict[int, float], name: str = "") -> None:
    from visualdl import LogWriter

    with LogWriter(logdir=str(folder), file_name=name) as writer:
        for step, value in points.items():
            writer.add_scalar(tag, value, step)


def test_curves_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_log(tmp_path, "metrics/psnr", {10: 20.5, 20: 21.25, 30: 22.0})
    curves = read_curves(tmp_path)
    assert list(curves) == ["metrics/psnr"]
    steps, values = curves["metrics/psnr"]
    np.testing.assert_array_equal(steps, [10, 20, 30])
    np.testing.assert_array_equal(values, [20.5, 21.25, 22.0])


def test_of_several_logs_the_later_one_counts(tmp_path: Path) -> None:
    write_log(tmp_path, "loss", {1: 1.0, 2: 2.0, 3: 3.0}, "vdlrecords.1000000001.log")
    write_log(tmp_path, "loss", {3: 30.0, 4: 40.0}, "vdlrecords.1000000002.log")
    steps, values = read_curves(tmp_path)["loss"]
    np.testing.assert_array_equal(steps, [1, 2, 3, 4])
    np.testing.assert_array_equal(values, [1.0, 2.0, 30.0, 40.0])


def test_a_run_logs_what_is_read(tmp_path: Path) -> None:
    config = ppzoo.load_config(
        Path(__file__).parents[2] / "configs/smoke/dcgan.yaml",
        ["enable_visualdl=True", "log_config.interval=1", "device=cpu"],
    )
    trainer = ppzoo.Trainer(config, run_dir=tmp_path, brief=True)
    trainer.fit()
    curves = ppzoo.read_curves(tmp_path)
    assert {"D_fake_loss", "D_real_loss", "G_adv_loss", "lr", "ips"} <= set(curves)
    assert curves["G_adv_loss"].steps[-1] == trainer.iteration
    assert curves["G_adv_loss"].values[-1] == pytest.approx(trainer.losses["G_adv_loss"], rel=1e-6)


def test_a_folder_without_logs_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no vdlrecords"):
        read_curves(tmp_path)


def test_a_folder_that_is_none_is_not_blamed_on_the_config(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("nowhere", "file"):
        with pytest.raises(DataError, match=f"there is no folder .*{name}: name that of a run"):
            read_curves(tmp_path / name)


def test_a_log_without_scalars_says_so(tmp_path: Path) -> None:
    path = tmp_path / "vdlrecords.1000000001.log"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"vdlrecords\.1000000001\.log holds no scalars yet"):
        read_curves(tmp_path)
    # It is no fault of a run that went on.
    write_log(tmp_path, "loss", {1: 1.0}, "vdlrecords.1000000002.log")
    assert list(read_curves(tmp_path)) == ["loss"]


def test_a_log_that_is_cut_off_may_still_be_written(tmp_path: Path) -> None:
    write_log(tmp_path, "loss", {1: 1.0, 2: 2.0}, "vdlrecords.1000000001.log")
    path = tmp_path / "vdlrecords.1000000001.log"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"vdlrecords\.1000000001\.log .* still writing it"):
        read_curves(tmp_path)


def test_a_damaged_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "vdlrecords.1.log").write_bytes(b"not a log at all" * 20)
    with pytest.raises(DataError, match=r"vdlrecords\.1\.log"):
        read_curves(tmp_path)
