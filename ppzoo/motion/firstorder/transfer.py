# SPDX-License-Identifier: Apache-2.0
"""Pictures of one video that move as another video does: to see whether motion was understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.motion.firstorder.films import animate, keypoints_of
from ppzoo.motion.firstorder.keypoints import Keypoints, normalize_kp


def most_alike(kp: Keypoints, kp_frames: Keypoints) -> int:
    """Return the number of the frame whose keypoints are nearest to those of a picture.

    Args:
        kp: of the picture, `value` [1, K, 2].
        kp_frames: of the frames, `value` [T, K, 2].
    """
    return int((kp_frames["value"] - kp["value"]).abs().sum(axis=[1, 2]).argmin())


def animate_next(
    detector: nn.Layer, generator: nn.Layer, video: paddle.Tensor
) -> tuple[paddle.Tensor, list[int]]:
    """Let a picture of each video of a batch move as the next video does, the last as the first.

    The picture is the frame that is most like the driver's first one, as keypoints tell; from there
    it moves by as much as the driver does, in proportion to the size of both.

    Args:
        detector: a `KPDetector`.
        generator: an `OcclusionAwareGenerator`.
        video: [N, C, T, H, W] with values in [0, 1].

    Returns:
        the animations [N, T, C, H, W] with values in [0, 1], and which frames of the videos they
        were made from.

    Raises:
        ConfigError: there is one video only.
    """
    clips = video.transpose([0, 2, 1, 3, 4])  # [N, T, C, H, W]
    number = clips.shape[0]
    if number < 2:
        raise ConfigError(
            "to animate a picture of one video by another, batches must have two videos or more: "
            "raise dataset.test.batch_size"
        )
    found = [keypoints_of(detector, clip) for clip in clips]
    films, chosen = [], []
    for i, (clip, kp) in enumerate(zip(clips, found, strict=True)):
        driver = found[(i + 1) % number]
        start = {key: value[:1] for key, value in driver.items()}
        chosen.append(most_alike(start, kp))
        source = slice(chosen[-1], chosen[-1] + 1)
        kp_source = {key: value[source] for key, value in kp.items()}
        moved = normalize_kp(
            kp_source,
            driver,
            start,
            adapt_movement_scale=True,
            use_relative_movement=True,
            use_relative_jacobian="jacobian" in driver,
        )
        films.append(animate(generator, clip[source], moved, kp_source)["prediction"])
    return paddle.stack(films), chosen


def animate_batch(
    detector: nn.Layer, generator: nn.Layer, batch: Mapping[str, Any]
) -> dict[str, paddle.Tensor]:
    """Return what becomes of a batch of videos by `animate_next`, for metrics.

    `animated`, the pictures [N * T, C, H, W] in [-1, 1]; `animated_source` and `animated_driver`,
    what they are made of and what they follow, likewise; `kp_animated`, keypoints found in them,
    [N * T, K, 2]. If the batch has the true `pose` [N, T, P] and numbers of the videos, `clip` [N]:
    these; `pose_driver` and `clip_driver`, those of what is followed; `pose_start` [N, P], those of
    the sources.

    Args:
        detector: a `KPDetector`.
        generator: an `OcclusionAwareGenerator`.
        batch: holds `video` [N, C, T, H, W] with values in [0, 1].
    """
    clips = batch["video"].transpose([0, 2, 1, 3, 4])  # [N, T, C, H, W]
    films, chosen = animate_next(detector, generator, batch["video"])
    sources = paddle.stack([clip[i] for clip, i in zip(clips, chosen, strict=True)])
    each = [*films.shape[:2], *clips.shape[2:]]
    pictures = {
        "animated": films,
        "animated_source": sources.unsqueeze(1).expand(each),
        "animated_driver": clips.roll(-1, axis=0),
    }
    found = {key: value.flatten(0, 1) * 2 - 1 for key, value in pictures.items()}
    found["kp_animated"] = keypoints_of(detector, films.flatten(0, 1))["value"]
    for key in ("clip", "pose"):
        if key in batch:
            found |= {key: batch[key], f"{key}_driver": batch[key].roll(-1, axis=0)}
    if "pose" in batch:
        starts = [poses[i] for poses, i in zip(batch["pose"], chosen, strict=True)]
        found["pose_start"] = paddle.stack(starts)
    return found
