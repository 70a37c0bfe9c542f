# SPDX-License-Identifier: Apache-2.0
"""The discriminator of First Order Motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.nn.utils import spectral_norm

from ppzoo.motion.firstorder.antialias import ImagePyramide
from ppzoo.motion.firstorder.blocks import width
from ppzoo.motion.firstorder.keypoints import Keypoints, kp2gaussian
from ppzoo.nn.conv import Conv2D
from ppzoo.registry import DISCRIMINATORS


class Discriminator(nn.Layer):
    """Judges a picture patch by patch.

    Args:
        num_channels: of the pictures.
        block_expansion: half the channels of the first block; others have twice as many each.
        num_blocks: how many; all but the last one halve the size.
        max_features: the most channels.
        sn: divide all weights by their largest singular value.
        use_kp: show keypoints beside the picture.
        num_kp: how many.
        kp_variance: of the spots that show them.
        estimate_jacobian: accepted for PaddleGAN's configs.
    """

    def __init__(
        self,
        num_channels: int = 3,
        block_expansion: int = 64,
        num_blocks: int = 4,
        max_features: int = 512,
        sn: bool = False,
        use_kp: bool = False,
        num_kp: int = 10,
        kp_variance: float = 0.01,
        estimate_jacobian: bool = False,
    ) -> None:
        super().__init__()
        widths = [width(block_expansion, max_features, i) for i in range(num_blocks + 1)]
        channels = [num_channels + (num_kp if use_kp else 0), *widths[1:]]
        self.down_blocks = nn.LayerList(
            _Block(channels[i], channels[i + 1], norm=i > 0, pool=i < num_blocks - 1, sn=sn)
            for i in range(num_blocks)
        )
        self.conv = _conv(channels[-1], 1, 1, sn)
        self.use_kp, self.kp_variance = use_kp, kp_variance

    def forward(
        self, x: paddle.Tensor, kp: Keypoints | None = None
    ) -> tuple[list[paddle.Tensor], paddle.Tensor]:
        """Return the maps of all blocks and the scores [N, 1, h, w] of pictures [N, C, H, W]."""
        if self.use_kp:
            x = paddle.concat([x, kp2gaussian(kp, x.shape[2:], self.kp_variance)], axis=1)
        maps = []
        for block in self.down_blocks:
            x = block(x)
            maps.append(x)
        return maps, self.conv(x)


class MultiScaleDiscriminator(nn.Layer):
    """A discriminator for each of several sizes of a picture.

    Args:
        scales: of the sizes.
        options: of `Discriminator`.
    """

    def __init__(self, scales: Sequence[float] = (), **options: Any) -> None:
        super().__init__()
        self.scales = tuple(scales)
        # A key with a dot would be two.
        self.discs = nn.LayerDict(
            {str(scale).replace(".", "-"): Discriminator(**options) for scale in self.scales}
        )

    def forward(
        self, x: Mapping[str, paddle.Tensor], kp: Keypoints | None = None
    ) -> dict[str, Any]:
        """Return `feature_maps_S`, a list, and `prediction_map_S`, scores, for each scale S.

        Args:
            x: pictures `prediction_S`, see `ImagePyramide`.
            kp: keypoints, if the networks take them.
        """
        found: dict[str, Any] = {}
        for scale, disc in zip(self.scales, self.discs.values(), strict=True):
            maps, scores = disc(x[f"prediction_{scale}"], kp)
            found |= {f"feature_maps_{scale}": maps, f"prediction_map_{scale}": scores}
        return found


@DISCRIMINATORS.register()
class FirstOrderDiscriminator(nn.Layer):
    """`MultiScaleDiscriminator` and the pyramid that feeds it.

    Args:
        discriminator_cfg: of `MultiScaleDiscriminator`.
        common_params: likewise.
        train_params: accepted for PaddleGAN's configs; the model knows them.
    """

    def __init__(
        self,
        discriminator_cfg: Mapping[str, Any],
        common_params: Mapping[str, Any],
        train_params: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.discriminator = MultiScaleDiscriminator(**discriminator_cfg, **common_params)
        self.pyramid = ImagePyramide(self.discriminator.scales, common_params["num_channels"])

    def forward(self, x: paddle.Tensor, kp: Keypoints | None = None) -> dict[str, Any]:
        """Judge pictures [N, C, H, W] with values in [0, 1]; see `MultiScaleDiscriminator`."""
        return self.discriminator(self.pyramid(x), kp)


class _Block(nn.Layer):
    """Convolution, instance norm, leaky ReLU and half the size."""

    def __init__(self, c_in: int, c_out: int, *, norm: bool, pool: bool, sn: bool) -> None:
        super().__init__()
        self.conv = _conv(c_in, c_out, 4, sn)
        self.norm = nn.InstanceNorm2D(c_out) if norm else None
        self.pool = pool

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        out = self.conv(x)
        if self.norm is not None:
            out = self.norm(out)
        out = F.leaky_relu(out, 0.2)
        return F.avg_pool2d(out, 2) if self.pool else out


def _conv(c_in: int, c_out: int, kernel: int, sn: bool) -> nn.Layer:
    conv = Conv2D(c_in, c_out, kernel)
    return spectral_norm(conv) if sn else conv
