# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's tools for faces."""

from __future__ import annotations

from ppgan.compat import hooks

__getattr__, __dir__ = hooks(__name__)
