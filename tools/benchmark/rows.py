# SPDX-License-Identifier: Apache-2.0
"""What is measured: one row a family. A new family adds its row here and its twin in twins.py."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """Training steps of a model.

    Args:
        title: what the table says.
        config: the config whose model and optimizers are trained, from the repository's root.
        images: shape of a batch, random values in [-1, 1].
        steps: training steps that one measurement takes, about two seconds' worth. Models that
            train a network only every k-th step need a multiple of k.
    """

    title: str
    config: str
    images: tuple[int, ...]
    steps: int


ROWS = {
    "dcgan64": Row(
        "DCGAN, 64 x 64, batch 128", "configs/dcgan_mnist.yaml", (128, 1, 64, 64), steps=1
    ),
    "wgan28": Row("WGAN, 28 x 28, batch 64", "configs/wgan_mnist.yaml", (64, 1, 28, 28), steps=10),
}
