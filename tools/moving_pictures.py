# SPDX-License-Identifier: Apache-2.0
"""Pictures and films of what models of motion have learned, from held-out videos."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppzoo.media.image import image_grid, to_uint8_images
from tools.animations import side_by_side

FPS = 12.5
_FILMS = 4  # pairs of videos that a film shows
_ROWS, _EVERY = 3, 4  # and a picture; of each fourth frame
# What is shown of a picture that moves as another video does, and the outputs that it comes from.
_ACROSS = {"source": "animated_source", "driver": "animated_driver", "result": "animated"}
# And of a video that is remade from its first frame.
_WITHIN = {"source": "source", "truth": "real", "result": "fake"}


def motion_film(trainer: Any, beginner: Any) -> tuple[np.ndarray, float]:
    """Return held-out pictures that move as other videos do, and frames per second."""
    films = _videos(trainer, _ACROSS, _FILMS)
    return side_by_side(films, upscale=2), FPS


def motion_picture(trainer: Any, beginner: Any) -> np.ndarray:
    """Return frames of held-out videos, in pairs of rows: what is wanted, and below it the result.

    At the left is the picture that results are made from. First other videos are wanted to be
    followed, then the truth: videos are remade from their first frames.
    """
    rows = []
    for names in (_ACROSS, _WITHIN):
        source, wanted, made = _videos(trainer, names, _ROWS).values()
        blank = np.full_like(source[:, :1], 255)
        above = np.concatenate([source[:, :1], wanted[:, ::_EVERY]], axis=1)
        below = np.concatenate([blank, made[:, ::_EVERY]], axis=1)
        rows.append(np.stack([above, below], axis=1))  # [R, 2, columns, H, W, 3]
    pictures = np.concatenate(rows)
    upscale = max(1, 96 // pictures.shape[-2])
    return image_grid(
        pictures.reshape(-1, *pictures.shape[-3:]), nrow=pictures.shape[2], upscale=upscale
    )


def _videos(trainer: Any, names: dict[str, str], count: int) -> dict[str, np.ndarray]:
    """Return the first videos of the test, uint8 [count, T, H, W, 3], by title."""
    batch = next(iter(trainer.evaluator.loader.epoch(0)))
    outputs = trainer.model.eval_step(batch)
    number, frames = len(batch["video"]), batch["video"].shape[2]
    found = {}
    for title, name in names.items():
        pictures = to_uint8_images(outputs[name])
        found[title] = pictures.reshape(number, frames, *pictures.shape[1:])[:count]
    return found
