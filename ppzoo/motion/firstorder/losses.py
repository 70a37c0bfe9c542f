# SPDX-License-Identifier: Apache-2.0
"""What First Order Motion learns from, as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import paddle
import paddle.nn.functional as F

from ppzoo.losses.perceptual import PerceptualLoss
from ppzoo.motion.firstorder.keypoints import Keypoints, inverse
from ppzoo.motion.warp import RandomWarp

# The first ReLU of each of VGG19's five blocks.
VGG_LAYERS = (1, 6, 11, 20, 29)


def perceptual_criterion(weights: Sequence[float], pretrained: Any) -> PerceptualLoss | None:
    """Return the distance of VGG19's answers, None if all of its weights are 0.

    Args:
        weights: of the five layers `VGG_LAYERS`.
        pretrained: see `PerceptualLoss`.

    Raises:
        ValueError: not five weights.
    """
    if len(weights) != len(VGG_LAYERS):
        raise ValueError(
            f"loss_weights.perceptual is {list(weights)}, expected {len(VGG_LAYERS)} numbers"
        )
    layers = {layer: w for layer, w in zip(VGG_LAYERS, weights, strict=True) if w != 0}
    if not layers:
        return None
    return PerceptualLoss(layers, style_weight=0.0, norm_img=False, pretrained=pretrained)


def pyramid_distance(
    criterion: PerceptualLoss,
    made: Mapping[str, paddle.Tensor],
    true: Mapping[str, paddle.Tensor],
) -> paddle.Tensor:
    """Return the sum over all sizes of how different two pictures look.

    Args:
        criterion: see `perceptual_criterion`.
        made: pictures [N, 3, H, W] with values in [0, 1], by size; see `ImagePyramide`.
        true: likewise; no gradient flows into them.
    """
    distances = [criterion(made[key], true[key])[0] for key in made]
    return sum(distances[1:], distances[0])


def pixel_distance(
    made: Mapping[str, paddle.Tensor], true: Mapping[str, paddle.Tensor]
) -> paddle.Tensor:
    """Return the sum over all sizes of the mean absolute difference of two pictures.

    Args:
        made: see `pyramid_distance`.
        true: likewise; no gradient flows into them.
    """
    distances = [F.l1_loss(made[key], true[key].detach()) for key in made]
    return sum(distances[1:], distances[0])


def adversarial(judged: Mapping[str, Any], scales: Sequence[float], target: float) -> paddle.Tensor:
    """Return the squared distance of a discriminator's scores to `target`, summed over scales."""
    losses = [((judged[f"prediction_map_{scale}"] - target) ** 2).mean() for scale in scales]
    return sum(losses[1:], losses[0])


def feature_matching(
    made: Mapping[str, Any],
    true: Mapping[str, Any],
    scales: Sequence[float],
    weights: Sequence[float],
) -> paddle.Tensor:
    """Return how differently a discriminator sees two pictures, summed over scales and blocks.

    Args:
        made: what `MultiScaleDiscriminator` returns.
        true: likewise; no gradient flows into it.
        scales: of the discriminator.
        weights: one for each of its blocks.

    Raises:
        ValueError: fewer weights than blocks.
    """
    total = paddle.zeros([])
    for scale in scales:
        pairs = list(zip(true[f"feature_maps_{scale}"], made[f"feature_maps_{scale}"], strict=True))
        if len(weights) < len(pairs):
            raise ValueError(
                f"loss_weights.feature_matching has {len(weights)} numbers and the discriminator "
                f"{len(pairs)} blocks"
            )
        for weight, (wanted, got) in zip(weights, pairs, strict=False):
            if weight != 0:
                total = total + weight * F.l1_loss(got, wanted.detach())
    return total


def equivariance(
    detect: Callable[[paddle.Tensor], Keypoints],
    frames: paddle.Tensor,
    kp: Keypoints,
    warp: RandomWarp,
    value_weight: float,
    jacobian_weight: float,
) -> dict[str, paddle.Tensor]:
    """Return how far keypoints of warped pictures are from warped keypoints (equations 9 to 11).

    Args:
        detect: the detector.
        frames: pictures [N, C, H, W] with values in [0, 1].
        kp: their keypoints.
        warp: what to warp them by.
        value_weight: of `equivariance_value`, 0 to leave it out.
        jacobian_weight: of `equivariance_jacobian`, 0 to leave it out; likewise without Jacobians.
    """
    losses = {}
    warped = detect(warp.transform_frame(frames))
    if value_weight != 0:
        back = warp.warp_coordinates(warped["value"])
        losses["equivariance_value"] = value_weight * F.l1_loss(back, kp["value"])
    if jacobian_weight != 0 and "jacobian" in kp:
        back = paddle.matmul(warp.jacobian(warped["value"]), warped["jacobian"])
        # Relative to the Jacobian itself, so that making all of them small does not help.
        ratio = paddle.matmul(inverse(kp["jacobian"]), back)
        losses["equivariance_jacobian"] = jacobian_weight * (ratio - paddle.eye(2)).abs().mean()
    return losses
