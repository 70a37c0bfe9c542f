# SPDX-License-Identifier: Apache-2.0
"""The training loop: seeds, evaluation beside it, what ends it, and its folder."""

from __future__ import annotations

import logging
import re
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppzoo.config import load_config
from ppzoo.engine import Trainer
from ppzoo.engine import trainer as module
from ppzoo.engine.callbacks import Callback
from ppzoo.errors import ConfigError, DataError, TrainingError, UserError, WeightsError
from ppzoo.gan.dcgan import DCGANModel
from ppzoo.model import Logs
from ppzoo.weights import read

from ..runs import (
    PLAIN,
    SMOKE,
    SignalAt,
    assert_same,
    checkpoint_in,
    make_trainer,
    smoke_config,
    state_of,
    trained,
)


class Fails(Callback):
    """Raises in one of its events."""

    def __init__(self, event: str, error: BaseException) -> None:
        self.ended = False
        if event != "on_fit_end":
            setattr(self, event, self._raise)
        self.error, self.event = error, event

    def _raise(self, *args: Any) -> None:
        raise self.error

    def on_fit_end(self, trainer: Trainer) -> None:
        self.ended = True
        if self.event == "on_fit_end":
            raise self.error


def test_same_seed_is_the_same_run(tmp_path: Path) -> None:
    runs = [trained("dcgan", tmp_path, f"seed={seed}", "total_iters=2") for seed in (0, 0, 1)]
    assert_same(state_of(runs[0]), state_of(runs[1]))
    assert runs[0].recorder.steps == runs[1].recorder.steps != runs[2].recorder.steps


def test_seed_0_counts(tmp_path: Path) -> None:
    assert make_trainer("dcgan", tmp_path, "seed=0").seed == 0


def test_without_a_seed_one_is_chosen_logged_and_stored(tmp_path: Path) -> None:
    first, second = (trained("wgan", tmp_path, "seed=null", "total_iters=1") for _ in range(2))
    assert first.seed != second.seed
    assert f"seed: {first.seed}, device: cpu" in (first.run_dir / "log.txt").read_text()
    assert read(checkpoint_in(first.run_dir))["ppzoo"]["seed"] == first.seed
    # So the run can be repeated from its folder.
    again = Trainer(load_config(first.run_dir / "config.yaml"))
    again.fit()
    assert_same(state_of(again), state_of(first))


def test_evaluation_pictures_and_snapshots_do_not_change_a_run(tmp_path: Path) -> None:
    rare = ["total_iters=4", "snapshot_config.interval=4", "ema={decay: 0.5}"]
    often = [
        *("total_iters=4", "snapshot_config.interval=1", "ema={decay: 0.5}"),
        *("log_config={interval: 1, visiual_interval: 1}", "max_eval_steps=1"),
        *("validate={interval: 1, save_img: true}", "dataset.test.batch_size=4"),
    ]
    first, second = trained("cgan", tmp_path, *rare), trained("cgan", tmp_path, *often)
    assert len(list((second.run_dir / "visual_train").iterdir())) == 8
    assert len(list((second.run_dir / "visual_test").iterdir())) == 8
    assert_same(state_of(first), state_of(second))
    assert first.recorder.steps == second.recorder.steps


def test_random_states_of_the_caller_do_not_matter(tmp_path: Path) -> None:
    first = trained("dcgan", tmp_path, "total_iters=2")
    paddle.seed(99)
    np.random.seed(99)
    assert_same(state_of(trained("dcgan", tmp_path, "total_iters=2")), state_of(first))


def test_run_folder(tmp_path: Path) -> None:
    run = trained("dcgan", tmp_path, "log_config.visiual_interval=2")
    assert re.fullmatch(r"dcgan-\d{4}-\d\d-\d\d-\d\d-\d\d", run.run_dir.name)
    assert sorted(path.name for path in run.run_dir.iterdir()) == [
        *("config.yaml", "iter_2_weight.pdparams", "iter_4_checkpoint.pdparams"),
        *("iter_4_weight.pdparams", "log.txt", "training.gif", "visual_train"),
    ]
    assert load_config(run.run_dir / "config.yaml") == run.config
    log = (run.run_dir / "log.txt").read_text()
    assert log.count(run.config.to_yaml()) == 1
    assert f"run folder: {run.run_dir}" in log


def test_two_runs_of_one_minute_have_folders_of_their_own(tmp_path: Path) -> None:
    runs = [trained("wgan", tmp_path, "total_iters=1") for _ in range(3)]
    assert len({run.run_dir for run in runs}) == 3
    assert all((run.run_dir / "iter_1_weight.pdparams").is_file() for run in runs)


def test_log_file_is_closed_and_others_handlers_stay(tmp_path: Path) -> None:
    logger, handler = logging.getLogger("ppzoo"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        before = len(logger.handlers)
        trained("wgan", tmp_path, "total_iters=1")
        trained("wgan", tmp_path, "total_iters=1")
        assert handler in logger.handlers
        assert len(logger.handlers) <= before + 1  # the console's
        assert not [h for h in logger.handlers if isinstance(h, logging.FileHandler)]
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("threads", ["main", "other"])
def test_events_come_in_order(tmp_path: Path, threads: str) -> None:
    trainer = make_trainer("wgan", tmp_path, "epochs=1", "dataset.train.batch_size=500")
    if threads == "main":
        trainer.fit()
    else:  # where no signals can be heard, such as a notebook's
        thread = threading.Thread(target=trainer.fit)
        thread.start()
        thread.join()
    assert trainer.recorder.events == ["fit_start", "step 1", "log", "step 2", "epoch 1", "fit_end"]


@pytest.mark.parametrize(
    "error", [TrainingError("diverged"), RuntimeError("a bug"), KeyboardInterrupt()]
)
def test_everything_is_closed_when_training_ends_by_an_error(
    tmp_path: Path, error: BaseException
) -> None:
    trainer = make_trainer("wgan", tmp_path, callbacks=[fails := Fails("on_epoch_end", error)])
    trainer._step = fails._raise
    with pytest.raises(type(error)) as caught:
        trainer.fit()
    assert caught.value is error
    assert fails.ended
    assert trainer.recorder.events == ["fit_start", "fit_end"]
    log = (trainer.run_dir / "log.txt").read_text()
    assert ("ERROR: diverged" in log) == isinstance(error, TrainingError)


def test_callback_that_cannot_start_is_not_closed_and_the_others_are(tmp_path: Path) -> None:
    fails = Fails("on_fit_start", UserError("no"))
    trainer = make_trainer("wgan", tmp_path, callbacks=[fails])
    with pytest.raises(UserError, match="no"):
        trainer.fit()
    assert not fails.ended
    assert trainer.recorder.events == ["fit_start", "fit_end"]


def test_closing_goes_on_after_an_error_and_tells_it(tmp_path: Path) -> None:
    trainer = make_trainer(
        "wgan", tmp_path, "total_iters=1", callbacks=[Fails("on_fit_end", UserError("full disk"))]
    )
    with pytest.raises(UserError, match="full disk"):
        trainer.fit()
    assert trainer.recorder.events[-1] == "fit_end"
    assert checkpoint_in(trainer.run_dir).name == "iter_1_checkpoint.pdparams"


def test_first_error_wins_over_those_of_closing(tmp_path: Path) -> None:
    callbacks = [Fails("on_fit_end", UserError("second")), Fails("on_log", UserError("first"))]
    with pytest.raises(UserError, match="first"):
        trained("wgan", tmp_path, callbacks=callbacks)


def test_signal_in_the_last_step_does_not_stop_anything(tmp_path: Path) -> None:
    run = trained("wgan", tmp_path, "total_iters=2", callbacks=[SignalAt(2)])
    assert run.interrupted is None
    assert run.iteration == 2
    assert "stopped" not in (run.run_dir / "log.txt").read_text()


def test_second_signal_stops_at_once(tmp_path: Path) -> None:
    trainer = make_trainer("wgan", tmp_path, callbacks=[SignalAt(1), SignalAt(1)])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert trainer.iteration == 1
    assert trainer.recorder.events[-1] == "fit_end"
    assert not list(trainer.run_dir.glob("*.pdparams"))


def poisoned(
    monkeypatch: pytest.MonkeyPatch, at: int, where: str, value: float = float("nan")
) -> None:
    """Let a loss, or a weight, be no number from an iteration on."""
    step = DCGANModel.train_step

    def train_step(self: DCGANModel, batch: Any) -> Logs:
        logs = step(self, batch)
        if self.iteration + 1 >= at and where == "weight":
            bias = self.nets.netD.parameters()[-1]
            bias.set_value(paddle.full_like(bias, value))
        elif self.iteration + 1 >= at:
            logs[where] = logs[where] * value
        return logs

    monkeypatch.setattr(DCGANModel, "train_step", train_step)


@pytest.mark.parametrize(
    ("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf")], ids=["nan", "inf"]
)
def test_diverging_loss_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, shown: str
) -> None:
    poisoned(monkeypatch, 3, "G_adv_loss", value)
    trainer = make_trainer("dcgan", tmp_path, "log_config.interval=100", "total_iters=8")
    with pytest.raises(TrainingError, match=f"G_adv_loss became {shown} at iteration 3: .*lower"):
        trainer.fit()
    # The snapshot of step 4 finds it; the one of step 2 stays.
    assert sorted(path.name for path in trainer.run_dir.glob("*.pdparams")) == [
        "iter_2_checkpoint.pdparams",
        "iter_2_weight.pdparams",
    ]
    again = make_trainer("dcgan", tmp_path, "total_iters=8")
    again.resume(checkpoint_in(trainer.run_dir))
    assert again.iteration == 2


def test_first_of_several_losses_that_diverge_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, 3, "D_fake_loss")
    poisoned(monkeypatch, 2, "G_adv_loss")
    options = ["log_config.interval=4", "snapshot_config.interval=100"]
    with pytest.raises(TrainingError, match="G_adv_loss became nan at iteration 2"):
        trained("dcgan", tmp_path, *options)


def test_weight_that_diverges_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In step 2 itself: the losses of that step are still finite.
    poisoned(monkeypatch, 2, "weight")
    trainer = make_trainer("dcgan", tmp_path)
    with pytest.raises(TrainingError, match=r"netD\.model\.11\.bias is not finite at iteration 2"):
        trainer.fit()
    assert not list(trainer.run_dir.glob("*.pdparams"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.train=null"], "no dataset.train to train on"),
        (["lr_scheduler=null", "optimizer=null"], "no lr_scheduler to train with"),
        (["dataset.train.size=4"], r"'size' must be from 8"),
        (["optimizer.optimizer_G.beta1=-1"], r"optimizer: .*beta1"),
        (["model.generator.size=27"], "model: size is 27, expected a multiple of 4"),
        (["model.params.disc_iters=0"], "disc_iters is 0, expected at least 1"),
        (["lr_scheduler.iters_per_epoch=0"], "lr_scheduler: iters_per_epoch is 0"),
        (["validate={interval: 1}", "dataset.test=null"], "no dataset.test to evaluate on"),
        (
            ["validate={interval: 9, metrics: {a: {name: KID, subsets: 0}}}"],
            r"validate\.metrics\.a: KID needs subsets >= 1",
        ),
        (["validate.interval=5", "dataset.test.size=2"], "'size' must be from 8"),
    ],
)
def test_mistake_is_told_before_a_run_folder_is_made(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        trained("wgan", tmp_path / "output", *overrides)
    assert not (tmp_path / "output").exists()


def test_schedule_that_ends_before_the_run(tmp_path: Path) -> None:
    schedule = "{name: CosineAnnealingRestartLR, learning_rate: 0.1, periods: [2]}"
    with pytest.raises(ConfigError, match=r"lr_scheduler.* past the last period"):
        trained("wgan", tmp_path, f"lr_scheduler={schedule}")


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    folder = "dataset.train={name: SingleDataset, dataroot: %s, preprocess: []}"
    (tmp_path / "empty").mkdir()
    for name, message in (("missing", "does not exist"), ("empty", "is empty")):
        with pytest.raises(DataError, match=f"{name} .*{message}"):
            trained("wgan", tmp_path / "output", folder % (tmp_path / name))
    assert not (tmp_path / "output").exists()


def test_file_in_the_way_of_the_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(UserError, match=r"cannot be written \(Not a directory\).*output_dir="):
            trained("wgan", output, "total_iters=1")
    with pytest.raises(UserError, match=r"cannot be written \(File exists\)"):
        trained("wgan", tmp_path, "total_iters=1", run_dir=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_folder_and_name_that_were_given(tmp_path: Path) -> None:
    run = trained("wgan", tmp_path / "no", "total_iters=1", run_dir=tmp_path / "a" / "b")
    assert run.run_dir == tmp_path / "a" / "b"
    assert (run.run_dir / "log.txt").is_file()
    assert not (tmp_path / "no").exists()


def test_iters_per_epoch_is_the_datasets_where_a_run_is_counted_in_epochs(tmp_path: Path) -> None:
    by_epoch = make_trainer("wgan", tmp_path, "epochs=2", "dataset.train.batch_size=400")
    by_epoch.setup_training()
    assert by_epoch.model.lr_schedulers["lr"].iters_per_epoch == by_epoch.iterations_per_epoch > 1
    by_step = make_trainer("wgan", tmp_path, "lr_scheduler.iters_per_epoch=7")
    by_step.setup_training()
    assert by_step.model.lr_schedulers["lr"].iters_per_epoch == 7


def test_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = smoke_config("wgan", tmp_path, "validate.save_img=true", "dataset.test.batch_size=5")
    trainer = Trainer(config)
    figures = trainer.evaluate()
    assert figures == trainer.metrics
    assert set(figures) == {"digits_frechet", "digits_sure", "digits_coverage"}
    assert figures == Trainer(config).evaluate()
    names = [path.name for path in sorted((trainer.run_dir / "visual_test").iterdir())]
    assert len(names) == 2 * 5 * 2
    assert names[:2] == ["0000_0000_fake_imgs.png", "0000_0000_real_imgs.png"]


@pytest.mark.parametrize(
    "validate",
    [
        "null",
        "{save_img: false}",
        "{save_img: false, metrics: {psnr: {name: PSNR, crop_border: 0}}}",
    ],
)
def test_evaluation_with_pictures_whatever_the_config_says(validate: str, tmp_path: Path) -> None:
    config = smoke_config("pix2pix", tmp_path, f"validate={validate}", "max_eval_steps=1")
    trainer = Trainer(config)
    figures = trainer.evaluate(pictures=True)
    assert list(figures) == (["psnr"] if "PSNR" in validate else [])
    labels = {path.stem.split("_", 1)[1] for path in trainer.visual_test_dir.iterdir()}
    assert {"real_A", "fake_B", "real_B"} <= {label[-6:] for label in labels}
    assert trainer.visual_test_dir == trainer.run_dir / "visual_test"


def test_evaluation_without_pictures(tmp_path: Path) -> None:
    trainer = Trainer(smoke_config("wgan", tmp_path, "validate.save_img=true"))
    assert trainer.evaluate(pictures=False)
    assert list(tmp_path.rglob("*.png")) == []


def test_evaluation_without_anything_to_do(tmp_path: Path) -> None:
    for overrides in ([], ["validate={save_img: false}"]):
        trainer = make_trainer("wgan", tmp_path / "output", *overrides)
        with pytest.raises(ConfigError, match=r"no validate\.metrics, so nothing to evaluate"):
            trainer.evaluate()
    assert not (tmp_path / "output").exists()


def test_training_leaves_out_an_evaluation_without_results(tmp_path: Path) -> None:
    config = smoke_config(
        "wgan", tmp_path, "total_iters=1", "validate={interval: 1, save_img: false}"
    )
    assert any("nothing is evaluated" in warning for warning in config.warnings)
    trainer = Trainer(config)
    trainer.fit()
    assert "Test iter" not in (trainer.run_dir / "log.txt").read_text(encoding="utf-8")


def test_evaluation_uses_averages(tmp_path: Path) -> None:
    options = ["total_iters=3", "ema={decay: 0.9, nets: [netG]}"]
    run = trained("cgan", tmp_path, *options, "validate={interval: -1, save_img: true}")
    seen = []
    eval_step = run.model.eval_step

    def look(batch: Any) -> Any:
        seen.append(run.model.nets.netG.state_dict()["l1.0.weight"].numpy().copy())
        return eval_step(batch)

    run.model.eval_step = look
    run.evaluate()
    raw = run.model.nets.netG.state_dict()["l1.0.weight"].numpy()
    average = run._ema.shadow["netG"]["l1.0.weight"].numpy()
    assert not np.array_equal(raw, average)
    assert seen
    assert all(np.array_equal(weight, average) for weight in seen)


def test_mixed_precision_on_a_cpu_is_float32_and_says_so(tmp_path: Path) -> None:
    plain = trained("dcgan", tmp_path, "total_iters=2")
    for level in ("O1", "O2"):
        mixed = trained("dcgan", tmp_path, "total_iters=2", amp_level=level)
        assert "mixed precision needs a GPU" in (mixed.run_dir / "log.txt").read_text()
        assert_same(state_of(mixed), state_of(plain))


def test_unknown_model_and_dataset(tmp_path: Path) -> None:
    config = load_config(SMOKE / "dcgan.yaml", [*PLAIN, f"output_dir={tmp_path}", "model.name=DCG"])
    with pytest.raises(ConfigError, match=r"no model is named 'DCG'"):
        Trainer(config)


def test_weights_of_a_metric_that_cannot_be_had_are_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    options = "validate.interval=2", "validate.metrics={fid: {name: FID}}"
    trainer = make_trainer("pix2pix", tmp_path / "runs", *options)
    with pytest.raises(WeightsError, match=r"metrics\.fid: .*InceptionV3.*-o validate=null"):
        trainer.fit()
    with pytest.raises(WeightsError) as error:
        trainer.evaluate(pictures=True)
    change = "validate.metrics.fid=null"
    hint = f"; -o {change} leaves it out, and --evaluate-only still writes pictures"
    assert hint in str(error.value)
    without = make_trainer("pix2pix", tmp_path / "other", *options, change, "max_eval_steps=1")
    assert without.evaluate(pictures=True) == {}
    assert list(without.visual_test_dir.iterdir())
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_script_sees_a_mistake_in_the_config_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    options = "validate.interval=2", "validate.metrics={fid: {name: FID}}"
    trainer = make_trainer("pix2pix", tmp_path / "runs", *options)
    with pytest.raises(WeightsError) as missing:
        trainer.fit()
    with pytest.raises(ConfigError) as refused:
        make_trainer("pix2pix", tmp_path, "model.generator.norm_type=nothing")
    for caught in (missing, refused):
        shown = "".join(traceback.format_exception(caught.value))
        assert shown.count("Traceback") == 1
        assert shown.count(str(caught.value)) == 1


def test_where_a_class_of_ones_own_fails_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise TypeError("deep inside")

    with pytest.raises(ConfigError, match="model: deep inside") as caught:
        module._built("model", fails)
    assert "in fails" in "".join(traceback.format_exception(caught.value))


def test_warnings_before_the_training_are_in_its_log_once(tmp_path: Path) -> None:
    trainer = make_trainer("dcgan", tmp_path, "total_iters=1")
    trainer.log("this was not restored", logging.WARNING)
    trainer.log("of no account")
    trainer.fit()
    trainer.log("the first run is over", logging.WARNING)
    text = (trainer.run_dir / "log.txt").read_text("utf-8")
    assert "WARNING: this was not restored" in text.partition("config: ")[0]
    assert "of no account" not in text
    trainer.fit()
    text = (trainer.run_dir / "log.txt").read_text("utf-8")
    assert text.count("this was not restored") == 1
    assert text.count("the first run is over") == 1
