# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's face detection."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np

from ppgan.compat import hooks
from ppzoo.faces.boxes import clip
from ppzoo.faces.detector import DetectorName, Face, build_detector

Box = tuple[int, ...]

__getattr__, __dir__ = hooks(__name__)


class LandmarksType(enum.Enum):
    """What landmarks are; PaddleGAN's detection finds none of either kind."""

    _2D = 1
    _2halfD = 2
    _3D = 3


class NetworkSize(enum.IntEnum):
    """The size of the network for landmarks, of which there is none."""

    LARGE = 4


class FaceAlignment:
    """Finds faces in pictures.

    Args:
        landmarks_type: accepted as PaddleGAN's.
        network_size: likewise.
        flip_input: likewise.
        face_detector: `sfd` or `blazeface`, PaddleGAN's networks; or `cascade`, which needs no
            weights.
        verbose: accepted as PaddleGAN's.
    """

    def __init__(
        self,
        landmarks_type: LandmarksType,
        network_size: NetworkSize = NetworkSize.LARGE,
        flip_input: bool = False,
        face_detector: DetectorName = "sfd",
        verbose: bool = False,
    ) -> None:
        self.face_detector = build_detector(face_detector)

    def get_detections_for_batch(self, images: Sequence[np.ndarray]) -> list[Box | None]:
        """Return (x1, y1, x2, y2) of the largest face of each picture, None where there is none.

        Args:
            images: RGB [N, H, W, 3], values 0 to 255.
        """
        pictures = [np.asarray(image).astype(np.uint8) for image in images]
        found = self.face_detector.detect_batch(pictures)
        return [
            _whole(faces[0], picture) if faces else None
            for faces, picture in zip(found, pictures, strict=True)
        ]

    def get_detections_for_image(self, images: np.ndarray) -> list[Box]:
        """Return (x1, y1, x2, y2) of all faces of the first picture, the largest first.

        Args:
            images: RGB [1, H, W, 3] or [H, W, 3], values 0 to 255.
        """
        array = np.asarray(images).astype(np.uint8)
        picture = array[0] if array.ndim == 4 else array
        return [_whole(face, picture) for face in self.face_detector.detect(picture)]


def _whole(face: Face, picture: np.ndarray) -> Box:
    return tuple(int(value) for value in clip(face.box, *picture.shape[:2]))
