# SPDX-License-Identifier: Apache-2.0
"""Run a row's generator: `python inference_worker.py ROW BACKEND [--plain] [--write FILE]`.

The backend `default` is the one that ppzoo takes by itself. `--plain` uses Paddle's own
convolutions instead of ppzoo's. `--write` writes weights, input and output, for the twin.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402, I001  (before Paddle, to set the CPU up)

import numpy as np  # noqa: E402
import paddle  # noqa: E402
from paddle import nn  # noqa: E402

from ppzoo import registry  # noqa: E402
from ppzoo.apps.inference import BACKENDS, Runner, make_runner  # noqa: E402
from ppzoo.errors import UserError  # noqa: E402
from ppzoo.runtime import describe, seed_everything, select_device  # noqa: E402
from tools.benchmark.paddle_worker import use_plain_layers  # noqa: E402
from tools.benchmark.rows import INFERENCE_ROWS  # noqa: E402
from tools.benchmark.talking_nets import NETS  # noqa: E402
from tools.benchmark.worker import serve, speed_of_products  # noqa: E402


def build(name: str) -> nn.Layer:
    """Return the generator of a row with weights that hide nothing."""
    row = INFERENCE_ROWS[name]
    spec = row.generator
    if isinstance(spec, str):
        spec = ppzoo.load_config(ROOT / spec).model.kwargs["generator"]
    net = NETS[name]() if spec is None else registry.build(registry.GENERATORS, spec)
    for parameter in net.parameters():
        # As those of offsets, which would all be the same.
        if not parameter.any():
            parameter.set_value(paddle.randn(parameter.shape) * 0.05)
    return net


def main() -> None:
    """Run the generator in the backend named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", choices=INFERENCE_ROWS)
    parser.add_argument("backend", choices=(*BACKENDS, "default"))
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    row = INFERENCE_ROWS[args.row]
    select_device("cpu")
    seed_everything(0)
    if args.plain:
        use_plain_layers()
    net = build(args.row)
    rng = np.random.default_rng(0)
    inputs = [
        rng.uniform(row.low, 1, shape).astype("float32") for shape in (row.shape, *row.others)
    ]
    facts = {"version": paddle.__version__, "runtime": describe()}
    try:
        backend = None if args.backend == "default" else args.backend
        runner = make_runner(net, inputs, backend, multiple=getattr(net, "size_multiple", None))
    except UserError as error:
        serve(None, facts | {"refused": str(error)})
        return
    facts["backend"] = runner.describe()
    if args.write:
        weights = {f"weight.{name}": value.numpy() for name, value in net.state_dict().items()}
        arrays = {f"input{i}": array for i, array in enumerate(inputs)}
        np.savez(args.write, **arrays, output=Runner(net)(*inputs), **weights)
    left, right = paddle.randn([2048, 2048]), paddle.randn([2048, 2048])
    facts["products"] = speed_of_products(lambda: paddle.matmul(left, right), 2048)
    serve(lambda number: runner(*inputs), facts)


if __name__ == "__main__":
    main()
