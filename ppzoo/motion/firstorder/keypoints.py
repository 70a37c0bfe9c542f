# SPDX-License-Identifier: Apache-2.0
"""Keypoints: finding them, drawing them, and giving those of one person the motion of another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.motion.firstorder.antialias import AntiAliasInterpolation2d
from ppzoo.motion.firstorder.blocks import Hourglass, head, mobile_head
from ppzoo.motion.warp import make_coordinate_grid
from ppzoo.nn.checks import check_multiple

# `value`: places (x, y) in [-1, 1], [N, K, 2]; `jacobian`: how the surroundings of each place are
# stretched and turned against an abstract reference, [N, K, 2, 2], if that is estimated.
Keypoints = Mapping[str, paddle.Tensor]


class KPDetector(nn.Layer):
    """Finds keypoints, and the Jacobian at each of them.

    A keypoint is the mean place under a heatmap (a softmax over all places), its Jacobian the mean
    under the same heatmap of a map of matrices.

    Args:
        block_expansion: see `Hourglass`.
        num_kp: how many keypoints.
        num_channels: of the pictures.
        max_features: see `Hourglass`.
        num_blocks: see `Hourglass`.
        temperature: of the softmax; the smaller, the sharper the heatmaps.
        estimate_jacobian: otherwise motion near a keypoint is a shift.
        scale_factor: the network sees the picture at this scale, 1 over a whole number.
        single_jacobian_map: one map of matrices for all keypoints.
        pad: of the last convolutions, whose kernel is 7 x 7; with 0, heatmaps are smaller than the
            picture by three pixels on each side.
        mobile_net: with convolutions for phones.
    """

    def __init__(
        self,
        block_expansion: int,
        num_kp: int,
        num_channels: int,
        max_features: int,
        num_blocks: int,
        temperature: float,
        estimate_jacobian: bool = False,
        scale_factor: float = 1,
        single_jacobian_map: bool = False,
        pad: int = 0,
        mobile_net: bool = False,
    ) -> None:
        super().__init__()
        self.predictor = Hourglass(
            block_expansion, num_channels, num_blocks, max_features, mobile_net
        )
        features = self.predictor.out_filters

        def last(channels: int) -> nn.Layer:
            if mobile_net:
                return mobile_head(features, channels, pad, relu=False)
            return head(features, channels, 7, pad)

        self.kp = last(num_kp)
        self.jacobian: nn.Layer | None = None
        if estimate_jacobian:
            self.jacobian_maps = 1 if single_jacobian_map else num_kp
            self.jacobian = last(4 * self.jacobian_maps)
            _start_as_identity(self.jacobian)
        self.temperature = temperature
        self.multiple = 2**num_blocks
        if scale_factor != 1:
            self.down = AntiAliasInterpolation2d(num_channels, scale_factor, mobile_net)
            self.multiple *= self.down.step

    def forward(self, x: paddle.Tensor) -> dict[str, paddle.Tensor]:
        """Return the keypoints of pictures [N, C, H, W] with values in [0, 1]; see `Keypoints`.

        Raises:
            ConfigError: H or W cannot be halved often enough.
        """
        maps = self._features(x)
        heatmaps = self._heatmaps(maps)
        number, height, width = heatmaps.shape[1:]
        size = height * width
        heatmap = heatmaps.flatten(2)  # [N, K, H W]
        grid = make_coordinate_grid((height, width)).reshape([size, 2])
        keypoints = {"value": paddle.matmul(heatmap, grid)}
        if self.jacobian is not None:
            matrices = self.jacobian(maps).reshape([-1, self.jacobian_maps, 4, size])
            mean = paddle.matmul(matrices, heatmap.unsqueeze(-1))  # [N, K, 4, 1]
            keypoints["jacobian"] = mean.reshape([-1, number, 2, 2])
        return keypoints

    def heatmaps(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return where keypoints may be, [N, K, h, w]; each map sums to 1, its mean is the place.

        Args:
            x: see `forward`.

        Raises:
            ConfigError: see `forward`.
        """
        return self._heatmaps(self._features(x))

    def _features(self, x: paddle.Tensor) -> paddle.Tensor:
        check_multiple(x, self.multiple, "KPDetector")
        return self.predictor(self.down(x) if hasattr(self, "down") else x)

    def _heatmaps(self, maps: paddle.Tensor) -> paddle.Tensor:
        scores = self.kp(maps)
        _, number, height, width = scores.shape
        flat = F.softmax(scores.reshape([-1, number, height * width]) / self.temperature, axis=2)
        return flat.reshape([-1, number, height, width])


def kp2gaussian(kp: Keypoints, spatial_size: tuple[int, int], kp_variance: float) -> paddle.Tensor:
    """Return pictures [N, K, H, W] with a soft spot at each keypoint, 1 in its middle.

    Args:
        kp: see `Keypoints`.
        spatial_size: H and W.
        kp_variance: of the spots, in the units of coordinates.
    """
    height, width = spatial_size
    lines = []
    for axis, size in ((1, height), (0, width)):
        places = paddle.linspace(-1, 1, size, dtype=kp["value"].dtype)
        apart = places - kp["value"][..., axis].unsqueeze(-1)  # [N, K, size]
        lines.append(paddle.exp(apart**2 * (-0.5 / kp_variance)))
    return lines[0].unsqueeze(-1) * lines[1].unsqueeze(-2)


def inverse(matrices: paddle.Tensor) -> paddle.Tensor:
    """Return the inverses of matrices [..., 2, 2]."""
    a, b = matrices[..., 0:1, 0:1], matrices[..., 0:1, 1:2]
    c, d = matrices[..., 1:2, 0:1], matrices[..., 1:2, 1:2]
    adjugate = paddle.concat(
        [paddle.concat([d, -b], axis=-1), paddle.concat([-c, a], axis=-1)], axis=-2
    )
    return adjugate / (a * d - b * c)


def normalize_kp(
    kp_source: Keypoints,
    kp_driving: Keypoints,
    kp_driving_initial: Keypoints,
    adapt_movement_scale: bool = False,
    use_relative_movement: bool = False,
    use_relative_jacobian: bool = False,
) -> dict[str, paddle.Tensor]:
    """Return the keypoints that the source picture shall have.

    Those of the driving frame, or, with `use_relative_movement`, those of the source moved as the
    driving video has moved since its first frame: so the source keeps its own proportions.

    Args:
        kp_source: of the source picture, one or as many as there are driving frames.
        kp_driving: of driving frames.
        kp_driving_initial: of the frame in which the driver is posed as the source is.
        adapt_movement_scale: motions are as much larger as the source's face is, measured by the
            square root of the area of the keypoints' convex hull; for relative movement.
        use_relative_movement: see above.
        use_relative_jacobian: the same for Jacobians; for relative movement.
    """
    moved = dict(kp_driving)
    if not use_relative_movement:
        return moved
    scale = 1.0
    if adapt_movement_scale:
        driver = _hull_area(kp_driving_initial["value"])
        scale = (_hull_area(kp_source["value"]) / driver) ** 0.5 if driver > 0 else 1.0
    shift = kp_driving["value"] - kp_driving_initial["value"]
    moved["value"] = shift * scale + kp_source["value"]
    if use_relative_jacobian:
        turn = paddle.matmul(kp_driving["jacobian"], inverse(kp_driving_initial["jacobian"]))
        moved["jacobian"] = paddle.matmul(turn, kp_source["jacobian"])
    return moved


def _hull_area(values: paddle.Tensor) -> float:
    """Return the area of the convex hull of the first picture's keypoints."""
    import cv2

    points = np.ascontiguousarray(values[0].numpy(), np.float32)
    return float(cv2.contourArea(cv2.convexHull(points)))


def _start_as_identity(layer: nn.Layer) -> None:
    """Let a map of matrices begin with identities, whatever the picture."""
    last = layer[-1] if isinstance(layer, nn.Sequential) else layer
    last.weight.set_value(paddle.zeros_like(last.weight))
    identities = np.tile(np.float32([1, 0, 0, 1]), last.bias.shape[0] // 4)
    last.bias.set_value(paddle.to_tensor(identities))
