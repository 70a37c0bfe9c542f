# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's `Trainer`, on top of ppzoo's."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppgan.datasets import Epochs
from ppgan.models.base_model import BaseModel, refuse_overridden, with_methods
from ppgan.utils.logger import get_logger
from ppzoo.config import config_from
from ppzoo.engine.checkpoint import KINDS
from ppzoo.engine.logs import setup_logging
from ppzoo.engine.profiler import Profiler
from ppzoo.engine.trainer import Trainer as Engine
from ppzoo.errors import ConfigError
from ppzoo.metrics.base import Metric
from ppzoo.metrics.psnr import PSNR

# What `ppgan.utils.setup.setup` adds to a config besides options of ppzoo's.
_ADDED = ("is_train", "profiler_options", "timestamp", "amp", "amp_level", "config_file")


class IterLoader:
    """Batches without end, of a loader that can be gone through again and again.

    Args:
        dataloader: see `ppgan.datasets.build_dataloader`.

    Attributes:
        epoch: the number of the pass under way, counted from 1.
    """

    def __init__(self, dataloader: Any) -> None:
        self._loader, self._batches = dataloader, iter(dataloader)
        self.epoch = 1

    def __iter__(self) -> IterLoader:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._batches)
        except StopIteration:
            self.epoch += 1
            self._batches = iter(self._loader)
            return next(self._batches)

    def __len__(self) -> int:
        return len(self._loader)


class _OwnMetric(Metric):
    """A metric of a script's, written as PaddleGAN's: it gets the pictures that PSNR gets.

    Args:
        metric: has `reset`, `update(pictures, wanted)` and `accumulate`.

    Raises:
        ConfigError: it has not.
    """

    inputs, as_uint8 = PSNR.inputs, PSNR.as_uint8

    def __init__(self, metric: Any) -> None:
        for name in ("reset", "update", "accumulate"):
            if not callable(getattr(metric, name, None)):
                raise ConfigError(f"the metric {type(metric).__name__} has no method {name!r}")
        self.metric = metric

    def reset(self) -> None:
        self.metric.reset()

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.metric.update(*args, **kwargs)

    def accumulate(self) -> Any:
        return self.metric.accumulate()

    def state(self) -> dict[str, Any]:
        return {}

    def merge(self, states: Sequence[Any]) -> None:
        if len(states) > 1:
            kind = type(self.metric).__name__
            raise ConfigError(f"the metric {kind} cannot be shared: evaluate in one process")


class _Engine(Engine):
    @property
    def evaluator(self) -> Any:
        evaluator = super().evaluator
        evaluator.metrics = {
            name: metric if isinstance(metric, Metric) else _OwnMetric(metric)
            for name, metric in evaluator.metrics.items()
        }
        return evaluator


class Trainer:
    """Trains and evaluates what a config describes.

    Args:
        cfg: what `ppgan.utils.config.get_config` returned, changed or not.

    Attributes:
        engine: ppzoo's trainer, which does the work.
        logger: a log that is shown where the training's is.

    Raises:
        UserError: the config does not fit, or data are missing.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = ("test", "save", "print_log", "visual", "distributed_data_parallel")
        refuse_overridden(cls, Trainer, names)

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        path = cfg.get("config_file") or Path("config.yaml")
        config = config_from({k: v for k, v in cfg.items() if k not in _ADDED}, path)
        options = cfg.get("profiler_options")
        self.cfg = cfg
        self.engine = _Engine(
            config,
            amp_level=(cfg.get("amp_level") or "O1") if cfg.get("amp") else "O0",
            callbacks=[Profiler.from_text(options)] if options else [],
        )
        with_methods(self.engine.model)
        setup_logging(console=self.engine.world.is_main)
        self.logger = get_logger()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"ppzoo's Trainer has no attribute {name!r}: docs/migrating.md lists those it has, and "
            "`engine` is the trainer that does the work"
        )

    @property
    def model(self) -> Any:
        """The model; `model.nets` has its networks by name."""
        return self.engine.model

    @property
    def output_dir(self) -> str:
        """The run folder."""
        return str(self.engine.run_dir)

    @functools.cached_property
    def train_dataloader(self) -> Epochs:
        """The training data."""
        return Epochs(self.engine.train_loader)

    @property
    def iters_per_epoch(self) -> int:
        """The number of steps in an epoch."""
        return self.engine.iterations_per_epoch

    @property
    def by_epoch(self) -> bool:
        """Whether the run is counted in epochs."""
        return self.engine.by_epoch

    @property
    def epochs(self) -> int | None:
        """The number of epochs of the run, None if it is counted in steps."""
        return self.engine.config.epochs

    @property
    def total_iters(self) -> int:
        """The number of steps of the run."""
        return self.engine.total_iterations

    @property
    def current_iter(self) -> int:
        """The number of the step to come, counted from 1."""
        return self.engine.iteration + 1

    @property
    def current_epoch(self) -> int:
        """The number of the epoch under way, counted from 1."""
        return self.engine.epoch + 1

    @property
    def optimizers(self) -> dict[str, Any]:
        """The optimizers by name."""
        self.engine.setup_training()
        return self.model.optimizers

    @property
    def lr_schedulers(self) -> Any:
        """The schedule of learning rates; of a model that has several, all by name."""
        self.engine.setup_training()
        found = self.model.lr_schedulers
        return found["lr"] if set(found) == {"lr"} else found

    @property
    def current_learning_rate(self) -> float:
        """The rate of the step to come."""
        self.engine.setup_training()
        return self.engine.learning_rate

    def resume(self, checkpoint_path: str) -> None:
        """Go on from a checkpoint of ppzoo's or PaddleGAN's."""
        self.engine.resume(checkpoint_path)

    def load(self, weight_path: str) -> None:
        """Start from the weights in a file."""
        self.engine.load(weight_path)

    def train(self) -> None:
        """Train to the end; Ctrl-C ends with a checkpoint."""
        if isinstance(self.model, BaseModel):
            self.model.set_total_iter(self.total_iters)
        self.engine.fit()

    def test(self) -> dict[str, float]:
        """Evaluate, write pictures of the test data into `visual_test`, and return the metrics."""
        return self.engine.evaluate(pictures=True)

    def save(self, epoch: int, name: str = "checkpoint", keep: int = 1) -> None:
        """Write weights or a checkpoint into the run folder.

        Args:
            epoch: the number of steps, as in PaddleGAN; in a run counted in epochs, the names of
                files have that of epochs.
            name: `weight` or `checkpoint`.
            keep: how many checkpoints stay, the latest ones; 0 or less for all.

        Raises:
            ConfigError: there is no such name.
        """
        if name not in KINDS:
            raise ConfigError(f"save writes {' or '.join(KINDS)}, not {name!r}")
        stem = f"epoch_{epoch // self.iters_per_epoch}" if self.by_epoch else f"iter_{epoch}"
        self.engine.setup_training()
        self.engine.save(stem, (name,), keep)

    def close(self) -> None:
        """Do nothing: ppzoo closes its log when training ends."""
