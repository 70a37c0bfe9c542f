# SPDX-License-Identifier: Apache-2.0
"""Films made of one picture, a few frames at a time: the work needs no more memory for long ones.

In evaluation all frames of a video have the same source, which is looked at once.
"""

from __future__ import annotations

import paddle

from ppzoo.motion.firstorder.generator import OcclusionAwareGenerator
from ppzoo.motion.firstorder.keypoints import Keypoints, KPDetector

# Frames that go through the networks at once.
AT_ONCE = 8


def keypoints_of(detector: KPDetector, frames: paddle.Tensor) -> dict[str, paddle.Tensor]:
    """Return the keypoints of frames [T, C, H, W] with values in [0, 1]; see `Keypoints`."""
    return _joined([detector(frames[piece]) for piece in _pieces(len(frames))])


def animate(
    generator: OcclusionAwareGenerator,
    source: paddle.Tensor,
    kp_driving: Keypoints,
    kp_source: Keypoints,
) -> dict[str, paddle.Tensor]:
    """Return a picture in many poses, and what became of its pixels.

    `prediction` [T, C, H, W] and `deformed`, likewise: see `OcclusionAwareGenerator`.

    Args:
        generator: makes the frames.
        source: [1, C, H, W] with values in [0, 1].
        kp_driving: of T frames, see `Keypoints`.
        kp_source: of one, see `Keypoints`.
    """
    maps, made = generator.encode(source), []
    for piece in _pieces(len(kp_driving["value"])):
        kp = {key: value[piece] for key, value in kp_driving.items()}
        motion = generator.motion(source, kp, kp_source)
        count = len(kp["value"])
        deformed = source.expand([count, *source.shape[1:]])
        if motion is not None:
            deformed = generator.deform(deformed, motion["deformation"])
        moved = maps.expand([count, *maps.shape[1:]])
        made.append({"prediction": generator.decode(moved, motion), "deformed": deformed})
    return _joined(made)


def remake(
    detector: KPDetector, generator: OcclusionAwareGenerator, video: paddle.Tensor
) -> dict[str, paddle.Tensor]:
    """Return the frames of videos [N, C, T, H, W], values in [0, 1], remade from the first of each.

    What `animate` does, [N * T, C, H, W]; `kp_driving`, `kp_source` and `kp_fake`, the places of
    keypoints in the frames, in the first one, as often as there are frames, and in what was made,
    [N * T, K, 2].

    Args:
        detector: finds the keypoints.
        generator: makes the frames.
        video: see above.
    """
    films = []
    for clip in video.transpose([0, 2, 1, 3, 4]):  # [T, C, H, W]
        kp_source, kp_driving = detector(clip[:1]), keypoints_of(detector, clip)
        made = animate(generator, clip[:1], kp_driving, kp_source)
        places = {
            "kp_driving": kp_driving["value"],
            "kp_source": kp_source["value"].expand_as(kp_driving["value"]),
            "kp_fake": keypoints_of(detector, made["prediction"])["value"],
        }
        films.append(made | places)
    return _joined(films)


def _pieces(number: int) -> list[slice]:
    return [slice(start, start + AT_ONCE) for start in range(0, number, AT_ONCE)]


def _joined(parts: list[dict[str, paddle.Tensor]]) -> dict[str, paddle.Tensor]:
    """Return dicts of tensors as one, joined along the first axis."""
    if len(parts) == 1:
        return parts[0]
    return {key: paddle.concat([part[key] for part in parts]) for key in parts[0]}
