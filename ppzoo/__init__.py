# SPDX-License-Identifier: Apache-2.0
"""ppzoo: GANs on PaddlePaddle, to learn from, to train and to use."""

__version__ = "0.1.0.dev0"
