# SPDX-License-Identifier: Apache-2.0
"""Likeness as VGG sees it: of what is shown (content) and of how it looks (style).

Content: Johnson et al. 2016 (arXiv:1603.08155), with the layers of ESRGAN (Wang et al. 2018,
arXiv:1809.00219). Style: Gatys et al. 2015 (arXiv:1508.06576); PaddleGAN's does not run, so that
the paper decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import WeightsError
from ppzoo.networks.vgg import VGGFeatures, VGGType, check_layers
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import CRITERIONS
from ppzoo.weights import load_state, read, select_net
from ppzoo.weights.manifest import BASE_URL, OFFICIAL, find_weights

# PaddleGAN's default, by which the official file of either classifier is meant.
OFFICIAL_URL = f"{BASE_URL}/model/vgg19.pdparams"
_OFFICIAL_NAMES = {"vgg16": "lpips_vgg16", "vgg19": "vgg19"}


@CRITERIONS.register()
class PerceptualLoss(nn.Layer):
    """The distance of VGG's answers to two pictures, and that of their Gram matrices.

    VGG and its weights are looked for at the first call, or by `prepare`; building the loss takes
    neither time nor files, so that a model can be evaluated without them.

    Args:
        layer_weights: factor by number of VGG's layer, ReLU and pooling layers among them: 34 is
            the last convolution of vgg19, before its ReLU.
        vgg_type: the classifier.
        use_input_norm: bring pictures to the mean and spread that the classifier learnt with.
        perceptual_weight: factor of the content loss; 0 leaves it out.
        style_weight: factor of the style loss; 0 leaves it out.
        norm_img: pictures come in [-1, 1] instead of [0, 1].
        pretrained: a file with the classifier's weights (`features.N.weight`). PaddleGAN's address
            means the official file, downloaded if need be. None means random weights, always the
            same ones, which tell textures apart but know nothing of what people see.
        criterion: the distance, absolute (`l1`) or squared (`l2`), as SRGAN has it.

    Raises:
        ValueError: an unknown layer, or a negative weight.
    """

    def __init__(
        self,
        layer_weights: Mapping[str | int, float],
        vgg_type: VGGType = "vgg19",
        use_input_norm: bool = True,
        perceptual_weight: float = 1.0,
        style_weight: float = 1.0,
        norm_img: bool = True,
        pretrained: str | os.PathLike[str] | None = OFFICIAL_URL,
        criterion: Literal["l1", "l2"] = "l1",
    ) -> None:
        super().__init__()
        check_at_least(0, perceptual_weight=perceptual_weight, style_weight=style_weight)
        if criterion not in ("l1", "l2"):
            raise ValueError(f"criterion is {criterion!r}, expected 'l1' or 'l2'")
        try:
            self.layer_weights = {int(layer): weight for layer, weight in layer_weights.items()}
        except ValueError:
            raise ValueError(
                f"layer_weights are by numbers of layers, got {sorted(map(str, layer_weights))}"
            ) from None
        check_layers(self.layer_weights, vgg_type)
        self.vgg_type, self.use_input_norm, self.norm_img = vgg_type, use_input_norm, norm_img
        self.perceptual_weight, self.style_weight = perceptual_weight, style_weight
        self.difference = F.l1_loss if criterion == "l1" else F.mse_loss
        self.weights_name, self.weights_path = _weights_of(pretrained, vgg_type)
        # In a list, so that the classifier is no part of the state of what uses this loss.
        self._vgg: list[VGGFeatures] = []

    def prepare(self) -> None:
        """Build VGG and load its weights, unless that is done; the first call does it otherwise.

        Raises:
            WeightsError: the weights are missing, or those of another network.
        """
        if self._vgg:
            return
        vgg = VGGFeatures(self.layer_weights, self.vgg_type, self.use_input_norm)
        if self.weights_name is None:
            vgg.set_state_dict(_random_weights(vgg))
        else:
            path = _found(self.weights_name, self.weights_path)
            arrays = vgg.arrays_of(select_net(read(path), self.vgg_type, path))
            load_state(vgg, arrays, path)
        vgg.eval()
        self._vgg.append(vgg)

    def forward(
        self, x: paddle.Tensor, gt: paddle.Tensor
    ) -> tuple[paddle.Tensor | None, paddle.Tensor | None]:
        """Return the content loss and the style loss, None for one whose weight is 0.

        Args:
            x: pictures [N, 3, H, W] in [0, 1], or in [-1, 1] with `norm_img`.
            gt: what they should be like, of the same shape; no gradient flows into it.

        Raises:
            WeightsError: VGG's weights are missing, or those of another network.
        """
        if not (self.perceptual_weight or self.style_weight):
            return None, None
        self.prepare()
        (vgg,) = self._vgg
        if self.norm_img:
            x, gt = (x + 1.0) * 0.5, (gt + 1.0) * 0.5
        answers = vgg(x)
        with paddle.no_grad():
            wanted = vgg(gt)
        content = style = None
        if self.perceptual_weight:
            content = self._distance(answers, wanted) * self.perceptual_weight
        if self.style_weight:
            grams = [{k: gram(maps) for k, maps in side.items()} for side in (answers, wanted)]
            style = self._distance(*grams) * self.style_weight
        return content, style

    def _distance(
        self, answers: Mapping[int, paddle.Tensor], wanted: Mapping[int, paddle.Tensor]
    ) -> paddle.Tensor:
        losses = [self.difference(answers[k], wanted[k]) * w for k, w in self.layer_weights.items()]
        return sum(losses[1:], losses[0])


def gram(maps: paddle.Tensor) -> paddle.Tensor:
    """Return the Gram matrices [N, C, C] of feature maps [N, C, H, W], divided by C H W.

    Which features go together, wherever they are in the picture.
    """
    n, c, h, w = maps.shape
    rows = maps.reshape([n, c, h * w])
    return paddle.bmm(rows, rows.transpose([0, 2, 1])) / (c * h * w)


def _weights_of(
    pretrained: str | os.PathLike[str] | None, vgg_type: str
) -> tuple[str | None, str | os.PathLike[str] | None]:
    """Return the name of the official file, None for random weights, and a path instead of it."""
    if not pretrained:
        return None, None
    name = _OFFICIAL_NAMES[vgg_type]
    if not str(pretrained).startswith(("http://", "https://")):
        return name, pretrained
    if pretrained in (OFFICIAL_URL, OFFICIAL[name].url):
        return name, None
    raise ValueError(
        f"pretrained is the address {pretrained}: download the file and give its path instead"
    )


def _found(name: str, path: str | os.PathLike[str] | None) -> Path:
    try:
        return find_weights(name, path)
    except WeightsError as error:
        raise WeightsError(
            f"PerceptualLoss: {error}; its option 'pretrained' takes the path of a file"
        ) from error


def _random_weights(vgg: VGGFeatures) -> dict[str, Any]:
    """Return He et al.'s initial weights (2015, arXiv:1502.01852), zero biases, the same ever."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, value in vgg.state_dict().items():
        if value.ndim == 1:
            continue
        array = rng.standard_normal(value.shape, dtype=np.float32)
        arrays[name] = array * np.float32(np.sqrt(2.0 / np.prod(value.shape[1:])))
        arrays[name.replace("weight", "bias")] = np.zeros(value.shape[:1], np.float32)
    return arrays
