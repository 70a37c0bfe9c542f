# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's training."""
