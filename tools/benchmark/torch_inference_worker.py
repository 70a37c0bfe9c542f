# SPDX-License-Identifier: Apache-2.0
"""Translate a picture by the twin of a row's generator: `python torch_inference_worker.py ROW`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.benchmark.rows import ROWS
from tools.benchmark.twins import GENERATORS
from tools.benchmark.worker import serve, speed_of_products


def main() -> None:
    """Translate by the generator of the row named on the command line."""
    name = sys.argv[1]
    torch.manual_seed(0)
    # Not `eval`: the U-Net's batch norm uses the picture's own statistics; nothing else differs.
    net = GENERATORS[name]()
    picture = torch.rand(ROWS[name].images) * 2 - 1
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    facts = {
        "version": torch.__version__,
        "runtime": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "products": speed_of_products(lambda: torch.mm(left, right), 2048),
    }

    def step(number: int) -> None:
        with torch.inference_mode():
            net(picture)

    serve(step, facts)


if __name__ == "__main__":
    main()
