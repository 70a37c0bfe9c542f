# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's tools for faces."""
