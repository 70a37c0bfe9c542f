# SPDX-License-Identifier: Apache-2.0
"""A run that was stopped and resumed equals one that was not, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..runs import (
    assert_same,
    checkpoint_in,
    resumed,
    run_tool,
    state_of,
    stopped,
    trained,
)

EMA = "ema={decay: 0.5, nets: [netG], start: 2}"


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("dcgan", []),
        ("dcgan", [EMA]),
        ("dcgan", ["dataset.train.num_workers=2"]),
        # Stops between two steps of the generator.
        ("wgan", ["model.params.disc_iters=2"]),
        ("wgangp", []),
        ("cgan", [EMA]),
    ],
    ids=["dcgan", "dcgan-ema", "dcgan-workers", "wgan", "wgangp", "cgan-ema"],
)
def test_resumed_run_equals_an_unbroken_one(
    tmp_path: Path, name: str, overrides: list[str]
) -> None:
    options = [*overrides, "total_iters=6"]
    whole = trained(name, tmp_path / "whole", *options)
    checkpoint = stopped(name, tmp_path / "first", 3, *options)
    second = resumed(checkpoint, name, tmp_path / "second", *options)
    assert checkpoint.name == "iter_3_checkpoint.pdparams"
    assert_same(state_of(second), state_of(whole))
    assert second.recorder.steps == {i: whole.recorder.steps[i] for i in (4, 5, 6)}
    assert second.recorder.lines == {i: whole.recorder.lines[i] for i in (4, 6)}
    for stem in ("iter_4", "iter_6"):
        files = [run.run_dir / f"{stem}_weight.pdparams" for run in (second, whole)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_log_line_after_resuming_shows_losses_from_before(tmp_path: Path) -> None:
    # The generator's only step is the fifth, and the only log line that of the sixth.
    options = ["model.params.disc_iters=4", "log_config.interval=6", "total_iters=6"]
    whole = trained("wgan", tmp_path / "whole", *options)
    checkpoint = stopped("wgan", tmp_path / "first", 5, *options)
    second = resumed(checkpoint, "wgan", tmp_path / "second", *options)
    assert "G_adv_loss" in whole.recorder.lines[6]
    assert second.recorder.lines == whole.recorder.lines


def test_resume_in_another_process(tmp_path: Path) -> None:
    whole = trained("dcgan", tmp_path / "whole", EMA, "total_iters=4")
    checkpoint = stopped("dcgan", tmp_path / "first", 3, EMA, "total_iters=4")
    done = run_tool(
        *("-c", "configs/smoke/dcgan.yaml", "--resume", checkpoint),
        *("-o", f"output_dir={tmp_path / 'second'}", "validate=null", "enable_visualdl=false"),
        *(EMA, "total_iters=4"),
    )
    assert done.returncode == 0, done.stderr
    assert "going on after iteration 3 of 4" in done.stdout
    # Optimizers take their state at the next step.
    states = [
        state_of(resumed(checkpoint_in(folder), "dcgan", tmp_path, EMA, "total_iters=5"))
        for folder in (whole.run_dir, tmp_path / "second")
    ]
    assert_same(*states)


def test_resume_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    options = ["epochs=2", "dataset.train.batch_size=400", "snapshot_config.interval=1"]
    whole = trained("wgan", tmp_path / "whole", *options)
    checkpoint = stopped("wgan", tmp_path / "first", 1, *options)
    second = resumed(checkpoint, "wgan", tmp_path / "second", *options)
    assert checkpoint.name == "iter_1_checkpoint.pdparams"
    assert_same(state_of(second), state_of(whole))
    assert whole.iterations_per_epoch > 1
    assert whole.recorder.events[-2:] == second.recorder.events[-2:] == ["epoch 2", "fit_end"]
    assert checkpoint_in(second.run_dir).name == "epoch_2_checkpoint.pdparams"


def test_resume_with_another_number_of_workers(tmp_path: Path) -> None:
    whole = trained("cgan", tmp_path / "whole", "total_iters=4")
    checkpoint = stopped("cgan", tmp_path / "first", 1, "dataset.train.num_workers=2")
    second = resumed(checkpoint, "cgan", tmp_path / "second", "total_iters=4")
    assert_same(state_of(second), state_of(whole))
