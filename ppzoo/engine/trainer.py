# SPDX-License-Identifier: Apache-2.0
"""The training loop. What happens periodically is in `callbacks`, what is saved in `checkpoint`."""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import os
import secrets
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo import registry
from ppzoo.config import TrainConfig, check_config
from ppzoo.data import build_dataloader
from ppzoo.engine import callbacks as cb
from ppzoo.engine import checkpoint
from ppzoo.engine.distributed import join_world
from ppzoo.engine.ema import EMA
from ppzoo.engine.evaluate import Evaluator
from ppzoo.engine.interrupt import Interrupt
from ppzoo.engine.logs import setup_logging
from ppzoo.engine.run_dir import make_run_dir, open_run_dir
from ppzoo.errors import ConfigError, UserError, WeightsError
from ppzoo.model import Batch, Precision
from ppzoo.nn.sync_batch_norm import sync_batch_norms
from ppzoo.runtime import seed_everything, select_device

# With several processes: steps between looks at whether one of them was asked to stop.
_STEPS_BETWEEN_QUESTIONS = 10


class Trainer:
    """Trains and evaluates what a config describes.

    Args:
        config: see `ppzoo.config.load_config`.
        amp_level: `O0` for float32, `O1` or `O2` for mixed precision.
        run_dir: the run folder, by default a new one in `config.output_dir`.
        callbacks: called besides those that the config asks for.
        brief: in place of the whole log, show a line now and then on the console, without times
            and places: for notebooks. `log.txt` has the whole in any case.

    Raises:
        UserError: the config does not fit the classes that it names, a dataset is missing...

    Attributes:
        model: what is trained.
        iteration: finished training steps.
        losses: of the latest log line, means over processes.
        unreported: the latest losses since that line; a checkpoint holds them for the next one.
        metrics: figures of the latest evaluation.
        interrupted: the signal that stopped `fit` before its end, None if it reached it.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        amp_level: str = "O0",
        run_dir: str | os.PathLike[str] | None = None,
        callbacks: Sequence[cb.Callback] = (),
        brief: bool = False,
    ) -> None:
        check_config(config)
        self.config = config
        self.brief = brief
        self.device = select_device(config.device)
        self.world = join_world()
        self.seed = self.world.gather(
            config.seed if config.seed is not None else secrets.randbelow(2**31)
        )[0]
        seed_step(self.seed, -1)
        self.model = _built("model", lambda: registry.build(registry.MODELS, config.model))
        self._join_networks()

        self.iteration = 0
        self.interrupted: int | None = None
        self._interrupt = Interrupt()
        self.batch: Batch = {}
        self.losses: dict[str, float] = {}
        self.unreported: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.images_per_second = 0.0
        self.reading_time = 0.0  # seconds spent waiting for data
        self.aside_time = 0.0  # seconds spent on pictures, evaluation and snapshots
        self._run_dir = Path(run_dir) if run_dir is not None else None
        self._extra_callbacks = list(callbacks)
        self._callbacks: list[cb.Callback] = []
        self._logger = logging.getLogger(__name__)
        self._early: list[logging.LogRecord] = []  # warnings that no log.txt has yet
        self._is_fitting = False
        self._amp_level = amp_level
        self._train_loader: Any = None
        self._evaluator: Evaluator | None = None
        self._ema: EMA | None = None

    # -- what a run consists of

    @property
    def run_dir(self) -> Path:
        """The run folder. The first look makes it; with several processes all have to look."""
        if self._run_dir is None:
            made = None
            if self.world.is_main:
                made = make_run_dir(self.config.output_dir, self.config.name)
            self._run_dir = self.world.gather(made)[0]
        return self._run_dir

    @property
    def visual_test_dir(self) -> Path:
        """The folder of pictures of the test data, in the run folder."""
        return self.run_dir / "visual_test"

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
                        spec.where or f"validate.metrics.{name}",
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

    def load(self, path: str | os.PathLike[str], *, prefer_ema: bool = False) -> None:
        """Start from the weights in a file; see `checkpoint.load_weights`."""
        for name in checkpoint.load_weights(Path(path), self.model, prefer_ema=prefer_ema):
            self.log(f"{path} has no {name}: it keeps its initial weights", logging.WARNING)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint as if the run had never stopped.

        A checkpoint of PaddleGAN's has less in it: what is not restored is logged.

        Raises:
            WeightsError: the file is missing, damaged, unsafe, or of another model.
            ConfigError: options that matter have changed; lists them.
        """
        path = Path(path)
        content = checkpoint.read_checkpoint(path)
        ours = content.get("ppzoo")
        if ours is None:
            self.setup_training()
            self.iteration, notes = checkpoint.restore_paddlegans(
                content, self.model, self._ema, path
            )
            for note in notes:
                self.log(note, logging.WARNING)
            self._refuse_to_be_over(path)
            return
        if self.config.seed is None:
            self.seed = ours["seed"]
        checkpoint.refuse_changes(content, self._progress(), path)
        self.setup_training()
        checkpoint.restore(content, self.model, self._ema, path)
        self.iteration, self.unreported = ours["iteration"], dict(ours["unreported"])
        self._refuse_to_be_over(path)
        samples = len(self.train_loader.dataset)
        if samples != ours["samples"]:
            self.log(
                f"there are {samples} training samples now and there were {ours['samples']}: the "
                "run goes on, but not as it would have",
                logging.WARNING,
            )

    def setup_training(self) -> None:
        """Build data, schedules and optimizers, unless they are there; `fit` calls it.

        Raises:
            UserError: the config has none, or they do not fit.
        """
        _ = self.train_loader  # made now: what is wrong with the data shows before the training
        if self.model.optimizers:
            return
        if self.config.lr_scheduler is None:
            raise ConfigError(f"{self.config.path} has no lr_scheduler to train with")
        supplied = self._known_to_scheduler()
        _built(
            "lr_scheduler",
            lambda: self.model.setup_lr_schedulers(self.config.lr_scheduler, **supplied),
        )
        optimizers = {
            name: (optimizer.component, optimizer.net_names)
            for name, optimizer in self.config.optimizer.items()
        }
        if not optimizers:
            raise ConfigError(f"{self.config.path} has no optimizer to train with")
        _built("optimizer", lambda: self.model.setup_optimizers(optimizers))
        self.model.setup_precision(self._precision)
        if self.config.ema is not None:
            names = self.config.ema.nets or list(self.model.nets)
            self._ema = EMA(self.model.nets, names, self.config.ema.decay, self.config.ema.start)

    def fit(self) -> None:
        """Train to the end, or until SIGINT or SIGTERM; both end with a checkpoint.

        Raises:
            TrainingError: a loss or a weight is no longer finite; earlier snapshots stay.
        """
        self.setup_training()
        last_rate = self._rate_at_the_end()
        self._callbacks = self._make_callbacks()
        self.interrupted, self._interrupt = None, Interrupt()
        setup_logging(console=self.world.is_main and not self.brief)
        text = self._resolved_config().to_yaml()
        with (
            open_run_dir(self.run_dir, text, self.world.rank, self._early),
            self._fitting(),
            self._interrupt.listening(),
        ):
            self.log(f"config: {self.config.path}\n{text}")
            self.log(f"seed: {self.seed}, device: {self.device}, run folder: {self.run_dir}")
            if self._amp_level != "O0" and self._precision.level == "O0":
                self.log("mixed precision needs a GPU: this run is in float32", logging.WARNING)
            if last_rate < 0:
                self.log(
                    "the learning rate falls below 0 before the end of this run, to "
                    f"{last_rate:g}: training then undoes what it has learned; shorten the run or "
                    "lengthen the decay",
                    logging.WARNING,
                )
            if self.iteration:
                self.log(f"going on after iteration {self.iteration} of {self.total_iterations}")
            self._train_with_callbacks()

    def evaluate(self, *, pictures: bool | None = None) -> dict[str, float]:
        """Return the metrics on the test data, with averaged weights where the run keeps them.

        Args:
            pictures: whether to write pictures of the test data into `visual_test_dir`; None for
                what the config's `validate.save_img` says.

        Raises:
            ConfigError: the config has no test data, or neither metrics nor pictures to make.
        """
        if pictures is None:
            pictures = self.config.validation is not None and self.config.validation.save_img
        metrics, folder = self.evaluator.metrics, None
        if pictures:
            folder = self.visual_test_dir
        elif not metrics:
            raise ConfigError(f"{self.config.path} has no validate.metrics, so nothing to evaluate")
        seed_step(self.seed, -2)
        with self.averaged_weights():
            self._share_running_statistics()
            self.metrics = self.evaluator.run(
                self.model,
                folder if self.world.is_main else None,
                lambda step, steps: self.log(f"Test iter: [{step}/{steps}]"),
            )
        for name, value in self.metrics.items():
            self.log(f"Metric {name}: {value:.4f}")
        return self.metrics

    def save(self, stem: str, kinds: Sequence[str] = checkpoint.KINDS, keep: int = 1) -> Path:
        """Write `<stem>_weight.pdparams` and `<stem>_checkpoint.pdparams`; return the latter.

        With several processes all have to call it, and the first one writes.

        Args:
            stem: what names of files begin with.
            kinds: `weight`, `checkpoint` or both.
            keep: how many checkpoints stay, the latest ones; 0 or less for all.

        Raises:
            TrainingError: a loss or a weight is not finite; nothing is written.
        """
        self.emit("before_save")
        if self.world.is_main:
            checkpoint.save(
                self.run_dir, stem, self.model, self._ema, self._progress(), kinds, keep
            )
        return self.run_dir / f"{stem}{checkpoint.SUFFIX}"

    # -- what callbacks use

    def emit(self, event: str, *args: Any) -> None:
        """Call the method `event` of every callback."""
        for callback in self._callbacks:
            started = time.perf_counter()
            getattr(callback, event)(self, *args)
            if callback.is_aside:
                self.aside_time += time.perf_counter() - started

    def log(self, message: str, level: int = logging.INFO) -> None:
        """Write a line to the console and, in `fit`, to `log.txt`, with the warnings before it."""
        if not self._logger.isEnabledFor(level):
            return
        record = self._logger.makeRecord(self._logger.name, level, "", 0, message, (), None)
        if level >= logging.WARNING and not self._is_fitting:
            self._early.append(record)
        self._logger.handle(record)

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the networks have their averaged weights, if there are any."""
        return contextlib.nullcontext() if self._ema is None else self._ema.applied()

    # -- inside

    @contextlib.contextmanager
    def _fitting(self) -> Iterator[None]:
        """Mark that what is logged inside the context is in `log.txt`, as all before it now is."""
        self._early.clear()
        self._is_fitting = True
        try:
            yield
        finally:
            self._is_fitting = False

    def _refuse_to_be_over(self, path: Path) -> None:
        if self.iteration >= self.total_iterations:
            raise ConfigError(
                f"{path} stands at iteration {self.iteration} of {self.total_iterations}, so there "
                f"is nothing left to train: raise {'epochs' if self.by_epoch else 'total_iters'}"
            )

    def _train_with_callbacks(self) -> None:
        started: list[cb.Callback] = []
        try:
            for callback in self._callbacks:
                callback.on_fit_start(self)
                started.append(callback)
            self._train()
        except BaseException:
            with contextlib.suppress(UserError):  # the first error is the one to tell
                self._close(started)
            raise
        self._close(started)

    def _close(self, callbacks: list[cb.Callback]) -> None:
        with contextlib.ExitStack() as stack:  # goes through all of them, whatever one raises
            for callback in callbacks:
                stack.callback(callback.on_fit_end, self)

    def _train(self) -> None:
        self.model.train()
        with contextlib.closing(self._batches()) as batches:
            for batch in batches:
                self._step(batch)
                at_end = self.iteration == self.total_iterations
                self.interrupted = None if at_end else self._stop_signal()
                if self.interrupted is not None:
                    path = self.save(f"iter_{self.iteration}")
                    self.log(f"stopped at iteration {self.iteration}; go on with --resume {path}")
                    return

    def _step(self, batch: Batch) -> None:
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

    def _batches(self) -> Iterator[Batch]:
        while self.iteration < self.total_iterations:
            epoch, start = divmod(self.iteration, self.iterations_per_epoch)
            with contextlib.closing(self.train_loader.epoch(epoch, start)) as batches:
                while self.iteration < self.total_iterations:
                    started = time.perf_counter()
                    batch = next(batches, None)
                    self.reading_time += time.perf_counter() - started
                    if batch is None:
                        break
                    yield batch

    def _stop_signal(self) -> int | None:
        """Return the signal that asks the run to stop, if one does."""
        if self.world.size == 1:
            return self._interrupt.signal
        # All processes must stop after the same step, or the others would wait for ever. Asking
        # takes a while, so not after every step.
        if self.iteration % _STEPS_BETWEEN_QUESTIONS:
            return None
        return max(self.world.gather(self._interrupt.signal or 0)) or None

    def _join_networks(self) -> None:
        """Make the networks of all processes one."""
        if self.world.size == 1:
            return
        for net in self.model.nets.values():
            if self.config.sync_batch_norm:
                sync_batch_norms(net)
            self.world.broadcast(list(net.state_dict().values()))
        self.model.reduce_gradients = self.world.average_gradients

    def _share_running_statistics(self) -> None:
        """Let all processes have the running statistics that the first one saves."""
        if self.world.size > 1:
            for net in self.model.nets.values():
                self.world.broadcast([v for v in net.state_dict().values() if v.stop_gradient])

    def _loader(self, part: str) -> Any:
        train = part == "train"
        return build_dataloader(
            getattr(self.config.dataset, part),
            train=train,
            seed=self.seed,
            rank=self.world.rank,
            world_size=self.world.size,
        )

    def _rate_at_the_end(self) -> float:
        """Return the rate of the last step; a schedule too short for the run raises here."""
        probes = [copy.copy(scheduler) for scheduler in self.model.lr_schedulers.values()]
        for probe in probes:
            probe.step(self.total_iterations)  # where the last step leaves it
            probe.step(self.total_iterations - 1)
        return min((float(probe.get_lr()) for probe in probes), default=0.0)

    def _known_to_scheduler(self) -> dict[str, Any]:
        name = getattr(self.config.lr_scheduler, "name", None)
        if name is None:  # a family's own section
            return {}
        target = registry.LRSCHEDULERS.get(name)
        if "iters_per_epoch" not in inspect.signature(target).parameters:
            return {}
        # PaddleGAN counts the decay in epochs only where the run is counted in epochs.
        return {"iters_per_epoch": self.iterations_per_epoch} if self.by_epoch else {}

    @property
    def _precision(self) -> Precision:
        # Paddle has no mixed precision on CPUs.
        return Precision("O0" if self.device == "cpu" else self._amp_level, "float16")

    def _resolved_config(self) -> TrainConfig:
        return self.config.model_copy(update={"seed": self.seed})

    def _progress(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "seed": self.seed,
            "precision": self._amp_level,
            "world_size": self.world.size,
            "samples": len(self.train_loader.dataset),
            "unreported": self.unreported,
            "config": self._resolved_config().to_dict(),
        }

    def _make_callbacks(self) -> list[cb.Callback]:
        config = self.config
        found: list[cb.Callback] = []
        if self.world.is_main:
            found.append(cb.Brief() if self.brief else cb.ProgressBar())
            if config.enable_visualdl:
                found.append(cb.VisualDL())
        # Here, so that its clock does not measure how long the ones above take to start, and the
        # ones below do not show or save what has diverged.
        found.append(
            cb.Log(config.log_config.interval, config.dataset.train.batch_size * self.world.size)
        )
        if self.world.is_main:
            interval = config.log_config.visiual_interval
            found.append(cb.Visuals(interval, config.min_max, config.image_num))
        found.append(cb.Snapshot(config.snapshot_config.interval, self.by_epoch))
        validation = config.validation
        if validation is not None and validation.interval > 0 and validation.has_results:
            _ = self.evaluator  # made now, for the same reason as the training data
            found.append(cb.Validate(validation.interval))
        return found + self._extra_callbacks


def seed_step(seed: int, iteration: int) -> None:
    """Set all random generators from a run's seed and the number of a step.

    So a step's draws do not depend on what happened before it, and a resumed run repeats them.
    """
    entropy = np.random.SeedSequence([seed, iteration + 2]).generate_state(1)
    seed_everything(int(entropy[0]))


def _built(where: str, make: Callable[[], Any]) -> Any:
    """Return what `make` builds; a value that a class refuses is the config's mistake."""
    try:
        return make()
    except WeightsError as error:
        hint = ""
        if where.startswith("validate"):
            hint = (
                f"; -o {where}=null leaves it out, and --evaluate-only still writes pictures; "
                "-o validate=null trains without metrics"
            )
        raise WeightsError(f"{where}: {error}{hint}") from None
    except (ValueError, TypeError) as error:
        # In scripts, tracebacks say a sentence of ours twice; where others' code fails, they help.
        raise ConfigError(f"{where}: {error}") from (None if _is_sentence(error) else error)


def _is_sentence(error: Exception) -> bool:
    """Tell whether ppzoo's classes, or the registry for them, refuse what they are given."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    module = frame.f_globals.get("__name__", "")
    if isinstance(error, TypeError):
        return module == registry.__name__
    return module.partition(".")[0] == "ppzoo"
