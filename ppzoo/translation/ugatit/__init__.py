# SPDX-License-Identifier: Apache-2.0
"""U-GAT-IT: unpaired translation with attention and an adaptive normalisation.

Paper: Kim, Kim, Kang & Lee 2020, U-GAT-IT: Unsupervised Generative Attentional Networks with
Adaptive Layer-Instance Normalization for Image-to-Image Translation (arXiv:1907.10830). The
generator of Photo2Cartoon (minivision, 2020) adds hourglasses and lets content shape the norm.
State-dict keys, networks and training equal PaddleGAN's. Variances are the unbiased ones.

An auxiliary classifier looks at the pooled feature maps and says which domain a picture is of; its
weights say which maps matter (class activation map), and the network goes on with those.
"""

from ppzoo.translation.ugatit.model import UGATITModel
from ppzoo.translation.ugatit.networks import ResnetUGATITGenerator, UGATITDiscriminator
from ppzoo.translation.ugatit.photo2cartoon import ResnetUGATITP2CGenerator

__all__ = [
    "ResnetUGATITGenerator",
    "ResnetUGATITP2CGenerator",
    "UGATITDiscriminator",
    "UGATITModel",
]
