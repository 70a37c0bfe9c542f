# SPDX-License-Identifier: Apache-2.0
"""Enlarging films by EDVR, which looks at two frames before and two behind each."""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ppzoo.video.edvr  # noqa: F401  (registers the network)
from ppzoo import registry
from ppzoo.apps.films import (
    Film,
    Source,
    check_seconds,
    check_target,
    restore_film,
    say,
    stem_of,
    target_of,
)
from ppzoo.apps.image_to_image import config_given, config_of
from ppzoo.apps.inference import BACKENDS, Runner, check_finite, make_runner
from ppzoo.apps.tiles import Tile, walk
from ppzoo.apps.windows import Window, batches, windows
from ppzoo.config import Component
from ppzoo.errors import UserError, WeightsError
from ppzoo.media.scenes import mark_scenes
from ppzoo.media.video import probe
from ppzoo.runtime import as_many_as_fit, select_device
from ppzoo.weights import load_state, read, select_net
from ppzoo.weights.manifest import find_weights

_LOG = logging.getLogger(__name__)

_NET = "generator"
# EDVR-L needs some 3 GB for a tile of this side, EDVR-M 2 GB. Of what a tile sees beside itself, 8
# pixels are enough to change no result by more than a level out of 255; the others are there for
# what moves: where it was two frames ago must lie inside of the tile.
TILE, OVERLAP = 192, 32
_LEAST_OVERLAP = 8
_WORTH_MEASURING = 8  # windows, from which on it is worth to find the fastest backend
_MEASURED = 96  # pixels a side that it is found with: what is fastest there is so for larger tiles


class EDVRPredictor:
    """Enlarges films four times, or sharpens those that EDVR was trained to sharpen.

    Each frame is made of five, its neighbours in time. At the ends of the film and of each scene
    PaddleGAN's choice of other frames stands in for those that are not there; frames of another
    scene never do. Frames are mirrored up to sides that the network takes, and cut back.

    Args:
        output: folder for results.
        weight_path: weights or a checkpoint, ours or PaddleGAN's; averages are preferred. By
            default PaddleGAN's official ones (EDVR-L).
        bs: windows that go through the network at once. It is halved where memory does not suffice.
        config: the YAML that it was trained with. By default the `config.yaml` beside the weights,
            as in a run folder; without one the network is recognised by its weights.
        frames: also write the result's frames as PNG files, as PaddleGAN does, whose scripts read
            them. They need many times the film's space.
        find_cuts: look for scenes. Without it a film is one scene, as in PaddleGAN.
        tile: side in pixels of what the network is given at once; a frame of more pixels than
            `tile` squared is taken apart. It is halved where memory does not suffice.
        overlap: pixels on each side of a tile that are there for the network to see; by default
            32, and a sixth of a tile of less than 96 pixels, at least 8.
        backend: how the network is run, see `make_runner`; by default the fastest.
        device: `cpu`, `gpu` or `gpu:N`.
        progress: show a bar.

    Attributes:
        scale: pixels of the result per pixel of the film, along a side: 4, or 1 of a network that
            sharpens.
        film: what the last `run` made.

    Raises:
        WeightsError: the weights cannot be had or read, or do not fit.
        UserError: an option is out of range.
    """

    name = "edvr"
    rate = 1

    def __init__(
        self,
        output: Source = "output",
        weight_path: Source | None = None,
        bs: int = 1,
        *,
        config: Source | None = None,
        frames: bool = True,
        find_cuts: bool = True,
        tile: int = TILE,
        overlap: int | None = None,
        backend: str | None = None,
        device: str | None = None,
        progress: bool = True,
    ) -> None:
        if bs < 1:
            raise UserError(f"bs is {bs}, expected at least 1 window")
        if overlap is None:
            overlap = OVERLAP if tile >= 3 * OVERLAP else max(_LEAST_OVERLAP, tile // 6)
        if overlap < 0 or tile <= 2 * overlap:
            raise UserError(
                f"tile is {tile} and overlap {overlap}: a tile must be larger than its overlap on "
                "both sides"
            )
        if backend is not None and backend not in BACKENDS:
            raise UserError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        self.device = select_device(device)
        self.output = Path(output) / "EDVR"
        given = config_given(config)
        self.weight_path = path = find_weights("edvr", weight_path)
        arrays = select_net(read(path), _NET, path, prefer_ema=True)
        loaded = config_of(path, given)
        spec: Any = infer_edvr(arrays, path) if loaded is None else loaded.model.kwargs.get(_NET)
        name = spec.name if isinstance(spec, Component) else (spec or {}).get("name")
        if name != "EDVRNet":
            raise WeightsError(f"the config of {path} describes {name}, expected EDVRNet")
        self.generator = registry.build(registry.GENERATORS, spec)
        load_state(self.generator, arrays, path)
        self.generator.eval()
        self.scale = int(self.generator.scale)
        self.bs, self.tile, self.overlap = bs, tile, overlap
        self.backend = backend
        self.frames, self.find_cuts, self.progress = frames, find_cuts, progress
        self.film: Film | None = None
        self.cuts: list[int] = []
        self.remarks: list[str] = []
        self._runner: Runner | None = None
        self._has_measured = False
        self._batch, self._tile = bs, tile
        self._is_long = False

    def run(self, video_path: Source) -> tuple[str | None, str]:
        """Enlarge a film.

        Returns:
            the pattern of its frames' files, `<output>/EDVR/<stem>/frames_pred/%08d.png` (None
            without `frames`), and the film, `<output>/EDVR/<stem>_edvr_out.mp4`.

        Raises:
            DataError: it is missing or no video.
            UserError: the results cannot be written.
        """
        stem = stem_of(video_path)
        self.film = restore_film(
            video_path,
            self.output / f"{stem}_edvr_out.mp4",
            [self],
            frames_folder=self.output / stem / "frames_pred" if self.frames else None,
            progress=self.progress,
        )
        return self.film.pattern, os.fspath(self.film.path)

    def stream(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the enlarged frames uint8 RGB [s H, s W, 3] of a film's frames [H, W, 3]."""
        self.cuts, self.remarks = [], []
        self._batch, self._tile = self.bs, self.tile
        marked = mark_scenes(frames) if self.find_cuts else _one_scene(frames)
        around = windows(self._noting_cuts(marked), self.generator.nframes)
        first = list(itertools.islice(around, _WORTH_MEASURING))
        self._is_long = len(first) >= _WORTH_MEASURING
        for group in batches(itertools.chain(first, around), self.bs):
            yield from self._enlarged(group)
        if self._batch < self.bs:
            self.remarks.append(f"memory sufficed for {self._batch} windows at once, not {self.bs}")
        if self._tile < self.tile:
            self.remarks.append(f"memory sufficed for tiles of {self._tile} pixels only")

    def describe(self) -> str:
        """Return one line on the backend in use; before the first frame, that there is none."""
        return "no frame yet" if self._runner is None else self._runner.describe()

    def _noting_cuts(
        self, marked: Iterator[tuple[np.ndarray, bool]]
    ) -> Iterator[tuple[np.ndarray, bool]]:
        for index, (frame, begins) in enumerate(marked):
            if begins and index:
                self.cuts.append(index)
            yield frame, begins

    def _enlarged(self, group: Sequence[Window]) -> np.ndarray:
        """Return the middle frames of windows enlarged, uint8 [N, s H, s W, 3]."""
        stack = np.stack([np.stack(window.frames) for window in group])  # [N, T, H, W, 3]
        height, width = stack.shape[2:4]
        scale = self.scale
        out = np.empty((len(group), height * scale, width * scale, 3), np.uint8)

        def process(part: Tile) -> None:
            x = part.cut(stack, axis=-3).transpose(0, 1, 4, 2, 3)
            x = x.astype(np.float32) / np.float32(255)
            y = check_finite(self._run(x), self.weight_path)
            y = part.inner(y, scale)  # [N, 3, s h, s w]
            levels = np.rint(y * np.float32(255)).clip(0, 255).astype(np.uint8)
            rows, columns = part.place(scale)
            out[:, rows, columns] = levels.transpose(0, 2, 3, 1)

        overlap = self.overlap
        if self._tile < self.tile:
            # Where memory is scarce, most of a small tile should not be what others do as well.
            overlap = min(overlap, max(_LEAST_OVERLAP, self._tile // 6))
        tile = fitting_tile((height, width), self._tile, overlap)
        multiple = int(self.generator.size_multiple)
        used = walk(process, (height, width), tile, overlap, multiple=multiple)
        if used < tile:
            self._tile = used
        return out

    def _run(self, x: np.ndarray) -> np.ndarray:
        """Return the network's answer to windows [N, T, 3, h, w], float32 [N, 3, s h, s w]."""

        def work(count: int) -> list[np.ndarray]:
            if count < min(self._batch, len(x)):
                self._batch = count
            return [self._runner_for(part)(part) for part in _parted(x, count)]

        parts, _ = as_many_as_fit(work, min(self._batch, len(x)), "windows")
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _runner_for(self, x: np.ndarray) -> Runner:
        if self._runner is None or (self._is_long and not self._has_measured):
            self._has_measured = self._is_long
            self._runner = make_runner(
                self.generator,
                x[..., :_MEASURED, :_MEASURED],
                self.backend,
                measured=self._is_long,
                multiple=int(self.generator.size_multiple),
            )
            _LOG.debug("backend: %s", self._runner.describe())
        return self._runner


def fitting_tile(size: tuple[int, int], tile: int, overlap: int) -> int:
    """Return the smallest side of tiles that takes a large frame apart into as few of them.

    A frame of no more pixels than a tile, though longer, is not taken apart.

    Args:
        size: height and width of the frame.
        tile: the largest side of tiles.
        overlap: pixels on each side of a tile that are there for the network to see.
    """
    height, width = size
    if height * width <= tile**2:
        return max(*size, tile)
    sides = []
    for side in size:
        count = max(1, -(-(side - 2 * overlap) // (tile - 2 * overlap)))
        sides.append(-(-(side + 2 * overlap * (count - 1)) // count))
    return min(tile, max(sides))


def infer_edvr(arrays: Mapping[str, np.ndarray], source: Source = "weights") -> dict[str, Any]:
    """Return the network that weights belong to, as a config would name it.

    Args:
        arrays: the weights by parameter.
        source: the file's name, for the error.

    Raises:
        WeightsError: they are not EDVR's.
    """
    shapes = {key: array.shape for key, array in arrays.items()}
    offsets = shapes.get("PCDModule.PCD_Align_L1_dcn.conv_offset_mask.weight")
    last, features = shapes.get("conv_last.weight"), shapes.get("fea_L2_conv1.weight")
    attention, plain = shapes.get("TSAModule.fea_fusion.weight"), shapes.get("TSAModule.weight")
    fusion = attention or plain
    if not (offsets and last and features and fusion):
        raise WeightsError(
            f"{source} holds no weights of EDVR (they begin with {', '.join(list(arrays)[:3])})"
        )
    nf = features[0]
    has_full_size = "pre_deblur.conv_first_1.weight" in shapes

    def count(part: str) -> int:
        return sum(bool(re.fullmatch(rf"{part}\.block\d+\.conv1\.weight", key)) for key in shapes)

    return {
        "name": "EDVRNet",
        "in_nf": last[0],
        "out_nf": last[0],
        "scale_factor": 1 if has_full_size else 4,
        "nf": nf,
        "nframes": fusion[1] // nf,
        # Two coordinates and a weight for each of 3 x 3 places.
        "groups": offsets[0] // 27,
        "front_RBs": count("feature_extractor"),
        "back_RBs": count("reconstructor"),
        "predeblur": "cov_1.weight" in shapes,
        "HR_in": has_full_size,
        "w_TSA": attention is not None,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict edvr`."""
    add = parser.add_argument
    add("--input", required=True, metavar="FILE", help="film")
    add("--output", required=True, metavar="FILE|DIR", help="the new film, or a folder for it")
    add("--weights", metavar="FILE", help="weights or checkpoint (PaddleGAN's official ones)")
    add("-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights")
    add("--seconds", type=float, metavar="N", help="take only the beginning of the film")
    add("--bs", type=int, default=1, metavar="N", help="windows at once (1)")
    add("--tile", type=int, default=TILE, metavar="N", help=f"side of tiles ({TILE})")
    add("--overlap", type=int, metavar="N", help=f"of tiles ({OVERLAP}, less of small ones)")
    add("--ignore-cuts", action="store_true", help="do not look for scenes")
    add("--frames", metavar="DIR", help="also write the frames as PNG files into this folder")
    add("--backend", choices=BACKENDS, help="how to run the network (the fastest)")
    add("--device", help="cpu, gpu or gpu:N")


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Enlarge a film and return where it is, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    target = target_of(args.input, args.output, "edvr")
    # Before weights are read, or even downloaded.
    check_target(args.input, target)
    check_seconds(args.seconds)
    probe(args.input)
    predictor = EDVRPredictor(
        weight_path=args.weights,
        bs=args.bs,
        config=args.config,
        find_cuts=not args.ignore_cuts,
        tile=args.tile,
        overlap=args.overlap,
        backend=args.backend,
        device=args.device,
    )
    film = restore_film(
        args.input, target, [predictor], frames_folder=args.frames, seconds=args.seconds
    )
    return say(film, [predictor.describe()])


def _one_scene(frames: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    for index, frame in enumerate(frames):
        yield frame, index == 0


def _parted(x: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(x), size):
        yield x[start : start + size]
