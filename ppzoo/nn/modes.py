# SPDX-License-Identifier: Apache-2.0
"""Training and evaluation mode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import paddle
from paddle import nn


@contextlib.contextmanager
def evaluating(*nets: nn.Layer) -> Iterator[None]:
    """Evaluate inside the context: no gradients, evaluation mode, then every layer as it was."""
    with in_eval_mode(*nets), paddle.no_grad():
        yield


@contextlib.contextmanager
def in_eval_mode(*nets: nn.Layer) -> Iterator[None]:
    """Put networks into evaluation mode inside the context, then every layer as it was."""
    modes = {layer: layer.training for net in nets for layer in net.sublayers(include_self=True)}
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode
