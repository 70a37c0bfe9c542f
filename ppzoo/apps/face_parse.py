# SPDX-License-Identifier: Apache-2.0
"""Face parsing: the parts of a face in colours, with a legend.

The face is detected and cut out with some room, as PaddleGAN does, then parsed into the 19 classes
of CelebAMask-HQ. Unlike PaddleGAN's, the colours are always the same, all 19 classes are kept, and
no class comes from interpolating between the numbers of two others.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ppzoo.apps.faces import (
    add_face_arguments,
    choose_faces,
    detector_name,
    name_of,
    pictures_of,
    result_path,
    run_on_pictures,
)
from ppzoo.errors import DataError
from ppzoo.faces.detector import DetectorName, Face, build_detector
from ppzoo.faces.parsing import ORDERS, FaceParser, ParserName, colourise, legend
from ppzoo.faces.segmentation import Model
from ppzoo.media.image import load_image, write_image
from ppzoo.runtime import select_device

SIZE = 256  # pixels of the result, PaddleGAN's
_NETWORK_SIZE = 512
# Room around the face's box, in heights of it.
_ABOVE, _BELOW = 0.6 / 0.85, 0.2 / 0.85


class FaceParsePredictor:
    """Shows the parts of a face.

    Args:
        output_path: folder for face_parse.png, None to write nothing.
        weight_path: the network's weights, by default PaddleGAN's official ones.
        backend: "paddlegan" or "paddleseg", see `ppzoo.faces.parsing.FaceParser`.
        model: PaddleSeg's network.
        order: what the classes of PaddleSeg's network mean.
        detector: what finds the face, see `ppzoo.faces.detector.build_detector`.
        detector_weights: its weights, by default the official ones.
        with_legend: write the face, its parts and the legend side by side.
        device: `cpu`, `gpu` or `gpu:N`.

    Raises:
        WeightsError: weights that are missing, not to be had, or do not fit.
        UserError: an option is wrong, or a package is not installed.
    """

    def __init__(
        self,
        output_path: str | os.PathLike[str] | None = "output",
        *,
        weight_path: str | os.PathLike[str] | None = None,
        backend: ParserName = "paddlegan",
        model: Model | None = None,
        order: str | Sequence[str] = "paddlegan",
        detector: DetectorName = "auto",
        detector_weights: str | os.PathLike[str] | None = None,
        with_legend: bool = False,
        device: str | None = None,
    ) -> None:
        self.device = select_device(device)
        self.output_path = None if output_path is None else Path(output_path)
        self.with_legend = with_legend
        self.parser = FaceParser(weight_path, backend, model, order)
        self.detector = build_detector(detector, detector_weights)
        self.backends = {
            "detector": detector_name(self.detector),
            "parser": self.parser.backend,
        }

    def run(self, image: Any, face: int = 0) -> np.ndarray | None:
        """Show the parts of a face in colours, and write them into the output folder.

        Args:
            image: a path, an array or a Pillow image, see `ppzoo.media.image.load_image`.
            face: which one, if there are several: 0 for the largest, 1 for the next one, ...

        Returns:
            uint8 RGB [256, 256, 3]; None if there is no such face, and nothing is written then.

        Raises:
            DataError: the picture cannot be read.
        """
        found = self._first(image, face)
        if found is None:
            return None
        photo, classes = found
        if self.output_path is not None:
            picture = self.picture(photo, classes)
            write_image(self.output_path / "face_parse.png", picture)
        return colourise(classes)

    def parse(self, image: Any, face: int = 0) -> np.ndarray | None:
        """Return the classes of a face, indices of `ppzoo.faces.parsing.CLASSES`.

        Args and Raises: see `run`.

        Returns:
            uint8 [256, 256]; None if there is no such face.
        """
        found = self._first(image, face)
        return None if found is None else found[1]

    def parse_all(self, image: Any, face: int | str = "all") -> list[tuple[np.ndarray, np.ndarray]]:
        """Return faces as they are cut out, and their classes.

        Args:
            image: see `run`.
            face: see `run`; or "all".

        Returns:
            for each face uint8 RGB [256, 256, 3] and uint8 [256, 256].

        Raises:
            DataError: the picture cannot be read, or shows no such face.
        """
        picture = load_image(image)
        faces = choose_faces(self.detector, picture, face, name_of(image))
        return [self._parse(picture, each) for each in faces]

    def picture(self, photo: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return what is written for a face, uint8 RGB [256, W, 3] or more."""
        colours = colourise(classes)
        if not self.with_legend:
            return colours
        names = legend(height=SIZE, classes=np.unique(classes).tolist())
        parts = [photo, colours, colourise(classes, photo), names]
        height = max(part.shape[0] for part in parts)
        padded = [
            np.pad(part, [(0, height - part.shape[0]), (0, 0), (0, 0)], constant_values=255)
            for part in parts
        ]
        return np.concatenate(padded, axis=1)

    def _first(self, image: Any, face: int) -> tuple[np.ndarray, np.ndarray] | None:
        picture = load_image(image)
        try:
            chosen = choose_faces(self.detector, picture, face, name_of(image))
        except DataError:
            return None
        return self._parse(picture, chosen[0])

    def _parse(self, picture: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray]:
        import cv2

        crop = cut_out(picture, face)
        interpolation = cv2.INTER_AREA if len(crop) > _NETWORK_SIZE else cv2.INTER_LINEAR
        large = cv2.resize(crop, (_NETWORK_SIZE, _NETWORK_SIZE), interpolation=interpolation)
        classes = self.parser.parse(large)
        small = cv2.resize(classes, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
        return cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA), small


def cut_out(image: np.ndarray, face: Face) -> np.ndarray:
    """Return a square around a face, with the room that PaddleGAN leaves, within the picture.

    Args:
        image: uint8 RGB [H, W, 3].
        face: a face in it.

    Returns:
        uint8 RGB [S, S, 3].
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = face.box
    top = min(max(0, round(y1 - _ABOVE * (y2 - y1))), height - 1)
    bottom = max(min(height, round(y2 + _BELOW * (y2 - y1))), top + 1)
    side = min(bottom - top, width)
    top += (bottom - top - side) // 2
    left = min(max(0, round((x1 + x2 - side) / 2)), width - side)
    return image[top : top + side, left : left + side]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict faceparse`."""
    add_face_arguments(parser, "output")
    add = parser.add_argument
    add("--backend", choices=get_args(ParserName), default="paddlegan", help="whose network")
    add("--model", metavar="NAME|YML", help="PaddleSeg's network (bisenetv1)")
    add("--order", choices=list(ORDERS), default="paddlegan", help="of PaddleSeg's classes")
    add("--legend", action="store_true", help="the face and the names of its parts beside it")


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Show the parts of the face in a picture or in each of a folder, and return where they are.

    Of a file: face_parse.png, as PaddleGAN does. Of a folder: for each NAME.jpg, NAME_parse.png. Of
    further faces (--face all): ..._1.png and so on.

    Raises:
        UserError: an option is wrong, the weights cannot be used, a picture has no face.
    """
    is_folder = Path(args.input).expanduser().is_dir()
    pictures_of(args.input, args.output)  # before weights are read, or even downloaded
    predictor = FaceParsePredictor(
        None,
        weight_path=args.weights,
        backend=args.backend,
        model=args.model,
        order=args.order,
        detector=args.detector,
        detector_weights=args.detector_weights,
        with_legend=args.legend,
        device=args.device,
    )

    def work(path: Path, stem: str) -> list[Path]:
        name = f"{stem}_parse" if is_folder else "face_parse"
        written = []
        for number, found in enumerate(predictor.parse_all(path, args.face)):
            target = Path(args.output, f"{name}_{number}.png" if number else f"{name}.png")
            write_image(result_path(target, path), predictor.picture(*found))
            written.append(target)
        return written

    return run_on_pictures(args, predictor.backends, work, "parts", "faces")
