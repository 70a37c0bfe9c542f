# SPDX-License-Identifier: Apache-2.0
"""The version whose interface this is, where PaddleGAN's scripts read it."""

from __future__ import annotations

from ppgan import __version__

ppgan_version = __version__

__all__ = ["ppgan_version"]
