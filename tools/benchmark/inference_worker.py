# SPDX-License-Identifier: Apache-2.0
"""Translate a picture by a row's generator: `python inference_worker.py ROW BACKEND [--plain]`.

`--plain` uses Paddle's own convolutions instead of ppzoo's.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402, I001  (before Paddle, to set the CPU up)

import numpy as np  # noqa: E402
import paddle  # noqa: E402

from ppzoo import registry  # noqa: E402
from ppzoo.apps.inference import make_runner  # noqa: E402
from ppzoo.runtime import describe, seed_everything, select_device  # noqa: E402
from tools.benchmark.paddle_worker import use_plain_layers  # noqa: E402
from tools.benchmark.rows import ROWS  # noqa: E402
from tools.benchmark.worker import serve, speed_of_products  # noqa: E402


def main() -> None:
    """Translate by the generator and the backend named on the command line."""
    row, backend = ROWS[sys.argv[1]], sys.argv[2]
    select_device("cpu")
    seed_everything(0)
    if "--plain" in sys.argv:
        use_plain_layers()
    spec = ppzoo.load_config(ROOT / row.config).model.kwargs["generator"]
    net = registry.build(registry.GENERATORS, spec)
    picture = np.random.default_rng(0).uniform(-1, 1, row.images).astype("float32")
    # Weights are new each time, so that nothing in the cache would be used again.
    runner = make_runner(net, picture, backend, cache=False, multiple=net.size_multiple)
    left, right = paddle.randn([2048, 2048]), paddle.randn([2048, 2048])
    facts = {
        "version": paddle.__version__,
        "runtime": describe(),
        "products": speed_of_products(lambda: paddle.matmul(left, right), 2048),
    }
    serve(lambda number: runner(picture), facts)


if __name__ == "__main__":
    main()
