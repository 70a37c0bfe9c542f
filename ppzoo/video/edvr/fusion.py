# SPDX-License-Identifier: Apache-2.0
"""Fusion of aligned frames by temporal and spatial attention (TSA)."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.init import start_at_zero
from ppzoo.video.edvr.blocks import conv1x1, conv3x3, double, leaky_relu


class TSAFusion(nn.Layer):
    """One feature map of those of all frames.

    Each pixel of a frame counts by its likeness to the middle frame; what comes of all frames is
    then scaled and shifted by attention over three sizes.

    Args:
        nf: channels of a frame's features.
        nframes: frames.
        center: index of the middle frame.
    """

    def __init__(self, nf: int = 64, nframes: int = 5, center: int = 2) -> None:
        super().__init__()
        self._channels, self._frames, self._center = nf, nframes, center
        self.tAtt_2 = conv3x3(nf, nf)
        self.tAtt_1 = conv3x3(nf, nf)
        self.fea_fusion = conv1x1(nf * nframes, nf)
        self.sAtt_1 = conv1x1(nf * nframes, nf)
        self.sAtt_2 = conv1x1(2 * nf, nf)
        self.sAtt_3 = conv3x3(nf, nf)
        self.sAtt_4 = conv1x1(nf, nf)
        self.sAtt_5 = conv3x3(nf, nf)
        self.sAtt_add_1 = conv1x1(nf, nf)
        self.sAtt_add_2 = conv1x1(nf, nf)
        self.sAtt_L1 = conv1x1(nf, nf)
        self.sAtt_L2 = conv3x3(2 * nf, nf)
        self.sAtt_L3 = conv3x3(nf, nf)

    def forward(self, aligned: paddle.Tensor) -> paddle.Tensor:
        """Map the frames' features [N, nframes * C, H, W] to [N, C, H, W]."""
        weighted = self._weigh(aligned)
        features = leaky_relu(self.fea_fusion(weighted))
        attention = self._attention(leaky_relu(self.sAtt_1(weighted)))
        shift = self.sAtt_add_2(leaky_relu(self.sAtt_add_1(attention)))
        return features * F.sigmoid(attention) * 2 + shift

    def start_plain(self) -> None:
        """Let attention begin without a say: all frames count one half, nothing is shifted."""
        for conv in (self.tAtt_1, self.sAtt_5, self.sAtt_add_2):
            start_at_zero(conv)

    def _weigh(self, aligned: paddle.Tensor) -> paddle.Tensor:
        """Return the frames' features, each pixel times its likeness to the middle frame's."""
        c, t = self._channels, self._frames
        middle = self.tAtt_2(aligned[:, self._center * c : (self._center + 1) * c])
        frames = aligned.reshape([-1, c, *_SAME_SIZE])  # [N * T, C, H, W]
        middle = paddle.concat([middle] * t, axis=1).reshape([-1, c, *_SAME_SIZE])
        likeness = F.sigmoid((self.tAtt_1(frames) * middle).sum(axis=1, keepdim=True))
        return (frames * likeness).reshape([-1, t * c, *_SAME_SIZE])  # [N, T * C, H, W]

    def _attention(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return attention maps [N, C, H, W] of features of that shape."""
        half = leaky_relu(self.sAtt_2(_pool(x)))  # [N, C, H/2, W/2]
        quarter = leaky_relu(self.sAtt_L2(_pool(leaky_relu(self.sAtt_L1(half)))))
        quarter = leaky_relu(self.sAtt_L3(quarter))  # [N, C, H/4, W/4]
        half = leaky_relu(self.sAtt_3(half)) + double(quarter)
        return self.sAtt_5(double(leaky_relu(self.sAtt_4(half))))


# `reshape` takes these two sizes from the input, also where an exported graph does not know them.
_SAME_SIZE = (0, 0)


def _pool(x: paddle.Tensor) -> paddle.Tensor:
    """Return maxima and means at half the size, [N, 2 C, H/2, W/2]."""
    largest = F.max_pool2d(x, 3, stride=2, padding=1)
    mean = F.avg_pool2d(x, 3, stride=2, padding=1, exclusive=False)
    return paddle.concat([largest, mean], axis=1)
