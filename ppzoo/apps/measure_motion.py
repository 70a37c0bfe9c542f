# SPDX-License-Identifier: Apache-2.0
"""`ppzoo measure motion`: how far animated films are from the true ones.

L1, PSNR and SSIM of frames, and the distance of keypoints (AKD) where a detector of these is given.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ppzoo import runtime
from ppzoo.atomic import atomic_write
from ppzoo.data.video_frames import find_videos
from ppzoo.errors import DataError, UserError
from ppzoo.faces.blend import resize
from ppzoo.media.video import VideoReader
from ppzoo.metrics.akd import AKD
from ppzoo.metrics.base import Metric
from ppzoo.metrics.l1 import L1
from ppzoo.metrics.psnr import PSNR
from ppzoo.metrics.ssim import SSIM

# Frames uint8 RGB [H, W, 3] -> (x, y) of keypoints in pixels [N, K, 2], NaN where there are none.
Finder = Callable[[Sequence[np.ndarray]], np.ndarray]

_AT_ONCE = 8  # frames
_LARGEST_FACE = 0


class Comparison:
    """The figures of films, frame by frame.

    Args:
        finder: finds keypoints; None to leave them out.
        size: side in pixels that frames are brought to first; None to leave them as they are.
    """

    def __init__(self, finder: Finder | None = None, size: int | None = None) -> None:
        self.metrics: dict[str, Metric] = {"l1": L1(), "psnr": PSNR(0), "ssim": SSIM(0)}
        if finder is not None:
            self.metrics["akd"] = AKD()
        self.frames = self.missed = 0
        self._finder, self._size = finder, size

    def add(
        self, result: str | os.PathLike[str], truth: str | os.PathLike[str], progress: bool = True
    ) -> list[str]:
        """Compare two films, and return sentences on what is strange about them.

        Args:
            result: the film that was made.
            truth: what it should be.
            progress: show a bar.

        Raises:
            DataError: a film cannot be read, or they differ in their rates or sizes.
        """
        names = f"{os.fspath(result)} and {os.fspath(truth)}"
        with VideoReader(result) as made, VideoReader(truth) as true:
            if made.info.fps != true.info.fps:
                raise DataError(f"{names} have {made.info.fps} and {true.info.fps} frames a second")
            sizes = [(film.info.width, film.info.height) for film in (made, true)]
            if self._size is None and sizes[0] != sizes[1]:
                told = " and ".join(f"{width} x {height}" for width, height in sizes)
                raise DataError(f"{names} have {told} pixels: bring them to one size with --size")
            lengths = [0, 0]
            pairs = _pairs(made, true, lengths)
            if progress:
                from tqdm import tqdm

                name, total = Path(result).name, true.info.frame_count
                pairs = iter(tqdm(pairs, name, total, unit="frame", disable=None))
            first: np.ndarray | None = None
            while group := list(itertools.islice(pairs, _AT_ONCE)):
                sides = [[self._fit(frame) for frame in side] for side in zip(*group, strict=True)]
                first = sides[1][0] if first is None else first
                self._compare(*sides, first)
            problems = [*made.problems, *true.problems]
        if abs(lengths[0] - lengths[1]) > 1:
            problems.append(f"{names} have {lengths[0]} and {lengths[1]} frames")
        return problems

    def figures(self) -> dict[str, float]:
        """Return the figures by name, means over all frames.

        `l1_over_first` is the ratio over what it is for copies of a film's first true frame;
        `akd` and `akd_per_coordinate` are missing where no frame has keypoints, and
        `keypoints_missed` is the share of frames that lack them in either film.
        """
        l1 = self.metrics["l1"].accumulate()
        found = {"l1": l1["mean"]}
        if "over_source" in l1:
            found["l1_over_first"] = l1["over_source"]
        found |= {name: self.metrics[name].accumulate() for name in ("psnr", "ssim")}
        if self._finder is not None:
            if self.missed < self.frames:
                akd = self.metrics["akd"].accumulate()
                found |= {"akd": akd["mean"], "akd_per_coordinate": akd["per_coordinate"]}
            found["keypoints_missed"] = self.missed / self.frames
        return found | {"frames": self.frames}

    def merge(self, others: Sequence[Comparison]) -> None:
        """Replace what was seen by what others have seen together."""
        for name, metric in self.metrics.items():
            metric.merge([other.metrics[name].state() for other in others])
        self.frames = sum(other.frames for other in others)
        self.missed = sum(other.missed for other in others)

    def _fit(self, frame: np.ndarray) -> np.ndarray:
        return frame if self._size is None else resize(frame, (self._size, self._size))

    def _compare(self, made: list[np.ndarray], true: list[np.ndarray], first: np.ndarray) -> None:
        self.metrics["l1"].update(made, true, [first] * len(true))
        for name in ("psnr", "ssim"):
            self.metrics[name].update(made, true)
        self.frames += len(made)
        if self._finder is not None:
            found, expected = self._finder(made), self._finder(true)
            there = np.isfinite(found).all(axis=(1, 2)) & np.isfinite(expected).all(axis=(1, 2))
            self.missed += int((~there).sum())
            self.metrics["akd"].update(found[there], expected[there])


def _pairs(
    made: VideoReader, true: VideoReader, lengths: list[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield frames of both films as long as both last, and count those of each in `lengths`."""
    for pair in itertools.zip_longest(made, true):
        for i, frame in enumerate(pair):
            lengths[i] += frame is not None
        if all(frame is not None for frame in pair):
            yield pair


def match_films(
    result: str | os.PathLike[str], truth: str | os.PathLike[str]
) -> list[tuple[Path, Path]]:
    """Return pairs of films: two files, or those of two folders by their names without suffixes.

    Raises:
        DataError: a file or folder is missing, or a film of the results has no partner, or two.
    """
    root, true_root = Path(result), Path(truth)
    made, true = find_videos(root), find_videos(true_root)
    if root.is_file() and true_root.is_file():
        return [(root, true_root)]
    if root.is_file() or true_root.is_file():
        raise DataError(f"{root} and {true_root} are a file and a folder: give two of a kind")
    partners: dict[Path, list[Path]] = {}
    for path in true:
        partners.setdefault(path.relative_to(true_root).with_suffix(""), []).append(path)
    pairs = []
    for path in made:
        name = path.relative_to(root).with_suffix("")
        found = partners.get(name, [])
        if len(found) != 1:
            number = "no film" if not found else f"{len(found)} films"
            raise DataError(f"{true_root} has {number} {name} to compare {path} with")
        pairs.append((path, found[0]))
    return pairs


def load_finder(
    kind: Literal["firstorder", "blazeface"],
    weights: str | os.PathLike[str] | None = None,
) -> Finder:
    """Return what finds keypoints in frames.

    Args:
        kind: `firstorder`, the detector of a First Order Motion model; `blazeface`, six points of
            the largest face.
        weights: a run's or PaddleGAN's file; the official one by default, downloaded if need be.

    Raises:
        WeightsError: the file is missing, or of another network.
    """
    if kind == "firstorder":
        from ppzoo.apps.animation import load_animator

        animator = load_animator(weights, batch_size=_AT_ONCE)

        def of_model(frames: Sequence[np.ndarray]) -> np.ndarray:
            height, width = frames[0].shape[:2]
            places = animator.keypoints(frames)["value"].astype(np.float64)
            return (places + 1) / 2 * (width - 1, height - 1)

        return of_model

    from ppzoo.faces.detector import build_detector

    detector = build_detector("blazeface", weights)

    def of_faces(frames: Sequence[np.ndarray]) -> np.ndarray:
        places = np.full((len(frames), 6, 2), np.nan)
        for place, faces in zip(places, detector.detect_batch(frames), strict=True):
            if faces:
                place[:] = faces[_LARGEST_FACE].landmarks
        return places

    return of_faces


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `ppzoo measure motion` understands."""
    add = parser.add_argument
    add("what", choices=["motion"], help=argparse.SUPPRESS)
    add("--result", type=Path, required=True, metavar="PATH", help="a film, or a folder of films")
    add("--truth", type=Path, required=True, metavar="PATH", help="what it should be, likewise")
    add("--size", type=int, metavar="N", help="bring frames to N x N pixels first")
    kinds = ["firstorder", "blazeface"]
    add("--keypoints", choices=kinds, help="measure AKD by these (firstorder with --weights)")
    add("--weights", type=Path, metavar="FILE", help="of what finds keypoints, else PaddleGAN's")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(args: argparse.Namespace) -> None:
    """Measure and print.

    Raises:
        UserError: an option is out of range, weights are missing, or films cannot be compared.
    """
    if args.size is not None and args.size < 11:
        raise UserError(f"--size is {args.size}: SSIM needs 11 pixels")
    pairs = match_films(args.result, args.truth)
    finder, kind = None, args.keypoints or ("firstorder" if args.weights else None)
    if kind is not None:
        runtime.select_device(None)
        finder = load_finder(kind, args.weights)
    each: dict[Path, Comparison] = {}
    for result, truth in pairs:
        each[result] = Comparison(finder, args.size)
        for problem in each[result].add(result, truth):
            sys.stderr.write(f"note: {problem}\n")
        _say(f"{result}: {_told(each[result].figures())}")
    total = Comparison(finder, args.size)
    total.merge(list(each.values()))
    if len(pairs) > 1:
        _say(f"all {len(pairs)} films: {_told(total.figures())}")
    if args.json is not None:
        content = {
            "keypoints": kind,
            "total": _finite(total.figures()),
            "films": {str(path): _finite(each[path].figures()) for path in each},
        }
        with atomic_write(args.json) as file:
            file.write(json.dumps(content, indent=2).encode("utf-8") + b"\n")


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Return figures as JSON can hold them: the PSNR of equal films is infinite."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _told(figures: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {value}" if name == "frames" else f"{name} {value:.4f}"
        for name, value in figures.items()
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
