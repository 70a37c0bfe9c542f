# SPDX-License-Identifier: Apache-2.0
"""BiSeNet: semantic segmentation with a context path on ResNet-18, here for the parts of faces.

Yu et al. 2018, "BiSeNet: bilateral segmentation network for real-time semantic segmentation"
(arXiv:1808.00897), in the variant for face parsing that PaddleGAN's weights belong to: the spatial
path is replaced by the backbone's features at an eighth of the size.

Unlike PaddleGAN's, the network downloads no ImageNet weights when it is built.
"""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.vision.models import resnet18

from ppzoo.errors import DataError
from ppzoo.nn.conv import Conv2D

# Below, the features at a thirty-second of the size are a single pixel or none.
MIN_SIZE = 32


class ConvBNReLU(nn.Layer):
    """Convolution without bias that keeps the size, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = Conv2D(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias_attr=False
        )
        self.bn = nn.BatchNorm2D(out_channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, H, W]."""
        return F.relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Layer):
    """Features, each channel weighted by what the whole picture says of it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, out_channels)
        self.conv_atten = Conv2D(out_channels, out_channels, 1, bias_attr=False)
        self.bn_atten = nn.BatchNorm2D(out_channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, H, W]."""
        features = self.conv(x)
        weights = self.bn_atten(self.conv_atten(F.adaptive_avg_pool2d(features, 1)))
        return features * F.sigmoid(weights)


class ContextPath(nn.Layer):
    """What is in the picture as a whole, brought back from a thirty-second of the size."""

    def __init__(self) -> None:
        super().__init__()
        # Its classifier `fc` is unused, but PaddleGAN's weights have it.
        self.backbone = resnet18(pretrained=False)
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128)
        self.conv_head16 = ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, kernel_size=1)

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Return features of the backbone at 1/8, and context at 1/8 and 1/16 of the size.

        Args:
            x: pictures [N, 3, H, W].

        Returns:
            [N, 128, H/8, W/8] twice, and [N, 128, H/16, W/16].
        """
        net = self.backbone
        x = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
        at8 = net.layer2(x)
        at16 = net.layer3(at8)
        at32 = net.layer4(at16)
        whole = self.conv_avg(F.adaptive_avg_pool2d(at32, 1))
        context16 = self.conv_head32(_enlarged(self.arm32(at32) + whole, at16))
        context8 = self.conv_head16(_enlarged(self.arm16(at16) + context16, at8))
        return at8, context8, context16


class FeatureFusion(nn.Layer):
    """Detail and context joined, each channel raised by what the whole picture says of it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(in_channels, out_channels, kernel_size=1)
        self.conv1 = Conv2D(out_channels, out_channels // 4, 1, bias_attr=False)
        self.conv2 = Conv2D(out_channels // 4, out_channels, 1, bias_attr=False)

    def forward(self, detail: paddle.Tensor, context: paddle.Tensor) -> paddle.Tensor:
        """Join [N, C1, H, W] and [N, C2, H, W] to [N, O, H, W]."""
        x = self.convblk(paddle.concat([detail, context], axis=1))
        weights = F.sigmoid(self.conv2(F.relu(self.conv1(F.adaptive_avg_pool2d(x, 1)))))
        return x + x * weights


class SegmentationHead(nn.Layer):
    """Scores of the classes from features."""

    def __init__(self, in_channels: int, hidden: int, n_classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, hidden)
        self.conv_out = Conv2D(hidden, n_classes, 1, bias_attr=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to scores [N, n_classes, H, W]."""
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Layer):
    """The whole network, in the layout of PaddleGAN's weights.

    Args:
        n_classes: classes to tell apart, the background among them.
    """

    def __init__(self, n_classes: int = 19) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = SegmentationHead(256, 256, n_classes)
        self.conv_out16 = SegmentationHead(128, 64, n_classes)
        self.conv_out32 = SegmentationHead(128, 64, n_classes)

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Return the scores of the classes, and those of the two auxiliary heads for training.

        Args:
            x: pictures [N, 3, H, W], normalised with ImageNet's mean and standard deviation, H and
                W at least 32.

        Returns:
            three tensors [N, n_classes, H, W], before softmax, enlarged without interpolation.

        Raises:
            DataError: the pictures are too small.
        """
        detail, context8, context16 = self._paths(x)
        scores = (
            self.conv_out(self.ffm(detail, context8)),
            self.conv_out16(context8),
            self.conv_out32(context16),
        )
        return tuple(_enlarged(score, x) for score in scores)

    def scores(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return the scores of the classes [N, n_classes, H/8, W/8] as they leave the main head.

        Args:
            x: pictures as for `forward`.

        Raises:
            DataError: the pictures are too small.
        """
        detail, context8, _ = self._paths(x)
        return self.conv_out(self.ffm(detail, context8))

    def _paths(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        if paddle.in_dynamic_mode() and min(x.shape[2:]) < MIN_SIZE:
            raise DataError(
                f"BiSeNet needs pictures of at least {MIN_SIZE} x {MIN_SIZE} pixels, got "
                f"{x.shape[2]} x {x.shape[3]}"
            )
        return self.cp(x)


def _enlarged(x: paddle.Tensor, like: paddle.Tensor) -> paddle.Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="nearest")
