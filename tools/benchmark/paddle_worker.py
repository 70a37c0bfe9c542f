# SPDX-License-Identifier: Apache-2.0
"""Train a row's model with Paddle: `python paddle_worker.py ROW [--plain]`.

`--plain` uses Paddle's own convolutions and optimizer loop instead of ppzoo's.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402, I001  (before Paddle, to set the CPU up)

import numpy as np  # noqa: E402
import paddle  # noqa: E402
from paddle import nn  # noqa: E402

from ppzoo.model import Model  # noqa: E402
from ppzoo.nn import conv, padding  # noqa: E402
from ppzoo.runtime import describe, seed_everything, select_device  # noqa: E402
from tools.benchmark.rows import ROWS, Row  # noqa: E402
from tools.benchmark.worker import serve, speed_of_products  # noqa: E402


class PlainUpsampleConv2D(nn.Conv2D):
    """`ppzoo.nn.conv.UpsampleConv2D` as PaddleGAN has it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Upsample, then convolve."""
        return super().forward(nn.functional.interpolate(x, scale_factor=2))


def use_plain_layers() -> None:
    """Let networks, which are imported later, find Paddle's layers where ppzoo's are."""
    conv.Conv2D, conv.Conv2DTranspose = nn.Conv2D, nn.Conv2DTranspose
    conv.UpsampleConv2D = PlainUpsampleConv2D
    padding.ReflectionPad2D = functools.partial(nn.Pad2D, mode="reflect")


def build(row: Row, plain: bool) -> Model:
    """Return the model of a row, ready to train."""
    config = ppzoo.load_config(ROOT / row.config)
    model = ppzoo.build_model(config.model)
    model.setup_lr_schedulers(config.lr_scheduler)
    model.setup_optimizers({k: (v.component, v.net_names) for k, v in config.optimizer.items()})
    if plain:
        for name, optimizer in model.optimizers.items():
            model.optimizers[name] = type(optimizer)(
                learning_rate=model.lr_schedulers["lr"],
                parameters=model.trained_parameters[name],
                **({"beta1": 0.5} if isinstance(optimizer, paddle.optimizer.Adam) else {}),
            )
    model.train()
    return model


def main() -> None:
    """Train the row named on the command line."""
    row, plain = ROWS[sys.argv[1]], "--plain" in sys.argv
    select_device("cpu")
    seed_everything(0)
    if plain:
        use_plain_layers()
    model = build(row, plain)
    rng = np.random.default_rng(0)
    batch = {
        key: paddle.to_tensor(rng.uniform(-1, 1, row.images).astype("float32")) for key in row.keys
    }

    def step(number: int) -> None:
        model.iteration = number
        logs = model.train_step(batch)
        model.step_lr_schedulers()
        float(next(iter(logs.values())))  # wait for it

    left, right = paddle.randn([2048, 2048]), paddle.randn([2048, 2048])
    facts = {
        "version": paddle.__version__,
        "runtime": describe(),
        "products": speed_of_products(lambda: paddle.matmul(left, right), 2048),
    }
    serve(step, facts)


if __name__ == "__main__":
    main()
