# SPDX-License-Identifier: Apache-2.0
"""What PaddleGAN's scripts use beside models."""

from __future__ import annotations

from ppgan.compat import hooks

__getattr__, __dir__ = hooks(__name__)
