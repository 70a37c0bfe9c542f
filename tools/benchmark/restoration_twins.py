# SPDX-License-Identifier: Apache-2.0
"""RRDBNet and EDVR in plain PyTorch, as one would write them there.

Parameters have the names and shapes of ppzoo's, so that inference.py can load the same weights and
compare results. Imported by twins.py only, in an environment that has torch and not Paddle.
"""

from __future__ import annotations

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
