# SPDX-License-Identifier: Apache-2.0
"""Everything periodic in a run: log lines, curves, pictures, validation, snapshots."""

from __future__ import annotations

import datetime
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import paddle
from tqdm import tqdm

from ppzoo.engine.checkpoint import DIVERGED
from ppzoo.errors import TrainingError
from ppzoo.media.image import image_grid, read_image, to_uint8_images, write_gif, write_image
from ppzoo.model import Logs

if TYPE_CHECKING:
    from ppzoo.engine.trainer import Trainer


class Callback:
    """Something that a trainer calls while it trains; a subclass has what it needs of this.

    Attributes:
        is_aside: whether its time counts as a break, and not into `batch_cost` and images/s.
    """

    is_aside: ClassVar[bool] = False

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first step."""

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        """After a step; `trainer.iteration` counts it already."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After the last step of an epoch, and after `on_step_end`."""

    def on_log(self, trainer: Trainer) -> None:
        """After a log line, which shows `trainer.losses`."""

    def on_visuals(self, trainer: Trainer, grids: dict[str, np.ndarray]) -> None:
        """After pictures of the training were drawn, uint8 [H, W, 3] by label."""

    def on_metrics(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        """After an evaluation."""

    def before_save(self, trainer: Trainer) -> None:
        """Before a snapshot, which an exception prevents."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last step, also where an error or a signal made it the last; to close things.

        Called in the reverse order, for those whose `on_fit_start` succeeded.
        """


class Log(Callback):
    """Watch losses: a log line every `interval` steps, and an end to a run that diverges.

    Losses stay on the device until a line is due, so that no step waits for them.

    Args:
        interval: steps between lines.
        batch_size: of all processes together, for images/s.
    """

    def __init__(self, interval: int, batch_size: int) -> None:
        self.interval, self.batch_size = interval, batch_size
        self._pending: list[tuple[int, Logs]] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._started = self._last_time = time.perf_counter()
        self._last_iteration = self._first_iteration = trainer.iteration
        self._last_reading, self._last_aside = trainer.reading_time, trainer.aside_time

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        """Keep the losses; write a line when one is due."""
        self._pending.append((trainer.iteration, logs))
        if trainer.iteration % self.interval == 0 or trainer.iteration == trainer.total_iterations:
            self._write_line(trainer)

    def before_save(self, trainer: Trainer) -> None:
        """Look at the losses since the last look.

        Raises:
            TrainingError: one of them is not finite.
        """
        latest, diverged = _latest(self._pending)
        self._pending.clear()
        # All processes stop, or none: a single one would leave the others waiting for it.
        for message in filter(None, trainer.world.gather(diverged)):
            raise TrainingError(message)
        trainer.unreported |= trainer.world.mean(latest)

    def _write_line(self, trainer: Trainer) -> None:
        self.before_save(trainer)
        trainer.losses, trainer.unreported = trainer.unreported, {}
        now = time.perf_counter()
        steps = trainer.iteration - self._last_iteration
        aside = trainer.aside_time - self._last_aside
        batch_cost = (now - self._last_time - aside) / steps
        reader_cost = (trainer.reading_time - self._last_reading) / steps
        self._last_time, self._last_iteration = now, trainer.iteration
        self._last_reading, self._last_aside = trainer.reading_time, trainer.aside_time
        per_step = (now - self._started) / (trainer.iteration - self._first_iteration)
        left = (trainer.total_iterations - trainer.iteration) * per_step
        trainer.images_per_second = self.batch_size / batch_cost
        values = " ".join(f"{name}: {value:.3f}" for name, value in trainer.losses.items())
        trainer.log(
            f"{_position(trainer)} lr: {trainer.learning_rate:.3e} {values} "
            f"batch_cost: {batch_cost:.5f} sec reader_cost: {reader_cost:.5f} sec "
            f"ips: {trainer.images_per_second:.5f} images/s "
            f"eta: {datetime.timedelta(seconds=int(left))}{_gpu_memory()}"
        )
        trainer.emit("on_log")


class ProgressBar(Callback):
    """A bar with losses, images/s and time left, where the output is a terminal."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Open the bar."""
        self._bar = tqdm(
            total=trainer.total_iterations,
            initial=trainer.iteration,
            unit="step",
            dynamic_ncols=True,
            disable=None,  # tqdm's word for: only on a terminal
            file=sys.stdout,
        )

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        """Move the bar."""
        self._bar.update()

    def on_log(self, trainer: Trainer) -> None:
        """Show the latest losses."""
        shown = {name: f"{value:.3f}" for name, value in trainer.losses.items()}
        self._bar.set_postfix(shown | {"images/s": f"{trainer.images_per_second:.0f}"})

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the bar."""
        self._bar.close()


class Brief(Callback):
    """Ten lines a run with the latest losses, and one for each evaluation, the same every time."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Count tenths of the run from here."""
        self._shown = self._tenths(trainer)

    def on_log(self, trainer: Trainer) -> None:
        """Show the losses, once in a tenth of the run."""
        if self._tenths(trainer) > self._shown:
            self._shown = self._tenths(trainer)
            self._write(trainer, trainer.losses)

    def on_metrics(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        """Show what was measured."""
        self._write(trainer, metrics)

    @staticmethod
    def _tenths(trainer: Trainer) -> int:
        return 10 * trainer.iteration // trainer.total_iterations

    @staticmethod
    def _write(trainer: Trainer, values: dict[str, float]) -> None:
        width = len(str(trainer.total_iterations))
        shown = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
        place = f"step {trainer.iteration:{width}} of {trainer.total_iterations}"
        tqdm.write(f"{place}: {shown}", file=sys.stdout)


class Visuals(Callback):
    """Pictures of the training in `visual_train`, and a film of them at the end.

    Args:
        interval: steps between pictures.
        min_max: range of values that the pictures' tensors have.
        image_num: how many pictures of each label, None for all.
    """

    is_aside = True

    def __init__(
        self, interval: int, min_max: tuple[float, float], image_num: int | None = None
    ) -> None:
        self.interval, self.min_max, self.image_num = interval, min_max, image_num
        self.grids: dict[str, np.ndarray] = {}

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        """Draw the pictures when they are due."""
        if trainer.iteration % self.interval == 0 or trainer.iteration == trainer.total_iterations:
            self.draw(trainer)

    def draw(self, trainer: Trainer) -> None:
        """Write the pictures of this moment."""
        with trainer.averaged_weights():
            visuals = trainer.model.visuals(trainer.batch)
        self.grids = {}
        for label, images in visuals.items():
            pictures = to_uint8_images(images[: self.image_num], self.min_max)
            # Small pictures are enlarged, so that a grid of digits can be seen on a screen.
            upscale = max(1, 64 // pictures.shape[1])
            self.grids[label] = image_grid(pictures, nrow=8, upscale=upscale)
            stem = f"iter{trainer.iteration:06d}"
            write_image(trainer.run_dir / "visual_train" / f"{stem}_{label}.png", self.grids[label])
        trainer.emit("on_visuals", self.grids)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Make a film of the first label's pictures."""
        for label in list(self.grids)[:1]:
            frames = drawn_pictures(trainer.run_dir, label)
            if len(frames) > 1:
                write_gif(trainer.run_dir / "training.gif", _film(frames), fps=8)


class VisualDL(Callback):
    """Losses, learning rate, images/s, metrics and pictures for VisualDL, at their true steps."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Open the log in the run folder."""
        from visualdl import LogWriter  # pulls in a web framework, so only when it is used

        self._writer = LogWriter(logdir=str(trainer.run_dir))

    def on_log(self, trainer: Trainer) -> None:
        """Write scalars."""
        scalars = trainer.losses | {
            "lr": trainer.learning_rate,
            "ips": trainer.images_per_second,
        }
        self._scalars(scalars, trainer.iteration)

    def on_visuals(self, trainer: Trainer, grids: dict[str, np.ndarray]) -> None:
        """Write pictures."""
        for label, grid in grids.items():
            self._writer.add_image(f"visual_train/{label}", grid, trainer.iteration)

    def on_metrics(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        """Write metrics."""
        self._scalars({f"metrics/{k}": v for k, v in metrics.items()}, trainer.iteration)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the log."""
        self._writer.close()

    def _scalars(self, values: dict[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)


class Snapshot(Callback):
    """Save every `interval` epochs, or steps where a run is counted in steps, and at the end.

    Args:
        interval: epochs or steps between snapshots.
        by_epoch: which of the two.
    """

    is_aside = True

    def __init__(self, interval: int, by_epoch: bool) -> None:
        self.interval, self.by_epoch = interval, by_epoch

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        """Save when it is due."""
        steps = self.interval * (trainer.iterations_per_epoch if self.by_epoch else 1)
        if trainer.iteration % steps == 0 or trainer.iteration == trainer.total_iterations:
            trainer.save(f"epoch_{trainer.epoch}" if self.by_epoch else f"iter_{trainer.iteration}")


class Validate(Callback):
    """Evaluate every `interval` steps, and once more at the end of a run.

    Args:
        interval: steps between evaluations.
    """

    is_aside = True

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        """Evaluate when it is due."""
        if trainer.iteration % self.interval == 0 or trainer.iteration == trainer.total_iterations:
            trainer.emit("on_metrics", trainer.evaluate())


def drawn_pictures(run_dir: Path, label: str = "*") -> list[Path]:
    """Return the pictures that `Visuals` has drawn in a run folder, the oldest first."""

    def moment(path: Path) -> tuple[int, str]:
        return int(path.name.removeprefix("iter").partition("_")[0]), path.name

    found = (run_dir / "visual_train").glob(f"iter*_{label}.png")
    return sorted(found, key=moment)


def _latest(pending: Sequence[tuple[int, Logs]]) -> tuple[dict[str, float], str | None]:
    """Return the last value of each loss, and a sentence about the first that is not finite."""
    latest: dict[str, float] = {}
    first, diverged = math.inf, None
    for name in dict.fromkeys(name for _, logs in pending for name in logs):
        steps = [(iteration, logs[name]) for iteration, logs in pending if name in logs]
        values = paddle.stack([value.astype("float32").reshape([]) for _, value in steps]).numpy()
        latest[name] = float(values[-1])
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size and steps[wrong[0]][0] < first:
            first = steps[wrong[0]][0]
            diverged = f"{name} became {values[wrong[0]]} at iteration {first}: {DIVERGED}"
    return latest, diverged


def _position(trainer: Trainer) -> str:
    if not trainer.by_epoch:
        return f"Iter: {trainer.iteration}/{trainer.total_iterations}"
    per_epoch = trainer.iterations_per_epoch
    epoch, inside = divmod(trainer.iteration - 1, per_epoch)
    epochs = trainer.total_iterations // per_epoch
    return f"Epoch: {epoch + 1}/{epochs}, iter: {inside + 1}/{per_epoch}"


def _gpu_memory() -> str:
    if not paddle.device.is_compiled_with_cuda() or paddle.get_device() == "cpu":
        return ""
    reserved = paddle.device.cuda.max_memory_reserved() // 2**20
    allocated = paddle.device.cuda.max_memory_allocated() // 2**20
    return f" max_mem_reserved: {reserved} MB max_mem_allocated: {allocated} MB"


def _film(paths: Sequence[Path]) -> Any:
    # A hundred frames tell the story of a run of any length.
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(100, len(paths))).astype(int))
    frames = [paths[i] for i in chosen]
    yield from (read_image(path) for path in frames)
    # The end stays on the screen for a while before the film starts again.
    yield from [read_image(frames[-1])] * 12
