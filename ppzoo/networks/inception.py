# SPDX-License-Identifier: Apache-2.0
"""InceptionV3 as FID and KID use it (Szegedy et al. 2015, arXiv:1512.00567).

The variant is that of TensorFlow's Inception of December 2015, on which published FIDs rest:
average pooling leaves the padding out, and the last block pools by maximum. Names and layout of the
weights are PaddleGAN's (`InceptionV3.pdparams`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.conv import Conv2D

SIDE = 299
# Number of features -> index of the block that gives them.
BLOCK_OF_DIMS = {64: 0, 192: 1, 768: 2, 2048: 3}

Pool = Callable[[paddle.Tensor], paddle.Tensor]


class InceptionV3(nn.Layer):
    """A classifier without its last layer, cut into four blocks whose outputs are features.

    Args:
        output_blocks: the blocks whose outputs are wanted: 0 (64 channels), 1 (192), 2 (768) and 3
            (2048, averaged over the picture). What lies behind the last one is left out.
        resize_input: bring pictures of any size to 299 x 299.
        normalize_input: pictures come in [0, 1] instead of [-1, 1].

    Raises:
        ValueError: no block, or one that there is not.
    """

    def __init__(
        self,
        output_blocks: Sequence[int] = (3,),
        resize_input: bool = True,
        normalize_input: bool = True,
    ) -> None:
        super().__init__()
        if not output_blocks or not set(output_blocks) <= {0, 1, 2, 3}:
            raise ValueError(f"output_blocks must be some of 0, 1, 2, 3, got {list(output_blocks)}")
        self.output_blocks = sorted(output_blocks)
        self.resize_input = resize_input
        self.normalize_input = normalize_input
        last = self.output_blocks[-1]

        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padding=1)
        if last >= 1:
            self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
            self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)
        if last >= 2:
            self.Mixed_5b = BlockA(192, pool_features=32)
            self.Mixed_5c = BlockA(256, pool_features=64)
            self.Mixed_5d = BlockA(288, pool_features=64)
            self.Mixed_6a = BlockB(288)
            self.Mixed_6b = BlockC(768, inner=128)
            self.Mixed_6c = BlockC(768, inner=160)
            self.Mixed_6d = BlockC(768, inner=160)
            self.Mixed_6e = BlockC(768, inner=192)
        if last >= 3:
            self.Mixed_7a = BlockD(768)
            self.Mixed_7b = BlockE(1280, pool=_average_pool)
            self.Mixed_7c = BlockE(2048, pool=_maximum_pool)

    def forward(self, x: paddle.Tensor) -> tuple[list[paddle.Tensor], None]:
        """Map pictures to features.

        Args:
            x: [N, 3, H, W] in [-1, 1], or in [0, 1] with `normalize_input`.

        Returns:
            The outputs of the wanted blocks, from the first to the last: [N, 64, 73, 73],
            [N, 192, 35, 35], [N, 768, 17, 17] and [N, 2048, 1, 1] for 299 x 299 pixels; and None
            in the place where PaddleGAN has the output of a second classifier.
        """
        if self.resize_input and list(x.shape[2:]) != [SIDE, SIDE]:
            x = F.interpolate(x, size=[SIDE, SIDE], mode="bilinear", align_corners=False)
        if self.normalize_input:
            x = x * 2 - 1
        outputs = []
        for index, block in enumerate((self._block0, self._block1, self._block2, self._block3)):
            x = block(x)
            if index in self.output_blocks:
                outputs.append(x)
            if index == self.output_blocks[-1]:
                break
        return outputs, None

    def _block0(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        return F.max_pool2d(x, 3, stride=2)

    def _block1(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, stride=2)

    def _block2(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        return self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))

    def _block3(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return F.adaptive_avg_pool2d(x, 1)


class ConvNorm(nn.Layer):
    """A convolution without bias, batch norm, ReLU."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = Conv2D(c_in, c_out, kernel, stride=stride, padding=padding, bias_attr=False)
        self.bn = nn.BatchNorm2D(c_out, epsilon=0.001)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W]."""
        return F.relu(self.bn(self.conv(x)))


class BlockA(nn.Layer):
    """1 x 1, 5 x 5, two 3 x 3, and pooling, side by side: 224 channels and `pool_features`."""

    def __init__(self, c_in: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(c_in, 64, 1)
        self.branch5x5_1 = ConvNorm(c_in, 48, 1)
        self.branch5x5_2 = ConvNorm(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = ConvNorm(c_in, 64, 1)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, padding=1)
        self.branch_pool = ConvNorm(c_in, pool_features, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, 224 + pool_features, H, W]."""
        branches = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(_average_pool(x)),
        ]
        return paddle.concat(branches, axis=1)


class BlockB(nn.Layer):
    """Halves height and width: 480 channels and those of the input."""

    def __init__(self, c_in: int) -> None:
        super().__init__()
        self.branch3x3 = ConvNorm(c_in, 384, 3, stride=2)
        self.branch3x3dbl_1 = ConvNorm(c_in, 64, 1)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, stride=2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, 480 + C, H', W']."""
        branches = [
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            F.max_pool2d(x, 3, stride=2),
        ]
        return paddle.concat(branches, axis=1)


class BlockC(nn.Layer):
    """7 x 7 in steps of 1 x 7 and 7 x 1, once and twice: 768 channels."""

    def __init__(self, c_in: int, inner: int) -> None:
        super().__init__()
        wide = {"kernel": (1, 7), "padding": (0, 3)}
        high = {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = ConvNorm(c_in, 192, 1)
        self.branch7x7_1 = ConvNorm(c_in, inner, 1)
        self.branch7x7_2 = ConvNorm(inner, inner, **wide)
        self.branch7x7_3 = ConvNorm(inner, 192, **high)
        self.branch7x7dbl_1 = ConvNorm(c_in, inner, 1)
        self.branch7x7dbl_2 = ConvNorm(inner, inner, **high)
        self.branch7x7dbl_3 = ConvNorm(inner, inner, **wide)
        self.branch7x7dbl_4 = ConvNorm(inner, inner, **high)
        self.branch7x7dbl_5 = ConvNorm(inner, 192, **wide)
        self.branch_pool = ConvNorm(c_in, 192, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, 768, H, W]."""
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        branches = [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(_average_pool(x)),
        ]
        return paddle.concat(branches, axis=1)


class BlockD(nn.Layer):
    """Halves height and width: 512 channels and those of the input."""

    def __init__(self, c_in: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvNorm(c_in, 192, 1)
        self.branch3x3_2 = ConvNorm(192, 320, 3, stride=2)
        self.branch7x7x3_1 = ConvNorm(c_in, 192, 1)
        self.branch7x7x3_2 = ConvNorm(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvNorm(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvNorm(192, 192, 3, stride=2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, 512 + C, H', W']."""
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        branches = [
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(seven),
            F.max_pool2d(x, 3, stride=2),
        ]
        return paddle.concat(branches, axis=1)


class BlockE(nn.Layer):
    """3 x 3 as 1 x 3 beside 3 x 1, once and twice: 2048 channels.

    Args:
        c_in: channels of the input.
        pool: by average, or by maximum in the last block.
    """

    def __init__(self, c_in: int, pool: Pool) -> None:
        super().__init__()
        wide = {"kernel": (1, 3), "padding": (0, 1)}
        high = {"kernel": (3, 1), "padding": (1, 0)}
        self.pool = pool
        self.branch1x1 = ConvNorm(c_in, 320, 1)
        self.branch3x3_1 = ConvNorm(c_in, 384, 1)
        self.branch3x3_2a = ConvNorm(384, 384, **wide)
        self.branch3x3_2b = ConvNorm(384, 384, **high)
        self.branch3x3dbl_1 = ConvNorm(c_in, 448, 1)
        self.branch3x3dbl_2 = ConvNorm(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = ConvNorm(384, 384, **wide)
        self.branch3x3dbl_3b = ConvNorm(384, 384, **high)
        self.branch_pool = ConvNorm(c_in, 192, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, 2048, H, W]."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        ]
        return paddle.concat(branches, axis=1)


def _average_pool(x: paddle.Tensor) -> paddle.Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, exclusive=True)


def _maximum_pool(x: paddle.Tensor) -> paddle.Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)
