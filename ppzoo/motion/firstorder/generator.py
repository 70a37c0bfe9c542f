# SPDX-License-Identifier: Apache-2.0
"""The generator of First Order Motion, and all that animates a picture in one piece."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.motion.firstorder.antialias import ImagePyramide
from ppzoo.motion.firstorder.blocks import (
    DownBlock,
    MobileDownBlock,
    MobileResBlock,
    MobileUpBlock,
    ResBlock,
    SameBlock,
    UpBlock,
    head,
    mobile_head,
    width,
)
from ppzoo.motion.firstorder.dense_motion import DenseMotionNetwork
from ppzoo.motion.firstorder.keypoints import Keypoints, KPDetector
from ppzoo.motion.warp import make_coordinate_grid, sample
from ppzoo.registry import GENERATORS

# At inference, as many pixels at each edge of a map stay where they are; the Gaussian that blends
# them with the others has this size and standard deviation.
_STILL, _BLEND, _BLEND_SIGMA = 5, 9, 1.7


class OcclusionAwareGenerator(nn.Layer):
    """Moves the features of a picture and paints what was hidden.

    Args:
        num_channels: of the pictures.
        num_kp: how many keypoints.
        block_expansion: channels of the largest maps; smaller ones have twice as many each.
        max_features: the most channels.
        num_down_blocks: how often the size is halved.
        num_bottleneck_blocks: residual blocks at the smallest size.
        estimate_occlusion_map: paint where the source does not show what is seen.
        dense_motion_params: of `DenseMotionNetwork`; None moves nothing.
        estimate_jacobian: accepted for PaddleGAN's configs; keypoints say whether they have them.
        inference: keep the pixels at the edges of the picture, which would tear off otherwise.
        mobile_net: with convolutions for phones.
    """

    def __init__(
        self,
        num_channels: int,
        num_kp: int,
        block_expansion: int,
        max_features: int,
        num_down_blocks: int,
        num_bottleneck_blocks: int,
        estimate_occlusion_map: bool = False,
        dense_motion_params: Mapping[str, Any] | None = None,
        estimate_jacobian: bool = False,
        inference: bool = False,
        mobile_net: bool = False,
    ) -> None:
        super().__init__()
        self.dense_motion_network: DenseMotionNetwork | None = None
        if dense_motion_params is not None:
            self.dense_motion_network = DenseMotionNetwork(
                num_kp=num_kp,
                num_channels=num_channels,
                estimate_occlusion_map=estimate_occlusion_map,
                **dense_motion_params,
                mobile_net=mobile_net,
            )
        widths = [width(block_expansion, max_features, i) for i in range(num_down_blocks + 1)]
        if mobile_net:
            self.first: nn.Layer = nn.Sequential(
                *(
                    SameBlock(num_channels, channels, 3, bias=False)
                    for channels in (num_channels, num_channels, block_expansion)
                )
            )
        else:
            self.first = SameBlock(num_channels, block_expansion, 7)
        down, up = (MobileDownBlock, MobileUpBlock) if mobile_net else (DownBlock, UpBlock)
        pairs = list(itertools.pairwise(widths))
        self.down_blocks = nn.LayerList(down(*pair) for pair in pairs)
        self.up_blocks = nn.LayerList(up(*pair[::-1]) for pair in reversed(pairs))
        residual = MobileResBlock if mobile_net else ResBlock
        self.bottleneck = nn.Sequential(
            *((f"r{i}", residual(widths[-1])) for i in range(num_bottleneck_blocks))
        )
        self.final: nn.Layer = (
            mobile_head(block_expansion, num_channels, 1, relu=True)
            if mobile_net
            else head(block_expansion, num_channels, 7, 3)
        )
        self.num_channels, self.inference, self.mobile_net = num_channels, inference, mobile_net

    def forward(
        self, source_image: paddle.Tensor, kp_driving: Keypoints, kp_source: Keypoints
    ) -> dict[str, paddle.Tensor]:
        """Return the source posed as the driving frame is.

        - `prediction` [N, C, H, W] with values in [0, 1],
        - `deformed` [N, C, H, W], the source moved pixel by pixel,
        - `mask`, `sparse_deformed`, `occlusion_map`: see `DenseMotionNetwork`.

        Args:
            source_image: [N, C, H, W] with values in [0, 1].
            kp_driving: see `Keypoints`.
            kp_source: see `Keypoints`.
        """
        maps, motion = self.encode(source_image), None
        if self.dense_motion_network is not None:
            motion = self.dense_motion_network(source_image, kp_driving, kp_source)
        out = self.decode(maps, motion)
        if motion is None:
            return {"prediction": out}
        shown = {key: value for key, value in motion.items() if key != "deformation"}
        deformed = self.deform(source_image, motion["deformation"])
        return {"prediction": out, "deformed": deformed, **shown}

    def animate(
        self,
        source_image: paddle.Tensor,
        maps: paddle.Tensor,
        kp_driving: Keypoints,
        kp_source: Keypoints,
    ) -> paddle.Tensor:
        """Return one source in many poses, [N, C, H, W]: what `forward` calls `prediction`.

        Args:
            source_image: [1, C, H, W] with values in [0, 1].
            maps: of the source, as `encode` returns them: they are the same for all poses.
            kp_driving: of N pictures, see `Keypoints`.
            kp_source: of one, see `Keypoints`.
        """
        number = kp_driving["value"].shape[0]
        motion = self.motion(source_image, kp_driving, kp_source)
        return self.decode(maps.expand([number, *maps.shape[1:]]), motion)

    def motion(
        self, source_image: paddle.Tensor, kp_driving: Keypoints, kp_source: Keypoints
    ) -> dict[str, paddle.Tensor] | None:
        """Return how one source moves to many poses, see `DenseMotionNetwork`; None for not at all.

        Args:
            source_image: see `animate`.
            kp_driving: likewise.
            kp_source: likewise.
        """
        if self.dense_motion_network is None:
            return None
        number = kp_driving["value"].shape[0]
        sources = source_image.expand([number, *source_image.shape[1:]])
        return self.dense_motion_network(sources, kp_driving, kp_source)

    def encode(self, source_image: paddle.Tensor) -> paddle.Tensor:
        """Return the features of pictures [N, C, H, W], which no motion has moved yet."""
        out = self.first(source_image)
        for block in self.down_blocks:
            out = block(out)
        return out

    def decode(
        self, maps: paddle.Tensor, motion: Mapping[str, paddle.Tensor] | None
    ) -> paddle.Tensor:
        """Return pictures [N, C, H, W] of features moved by `motion`."""
        if motion is not None:
            maps = self.deform(maps, motion["deformation"])
            if "occlusion_map" in motion:
                maps = maps * self._visible(motion["occlusion_map"], maps)
        out = self.bottleneck(maps)
        for block in self.up_blocks:
            out = block(out)
        return F.sigmoid(self.final(out))

    def deform(self, x: paddle.Tensor, deformation: paddle.Tensor) -> paddle.Tensor:
        """Return maps [N, C, H, W] whose pixels are from the places `deformation` [N, h, w, 2]."""
        height, width = x.shape[2:]
        if list(deformation.shape[1:3]) != [height, width]:
            grown = F.interpolate(
                deformation.transpose([0, 3, 1, 2]), size=(height, width), mode="bilinear"
            )
            deformation = grown.transpose([0, 2, 3, 1])
        if self.inference:
            still = make_coordinate_grid((height, width))
            moving = paddle.to_tensor(_inner(height, width)).unsqueeze(-1)  # [H, W, 1]
            deformation = moving * deformation + (1 - moving) * still
        return sample(x, deformation)

    def _visible(self, occlusion_map: paddle.Tensor, maps: paddle.Tensor) -> paddle.Tensor:
        if occlusion_map.shape[2:] != maps.shape[2:]:
            occlusion_map = F.interpolate(occlusion_map, size=maps.shape[2:], mode="bilinear")
        if self.inference and not self.mobile_net:
            height, width = maps.shape[2:]
            inner = np.zeros((height, width), np.float32)
            inner[_STILL : height - _STILL, _STILL : width - _STILL] = 1.0
            mask = paddle.to_tensor(inner)
            occlusion_map = occlusion_map * mask + (1 - mask)
        return occlusion_map


@GENERATORS.register()
class FirstOrderGenerator(nn.Layer):
    """Detector and generator, and the sizes in which their pictures are judged.

    Args:
        generator_cfg: of `OcclusionAwareGenerator`.
        kp_detector_cfg: of `KPDetector`.
        common_params: of both.
        train_params: of the training; `scales` are those of the pyramid.
        dis_scales: sizes that the discriminator judges.

    Raises:
        ValueError: a scale of the discriminator's that the pyramid lacks.
    """

    def __init__(
        self,
        generator_cfg: Mapping[str, Any],
        kp_detector_cfg: Mapping[str, Any],
        common_params: Mapping[str, Any],
        train_params: Mapping[str, Any],
        dis_scales: Sequence[float],
    ) -> None:
        super().__init__()
        self.kp_extractor = KPDetector(**kp_detector_cfg, **common_params)
        self.generator = OcclusionAwareGenerator(**generator_cfg, **common_params)
        scales = train_params["scales"]
        if not set(dis_scales) <= set(scales):
            raise ValueError(
                f"the discriminator judges pictures at the scales {list(dis_scales)}, and "
                f"train_params.scales has only {list(scales)}"
            )
        self.pyramid = ImagePyramide(scales, self.generator.num_channels)

    def forward(self, source: paddle.Tensor, driving: paddle.Tensor) -> dict[str, Any]:
        """Return what `OcclusionAwareGenerator` makes, and `kp_source` and `kp_driving`.

        Args:
            source: pictures [N, C, H, W] with values in [0, 1].
            driving: the same, posed otherwise.
        """
        kp_source, kp_driving = self.kp_extractor(source), self.kp_extractor(driving)
        made = self.generator(source, kp_driving=kp_driving, kp_source=kp_source)
        return {**made, "kp_source": kp_source, "kp_driving": kp_driving}


def _inner(height: int, width: int) -> np.ndarray:
    """Return 1 inside and 0 at the edges of a map, smooth between, float32 [height, width]."""
    offsets = np.arange(_BLEND) - _BLEND // 2
    kernel = np.exp(-(offsets**2) / (2 * _BLEND_SIGMA**2))
    kernel /= kernel.sum()
    lines = []
    for size in (height, width):
        line = np.zeros(size)
        line[_STILL : size - _STILL] = 1.0
        lines.append(np.convolve(line, kernel, mode="same"))
    return np.outer(*lines).astype(np.float32)
