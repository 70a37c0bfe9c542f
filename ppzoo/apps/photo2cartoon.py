# SPDX-License-Identifier: Apache-2.0
"""Photo2Cartoon: a photograph of a face, as a cartoon on white.

A face is detected, turned upright and cut out, its background made white, and U-GAT-IT's generator
draws it. Unlike PaddleGAN's, the detector needs no dlib, a mask can be made without any download,
and a photograph without a face is one sentence instead of an assertion.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ppzoo import registry
from ppzoo.apps.faces import (
    add_face_arguments,
    choose_faces,
    detector_name,
    name_of,
    pictures_of,
    result_path,
    run_on_pictures,
)
from ppzoo.apps.image_to_image import config_given, config_of
from ppzoo.apps.inference import make_runner
from ppzoo.config import Component, TrainConfig
from ppzoo.errors import WeightsError
from ppzoo.faces.align import align_face
from ppzoo.faces.detector import DetectorName, Face, build_detector, check_detector
from ppzoo.faces.portrait import SegmenterName, build_segmenter
from ppzoo.faces.segmentation import Model
from ppzoo.faces.warp import warp
from ppzoo.media.image import load_image, to_uint8_images, write_image
from ppzoo.runtime import select_device
from ppzoo.weights import load_state, read, select_net
from ppzoo.weights.manifest import find_weights

_NET = "genA2B"
_MANY = 50  # pictures from which on it is worth a minute to find the fastest backend
_BLOCK = re.compile(r"EncodeBlock\d+\.conv_block\.1\.weight")


@dataclass(frozen=True, eq=False)
class Cartoon:
    """One face and its cartoon.

    Args:
        photo: the face, upright and cut out, uint8 RGB [S, S, 3].
        alpha: which of it is the person, float32 [S, S], 0 to 1.
        cartoon: uint8 RGB [S, S, 3] on white.
        face: where it is in the photograph.
        backends: what made it: "detector", "mask" and "generator".
    """

    photo: np.ndarray
    alpha: np.ndarray
    cartoon: np.ndarray
    face: Face
    backends: Mapping[str, str]


class Photo2CartoonPredictor:
    """Makes cartoons of the faces in photographs.

    Args:
        output_path: folder for p2c_photo.png and p2c_cartoon.png, None to write nothing.
        weight_path: the generator's weights: PaddleGAN's, or a checkpoint of `UGATITModel`, whose
            averaged weights are preferred. By default PaddleGAN's official ones.
        config: the YAML that the generator was trained with. By default the `config.yaml` beside
            the weights, as in a run folder; without one it is recognised by its shapes.
        detector: what finds the face, see `ppzoo.faces.detector.build_detector`.
        detector_weights: its weights, by default the official ones.
        mask: what tells the person from the background, see `ppzoo.faces.portrait`.
        mask_weights: its weights, by default the official ones.
        mask_model: PaddleSeg's network, by a name or one of PaddleSeg's YAML files.
        device: `cpu`, `gpu` or `gpu:N`.
        backend: how the generator runs, see `ppzoo.apps.inference.make_runner`; None for the
            fastest one.
        measured: measure which one that is, if no earlier run has: worth it for many pictures.

    Raises:
        WeightsError: weights that are missing, not to be had, or do not fit.
        UserError: an option is wrong, or a package is not installed.
    """

    def __init__(
        self,
        output_path: str | os.PathLike[str] | None = "output",
        weight_path: str | os.PathLike[str] | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        detector: DetectorName = "auto",
        detector_weights: str | os.PathLike[str] | None = None,
        mask: SegmenterName = "auto",
        mask_weights: str | os.PathLike[str] | None = None,
        mask_model: Model | None = None,
        device: str | None = None,
        backend: str | None = None,
        measured: bool = False,
    ) -> None:
        self.device = select_device(device)
        self.output_path = None if output_path is None else Path(output_path)
        check_detector(detector, detector_weights)
        given = config_given(config)
        path = find_weights("photo2cartoon", weight_path)
        arrays = select_net(read(path), _NET, path, prefer_ema=True)
        self.generator = registry.build(registry.GENERATORS, _spec(arrays, path, given))
        load_state(self.generator, arrays, path)
        self.generator.eval()
        self.size = int(getattr(self.generator, "img_size", 256))
        self.detector = build_detector(detector, detector_weights)
        self.segmenter = build_segmenter(mask, mask_weights, mask_model)
        example = np.zeros([1, 3, self.size, self.size], np.float32)
        self._run = make_runner(self.generator, example, backend, measured=measured)
        self.backends = {
            "detector": detector_name(self.detector),
            "mask": self.segmenter.backend,
            "generator": self._run.backend,
        }

    def run(self, image_path: Any, face: int | str = 0) -> np.ndarray:
        """Make the cartoon of a face, and write it and the face into the output folder.

        The official weights draw 256 x 256 pixels, S = 256.

        Args:
            image_path: a path, an array or a Pillow image, see `ppzoo.media.image.load_image`.
            face: which one, if there are several: 0 for the largest, 1 for the next one, ..., or
                "all", whose files are p2c_cartoon.png, p2c_cartoon_1.png, ...

        Returns:
            the cartoon, uint8 RGB [S, S, 3]; with "all", [N, S, S, 3].

        Raises:
            DataError: the picture cannot be read, or shows no such face.
        """
        cartoons = self.cartoonise(image_path, face)
        if self.output_path is not None:
            write_cartoons(cartoons, self.output_path / "p2c")
        pictures = np.stack([cartoon.cartoon for cartoon in cartoons])
        return pictures if face == "all" else pictures[0]

    def cartoonise(self, image: Any, face: int | str = 0) -> list[Cartoon]:
        """Return cartoons with all that was made on the way, and write nothing.

        Args and Raises: see `run`.
        """
        picture = load_image(image)
        faces = choose_faces(self.detector, picture, face, name_of(image))
        return [self._cartoonise(picture, each) for each in faces]

    def _cartoonise(self, picture: np.ndarray, face: Face) -> Cartoon:
        photo, matrix = align_face(picture, face, size=self.size)
        alpha = self.segmenter.segment(photo, moved(face, matrix)).alpha
        # Beyond the picture is white, but not before the mask is made: it would learn that white.
        inside = warp(np.ones(picture.shape[:2], np.float32), matrix, photo.shape[:2], "black")
        photo = np.rint(_on_white(photo, inside)).astype(np.uint8)
        alpha = alpha * inside
        white = _on_white(photo, alpha)
        x = (white / 127.5 - 1).transpose(2, 0, 1)[np.newaxis]
        drawn = to_uint8_images(self._run(np.ascontiguousarray(x, dtype=np.float32)))[0]
        cartoon = np.rint(_on_white(drawn, alpha)).astype(np.uint8)
        return Cartoon(photo, alpha, cartoon, face, self.backends)


def _on_white(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., np.newaxis]
    return picture * share + 255 * (1 - share)


def moved(face: Face, matrix: np.ndarray) -> Face:
    """Return where a face is after an affine map that turns, scales and shifts.

    Args:
        face: in the picture.
        matrix: [2, 3], as `align_face` gives it: whole numbers are the middles of pixels, whereas
            those of faces are pixels' edges.
    """
    matrix = np.array(matrix, dtype=np.float64)
    matrix[:, 2] += 0.5 - matrix[:, :2] @ [0.5, 0.5]
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    x1, y1, x2, y2 = face.box
    x, y = matrix @ [(x1 + x2) / 2, (y1 + y2) / 2, 1]
    width, height = face.size[0] * scale / 2, face.size[1] * scale / 2
    landmarks = face.landmarks
    if landmarks is not None:
        landmarks = np.asarray(landmarks) @ matrix[:, :2].T + matrix[:, 2]
    roll = face.roll + math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    box = (x - width, y - height, x + width, y + height)
    return replace(face, box=box, landmarks=landmarks, roll=roll)


def _spec(
    arrays: Mapping[str, np.ndarray],
    path: Path,
    config: TrainConfig | None,
) -> Any:
    """Return the generator that weights belong to, as a config would name it."""
    loaded = config_of(path, config)
    if loaded is not None:
        spec = loaded.model.kwargs.get("generator")
        if not isinstance(spec, Component):
            raise WeightsError(f"{loaded.path} has no model.generator to load {path} into")
        return spec
    shapes = {name: array.shape for name, array in arrays.items()}
    first, style = shapes.get("DownBlock.1.weight", ()), shapes.get("FC.0.weight", ())
    blocks = sum(_BLOCK.fullmatch(name) is not None for name in shapes)
    if len(first) != 4 or len(style) != 2 or not first[0] or not blocks:
        raise WeightsError(
            f"{path} holds no generator of Photo2Cartoon (its weights begin with "
            f"{', '.join(list(arrays)[:3])}): give its config with --config"
        )
    ngf, input_nc = first[:2]
    light = style[0] == 4 * ngf
    # The full version looks at each place of a map of a quarter of the size.
    size = 256 if light else 4 * math.isqrt(style[0] // (4 * ngf))
    return {
        "name": "ResnetUGATITP2CGenerator",
        "input_nc": input_nc,
        "output_nc": 3,
        "ngf": ngf,
        "n_blocks": blocks,
        "img_size": size,
        "light": light,
    }


def write_cartoons(cartoons: list[Cartoon], stem: Path, source: Path | None = None) -> list[Path]:
    """Write STEM_photo.png and STEM_cartoon.png, of further faces STEM_cartoon_1.png and so on.

    Args:
        cartoons: of one photograph.
        stem: a path without a suffix.
        source: the photograph, which is not to be replaced.

    Returns:
        the paths of the cartoons.

    Raises:
        UserError: a file cannot be written, or is the photograph.
    """
    plan = []
    for number, cartoon in enumerate(cartoons):
        for kind, picture in (("photo", cartoon.photo), ("cartoon", cartoon.cartoon)):
            suffix = f"_{number}.png" if number else ".png"
            path = stem.with_name(f"{stem.name}_{kind}{suffix}")
            plan.append((path if source is None else result_path(path, source), picture))
    for path, picture in plan:
        write_image(path, picture)
    return [path for path, _ in plan[1::2]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict photo2cartoon`."""
    add_face_arguments(parser, "output")
    add = parser.add_argument
    add("-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights")
    add("--mask", choices=get_args(SegmenterName), default="auto", help="what finds the person")
    add("--mask-weights", metavar="FILE", help="its weights, by default the official ones")
    add("--mask-model", metavar="NAME|YML", help="PaddleSeg's network")
    add("--backend", help="how the generator runs, by default the fastest way")


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Make cartoons of a photograph or of a folder of them, and return where they are.

    Of a file: p2c_photo.png and p2c_cartoon.png, as PaddleGAN does. Of a folder: for each NAME.jpg,
    NAME_photo.png and NAME_cartoon.png.

    Raises:
        UserError: an option is wrong, the weights cannot be used, a photograph has no face.
    """
    is_folder = Path(args.input).expanduser().is_dir()
    output = Path(args.output)
    predictor = Photo2CartoonPredictor(
        None,
        args.weights,
        config=args.config,
        detector=args.detector,
        detector_weights=args.detector_weights,
        mask=args.mask,
        mask_weights=args.mask_weights,
        mask_model=args.mask_model,
        device=args.device,
        backend=args.backend,
        measured=len(pictures_of(args.input, output)) >= _MANY,
    )

    def work(path: Path, stem: str) -> list[Path]:
        cartoons = predictor.cartoonise(path, args.face)
        return write_cartoons(cartoons, output / (stem if is_folder else "p2c"), path)

    return run_on_pictures(args, predictor.backends, work, "cartoon", "cartoons")
