# SPDX-License-Identifier: Apache-2.0
"""Training, checkpoints and evaluation, blind to families."""

from ppzoo.engine.trainer import Trainer

__all__ = ["Trainer"]
