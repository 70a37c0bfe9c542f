# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's pix2pix and DCGAN in plain Paddle: its layers, its order, its way to save.

Layers are made in PaddleGAN's order, which decides the names of parameters in its checkpoints: a
U-Net from the inside, with norms that it makes and never uses.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn


class Level(nn.Layer):
    def __init__(self, outer, inner, inputs=None, inside=None, outermost=False):
        super().__init__()
        inputs = inputs or outer
        down = nn.Conv2D(inputs, inner, 4, stride=2, padding=1, bias_attr=False)
        down_norm, up_norm = nn.BatchNorm(inner), nn.BatchNorm(outer)
        arriving = 2 * inner if inside else inner
        bias = None if outermost else False
        up = nn.Conv2DTranspose(arriving, outer, 4, stride=2, padding=1, bias_attr=bias)
        if outermost:
            layers = [down, inside, nn.ReLU(), up, nn.Tanh()]
        elif inside is None:
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, up_norm]
        else:
            layers = [nn.LeakyReLU(0.2), down, down_norm, inside, nn.ReLU(), up, up_norm]
        self.model = nn.Sequential(*layers)
        self.outermost = outermost

    def forward(self, x):
        return self.model(x) if self.outermost else paddle.concat([x, self.model(x)], 1)


class Unet(nn.Layer):
    """`UnetGenerator` with `num_downs: 5`."""

    def __init__(self, ngf):
        super().__init__()
        block = Level(8 * ngf, 8 * ngf)
        for outer, inner in ((4, 8), (2, 4), (1, 2)):
            block = Level(outer * ngf, inner * ngf, inside=block)
        self.model = Level(3, ngf, inputs=3, inside=block, outermost=True)

    def forward(self, x):
        return self.model(x)


class Patches(nn.Layer):
    """`NLayerDiscriminator` with `n_layers: 2` and batch norm."""

    def __init__(self, inputs, ndf):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2D(inputs, ndf, 4, stride=2, padding=1, bias_attr=False),
            nn.LeakyReLU(0.2),
            nn.Conv2D(ndf, 2 * ndf, 4, stride=2, padding=1, bias_attr=False),
            nn.BatchNorm(2 * ndf),
            nn.LeakyReLU(0.2),
            nn.Conv2D(2 * ndf, 4 * ndf, 4, stride=1, padding=1, bias_attr=False),
            nn.BatchNorm(4 * ndf),
            nn.LeakyReLU(0.2),
            nn.Conv2D(4 * ndf, 1, 4, stride=1, padding=1),
        )

    def forward(self, x):
        return self.model(x)


class Pix2Pix:
    """The model, its two optimizers and its schedule, as the smallest config of ours has them."""

    OPTIMIZERS = ("optimG", "optimD")

    def __init__(self):
        self.nets = {"netG": Unet(4), "netD": Patches(6, 4)}
        self.schedule = paddle.optimizer.lr.LambdaDecay(
            0.0002, lambda step: 1 - max(0, step + 1 - 2) / 9
        )
        self.optimizers = {
            name: paddle.optimizer.Adam(self.schedule, beta1=0.5, parameters=net.parameters())
            for name, net in zip(self.OPTIMIZERS, self.nets.values(), strict=True)
        }
        self.iteration = 0

    def train(self, batch: Mapping[str, paddle.Tensor]) -> dict[str, float]:
        source, target = batch["A"], batch["B"]
        net_g, net_d = self.nets.values()
        optim_g, optim_d = self.optimizers.values()

        def judged(picture, real):
            scores = net_d(paddle.concat([source, picture], 1))
            return F.binary_cross_entropy_with_logits(scores, paddle.full_like(scores, float(real)))

        fake = net_g(source)
        for parameter in net_d.parameters():
            parameter.trainable = not parameter.name.endswith(("w_1", "w_2"))
        optim_d.clear_grad()
        d_fake, d_real = judged(fake.detach(), False), judged(target, True)
        ((d_fake + d_real) * 0.5).backward()
        optim_d.step()
        for parameter in net_d.parameters():
            parameter.trainable = False
        optim_g.clear_grad()
        g_adv, g_l1 = judged(fake, True), 100 * F.l1_loss(fake, target)
        (g_adv + g_l1).backward()
        optim_g.step()
        self.schedule.step()
        self.iteration += 1
        losses = {"D_fake_loss": d_fake, "D_real_loss": d_real}
        losses |= {"G_adv_loss": g_adv, "G_L1_loss": g_l1}
        return {name: float(loss) for name, loss in losses.items()}

    def save(self, path: Path) -> None:
        content: dict[str, Any] = {name: net.state_dict() for name, net in self.nets.items()}
        content["epoch"] = self.iteration
        content |= {name: optim.state_dict() for name, optim in self.optimizers.items()}
        save(content, path)

    def resume(self, content: Mapping[str, Any]) -> None:
        """Do what PaddleGAN's `Trainer.resume` does with what `paddle.load` returned."""
        self.iteration = content["epoch"]
        for name, net in self.nets.items():
            missing, unexpected = net.set_state_dict(content[name])
            assert not missing
            assert not unexpected
        for name, optim in self.optimizers.items():
            optim.set_state_dict(content[name])


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint with pickle: tensors two levels deep become arrays."""

    def plain(value):
        return value.numpy() if isinstance(value, paddle.Tensor) else value

    arrays = {
        name: {key: plain(item) for key, item in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in content.items()
    }
    with path.open("wb") as file:
        pickle.dump(arrays, file, protocol=2)


def dcgan_nets(ngf: int, ndf: int, latent: int) -> list[nn.Layer]:
    """Return `DCGenerator` and `DCDiscriminator` with batch norm, for one channel."""
    layers: list[nn.Layer] = []
    widths = [8 * ngf, 4 * ngf, 2 * ngf, ngf]
    for i, width in enumerate(widths):
        inputs, options = (widths[i - 1], {"stride": 2, "padding": 1}) if i else (latent, {})
        layers.append(nn.Conv2DTranspose(inputs, width, 4, bias_attr=False, **options))
        layers += [nn.BatchNorm2D(width), nn.ReLU()]
    last = nn.Conv2DTranspose(ngf, 1, 4, stride=2, padding=1, bias_attr=False)
    generator = nn.Sequential(*layers, last, nn.Tanh())
    layers = [nn.Conv2D(1, ndf, 4, stride=2, padding=1, bias_attr=False), nn.LeakyReLU(0.2)]
    for width in (ndf, 2 * ndf, 4 * ndf):
        layers.append(nn.Conv2D(width, 2 * width, 4, stride=2, padding=1))
        layers += [nn.BatchNorm2D(2 * width), nn.LeakyReLU(0.2)]
    return [generator, nn.Sequential(*layers, nn.Conv2D(8 * ndf, 1, 4))]


def cyclegan_nets(ngf: int, blocks: int, ndf: int, n_layers: int) -> list[nn.Layer]:
    """Return two `ResnetGenerator` and two `NLayerDiscriminator` with instance norm."""

    def generator() -> nn.Layer:
        layers: list[nn.Layer] = [nn.Conv2D(3, ngf, 7), nn.InstanceNorm2D(ngf)]
        for width in (ngf, 2 * ngf):
            layers.append(nn.Conv2D(width, 2 * width, 3, stride=2, padding=1))
            layers.append(nn.InstanceNorm2D(2 * width))
        for _ in range(2 * blocks):
            layers += [nn.Conv2D(4 * ngf, 4 * ngf, 3), nn.InstanceNorm2D(4 * ngf)]
        for width in (4 * ngf, 2 * ngf):
            layers.append(nn.Conv2DTranspose(width, width // 2, 3, stride=2, padding=1))
            layers.append(nn.InstanceNorm2D(width // 2))
        return nn.Sequential(*layers, nn.Conv2D(ngf, 3, 7))

    def discriminator() -> nn.Layer:
        layers: list[nn.Layer] = [nn.Conv2D(3, ndf, 4)]
        for i in range(n_layers):
            width = ndf * 2**i
            layers += [nn.Conv2D(width, 2 * width, 4), nn.InstanceNorm2D(2 * width)]
        return nn.Sequential(*layers, nn.Conv2D(ndf * 2**n_layers, 1, 4))

    return [generator(), generator(), discriminator(), discriminator()]
