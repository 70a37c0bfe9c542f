# SPDX-License-Identifier: Apache-2.0
"""The rows' models in plain PyTorch, as one would write them there.

Imported by torch_worker.py only, in an environment that has torch and not Paddle.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tools.benchmark.restoration_twins import EDVRNet, RRDBNet
from tools.benchmark.talking_twins import FirstOrder, SyncNet, Wav2Lip
from tools.benchmark.translation_twins import (
    UGATITGenerator,
    cyclegan,
    pix2pix,
    resnet,
    ugatit,
    unet,
)

Step = Callable[[int], torch.Tensor]


def dcgan(images: torch.Tensor) -> Step:
    """Return the training step of DCGAN with 64 x 64 pictures, batch norm, vanilla loss."""
    layers: list[nn.Module] = []
    channels = 100
    for i, width in enumerate((512, 256, 128, 64)):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(channels, width, 4, stride, padding, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    layers += [nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh()]
    generator = nn.Sequential(*layers)
    layers = [nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for width in (64, 128, 256):
        layers += [
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
        ]
    discriminator = nn.Sequential(*layers, nn.Conv2d(512, 1, 4))
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    optimizer_g = torch.optim.Adam(generator.parameters(), **adam)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **adam)

    def loss(scores: torch.Tensor, label: float) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))

    def step(number: int) -> torch.Tensor:
        fake = generator(torch.rand(len(images), 100, 1, 1))
        optimizer_d.zero_grad()
        d_loss = loss(discriminator(fake.detach()), 0.0) + loss(discriminator(images), 1.0)
        (0.5 * d_loss).backward()
        optimizer_d.step()
        discriminator.requires_grad_(False)
        optimizer_g.zero_grad()
        loss(discriminator(fake), 1.0).backward()
        optimizer_g.step()
        discriminator.requires_grad_(True)
        return d_loss

    return step


def wgan(images: torch.Tensor) -> Step:
    """Return the training step of WGAN with 28 x 28 pictures; the generator's is every fifth."""

    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(128, 128 * 7 * 7)
            self.blocks = nn.Sequential(
                nn.BatchNorm2d(128),
                nn.Upsample(scale_factor=2),
                nn.Conv2d(128, 128, 3, 1, 1),
                nn.BatchNorm2d(128, momentum=0.8),
                nn.LeakyReLU(0.2),
                nn.Upsample(scale_factor=2),
                nn.Conv2d(128, 64, 3, 1, 1),
                nn.BatchNorm2d(64, momentum=0.8),
                nn.LeakyReLU(0.2),
                nn.Conv2d(64, 1, 3, 1, 1),
                nn.Tanh(),
            )

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return self.blocks(self.linear(z).reshape(-1, 128, 7, 7))

    generator = Generator()
    layers: list[nn.Module] = [nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2)]
    for width, stride in ((16, 2), (32, 2), (64, 1)):
        layers += [
            nn.Conv2d(width, 2 * width, 4, stride, 1),
            nn.InstanceNorm2d(2 * width),
            nn.LeakyReLU(0.2),
        ]
    critic = nn.Sequential(*layers, nn.Conv2d(128, 1, 4, 1, 1))
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    optimizer_g = torch.optim.Adam(generator.parameters(), **adam)
    optimizer_d = torch.optim.Adam(critic.parameters(), **adam)

    def step(number: int) -> torch.Tensor:
        generator_too = number > 0 and number % 5 == 0
        with torch.set_grad_enabled(generator_too):
            fake = generator(torch.randn(len(images), 128))
        optimizer_d.zero_grad()
        d_loss = critic(fake.detach()).mean() - critic(images).mean()
        d_loss.backward()
        optimizer_d.step()
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.clamp_(-0.01, 0.01)
        if generator_too:
            critic.requires_grad_(False)
            optimizer_g.zero_grad()
            (-critic(fake).mean()).backward()
            optimizer_g.step()
            critic.requires_grad_(True)
        return d_loss

    return step


# The rows of which inference is measured.
GENERATORS = {
    "pix2pix256": unet,
    "cyclegan256": resnet,
    "ugatit256": UGATITGenerator,
    "rrdb128": RRDBNet,
    "edvrm112": EDVRNet,
    "firstorder256": FirstOrder,
    "wav2lip96": Wav2Lip,
    "syncnet96": SyncNet,
}
TWINS = {
    "dcgan64": dcgan,
    "wgan28": wgan,
    "pix2pix256": pix2pix,
    "cyclegan256": cyclegan,
    "ugatit256": ugatit,
}
