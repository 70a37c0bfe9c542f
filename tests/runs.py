# SPDX-License-Identifier: Apache-2.0
"""Small runs for tests, and how to compare them bit for bit."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.config import TrainConfig, load_config
from ppzoo.engine import Trainer
from ppzoo.engine.callbacks import Callback
from ppzoo.model import Logs

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "configs" / "smoke"
# Runs that leave out what takes time and is not being tested.
PLAIN = ("validate=null", "enable_visualdl=false", "log_config.visiual_interval=100000")


class Recorder(Callback):
    """Keeps the losses of every step, those of every log line, and the names of all events."""

    def __init__(self) -> None:
        self.steps: dict[int, dict[str, float]] = {}
        self.lines: dict[int, dict[str, float]] = {}
        self.events: list[str] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        self.events.append("fit_start")

    def on_step_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        self.events.append(f"step {trainer.iteration}")
        self.steps[trainer.iteration] = {name: float(value) for name, value in logs.items()}

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.events.append(f"epoch {trainer.epoch}")

    def on_log(self, trainer: Trainer) -> None:
        self.events.append("log")
        self.lines[trainer.iteration] = dict(trainer.losses)

    def on_fit_end(self, trainer: Trainer) -> None:
        self.events.append("fit_end")


class SignalAt(Callback):
    """Sends a signal to this process in a step, as if Ctrl-C were pressed."""

    def __init__(self, iteration: int, number: int = signal.SIGINT) -> None:
        self.iteration, self.number = iteration, number

    def on_step_end(self, trainer: Trainer, logs: Logs) -> None:
        if trainer.iteration == self.iteration:
            os.kill(os.getpid(), self.number)


def smoke_config(name: str, folder: Path, *overrides: str) -> TrainConfig:
    """Return a smoke config that writes to `folder`."""
    return load_config(SMOKE / f"{name}.yaml", [f"output_dir={folder}", *overrides])


def make_trainer(name: str, folder: Path, *overrides: str, **options: Any) -> Trainer:
    """Return a trainer of a smoke config in its plain form, with a `recorder` attribute."""
    recorder = Recorder()
    callbacks = [recorder, *options.pop("callbacks", ())]
    config = smoke_config(name, folder, *PLAIN, *overrides)
    trainer = Trainer(config, callbacks=callbacks, **options)
    trainer.recorder = recorder
    return trainer


def trained(name: str, folder: Path, *overrides: str, **options: Any) -> Trainer:
    """Return a trainer whose run is over."""
    trainer = make_trainer(name, folder, *overrides, **options)
    trainer.fit()
    return trainer


def stopped(name: str, folder: Path, at: int, *overrides: str, **options: Any) -> Path:
    """Stop a run by a signal in step `at`, and return its checkpoint."""
    trained(name, folder, *overrides, callbacks=[SignalAt(at)], **options)
    return checkpoint_in(folder)


def resumed(checkpoint: Path, name: str, folder: Path, *overrides: str, **options: Any) -> Trainer:
    """Return a trainer that went on from a checkpoint to the end."""
    trainer = make_trainer(name, folder, *overrides, **options)
    trainer.resume(checkpoint)
    trainer.fit()
    return trainer


def checkpoint_in(folder: Path) -> Path:
    """Return the only checkpoint below a folder."""
    (path,) = folder.rglob("*_checkpoint.pdparams")
    return path


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Return all that a run consists of by name: arrays, numbers."""
    model = trainer.model
    # Paddle numbers parameters anew for each model; ours are the same names every time.
    names = {
        parameter.name: f"{net_name}.{key}"
        for net_name, net in model.nets.items()
        for key, parameter in net.named_parameters()
    }
    found: dict[str, Any] = {"iteration": trainer.iteration}
    for name, net in model.nets.items():
        _flatten(name, net.state_dict(), {}, found)
    for name, optimizer in model.optimizers.items():
        _flatten(name, optimizer.state_dict(), names, found)
    for name, scheduler in model.lr_schedulers.items():
        _flatten(name, scheduler.state_dict(), {}, found)
    if trainer._ema is not None:
        _flatten("ema", trainer._ema.shadow, {}, found)
    return found


def assert_same(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Compare two states bit for bit."""
    assert first.keys() == second.keys()
    assert len(first) > 10
    different = [key for key in first if not np.array_equal(first[key], second[key])]
    assert not different


def run_tool(
    *arguments: str | Path, timeout: float = 300.0, script: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `tools/main.py`, or a script that stands in for it, in a process of its own."""
    return subprocess.run(
        tool_command(*arguments, script=script),
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def script(name: str) -> types.ModuleType:
    """Return the module of a script in `tools/`, whose name may be no name of a module."""
    path = ROOT / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"_{name.replace('-', '_')}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tool_command(*arguments: str | Path, script: str | None = None) -> list[str]:
    """Return the command that runs `tools/main.py`, or a script that stands in for it."""
    program = [str(ROOT / "tools" / "main.py")] if script is None else ["-c", script]
    return [sys.executable, *program, *map(str, arguments)]


def clean_environment() -> dict[str, str]:
    """Return the environment of a process whose results are to equal this one's."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _flatten(name: str, value: Any, names: Mapping[str, str], found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            owner = max((n for n in names if key.startswith(n)), key=len, default="")
            _flatten(f"{name}.{names.get(owner, '')}{key[len(owner) :]}", item, names, found)
    else:
        found[name] = value.numpy() if hasattr(value, "numpy") else value
