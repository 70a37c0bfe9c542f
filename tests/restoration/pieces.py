# SPDX-License-Identifier: Apache-2.0
"""Small models and batches that several tests use."""

import numpy as np
import paddle

from ppzoo import registry

RRDB = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1, "gc": 2}
ADAM = {"name": "Adam", "beta1": 0.9}
L1 = {"name": "L1Loss"}
VANILLA = {"name": "GANLoss", "gan_mode": "vanilla", "loss_weight": 0.01}
FEATURES = {
    "name": "PerceptualLoss",
    "layer_weights": {"2": 1.0},
    "style_weight": 0.0,
    "norm_img": False,
    "pretrained": None,
}
SMALL_D = {"name": "SRGANDiscriminator", "ndf": 2, "size": 32}


def build(name, **arguments):
    paddle.seed(0)
    spec = {"name": name, "generator": RRDB, **arguments}
    model = registry.build(registry.MODELS, spec)
    model.setup_lr_schedulers(
        {"name": "MultiStepDecay", "learning_rate": 1e-3, "milestones": [9], "gamma": 0.5}
    )
    names = dict(zip(model.OPTIMIZERS, model.NETS, strict=True))
    model.setup_optimizers({key: (ADAM, [net]) for key, net in names.items() if net in model.nets})
    model.train()
    return model


def batch(side=8, scale=4):
    random = np.random.default_rng(0)
    return {
        "lq": paddle.to_tensor(random.random((2, 3, side, side), np.float32)),
        "gt": paddle.to_tensor(random.random((2, 3, side * scale, side * scale), np.float32)),
    }


def scores(model, pictures):
    with paddle.no_grad():
        return model.nets.discriminator(pictures).numpy().astype("float64")
