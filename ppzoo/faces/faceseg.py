# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's network for portraits: a fully convolutional head on HRNet-W18.

Sun et al. 2019, "Deep high-resolution representation learning for human pose estimation"
(arXiv:1902.09212); Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic
segmentation" (arXiv:1411.4038). The layout is that of `faceseg_FCN-HRNetW18.pdparams`.
"""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.conv import Conv2D

_WIDTHS = (18, 36, 72, 144)  # of the branches, each at half the size of the one before
_BLOCKS = 4
_MODULES = {2: 1, 3: 4, 4: 3}  # how often branches are exchanged, by their number


class _ConvNorm(nn.Layer):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        relu: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        # Paddle's "same" pads an even picture at its end alone, where the stride is 2.
        padding = kernel_size // 2 if stride == 1 else "same"
        bias_attr = None if bias else False
        self._conv = Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            bias_attr=bias_attr,
        )
        self._batch_norm = nn.BatchNorm2D(out_channels)
        self.relu = relu

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self._batch_norm(self._conv(x))
        return F.relu(x) if self.relu else x


class _Bottleneck(nn.Layer):
    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(in_channels, width, 1)
        self.conv2 = _ConvNorm(width, width)
        self.conv3 = _ConvNorm(width, 4 * width, 1, relu=False)
        self.widens = in_channels != 4 * width
        if self.widens:
            self.conv_down = _ConvNorm(in_channels, 4 * width, 1, relu=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        shortcut = self.conv_down(x) if self.widens else x
        return F.relu(self.conv3(self.conv2(self.conv1(x))) + shortcut)


class _BasicBlock(nn.Layer):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(width, width)
        self.conv2 = _ConvNorm(width, width, relu=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.relu(self.conv2(self.conv1(x)) + x)


class _Branches(nn.Layer):
    """Blocks at each of the sizes."""

    def __init__(self, count: int, name: str) -> None:
        super().__init__()
        self.names = [
            [f"bb_{name}_branch_layer_{i + 1}_{j + 1}" for j in range(_BLOCKS)]
            for i in range(count)
        ]
        for names, width in zip(self.names, _WIDTHS, strict=False):
            for block in names:
                self.add_sublayer(block, _BasicBlock(width))

    def forward(self, xs: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        results = []
        for x, names in zip(xs, self.names, strict=True):
            for block in names:
                x = getattr(self, block)(x)
            results.append(x)
        return results


class _Exchange(nn.Layer):
    """Each size gets the sum of all sizes, brought to its own."""

    def __init__(self, count: int, name: str) -> None:
        super().__init__()
        self.name, self.count = name, count
        for i, target in enumerate(_WIDTHS[:count]):
            for j, source in enumerate(_WIDTHS[:count]):
                if j > i:
                    layer = _ConvNorm(source, target, 1, relu=False)
                    self.add_sublayer(f"residual_{name}_layer_{i + 1}_{j + 1}", layer)
                for k in range(i - j):
                    is_last = k == i - j - 1
                    out = target if is_last else source
                    layer = _ConvNorm(source, out, stride=2, relu=not is_last)
                    self.add_sublayer(f"residual_{name}_layer_{i + 1}_{j + 1}_{k + 1}", layer)

    def forward(self, xs: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        return [F.relu(self._sum(xs, i)) for i in range(self.count)]

    def _sum(self, xs: Sequence[paddle.Tensor], i: int) -> paddle.Tensor:
        total = xs[i]
        for j in range(self.count):
            name = f"residual_{self.name}_layer_{i + 1}_{j + 1}"
            if j > i:
                total = total + _resized(getattr(self, name)(xs[j]), total)
            elif j < i:
                y = xs[j]
                for k in range(i - j):
                    y = getattr(self, f"{name}_{k + 1}")(y)
                total = total + y
        return total


class _Module(nn.Layer):
    def __init__(self, count: int, name: str) -> None:
        super().__init__()
        self.branches_func = _Branches(count, name)
        self.fuse_func = _Exchange(count, name)

    def forward(self, xs: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        return self.fuse_func(self.branches_func(xs))


class HRNetW18(nn.Layer):
    """Four branches at 1/4 to 1/32 of the size that exchange what they see."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_layer1_1 = _ConvNorm(3, 64, stride=2)
        self.conv_layer1_2 = _ConvNorm(64, 64, stride=2)
        blocks = [_Bottleneck(64 if i == 0 else 256, 64) for i in range(_BLOCKS)]
        self.la1 = nn.Sequential(*((f"bb_layer2_{i + 1}", b) for i, b in enumerate(blocks)))
        self.tr1 = _named(
            transition_tr1_layer_1=_ConvNorm(256, _WIDTHS[0]),
            transition_tr1_layer_2=_ConvNorm(256, _WIDTHS[1], stride=2),
        )
        self.st2 = self._stage(2)
        self.tr2 = _named(transition_tr2_layer_3=_ConvNorm(_WIDTHS[1], _WIDTHS[2], stride=2))
        self.st3 = self._stage(3)
        self.tr3 = _named(transition_tr3_layer_4=_ConvNorm(_WIDTHS[2], _WIDTHS[3], stride=2))
        self.st4 = self._stage(4)

    @staticmethod
    def _stage(count: int) -> nn.Sequential:
        names = [f"st{count}_{i + 1}" for i in range(_MODULES[count])]
        return nn.Sequential(*((f"stage_{name}", _Module(count, name)) for name in names))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map pictures [N, 3, H, W] to features [N, 270, H/4, W/4]."""
        x = self.la1(self.conv_layer1_2(self.conv_layer1_1(x)))
        xs = self.st2([self.tr1.transition_tr1_layer_1(x), self.tr1.transition_tr1_layer_2(x)])
        xs = self.st3([*xs, self.tr2.transition_tr2_layer_3(xs[-1])])
        xs = self.st4([*xs, self.tr3.transition_tr3_layer_4(xs[-1])])
        return paddle.concat([xs[0], *(_resized(x, xs[0]) for x in xs[1:])], axis=1)


class FaceSegFCN(nn.Layer):
    """Tells a person from the background.

    Args:
        num_classes: classes, the background among them.
    """

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.backbone = HRNetW18()
        width = sum(_WIDTHS)
        self.head = _named(
            conv_1=_ConvNorm(width, width, 1, bias=True), cls=Conv2D(width, num_classes, 1)
        )

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """Return the scores of the classes, before softmax, as the only item of a list.

        Args:
            x: pictures [N, 3, H, W] in [0, 1].

        Returns:
            [N, num_classes, H, W].
        """
        scores = self.head.cls(self.head.conv_1(self.backbone(x)))
        return [_resized(scores, x)]


def _named(**layers: nn.Layer) -> nn.Layer:
    """Return a layer that only holds others."""
    holder = nn.Layer()
    for name, layer in layers.items():
        holder.add_sublayer(name, layer)
    return holder


def _resized(x: paddle.Tensor, like: paddle.Tensor) -> paddle.Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
