# SPDX-License-Identifier: Apache-2.0
"""First Order Motion: a picture of a face moves as the face in a film does.

Unlike PaddleGAN's predictor, the largest face is the one that is animated, frames are the same in
batches of any size, the film goes through in a few frames' memory, keeps its sound, and its exact
rate, and a picture without a face is an error.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ppzoo.apps.animation import Animator, Points, Still, grouped, load_animator
from ppzoo.apps.face_squares import (
    Part,
    centre_square,
    cut,
    driver_square,
    face_masks,
    without_doubles,
)
from ppzoo.apps.faces import NO_ENHANCEMENT, detector_name, detector_of_picture, name_of
from ppzoo.apps.films import (
    Film,
    Source,
    beginning,
    check_seconds,
    check_targets,
    say,
    size_of,
    target_of,
)
from ppzoo.apps.inference import BACKENDS
from ppzoo.errors import DataError, UserError
from ppzoo.faces.blend import paste, resize
from ppzoo.faces.detector import DetectorName, check_detector
from ppzoo.media.image import load_image
from ppzoo.media.video import VideoInfo, VideoReader, VideoWriter, probe
from ppzoo.runtime import select_device

FEATHER = 0.1  # of a face's square, over which it fades into the picture
PREVIEW = 512  # pixels: the largest height of a preview
_MOST_LOOKS = 200  # at a film, for its driver's face
_SQUEEZED = 1.1  # of a whole picture's sides, from which on it is worth a word that one is longer


@dataclass(frozen=True, eq=False)
class _Face:
    """A part of the source picture that moves.

    Args:
        part: its place.
        still: what the networks know of it.
        mask: what is seen of it, see `paste`.
        feather: see `paste`.
    """

    part: Part
    still: Still
    mask: Any
    feather: float


class FirstOrderPredictor:
    """Gives the faces of a picture the motion of a face in a film.

    The source's face is cut out in a square of twice its size, and so is the driver's, at one place
    for the whole film. What the networks make of the source's square is laid back over the picture.

    Args:
        output: folder for the result.
        weight_path: weights or a checkpoint, ours or PaddleGAN's. By default PaddleGAN's official
            ones, for faces, by `image_size` and `mobile_net`.
        config: the YAML that they were trained with, or a mapping like it. By default the
            `config.yaml` beside the weights, as in a run folder; without one the networks are
            recognised by their weights.
        relative: move the source as the driver has moved since the beginning (or since
            `best_frame`), so that it keeps its proportions; the driver's pose in that frame should
            be the source's. Otherwise the source takes the driver's keypoints, and looks like it.
        adapt_scale: relative motion is as much larger as the source's keypoints span more.
        find_best_frame: relative motion starts from the frame whose keypoints are most like the
            source's, wherever they lie and however large they are.
        best_frame: relative motion starts from this frame, counted from 0.
        ratio: with several faces, half the axes of the ellipse that is seen of each, as a share of
            its square.
        filename: of the result in `output`.
        face_detector: what finds faces, see `build_detector`.
        multi_person: animate all faces, not only the largest.
        image_size: side in pixels that faces have for the networks; None for what the config says,
            or 256.
        face_enhancement: not available.
        batch_size: frames that go through the networks at once. It is halved where memory does not
            suffice.
        mobile_net: PaddleGAN's networks for phones.
        slice_size: accepted for PaddleGAN's sake, where it cuts tensors of whole films in slices;
            here there are none.
        detector_weights: weights of the face detector, by default the official ones.
        whole: animate the whole source picture by the whole film, without looking for faces: for
            figures, drawings, or pictures that are cut out already.
        detect_every: look for the driver's face in every so many frames; of a long film, in 200
            frames at most.
        keep_sound: give the result the film's sound, which PaddleGAN leaves out.
        preview: a second film, with source, driver and result side by side.
        backend: how the networks are run, see `make_runner`; by default the fastest.
        device: `cpu`, `gpu` or `gpu:N`.
        progress: show a bar.

    Attributes:
        film: what the last `run` made.

    Raises:
        WeightsError: weights that are missing, not to be had, or do not fit.
        UserError: an option is out of range.
    """

    def __init__(
        self,
        output: Source = "output",
        weight_path: Source | None = None,
        config: Source | Mapping[str, Any] | None = None,
        relative: bool = False,
        adapt_scale: bool = False,
        find_best_frame: bool = False,
        best_frame: int | None = None,
        ratio: float = 1.0,
        filename: str = "result.mp4",
        face_detector: DetectorName = "sfd",
        multi_person: bool = False,
        image_size: int | None = 256,
        face_enhancement: bool = False,
        batch_size: int = 1,
        mobile_net: bool = False,
        slice_size: int = 0,
        *,
        detector_weights: Source | None = None,
        whole: bool = False,
        detect_every: int = 5,
        keep_sound: bool = True,
        preview: Source | None = None,
        backend: str | None = None,
        device: str | None = None,
        progress: bool = True,
    ) -> None:
        if face_enhancement:
            raise UserError(NO_ENHANCEMENT)
        if best_frame is not None and best_frame < 0:
            raise UserError(f"best_frame is {best_frame}, expected 0 for the first one, 1, 2, ...")
        if not ratio > 0:
            raise UserError(f"ratio is {ratio}, expected more than 0")
        if detect_every < 1:
            raise UserError(f"detect_every is {detect_every}, expected at least 1 frame")
        if not whole:
            check_detector(face_detector, detector_weights)
        self.device = select_device(device)
        self.output, self.filename = Path(output), filename
        self.relative, self.adapt_scale = relative, adapt_scale
        self.find_best_frame, self.best_frame = find_best_frame, best_frame
        self.ratio, self.multi_person, self.whole = ratio, multi_person, whole
        self.detect_every, self.keep_sound, self.preview = detect_every, keep_sound, preview
        self.progress = progress
        self.animator: Animator = load_animator(
            weight_path,
            config,
            image_size=image_size,
            mobile_net=mobile_net,
            batch_size=batch_size,
            backend=backend,
            keep_edges=not whole,
        )
        # Last: its weights may have to be downloaded, in vain if others are missing.
        self.detector = None if whole else detector_of_picture(face_detector, detector_weights)
        self.film: Film | None = None

    def run(self, source_image: Any, driving_video: Source) -> str:
        """Animate a picture by a film, and return the new film's path, `<output>/<filename>`.

        Args:
            source_image: a path, an array or a Pillow image, see `load_image`.
            driving_video: a video file.

        Raises:
            DataError: a file is missing or cannot be read, or there is no face in the picture.
            UserError: the result cannot be written.
        """
        self.film = self.make(source_image, driving_video, self.output / self.filename)
        return os.fspath(self.film.path)

    def make(
        self, source: Any, driving: Source, target: Source, *, seconds: float | None = None
    ) -> Film:
        """Animate a picture by a film, and return what was made.

        Args:
            source: see `run`.
            driving: see `run`.
            target: the new film. It is there only when it is finished. It has the picture's size
                (H.264 has even sizes only: of an odd one, the last row or column is repeated).
            seconds: take only the beginning of the driving film.

        Raises:
            DataError: see `run`.
            UserError: the result would replace a source, or cannot be written.
        """
        begin = time.perf_counter()
        path, shown = check_targets([driving], target, self.preview)
        check_seconds(seconds)
        picture = load_image(source)
        notes = self._doubts()
        with VideoReader(driving) as reader:
            clip = _Clip(reader, seconds)
            self.animator.expect(clip.count)
            faces = self._faces(picture, name_of(source), notes)
            part = self._driver_part(clip, notes)
            initial = self._initial(clip, part, faces, notes)
            count = 0
            sound = driving if self.keep_sound and reader.info.has_audio else None
            with contextlib.ExitStack() as exits:
                writers = [
                    exits.enter_context(VideoWriter(one, reader.info.fps, audio_from=sound))
                    for one in (path, *([] if shown is None else [shown]))
                ]
                bar = exits.enter_context(clip.bar("animating", self.progress))
                made = exits.enter_context(
                    contextlib.closing(self._frames(clip, part, picture, faces, initial))
                )
                for frame, driver in made:
                    writers[0].write(frame)
                    if shown is not None:
                        writers[1].write(side_by_side(picture, driver, frame))
                    count += 1
                    bar.update()
            notes += reader.problems
        height, width = picture.shape[:2]
        return Film(
            path=path,
            pattern=None,
            frames=count,
            size=size_of(picture.shape),
            size_before=(width, height),
            fps=reader.info.fps,
            cuts=(),
            seconds=time.perf_counter() - begin,
            problems=tuple(notes),
        )

    def describe(self) -> list[str]:
        """Return what finds faces, and a line on the backend of each network."""
        faces = [] if self.detector is None else [f"faces: {detector_name(self.detector)}"]
        return faces + self.animator.describe()

    def _doubts(self) -> list[str]:
        """Return sentences about options that will not do what they seem to."""
        notes, trained = [], self.animator.trained_size
        if trained is not None and trained != self.animator.size:
            notes.append(
                f"the networks were trained at {trained} pixels and are run at "
                f"{self.animator.size}: image_size {trained} would suit them better"
            )
        if not self.relative and (self.find_best_frame or self.best_frame is not None):
            notes.append("the best frame is of account for relative motion only")
        if not self.relative and self.adapt_scale:
            notes.append("adapt_scale is of account for relative motion only")
        return notes

    def _faces(self, picture: np.ndarray, name: str, notes: list[str]) -> list[_Face]:
        """Return what moves in the source picture, the largest face first."""
        size = picture.shape[:2]
        if self.detector is None:
            everything = (0, 0, size[1], size[0])
            if max(size) > _SQUEEZED * min(size):
                notes.append(
                    f"the picture is {size[1]} x {size[0]} pixels: the networks see it squeezed "
                    "into a square"
                )
            return [_Face(everything, self.animator.still(picture), "rectangle", 0.0)]
        places = without_doubles(self.detector.detect(picture), size)
        if not places:
            raise DataError(
                f"there is no face in {name} ({size[1]} x {size[0]} pixels, looked for by "
                f"{detector_name(self.detector)!r}): give a picture where one is seen from the "
                "front, try another --face-detector, or animate the whole picture with --whole, "
                "such as a figure or a drawing"
            )
        if len(places) > 1:
            which = "all of them move" if self.multi_person else "the largest one moves"
            notes.append(f"there are {len(places)} faces in {name}, and {which} (multi_person)")
        if not self.multi_person or len(places) == 1:
            masks: list[Any] = ["rectangle"]
        else:
            masks = list(face_masks(places, self.ratio, FEATHER))
        return [
            _Face(place.square, self.animator.still(cut(picture, place.square)), mask, FEATHER)
            # Without `multi_person` there is one mask only, for the largest face.
            for place, mask in zip(places, masks, strict=False)
        ]

    def _driver_part(self, clip: _Clip, notes: list[str]) -> Part:
        """Return what the driver is cut out of the film at."""
        info = clip.info
        size, part = (info.height, info.width), None
        if self.detector is not None:
            with clip.bar("looking for the driver's face", self.progress) as bar:
                every = max(self.detect_every, -(-(clip.count or 1) // _MOST_LOOKS))
                frames, looking = _counted(clip.frames(), bar), self.detector.for_films()
                part = driver_square(frames, looking, every, size)
        if part is not None:
            return part
        if info.width != info.height:
            found = "there is no face in the driving film: its middle"
            middle = "the middle of the driving film" if self.detector is None else found
            notes.append(
                f"{middle} is taken, {min(size)} x {min(size)} of {info.width} x {info.height} "
                "pixels"
            )
        return centre_square(size)

    def _initial(
        self, clip: _Clip, part: Part, faces: Sequence[_Face], notes: list[str]
    ) -> list[Points] | None:
        """Return the driver's keypoints that relative motion starts from, for each face.

        None stands for those of the first frame.
        """
        if not self.relative:
            return None
        if self.best_frame is not None:
            frame = next(itertools.islice(clip.frames(), self.best_frame, None), None)
            if frame is None:
                raise UserError(
                    f"best_frame is {self.best_frame}, but the driving film {clip.info.path} ends "
                    "before it"
                )
            return [self.animator.keypoints([cut(frame, part)])] * len(faces)
        if not self.find_best_frame:
            return None
        best: list[Points] = [{} for _ in faces]
        least, chosen, seen = [np.inf] * len(faces), [0] * len(faces), 0
        with clip.bar("looking for the best frame", self.progress) as bar:
            for group in grouped(_counted(clip.frames(), bar), self.animator.batch_size):
                points = self.animator.keypoints([cut(frame, part) for frame in group])
                for index, face in enumerate(faces):
                    apart = _unlikeness(points["value"], face.still.points["value"])
                    at = int(apart.argmin())
                    if apart[at] < least[index]:
                        least[index], chosen[index] = apart[at], seen + at
                        best[index] = {key: value[at : at + 1] for key, value in points.items()}
                seen += len(group)
        frames = ", ".join(map(str, dict.fromkeys(chosen)))
        notes.append(f"motion starts from the best frame, {frames}, counted from 0")
        return best

    def _frames(
        self,
        clip: _Clip,
        part: Part,
        picture: np.ndarray,
        faces: Sequence[_Face],
        initial: list[Points] | None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the frames of the result, each with what was seen of the driver."""
        animator = self.animator
        for group in grouped(clip.frames(), animator.batch_size):
            drivers = [cut(frame, part) for frame in group]
            points = animator.keypoints(drivers)
            if initial is None:
                initial = [{key: value[:1] for key, value in points.items()}] * len(faces)
            results = [picture.copy() for _ in group]
            for face, start in zip(faces, initial, strict=True):
                moved = animator.moved(
                    face.still, points, start, relative=self.relative, adapt_scale=self.adapt_scale
                )
                for result, patch in zip(results, animator.draw(face.still, moved), strict=True):
                    paste(result, patch, face.part, face.mask, face.feather)
            yield from zip(results, drivers, strict=True)


class _Clip:
    """The driving film, or its beginning, to be gone through several times.

    Args:
        reader: of the film.
        seconds: how much of it; None for all.
    """

    def __init__(self, reader: VideoReader, seconds: float | None) -> None:
        self._reader = reader
        self.info: VideoInfo = reader.info
        self._limit, self.count = beginning(self.info, seconds)

    def frames(self) -> Iterator[np.ndarray]:
        """Begin anew, and yield frames uint8 RGB [H, W, 3]."""
        return itertools.islice(iter(self._reader), self._limit)

    def bar(self, title: str, is_shown: bool) -> Any:
        """Return a progress bar for all frames."""
        from tqdm import tqdm

        shown = None if is_shown else True
        return tqdm(total=self.count, unit="frame", desc=title, disable=shown)


def side_by_side(*pictures: np.ndarray) -> np.ndarray:
    """Return pictures uint8 RGB [H, W, 3] beside each other, as high as the first, 512 at most."""
    height = min(PREVIEW, pictures[0].shape[0])
    return np.concatenate(
        [
            resize(each, (height, max(1, round(each.shape[1] * height / each.shape[0]))))
            for each in pictures
        ],
        axis=1,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict firstorder`."""
    add = parser.add_argument
    add("--source", required=True, metavar="FILE", help="picture to animate")
    add("--driving", required=True, metavar="FILE", help="film whose motion it takes")
    add("--output", required=True, metavar="FILE|DIR", help="the new film, or a folder for it")
    add("--weights", metavar="FILE", help="weights or checkpoint (PaddleGAN's official ones)")
    add("-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights")
    motion = parser.add_mutually_exclusive_group()
    motion.add_argument(
        "--relative",
        action="store_true",
        default=True,
        help="move the source as the driver has moved since its first frame (the default)",
    )
    motion.add_argument(
        "--absolute",
        dest="relative",
        action="store_false",
        help="give the source the driver's own pose and proportions",
    )
    add(
        "--adapt-scale",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="scale relative motion by the size of the source's face (yes)",
    )
    add("--best-frame", type=int, metavar="N", help="relative motion starts from frame N, not 0")
    add(
        "--find-best-frame",
        action="store_true",
        help="start from the frame that is posed most like the source",
    )
    add("--multi-person", action="store_true", help="animate all faces, not only the largest")
    add(
        "--ratio",
        type=float,
        default=0.4,
        metavar="R",
        help="with several faces, what is seen of each: half axes as a share of its square (0.4)",
    )
    add("--image-size", type=int, metavar="N", help="pixels for the networks (as trained, or 256)")
    add("--mobile-net", action="store_true", help="PaddleGAN's networks for phones")
    add("--batch-size", type=int, default=1, metavar="N", help="frames at once (1)")
    add("--face-detector", choices=get_args(DetectorName), default="auto", help="what finds faces")
    add("--detector-weights", metavar="FILE", help="its weights, by default the official ones")
    add("--detect-every", type=int, default=5, metavar="N", help="look for the driver's face (5)")
    add("--whole", action="store_true", help="animate the whole picture, look for no faces")
    add("--seconds", type=float, metavar="N", help="take only the beginning of the film")
    add("--preview", metavar="FILE", help="a second film: source, driver and result side by side")
    add("--no-sound", action="store_true", help="leave the driver's sound out")
    add("--backend", choices=BACKENDS, help="how to run the networks (the fastest)")
    add("--device", help="cpu, gpu or gpu:N")


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Animate a picture and return where the film is, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    target = target_of(args.source, args.output, "firstorder")
    # Before weights are read, or even downloaded.
    check_targets([args.source, args.driving], target, args.preview)
    check_seconds(args.seconds)
    load_image(args.source)
    probe(args.driving)
    predictor = FirstOrderPredictor(
        weight_path=args.weights,
        config=args.config,
        relative=args.relative,
        adapt_scale=args.adapt_scale and args.relative,
        find_best_frame=args.find_best_frame,
        best_frame=args.best_frame,
        ratio=args.ratio,
        face_detector=args.face_detector,
        multi_person=args.multi_person,
        image_size=args.image_size,
        batch_size=args.batch_size,
        mobile_net=args.mobile_net,
        detector_weights=args.detector_weights,
        whole=args.whole,
        detect_every=args.detect_every,
        keep_sound=not args.no_sound,
        preview=args.preview,
        backend=args.backend,
        device=args.device,
    )
    film = predictor.make(args.source, args.driving, target, seconds=args.seconds)
    places = say(film, predictor.describe())
    return places if args.preview is None else places | {"preview": Path(args.preview)}


def _counted(frames: Iterator[np.ndarray], bar: Any) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        bar.update()


def _unlikeness(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return how unlike keypoints [N, K, 2] are to others [1, K, 2], whatever place and size."""
    shapes = []
    for places in (values, wanted):
        apart = places - places.mean(axis=1, keepdims=True)
        spread = np.sqrt((apart**2).sum(axis=(1, 2), keepdims=True))
        shapes.append(apart / np.maximum(spread, 1e-6))
    return ((shapes[0] - shapes[1]) ** 2).sum(axis=(1, 2))
