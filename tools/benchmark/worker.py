# SPDX-License-Identifier: Apache-2.0
"""What the measured processes share: they train on demand, so that measurements can alternate.

A worker answers each line "N" on standard input by a line of JSON after N training steps.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np


def serve(step: Callable[[int], Any] | None, facts: dict[str, Any]) -> None:
    """Say `facts`, then train as told until standard input ends.

    Args:
        step: takes the training step with the given number, from 0; None if there is nothing to be
            measured, and `facts` say why it is `refused`.
        facts: what the report shall know about this process.
    """
    print(json.dumps(facts), flush=True)
    if step is None:
        return
    done = 0
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step(done)
            done += 1
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


def speed_of_products(multiply: Callable[[], Any], size: int) -> float:
    """Return the GFLOP/s of a product of two square matrices of `size`, the best of nine."""
    multiply()
    best = float("inf")
    for _ in range(9):  # on a crowded machine, one of them may be alone
        start = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def send(file: IO[bytes], arrays: Sequence[np.ndarray]) -> None:
    """Write float32 arrays for `receive` to another process."""
    file.write((json.dumps([array.shape for array in arrays]) + "\n").encode())
    for array in arrays:
        file.write(np.ascontiguousarray(array, np.float32).tobytes())
    file.flush()


def receive(file: IO[bytes]) -> list[np.ndarray] | None:
    """Return the arrays that `send` wrote, None at the end."""
    line = file.readline()
    if not line:
        return None
    arrays = []
    for shape in json.loads(line):
        content = bytearray(file.read(4 * math.prod(shape)))
        arrays.append(np.frombuffer(content, np.float32).reshape(shape))
    return arrays
