# SPDX-License-Identifier: Apache-2.0
"""Comparison with numbers recorded from PaddleGAN."""
