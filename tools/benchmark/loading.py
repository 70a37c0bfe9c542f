# SPDX-License-Identifier: Apache-2.0
"""Measure whether pairs of pictures come faster than they are used.

`python tools/benchmark/loading.py` writes pairs of 512 x 256 pixels, crops of the embedded
photographs, as JPEG into a temporary folder, and compares the pairs/s of the loader of
configs/pix2pix_cartoon.yaml, with two workers, with those of its training step, in turn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402, I001  (before Paddle, to set the CPU up)

import numpy as np  # noqa: E402

from ppzoo.data.photographs import EmbeddedCartoonDataset  # noqa: E402
from ppzoo.engine import Trainer  # noqa: E402
from ppzoo.media.image import to_uint8_images, write_image  # noqa: E402
from tools.benchmark.paddle_worker import build  # noqa: E402
from tools.benchmark.rows import ROWS  # noqa: E402

PAIRS, ROUNDS, STEPS = 200, 5, 5


def write_pairs(folder: Path) -> None:
    """Write pairs, photograph left, cartoon right."""
    dataset = EmbeddedCartoonDataset("train", 256, samples=PAIRS)
    for index in range(PAIRS):
        batch = dataset.get_batch([index])
        halves = [to_uint8_images(batch[key])[0] for key in ("A", "B")]
        write_image(folder / f"{index:03d}.jpg", np.concatenate(halves, axis=1))


def loaded_per_second(loader: Any, epoch: int) -> float:
    """Return the pairs/s that one epoch of the loader gives, from its second batch on."""
    count, started = 0, 0.0
    for batch in loader.epoch(epoch):
        if started:
            count += len(batch["A"])
        else:
            started = time.perf_counter()  # the workers are up
    return count / (time.perf_counter() - started)


def trained_per_second(model: Any, batch: Any) -> float:
    """Return the pairs/s that training steps take."""
    started = time.perf_counter()
    for _ in range(STEPS):
        logs = model.train_step(batch)
    float(next(iter(logs.values())))  # wait for it
    return STEPS * len(batch["A"]) / (time.perf_counter() - started)


def main() -> None:
    """Measure both in turn."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pairs"
        write_pairs(folder)
        config = ppzoo.load_config(
            ROOT / "configs/pix2pix_cartoon.yaml",
            [f"dataset.train.dataroot={folder}", "dataset.train.num_workers=2", "device=cpu"],
        )
        loader = Trainer(config, run_dir=Path(temporary) / "run").train_loader
        model = build(ROWS["pix2pix256"], plain=False)  # the same networks
        batch = next(iter(loader.epoch(0)))
        trained_per_second(model, batch)
        loaded, trained = [], []
        for epoch in range(ROUNDS):
            loaded.append(loaded_per_second(loader, epoch))
            trained.append(trained_per_second(model, batch))
    fast, slow = statistics.median(loaded), statistics.median(trained)
    print(ppzoo.runtime.describe())
    print(f"loader, two workers: {fast:.0f} pairs/s ({min(loaded):.0f} to {max(loaded):.0f})")
    print(f"training step: {slow:.1f} pairs/s ({min(trained):.1f} to {max(trained):.1f})")
    print(f"the loader is {fast / slow:.0f} times as fast")


if __name__ == "__main__":
    main()
