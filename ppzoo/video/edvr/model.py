# SPDX-License-Identifier: Apache-2.0
"""How EDVR is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle

from ppzoo.config.schema import plain
from ppzoo.errors import ConfigError, DataError
from ppzoo.model import Batch, Criterion, Generator, Logs, Model
from ppzoo.registry import MODELS

_LOG = logging.getLogger(__name__)


@MODELS.register()
class EDVRModel(Model):
    """A generator that makes one frame of several, and how far it is from the true one.

    A batch holds `lq`, frames [N, T, C, h, w] in [0, 1], and `gt`, the true middle frame
    [N, 1, C, H, W] or [N, C, H, W].

    Args:
        generator: maps frames [N, T, C, h, w] to the middle one, [N, C, H, W].
        tsa_iter: iterations at the beginning in which only the fusion (`TSAModule`) learns; for
            networks whose other weights come from a training without it. 0 or False for none.
        pixel_criterion: distance of the output to the true frame; the paper's is
            `CharbonnierLoss`.
        to_static: accepted for PaddleGAN's configs; training runs eagerly.
        image_shape: accepted for PaddleGAN's configs.
        eval_still: evaluate the generator on copies of the middle frame, too, which takes as long
            again; `PSNROverStill` compares the two.
        start_as_bilinear: let the generator begin as bilinear enlargement of the middle frame,
            which saves a short training the time to learn copying.

    Raises:
        ConfigError: the generator cannot begin so.
    """

    NETS = ("generator",)
    OPTIMIZERS = ("optim",)

    def __init__(
        self,
        generator: Generator,
        tsa_iter: int | bool = 0,
        pixel_criterion: Criterion | None = None,
        to_static: bool = False,
        image_shape: list[int] | None = None,
        eval_still: bool = False,
        start_as_bilinear: bool = False,
    ) -> None:
        super().__init__()
        if tsa_iter < 0:
            raise ValueError(f"tsa_iter is {tsa_iter}, expected at least 0")
        if start_as_bilinear:
            if not hasattr(generator, "start_as_bilinear"):
                raise ConfigError(
                    f"model.start_as_bilinear: {type(generator).__name__} cannot begin so"
                )
            generator.start_as_bilinear()
        self.nets["generator"] = generator
        self.tsa_iter = int(tsa_iter)
        self.pixel_criterion = pixel_criterion
        self.eval_still = eval_still

    def setup_optimizers(self, specs: Mapping[str, tuple[Any, Sequence[str] | None]]) -> None:
        """Build the optimizers, as `Model.setup_optimizers` does."""
        if self.tsa_iter:
            # An optimizer that updates all weights in one call keeps to those of its first call.
            specs = {name: (_one_by_one(spec), nets) for name, (spec, nets) in specs.items()}
        super().setup_optimizers(specs)

    def parameters_of(self, net_name: str) -> list[paddle.Tensor]:
        """Return a network's parameters, those of the fusion first."""
        named = self.nets[net_name].named_parameters()
        return [
            parameter for _, parameter in sorted(named, key=lambda item: not _is_fusion(item[0]))
        ]

    def weights_to_start_from(
        self, net_name: str, arrays: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return a network's weights; of a network with another fusion all but the fusion."""
        state = self.nets[net_name].state_dict()
        fusion = {name for name in state if _is_fusion(name)}
        found = {name for name in arrays if _is_fusion(name)}
        if not found or found == fusion:
            return arrays
        _LOG.info("the fusion of frames is of another kind in the file: it begins anew")
        others = {name: array for name, array in arrays.items() if name not in found}
        return others | {name: state[name].numpy() for name in fusion}

    def train_step(self, batch: Batch) -> Logs:
        """Update the generator, or its fusion alone in the first `tsa_iter` iterations."""
        frames, target = _frames_of(batch), _target_of(batch)
        if target is None:
            raise DataError("the training set has no gt: EDVR learns from true frames")
        waiting = []
        if self.iteration < self.tsa_iter:
            named = self.nets.generator.named_parameters()
            waiting = [p for name, p in named if not (_is_fusion(name) or p.stop_gradient)]
        for parameter in waiting:
            parameter.stop_gradient = True
        try:
            return self.update("optim", self.loss, frames, target)
        finally:
            for parameter in waiting:
                parameter.stop_gradient = False

    def loss(self, frames: paddle.Tensor, target: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the distance of what the generator makes of `frames` to the true frame."""
        if self.pixel_criterion is None:
            raise ConfigError(
                "model.pixel_criterion is missing: name the loss to train with, CharbonnierLoss"
            )
        output = self.nets.generator(frames)
        if output.shape != target.shape:
            raise ConfigError(
                f"model.generator makes frames of shape {list(output.shape[1:])} and gt has "
                f"{list(target.shape[1:])}: make the dataset's scale the network's"
            )
        loss = self.pixel_criterion(output, target)
        return loss, {"loss_pixel": loss}

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return `output`, `gt` and the middle frame `lq`, in [0, 1].

        With `eval_still` also `still`, what the generator makes of copies of the middle frame: what
        `output` is better than `still` in comes of looking at other frames.
        """
        frames, target = _frames_of(batch), _target_of(batch)
        middle = frames[:, frames.shape[1] // 2]
        with self.evaluating():
            outputs = {"output": self._enlarged(frames), "lq": middle}
            if self.eval_still:
                copies = paddle.stack([middle] * frames.shape[1], axis=1)
                outputs["still"] = self._enlarged(copies)
        return outputs if target is None else outputs | {"gt": target}

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return the middle frame, what the generator makes of all, and the true one."""
        outputs = self.eval_step(batch)
        return {name: outputs[name] for name in ("lq", "output", "gt") if name in outputs}

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        """Return what `eval_step` does, and the frames around the middle one, `lq-1`, `lq+1`..."""
        frames = _frames_of(batch)
        middle = frames.shape[1] // 2
        around = {f"lq{i - middle:+}": frames[:, i] for i in range(frames.shape[1]) if i != middle}
        return {**outputs, **around}

    def _enlarged(self, frames: paddle.Tensor) -> paddle.Tensor:
        """Return the middle frame of any size enlarged, as `EDVRPredictor` does.

        A quarter of 1080 lines is no multiple of 4: frames are mirrored up to what the network
        takes, and cut back.
        """
        generator = self.nets.generator
        height, width = frames.shape[-2:]
        multiple = getattr(generator, "size_multiple", 1)
        below, right = -height % multiple, -width % multiple
        if not (below or right):
            return generator(frames)
        around = [(0, 0)] * 3 + [(0, below), (0, right)]
        whole = paddle.to_tensor(np.pad(frames.numpy(), around, mode="symmetric"))
        scale = generator.scale
        return generator(whole)[..., : height * scale, : width * scale]


def _is_fusion(name: str) -> bool:
    return "TSAModule" in name


def _frames_of(batch: Batch) -> paddle.Tensor:
    frames = batch["lq"]
    if frames.ndim != 5:
        raise DataError(f"lq is {list(frames.shape)}, expected frames [N, T, C, H, W]")
    return frames


def _target_of(batch: Batch) -> paddle.Tensor | None:
    target = batch.get("gt")
    return target[:, 0] if target is not None and target.ndim == 5 else target


def _one_by_one(spec: Any) -> dict[str, Any]:
    """Return an optimizer's component, told to update each weight by itself."""
    component = plain(spec)
    has_choice = component["name"] in ("Adam", "Momentum")
    return component | ({"use_multi_tensor": False} if has_choice else {})
