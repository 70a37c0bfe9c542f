# SPDX-License-Identifier: Apache-2.0
"""Folders of clips for tests: what the datasets of video find on a disk, in small."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

CROP = [
    {"name": "SRPairedRandomCrop", "gt_patch_size": 16, "scale": 4, "keys": ["image", "image"]},
    {"name": "PairedRandomHorizontalFlip", "keys": ["image", "image"]},
    {"name": "PairedRandomVerticalFlip", "keys": ["image", "image"]},
    {"name": "PairedRandomTransposeHW", "keys": ["image", "image"]},
]
FINISH = [
    {"name": "TransposeSequence", "keys": ["image", "image"]},
    {
        "name": "NormalizeSequence",
        "mean": [0.0, 0.0, 0.0],
        "std": [255.0, 255.0, 255.0],
        "keys": ["image", "image"],
    },
]


def preprocess(choose: dict | None, crop: bool) -> list[dict]:
    """Return the steps of PaddleGAN's configs, in small."""
    transforms = {
        "name": "Transforms",
        "input_keys": ["lq", "gt"],
        "pipeline": [*(CROP if crop else ()), *FINISH],
    }
    reads = [{"name": "ReadImageSequence", "key": key} for key in ("lq", "gt")]
    return [*([choose] if choose else ()), *reads, transforms]


def write_frames(
    folder: Path, clip: str, names: Iterable[str], size: tuple[int, int], level: int = 0
) -> None:
    """Write frames [height, width] = `size`; the green level counts frames from `level`."""
    (folder / clip).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        frame = np.zeros((*size, 3), np.uint8)
        frame[..., 0] = np.arange(size[1])
        frame[..., 1] = level + number
        Image.fromarray(frame).save(folder / clip / name)


def write_clips(
    root: Path, clips: Iterable[str], names: Iterable[str], lq: str = "lq", gt: str = "gt"
) -> None:
    """Write clips of small frames of 8 x 12 and of large ones of 32 x 48."""
    names = list(names)
    for number, clip in enumerate(clips):
        write_frames(root / lq, clip, names, (8, 12), 20 * number)
        write_frames(root / gt, clip, names, (32, 48), 20 * number)


def reds_names(count: int) -> list[str]:
    """Return the names of a REDS clip's first frames."""
    return [f"{number:08d}.png" for number in range(count)]
