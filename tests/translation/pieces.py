# SPDX-License-Identifier: Apache-2.0
"""Small models and batches that several tests use."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle

from ppzoo import registry
from ppzoo.model import Model

UNET = {"name": "UnetGenerator", "input_nc": 3, "output_nc": 3, "num_downs": 5, "ngf": 4}
RESNET = {"name": "ResnetGenerator", "input_nc": 3, "output_nc": 3, "ngf": 4, "n_blocks": 1}
UGATIT = {
    "name": "ResnetUGATITGenerator",
    "input_nc": 3,
    "output_nc": 3,
    "ngf": 4,
    "n_blocks": 1,
    "img_size": 32,
    "light": True,
}
PATCH = {"name": "NLayerDiscriminator", "input_nc": 3, "ndf": 4, "n_layers": 2}
L1 = {"name": "L1Loss"}
SPECS: dict[str, dict[str, Any]] = {
    "pix2pix": {
        "name": "Pix2PixModel",
        "generator": UNET,
        "discriminator": PATCH | {"input_nc": 6, "norm_type": "batch"},
        "pixel_criterion": L1 | {"loss_weight": 100},
        "gan_criterion": {"name": "GANLoss", "gan_mode": "vanilla"},
    },
    "cyclegan": {
        "name": "CycleGANModel",
        "generator": RESNET,
        "discriminator": PATCH,
        "cycle_criterion": L1,
        "idt_criterion": L1 | {"loss_weight": 0.5},
        "gan_criterion": {"name": "GANLoss", "gan_mode": "lsgan"},
        "pool_size": 2,
    },
    "ugatit": {
        "name": "UGATITModel",
        "generator": UGATIT,
        "discriminator_g": {
            "name": "UGATITDiscriminator",
            "input_nc": 3,
            "ndf": 4,
            "n_layers": 4,
        },
        "discriminator_l": {
            "name": "UGATITDiscriminator",
            "input_nc": 3,
            "ndf": 4,
            "n_layers": 3,
        },
        "l1_criterion": L1,
        "mse_criterion": {"name": "MSELoss"},
        "bce_criterion": {"name": "BCEWithLogitsLoss"},
    },
}


def build(family: str, learning_rate: float = 1e-3, **changes: Any) -> Model:
    """Return a family's small model, ready to train."""
    model = registry.build(registry.MODELS, SPECS[family] | changes)
    model.setup_lr_schedulers(
        {"name": "MultiStepDecay", "learning_rate": learning_rate, "milestones": [1000]}
    )
    generators = [name for name in model.nets if "G" in name and not name.startswith("dis")]
    generators = generators if family != "ugatit" else ["genA2B", "genB2A"]
    others = [name for name in model.nets if name not in generators]
    adam = {"name": "Adam", "beta1": 0.5}
    model.setup_optimizers({"optimG": (adam, generators), "optimD": (adam, others)})
    model.train()
    return model


def batch(number: int = 2, size: int = 32, seed: int = 0) -> dict[str, Any]:
    """Return pictures of two domains, in [-1, 1]."""
    draw = np.random.default_rng(seed)
    pictures = draw.uniform(-1, 1, [2, number, 3, size, size]).astype("float32")
    return {
        "A": paddle.to_tensor(pictures[0]),
        "B": paddle.to_tensor(pictures[1]),
        "A_path": ["a"] * number,
        "B_path": ["b"] * number,
    }


def weights(model: Model) -> dict[str, np.ndarray]:
    """Return copies of all entries of the networks' state dicts."""
    return {
        f"{name}.{key}": value.numpy().copy()
        for name, net in model.nets.items()
        for key, value in net.state_dict().items()
    }
