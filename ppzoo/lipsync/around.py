# SPDX-License-Identifier: Apache-2.0
"""What lip-sync models pass on for `LSE`: lips, and the sounds before and after them."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import nn

from ppzoo.lipsync.losses import mouths_of
from ppzoo.metrics.lse import offset_distances
from ppzoo.model import Batch


def sync_outputs(
    expert: nn.Layer, batch: Batch, faces: Mapping[str, paddle.Tensor]
) -> dict[str, paddle.Tensor]:
    """Return `mouths_KIND` and `distances_KIND` of each kind of faces, and what they heard.

    Args:
        expert: a `SyncNetColor` in evaluation mode.
        batch: with the sounds around each window `mels_around` [N, 2 R + 1, 1, 80, 16],
            `has_sound` [N, 2 R + 1] and `clip` [N], as datasets with the option `reach` give them;
            without, there is nothing to return.
        faces: by kind, [N, 3, 5, H, W] with values in [0, 1].
    """
    if "mels_around" not in batch:
        return {}
    found = {key: batch[key] for key in ("mels_around", "has_sound", "clip")}
    for kind, clip in faces.items():
        found[f"mouths_{kind}"] = mouths_of(clip)
        distances = offset_distances(expert, found[f"mouths_{kind}"], batch["mels_around"])
        found[f"distances_{kind}"] = distances
    return found
