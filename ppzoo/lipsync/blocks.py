# SPDX-License-Identifier: Apache-2.0
"""What the networks of lip-sync models are made of."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.conv import Conv2D, Conv2DTranspose

Size = int | tuple[int, int]
# (channels, kernel, stride, padding) of a convolution; an integer n stands for n residual ones.
Step = tuple[int, Size, Size, int] | int


class ConvBlock(nn.Layer):
    """Convolution, batch norm and ReLU; a residual one adds its input before the ReLU.

    Args:
        c_in: channels of the input.
        c_out: channels of the output.
        kernel: its size.
        stride: of the convolution.
        padding: likewise.
        residual: whether to add the input, whose shape is the output's then.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Size,
        stride: Size = 1,
        padding: int = 0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        conv = Conv2D(c_in, c_out, kernel, stride=stride, padding=padding)
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2D(c_out))
        self.residual = residual

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W]."""
        out = self.conv_block(x)
        return F.relu(out + x if self.residual else out)


class TransposedBlock(nn.Layer):
    """Transposed convolution, batch norm and ReLU.

    Args:
        c_in: channels of the input.
        c_out: channels of the output.
        stride: 2 doubles the size; 1 makes 3 x 3 of one pixel.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        grow = stride - 1
        conv = Conv2DTranspose(c_in, c_out, 3, stride=stride, padding=grow, output_padding=grow)
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2D(c_out))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W]."""
        return F.relu(self.conv_block(x))


class PlainBlock(nn.Layer):
    """Convolution and leaky ReLU; see `ConvBlock` for the arguments."""

    def __init__(
        self, c_in: int, c_out: int, kernel: Size, stride: Size = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(Conv2D(c_in, c_out, kernel, stride=stride, padding=padding))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W]."""
        return F.leaky_relu(self.conv_block(x), 0.01)


def stack(c_in: int, steps: Sequence[Step]) -> nn.Sequential:
    """Return convolution blocks one after another."""
    layers: list[nn.Layer] = []
    for step in steps:
        if isinstance(step, int):
            layers += [ConvBlock(c_in, c_in, 3, 1, 1, residual=True) for _ in range(step)]
        else:
            layers.append(ConvBlock(c_in, *step))
            c_in = step[0]
    return nn.Sequential(*layers)


def audio_encoder(ngf: int, last_residuals: int) -> nn.Sequential:
    """Return what makes an embedding [N, 16 ngf, 1, 1] of a mel spectrogram [N, 1, 80, 16].

    Args:
        ngf: channels of the first layer.
        last_residuals: residual blocks at 3 x 3, of which Wav2Lip has one and SyncNet two.
    """
    return stack(
        1,
        [
            *((ngf, 3, 1, 1), 2),
            *((2 * ngf, 3, (3, 1), 1), 2),
            *((4 * ngf, 3, 3, 1), 2),
            *((8 * ngf, 3, (3, 2), 1), last_residuals),
            (16 * ngf, 3, 1, 0),
            (16 * ngf, 1, 1, 0),
        ],
    )
