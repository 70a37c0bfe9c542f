# SPDX-License-Identifier: Apache-2.0
"""Evaluation: a model's named outputs meet metrics that never see the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        on_step: Callable[[int], None] = lambda step: None,
    ) -> dict[str, float]:
        """Return all metrics' figures.

        Args:
            model: its `eval_step` gives the outputs.
            image_folder: write every output picture here, None for none.
            on_step: called with the number of each hundredth batch.

        Raises:
            ConfigError: a metric needs an output that the model does not have.
        """
        for metric in self.metrics.values():
            metric.reset()
        for step, batch in enumerate(self.loader.epoch(0)):
            if self.max_steps is not None and step >= self.max_steps:
                break
            if step % 100 == 0:
                on_step(step)
            outputs = model.eval_step(batch)
            for name, metric in self.metrics.items():
                metric.update(*self._inputs(name, metric, outputs))
            if image_folder is not None:
                self._write_images(outputs, batch, step, image_folder)
        figures: dict[str, float] = {}
        for name, metric in self.metrics.items():
            metric.merge(self.world.gather(metric.state()))
            value = metric.accumulate()
            if isinstance(value, Mapping):
                figures |= {f"{name}_{key}": float(item) for key, item in value.items()}
            else:
                figures[name] = float(value)
        return figures

    def _inputs(self, name: str, metric: Any, outputs: Mapping[str, paddle.Tensor]) -> list[Any]:
        values = []
        for wanted in metric.inputs:
            key = wanted.rstrip("?")
            if key not in outputs and not wanted.endswith("?"):
                raise ConfigError(
                    f"validate.metrics.{name}: {type(metric).__name__} needs the output {key!r}, "
                    f"the model gives {', '.join(outputs)}"
                )
            value = outputs.get(key)
            if metric.as_uint8 and value is not None and value.ndim == 4:
                value = list(to_uint8_images(value, self.min_max))
            values.append(value)
        return values

    def _write_images(
        self, outputs: Mapping[str, paddle.Tensor], batch: Batch, step: int, folder: Path
    ) -> None:
        paths = next((batch[k] for k in ("img_path", "A_path", "lq_path") if k in batch), None)
        for label, images in outputs.items():
            if images.ndim != 4:
                continue
            for i, picture in enumerate(to_uint8_images(images, self.min_max)):
                stem = Path(paths[i]).stem if paths else f"{step:04d}_{i:04d}"
                write_image(folder / f"{stem}_{label}.png", np.asarray(picture))
