# SPDX-License-Identifier: Apache-2.0
"""Paddle's profiler over some steps of a run: `-p "batch_range=[10,20];profile_path=FILE"`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import paddle

from ppzoo.config.tree import literal
from ppzoo.engine.callbacks import Callback
from ppzoo.errors import ConfigError
from ppzoo.model import Logs
from ppzoo.registry import suggest

if TYPE_CHECKING:
    from ppzoo.engine.trainer import Trainer

# PaddleGAN's options; of those, what Paddle's profiler of today has no use for is accepted.
_DEFAULTS: dict[str, Any] = {
    "batch_range": [10, 20],
    "profile_path": None,
    "sorted_key": "total",
    "timer_only": False,
    "exit_on_finished": False,
    "state": None,
    "tracer_option": None,
}


class Profiler(Callback):
    """Profiles the steps `first` to `last` and prints where the time went.

    Args:
        first: the first step of the run that is profiled, counted from 1.
        last: the step that is no longer profiled.
        path: where the trace for chrome://tracing goes, by default into the run folder.
        timer_only: measure the time of steps only.
    """

    def __init__(
        self, first: int = 10, last: int = 20, path: str | None = None, timer_only: bool = False
    ) -> None:
        if not 1 <= first < last:
            raise ConfigError(
                f"-p batch_range=[{first},{last}]: expected [first,last], first < last"
            )
        self.first, self.last, self.path, self.timer_only = first, last, path, timer_only
        self._profiler: Any = None
        self._steps = 0

    @classmethod
    def from_text(cls, text: str) -> Profiler:
        """Make a profiler from PaddleGAN's `key=value;key=value`.

        Raises:
            ConfigError: an unknown key or a value that cannot be read.
        """
        options = dict(_DEFAULTS)
        for item in filter(None, text.split(";")):
            key, separator, value = (part.strip() for part in item.partition("="))
            if not separator or key not in options:
                raise ConfigError(f"-p has no option {key!r}{suggest(key, options)}")
            options[key] = literal(value)
        steps = options["batch_range"]
        if not (isinstance(steps, list) and [type(step) for step in steps] == [int, int]):
            raise ConfigError(f"-p batch_range={steps}: expected two whole numbers, [10,20]")
        return cls(*steps, options["profile_path"], str(options["timer_only"]) == "True")

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        """Start, advance or stop the profiler."""
        self._steps += 1
        if self._steps == self.first:
            self._profiler = paddle.profiler.Profiler(timer_only=self.timer_only)
            self._profiler.start()
        elif self._profiler is not None:
            self._profiler.step()
            if self._steps == self.last:
                self._finish(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Stop the profiler if the run ended early."""
        if self._profiler is not None:
            self._finish(trainer)

    def _finish(self, trainer: Trainer) -> None:
        if self.timer_only:
            trainer.log(self._profiler.step_info())
            self._profiler.stop()
        else:
            self._profiler.stop()
            path = Path(self.path or trainer.run_dir / "profile.json")
            self._profiler.export(str(path), format="json")
            self._profiler.summary(op_detail=False, thread_sep=False, time_unit="ms")
            trainer.log(f"profile: {path} (open it in chrome://tracing)")
        self._profiler = None
