# SPDX-License-Identifier: Apache-2.0
"""How First Order Motion for phones is trained: its parts one by one, then together."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import paddle

from ppzoo.config.schema import plain
from ppzoo.losses.perceptual import OFFICIAL_URL
from ppzoo.model import Batch, Logs
from ppzoo.motion.firstorder.model import Discriminator, FirstOrderModel, Generator, Params
from ppzoo.nn.modes import in_eval_mode
from ppzoo.registry import MODELS
from ppzoo.weights import load_weights
from ppzoo.weights.manifest import find_weights

# The part that does not learn in each mode, whose size is the full one's.
_FIXED = {"kp_detector": "generator", "generator": "kp_detector"}
_OPTIMIZERS = {"kp_detector": ("optimizer_KP",), "generator": ("optimizer_Gen",)}
_SECTIONS = {"kp_detector": "kp_detector_cfg", "generator": "generator_cfg"}
_OFFICIAL = "first_order_vox"


@MODELS.register()
class FirstOrderModelMobile(FirstOrderModel):
    """First Order Motion with small networks, which first learn beside a large one each.

    In the mode `generator` a small generator learns to use the keypoints of the full model's
    detector, in `kp_detector` a small detector learns to serve its generator; `both` puts the
    results together and goes on. What does not learn stays as it is, in evaluation mode.

    Args:
        common_params: see `FirstOrderModel`.
        train_params: likewise.
        generator_ori: the full model, of which a mode takes one part.
        generator: the small one.
        mode: what learns.
        kp_weight_path: weights to start the detector from. In the mode `generator`, None means the
            official ones; otherwise, none.
        gen_weight_path: weights to start the generator from. In the mode `kp_detector`, None means
            the official ones; otherwise, none.
        discriminator: see `FirstOrderModel`.
        pretrained: likewise.

    Raises:
        ValueError: an unknown mode, or `generator_ori` lacks the part that the mode takes.
    """

    def __init__(
        self,
        common_params: Params,
        train_params: Params,
        generator_ori: Params,
        generator: Generator,
        mode: Literal["kp_detector", "generator", "both"],
        kp_weight_path: str | None = None,
        gen_weight_path: str | None = None,
        discriminator: Discriminator | None = None,
        pretrained: str | None = OFFICIAL_URL,
    ) -> None:
        if mode not in (*_FIXED, "both"):
            raise ValueError(f"mode is {mode!r}, expected kp_detector, generator or both")
        self.mode, self.fixed = mode, _FIXED.get(mode)
        if self.fixed is not None:
            section = _SECTIONS[self.fixed]
            full = plain(generator_ori)
            if section not in full:
                raise ValueError(f"generator_ori has no {section}, which the mode {mode!r} takes")
            generator = functools.partial(generator, **{section: full[section]})
        super().__init__(common_params, train_params, generator, discriminator, pretrained)
        if self.fixed is not None:
            for parameter in self.nets[self.fixed].parameters():
                parameter.stop_gradient = True
        self.weight_paths = {"kp_detector": kp_weight_path, "generator": gen_weight_path}

    def setup_optimizers(self, specs: Mapping[str, tuple[Any, Sequence[str] | None]]) -> None:
        """Load the parts to start from, then build the optimizers.

        Raises:
            WeightsError: a file is missing, or is not of this network.
        """
        for name, path in self.weight_paths.items():
            if path is not None or name == self.fixed:
                load_weights(self.nets[name], find_weights(_OFFICIAL, path), name)
        super().setup_optimizers(specs)

    def train_step(self, batch: Batch) -> Logs:
        """Update what the mode says, then the discriminator if the generator has to fool it."""
        if self.fixed is None:
            return super().train_step(batch)
        with in_eval_mode(self.nets[self.fixed]):
            return self.part_step(batch, _OPTIMIZERS[self.mode])

    def keypoint_losses(self, driving: paddle.Tensor, made: Mapping[str, Any]) -> Logs:
        """Return the losses of the driving frame's keypoints, none if the detector is fixed."""
        return {} if self.fixed == "kp_detector" else super().keypoint_losses(driving, made)
