# SPDX-License-Identifier: Apache-2.0
"""What a face in a picture is, and what every detector of faces offers."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ppzoo.errors import ConfigError
from ppzoo.faces.boxes import hairline_to_chin
from ppzoo.weights.manifest import local_weights

_log = logging.getLogger(__name__)

DetectorName = Literal["auto", "cascade", "sfd", "blazeface"]
_CLASSES = {
    "cascade": ("ppzoo.faces.cascade", "CascadeDetector"),
    "sfd": ("ppzoo.faces.sfd", "SFDDetector"),
    "blazeface": ("ppzoo.faces.blazeface", "BlazeFaceDetector"),
}
_WEIGHTS = {"sfd": "s3fd", "blazeface": "blazeface"}


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture.

    Args:
        box: (x1, y1, x2, y2) in pixels, the right and lower edges exclusive; it may reach beyond
            the picture.
        score: how sure the detector is, from 0 to 1; scores of different detectors do not compare.
        landmarks: [K, 2] of (x, y) in pixels, the picture's left eye first, then its right one; or
            None where the detector gives none.
        roll: how far the head leans in the picture's plane, in degrees, clockwise positive, 0 if
            upright.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray | None = None
    roll: float = 0.0

    @property
    def size(self) -> tuple[float, float]:
        """Return (width, height) of the box in pixels."""
        x1, y1, x2, y2 = self.box
        return x2 - x1, y2 - y1

    @property
    def area(self) -> float:
        """Return the area of the box in square pixels."""
        width, height = self.size
        return width * height


class FaceDetector:
    """Finds faces in pictures; a subclass says how in `_detect`."""

    # Whether boxes begin at the brows, not at the hairline as S3FD's do.
    is_from_brows: ClassVar[bool] = False

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces of a picture, largest first.

        Args:
            image: uint8 RGB [H, W, 3], or grey [H, W] or [H, W, 1].

        Raises:
            ValueError: another type or shape, or an empty picture.
        """
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Return the faces of each picture, largest first; the pictures may differ in size.

        Args:
            images: pictures as `detect` takes them.

        Raises:
            ValueError: a picture of another type or shape, or an empty one.
        """
        found = self._detect([as_picture(image) for image in images])
        return [sorted(faces, key=lambda face: face.area, reverse=True) for faces in found]

    def for_films(self) -> FaceDetector:
        """Return a detector of the same kind for the frames of a film; it may see less detail."""
        return self

    def whole_face(self, box: tuple[float, ...]) -> tuple[float, ...]:
        """Return a box of this detector's from the hairline to below the chin, as S3FD gives it."""
        return hairline_to_chin(box) if self.is_from_brows else box

    def _detect(self, images: list[np.ndarray]) -> list[list[Face]]:
        raise NotImplementedError


def as_picture(image: Any) -> np.ndarray:
    """Return a picture as RGB, or say why it is none.

    Args:
        image: uint8 RGB [H, W, 3], or grey [H, W] or [H, W, 1], which becomes RGB.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: another type or shape, or an empty picture.
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[-1] == 4:
        raise ValueError("a picture with alpha: lay it on a background, or pass image[..., :3]")
    is_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)
    if array.dtype != np.uint8 or not is_shape or array.size == 0:
        raise ValueError(
            "expected a uint8 picture [H, W, 3] (RGB) or [H, W] (grey), got "
            f"{array.dtype} with the shape {list(array.shape)}"
        )
    return array if array.ndim == 3 else np.repeat(array[..., np.newaxis], 3, axis=-1)


def roll_of_eyes(landmarks: np.ndarray) -> float:
    """Return how far a head leans by its eyes, in degrees, clockwise positive.

    Args:
        landmarks: [K, 2] of (x, y), the picture's left eye first, then its right one.
    """
    (x1, y1), (x2, y2) = np.asarray(landmarks, dtype=np.float64)[:2]
    return float(np.degrees(np.arctan2(y2 - y1, x2 - x1)))


def build_detector(
    name: DetectorName = "auto", weight_path: str | Path | None = None
) -> FaceDetector:
    """Build a face detector by its name.

    Args:
        name: "cascade" (needs no weights), "sfd" or "blazeface" (PaddleGAN's networks, whose
            official weights are downloaded once), or "auto": the best one whose weights are on
            this computer already, `sfd` before `blazeface` before `cascade`.
        weight_path: weights of "sfd" or "blazeface" to use instead of the official ones.

    Raises:
        ConfigError: an unknown name, or weights for a detector that has none.
        WeightsError: weights that are missing or do not fit.
    """
    check_detector(name, weight_path)
    if name == "auto":
        name = best_at_hand()
        _log.info("faces are detected by %r, the best detector whose weights are here", name)
    module, class_name = _CLASSES[name]
    build = getattr(importlib.import_module(module), class_name)
    return build() if name == "cascade" else build(weight_path)


def check_detector(name: DetectorName, weight_path: str | Path | None = None) -> None:
    """Check what `build_detector` is to be given, before other weights are read or downloaded.

    Raises:
        ConfigError: an unknown name, or weights for a detector that has none.
    """
    if name != "auto" and name not in _CLASSES:
        known = ", ".join(repr(known) for known in ("auto", *_CLASSES))
        raise ConfigError(f"there is no face detector {name!r}: choose one of {known}")
    if name == "auto" and weight_path is not None:
        raise ConfigError("a weight_path needs a detector by name: 'sfd' or 'blazeface'")
    if name == "cascade" and weight_path is not None:
        raise ConfigError(f"the detector 'cascade' takes no weights, got {str(weight_path)!r}")


def best_at_hand() -> DetectorName:
    """Return which detector "auto" is: the best one whose weights are on this computer."""
    names: tuple[DetectorName, ...] = ("sfd", "blazeface")
    for name in names:
        if local_weights(_WEIGHTS[name]) is not None:
            return name
    return "cascade"
