# SPDX-License-Identifier: Apache-2.0
"""ppzoo: GANs on PaddlePaddle, to learn from, to train and to use.

`ppzoo.Trainer(ppzoo.load_config("configs/demo/dcgan_digits.yaml")).fit()` trains a model.
"""

from __future__ import annotations

import importlib

# Before paddle, always: paddlepaddle 2.6 exports a zlib of its own, and a Python whose zlib is
# loaded after it crashes on the first PNG, .npz or gzip file.
import zlib  # noqa: F401
from typing import TYPE_CHECKING, Any

from ppzoo import registry, runtime

if TYPE_CHECKING:
    from ppzoo.config import load_config
    from ppzoo.engine.records import read_curves
    from ppzoo.engine.trainer import Trainer
    from ppzoo.model import Model

__version__ = "0.1.0.dev0"
__all__ = ["Trainer", "build_model", "list_models", "load_config", "read_curves"]

runtime.configure()
runtime.warn_of_late_zlib()

# Imported when first asked for: `import ppzoo` alone stays light.
_HOMES = {
    "Trainer": "ppzoo.engine.trainer",
    "load_config": "ppzoo.config",
    "read_curves": "ppzoo.engine.records",
}


def list_models() -> list[str]:
    """Return the names that a config's `model.name` may have."""
    return registry.MODELS.names()


def build_model(spec: Any) -> Model:
    """Build a model, its networks and its losses.

    Args:
        spec: the `model` section of a config that `load_config` read, or a mapping like it.

    Raises:
        ConfigError: a name that is not registered.
        TypeError: arguments that a class does not take.
    """
    return registry.build(registry.MODELS, spec)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ppzoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
