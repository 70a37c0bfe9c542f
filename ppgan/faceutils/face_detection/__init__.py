# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's face detection."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppzoo.faces.boxes import clip
from ppzoo.faces.detector import build_detector


class LandmarksType(enum.Enum):
    """What landmarks are; PaddleGAN's detection finds none of either kind."""

    _2D = 1
    _2halfD = 2
    _3D = 3


class FaceAlignment:
    """Finds faces in pictures.

    Args:
        landmarks_type: accepted as PaddleGAN's.
        flip_input: likewise.
        face_detector: `sfd` or `blazeface`, PaddleGAN's networks; or `cascade`, which needs no
            weights.
        verbose: accepted as PaddleGAN's.
    """

    def __init__(
        self,
        landmarks_type: LandmarksType,
        flip_input: bool = False,
        face_detector: str = "sfd",
        verbose: bool = False,
    ) -> None:
        self.face_detector = build_detector(face_detector)  # type: ignore[arg-type]

    def get_detections_for_batch(self, images: Sequence[np.ndarray]) -> list[Any]:
        """Return (x1, y1, x2, y2) of the largest face of each picture [H, W, 3], None without."""
        found = self.face_detector.detect_batch([np.asarray(image, np.uint8) for image in images])
        shapes = [np.shape(image)[:2] for image in images]
        return [
            tuple(int(value) for value in clip(faces[0].box, *shape)) if faces else None
            for faces, shape in zip(found, shapes, strict=True)
        ]

    def get_detections_for_image(self, image: np.ndarray) -> list[Any]:
        """Return (x1, y1, x2, y2, score) of all faces of a picture [H, W, 3], largest first."""
        return [(*face.box, face.score) for face in self.face_detector.detect(np.asarray(image))]
