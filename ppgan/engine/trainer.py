# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's `Trainer`, on top of ppzoo's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppgan.models.base_model import refuse_what_nobody_calls
from ppzoo.config import config_from
from ppzoo.engine.logs import setup_logging
from ppzoo.engine.profiler import Profiler
from ppzoo.engine.trainer import Trainer as Engine

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


class Trainer:
    """Trains and evaluates what a config describes.

    Args:
        cfg: what `ppgan.utils.config.get_config` returned, changed or not.

    Attributes:
        engine: ppzoo's trainer, which does the work.

    Raises:
        UserError: the config does not fit, or data are missing.
    """

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        path = cfg.get("config_file") or Path("config.yaml")
        config = config_from({k: v for k, v in cfg.items() if k not in _ADDED}, path)
        options = cfg.get("profiler_options")
        self.cfg = cfg
        self.engine = Engine(
            config,
            amp_level=(cfg.get("amp_level") or "O1") if cfg.get("amp") else "O0",
            callbacks=[Profiler.from_text(options)] if options else [],
        )
        refuse_what_nobody_calls(self.engine.model)
        setup_logging(console=self.engine.world.is_main)

    @property
    def model(self) -> Any:
        """The model; `model.nets` has its networks by name."""
        return self.engine.model

    @property
    def output_dir(self) -> str:
        """The run folder."""
        return str(self.engine.run_dir)

    @property
    def current_iter(self) -> int:
        """The number of the step to come, counted from 1."""
        return self.engine.iteration + 1

    @property
    def current_epoch(self) -> int:
        """The number of the epoch under way, counted from 1."""
        return self.engine.epoch + 1

    def resume(self, checkpoint_path: str) -> None:
        """Go on from a checkpoint of ppzoo's or PaddleGAN's."""
        self.engine.resume(checkpoint_path)

    def load(self, weight_path: str) -> None:
        """Start from the weights in a file."""
        self.engine.load(weight_path)

    def train(self) -> None:
        """Train to the end; Ctrl-C ends with a checkpoint."""
        self.engine.fit()

    def test(self) -> dict[str, float]:
        """Evaluate, and return the metrics."""
        return self.engine.evaluate()

    def save(self, epoch: int, name: str = "checkpoint", keep: int = 1) -> None:
        """Write weights and a checkpoint.

        Args:
            epoch: in their names.
            name: accepted as PaddleGAN's; both kinds are written.
            keep: accepted as PaddleGAN's; of a run's checkpoints the latest is kept.
        """
        self.engine.save(f"{'epoch' if self.engine.by_epoch else 'iter'}_{epoch}")

    def close(self) -> None:
        """Do nothing: ppzoo closes its log when training ends."""
