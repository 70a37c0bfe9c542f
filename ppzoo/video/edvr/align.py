# SPDX-License-Identifier: Apache-2.0
"""Alignment of frames' features: pyramid, cascading and deformable convolutions (PCD)."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import nn

from ppzoo.nn.deform_conv import OffsetDeformConv2D
from ppzoo.video.edvr.blocks import conv3x3, double, leaky_relu


class PCDAlign(nn.Layer):
    """Features of one frame moved to where another frame has them.

    From the coarsest level to the finest, each begins with the offsets of the one before. A last
    deformable convolution (the cascade) corrects what is left.

    Args:
        nf: channels of the features.
        groups: groups of channels that move on their own.
    """

    def __init__(self, nf: int = 64, groups: int = 8) -> None:
        super().__init__()
        for level in ("L3", "L2", "L1"):
            has_coarser = level != "L3"
            self._add(f"{level}_offset_conv1", conv3x3(2 * nf, nf))
            self._add(f"{level}_offset_conv2", conv3x3(2 * nf if has_coarser else nf, nf))
            if has_coarser:
                self._add(f"{level}_offset_conv3", conv3x3(nf, nf))
            self._add(f"{level}_dcn", OffsetDeformConv2D(nf, groups))
            if has_coarser:
                self._add(f"{level}_fea_conv", conv3x3(2 * nf, nf))
        self._add("cas_offset_conv1", conv3x3(2 * nf, nf))
        self._add("cas_offset_conv2", conv3x3(nf, nf))
        self._add("cascade_dcn", OffsetDeformConv2D(nf, groups))

    def forward(
        self, neighbours: Sequence[paddle.Tensor], references: Sequence[paddle.Tensor]
    ) -> paddle.Tensor:
        """Return the neighbour's features [N, C, H, W], aligned to the reference.

        Args:
            neighbours: features to be moved, at three sizes: [N, C, H, W], [N, C, H/2, W/2] and
                [N, C, H/4, W/4].
            references: features of the frame that they are to be aligned to, of the same shapes.
        """
        offset = self._offset("L3", neighbours[2], references[2])
        features = leaky_relu(self._layer("L3_dcn")(neighbours[2], offset))
        for i, level in ((1, "L2"), (0, "L1")):  # Paddle's tracing knows no strict `zip`
            # A place twice as far from the corner is twice as far away, too.
            offset = self._offset(level, neighbours[i], references[i], double(offset) * 2)
            moved = self._layer(f"{level}_dcn")(neighbours[i], offset)
            features = paddle.concat([moved, double(features)], axis=1)
            features = self._layer(f"{level}_fea_conv")(features)
            if level == "L2":
                features = leaky_relu(features)
        offset = paddle.concat([features, references[0]], axis=1)
        offset = leaky_relu(self._layer("cas_offset_conv1")(offset))
        offset = leaky_relu(self._layer("cas_offset_conv2")(offset))
        return leaky_relu(self._layer("cascade_dcn")(features, offset))

    def _offset(
        self,
        level: str,
        neighbour: paddle.Tensor,
        reference: paddle.Tensor,
        coarser: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Return features that the offsets of a level are computed from."""
        offset = paddle.concat([neighbour, reference], axis=1)
        offset = leaky_relu(self._layer(f"{level}_offset_conv1")(offset))
        if coarser is None:
            return leaky_relu(self._layer(f"{level}_offset_conv2")(offset))
        offset = paddle.concat([offset, coarser], axis=1)
        offset = leaky_relu(self._layer(f"{level}_offset_conv2")(offset))
        return leaky_relu(self._layer(f"{level}_offset_conv3")(offset))

    def _add(self, name: str, layer: nn.Layer) -> None:
        self.add_sublayer(f"PCD_Align_{name}", layer)

    def _layer(self, name: str) -> nn.Layer:
        return getattr(self, f"PCD_Align_{name}")
