# SPDX-License-Identifier: Apache-2.0
"""From the motion of keypoints to that of all pixels."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.motion.firstorder.antialias import AntiAliasInterpolation2d
from ppzoo.motion.firstorder.blocks import Hourglass, head, mobile_head
from ppzoo.motion.firstorder.keypoints import Keypoints, inverse, kp2gaussian
from ppzoo.motion.warp import make_coordinate_grid, sample


class DenseMotionNetwork(nn.Layer):
    """Blends the motions of all keypoints, and of a background at rest, into one.

    Args:
        block_expansion: see `Hourglass`.
        num_blocks: see `Hourglass`.
        max_features: see `Hourglass`.
        num_kp: how many keypoints.
        num_channels: of the pictures.
        estimate_occlusion_map: say, too, what cannot be seen in the source.
        scale_factor: the network sees the source at this scale, 1 over a whole number.
        kp_variance: of the spots that show the network where keypoints are.
        mobile_net: with convolutions for phones.
    """

    def __init__(
        self,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        num_kp: int,
        num_channels: int,
        estimate_occlusion_map: bool = False,
        scale_factor: float = 1,
        kp_variance: float = 0.01,
        mobile_net: bool = False,
    ) -> None:
        super().__init__()
        motions = num_kp + 1
        self.hourglass = Hourglass(
            block_expansion, motions * (num_channels + 1), num_blocks, max_features, mobile_net
        )
        features = self.hourglass.out_filters

        def last(channels: int) -> nn.Layer:
            if mobile_net:
                return mobile_head(features, channels, 1, relu=True)
            return head(features, channels, 7, 3)

        self.mask = last(motions)
        self.occlusion = last(1) if estimate_occlusion_map else None
        self.kp_variance = kp_variance
        if scale_factor != 1:
            self.down = AntiAliasInterpolation2d(num_channels, scale_factor, mobile_net)

    def forward(
        self, source_image: paddle.Tensor, kp_driving: Keypoints, kp_source: Keypoints
    ) -> dict[str, paddle.Tensor]:
        """Return where each pixel of the driving frame is from.

        With M = num_kp + 1 motions, of the background first, and h x w pixels at `scale_factor`:

        - `deformation` [N, h, w, 2], coordinates (x, y) in the source, in [-1, 1] inside it,
        - `mask` [N, M, h, w], the share of each motion,
        - `sparse_deformed` [N, M, C, h, w], the source moved by each,
        - `occlusion_map` [N, 1, h, w], 1 where the source shows what is seen, if estimated.

        Args:
            source_image: [N, C, H, W] with values in [0, 1].
            kp_driving: see `Keypoints`.
            kp_source: see `Keypoints`.
        """
        if hasattr(self, "down"):
            source_image = self.down(source_image)
        _, channels, height, width = source_image.shape
        spots = self._spots(kp_driving, kp_source, (height, width))
        motions = self._motions(kp_driving, kp_source, (height, width))  # [N, M, h w, 2]
        number = motions.shape[1]
        # The source is sampled once, for the rows of all motions.
        rows = motions.reshape([-1, number * height, width, 2])
        moved = sample(source_image, rows)
        moved = moved.reshape([-1, channels, number, height, width]).transpose([0, 2, 1, 3, 4])
        shown = paddle.concat([spots.unsqueeze(2), moved], axis=2)
        maps = self.hourglass(shown.reshape([-1, number * (channels + 1), height, width]))
        mask = F.softmax(self.mask(maps), axis=1)
        deformation = (motions * mask.reshape([-1, number, height * width, 1])).sum(axis=1)
        out = {
            "sparse_deformed": moved,
            "mask": mask,
            "deformation": deformation.reshape([-1, height, width, 2]),
        }
        if self.occlusion is not None:
            out["occlusion_map"] = F.sigmoid(self.occlusion(maps))
        return out

    def _spots(
        self, kp_driving: Keypoints, kp_source: Keypoints, size: tuple[int, int]
    ) -> paddle.Tensor:
        """Return where keypoints are less where they were, [N, M, h, w] (equation 6)."""
        spots = kp2gaussian(kp_driving, size, self.kp_variance) - kp2gaussian(
            kp_source, size, self.kp_variance
        )
        return paddle.concat([paddle.zeros_like(spots[:, :1]), spots], axis=1)

    def _motions(
        self, kp_driving: Keypoints, kp_source: Keypoints, size: tuple[int, int]
    ) -> paddle.Tensor:
        """Return where pixels are from, by each motion, [N, M, h w, 2] (equation 4)."""
        grid = make_coordinate_grid(size).reshape([1, 1, size[0] * size[1], 2])
        apart = grid - kp_driving["value"].unsqueeze(2)
        if "jacobian" in kp_driving:
            linear = paddle.matmul(kp_source["jacobian"], inverse(kp_driving["jacobian"]))
            apart = paddle.matmul(apart, linear, transpose_y=True)
        moving = apart + kp_source["value"].unsqueeze(2)
        still = grid + paddle.zeros_like(moving[:, :1])
        return paddle.concat([still, moving], axis=1)
