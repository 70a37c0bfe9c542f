# SPDX-License-Identifier: Apache-2.0
"""Pictures and a detector for the tests of the predictors on faces."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppzoo.faces.detector import Face, FaceDetector

RED = np.array([255, 0, 0])


class RedDetector(FaceDetector):
    """Takes each of the red rectangles in a picture for a face: quick, and exact."""

    def _detect(self, images: list[np.ndarray]) -> list[list[Face]]:
        import cv2

        found = []
        for image in images:
            red = (image == RED).all(-1).astype(np.uint8)
            count, _, stats, _ = cv2.connectedComponentsWithStats(red)
            boxes = [[float(value) for value in stats[part][:4]] for part in range(1, count)]
            found.append([Face((x, y, x + w, y + h), 0.9) for x, y, w, h in boxes])
        return found


def picture_with_faces(
    *boxes: tuple[int, int, int, int], size: tuple[int, int] = (200, 300)
) -> np.ndarray:
    """Return a green picture [H, W, 3] with a red rectangle for each (x1, y1, x2, y2)."""
    image = np.full((*size, 3), (20, 90, 40), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = RED
    return image


def lying_picture(picture: np.ndarray, path: Path) -> Path:
    """Write a picture as cameras do that are held upright: lying, with a note in EXIF."""
    lying = Image.fromarray(np.rot90(picture).copy())
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned clockwise
    lying.save(path, exif=exif)
    return path


def check_one_sentence(capsys: pytest.CaptureFixture[str], message: str) -> None:
    """Check that a command ended with one sentence that says `message`, a regular expression."""
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ")
    assert re.search(message, lines[-1]), lines
