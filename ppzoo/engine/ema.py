# SPDX-License-Identifier: Apache-2.0
"""Exponential moving averages of weights (Yazici et al. 2019, arXiv:1806.04498)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import paddle
from paddle import nn


class EMA:
    """A second, smoothed set of weights for some networks.

    Args:
        nets: the networks by name.
        names: which of them to average.
        decay: how much of the average stays at each update, in [0, 1).
        start: updates before this one copy the weights instead.
    """

    def __init__(
        self, nets: dict[str, nn.Layer], names: Sequence[str], decay: float, start: int = 0
    ) -> None:
        self.decay, self.start = decay, start
        self._nets = {name: nets[name] for name in names}
        self._trained = {
            name: {key for key, value in net.named_parameters() if not value.stop_gradient}
            for name, net in self._nets.items()
        }
        # In float32 even where a network is not: its steps are too small for low precision.
        self.shadow = {
            name: {key: _precise(value).detach().clone() for key, value in net.state_dict().items()}
            for name, net in self._nets.items()
        }

    @paddle.no_grad()
    def update(self, iteration: int) -> None:
        """Move the averages towards the current weights; what is not trained is copied.

        Args:
            iteration: finished training steps.
        """
        decay = self.decay if iteration >= self.start else 0.0
        for name, net in self._nets.items():
            for key, value in net.state_dict().items():
                average, value = self.shadow[name][key], _precise(value)
                if key in self._trained[name] and decay:
                    average.set_value(average * decay + value * (1.0 - decay))
                else:
                    average.set_value(value)

    @paddle.no_grad()
    def restart(self) -> None:
        """Let the averages be the current weights."""
        for name, net in self._nets.items():
            for key, value in net.state_dict().items():
                self.shadow[name][key].set_value(_precise(value))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages into the networks inside the context, then the weights back."""
        kept = {
            name: {key: value.detach().clone() for key, value in net.state_dict().items()}
            for name, net in self._nets.items()
        }
        self._set(self.shadow)
        try:
            yield
        finally:
            self._set(kept)

    def _set(self, states: dict[str, dict[str, paddle.Tensor]]) -> None:
        for name, state in states.items():
            for key, value in self._nets[name].state_dict().items():
                value.set_value(state[key].astype(value.dtype))


def _precise(value: paddle.Tensor) -> paddle.Tensor:
    low = value.dtype in (paddle.float16, paddle.bfloat16)
    return value.astype("float32") if low else value
