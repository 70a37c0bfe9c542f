# SPDX-License-Identifier: Apache-2.0
"""Write small files as the authors of other repositories would have, for the tests to read.

Run in an environment that has torch: `python -m tools.benchmark.torch_weights tests/weights/torch`.
Each file holds random weights of a tiny network under the names of its original, in the layout in
which that one is published; `NAME.npz` beside it has what PyTorch makes of the inputs `drawn`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tools.benchmark.restoration_twins import RRDBNet
from tools.benchmark.talking_twins import Detector, Painter, SyncNet, Wav2Lip
from tools.benchmark.translation_twins import patch_discriminator, resnet, unet

State = dict[str, torch.Tensor]
Arrays = dict[str, torch.Tensor]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    """Return numbers in [0, 1) that NumPy draws again where there is no torch."""
    return torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32))


class DiscriminatorBlock(nn.Module):
    """A block of First Order Motion's discriminator."""

    def __init__(self, c_in: int, c_out: int, norm: bool, pool: bool) -> None:
        super().__init__()
        self.conv = nn.utils.spectral_norm(nn.Conv2d(c_in, c_out, 4))
        self.norm = nn.InstanceNorm2d(c_out, affine=True) if norm else nn.Identity()
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.norm(self.conv(x)), 0.2)
        return F.avg_pool2d(x, 2) if self.pool else x


class Discriminator(nn.Module):
    """First Order Motion's discriminator of two blocks, which sees keypoints."""

    def __init__(self, width: int, keypoints: int) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(
            [
                DiscriminatorBlock(3 + keypoints, 2 * width, norm=False, pool=True),
                DiscriminatorBlock(2 * width, 4 * width, norm=True, pool=False),
            ]
        )
        self.conv = nn.utils.spectral_norm(nn.Conv2d(4 * width, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.down_blocks:
            x = block(x)
        return self.conv(x)


def shaken(net: nn.Module) -> nn.Module:
    """Return a network whose weights and running statistics are all random."""
    for name, value in net.state_dict().items():
        if not value.dtype.is_floating_point or name.endswith(("weight_u", "weight_v")):
            continue
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1:
            value.add_(0.1 * torch.randn_like(value))
        elif name.endswith("down.weight"):
            value.uniform_(0.001, 0.01)
    return net.eval()


def after_a_step(net: nn.Module) -> dict[str, Any]:
    """Return the state of an optimizer that has made one step, as a checkpoint has it."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.0)
    sum(p.square().sum() for p in net.parameters()).backward()
    optimizer.step()
    return optimizer.state_dict()


@torch.no_grad()
def first_order() -> tuple[dict[str, Any], Arrays]:
    """First Order Motion's checkpoint: three networks, optimizers and an epoch."""
    width, keypoints = 2, 2
    detector = shaken(Detector(keypoints, width, 2))
    painter = shaken(Painter(width, 1, keypoints, width, 2))
    judge = nn.Module()
    judge.discs = nn.ModuleDict({"1": shaken(Discriminator(width, keypoints))})
    with torch.enable_grad():
        optimizer = after_a_step(detector)
    source, driving = drawn(0, 1, 3, 64, 64), drawn(1, 1, 3, 64, 64)
    still, moved = detector(source), detector(driving)
    content = {
        "generator": painter.state_dict(),
        "discriminator": judge.state_dict(),
        "kp_detector": detector.state_dict(),
        "optimizer_kp_detector": optimizer,
        "optimizer_generator": torch.optim.Adam(painter.parameters()).state_dict(),
        "epoch": 99,
    }
    found = {"value": moved[0], "jacobian": moved[1], "made": painter(source, moved, still)}
    return content, found | {"judged": judge.discs["1"](drawn(2, 1, 3 + keypoints, 32, 32))}


@torch.no_grad()
def wav2lip() -> tuple[dict[str, Any], Arrays]:
    """Wav2Lip's checkpoint of a training on several GPUs, with weights in half precision."""
    net = shaken(Wav2Lip(1))
    halves = {name: value.half() for name, value in net.state_dict().items()}
    net.load_state_dict({name: value.float() for name, value in halves.items()})
    counters = {n: v for n, v in net.state_dict().items() if n.endswith("tracked")}
    content = {
        "state_dict": {f"module.{name}": value for name, value in (halves | counters).items()},
        "optimizer": None,
        "global_step": 255000,
        "global_epoch": 12,
    }
    return content, {"made": net(drawn(0, 1, 1, 80, 16), drawn(1, 1, 6, 96, 96))}


@torch.no_grad()
def syncnet() -> tuple[dict[str, Any], Arrays]:
    """The expert's checkpoint, of one GPU."""
    net = shaken(SyncNet(1))
    content = {"state_dict": net.state_dict(), "optimizer": {}, "global_step": 1}
    return content, {"made": net(drawn(0, 2, 1, 80, 16), drawn(1, 2, 15, 48, 96))}


# What ESRGAN's authors have called the layers: in its repository, in BasicSR, and before both.
_IN_BASICSR = {
    "RRDB_trunk": "body",
    "RDB": "rdb",
    "trunk_conv": "conv_body",
    "upconv": "conv_up",
    "HRconv": "conv_hr",
}
_AT_FIRST = {
    "conv_first": "model.0",
    "RRDB_trunk": "model.1.sub",
    "trunk_conv": "model.1.sub.1",
    "upconv1": "model.3",
    "upconv2": "model.6",
    "HRconv": "model.8",
    "conv_last": "model.10",
}


def renamed(state: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> State:
    """Return weights whose names have some parts replaced."""
    found = {}
    for name, value in state.items():
        for old, new in names.items():
            name = name.replace(old, new)
        found[name] = value
    return found


@torch.no_grad()
def rrdb(layout: Callable[[State], Any]) -> tuple[Any, Arrays]:
    """ESRGAN's generator, in one of its layouts."""
    net = shaken(RRDBNet(4, 1, 2))
    net.load_state_dict({n: v.bfloat16().float() for n, v in net.state_dict().items()})
    return layout(net.state_dict()), {"made": net(drawn(0, 1, 3, 10, 12))}


def at_first(state: State) -> State:
    """Return ESRGAN's weights under the first names, where dense blocks have sequences."""
    found = {}
    for name, value in renamed(state, _AT_FIRST).items():
        stem, _, last = name.rpartition(".")
        found[f"{stem}.0.{last}" if "RDB" in name else name] = value
    return found


def in_basicsr(state: State) -> dict[str, State]:
    """Return a file of BasicSR's: weights, and their averages, here in bfloat16."""
    named = renamed(state, _IN_BASICSR)
    return {
        "params": {name: value + 1 for name, value in named.items()},
        "params_ema": {name: value.bfloat16() for name, value in named.items()},
    }


@torch.no_grad()
def cyclegan() -> tuple[State, Arrays]:
    """`latest_net_G_A.pth`: the weights alone; instance norms have none."""
    net = shaken(resnet(2, 2))
    names = {
        f"model.{n}": v for n, v in renamed(net.state_dict(), {".block.": ".conv_block."}).items()
    }
    return names, {"made": net(drawn(0, 1, 3, 32, 32))}


@torch.no_grad()
def cyclegan_judge() -> tuple[State, Arrays]:
    """`latest_net_D_A.pth`."""
    net = shaken(patch_discriminator(3, False, 2))
    state = {f"model.{n}": v for n, v in net.state_dict().items()}
    return state, {"made": net(drawn(0, 1, 3, 32, 32))}


@torch.no_grad()
def pix2pix() -> tuple[State, Arrays]:
    """`latest_net_G.pth` of a U-Net, whose batch norms look at the picture itself."""
    net = shaken(unet(2, 5))
    state = {f"model.model.{n}": v.clone() for n, v in net.state_dict().items()}
    return state, {"made": net.train()(drawn(0, 2, 3, 32, 32))}


def kinds() -> tuple[dict[str, Any], Arrays]:
    """Return tensors of all kinds, and in all the ways in which they lie in memory."""
    numbers = torch.arange(24.0)
    whole = numbers.view(2, 3, 4)
    tensors: dict[str, torch.Tensor] = {
        "whole": whole,
        "turned": whole.permute(2, 0, 1),
        "part": whole[1:, 1:, ::2],
        "repeated": numbers[5:6].expand(3, 2),
        "channels_last": torch.rand(1, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "one": torch.tensor(2.5),
        "none": torch.zeros(0, 3),
        "parameter": nn.Parameter(torch.rand(2)),
        "buffer": nn.Parameter(torch.rand(2), requires_grad=False),
    }
    for kind in ("float64", "float16", "uint8", "int8", "int16", "int32", "int64", "complex64"):
        tensors[kind] = torch.tensor([0, 1, 2, 3], dtype=getattr(torch, kind))
    tensors["bool"] = torch.tensor([True, False])
    others = {"size": torch.Size([2, 3]), "device": torch.device("cpu"), "set": {1, 2}}
    bits = torch.tensor([1.5, -2.0]).bfloat16()
    found = {name: value.detach().contiguous() for name, value in tensors.items()}
    return {"tensors": tensors | {"bfloat16": bits}, "others": others, "list": [whole]}, found


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    cases: dict[str, Callable[[], tuple[Any, Arrays]]] = {
        "first_order.pth.tar": first_order,
        "wav2lip.pth": wav2lip,
        "syncnet.pt": syncnet,
        "esrgan.pth": lambda: rrdb(dict),
        "esrgan_basicsr.pth": lambda: rrdb(in_basicsr),
        "esrgan_at_first.pth": lambda: rrdb(at_first),
        "cyclegan_G_A.pth": cyclegan,
        "cyclegan_D_A.ckpt": cyclegan_judge,
        "pix2pix_G.pth": pix2pix,
        "kinds.pth": kinds,
        "kinds_legacy.pth": kinds,
    }
    for name, make in cases.items():
        content, arrays = make()
        # As before PyTorch 1.6: so are the published files of these.
        legacy = name in ("first_order.pth.tar", "wav2lip.pth", "esrgan.pth", "kinds_legacy.pth")
        torch.save(content, folder / name, _use_new_zipfile_serialization=not legacy)
        np.savez_compressed(
            folder / f"{name.partition('.')[0]}.npz",
            **{key: value.numpy() for key, value in arrays.items()},
        )


if __name__ == "__main__":
    main()
