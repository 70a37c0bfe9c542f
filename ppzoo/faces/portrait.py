# SPDX-License-Identifier: Apache-2.0
"""Portrait masks: which pixels show the person.

By PaddleSeg's networks where they are installed, by PaddleGAN's where its weights are, else by
GrabCut (Rother, Kolmogorov & Blake 2004), which needs no download: it is started with a head and
shoulders around the face and learns the colours of person and background from this picture alone.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import paddle

from ppzoo.errors import ConfigError, UserError
from ppzoo.faces.detector import Face
from ppzoo.faces.faceseg import FaceSegFCN
from ppzoo.faces.segmentation import Model, PaddleSegNetwork, is_installed
from ppzoo.weights import load_weights
from ppzoo.weights.manifest import find_weights, local_weights

_log = logging.getLogger(__name__)

SegmenterName = Literal["auto", "paddleseg", "faceseg", "grabcut"]
DEFAULT_MODEL = "human_pp_humansegv2_lite"

# GrabCut's time grows with the pixels, and its colours are those of the whole picture anyway.
_WORK_SIZE = 320
_ITERATIONS = 5
# Of a face's size: the radius within which specks and gaps are cleaned away, and that of the filter
# that lets the mask's edge follow the picture's.
_CLEANING, _EDGE = 0.06, 0.03
_LEAST_BACKGROUND = 0.04  # of the picture, to learn the background's colours from
_FACESEG_SIZE = 384  # pixels that PaddleGAN's network was trained on
_GUIDANCE = 1e-4  # variance of brightness, of 0 to 1, from which on an edge counts


@dataclass(frozen=True, eq=False)
class PortraitMask:
    """Where the person is.

    Args:
        alpha: float32 [H, W], 0 for background to 1 for the person.
        backend: what made it: "paddleseg: MobileSeg", "grabcut", ...
    """

    alpha: np.ndarray
    backend: str


class PortraitSegmenter:
    """Makes portrait masks; a subclass says how in `_alpha`."""

    backend = ""

    def segment(self, image: np.ndarray, face: Face) -> PortraitMask:
        """Return the mask of the person whose face is given.

        Args:
            image: uint8 RGB [H, W, 3] of any size.
            face: the person's face in this picture.
        """
        alpha = self._alpha(image, face).astype(np.float32, copy=False)
        return PortraitMask(alpha, self.backend)

    def _alpha(self, image: np.ndarray, face: Face) -> np.ndarray:
        raise NotImplementedError


class PaddleSegSegmenter(PortraitSegmenter):
    """Masks by a network of PaddleSeg, of all people in the picture.

    Args:
        model: see `ppzoo.faces.segmentation.PaddleSegNetwork`; its class 1 is the person.
        weight_path: the network's weights, by default the preset's official ones.
    """

    def __init__(
        self, model: Model = DEFAULT_MODEL, weight_path: str | os.PathLike[str] | None = None
    ) -> None:
        self._net = PaddleSegNetwork(model, weight_path)
        self.backend = f"paddleseg: {self._net.name}"

    def _alpha(self, image: np.ndarray, face: Face) -> np.ndarray:
        probabilities = self._net.probabilities(image)
        if len(probabilities) < 2:
            raise ConfigError(
                f"PaddleSeg's {self._net.name} has one class, a mask needs background and person"
            )
        return enlarged(probabilities[1], image.shape[:2])


class FaceSegSegmenter(PortraitSegmenter):
    """Masks by PaddleGAN's network, with soft edges where PaddleGAN's are hard.

    Args:
        weight_path: the network's weights, by default the official ones.
    """

    backend = "faceseg"

    def __init__(self, weight_path: str | os.PathLike[str] | None = None) -> None:
        self._net = FaceSegFCN()
        load_weights(self._net, find_weights("faceseg", weight_path), "faceseg")
        self._net.eval()

    def _alpha(self, image: np.ndarray, face: Face) -> np.ndarray:
        import cv2

        size = (_FACESEG_SIZE, _FACESEG_SIZE)
        resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        with paddle.no_grad():
            scores = self._net(paddle.to_tensor(resized.transpose(2, 0, 1)[np.newaxis]))[0]
            person = paddle.nn.functional.softmax(scores, axis=1)[0, 1].numpy()
        return enlarged(person, image.shape[:2])


class GrabCutSegmenter(PortraitSegmenter):
    """Masks by GrabCut, started around the face; deterministic, the same time for all sizes."""

    backend = "grabcut"

    def _alpha(self, image: np.ndarray, face: Face) -> np.ndarray:
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, _WORK_SIZE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        head = _Head.of(face, size[0] / width, size[1] / height)
        trimap = _trimap(size[::-1], head)
        if _has_both(trimap):
            # OpenCV starts its clusters of colours at random, from a state that it shares.
            cv2.setRNGSeed(0)
            models = np.zeros((2, 1, 65))
            # Noise reduced, or single pixels of hair and cloth change sides.
            smooth = cv2.bilateralFilter(small, 5, 30, 5)
            cv2.grabCut(smooth, trimap, None, *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
        person = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        person = _cleaned(person, head)
        alpha = _guided(small, person.astype(np.float32), max(1, round(_EDGE * head.size)))
        return enlarged(alpha, (height, width))


def build_segmenter(
    name: SegmenterName = "auto",
    weight_path: str | os.PathLike[str] | None = None,
    model: Model | None = None,
) -> PortraitSegmenter:
    """Build what makes portrait masks, by its name.

    Args:
        name: "paddleseg" (needs `pip install 'ppzoo[seg]'`), "faceseg" (PaddleGAN's), "grabcut", or
            "auto": PaddleSeg where it is installed and its weights are given, here, or to be had;
            else PaddleGAN's network where its weights are here; else GrabCut.
        weight_path: weights of the network.
        model: PaddleSeg's network, see `ppzoo.faces.segmentation.PaddleSegNetwork`.

    Raises:
        ConfigError: an unknown name, or options that it does not have.
        MissingExtraError: PaddleSeg is asked for and not installed.
        WeightsError: the weights are missing or do not fit.
    """
    if name not in get_args(SegmenterName):
        known = ", ".join(repr(known) for known in get_args(SegmenterName))
        raise ConfigError(f"there is no portrait mask {name!r}: choose one of {known}")
    given = weight_path is not None or model is not None
    if name == "grabcut":
        if given:
            raise ConfigError("the portrait mask 'grabcut' has no network: give no weights for it")
        return GrabCutSegmenter()
    if name == "faceseg":
        if model is not None:
            raise ConfigError("the portrait mask 'faceseg' is one network: give no model for it")
        return FaceSegSegmenter(weight_path)
    if name == "paddleseg" or given:
        return PaddleSegSegmenter(model or DEFAULT_MODEL, weight_path)
    if is_installed():
        try:
            return PaddleSegSegmenter()
        except UserError as error:
            _log.warning("portrait masks are made without PaddleSeg: %s", error)
    if local_weights("faceseg") is not None:
        return FaceSegSegmenter()
    return GrabCutSegmenter()


def enlarged(alpha: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask [h, w] at another size (height, width), smooth and within [0, 1]."""
    import cv2

    result = cv2.resize(
        np.ascontiguousarray(alpha, dtype=np.float32), size[::-1], interpolation=cv2.INTER_CUBIC
    )
    return result.clip(0, 1)


@dataclass(frozen=True)
class _Head:
    """Where a head is and how large: the unit in which head and shoulders are described.

    Args:
        x: of the middle between brows and mouth, in pixels.
        y: of the same.
        size: side of the square from the brows to the chin, in pixels.
        roll: in radians, clockwise positive.
    """

    x: float
    y: float
    size: float
    roll: float

    @classmethod
    def of(cls, face: Face, scale_x: float, scale_y: float) -> _Head:
        roll = np.radians(face.roll)
        if face.landmarks is not None and len(face.landmarks) > 1:
            # Detectors differ in what their boxes hold; eyes are eyes.
            left, right = np.asarray(face.landmarks, dtype=np.float64)[:2] * (scale_x, scale_y)
            size = float(np.hypot(*(right - left))) / 0.38
            if size > 1:
                down = 0.11 * size * np.array([-np.sin(roll), np.cos(roll)])
                x, y = (left + right) / 2 + down
                return cls(float(x), float(y), size, float(roll))
        x1, y1, x2, y2 = face.box
        width, height = (x2 - x1) * scale_x, (y2 - y1) * scale_y
        x, y = (x1 + x2) / 2 * scale_x, (y1 + y2) / 2 * scale_y
        if height > 1.15 * width:
            # S3FD's box begins at the hairline and is narrower than the cascade's.
            size = 1.2 * width
            y += 0.11 * size - 0.08 * height
        else:
            size = (width + height) / 2
        return cls(x, y, max(1.0, size), float(roll))


def _trimap(shape: tuple[int, int], head: _Head) -> np.ndarray:
    """Return GrabCut's start: certain and likely person, certain and likely background.

    The numbers are in sizes of the head, tried on some fifty portraits. Shoulders hang straight
    down, however the head leans.
    """
    import cv2

    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    x = (x + 0.5 - head.x) / head.size
    y = (y + 0.5 - head.y) / head.size
    side = np.abs(x)
    cos, sin = np.cos(head.roll), np.sin(head.roll)
    across, along = x * cos + y * sin, y * cos - x * sin

    def ellipse(centre: float, width: float, height: float) -> np.ndarray:
        return (across / width) ** 2 + ((along - centre) / height) ** 2 < 1

    trimap = np.full(shape, cv2.GC_PR_BGD, np.uint8)
    shoulders = side < np.interp(y, [0.45, 0.75, 1.2, 2.5], [0, 0.35, 1.15, 1.6])
    trimap[ellipse(-0.05, 0.7, 0.95) | shoulders] = cv2.GC_PR_FGD
    neck = (y > 0.4) & (side < 0.2)
    chest = (y > 1.1) & (side < np.interp(y, [1.1, 2.0], [0.3, 0.8]))
    trimap[ellipse(-0.1, 0.38, 0.6) | neck | chest] = cv2.GC_FGD
    beside = (y >= 0.1) & (side > np.interp(y, [0.1, 0.6, 1.2], [0.92, 1.15, 2.2]))
    # Where the head fills the picture, the corners are all the background that there is.
    for closeness in (1.0, 0.9, 0.8, 0.7):
        above = (y < 0.1) & ~ellipse(-0.12, 0.92 * closeness, 1.1 * closeness)
        trimap[above | beside] = cv2.GC_BGD
        if (trimap == cv2.GC_BGD).mean() > _LEAST_BACKGROUND:
            break
    return trimap


def _has_both(trimap: np.ndarray) -> bool:
    """Tell whether there are pixels on both sides, without which GrabCut raises."""
    import cv2

    person = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return bool(person.any() and not person.all())


def _cleaned(person: np.ndarray, head: _Head) -> np.ndarray:
    """Return the mask without specks and gaps, and only the part that holds the face."""
    import cv2

    radius = max(1, round(_CLEANING * head.size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    for operation in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE):
        person = cv2.morphologyEx(person, operation, disc)
    height, width = person.shape
    _, parts = cv2.connectedComponents(person)
    face = parts[min(max(int(head.y), 0), height - 1), min(max(int(head.x), 0), width - 1)]
    if face:
        person = (parts == face).astype(np.uint8)
    # Holes: background that does not reach the border and is small.
    count, parts, stats, _ = cv2.connectedComponentsWithStats(1 - person, connectivity=4)
    for part in range(1, count):
        left, top, part_width, part_height, area = stats[part]
        inside = left > 0 and top > 0 and left + part_width < width and top + part_height < height
        if inside and area < (0.4 * head.size) ** 2:
            person[parts == part] = 1
    return person


def _guided(image: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """Return the mask with edges that follow the picture's (He, Sun & Tang 2010, guided filter)."""
    import cv2

    def mean(array: np.ndarray) -> np.ndarray:
        return cv2.blur(array, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    mean_guide, mean_mask = mean(guide), mean(mask)
    variance = mean(guide * guide) - mean_guide**2
    slope = (mean(guide * mask) - mean_guide * mean_mask) / (variance + _GUIDANCE)
    offset = mean_mask - slope * mean_guide
    return (mean(slope) * guide + mean(offset)).clip(0, 1)
