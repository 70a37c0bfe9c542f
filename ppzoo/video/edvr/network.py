# SPDX-License-Identifier: Apache-2.0
"""The network of EDVR."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.checks import check_at_least
from ppzoo.nn.deform_conv import DeformConv2D, OffsetDeformConv2D
from ppzoo.nn.init import bilinear_kernels, hand_through, start_at_zero
from ppzoo.registry import GENERATORS
from ppzoo.video.edvr.align import PCDAlign
from ppzoo.video.edvr.blocks import (
    PredeblurPyramid,
    ResidualBlock,
    conv1x1,
    conv3x3,
    leaky_relu,
    residual_blocks,
)
from ppzoo.video.edvr.fusion import TSAFusion

# The last layers have this many channels whatever `nf` is.
_LAST_CHANNELS = 64


@GENERATORS.register()
class EDVRNet(nn.Layer):
    """The middle one of a few frames, enlarged four times or sharpened.

    The network adds what it has found to the middle frame itself, enlarged bilinearly.

    Args:
        in_nf: channels of a frame.
        out_nf: channels of the output, as many.
        scale_factor: 4; 1 where frames come in the output's size (`HR_in`).
        nf: channels of features: 64 in EDVR-M, 128 in EDVR-L.
        nframes: frames that are looked at.
        groups: groups of channels that are aligned on their own.
        front_RBs: residual blocks in front of the alignment.
        back_RBs: residual blocks behind the fusion: 10 in EDVR-M, 40 in EDVR-L.
        center: index of the frame that comes out, the middle one by default.
        predeblur: sharpen frames by themselves first.
        HR_in: frames have the output's size; needs `predeblur`.
        w_TSA: fuse frames by attention instead of a plain 1 x 1 convolution.
    """

    def __init__(
        self,
        in_nf: int = 3,
        out_nf: int = 3,
        scale_factor: int = 4,
        nf: int = 64,
        nframes: int = 5,
        groups: int = 8,
        front_RBs: int = 5,
        back_RBs: int = 10,
        center: int | None = None,
        predeblur: bool = False,
        HR_in: bool = False,
        w_TSA: bool = True,
    ) -> None:
        super().__init__()
        check_at_least(1, in_nf=in_nf, nf=nf, nframes=nframes, groups=groups)
        check_at_least(0, front_RBs=front_RBs, back_RBs=back_RBs)
        _check_scale(scale_factor, predeblur, HR_in)
        if out_nf != in_nf:
            raise ValueError(f"out_nf is {out_nf}, expected {in_nf}: the output adds to a frame")
        if nf % groups:
            raise ValueError(f"nf is {nf}, expected a multiple of groups, {groups}")
        if center is not None and not 0 <= center < nframes:
            raise ValueError(f"center is {center}, expected 0 to {nframes - 1}")
        self.nframes = nframes
        self.center = nframes // 2 if center is None else center
        self.scale = 1 if HR_in else 4
        # Sides of the frames are halved twice, after two halvings in front with HR_in.
        self.size_multiple = 16 if HR_in else 4
        self._channels, self._frame_channels = nf, in_nf
        self._deblurs, self._attends = predeblur, w_TSA

        if predeblur:
            self.pre_deblur = PredeblurPyramid(in_nf, nf, HR_in)
            self.cov_1 = conv1x1(nf, nf)
        else:
            self.conv_first = conv3x3(in_nf, nf)
        self.feature_extractor = residual_blocks(front_RBs, nf)
        self.fea_L2_conv1 = conv3x3(nf, nf, stride=2)
        self.fea_L2_conv2 = conv3x3(nf, nf)
        self.fea_L3_conv1 = conv3x3(nf, nf, stride=2)
        self.fea_L3_conv2 = conv3x3(nf, nf)
        self.PCDModule = PCDAlign(nf, groups)
        if w_TSA:
            self.TSAModule = TSAFusion(nf, nframes, self.center)
        else:
            self.TSAModule = conv1x1(nframes * nf, nf)
        self.reconstructor = residual_blocks(back_RBs, nf)
        self.upconv1 = conv3x3(nf, 4 * nf)
        self.upconv2 = conv3x3(nf, 4 * _LAST_CHANNELS)
        self.HRconv = conv3x3(_LAST_CHANNELS, _LAST_CHANNELS)
        self.conv_last = conv3x3(_LAST_CHANNELS, out_nf)
        _initialise(self)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map frames `x` [N, nframes, C, H, W] in [0, 1] to one, [N, C, s H, s W], s the scale.

        Raises:
            ConfigError: another number of frames, or sides that are no multiples of 4 (of 16 with
                `HR_in`).
        """
        self._check(x)
        frames = x.flatten(0, 1)  # [N * T, C, H, W]
        return self.fuse(self.extract(frames), x[:, self.center])

    def extract(self, frames: paddle.Tensor) -> list[paddle.Tensor]:
        """Return features of frames [M, C, H, W], each by itself, at three sizes.

        They are [M, nf, h, w], [M, nf, h/2, w/2] and [M, nf, h/4, w/4], where h, w are H, W, or
        H/4, W/4 with `HR_in`. Who goes through a video computes them once for each frame.
        """
        if self._deblurs:
            full = self.cov_1(self.pre_deblur(frames))
        else:
            full = leaky_relu(self.conv_first(frames))
        full = self.feature_extractor(full)
        half = leaky_relu(self.fea_L2_conv1(full))
        half = leaky_relu(self.fea_L2_conv2(half))
        quarter = leaky_relu(self.fea_L3_conv1(half))
        quarter = leaky_relu(self.fea_L3_conv2(quarter))
        return [full, half, quarter]

    def fuse(self, levels: list[paddle.Tensor], middle: paddle.Tensor) -> paddle.Tensor:
        """Return the output [N, C, s H, s W] of what `extract` found in N windows of frames.

        Args:
            levels: features of N * nframes frames, window by window.
            middle: the windows' middle frames [N, C, H, W].
        """
        c, t = self._channels, self.nframes
        references = []
        for level in levels:
            windows = level.reshape([-1, t * c, 0, 0])  # [N, T * c, h, w]
            reference = windows[:, self.center * c : (self.center + 1) * c]
            reference = paddle.concat([reference] * t, axis=1)
            references.append(reference.reshape([-1, c, 0, 0]))  # [N * T, c, h, w]
        aligned = self.PCDModule(levels, references)
        x = self.TSAModule(aligned.reshape([-1, t * c, 0, 0]))  # [N, c, h, w]
        x = self.reconstructor(x)
        x = leaky_relu(F.pixel_shuffle(self.upconv1(x), 2))  # [N, c, 2 h, 2 w]
        x = leaky_relu(F.pixel_shuffle(self.upconv2(x), 2))  # [N, 64, 4 h, 4 w]
        x = self.conv_last(leaky_relu(self.HRconv(x)))
        if self.scale == 1:
            return x + middle
        return x + F.interpolate(middle, scale_factor=4, mode="bilinear", align_corners=False)

    def start_as_bilinear(self) -> None:
        """Let the network begin as bilinear enlargement, the middle frame at hand in all layers.

        Training of minutes then does not go into learning to copy: as the paper has it, a colour
        passes eight random layers before it comes to the last one.

        Raises:
            ConfigError: the network sharpens frames by themselves first (`predeblur`), or has fewer
                features than a frame has channels.
        """
        n, c = self._frame_channels, self._channels
        if self._deblurs or c < n:
            raise ConfigError(
                "model.start_as_bilinear: EDVRNet begins as bilinear enlargement without predeblur "
                "and with nf of at least in_nf only"
            )
        twice = np.full((1, 1, 1), 2.0, np.float32)  # samples of these layers count one half
        hand_through(self.conv_first, n)
        hand_through(self.PCDModule.PCD_Align_L1_dcn.dcn, n, twice)
        hand_through(self.PCDModule.PCD_Align_L1_fea_conv, n)
        hand_through(self.PCDModule.PCD_Align_cascade_dcn.dcn, n, twice)
        if self._attends:
            self.TSAModule.start_plain()
            fusion = self.TSAModule.fea_fusion
        else:
            fusion = self.TSAModule
        weight, bias = fusion.weight.numpy(), fusion.bias.numpy()
        weight[:n], bias[:n] = 0.0, 0.0
        for channel in range(n):
            # All frames count one half where attention has learned nothing yet.
            weight[channel, self.center * c + channel] = 2.0 if self._attends else 1.0
        fusion.weight.set_value(weight)
        fusion.bias.set_value(bias)
        for conv in (self.upconv1, self.upconv2):
            hand_through(conv, n, bilinear_kernels(2))
        hand_through(self.HRconv, n)
        start_at_zero(self.conv_last)

    def _check(self, x: paddle.Tensor) -> None:
        if x.ndim != 5 or x.shape[1] != self.nframes or x.shape[2] != self._frame_channels:
            raise ConfigError(
                f"EDVRNet takes windows of {self.nframes} frames [N, {self.nframes}, "
                f"{self._frame_channels}, H, W], got {list(x.shape)}: set the dataset's num_frames "
                "and the network's nframes to the same number"
            )
        sides = [side for side in x.shape[3:] if isinstance(side, int) and side > 0]
        if any(side % self.size_multiple for side in sides):
            raise ConfigError(
                f"EDVRNet takes frames whose sides are multiples of {self.size_multiple}, got "
                f"{x.shape[4]} x {x.shape[3]} pixels: crop or pad them"
            )


def _check_scale(scale_factor: int, predeblur: bool, has_full_size: bool) -> None:
    if has_full_size and not predeblur:
        raise ValueError("HR_in needs predeblur: that is where the frames are made smaller")
    expected = (1, 4) if has_full_size else (4,)
    if scale_factor not in expected:
        raise ValueError(
            f"scale_factor is {scale_factor}, expected {' or '.join(map(str, expected))} where "
            f"HR_in is {has_full_size}"
        )


def _initialise(net: nn.Layer) -> None:
    """Draw weights as the paper's own code does: residual blocks begin near the identity."""
    offsets = {
        id(layer.conv_offset_mask)
        for layer in net.sublayers()
        if isinstance(layer, OffsetDeformConv2D)
    }
    inner = {
        id(conv)
        for layer in net.sublayers()
        if isinstance(layer, ResidualBlock)
        for conv in (layer.conv1, layer.conv2)
    }
    for layer in net.sublayers():
        if not isinstance(layer, (nn.Conv2D, DeformConv2D)) or id(layer) in offsets:
            continue
        fan_in = layer.weight.shape[1] * layer.weight.shape[2] * layer.weight.shape[3]
        if id(layer) in inner:
            nn.initializer.Normal(0.0, 0.1 * (2.0 / fan_in) ** 0.5)(layer.weight)
            nn.initializer.Constant(0.0)(layer.bias)
        elif isinstance(layer, DeformConv2D):
            _uniform(fan_in)(layer.weight)
            nn.initializer.Constant(0.0)(layer.bias)
        else:
            _uniform(fan_in)(layer.weight)
            _uniform(fan_in)(layer.bias)


def _uniform(fan_in: int) -> Any:
    limit = fan_in**-0.5
    return nn.initializer.Uniform(-limit, limit)
