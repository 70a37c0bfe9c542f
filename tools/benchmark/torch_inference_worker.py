# SPDX-License-Identifier: Apache-2.0
"""Run the twin of a row's generator: `python torch_inference_worker.py ROW [FILE]`.

With FILE, which inference_worker.py wrote, it has the same weights, and results are compared.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
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


def operations(net: nn.Module, inputs: Sequence[torch.Tensor]) -> float:
    """Return the GFLOP of one call, for direct convolutions without any saving."""
    mapping = {}
    if hasattr(torch.ops.torchvision, "deform_conv2d"):

        def deformable(x: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
            return 2 * math.prod(out_shape) * math.prod(weight[1:])

        mapping[torch.ops.torchvision.deform_conv2d] = deformable
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        net(*inputs)
    return counter.get_total_flops() / 1e9


def load(net: nn.Module, arrays: Mapping[str, torch.Tensor]) -> None:
    """Load weights of Paddle's names."""
    for ours, theirs in (("._mean", ".running_mean"), ("._variance", ".running_var")):
        arrays = {
            name.removesuffix(ours) + theirs if name.endswith(ours) else name: value
            for name, value in arrays.items()
        }
    missing, unknown = net.load_state_dict(arrays, strict=False)
    missing = [name for name in missing if not name.endswith(".num_batches_tracked")]
    if missing or unknown:
        raise SystemExit(f"the twin has other weights: {missing} and {unknown}")


def compared(net: nn.Module, file: Path) -> tuple[list[torch.Tensor], float]:
    """Return the inputs in `file` and by how much the twin's output differs, with its weights."""
    with np.load(file) as entries:
        arrays = {name: torch.from_numpy(entries[name]) for name in entries.files}
    weights = {
        name.removeprefix("weight."): value
        for name, value in arrays.items()
        if name.startswith("weight.")
    }
    load(net, weights)
    inputs = [arrays[f"input{i}"] for i in range(len(arrays) - len(weights) - 1)]
    deviation = (net(*inputs) - arrays["output"]).abs().max().item()
    return inputs, deviation


def best_layout(net: nn.Module, inputs: Sequence[torch.Tensor]) -> str:
    """Bring weights into the layout in which the network is faster, and return its name."""
    seconds = {}
    layouts = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
    for name, layout in layouts.items():
        net.to(memory_format=layout)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            net(*inputs)
            times.append(time.perf_counter() - start)
        seconds[name] = min(times)
    best = min(seconds, key=seconds.__getitem__)
    net.to(memory_format=layouts[best])
    return best


def main() -> None:
    """Run the generator of the row named on the command line."""
    name = sys.argv[1]
    row: PictureRow = INFERENCE_ROWS[name]
    torch.manual_seed(0)
    # Not always `eval`: the U-Net's batch norm uses the picture's own statistics.
    net = GENERATORS[name]()
    if row.generator is None:
        net.eval()
    inputs = [torch.rand(shape) * (1 - row.low) + row.low for shape in (row.shape, *row.others)]
    facts = {
        "version": torch.__version__,
        "runtime": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
    }
    with torch.no_grad():
        if len(sys.argv) > 2:
            inputs, facts["deviation"] = compared(net, Path(sys.argv[2]))
        facts["gflop_per_image"] = operations(net, inputs) / row.pictures
    with torch.inference_mode():
        facts["layout"] = best_layout(net, inputs)
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    facts["products"] = speed_of_products(lambda: torch.mm(left, right), 2048)

    def step(number: int) -> None:
        with torch.inference_mode():
            net(*inputs)

    serve(step, facts)


if __name__ == "__main__":
    main()
