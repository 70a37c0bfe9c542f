# SPDX-License-Identifier: Apache-2.0
"""What PaddleGAN's scripts use beside models."""
