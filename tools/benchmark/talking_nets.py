# SPDX-License-Identifier: Apache-2.0
"""The networks of First Order Motion and Wav2Lip as their apps run them, at full size."""

from __future__ import annotations

import paddle
from paddle import nn

from ppzoo import load_config, registry
from ppzoo.config.schema import plain
from ppzoo.motion.firstorder import FirstOrderGenerator
from tools.benchmark.bench import ROOT


class FirstOrderFrame(nn.Layer):
    """One frame of a film whose source was looked at before."""

    def __init__(self, animator: FirstOrderGenerator) -> None:
        super().__init__()
        self.kp_extractor, self.generator = animator.kp_extractor, animator.generator

    def forward(
        self,
        driving: paddle.Tensor,
        source: paddle.Tensor,
        maps: paddle.Tensor,
        places: paddle.Tensor,
        jacobians: paddle.Tensor,
    ) -> paddle.Tensor:
        """Return the source posed as the driving frame is.

        Args:
            driving: [N, 3, 256, 256] with values in [0, 1].
            source: likewise.
            maps: the source's features [N, 256, 64, 64].
            places: the source's keypoints [N, 10, 2].
            jacobians: theirs, [N, 10, 2, 2].
        """
        still = {"value": places, "jacobian": jacobians}
        moved = self.kp_extractor(driving)
        motion = self.generator.dense_motion_network(source, moved, still)
        return self.generator.decode(maps, motion)


def first_order() -> FirstOrderGenerator:
    """Return detector and generator of vox-256."""
    options = plain(load_config(ROOT / "configs/firstorder_vox_256.yaml").model.kwargs)
    parts = {k: v for k, v in options["generator"].items() if k != "name"}
    params = {key: options[key] for key in ("common_params", "train_params")}
    return FirstOrderGenerator(**parts, **params, dis_scales=[1])


def first_order_frame() -> nn.Layer:
    """Return what draws a frame with vox-256."""
    animator = first_order()
    # A Jacobian that is nearly singular would make rounding errors large.
    weight = animator.kp_extractor.jacobian.weight
    weight.set_value(paddle.randn(weight.shape) * 1e-3)
    return FirstOrderFrame(animator)


def wav2lip() -> nn.Layer:
    """Return Wav2Lip's generator."""
    return registry.build(registry.GENERATORS, {"name": "Wav2Lip"})


class Embeddings(nn.Layer):
    """SyncNet with its two results in one."""

    def __init__(self) -> None:
        super().__init__()
        expert = registry.build(registry.DISCRIMINATORS, {"name": "SyncNetColor"})
        self.audio_encoder, self.face_encoder = expert.audio_encoder, expert.face_encoder
        self._expert = [expert]  # not a layer of its own, whose weights would be twice in a file

    def forward(self, mels: paddle.Tensor, faces: paddle.Tensor) -> paddle.Tensor:
        """Return the embeddings [N, 1024] of sounds and lips; see `SyncNetColor`."""
        return paddle.concat(self._expert[0](mels, faces), axis=1)


NETS = {
    "firstorder256": first_order_frame,
    "wav2lip96": wav2lip,
    "syncnet96": Embeddings,
}
