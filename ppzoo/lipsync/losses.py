# SPDX-License-Identifier: Apache-2.0
"""What lip-sync models learn from, as functions."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F

# Frames that the sync expert sees at once.
FRAMES = 5


def cosine_loss(audio: paddle.Tensor, video: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
    """Return the cross entropy of the cosine of embeddings, taken for the chance of being in sync.

    Args:
        audio: embeddings [N, D] that are not negative, so that no cosine is.
        video: likewise.
        target: [N, 1], 1 for pairs in sync and 0 for others.
    """
    chance = F.cosine_similarity(audio, video)
    # Rounding may lead out of what a chance can be.
    return F.binary_cross_entropy(chance.clip(0.0, 1.0).unsqueeze(1), target)


def mouths_of(faces: paddle.Tensor) -> paddle.Tensor:
    """Return what the sync expert sees of faces [N, 3, T, H, W]: [N, 3 T, H / 2, W].

    The lower halves of all frames, one after another, with three channels each.
    """
    n, c, frames, height, width = faces.shape
    lower = faces[:, :, :, height // 2 :].transpose([0, 2, 1, 3, 4])
    return lower.reshape([n, frames * c, height - height // 2, width])
