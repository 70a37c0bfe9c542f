# SPDX-License-Identifier: Apache-2.0
"""Moving figures without a download, and where they are: for models of motion."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ppzoo.data.drawn import DrawnDataset
from ppzoo.errors import ConfigError
from ppzoo.media.sprites import draw, figure, poses
from ppzoo.registry import DATASETS

_FIRST_TEST_CLIP = 1_000_000


@DATASETS.register()
class MovingSpritesDataset(DrawnDataset):
    """Clips of moving figures, without a download.

    To train, a sample has two frames of a clip, `source` and `driving`, float32 [3, size, size] in
    [0, 1], and their poses `pose_source` and `pose_driving` [6]. To test it has a whole clip,
    `video` [3, frames, size, size], `pose` [frames, 6] and the number `clip`; see
    ppzoo/media/sprites.py. Figures of the test are others than those of the training. Clips are the
    same each time: the index decides.

    Args:
        mode: `train` or `test`.
        size: side of the pictures in pixels, 16 to 512.
        samples: how many there are, 4096 for training and 16 for testing by default.
        clips: how many figures the training has.
        frames: of a clip.

    Raises:
        ConfigError: an argument out of range.
    """

    def __init__(
        self,
        mode: Literal["train", "test"] = "train",
        size: int = 64,
        samples: int | None = None,
        clips: int = 512,
        frames: int = 32,
    ) -> None:
        super().__init__()
        if mode not in ("train", "test"):
            raise ConfigError(f"MovingSpritesDataset: 'mode' must be train or test, got {mode!r}")
        samples = (4096 if mode == "train" else 16) if samples is None else samples
        self._check_ranges(
            {
                "size": (size, 16, 512),
                "samples": (samples, 1, 1_000_000),
                "clips": (clips, 1, _FIRST_TEST_CLIP),
                "frames": (frames, 2, 1000),
            }
        )
        self.mode, self.size, self.samples = mode, size, samples
        self.clips, self.frames = clips, frames

    def source(self, index: int) -> str:
        """Return what the sample at `index` shows, for error messages."""
        return f"figure {self._clip(index)}, sample {index}"

    def _clip(self, index: int) -> int:
        return index % self.clips if self.mode == "train" else _FIRST_TEST_CLIP + index

    def _sample(self, index: int) -> dict[str, Any]:
        clip = self._clip(index)
        shown, way = figure(clip), poses(clip, self.frames)
        if self.mode == "test":
            video = np.stack([draw(shown, pose, self.size) for pose in way])
            return {
                "video": unit_range(video.transpose(3, 0, 1, 2)),
                "pose": way,
                "clip": clip,
            }
        first, second = np.random.RandomState((index, 577)).permutation(self.frames)[:2]
        made = {}
        for key, frame in (("source", first), ("driving", second)):
            picture = draw(shown, way[frame], self.size)
            made[key] = unit_range(picture.transpose(2, 0, 1))
            made[f"pose_{key}"] = way[frame]
        return made


def unit_range(images: np.ndarray) -> np.ndarray:
    """Return uint8 pictures as float32 in [0, 1]."""
    return np.ascontiguousarray(images, np.float32) / np.float32(255)
