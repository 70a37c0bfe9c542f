# SPDX-License-Identifier: Apache-2.0
"""Convolutions."""

from paddle.nn import Conv2D, Conv2DTranspose

__all__ = ["Conv2D", "Conv2DTranspose"]
