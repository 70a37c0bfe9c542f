# SPDX-License-Identifier: Apache-2.0
"""RRDBNet and EDVR in plain PyTorch, as one would write them there.

Parameters have the names and shapes of ppzoo's, so that inference.py can load the same weights and
compare results. Imported by twins.py only, in an environment that has torch and not Paddle.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import nn


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution that keeps the size, or halves it with a stride of 2."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all results before it."""

    def __init__(self, nf: int, gc: int) -> None:
        super().__init__()
        for i in range(1, 6):
            setattr(self, f"conv{i}", conv3(nf + (i - 1) * gc, gc if i < 5 else nf))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [x]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen.append(F.leaky_relu(conv(torch.cat(seen, 1)), 0.2, inplace=True))
        return self.conv5(torch.cat(seen, 1)) * 0.2 + x


class RRDB(nn.Module):
    """Three dense blocks."""

    def __init__(self, nf: int, gc: int) -> None:
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = (DenseBlock(nf, gc) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.RDB3(self.RDB2(self.RDB1(x))) * 0.2 + x


class RRDBNet(nn.Module):
    """ESRGAN's generator, four times as large."""

    def __init__(self, nf: int = 64, nb: int = 23, gc: int = 32) -> None:
        super().__init__()
        self.conv_first = conv3(3, nf)
        self.RRDB_trunk = nn.Sequential(*(RRDB(nf, gc) for _ in range(nb)))
        self.trunk_conv, self.upconv1, self.upconv2, self.HRconv = (conv3(nf, nf) for _ in range(4))
        self.conv_last = conv3(nf, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_first(x)
        x = x + self.trunk_conv(self.RRDB_trunk(x))
        for conv in (self.upconv1, self.upconv2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2)), 0.2, inplace=True)
        return self.conv_last(F.leaky_relu(self.HRconv(x), 0.2, inplace=True))


class ResidualBlock(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, nf: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv3(nf, nf), conv3(nf, nf)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.relu(self.conv1(x), inplace=True))


def residual_blocks(number: int, nf: int) -> nn.Sequential:
    """Return so many blocks in a row."""
    blocks = nn.Sequential()
    for i in range(number):
        blocks.add_module(f"block{i}", ResidualBlock(nf))
    return blocks


def lrelu(x: torch.Tensor) -> torch.Tensor:
    """Return EDVR's activation."""
    return F.leaky_relu(x, 0.1, inplace=True)


def double(x: torch.Tensor) -> torch.Tensor:
    """Return twice the size."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Deform(nn.Module):
    """torchvision's deformable convolution, and what computes its offsets."""

    def __init__(self, nf: int, groups: int) -> None:
        super().__init__()
        from torchvision.ops import DeformConv2d

        self.conv_offset_mask = conv3(nf, groups * 27)
        self.dcn = DeformConv2d(nf, nf, 3, padding=1)
        self.offsets = groups * 18

    def forward(self, x: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
        places = self.conv_offset_mask(guide)
        mask = torch.sigmoid(places[:, self.offsets :])
        return self.dcn(x, places[:, : self.offsets], mask)


class Align(nn.Module):
    """Pyramid, cascading and deformable alignment."""

    def __init__(self, nf: int, groups: int) -> None:
        super().__init__()
        for level in (3, 2, 1):
            convs = [(1, 2 * nf), (2, nf if level == 3 else 2 * nf), (3, nf)]
            for i, inputs in convs[: 2 if level == 3 else 3]:
                self.add_module(f"PCD_Align_L{level}_offset_conv{i}", conv3(inputs, nf))
            self.add_module(f"PCD_Align_L{level}_dcn", Deform(nf, groups))
            if level < 3:
                self.add_module(f"PCD_Align_L{level}_fea_conv", conv3(2 * nf, nf))
        self.PCD_Align_cas_offset_conv1 = conv3(2 * nf, nf)
        self.PCD_Align_cas_offset_conv2 = conv3(nf, nf)
        self.PCD_Align_cascade_dcn = Deform(nf, groups)

    def part(self, level: int, name: str) -> nn.Module:
        """Return a layer of a level."""
        return getattr(self, f"PCD_Align_L{level}_{name}")

    def forward(self, moved: list[torch.Tensor], fixed: list[torch.Tensor]) -> torch.Tensor:
        offset = features = None
        for level, x, reference in zip((3, 2, 1), moved[::-1], fixed[::-1], strict=True):
            part = functools.partial(self.part, level)
            new = lrelu(part("offset_conv1")(torch.cat([x, reference], 1)))
            if level == 3:
                offset = lrelu(part("offset_conv2")(new))
                features = lrelu(part("dcn")(x, offset))
                continue
            new = lrelu(part("offset_conv2")(torch.cat([new, double(offset) * 2], 1)))
            offset = lrelu(part("offset_conv3")(new))
            both = torch.cat([part("dcn")(x, offset), double(features)], 1)
            features = part("fea_conv")(both)
            if level == 2:
                features = lrelu(features)
        offset = lrelu(self.PCD_Align_cas_offset_conv1(torch.cat([features, fixed[0]], 1)))
        offset = lrelu(self.PCD_Align_cas_offset_conv2(offset))
        return lrelu(self.PCD_Align_cascade_dcn(features, offset))


class Fusion(nn.Module):
    """Temporal and spatial attention."""

    def __init__(self, nf: int, frames: int) -> None:
        super().__init__()
        for name in ("tAtt_1", "tAtt_2", "sAtt_3", "sAtt_5", "sAtt_L3"):
            self.add_module(name, conv3(nf, nf))
        self.sAtt_L2 = conv3(2 * nf, nf)
        for name in ("sAtt_4", "sAtt_add_1", "sAtt_add_2", "sAtt_L1"):
            self.add_module(name, nn.Conv2d(nf, nf, 1))
        self.fea_fusion, self.sAtt_1 = (nn.Conv2d(frames * nf, nf, 1) for _ in range(2))
        self.sAtt_2 = nn.Conv2d(2 * nf, nf, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c, h, w = x.shape
        middle = self.tAtt_2(x[:, t // 2])
        embedded = self.tAtt_1(x.reshape(n * t, c, h, w)).reshape(n, t, c, h, w)
        likeness = torch.sigmoid((embedded * middle[:, None]).sum(2, keepdim=True))
        x = (x * likeness).reshape(n, t * c, h, w)
        features = lrelu(self.fea_fusion(x))
        half = lrelu(self.sAtt_2(self.pool(lrelu(self.sAtt_1(x)))))
        quarter = lrelu(self.sAtt_L2(self.pool(lrelu(self.sAtt_L1(half)))))
        half = lrelu(self.sAtt_3(half)) + double(lrelu(self.sAtt_L3(quarter)))
        attention = self.sAtt_5(double(lrelu(self.sAtt_4(half))))
        shift = self.sAtt_add_2(lrelu(self.sAtt_add_1(attention)))
        return features * torch.sigmoid(attention) * 2 + shift

    @staticmethod
    def pool(x: torch.Tensor) -> torch.Tensor:
        """Return maxima and means at half the size."""
        return torch.cat([F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)], 1)


class EDVRNet(nn.Module):
    """EDVR-M: the middle one of five frames, four times as large; all frames in one batch."""

    def __init__(self, nf: int = 64, frames: int = 5, groups: int = 8, back: int = 10) -> None:
        super().__init__()
        self.conv_first = conv3(3, nf)
        self.feature_extractor = residual_blocks(5, nf)
        self.fea_L2_conv1, self.fea_L3_conv1 = conv3(nf, nf, 2), conv3(nf, nf, 2)
        self.fea_L2_conv2, self.fea_L3_conv2 = conv3(nf, nf), conv3(nf, nf)
        self.PCDModule = Align(nf, groups)
        self.TSAModule = Fusion(nf, frames)
        self.reconstructor = residual_blocks(back, nf)
        self.upconv1, self.upconv2 = conv3(nf, 4 * nf), conv3(nf, 256)
        self.HRconv, self.conv_last = conv3(64, 64), conv3(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c, h, w = x.shape
        levels = [self.feature_extractor(lrelu(self.conv_first(x.reshape(n * t, c, h, w))))]
        for conv1, conv2 in (
            (self.fea_L2_conv1, self.fea_L2_conv2),
            (self.fea_L3_conv1, self.fea_L3_conv2),
        ):
            levels.append(lrelu(conv2(lrelu(conv1(levels[-1])))))
        fixed = []
        for level in levels:
            frames = level.reshape(n, t, *level.shape[1:])
            fixed.append(frames[:, t // 2 : t // 2 + 1].expand_as(frames).reshape(level.shape))
        aligned = self.PCDModule(levels, fixed)
        y = self.reconstructor(self.TSAModule(aligned.reshape(n, t, -1, h, w)))
        for conv in (self.upconv1, self.upconv2):
            y = lrelu(F.pixel_shuffle(conv(y), 2))
        y = self.conv_last(lrelu(self.HRconv(y)))
        middle = x[:, t // 2]
        return y + F.interpolate(middle, scale_factor=4, mode="bilinear", align_corners=False)
