# SPDX-License-Identifier: Apache-2.0
"""ppzoo: GANs on PaddlePaddle, to learn from, to train and to use."""

# Before paddle, always: paddlepaddle 2.6 exports a zlib of its own, and a Python whose zlib is
# loaded after it crashes on the first PNG, .npz or gzip file.
import zlib  # noqa: F401

__version__ = "0.1.0.dev0"
