# SPDX-License-Identifier: Apache-2.0
"""The profiler's options, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppzoo.engine.profiler import Profiler
from ppzoo.errors import ConfigError

from ..runs import trained


def test_options_of_paddlegan() -> None:
    text = "batch_range=[3, 7]; profile_path=x.json;tracer_option=Default;timer_only=True"
    profiler = Profiler.from_text(text)
    assert (profiler.first, profiler.last) == (3, 7)
    assert (profiler.path, profiler.timer_only) == ("x.json", True)
    assert Profiler.from_text("").first == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_rage=[1,2]", r"no option 'batch_rage'; did you mean 'batch_range'\?"),
        ("batch_range", "no option 'batch_range'|batch_range"),
        ("batch_range=[2,1]", "first < last"),
        ("batch_range=[0,5]", "first < last"),
        ("batch_range=5", "expected two whole numbers"),
        ("batch_range=[1,2.5]", "expected two whole numbers"),
        ("batch_range=[True,2]", "expected two whole numbers"),
    ],
)
def test_options_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Profiler.from_text(text)


@pytest.mark.parametrize("steps", [4, 2], ids=["whole", "cut short"])
def test_trace_is_written(tmp_path: Path, steps: int) -> None:
    profiler = Profiler(1, 3)
    run = trained("wgan", tmp_path, f"total_iters={steps}", callbacks=[profiler])
    assert (run.run_dir / "profile.json").stat().st_size > 1000
    assert "profile.json (open it in chrome://tracing)" in (run.run_dir / "log.txt").read_text()


def test_times_alone(tmp_path: Path) -> None:
    run = trained(
        "wgan", tmp_path, "total_iters=4", callbacks=[Profiler(1, 3, None, timer_only=True)]
    )
    assert not (run.run_dir / "profile.json").exists()
    assert "batch_cost" in (run.run_dir / "log.txt").read_text()
