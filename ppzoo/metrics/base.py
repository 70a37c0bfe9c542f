# SPDX-License-Identifier: Apache-2.0
"""What every metric can do."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.errors import ConfigError
from ppzoo.media.image import to_uint8_images


class Metric(abc.ABC):
    """A figure over many batches.

    `update` sees a batch, `accumulate` returns the figure of all that was seen, `state` and `merge`
    carry what was seen from one process to another.

    Attributes:
        inputs: names of the model's evaluation outputs that `update` takes, in its order; one that
            ends in "?" may be absent and is None then, "a|b" is the first of both that is there.
        as_uint8: whether `update` takes lists of uint8 pictures [H, W, 3] instead of image tensors.
        headline: the key of the figure that stands for all, where `accumulate` returns several.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    as_uint8: ClassVar[bool] = False
    headline: ClassVar[str | None] = None

    @abc.abstractmethod
    def reset(self) -> None:
        """Forget all that was seen."""

    @abc.abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """See one more batch, given as `inputs` says."""

    @abc.abstractmethod
    def accumulate(self) -> float | dict[str, float]:
        """Return the figure, or several by name, of all that was seen since the last reset.

        Raises:
            ValueError: too little was seen for a figure.
        """

    @abc.abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Return what was seen, as arrays that can be sent to another process."""

    @abc.abstractmethod
    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""

    def update_from(
        self, outputs: Mapping[str, Any], min_max: Sequence[float] = (-1.0, 1.0)
    ) -> None:
        """Update from the named outputs of a model's evaluation step.

        Args:
            outputs: tensors by name; images are [N, C, H, W] with values in `min_max`.
            min_max: the value range of image tensors.

        Raises:
            ConfigError: the model does not give what this metric needs.
        """
        self.update(*(self._pick(name, outputs, min_max) for name in self.inputs))

    def _pick(self, name: str, outputs: Mapping[str, Any], min_max: Sequence[float]) -> Any:
        keys = name.removesuffix("?").split("|")
        key = next((key for key in keys if outputs.get(key) is not None), None)
        if key is None:
            if name.endswith("?"):
                return None
            raise ConfigError(
                f"the metric {type(self).__name__} needs the output {keys[0]!r}, which this model "
                f"does not give (it gives {', '.join(sorted(outputs)) or 'none'}); remove the "
                "metric from validate.metrics"
            )
        value = outputs[key]
        if self.as_uint8 and len(value.shape) == 4:
            return list(to_uint8_images(value, min_max))
        return value
