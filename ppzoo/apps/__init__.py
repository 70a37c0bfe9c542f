# SPDX-License-Identifier: Apache-2.0
"""Predictors: trained networks to use. They take paths or arrays and write only where told."""

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
