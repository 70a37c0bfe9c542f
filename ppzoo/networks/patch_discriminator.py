# SPDX-License-Identifier: Apache-2.0
"""The PatchGAN discriminator of pix2pix (Isola et al. 2017, arXiv:1611.07004).

Shared by WGAN, conditional DCGAN, pix2pix and CycleGAN. Each output value judges one patch of the
input; with 28 x 28 digits and three layers a single value is left, so it judges the picture.
"""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.checks import check_at_least
from ppzoo.nn.conv import Conv2D
from ppzoo.nn.norm import NormType, build_norm_layer
from ppzoo.registry import DISCRIMINATORS


@DISCRIMINATORS.register()
class NLayerDiscriminator(nn.Layer):
    """Strided 4 x 4 convolutions that end in a map of patch scores.

    With `norm_type: spectral` the leaky slope is 0.01, else 0.2 (PaddleGAN's values).

    Args:
        input_nc: channels of the input.
        ndf: channels after the first layer; they double up to eight times that.
        n_layers: convolutions of stride 2.
        norm_type: normalisation between them.
        use_sigmoid: end in a sigmoid. The scores before it are `logits(x)`.
    """

    def __init__(
        self,
        input_nc: int,
        ndf: int = 64,
        n_layers: int = 3,
        norm_type: NormType = "instance",
        use_sigmoid: bool = False,
    ) -> None:
        super().__init__()
        check_at_least(1, input_nc=input_nc, ndf=ndf, n_layers=n_layers)
        spectral = norm_type == "spectral"
        # A bias in front of a norm that subtracts the mean is idle; PaddleGAN's frozen instance
        # norm has it all the same, its unnormalised variant does not.
        inner_bias = norm_type in ("instance", "spectral")
        norm = build_norm_layer(norm_type)

        layers: list[nn.Layer] = []

        def add(c_in: int, c_out: int, stride: int, normalise: bool) -> None:
            conv = Conv2D(
                c_in, c_out, 4, stride=stride, padding=1, bias_attr=None if inner_bias else False
            )
            if spectral:
                layers.append(norm(conv))
            else:
                layers.append(conv)
                if normalise:
                    layers.append(norm(c_out))
            layers.append(nn.LeakyReLU(0.01 if spectral else 0.2))

        widths = [ndf * min(2**n, 8) for n in range(n_layers + 1)]
        add(input_nc, widths[0], stride=2, normalise=False)
        for n in range(1, n_layers + 1):
            add(widths[n - 1], widths[n], stride=2 if n < n_layers else 1, normalise=True)
        last = Conv2D(widths[-1], 1, 4, stride=1, padding=1, bias_attr=False if spectral else None)
        layers.append(norm(last) if spectral else last)
        if use_sigmoid:
            layers.append(nn.Sigmoid())

        self.model = nn.Sequential(*layers)
        self.use_sigmoid = use_sigmoid

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Score `x` [N, input_nc, H, W]; returns [N, 1, H', W'], in (0, 1) with `use_sigmoid`."""
        return self.model(x)

    def logits(self, x: paddle.Tensor) -> paddle.Tensor:
        """Score `x` as `forward` does, without the final sigmoid."""
        layers = list(self.model)
        for layer in layers[:-1] if self.use_sigmoid else layers:
            x = layer(x)
        return x


@DISCRIMINATORS.register()
class NLayerDiscriminatorWithClassification(NLayerDiscriminator):
    """A patch discriminator that sees the class as one-hot maps beside the picture.

    Args:
        input_nc: channels of the picture alone.
        n_class: number of classes.
        ndf, n_layers, norm_type, use_sigmoid: as in `NLayerDiscriminator`.
    """

    def __init__(
        self,
        input_nc: int,
        n_class: int = 10,
        ndf: int = 64,
        n_layers: int = 3,
        norm_type: NormType = "instance",
        use_sigmoid: bool = False,
    ) -> None:
        check_at_least(1, input_nc=input_nc, n_class=n_class)
        super().__init__(input_nc + n_class, ndf, n_layers, norm_type, use_sigmoid)
        self.n_class = n_class

    def forward(self, x: paddle.Tensor, class_id: paddle.Tensor) -> paddle.Tensor:
        """Score `x` [N, input_nc, H, W] given `class_id` [N], taken modulo `n_class`."""
        return super().forward(self._with_class(x, class_id))

    def logits(self, x: paddle.Tensor, class_id: paddle.Tensor) -> paddle.Tensor:
        """Score `x` given its class as `forward` does, without the final sigmoid."""
        return super().logits(self._with_class(x, class_id))

    def _with_class(self, x: paddle.Tensor, class_id: paddle.Tensor) -> paddle.Tensor:
        maps = F.one_hot(class_id % self.n_class, self.n_class).astype(x.dtype)
        maps = maps.reshape([x.shape[0], self.n_class, 1, 1])
        maps = maps.expand([x.shape[0], self.n_class, x.shape[2], x.shape[3]])
        # For a gradient penalty: Paddle's double gradient of concat fails on an input without one.
        maps.stop_gradient = False
        return paddle.concat([x, maps], axis=1)
