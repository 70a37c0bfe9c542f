# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's registry, for classes of one's own."""

from __future__ import annotations

from ppzoo.registry import Registry

__all__ = ["Registry"]
