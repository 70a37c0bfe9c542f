# SPDX-License-Identifier: Apache-2.0
"""Predictors: trained networks to use. They take paths or arrays and write only where told."""

from __future__ import annotations

import argparse

# What `ppzoo predict NAME` runs: a module with `add_arguments(parser)`, and `run(args)`, which
# returns the paths of what it wrote, by kind.
PREDICTORS = {
    "dcgan": "ppzoo.apps.gan",
    "lsgan": "ppzoo.apps.gan",
    "wgan": "ppzoo.apps.gan",
    "wgangp": "ppzoo.apps.gan",
    "cgan": "ppzoo.apps.gan",
    "faceparse": "ppzoo.apps.face_parse",
    "photo2cartoon": "ppzoo.apps.photo2cartoon",
    "pix2pix": "ppzoo.apps.pix2pix",
    "cyclegan": "ppzoo.apps.cyclegan",
    "ugatit": "ppzoo.apps.ugatit",
    "esrgan": "ppzoo.apps.esrgan",
    "realsr": "ppzoo.apps.realsr",
    "rcan": "ppzoo.apps.rcan",
    "srgan": "ppzoo.apps.srgan",
    "edvr": "ppzoo.apps.edvr",
    "restore": "ppzoo.apps.restore",
    "firstorder": "ppzoo.apps.firstorder",
    "wav2lip": "ppzoo.apps.wav2lip",
}


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add the option that changes a config, `-o KEY=VALUE ...`, to those of a command."""
    parser.add_argument(
        "-o",
        "--opt",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change the config: -o dataset.train.batch_size=8 lr_scheduler.learning_rate=1e-4",
    )
