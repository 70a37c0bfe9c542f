# SPDX-License-Identifier: Apache-2.0
"""What the programs that measure share: processes that take turns, and tables in a page."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# What would change the speed of a process, so no variant inherits it.
SETTINGS = ("PPZOO_RUNTIME", "MKL_", "OMP_", "KMP_", "OPENBLAS_", "MALLOC_", "GLIBC_TUNABLES")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One of the processes that are compared.

    Args:
        title: the table's column.
        script: the worker, beside this file.
        options: of the worker, after the row's name.
        environment: variables of the process.
    """

    title: str
    script: str
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class Worker:
    """A process that takes steps on demand, see worker.py."""

    def __init__(self, python: Path, variant: Variant, row: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        self._process = subprocess.Popen(
            [str(python), str(HERE / variant.script), row, *variant.options],
            env=clean | dict(variant.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.facts = self._read()

    def run(self, steps: int) -> float:
        """Take steps and return the seconds that they took."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._read()["seconds"]

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self._process.args} ended with code {self._process.wait()}")


@dataclasses.dataclass(frozen=True)
class Seconds:
    """What a variant needed in all rounds.

    Args:
        facts: what its process says of itself.
        rounds: seconds of each; none if `facts` say why it is `refused`.
    """

    facts: dict[str, Any]
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        return min(self.rounds)

    @property
    def most(self) -> float:
        return max(self.rounds)


def alternate(
    row: str,
    variants: Mapping[str, tuple[Path, Variant]],
    rounds: int,
    steps: int = 1,
    idle_steps: int = 1,
) -> dict[str, Seconds]:
    """Return the seconds that each variant needs for its steps, all taking turns.

    Args:
        row: a row's name, for the workers.
        variants: by name, the interpreter and what it shall run.
        rounds: measurements of each variant.
        steps: that one measurement takes.
        idle_steps: taken before the first measurement, for buffers, kernels and caches.
    """
    workers: dict[str, Worker] = {}
    try:
        for name, (python, variant) in variants.items():
            workers[name] = Worker(python, variant, row)
        able = {name: worker for name, worker in workers.items() if "refused" not in worker.facts}
        for worker in able.values():
            worker.run(idle_steps)
        times: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(rounds):
            for name, worker in able.items():
                times[name].append(worker.run(steps))
        return {name: Seconds(worker.facts, tuple(times[name])) for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()


def replace_between(page: Path, begin: str, end: str, text: str) -> None:
    """Write `text` between two marks of a page, in place of what is there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
