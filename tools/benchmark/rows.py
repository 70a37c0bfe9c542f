# SPDX-License-Identifier: Apache-2.0
"""What is measured: one row a family. A new family adds its row here and its twin in twins.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """Training steps of a model.

    Args:
        title: what the table says.
        config: the config whose model and optimizers are trained, from the repository's root.
        images: shape of a batch's pictures, random values in [-1, 1].
        steps: training steps that one measurement takes, about two seconds' worth. Models that
            train a network only every k-th step need a multiple of k.
        keys: the batch's entries, all of that shape; the twin takes them in this order.
    """

    title: str
    config: str
    images: tuple[int, ...]
    steps: int
    keys: tuple[str, ...] = ("img",)


_LARGE, _DOMAINS = (1, 3, 256, 256), ("A", "B")
ROWS = {
    "dcgan64": Row(
        "DCGAN, 64 x 64, batch 128", "configs/dcgan_mnist.yaml", (128, 1, 64, 64), steps=1
    ),
    "wgan28": Row("WGAN, 28 x 28, batch 64", "configs/wgan_mnist.yaml", (64, 1, 28, 28), steps=10),
    "pix2pix256": Row(
        "pix2pix, 256 x 256, batch 1", "configs/pix2pix_facades.yaml", _LARGE, 2, _DOMAINS
    ),
    "cyclegan256": Row(
        "CycleGAN, 256 x 256, batch 1", "configs/cyclegan_horse2zebra.yaml", _LARGE, 1, _DOMAINS
    ),
    "ugatit256": Row(
        "U-GAT-IT light, 256 x 256, batch 1",
        "configs/ugatit_selfie2anime_light.yaml",
        _LARGE,
        1,
        _DOMAINS,
    ),
}


@dataclasses.dataclass(frozen=True)
class PictureRow:
    """A generator in use: one picture, or one window of frames of which one comes out.

    Args:
        title: what the table says.
        generator: a config, from the repository's root, or its entry `generator`; None for one of
            talking_nets.py.
        shape: of the input, or of the first one.
        low: least value of the inputs, random up to 1.
        shares_weights: the twin's parameters have ppzoo's names, and its results are compared.
        others: shapes of further inputs.
    """

    title: str
    generator: str | Mapping[str, Any] | None
    shape: tuple[int, ...]
    low: float = 0.0
    shares_weights: bool = True
    others: tuple[tuple[int, ...], ...] = ()

    @property
    def pictures(self) -> int:
        """How many come out at once."""
        return self.shape[0]


_EDVR_M = {
    "name": "EDVRNet",
    "nf": 64,
    "nframes": 5,
    "groups": 8,
    "front_RBs": 5,
    "back_RBs": 10,
    "w_TSA": True,
}
# See inference.py, and GENERATORS in twins.py.
INFERENCE_ROWS = {
    **{
        name: PictureRow(ROWS[name].title, ROWS[name].config, _LARGE, -1.0, False)
        for name in ("pix2pix256", "cyclegan256", "ugatit256")
    },
    "rrdb128": PictureRow(
        "RRDB x4 (23 blocks), 128 x 128", "configs/esrgan_psnr_x4_div2k.yaml", (1, 3, 128, 128)
    ),
    "edvrm112": PictureRow("EDVR-M, 5 frames of 112 x 64", _EDVR_M, (1, 5, 3, 64, 112)),
    "firstorder256": PictureRow(
        "First Order Motion, vox-256, a frame",
        None,
        _LARGE,
        others=(_LARGE, (1, 256, 64, 64), (1, 10, 2), (1, 10, 2, 2)),
    ),
    "wav2lip96": PictureRow(
        "Wav2Lip, 96 x 96, batch 8", None, (8, 1, 80, 16), others=((8, 6, 96, 96),)
    ),
    "syncnet96": PictureRow(
        "SyncNet, 5 frames of 96 x 48, batch 8", None, (8, 1, 80, 16), others=((8, 15, 48, 96),)
    ),
}
