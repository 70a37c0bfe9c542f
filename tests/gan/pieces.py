# SPDX-License-Identifier: Apache-2.0
"""Small models and batches for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle

from ppzoo.model import Model
from ppzoo.registry import MODELS, build

N_CLASS = 3


def make(
    name: str, optimizer: dict[str, Any] | None = None, lr: float = 1e-3, **spec: Any
) -> Model:
    """Build a model from its section and set it up for training."""
    model = build(MODELS, {"name": name, **spec})
    model.setup_lr_schedulers({"name": "NonLinearDecay", "learning_rate": lr, "lr_decay": 0.0})
    optimizer = optimizer or {"name": "SGD"}
    model.setup_optimizers(
        {"optimizer_G": (optimizer, ["netG"]), "optimizer_D": (optimizer, ["netD"])}
    )
    return model


def make_gan(
    mode: str = "vanilla",
    conditional: bool = False,
    norm_type: str = "instance",
    use_sigmoid: bool = False,
    loss: dict[str, Any] | None = None,
    **rest: Any,
) -> Model:
    """Build a GANModel for pictures of 8 x 8."""
    generator = {"name": "DeepConvGenerator", "latent_dim": 4, "output_nc": 1, "size": 8, "ngf": 4}
    discriminator = {
        "name": "NLayerDiscriminator",
        "input_nc": 1,
        "ndf": 4,
        "n_layers": 1,
        "norm_type": norm_type,
        "use_sigmoid": use_sigmoid,
    }
    if conditional:
        generator |= {"name": "ConditionalDeepConvGenerator", "n_class": N_CLASS}
        discriminator |= {"name": "NLayerDiscriminatorWithClassification", "n_class": N_CLASS}
    return make(
        "GANModel",
        generator=generator,
        discriminator=discriminator,
        gan_criterion={"name": "GANLoss", "gan_mode": mode, **(loss or {})},
        **rest,
    )


def make_dcgan(mode: str = "vanilla", norm_type: str = "batch", **rest: Any) -> Model:
    """Build a DCGANModel for pictures of 64 x 64."""
    return make(
        "DCGANModel",
        generator={"name": "DCGenerator", "input_nz": 4, "input_nc": 1, "output_nc": 1, "ngf": 2},
        discriminator={
            "name": "DCDiscriminator",
            "input_nc": 1,
            "ndf": 2,
            "norm_type": norm_type,
        },
        gan_criterion={"name": "GANLoss", "gan_mode": mode, **rest.pop("loss", {})},
        **rest,
    )


def batch_of(size: int, num: int = 5) -> dict[str, paddle.Tensor]:
    """Return pictures in [-1, 1] with classes."""
    rng = np.random.default_rng(0)
    return {
        "img": paddle.to_tensor(rng.uniform(-1, 1, [num, 1, size, size]).astype("float32")),
        "class_id": paddle.to_tensor(rng.integers(0, N_CLASS, [num, 1])),
    }


def state(model: Model) -> dict[str, np.ndarray]:
    """Return copies of all weights and buffers."""
    return {
        f"{name}.{key}": value.numpy()
        for name, net in model.nets.items()
        for key, value in net.state_dict().items()
    }


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    """Return the keys whose values differ."""
    assert before.keys() == after.keys()
    return {key for key in before if not np.array_equal(before[key], after[key])}
