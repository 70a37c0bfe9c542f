# SPDX-License-Identifier: Apache-2.0
"""Face parsing: to which of 19 parts of a face each pixel belongs, and pictures of that.

The parts are those of CelebAMask-HQ (Lee et al. 2020, arXiv:1907.11922) in the order of PaddleGAN's
BiSeNet, which differs from that of the dataset's own label maps (`ORDERS`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import paddle
import paddle.nn.functional as F

from ppzoo.errors import ConfigError
from ppzoo.faces.bisenet import BiSeNet
from ppzoo.faces.segmentation import Model, PaddleSegNetwork
from ppzoo.weights import load_weights
from ppzoo.weights.manifest import find_weights

ParserName = Literal["paddlegan", "paddleseg"]

_SIZE = 512  # pixels that PaddleGAN's BiSeNet was trained on
# ImageNet's, of RGB in [0, 1].
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The classes of larger pictures are found at this size and enlarged, or their scores would take
# gigabytes.
_LARGEST = 1024


@dataclass(frozen=True)
class FacePart:
    """A class of face parsing.

    Args:
        name: in English.
        chinese: in Chinese.
        colour: red, green and blue, 0 to 255.
    """

    name: str
    chinese: str
    colour: tuple[int, int, int]


# Left and right are CelebAMask-HQ's. Neighbours in a face differ in hue or lightness, the two of a
# pair are shades of one hue.
CLASSES: tuple[FacePart, ...] = (
    FacePart("background", "背景", (0, 0, 0)),
    FacePart("skin", "皮肤", (255, 205, 165)),
    FacePart("left brow", "左眉", (120, 75, 20)),
    FacePart("right brow", "右眉", (190, 130, 55)),
    FacePart("left eye", "左眼", (0, 90, 255)),
    FacePart("right eye", "右眼", (70, 190, 255)),
    FacePart("glasses", "眼镜", (150, 60, 255)),
    FacePart("left ear", "左耳", (255, 120, 0)),
    FacePart("right ear", "右耳", (255, 180, 70)),
    FacePart("earring", "耳环", (255, 240, 0)),
    FacePart("nose", "鼻子", (0, 175, 100)),
    FacePart("mouth", "口腔", (110, 0, 30)),
    FacePart("upper lip", "上唇", (255, 90, 150)),
    FacePart("lower lip", "下唇", (220, 20, 80)),
    FacePart("neck", "脖子", (200, 145, 110)),
    FacePart("necklace", "项链", (160, 235, 60)),
    FacePart("clothes", "衣服", (60, 85, 160)),
    FacePart("hair", "头发", (95, 45, 125)),
    FacePart("hat", "帽子", (0, 120, 120)),
)
NAMES: tuple[str, ...] = tuple(part.name for part in CLASSES)
COLOURS: np.ndarray = np.array([part.colour for part in CLASSES], np.uint8)

# What the outputs of a network mean, in turn.
ORDERS: dict[str, tuple[str, ...]] = {
    "paddlegan": NAMES,
    # The label maps that CelebAMask-HQ's own scripts make.
    "celebamask-hq": (
        "background",
        "skin",
        "nose",
        "glasses",
        "left eye",
        "right eye",
        "left brow",
        "right brow",
        "left ear",
        "right ear",
        "mouth",
        "upper lip",
        "lower lip",
        "hair",
        "hat",
        "earring",
        "necklace",
        "neck",
        "clothes",
    ),
}


class FaceParser:
    """Tells the parts of faces apart, in pictures that one face fills to a large part.

    Args:
        backend: "paddlegan" for its BiSeNet, "paddleseg" for one of PaddleSeg's networks, which
            needs `pip install 'ppzoo[seg]'`.
        weight_path: the network's weights; by default PaddleGAN's official ones. PaddleSeg
            publishes none for faces, so there they must be given.
        model: PaddleSeg's network, see `ppzoo.faces.segmentation.PaddleSegNetwork`.
        order: what PaddleSeg's classes mean: a name in `ORDERS`, or a name of `NAMES` for each
            class, in turn.

    Raises:
        ConfigError: an unknown backend, order or model, or options that the backend does not have.
        MissingExtraError: PaddleSeg is asked for and not installed.
        WeightsError: the weights are missing or do not fit.
    """

    def __init__(
        self,
        weight_path: str | os.PathLike[str] | None = None,
        backend: ParserName = "paddlegan",
        model: Model | None = None,
        order: str | Sequence[str] = "paddlegan",
    ) -> None:
        if backend not in get_args(ParserName):
            raise ConfigError(
                f"there is no face parser {backend!r}: choose 'paddlegan' or 'paddleseg'"
            )
        self._meaning = _meaning(order)
        if backend == "paddlegan":
            if model is not None or order != "paddlegan":
                raise ConfigError("`model` and `order` are for the face parser 'paddleseg' only")
            net = BiSeNet(len(CLASSES))
            load_weights(net, find_weights("bisenet", weight_path), "bisenet")
            net.eval()
            self._scores = _BiSeNetScores(net)
            self.backend = "paddlegan: BiSeNet"
            return
        segmenter = PaddleSegNetwork(model or "bisenetv1", weight_path)
        self._scores = segmenter.probabilities
        self.backend = f"paddleseg: {segmenter.name}"

    def parse(self, image: np.ndarray) -> np.ndarray:
        """Return the class of each pixel, an index of `CLASSES`, uint8 [H, W].

        Args:
            image: uint8 RGB [H, W, 3] of any size. It is padded to a square by repeating its edge.
        """
        import cv2

        height, width = image.shape[:2]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square = cv2.copyMakeBorder(
            image,
            *(top, side - height - top, left, side - width - left),
            cv2.BORDER_REPLICATE,
        )
        scores = self._scores(square)
        if len(scores) != len(self._meaning):
            raise ConfigError(
                f"the network of the face parser tells {len(scores)} classes apart, but its order "
                f"names {len(self._meaning)}"
            )
        # Enlarged before the decision, so that edges are smooth.
        size = min(side, _LARGEST)
        enlarged = F.interpolate(
            paddle.to_tensor(scores[np.newaxis]), [size, size], mode="bilinear", align_corners=True
        )
        classes = self._meaning[enlarged[0].argmax(axis=0).numpy()]
        if size != side:
            classes = cv2.resize(classes, (side, side), interpolation=cv2.INTER_NEAREST)
        return np.ascontiguousarray(classes[top : top + height, left : left + width])


class _BiSeNetScores:
    """Scores [19, h, w] of a square picture by PaddleGAN's BiSeNet."""

    def __init__(self, net: BiSeNet) -> None:
        self._net = net

    def __call__(self, image: np.ndarray) -> np.ndarray:
        import cv2

        interpolation = cv2.INTER_AREA if len(image) > _SIZE else cv2.INTER_LINEAR
        resized = cv2.resize(image, (_SIZE, _SIZE), interpolation=interpolation)
        x = (resized.astype(np.float32) / 255 - np.float32(_MEAN)) / np.float32(_STD)
        with paddle.no_grad():
            scores = self._net.scores(paddle.to_tensor(x.transpose(2, 0, 1)[np.newaxis]))
        return scores[0].numpy()


def _meaning(order: str | Sequence[str]) -> np.ndarray:
    """Return the index in `CLASSES` of each class of a network, uint8."""
    if isinstance(order, str):
        if order not in ORDERS:
            raise ConfigError(f"there is no order {order!r} of classes: choose {', '.join(ORDERS)}")
        order = ORDERS[order]
    unknown = [name for name in order if name not in NAMES]
    if unknown:
        raise ConfigError(
            f"there is no part {unknown[0]!r} of a face: there are {', '.join(NAMES)}"
        )
    return np.array([NAMES.index(name) for name in order], np.uint8)


def colourise(
    classes: np.ndarray, image: np.ndarray | None = None, blend: float | None = None
) -> np.ndarray:
    """Return a picture of classes in their colours, uint8 RGB [H, W, 3].

    Args:
        classes: indices of `CLASSES`, integers [H, W].
        image: uint8 RGB [H, W, 3] to lay the colours on; the background stays as it is there.
        blend: how much of the colours shows, 0 to 1; 0.6 by default with an image.

    Raises:
        ValueError: classes out of range, an image of another size, a blend out of range or without
            an image.
    """
    classes = np.asarray(classes)
    if classes.ndim != 2 or classes.dtype.kind not in "iu":
        raise ValueError(
            f"expected classes as integers [H, W], got {classes.dtype} {list(classes.shape)}"
        )
    if classes.size and not 0 <= classes.min() <= classes.max() < len(CLASSES):
        raise ValueError(f"classes are 0 to {len(CLASSES) - 1}, got {classes.max()}")
    colours = COLOURS[classes]
    if image is None:
        if blend is not None:
            raise ValueError("blending needs an image")
        return colours
    if image.shape != colours.shape:
        raise ValueError(
            f"the image is {list(image.shape)}, the classes ask for {list(colours.shape)}"
        )
    blend = 0.6 if blend is None else blend
    if not 0 <= blend <= 1:
        raise ValueError(f"blend is 0 to 1, got {blend}")
    share = np.float32(blend) * (classes > 0)[..., np.newaxis]
    return np.rint(image * (1 - share) + colours * share).astype(np.uint8)


def legend(height: int = 0, classes: Sequence[int] | None = None) -> np.ndarray:
    """Return a picture of the colours with their names beside them, uint8 RGB [H, W, 3].

    Args:
        height: least height in pixels; the rest is white.
        classes: which classes to list, by index; all by default.
    """
    from PIL import Image, ImageDraw, ImageFont

    shown = list(range(len(CLASSES)) if classes is None else classes)
    row, gap = 18, 4
    font = ImageFont.load_default()
    width = max((font.getlength(NAMES[index]) for index in shown), default=0)
    size = (int(width) + row + 4 * gap, max(height, len(shown) * row + 2 * gap, 1))
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for number, index in enumerate(shown):
        top = gap + number * row
        place = (gap, top + 2, gap + row, top + row - 2)
        draw.rectangle(place, fill=CLASSES[index].colour, outline=(128, 128, 128))
        text: Any = (2 * gap + row, top + row // 2)
        draw.text(text, NAMES[index], fill="black", font=font, anchor="lm")
    return np.asarray(picture)
