# SPDX-License-Identifier: Apache-2.0
"""The discriminator of ESRGAN for pictures of 128 pixels (Wang et al. 2018, arXiv:1809.00219)."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.checks import check_at_least
from ppzoo.nn.conv import Conv2D
from ppzoo.registry import DISCRIMINATORS

_SLOPE = 0.2
_SIDE = 128
_STAGES = 5  # each halves the picture; 128 pixels become 4


@DISCRIMINATORS.register()
class VGGDiscriminator128(nn.Layer):
    """Halve a picture of 128 x 128 pixels five times, then score what is left of it.

    Args:
        in_channels: channels of the picture.
        num_feat: channels of the first stage; they double up to eight times that.
        norm_layer: `batch`, the only norm that PaddleGAN has here.
    """

    def __init__(self, in_channels: int, num_feat: int, norm_layer: str = "batch") -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, num_feat=num_feat)
        if norm_layer != "batch":
            raise ValueError(f"norm_layer is {norm_layer!r}, VGGDiscriminator128 has 'batch' only")
        self.in_channels = in_channels
        arriving = in_channels
        for stage in range(_STAGES):
            width = num_feat * min(2**stage, 8)
            # The first convolution has a bias, since no batch norm follows it.
            bias = None if stage == 0 else False
            self.add_sublayer(
                f"conv{stage}_0", Conv2D(arriving, width, 3, padding=1, bias_attr=bias)
            )
            if stage > 0:
                self.add_sublayer(f"bn{stage}_0", nn.BatchNorm2D(width))
            self.add_sublayer(
                f"conv{stage}_1", Conv2D(width, width, 4, stride=2, padding=1, bias_attr=False)
            )
            self.add_sublayer(f"bn{stage}_1", nn.BatchNorm2D(width))
            arriving = width
        left = _SIDE >> _STAGES
        self.linear1 = nn.Linear(arriving * left * left, 100)
        self.linear2 = nn.Linear(100, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Score pictures.

        Args:
            x: [N, in_channels, 128, 128].

        Returns:
            [N, 1], logits.

        Raises:
            ConfigError: another size.
        """
        if list(x.shape[1:]) != [self.in_channels, _SIDE, _SIDE]:
            raise ConfigError(
                f"VGGDiscriminator128 scores pictures [{self.in_channels}, {_SIDE}, {_SIDE}], got "
                f"{list(x.shape[1:])}: make the crop of the truth (gt_patch_size) {_SIDE} pixels"
            )
        for stage in range(_STAGES):
            for half in range(2):
                x = getattr(self, f"conv{stage}_{half}")(x)
                if (stage, half) != (0, 0):
                    x = getattr(self, f"bn{stage}_{half}")(x)
                x = F.leaky_relu(x, _SLOPE)
        x = F.leaky_relu(self.linear1(x.flatten(start_axis=1)), _SLOPE)
        return self.linear2(x)
