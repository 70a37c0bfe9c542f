# SPDX-License-Identifier: Apache-2.0
"""A schedule that does not fit its run is told before the run, not at its end."""

from pathlib import Path

import pytest

from ppzoo.errors import ConfigError

from ..runs import make_trainer, trained

COSINE = "lr_scheduler={name: CosineAnnealingRestartLR, learning_rate: 1e-4, periods: [4]}"
LINE = "lr_scheduler={name: LinearDecay, learning_rate: 1e-4, start_epoch: 2, decay_epochs: 2}"


def test_a_schedule_that_is_too_short_is_refused_at_the_start(tmp_path: Path) -> None:
    trainer = make_trainer("dcgan", tmp_path, COSINE, "total_iters=6")
    with pytest.raises(ConfigError, match=r"lr_scheduler.periods: iteration 6 is past the last"):
        trainer.fit()
    assert not list(tmp_path.iterdir())
    assert trainer.recorder.steps == {}


def test_a_schedule_may_end_with_the_run(tmp_path: Path) -> None:
    assert trained("dcgan", tmp_path, COSINE, "total_iters=4").iteration == 4


@pytest.mark.parametrize(("total_iters", "warns"), [(5, False), (6, True)])
def test_a_rate_below_zero_is_told(tmp_path: Path, total_iters: int, warns: bool) -> None:
    run = trained("dcgan", tmp_path, LINE, f"total_iters={total_iters}")
    text = (run.run_dir / "log.txt").read_text(encoding="utf-8")
    assert ("the learning rate falls below 0 before the end of this run" in text) is warns


def test_looking_ahead_leaves_the_schedule_where_it_was(tmp_path: Path) -> None:
    trainer = make_trainer("dcgan", tmp_path, LINE, "total_iters=4")
    trainer.setup_training()
    assert trainer._rate_at_the_end() == pytest.approx(1e-4 / 3)
    assert trainer.learning_rate == pytest.approx(1e-4)
    assert trainer.model.optimizers["optimizer_G"].get_lr() == pytest.approx(1e-4)
