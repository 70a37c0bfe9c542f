# SPDX-License-Identifier: Apache-2.0
"""The training loop. What happens periodically is in `callbacks`, what is saved in `checkpoint`."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import random
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from tqdm import tqdm

from ppzoo import registry
from ppzoo.config import TrainConfig, check_config
from ppzoo.data import build_dataloader
from ppzoo.engine import callbacks as cb
from ppzoo.engine import checkpoint
from ppzoo.engine.distributed import join_world
from ppzoo.engine.ema import EMA
from ppzoo.engine.evaluate import Evaluator
from ppzoo.errors import ConfigError, UserError
from ppzoo.model import Batch, Precision
from ppzoo.runtime import select_device


class Trainer:
    """Trains and evaluates what a config describes.

    Args:
        config: see `ppzoo.config.load_config`.
        amp_level: `O0` for float32, `O1` or `O2` for mixed precision.
        run_dir: the run folder, by default a new one in `config.output_dir`. It is made when the
            run starts.
        callbacks: called besides those that the config asks for.

    Raises:
        UserError: the config does not fit the classes that it names, a dataset is missing...

    Attributes:
        model: what is trained.
        iteration: finished training steps.
        metrics: figures of the latest evaluation.
        run_dir: the run folder.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        amp_level: str = "O0",
        run_dir: str | os.PathLike[str] | None = None,
        callbacks: Sequence[cb.Callback] = (),
    ) -> None:
        check_config(config)
        self.config = config
        self.device = select_device(config.device)
        self.world = join_world()
        self.seed = self.world.gather(
            config.seed if config.seed is not None else secrets.randbelow(2**31)
        )[0]
        seed_step(self.seed, -1)
        self.model = _built("model", lambda: registry.build(registry.MODELS, config.model))
        self.world.broadcast(
            [value for net in self.model.nets.values() for value in net.state_dict().values()]
        )
        if self.world.size > 1:
            self.model.reduce_gradients = self.world.average_gradients

        self.iteration = 0
        self.interrupted: int | None = None
        self.batch: Batch = {}
        self.losses: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.images_per_second = 0.0
        self.reading_time = 0.0  # seconds spent waiting for data
        self.aside_time = 0.0  # seconds spent on pictures, evaluation and snapshots
        self._run_dir = Path(run_dir) if run_dir is not None else None
        self._extra_callbacks = list(callbacks)
        self._callbacks: list[cb.Callback] = []
        self._log_check = lambda: None
        self._logger = logging.getLogger("ppzoo.engine.trainer")
        self._precision = Precision(amp_level, "bfloat16" if self.device == "cpu" else "float16")
        self._train_loader: Any = None
        self._evaluator: Evaluator | None = None
        self._ema: EMA | None = None

    # -- what a run consists of

    @property
    def run_dir(self) -> Path:
        """The run folder, named after the config and the time."""
        if self._run_dir is None:
            stem = f"{self.config.name}-{time.strftime('%Y-%m-%d-%H-%M')}"
            parent = Path(self.config.output_dir)
            candidates = [parent / stem, *(parent / f"{stem}-{i}" for i in range(2, 1000))]
            free = next(folder for folder in candidates if not folder.exists())
            self._run_dir = self.world.gather(free)[0]
        return self._run_dir

    @property
    def train_loader(self) -> Any:
        """The training data."""
        if self._train_loader is None:
            if self.config.dataset.train is None:
                raise ConfigError(f"{self.config.path} has no dataset.train to train on")
            self._train_loader = _built("dataset.train", lambda: self._loader("train"))
        return self._train_loader

    @property
    def evaluator(self) -> Evaluator:
        """The test data and the metrics."""
        if self._evaluator is None:
            if self.config.dataset.test is None:
                raise ConfigError(f"{self.config.path} has no dataset.test to evaluate on")
            specs = self.config.validation.metrics if self.config.validation else {}
            self._evaluator = Evaluator(
                _built("dataset.test", lambda: self._loader("test")),
                {
                    name: _built(
                        f"validate.metrics.{name}",
                        lambda spec=spec: registry.build(registry.METRICS, spec),
                    )
                    for name, spec in specs.items()
                },
                self.config.min_max,
                self.config.max_eval_steps,
                self.world,
            )
        return self._evaluator

    @property
    def by_epoch(self) -> bool:
        """Whether the run is counted in epochs rather than in steps."""
        return self.config.epochs is not None

    @property
    def iterations_per_epoch(self) -> int:
        """Training steps an epoch."""
        return len(self.train_loader)

    @property
    def total_iterations(self) -> int:
        """Training steps of the whole run."""
        if self.by_epoch:
            return self.config.epochs * self.iterations_per_epoch
        return self.config.total_iters

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return self.iteration // self.iterations_per_epoch

    @property
    def learning_rate(self) -> float:
        """The rate of the step to come."""
        return float(next(iter(self.model.lr_schedulers.values())).get_lr())

    # -- what a user calls

    def load(self, path: str | os.PathLike[str]) -> None:
        """Start from the weights in a file; see `checkpoint.load_weights`."""
        for name in checkpoint.load_weights(Path(path), self.model):
            self.log(f"{path} has no {name}: it keeps its initial weights", logging.WARNING)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint as if the run had never stopped.

        Raises:
            WeightsError: the file is missing, damaged, unsafe, or of another model.
            ConfigError: options that matter have changed; lists them.
        """
        path = Path(path)
        content = checkpoint.read_checkpoint(path)
        if self.config.seed is None:
            self.seed = content["ppzoo"]["seed"]
        self._setup_training()
        checkpoint.refuse_changes(content, self._progress(), path)
        checkpoint.restore(content, self.model, self._ema, path)
        self.iteration = int(content["ppzoo"]["iteration"])
        if self.iteration >= self.total_iterations:
            raise ConfigError(
                f"{path} stands at iteration {self.iteration} of {self.total_iterations}, so there "
                f"is nothing left to train: raise {'epochs' if self.by_epoch else 'total_iters'}"
            )

    def fit(self) -> None:
        """Train to the end, or until a signal asks to stop; both end with a checkpoint.

        Raises:
            TrainingError: a loss is no longer finite; the files of earlier snapshots stay.
        """
        self._setup_training()
        self._open_run_dir()
        self._callbacks = self._make_callbacks()
        with self._stopping_at_signals():
            self.emit("on_fit_start")
            try:
                self._fit()
            finally:
                self.emit("on_fit_end")

    def evaluate(self) -> dict[str, float]:
        """Return the metrics on the test data, with averaged weights where the run keeps them."""
        save_images = self.config.validation is not None and self.config.validation.save_img
        seed_step(self.seed, -2)
        with self.averaged_weights():
            self.metrics = self.evaluator.run(
                self.model,
                self.run_dir / "visual_test" if save_images and self.world.is_main else None,
                lambda step: self.log(f"Test iter: [{step}/{len(self.evaluator.loader)}]"),
            )
        for name, value in self.metrics.items():
            self.log(f"Metric {name}: {value:.4f}")
        return self.metrics

    def save(self, stem: str) -> Path | None:
        """Write `<stem>_weight.pdparams` and `<stem>_checkpoint.pdparams`; return the latter."""
        self._log_check()
        if not self.world.is_main:
            return None
        _, path = checkpoint.save(self.run_dir, stem, self.model, self._ema, self._progress())
        return path

    # -- what callbacks use

    def emit(self, event: str, *args: Any) -> None:
        """Call `event` of every callback that has it."""
        for callback in self._callbacks:
            handler = getattr(callback, event, None)
            if handler is None:
                continue
            started = time.perf_counter()
            handler(self, *args)
            if isinstance(callback, (cb.Visuals, cb.Validate, cb.Snapshot)):
                self.aside_time += time.perf_counter() - started

    def log(self, message: str, level: int = logging.INFO) -> None:
        """Write a line to the console and to `log.txt`."""
        self._logger.log(level, message)

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the networks have their averaged weights, if there are any."""
        return contextlib.nullcontext() if self._ema is None else self._ema.applied()

    # -- inside

    def _fit(self) -> None:
        self.model.train()
        for batch in self._batches():
            seed_step(self.seed, self.iteration)
            self.batch, self.model.iteration = batch, self.iteration
            logs = self.model.train_step(batch)
            self.model.step_lr_schedulers()
            self.iteration += 1
            if self._ema is not None:
                self._ema.update(self.iteration)
            self.emit("on_step_end", logs)
            if self.iteration % self.iterations_per_epoch == 0:
                self.emit("on_epoch_end")
            if self._asked_to_stop():
                path = self.save(f"iter_{self.iteration}")
                self.log(f"stopped at iteration {self.iteration}; go on with --resume {path}")
                return

    def _batches(self) -> Iterator[Batch]:
        while self.iteration < self.total_iterations:
            epoch, start = divmod(self.iteration, self.iterations_per_epoch)
            batches = self.train_loader.epoch(epoch, start)
            while self.iteration < self.total_iterations:
                started = time.perf_counter()
                batch = next(batches, None)
                self.reading_time += time.perf_counter() - started
                if batch is None:
                    break
                yield batch

    def _loader(self, part: str) -> Any:
        train = part == "train"
        return build_dataloader(
            getattr(self.config.dataset, part),
            train=train,
            seed=self.seed,
            rank=self.world.rank,
            world_size=self.world.size,
        )

    def _setup_training(self) -> None:
        if self.model.optimizers:
            return
        if self.config.lr_scheduler is None:
            raise ConfigError(f"{self.config.path} has no lr_scheduler to train with")
        self.model.setup_lr_schedulers(self.config.lr_scheduler, **self._known_to_scheduler())
        self.model.setup_optimizers(
            {
                name: (optimizer.component, optimizer.net_names)
                for name, optimizer in self.config.optimizer.items()
            }
        )
        self.model.setup_precision(self._precision)
        if self.config.ema is not None:
            names = self.config.ema.nets or list(self.model.nets)
            self._ema = EMA(self.model.nets, names, self.config.ema.decay, self.config.ema.start)

    def _known_to_scheduler(self) -> dict[str, Any]:
        name = getattr(self.config.lr_scheduler, "name", None)
        if name is None:  # a family's own section
            return {}
        target = registry.LRSCHEDULERS.get(name)
        if "iters_per_epoch" not in inspect.signature(target).parameters:
            return {}
        # PaddleGAN counts the decay in epochs only where the run is counted in epochs.
        return {"iters_per_epoch": self.iterations_per_epoch} if self.by_epoch else {}

    def _progress(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "seed": self.seed,
            "precision": self._precision.level,
            "world_size": self.world.size,
            "config": self.config.to_dict(),
        }

    def _make_callbacks(self) -> list[cb.Callback]:
        config = self.config
        log = cb.Log(config.log_config.interval, config.dataset.train.batch_size * self.world.size)
        self._log_check = log.check
        found: list[cb.Callback] = [log]
        if self.world.is_main:
            found.append(cb.ProgressBar())
            if config.enable_visualdl:
                found.append(cb.VisualDL())
            found.append(cb.Visuals(config.log_config.visiual_interval, config.min_max))
        if config.validation is not None and config.dataset.test is not None:
            found.append(cb.Validate(config.validation.interval))
        found.append(cb.Snapshot(config.snapshot_config.interval, self.by_epoch))
        return found + self._extra_callbacks

    def _open_run_dir(self) -> None:
        name = "log.txt" if self.world.is_main else f"log.txt.rank{self.world.rank}"
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(self.run_dir / name, encoding="utf-8")
            if self.world.is_main:
                (self.run_dir / "config.yaml").write_text(self.config.to_yaml(), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"the run folder {self.run_dir} cannot be written ({error.strerror}): choose "
                "another with -o output_dir=FOLDER"
            ) from error
        setup_logging(handler, console=self.world.is_main)
        self.log(f"config: {self.config.path}\n{self.config.to_yaml()}")
        self.log(f"seed: {self.seed}, device: {self.device}, run folder: {self.run_dir}")

    def _asked_to_stop(self) -> bool:
        if self.world.size == 1:
            return self.interrupted is not None
        # All processes must stop after the same step, or the others would wait for ever.
        return (
            self.world.mean({"interrupted": float(self.interrupted is not None)})["interrupted"] > 0
        )

    @contextlib.contextmanager
    def _stopping_at_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: Any) -> None:
            if self.interrupted is not None:
                raise KeyboardInterrupt
            self.interrupted = number
            self.log("finishing this step, then saving; ask again to stop at once")

        previous = {
            number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def seed_step(seed: int, iteration: int) -> None:
    """Set all random generators from a run's seed and the number of a step.

    So a step's draws do not depend on what happened before it, and a resumed run repeats them.
    """
    entropy = np.random.SeedSequence([seed, iteration + 2]).generate_state(1)
    value = int(entropy[0])
    random.seed(value)
    np.random.seed(value)
    paddle.seed(value)


def setup_logging(handler: logging.Handler | None = None, console: bool = True) -> None:
    """Send ppzoo's log to the console and to a file, in PaddleGAN's line format.

    A console line leaves a progress bar intact.
    """
    logger = logging.getLogger("ppzoo")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    form = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%m/%d %H:%M:%S")
    for new in ([handler] if handler else []) + ([_ConsoleHandler()] if console else []):
        new.setFormatter(form)
        logger.addHandler(new)


class _ConsoleHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)


def _built(where: str, make: Any) -> Any:
    """Return what `make` builds; a value that a class refuses is the config's mistake."""
    try:
        return make()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from error
