# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's tools on top of dlib, which ppzoo does not use."""

from __future__ import annotations

from ppgan.compat import hooks

__getattr__, __dir__ = hooks(__name__)
