# SPDX-License-Identifier: Apache-2.0
"""Evaluation: a model's named outputs meet metrics that never see the model."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from ppzoo.data.loader import Loader
from ppzoo.engine.distributed import World
from ppzoo.errors import ConfigError
from ppzoo.media.image import to_uint8_images, write_image
from ppzoo.model import Batch, Model


class Evaluator:
    """Runs a model over test data.

    Args:
        loader: of the test data.
        metrics: by the names they get in the log.
        min_max: range of values of the model's pictures.
        max_steps: batches to stop after, None for all.
        world: the processes that share the work.
    """

    def __init__(
        self,
        loader: Loader,
        metrics: Mapping[str, Any],
        min_max: tuple[float, float] = (-1.0, 1.0),
        max_steps: int | None = None,
        world: World | None = None,
    ) -> None:
        self.loader, self.metrics, self.min_max = loader, metrics, min_max
        self.max_steps, self.world = max_steps, world or World()

    def run(
        self,
        model: Model,
        image_folder: Path | None = None,
        on_step: Callable[[int, int], None] = lambda step, steps: None,
    ) -> dict[str, float]:
        """Return all metrics' figures.

        Args:
            model: its `eval_step` gives the outputs.
            image_folder: write the pictures of `eval_visuals` here, None for none.
            on_step: called with the number of each hundredth batch, and that of all batches.

        Raises:
            ConfigError: a metric needs an output that the model does not have, or more samples.
        """
        for metric in self.metrics.values():
            metric.reset()
        steps = min(len(self.loader), self.max_steps or len(self.loader))
        with contextlib.closing(self.loader.epoch(0)) as batches:
            for step, batch in enumerate(itertools.islice(batches, steps)):
                if step % 100 == 0:
                    on_step(step, steps)
                self._look(model, batch, step, image_folder)
        figures: dict[str, float] = {}
        for name, metric in self.metrics.items():
            metric.merge(self.world.gather(metric.state()))
            with _about(name):
                value = metric.accumulate()
            if isinstance(value, Mapping):
                figures |= {f"{name}_{key}": float(item) for key, item in value.items()}
            else:
                figures[name] = float(value)
        return figures

    def _look(self, model: Model, batch: Batch, step: int, image_folder: Path | None) -> None:
        outputs = model.eval_step(batch)
        for name, metric in self.metrics.items():
            with _about(name):
                metric.update_from(outputs, self.min_max)
        if image_folder is not None:
            self._write_images(model.eval_visuals(batch, outputs), batch, step, image_folder)

    def _write_images(
        self, pictures: Mapping[str, paddle.Tensor], batch: Batch, step: int, folder: Path
    ) -> None:
        names = _names(batch)
        for label, images in pictures.items():
            if images.ndim != 4 or images.shape[1] not in (1, 3):  # neither are lists of mouths
                continue
            for i, picture in enumerate(to_uint8_images(images, self.min_max)):
                stem = names[i] if i < len(names) else f"{step:04d}_{i:04d}"
                write_image(folder / f"{stem}_{label}.png", np.asarray(picture))


def _names(batch: Batch) -> list[str]:
    """Return what the pictures of a batch are called, as names of files without a suffix."""
    if "key" in batch:  # clip/frame: frames of all clips have the same names
        return [str(key).replace("/", "_") for key in batch["key"]]
    paths = next((batch[key] for key in ("img_path", "A_path", "lq_path") if key in batch), ())
    return [Path(path).stem for path in paths]


@contextlib.contextmanager
def _about(name: str) -> Iterator[None]:
    """Say of a mistake which metric of the config it is about."""
    try:
        yield
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"validate.metrics.{name}: {error}") from error
