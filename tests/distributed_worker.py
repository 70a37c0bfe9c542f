# SPDX-License-Identifier: Apache-2.0
"""What `test_distributed.py` runs in two processes: trains, and writes down what it saw."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from ppzoo.engine import Trainer, trainer
from ppzoo.engine.callbacks import Callback
from ppzoo.engine.logs import setup_logging
from ppzoo.errors import TrainingError
from ppzoo.metrics.base import Metric
from ppzoo.model import Logs
from ppzoo.nn import random
from ppzoo.nn.sync_batch_norm import SyncBatchNorm
from ppzoo.registry import METRICS
from tests.runs import Recorder, SignalAt, make_trainer, state_of

SYNC = ("sync_batch_norm=true", "dataset.train.batch_size=4")


@METRICS.register()
class Seen(Metric):
    """Counts the real pictures and adds up their values."""

    inputs = ("real",)

    def reset(self) -> None:
        self.total = np.zeros(2)

    def update(self, real: paddle.Tensor) -> None:
        self.total += (len(real), float(real.astype("float64").sum()))

    def accumulate(self) -> dict[str, float]:
        return {"count": self.total[0], "sum": self.total[1]}

    def state(self) -> dict[str, np.ndarray]:
        return {"total": self.total}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        self.total = sum(state["total"] for state in states)


class KeepsBatches(Callback):
    """Keeps the pictures of every batch."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        self.images.append(trainer.batch["img"].numpy())


class LosesOnOneRank(Callback):
    """Lets a loss diverge on the second process alone."""

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        if trainer.iteration == 3 and trainer.world.rank == 1:
            logs["D_real_loss"] = logs["D_real_loss"] * float("nan")


def main(folder: Path) -> None:
    """Run everything; the results are in `<folder>/rank<N>.npz`."""
    setup_logging(console=False)
    found: dict[str, Any] = {}
    run = trained(folder / "whole", found)
    rank = run.world.rank
    found |= {"rank": rank, "size": run.world.size, "noise": noise()}
    found |= {f"gathered.{i}": value for i, value in enumerate(run.world.gather(rank * 10))}
    evaluate(folder, found)
    resume(folder, found)
    interrupt(folder, found)
    diverge(folder, found)
    synchronised(rank, found)
    np.savez(folder / f"rank{rank}.npz", **found)


def trained(folder: Path, found: dict[str, Any]) -> Trainer:
    batches = KeepsBatches()
    run = make_trainer("dcgan", folder, *SYNC, "total_iters=6", callbacks=[batches])
    run.fit()
    found["images"] = np.stack(batches.images)
    found |= {f"state.{key}": value for key, value in state_of(run).items()}
    record(run.recorder, found)
    return run


def record(recorder: Recorder, found: dict[str, Any]) -> None:
    for kind in ("steps", "lines"):
        for step, losses in getattr(recorder, kind).items():
            found |= {f"{kind}.{step}.{name}": value for name, value in losses.items()}


def noise() -> np.ndarray:
    paddle.seed(7)
    return random.uniform([3, 2]).numpy()


def evaluate(folder: Path, found: dict[str, Any]) -> None:
    run = make_trainer(
        "dcgan",
        folder / "evaluated",
        *("validate={save_img: true, metrics: {seen: {name: Seen}}}", "max_eval_steps=null"),
        "dataset.test.batch_size=7",
    )
    for net in run.model.nets.values():  # as if each had trained on data of its own
        for value in net.state_dict().values():
            if value.stop_gradient:
                value.set_value(value + run.world.rank)
    found |= {f"metric.{name}": value for name, value in run.evaluate().items()}
    found["running"] = run.model.nets.netG.state_dict()["model.1._mean"].numpy()


def resume(folder: Path, found: dict[str, Any]) -> None:
    options = (*SYNC, "ema={decay: 0.5}")
    whole = make_trainer("dcgan", folder / "a", *options, "total_iters=4")
    whole.fit()
    first = make_trainer("dcgan", folder / "b", *options, "total_iters=2")
    first.fit()
    second = make_trainer("dcgan", folder / "c", *options, "total_iters=4")
    second.resume(first.run_dir / "iter_2_checkpoint.pdparams")
    second.fit()
    states = state_of(whole), state_of(second)
    found["resumed"] = states[0].keys() == states[1].keys() and all(
        np.array_equal(states[0][key], states[1][key]) for key in states[0]
    )


def interrupt(folder: Path, found: dict[str, Any]) -> None:
    trainer._STEPS_BETWEEN_QUESTIONS = 3
    # Only one of them hears it.
    asked = [SignalAt(2, signal.SIGTERM)] if os.environ["PADDLE_TRAINER_ID"] == "1" else []
    run = make_trainer("wgan", folder / "interrupted", "total_iters=9", callbacks=asked)
    run.fit()
    found["stopped"] = [run.iteration, run.interrupted]


def diverge(folder: Path, found: dict[str, Any]) -> None:
    options = ["log_config.interval=4", "snapshot_config.interval=100", "total_iters=8"]
    run = make_trainer("wgan", folder / "diverged", *options, callbacks=[LosesOnOneRank()])
    try:
        run.fit()
    except TrainingError as error:
        found["diverged"] = str(error)


def synchronised(rank: int, found: dict[str, Any]) -> None:
    """Compare with an ordinary batch norm that sees all rows, in the forward and backward pass."""
    generator = np.random.default_rng(0)
    rows = generator.normal(3.0, 2.0, [6, 4, 5, 5]).astype("float32")
    weights = generator.normal(size=rows.shape).astype("float32")
    # Unequal shares: four rows and two.
    mine = np.arange(6) < 4 if rank == 0 else np.arange(6) >= 4
    whole, layer = paddle.nn.BatchNorm2D(4), SyncBatchNorm(paddle.nn.BatchNorm2D(4))
    for norm in (whole, layer):
        norm.weight.set_value(np.float32([1, 2, 3, 4]))
        norm.bias.set_value(np.float32([4, 3, 2, 1]))
    results = []
    for norm, chosen in ((whole, slice(None)), (layer, mine)):
        x = paddle.to_tensor(rows[chosen], stop_gradient=False)
        y = norm(x)
        (y.square() * paddle.to_tensor(weights[chosen])).sum().backward()
        picked = mine if norm is whole else slice(None)
        results.append([y.numpy()[picked], x.grad.numpy()[picked], norm._mean, norm._variance])
    found["norm"] = [
        np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(*results, strict=True)
    ]
    gradients = [paddle.to_tensor(layer.weight.grad), paddle.to_tensor(layer.bias.grad)]
    for gradient, expected in zip(gradients, (whole.weight.grad, whole.bias.grad), strict=True):
        paddle.distributed.all_reduce(gradient)
        found["norm"].append(float((gradient - expected).abs().max() / expected.abs().max()))
    layer.eval()
    found["norm.eval"] = layer(paddle.to_tensor(rows[mine])).numpy()
    found["norm.keys"] = list(layer.state_dict())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
