# SPDX-License-Identifier: Apache-2.0
"""Run the twin of a row's generator: `python torch_inference_worker.py ROW [FILE]`.

With FILE, which inference_worker.py wrote, it has the same weights, and results are compared.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.benchmark.rows import INFERENCE_ROWS, PictureRow
from tools.benchmark.twins import GENERATORS
from tools.benchmark.worker import serve, speed_of_products


def operations(net: nn.Module, picture: torch.Tensor) -> float:
    """Return the GFLOP of one picture, for direct convolutions without any saving."""
    mapping = {}
    if hasattr(torch.ops.torchvision, "deform_conv2d"):

        def deformable(x: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
            return 2 * math.prod(out_shape) * math.prod(weight[1:])

        mapping[torch.ops.torchvision.deform_conv2d] = deformable
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        net(picture)
    return counter.get_total_flops() / 1e9


def compared(net: nn.Module, file: Path) -> tuple[torch.Tensor, float]:
    """Return the input in `file` and by how much the twin's output differs, with its weights."""
    with np.load(file) as entries:
        arrays = {name: torch.from_numpy(entries[name]) for name in entries.files}
    weights = {
        name.removeprefix("weight."): value
        for name, value in arrays.items()
        if name.startswith("weight.")
    }
    net.load_state_dict(weights)
    deviation = (net(arrays["input"]) - arrays["output"]).abs().max().item()
    return arrays["input"], deviation


def main() -> None:
    """Run the generator of the row named on the command line."""
    name = sys.argv[1]
    row: PictureRow = INFERENCE_ROWS[name]
    torch.manual_seed(0)
    # Not `eval`: the U-Net's batch norm uses the picture's own statistics; nothing else differs.
    net = GENERATORS[name]()
    picture = torch.rand(row.shape) * (1 - row.low) + row.low
    facts = {
        "version": torch.__version__,
        "runtime": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
    }
    with torch.no_grad():
        if len(sys.argv) > 2:
            picture, facts["deviation"] = compared(net, Path(sys.argv[2]))
        facts["gflop_per_image"] = operations(net, picture)
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    facts["products"] = speed_of_products(lambda: torch.mm(left, right), 2048)

    def step(number: int) -> None:
        with torch.inference_mode():
            net(picture)

    serve(step, facts)


if __name__ == "__main__":
    main()
