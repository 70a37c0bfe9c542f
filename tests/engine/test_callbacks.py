# SPDX-License-Identifier: Apache-2.0
"""Log lines, curves, pictures, validation and snapshots."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as imageio
import numpy as np
import paddle
import pytest

from ppzoo.engine import Trainer
from ppzoo.engine import callbacks as cb
from ppzoo.engine.distributed import World
from ppzoo.errors import TrainingError

from ..runs import make_trainer, smoke_config, trained

NUMBER = r"-?\d+\.\d"
LINE = re.compile(
    r"\[\d\d/\d\d \d\d:\d\d:\d\d\] ppzoo\.engine\.trainer INFO: "
    r"(Iter: (?P<iteration>\d+)/\d+|Epoch: (?P<epoch>\d+/\d+), iter: (?P<inside>\d+/\d+)) "
    r"lr: (?P<lr>\d\.\d{3}e[-+]\d\d) "
    rf"(?P<losses>(\w+: {NUMBER}\d\d )+)"
    r"batch_cost: \d+\.\d{5} sec reader_cost: \d+\.\d{5} sec "
    r"ips: \d+\.\d{5} images/s eta: \d+:\d\d:\d\d$"
)


def lines_of(run: Trainer) -> list[re.Match[str]]:
    text = (run.run_dir / "log.txt").read_text(encoding="utf-8")
    return [match for line in text.splitlines() if (match := LINE.match(line))]


def test_log_lines_have_paddlegans_form(tmp_path: Path) -> None:
    run = trained("dcgan", tmp_path, "total_iters=5")
    found = lines_of(run)
    assert [match["iteration"] for match in found] == ["2", "4", "5"]
    for match, step in zip(found, (2, 4, 5), strict=True):
        losses = run.recorder.steps[step]
        assert match["losses"] == "".join(f"{k}: {v:.3f} " for k, v in losses.items())
    # LinearDecay of the smoke config: constant in epoch 1, then 9 equal steps to zero.
    assert [match["lr"] for match in found] == ["1.778e-04", "1.333e-04", "1.111e-04"]


def test_log_lines_of_a_run_in_epochs(tmp_path: Path) -> None:
    options = ["epochs=2", "dataset.train.batch_size=400", "log_config.interval=1"]
    run = trained("wgan", tmp_path, *options)
    size = run.iterations_per_epoch
    assert [(match["epoch"], match["inside"]) for match in lines_of(run)] == [
        (f"{epoch}/2", f"{inside}/{size}") for epoch in (1, 2) for inside in range(1, size + 1)
    ]


def test_line_shows_the_latest_of_each_loss_since_the_last_line(tmp_path: Path) -> None:
    # The generator steps in iterations 3 and 5 (indices 2 and 4).
    run = trained("wgan", tmp_path, "total_iters=6", "log_config.interval=3")
    steps, lines = run.recorder.steps, run.recorder.lines
    assert lines[3] == steps[3]
    assert lines[6] == steps[6] | {"G_adv_loss": steps[5]["G_adv_loss"]}
    assert "G_adv_loss" not in steps[6]


def test_speed_leaves_out_what_happens_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("ppzoo.engine.callbacks.time.perf_counter", lambda: clock[0])
    trainer = SimpleNamespace(
        iteration=0,
        total_iterations=8,
        reading_time=0.0,
        aside_time=50.0,
        unreported={},
        losses={},
        learning_rate=0.1,
        by_epoch=False,
        world=World(),
        emit=lambda event: None,
        log=(log := []).append,
    )
    watch = cb.Log(4, batch_size=10)
    watch.on_fit_start(trainer)
    for step in range(1, 5):
        clock[0] += 2.0
        trainer.reading_time += 0.25
        trainer.iteration = step
        if step == 2:  # pictures
            clock[0] += 30.0
            trainer.aside_time += 30.0
        watch.on_step_end(trainer, {"loss": paddle.to_tensor(0.5)})
    assert trainer.images_per_second == 5.0
    (line,) = log
    assert "loss: 0.500 batch_cost: 2.00000 sec reader_cost: 0.25000 sec ips: 5.00000" in line
    # The time left counts everything: 38 seconds were 4 steps, and there are 4 more.
    assert line.endswith("eta: 0:00:38")


def test_losses_of_several_processes_are_averaged() -> None:
    class Two:
        def mean(self, values: dict[str, float]) -> dict[str, float]:
            return {name: value + 1.0 for name, value in values.items()}

        def gather(self, value: object) -> list[object]:
            return [value, value]

    watch, trainer = cb.Log(10, 1), SimpleNamespace(world=Two(), unreported={"old": 3.0})
    watch._pending = [(1, {"loss": paddle.to_tensor([0.5])}), (2, {"loss": paddle.to_tensor(0.25)})]
    watch.before_save(trainer)
    assert trainer.unreported == {"old": 3.0, "loss": 1.25}
    watch.before_save(trainer)
    assert trainer.unreported == {"old": 3.0, "loss": 1.25}


def test_a_loss_that_diverges_elsewhere_stops_this_process_too() -> None:
    class Two(World):
        def gather(self, value: object) -> list[object]:
            return [value, "the other one: nan"]

    with pytest.raises(TrainingError, match="the other one"):
        cb.Log(10, 1).before_save(SimpleNamespace(world=Two(), unreported={}))


def test_losses_in_low_precision_are_understood() -> None:
    loss = paddle.to_tensor(1.5).astype("bfloat16")
    assert cb._latest([(1, {"loss": loss})]) == ({"loss": 1.5}, None)


def test_visualdl_gets_true_steps(tmp_path: Path) -> None:
    from visualdl import LogReader

    options = ["total_iters=6", "validate={interval: 3, save_img: true}"]
    run = Trainer(smoke_config("wgan", tmp_path, *options))
    run.evaluate = lambda: {"faces": float(run.iteration)}
    run.fit()
    (path,) = run.run_dir.glob("vdlrecords.*.log")
    reader = LogReader(file_path=str(path))
    # It puts the file's name before a tag, and "%" for "/".
    kinds = {tag.partition(".log/")[2]: kind for tag, kind in reader.tags().items()}
    scalars = [tag for tag, kind in kinds.items() if kind == "scalar"]
    assert set(scalars) == {
        *("D_fake_loss", "D_real_loss", "G_adv_loss", "lr", "ips", "metrics%faces")
    }
    images = {"visual_train%fixed_generated_imgs", "visual_train%real_imgs"}
    assert {tag for tag, kind in kinds.items() if kind == "image"} == images
    steps = {tag: [r.id for r in reader.get_data("scalar", tag)] for tag in scalars}
    assert steps["lr"] == steps["ips"] == steps["D_fake_loss"] == [2, 4, 6]
    assert steps["metrics%faces"] == [3, 6]
    assert steps["G_adv_loss"] == [4, 6]
    records = reader.get_data("image", "visual_train%real_imgs")
    assert [record.id for record in records] == [2, 4, 6]
    drawn = imageio.imread(run.run_dir / "visual_train" / "iter000006_real_imgs.png")
    assert np.array_equal(imageio.imread(records[-1].image.encoded_image_string), drawn)


def test_visualdl_can_be_turned_off(tmp_path: Path) -> None:
    run = trained("wgan", tmp_path, "total_iters=1")
    assert not list(run.run_dir.glob("*vdlrecords*"))


def test_pictures_and_their_film(tmp_path: Path) -> None:
    run = trained("cgan", tmp_path, "log_config.visiual_interval=2", "total_iters=5")
    names = sorted(path.name for path in (run.run_dir / "visual_train").iterdir())
    assert names == [
        f"iter{step:06d}_{label}.png"
        for step in (2, 4, 5)
        for label in ("fixed_generated_imgs", "real_imgs")
    ]
    film = imageio.imread(run.run_dir / "training.gif")
    assert len(film) >= 3
    grid = imageio.imread(run.run_dir / "visual_train" / names[0])
    assert film.shape[1:] == grid.shape


def test_no_film_of_one_picture(tmp_path: Path) -> None:
    run = trained("wgan", tmp_path, "log_config.visiual_interval=9", "total_iters=1")
    assert len(list((run.run_dir / "visual_train").iterdir())) == 2
    assert not (run.run_dir / "training.gif").exists()


def test_number_of_pictures(tmp_path: Path) -> None:
    run = trained("wgan", tmp_path, "total_iters=1", "image_num=3")
    whole = trained("wgan", tmp_path, "total_iters=1")
    name = "visual_train/iter000001_fixed_generated_imgs.png"
    first, second = (imageio.imread(r.run_dir / name) for r in (run, whole))
    assert first.shape[0] < second.shape[0] / 4
    assert first.shape[1] < second.shape[1] / 2


def test_pictures_are_sorted_by_step_however_long_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "visual_train"
    folder.mkdir()
    for step in (999_999, 1_000_000, 20):
        (folder / f"iter{step:06d}_a_b.png").touch()
        (folder / f"iter{step:06d}_c.png").touch()
    assert [path.name for path in cb.drawn_pictures(tmp_path, "a_b")] == [
        *("iter000020_a_b.png", "iter999999_a_b.png", "iter1000000_a_b.png")
    ]
    assert len(cb.drawn_pictures(tmp_path)) == 6


@pytest.mark.parametrize(
    ("interval", "moments"), [("2", [2, 4, 5]), ("100", [5]), ("-1", [])], ids=str
)
def test_evaluation_comes_at_its_interval_and_at_the_end(
    tmp_path: Path, interval: str, moments: list[int]
) -> None:
    trainer = make_trainer(
        "wgan", tmp_path, "total_iters=5", f"validate={{interval: {interval}, save_img: true}}"
    )
    seen: list[int] = []
    trainer.evaluate = lambda: seen.append(trainer.iteration) or {"figure": 1.0}
    trainer.fit()
    assert seen == moments


@pytest.mark.parametrize(
    ("overrides", "stems"),
    [
        (["total_iters=5", "snapshot_config.interval=2"], ["iter_2", "iter_4", "iter_5"]),
        (["total_iters=2", "snapshot_config.interval=9"], ["iter_2"]),
        (
            ["epochs=3", "snapshot_config.interval=2", "dataset.train.batch_size=1000"],
            ["epoch_2", "epoch_3"],
        ),
    ],
)
def test_snapshots(tmp_path: Path, overrides: list[str], stems: list[str]) -> None:
    run = trained("wgan", tmp_path, *overrides)
    weights = sorted(path.name for path in run.run_dir.glob("*_weight.pdparams"))
    assert weights == [f"{stem}_weight.pdparams" for stem in stems]
    (checkpoint,) = run.run_dir.glob("*_checkpoint.pdparams")
    assert checkpoint.name == f"{stems[-1]}_checkpoint.pdparams"


def test_snapshot_comes_before_an_evaluation_that_may_fail(tmp_path: Path) -> None:
    options = ["total_iters=2", "validate={interval: 2, save_img: true}"]
    trainer = make_trainer("wgan", tmp_path, *options)

    def fail() -> dict[str, float]:
        raise OSError("out of luck")

    trainer.evaluate = fail
    with pytest.raises(OSError, match="luck"):
        trainer.fit()
    assert (trainer.run_dir / "iter_2_checkpoint.pdparams").is_file()


def test_progress_bar_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    trained("wgan", tmp_path, "total_iters=4")
    shown = terminal.getvalue()
    last = shown.split("\r")[-1]
    assert "4/4" in last
    assert "D_fake_loss=" in last
    assert "images/s=" in last


def test_no_progress_bar_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained("wgan", tmp_path, "total_iters=2")
    assert "\r" not in capsys.readouterr().out


def test_a_brief_run_shows_the_same_few_lines_every_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["total_iters=20", "log_config.interval=1", "validate.interval=10"]
    options += ["validate.metrics={digits: {name: DigitQuality}}", "enable_visualdl=false"]
    shown = []
    for name in ("first", "second"):
        config = smoke_config("wgan", tmp_path, *options)
        trainer = Trainer(config, run_dir=tmp_path / name, brief=True)
        trainer.fit()
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    lines = shown[0].splitlines()
    measured = [line for line in lines if "digits_frechet" in line]
    # A line for each tenth of the run, and one for each evaluation: nothing of times and places.
    assert len(lines) == 10 + 2
    assert [line.split(":")[0] for line in measured] == ["step 10 of 20", "step 20 of 20"]
    assert lines[0].startswith("step  2 of 20: D_fake_loss ")
    assert str(tmp_path) not in shown[0]
    # The whole log is in the file.
    text = (tmp_path / "first" / "log.txt").read_text(encoding="utf-8")
    assert text.count(" Iter: ") == 20
