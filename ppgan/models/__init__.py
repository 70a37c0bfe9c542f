# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's models."""

from __future__ import annotations

from typing import Any

from ppgan.compat import hooks
from ppzoo import registry

__getattr__, __dir__ = hooks(__name__)


def build_model(cfg: Any) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is.

    It has the methods of PaddleGAN's that scripts call on models which they build themselves; see
    `ppgan.models.base_model.BaseModel`.
    """
    from ppgan.models.base_model import with_methods

    # PaddleGAN's models cap the batches of an evaluation; here the trainer does.
    spec = {key: value for key, value in cfg.items() if key != "max_eval_steps"}
    return with_methods(registry.build(registry.MODELS, spec))
