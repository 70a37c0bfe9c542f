# SPDX-License-Identifier: Apache-2.0
"""pix2pix, CycleGAN and U-GAT-IT in plain PyTorch, as one would write them there.

Imported by twins.py only, in an environment that has torch and not Paddle.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm

Step = Callable[[int], torch.Tensor]
_ADAM = {"lr": 2e-4, "betas": (0.5, 0.999)}


class Level(nn.Module):
    """One level of the U-Net, with what lies below it."""

    def __init__(self, outer: int, inner: int, inside: nn.Module | None) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.LeakyReLU(0.2),
            nn.Conv2d(outer, inner, 4, 2, 1, bias=False),
        ]
        if inside is not None:
            layers += [nn.BatchNorm2d(inner), inside]
        arriving = inner if inside is None else 2 * inner
        layers += [
            nn.ReLU(),
            nn.ConvTranspose2d(arriving, outer, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outer),
        ]
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.model(x)], 1)


def unet(ngf: int = 64, num_downs: int = 8) -> nn.Module:
    """Return pix2pix's generator; its batch norms use the batch's statistics, also in use."""
    widths = [ngf * min(2**i, 8) for i in range(num_downs)]
    block: nn.Module | None = None
    for depth in range(num_downs - 1, 0, -1):
        block = Level(widths[depth - 1], widths[depth], block)
    return nn.Sequential(
        nn.Conv2d(3, ngf, 4, 2, 1, bias=False),
        block,
        nn.ReLU(),
        nn.ConvTranspose2d(2 * ngf, 3, 4, 2, 1),
        nn.Tanh(),
    )


class ResnetBlock(nn.Module):
    """Two convolutions whose result is added to the input."""

    def __init__(self, channels: int, bias: bool = True) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


def resnet(ngf: int = 64, n_blocks: int = 9) -> nn.Module:
    """Return CycleGAN's generator."""
    layers: list[nn.Module] = [
        nn.ReflectionPad2d(3),
        nn.Conv2d(3, ngf, 7),
        nn.InstanceNorm2d(ngf),
        nn.ReLU(),
    ]
    for width in (ngf, 2 * ngf):
        layers += [
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.InstanceNorm2d(2 * width),
            nn.ReLU(),
        ]
    layers += [ResnetBlock(4 * ngf) for _ in range(n_blocks)]
    for width in (4 * ngf, 2 * ngf):
        layers += [
            nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1),
            nn.InstanceNorm2d(width // 2),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh())


def patch_discriminator(input_nc: int, batch_norm: bool, ndf: int = 64) -> nn.Module:
    """Return the discriminator of 70 x 70 patches."""
    layers: list[nn.Module] = [
        nn.Conv2d(input_nc, ndf, 4, 2, 1, bias=not batch_norm),
        nn.LeakyReLU(0.2),
    ]
    for width, stride in ((ndf, 2), (2 * ndf, 2), (4 * ndf, 1)):
        layers += [
            nn.Conv2d(width, 2 * width, 4, stride, 1, bias=not batch_norm),
            (nn.BatchNorm2d if batch_norm else nn.InstanceNorm2d)(2 * width),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * ndf, 1, 4, 1, 1))


class MixedNorm(nn.Module):
    """Instance and layer norm, mixed by a share per channel; scale and shift given or its own."""

    def __init__(self, channels: int, share: float, own: bool) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full([1, channels, 1, 1], share))
        if own:
            self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
            self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(
        self, x: torch.Tensor, gamma: torch.Tensor | None = None, beta: torch.Tensor | None = None
    ) -> torch.Tensor:
        parts = []
        for axes in ([2, 3], [1, 2, 3]):
            variance, mean = torch.var_mean(x, axes, keepdim=True)
            parts.append((x - mean) / torch.sqrt(variance + 1e-5))
        mixed = self.rho * parts[0] + (1 - self.rho) * parts[1]
        if gamma is None:
            return mixed * self.gamma + self.beta
        return mixed * gamma[:, :, None, None] + beta[:, :, None, None]


class AdaptiveBlock(nn.Module):
    """A residual block whose norms are told scale and shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(1)
        self.conv1 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm1 = MixedNorm(channels, 0.9, own=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm2 = MixedNorm(channels, 0.9, own=False)

    def forward(self, x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.conv1(self.pad(x)), gamma, beta))
        return x + self.norm2(self.conv2(self.pad(y)), gamma, beta)


class Attention(nn.Module):
    """Weights maps by what tells the domains apart, and says how surely it does."""

    def __init__(self, channels: int, wrap: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.gap_fc = wrap(nn.Linear(channels, 1, bias=False))
        self.gmp_fc = wrap(nn.Linear(channels, 1, bias=False))
        self.conv = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        average = F.adaptive_avg_pool2d(x, 1).flatten(1)
        largest = F.adaptive_max_pool2d(x, 1).flatten(1)
        logits = torch.cat([self.gap_fc(average), self.gmp_fc(largest)], 1)
        maps = [x * fc.weight[:, :, None, None] for fc in (self.gap_fc, self.gmp_fc)]
        return self.conv(torch.cat(maps, 1)), logits


class UGATITGenerator(nn.Module):
    """U-GAT-IT's light generator."""

    def __init__(self, ngf: int = 64, n_blocks: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, ngf, 7, bias=False),
            nn.InstanceNorm2d(ngf),
            nn.ReLU(),
        ]
        for width in (ngf, 2 * ngf):
            layers += [
                nn.ReflectionPad2d(1),
                nn.Conv2d(width, 2 * width, 3, 2, bias=False),
                nn.InstanceNorm2d(2 * width),
                nn.ReLU(),
            ]
        wide = 4 * ngf
        self.down = nn.Sequential(*layers, *(ResnetBlock(wide, False) for _ in range(n_blocks)))
        self.attention = Attention(wide, lambda layer: layer)
        self.style = nn.Sequential(
            nn.Linear(wide, wide, bias=False),
            nn.ReLU(),
            nn.Linear(wide, wide, bias=False),
            nn.ReLU(),
        )
        self.gamma, self.beta = (nn.Linear(wide, wide, bias=False) for _ in range(2))
        self.blocks = nn.ModuleList(AdaptiveBlock(wide) for _ in range(n_blocks))
        layers = []
        for width in (wide, 2 * ngf):
            layers += [
                nn.Upsample(scale_factor=2),
                nn.ReflectionPad2d(1),
                nn.Conv2d(width, width // 2, 3, bias=False),
                MixedNorm(width // 2, 0.0, own=True),
                nn.ReLU(),
            ]
        self.up = nn.Sequential(
            *layers, nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7, bias=False), nn.Tanh()
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, logits = self.attention(self.down(x))
        x = F.relu(x)
        heat = x.sum(1, keepdim=True)
        style = self.style(F.adaptive_avg_pool2d(x, 1).flatten(1))
        gamma, beta = self.gamma(style), self.beta(style)
        for block in self.blocks:
            x = block(x, gamma, beta)
        return self.up(x), logits, heat


class UGATITDiscriminator(nn.Module):
    """U-GAT-IT's discriminator of 5 or 7 layers."""

    def __init__(self, n_layers: int, ndf: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [3, *(ndf * 2**i for i in range(n_layers - 1))]
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            stride = 1 if i == n_layers - 2 else 2
            layers += [
                nn.ReflectionPad2d(1),
                spectral_norm(nn.Conv2d(before, after, 4, stride)),
                nn.LeakyReLU(0.2),
            ]
        self.model = nn.Sequential(*layers)
        self.attention = Attention(widths[-1], spectral_norm)
        self.pad = nn.ReflectionPad2d(1)
        self.conv = spectral_norm(nn.Conv2d(widths[-1], 1, 4, bias=False))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, logits = self.attention(self.model(x))
        return self.conv(self.pad(F.leaky_relu(x, 0.2))), logits


def pix2pix(a: torch.Tensor, b: torch.Tensor) -> Step:
    """Return the training step of pix2pix from B to A, vanilla loss."""
    generator, discriminator = unet(), patch_discriminator(6, batch_norm=True)
    optimizer_g = torch.optim.Adam(generator.parameters(), **_ADAM)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **_ADAM)

    def score(output: torch.Tensor, label: float) -> torch.Tensor:
        scores = discriminator(torch.cat([b, output], 1))
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))

    def step(number: int) -> torch.Tensor:
        fake = generator(b)
        optimizer_d.zero_grad()
        d_loss = 0.5 * (score(fake.detach(), 0.0) + score(a, 1.0))
        d_loss.backward()
        optimizer_d.step()
        discriminator.requires_grad_(False)
        optimizer_g.zero_grad()
        (score(fake, 1.0) + 100 * F.l1_loss(fake, a)).backward()
        optimizer_g.step()
        discriminator.requires_grad_(True)
        return d_loss

    return step


def cyclegan(a: torch.Tensor, b: torch.Tensor) -> Step:
    """Return the training step of CycleGAN, lsgan, with identity losses."""
    g_a, g_b = resnet(), resnet()
    d_a, d_b = (patch_discriminator(3, batch_norm=False) for _ in range(2))
    generators = [*g_a.parameters(), *g_b.parameters()]
    discriminators = [*d_a.parameters(), *d_b.parameters()]
    optimizer_g = torch.optim.Adam(generators, **_ADAM)
    optimizer_d = torch.optim.Adam(discriminators, **_ADAM)
    pools: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])

    def score(net: nn.Module, picture: torch.Tensor, label: float) -> torch.Tensor:
        scores = net(picture)
        return F.mse_loss(scores, torch.full_like(scores, label))

    def query(pool: list[torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
        picture = picture.detach()
        if len(pool) < 50:
            pool.append(picture)
        elif random.random() > 0.5:
            place = random.randrange(50)
            picture, pool[place] = pool[place], picture
        return picture

    def step(number: int) -> torch.Tensor:
        fake_b, fake_a = g_a(a), g_b(b)
        for parameter in discriminators:
            parameter.requires_grad_(False)
        optimizer_g.zero_grad()
        loss = score(d_a, fake_b, 1.0) + score(d_b, fake_a, 1.0)
        loss = loss + 10 * (F.l1_loss(g_b(fake_b), a) + F.l1_loss(g_a(fake_a), b))
        loss = loss + 5 * (F.l1_loss(g_a(b), b) + F.l1_loss(g_b(a), a))
        loss.backward()
        optimizer_g.step()
        for parameter in discriminators:
            parameter.requires_grad_(True)
        optimizer_d.zero_grad()
        for net, real, fake, pool in ((d_a, b, fake_b, pools[0]), (d_b, a, fake_a, pools[1])):
            d_loss = score(net, real, 1.0) + score(net, query(pool, fake), 0.0)
            (0.5 * d_loss).backward()
        optimizer_d.step()
        return loss

    return step


def ugatit(a: torch.Tensor, b: torch.Tensor) -> Step:
    """Return the training step of U-GAT-IT with light generators."""
    a2b, b2a = UGATITGenerator(), UGATITGenerator()
    nets = {(d, n): UGATITDiscriminator(n) for d in "ab" for n in (5, 7)}
    generators = [*a2b.parameters(), *b2a.parameters()]
    discriminators = [p for net in nets.values() for p in net.parameters()]
    adam = {"lr": 1e-4, "betas": (0.5, 0.999), "weight_decay": 1e-4}
    optimizer_g = torch.optim.Adam(generators, **adam)
    optimizer_d = torch.optim.Adam(discriminators, **adam)

    def judged(domain: str, picture: torch.Tensor, label: float) -> torch.Tensor:
        outputs = [out for n in (5, 7) for out in nets[domain, n](picture)]
        return sum(F.mse_loss(out, torch.full_like(out, label)) for out in outputs)

    def attends(logits: torch.Tensor, label: float) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def step(number: int) -> torch.Tensor:
        fake_b, fake_a = a2b(a), b2a(b)
        optimizer_d.zero_grad()
        d_loss = torch.zeros([])
        for domain, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
            d_loss = d_loss + judged(domain, real, 1.0) + judged(domain, fake[0].detach(), 0.0)
        d_loss.backward()
        optimizer_d.step()
        for parameter in discriminators:
            parameter.requires_grad_(False)
        optimizer_g.zero_grad()
        loss = torch.zeros([])
        for domain, real, made, forth, back in (
            ("a", a, fake_a, b2a, fake_b[0]),
            ("b", b, fake_b, a2b, fake_a[0]),
        ):
            same = forth(real)
            loss = loss + judged(domain, made[0], 1.0)
            loss = loss + 10 * (F.l1_loss(forth(back)[0], real) + F.l1_loss(same[0], real))
            loss = loss + 1000 * (attends(made[1], 1.0) + attends(same[1], 0.0))
        loss.backward()
        optimizer_g.step()
        for parameter in discriminators:
            parameter.requires_grad_(True)
        with torch.no_grad():
            for net in (a2b, b2a):
                for module in net.modules():
                    if isinstance(module, MixedNorm):
                        module.rho.clamp_(0, 1)
        return loss

    return step
