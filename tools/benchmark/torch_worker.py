# SPDX-License-Identifier: Apache-2.0
"""Train a row's twin with PyTorch: `python torch_worker.py ROW`, where torch is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.benchmark.rows import ROWS
from tools.benchmark.twins import TWINS
from tools.benchmark.worker import serve, speed_of_products


def main() -> None:
    """Train the twin of the row named on the command line."""
    name = sys.argv[1]
    row = ROWS[name]
    torch.manual_seed(0)
    step = TWINS[name](*(torch.rand(row.images) * 2 - 1 for _ in row.keys))
    with FlopCounterMode(display=False) as counter:
        for number in range(row.steps):
            step(number)
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    facts = {
        "version": torch.__version__,
        "runtime": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "products": speed_of_products(lambda: torch.mm(left, right), 2048),
        "gflop_per_image": counter.get_total_flops() / row.steps / row.images[0] / 1e9,
    }
    serve(lambda number: step(number).item(), facts)


if __name__ == "__main__":
    main()
