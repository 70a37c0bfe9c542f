# SPDX-License-Identifier: Apache-2.0
"""First Order Motion and Wav2Lip in plain PyTorch, as one would write them there.

Parameters have the names and shapes of ppzoo's, so that inference.py and talking.py can load the
same weights and compare results. Imported in an environment that has torch and not Paddle.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

Keypoints = tuple[torch.Tensor, torch.Tensor]  # places [N, K, 2] and Jacobians [N, K, 2, 2]


class Block(nn.Module):
    """Convolution, batch norm and ReLU, before them twice the size or after them half of it."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, scale: float = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, 1, kernel // 2)
        self.norm = nn.BatchNorm2d(c_out)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale > 1:
            x = F.interpolate(x, scale_factor=self.scale)
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        return F.avg_pool2d(x, 2) if self.scale < 1 else x


class ResBlock(nn.Module):
    """Two convolutions behind batch norms, beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        return x + self.conv2(F.relu(self.norm2(y), inplace=True))


class Hourglass(nn.Module):
    """Down and up again, where maps of the same size meet."""

    def __init__(self, width: int, inputs: int, number: int = 5, most: int = 1024) -> None:
        super().__init__()
        widths = [min(most, width * 2**i) for i in range(number + 1)]
        channels = [inputs, *widths[1:]]
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.down_blocks = nn.ModuleList(
            Block(channels[i], channels[i + 1], scale=0.5) for i in range(number)
        )
        self.decoder.up_blocks = nn.ModuleList(
            Block(widths[i + 1] * (1 if i == number - 1 else 2), widths[i], scale=2)
            for i in reversed(range(number))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [x]
        for block in self.encoder.down_blocks:
            maps.append(block(maps[-1]))
        x = maps.pop()
        for block in self.decoder.up_blocks:
            x = torch.cat([block(x), maps.pop()], 1)
        return x


class Down(nn.Module):
    """Every fourth pixel of a blurred picture."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(3, 1, 13, 13))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight, stride=4, padding=6, groups=3)


def grid(height: int, width: int) -> torch.Tensor:
    """Return the coordinates [H, W, 2] of all pixels."""
    y, x = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


class Detector(nn.Module):
    """Keypoints with Jacobians, at a quarter of the size."""

    def __init__(self, keypoints: int = 10, width: int = 32, number: int = 5) -> None:
        super().__init__()
        self.down, self.predictor = Down(), Hourglass(width, 3, number)
        self.kp, self.jacobian = (nn.Conv2d(width + 3, n * keypoints, 7) for n in (1, 4))

    def forward(self, x: torch.Tensor) -> Keypoints:
        maps = self.predictor(self.down(x))
        scores = self.kp(maps)
        n, k, h, w = scores.shape
        heat = F.softmax(scores.view(n, k, -1) / 0.1, 2).view(n, k, h, w)
        places = (heat.unsqueeze(-1) * grid(h, w)).sum((2, 3))
        jacobians = (heat.unsqueeze(2) * self.jacobian(maps).view(n, k, 4, h, w)).sum((3, 4))
        return places, jacobians.view(n, k, 2, 2)


class DenseMotion(nn.Module):
    """The motion of all pixels, and what the source does not show."""

    def __init__(self, keypoints: int = 10, width: int = 64, number: int = 5) -> None:
        super().__init__()
        self.down, self.hourglass = Down(), Hourglass(width, 4 * (keypoints + 1), number)
        features = width + 4 * (keypoints + 1)
        self.mask = nn.Conv2d(features, keypoints + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(features, 1, 7, padding=3)

    def forward(
        self, source: torch.Tensor, driving: Keypoints, still: Keypoints
    ) -> tuple[torch.Tensor, torch.Tensor]:
        source = self.down(source)
        n, c, h, w = source.shape
        places = grid(h, w)
        moved, old = (kp[0][:, :, None, None] for kp in (driving, still))  # [N, K, 1, 1, 2]
        spots = [torch.exp(-0.5 * ((places - at) ** 2).sum(-1) / 0.01) for at in (moved, old)]
        spots = torch.cat([torch.zeros(n, 1, h, w), spots[0] - spots[1]], 1)
        linear = torch.matmul(still[1], torch.inverse(driving[1]))[:, :, None, None]
        motions = torch.matmul(linear, (places - moved).unsqueeze(-1)).squeeze(-1) + old
        motions = torch.cat([places.expand(n, 1, h, w, 2), motions], 1)  # [N, M, h, w, 2]
        m = motions.shape[1]
        copies = source.unsqueeze(1).expand(n, m, c, h, w).reshape(n * m, c, h, w)
        copies = F.grid_sample(copies, motions.reshape(n * m, h, w, 2), align_corners=True)
        shown = torch.cat([spots.unsqueeze(2), copies.view(n, m, c, h, w)], 2)
        maps = self.hourglass(shown.view(n, m * (c + 1), h, w))
        shares = F.softmax(self.mask(maps), 1).unsqueeze(-1)
        return (motions * shares).sum(1), torch.sigmoid(self.occlusion(maps))


class Painter(nn.Module):
    """The occlusion-aware generator."""

    def __init__(self, width: int = 64, residuals: int = 6, *motion: int) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion(*motion)
        self.first = Block(3, width, 7)
        pairs = ((width, 2 * width), (2 * width, 4 * width))
        self.down_blocks = nn.ModuleList(Block(*pair, scale=0.5) for pair in pairs)
        self.up_blocks = nn.ModuleList(Block(*pair[::-1], scale=2) for pair in reversed(pairs))
        self.bottleneck = nn.Sequential()
        for i in range(residuals):
            self.bottleneck.add_module(f"r{i}", ResBlock(4 * width))
        self.final = nn.Conv2d(width, 3, 7, padding=3)

    def encode(self, source: torch.Tensor) -> torch.Tensor:
        """Return the source's features."""
        x = self.first(source)
        for block in self.down_blocks:
            x = block(x)
        return x

    def decode(
        self, x: torch.Tensor, deformation: torch.Tensor, occlusion: torch.Tensor
    ) -> torch.Tensor:
        """Return the picture of features, moved."""
        x = self.bottleneck(F.grid_sample(x, deformation, align_corners=True) * occlusion)
        for block in self.up_blocks:
            x = block(x)
        return torch.sigmoid(self.final(x))

    def forward(self, source: torch.Tensor, driving: Keypoints, still: Keypoints) -> torch.Tensor:
        return self.decode(self.encode(source), *self.dense_motion_network(source, driving, still))


class FirstOrder(nn.Module):
    """Detector and generator of vox-256; one frame of a film whose source was encoded before."""

    def __init__(self) -> None:
        super().__init__()
        self.kp_extractor, self.generator = Detector(), Painter()

    def forward(
        self,
        driving: torch.Tensor,
        source: torch.Tensor,
        maps: torch.Tensor,
        places: torch.Tensor,
        jacobians: torch.Tensor,
    ) -> torch.Tensor:
        motion = self.generator.dense_motion_network(
            source, self.kp_extractor(driving), (places, jacobians)
        )
        return self.generator.decode(maps, *motion)


Step = tuple[int, int, int | tuple[int, int], int]  # channels, kernel, stride, padding


class ConvBlock(nn.Module):
    """Convolution and batch norm, perhaps beside the identity, then ReLU."""

    def __init__(self, conv: nn.Module, residual: bool = False) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_block(x)
        return F.relu(y + x if self.residual else y, inplace=True)


def stack(c_in: int, *steps: Step | int) -> nn.Sequential:
    """Return blocks in a row; a number stands for so many residual ones."""
    blocks = nn.Sequential()
    for step in steps:
        if isinstance(step, int):
            for _ in range(step):
                blocks.append(ConvBlock(nn.Conv2d(c_in, c_in, 3, 1, 1), True))
        else:
            blocks.append(ConvBlock(nn.Conv2d(c_in, *step)))
            c_in = step[0]
    return blocks


def sound_encoder(last: int, n: int = 32) -> nn.Sequential:
    """Return what makes 16 n numbers of a mel spectrogram."""
    return stack(
        1,
        *((n, 3, 1, 1), 2, (2 * n, 3, (3, 1), 1), 2, (4 * n, 3, 3, 1), 2),
        *((8 * n, 3, (3, 2), 1), last, (16 * n, 3, 1, 0), (16 * n, 1, 1, 0)),
    )


def growing(c_in: int, c_out: int, stride: int, residuals: int) -> nn.Sequential:
    """Return a transposed convolution with what follows it."""
    more = stride - 1
    conv = nn.ConvTranspose2d(c_in, c_out, 3, stride, more, output_padding=more)
    return nn.Sequential(ConvBlock(conv), *stack(c_out, residuals))


class Wav2Lip(nn.Module):
    """The generator."""

    def __init__(self, n: int = 16) -> None:
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList(
            [
                stack(6, (n, 7, 1, 3)),
                stack(n, (2 * n, 3, 2, 1), 2),
                stack(2 * n, (4 * n, 3, 2, 1), 3),
                stack(4 * n, (8 * n, 3, 2, 1), 2),
                stack(8 * n, (16 * n, 3, 2, 1), 2),
                stack(16 * n, (32 * n, 3, 2, 1), 1),
                stack(32 * n, (32 * n, 3, 1, 0), (32 * n, 1, 1, 0)),
            ]
        )
        self.audio_encoder = sound_encoder(1, 2 * n)
        self.face_decoder_blocks = nn.ModuleList(
            [
                stack(32 * n, (32 * n, 1, 1, 0)),
                growing(64 * n, 32 * n, 1, 1),
                growing(64 * n, 32 * n, 2, 2),
                growing(48 * n, 24 * n, 2, 2),
                growing(32 * n, 16 * n, 2, 2),
                growing(20 * n, 8 * n, 2, 2),
                growing(10 * n, 4 * n, 2, 2),
            ]
        )
        self.output_block = nn.Sequential(
            ConvBlock(nn.Conv2d(5 * n, 2 * n, 3, 1, 1)), nn.Conv2d(2 * n, 3, 1), nn.Sigmoid()
        )

    def forward(self, mels: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        maps = []
        for block in self.face_encoder_blocks:
            faces = block(faces)
            maps.append(faces)
        x = self.audio_encoder(mels)
        for block in self.face_decoder_blocks:
            x = torch.cat([block(x), maps.pop()], 1)
        return self.output_block(x)


class SyncNet(nn.Module):
    """The expert: embeddings of sound and of five frames of lips."""

    def __init__(self, n: int = 32) -> None:
        super().__init__()
        self.face_encoder = stack(
            15,
            *((n, 7, 1, 3), (2 * n, 5, (1, 2), 1), 2, (4 * n, 3, 2, 1), 3, (8 * n, 3, 2, 1), 2),
            *((16 * n, 3, 2, 1), 2, (16 * n, 3, 2, 1), (16 * n, 3, 1, 0), (16 * n, 1, 1, 0)),
        )
        self.audio_encoder = sound_encoder(2, n)

    def forward(self, mels: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        embedded = self.audio_encoder(mels), self.face_encoder(faces)
        return torch.cat([F.normalize(x.flatten(1), dim=1) for x in embedded], 1)
