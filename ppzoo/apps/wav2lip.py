# SPDX-License-Identifier: Apache-2.0
"""Faces of films and pictures made to say what a sound says, by Wav2Lip."""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import logging
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import paddle

import ppzoo.lipsync.wav2lip  # noqa: F401  (registers the network)
from ppzoo import registry
from ppzoo.apps.faces import NO_ENHANCEMENT, detector_name, detector_of_film
from ppzoo.apps.films import Film, check_seconds, check_targets, say, size_of, target_of
from ppzoo.apps.image_to_image import config_given, config_of
from ppzoo.apps.inference import BACKENDS, Runner, check_finite, make_runner, repeated
from ppzoo.apps.talkers import (
    FaceFilm,
    Framing,
    Place,
    Source,
    Speaker,
    Voice,
    check_windows,
    face_place,
    given_place,
    read_voice,
)
from ppzoo.config import Component
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.faces.blend import paste, resize, soft_mask
from ppzoo.faces.detector import DetectorName, Face, FaceDetector, check_detector
from ppzoo.faces.tracking import FaceTracker
from ppzoo.media.mel import BANDS, SAMPLE_RATE, SILENCE, WINDOW
from ppzoo.media.video import VideoWriter
from ppzoo.media.video.background import in_background
from ppzoo.media.video.sound import audio_chunks
from ppzoo.runtime import as_many_as_fit, select_device
from ppzoo.weights import load_state, read, select_net
from ppzoo.weights.manifest import find_weights

_LOG = logging.getLogger(__name__)

Sound = Literal["replace", "keep", "none"]
Cycle = Literal["restart", "pingpong"]
# A frame of a film with the part of it that is drawn anew, None without a face.
Shot = tuple[np.ndarray, Place | None]

SIZE = 96  # pixels a side of the faces that the network draws
# Networks are trained with the sound from one frame before a frame on, at 25 frames a second.
LEAD = Fraction(1, 25)
_NET = "netG"
_SMOOTH = 5  # frames over which boxes are averaged
_FEATHER = 0.1
# Of a face's height, where the frame's upper half becomes the lower half drawn.
_BORDER = (0.42, 0.52)
_AHEAD = 4  # frames whose faces are found before they are needed
_WORTH_MEASURING = 64  # frames, from which on it is worth to find the fastest backend
# On a CPU, more faces at once cost memory and gain nothing.
_MOST_ON_CPU = 8
_HELD_BYTES = 2**28  # of frames that wait for a batch to be full


class Wav2LipPredictor:
    """Makes a face in a film or picture say what a sound says.

    The film begins again where the sound is longer, and ends with the sound where it is shorter.
    Frames without the face are left as they are. Unlike PaddleGAN, the sound of a frame begins
    where it did in training, see `lead`, and boxes are averaged over frames before and behind.

    Args:
        checkpoint_path: weights or a checkpoint, ours or PaddleGAN's; averages are preferred. By
            default PaddleGAN's official ones.
        static: take the first frame of a film only.
        fps: frames per second of what is made of a picture; a film keeps its own.
        pads: pixels that are added to a face's box above, below, to the left and to the right.
        face_det_batch_size: frames in which faces are looked for at once on a GPU; on a CPU one is
            as fast. It is halved where memory does not suffice.
        wav2lip_batch_size: faces that go through the network at once, at most; on a CPU 8 are
            enough. It is halved where memory does not suffice.
        resize_factor: pixels along a side of a frame that become one, before all else.
        crop: of the frames, after `resize_factor` and `rotate`: first and last row, first and last
            column, the last ones exclusive; -1 for the frame's edge.
        box: of the face, for all frames, as rows and columns of what `crop` leaves; -1 to look for
            faces.
        rotate: turn frames clockwise by 90 degrees. Those of phones are upright without that.
        nosmooth: do not average boxes over five frames.
        face_detector: a name for `build_detector`, or a detector.
        face_enhancement: not in the zoo yet.
        config: the YAML that it was trained with. By default the `config.yaml` beside the weights,
            as in a run folder; without one the network is recognised by its weights. Its generator
            may be one of your own, if it is registered and takes what `Wav2Lip` takes.
        detector_weights: weights of the face detector to use instead of the official ones.
        speaker: which face talks: 0 for the largest where it is first seen, 1 for the next one...
            It is followed from there on, see `Speaker`.
        detect_every: look for faces in each frame of this number, and follow them between.
        sound: of the result: "replace" for what is said, "keep" for the film's own, or "none".
        cycle: what follows the end of a film that is shorter than the sound: "restart", its
            beginning, as in PaddleGAN, or "pingpong", the way back, which makes no jump.
        feather: how far the edge of what is drawn fades into the frame, as a share of the shorter
            side of its box; 0 for a hard edge, as in PaddleGAN.
        lower_only: lay only the lower half of what is drawn into the frame. The upper half is the
            same face in fewer pixels.
        lead: seconds before a frame at which the sound begins that the network hears for it.
            PaddleGAN takes 0, so that lips are a frame too early.
        preview: a second film, each frame beside the one that it was made of.
        backend: how the network is run, see `make_runner`; by default the fastest.
        device: `cpu`, `gpu` or `gpu:N`.
        progress: show a bar.

    Attributes:
        film: what the last `run` made.
        remarks: sentences about what did not go as asked, in the last `run` or `stream`.

    Raises:
        WeightsError: the weights cannot be had or read, or do not fit.
        UserError: an option is out of range.
    """

    def __init__(
        self,
        checkpoint_path: Source | None = None,
        static: bool = False,
        fps: float = 25,
        pads: Sequence[int] = (0, 10, 0, 0),
        face_det_batch_size: int = 16,
        wav2lip_batch_size: int = 128,
        resize_factor: int = 1,
        crop: Sequence[int] = (0, -1, 0, -1),
        box: Sequence[int] = (-1, -1, -1, -1),
        rotate: bool = False,
        nosmooth: bool = False,
        face_detector: DetectorName | FaceDetector = "sfd",
        face_enhancement: bool = False,
        *,
        config: Source | None = None,
        detector_weights: Source | None = None,
        speaker: int = 0,
        detect_every: int = 5,
        sound: Sound = "replace",
        cycle: Cycle = "restart",
        feather: float = _FEATHER,
        lower_only: bool = False,
        lead: float | Fraction = LEAD,
        preview: Source | None = None,
        backend: str | None = None,
        device: str | None = None,
        progress: bool = True,
    ) -> None:
        if face_enhancement:
            raise UserError(NO_ENHANCEMENT)
        _check_at_least(
            1,
            face_det_batch_size=face_det_batch_size,
            wav2lip_batch_size=wav2lip_batch_size,
            detect_every=detect_every,
        )
        _check_at_least(0, speaker=speaker)
        if not 0 <= feather <= 1:
            raise UserError(f"feather is {feather}, expected a number from 0 to 1")
        if not math.isfinite(lead):
            raise UserError(f"lead is {lead}, expected seconds, a finite number")
        _check_among(sound=(sound, get_args(Sound)), cycle=(cycle, get_args(Cycle)))
        if backend is not None:
            _check_among(backend=(backend, BACKENDS))
        for name, numbers in (("pads", pads), ("box", box)):
            if len(numbers) != 4:
                raise UserError(
                    f"{name} is {list(numbers)}, expected four numbers: top, bottom, left, right"
                )
        self.static, self.fps, self.pads = static, fps, tuple(pads)
        self.box = None if box[0] < 0 else tuple(box)
        self.framing = Framing(resize_factor, rotate, tuple(crop))
        self.batch, self.detector_batch = wav2lip_batch_size, face_det_batch_size
        self.smooth = 1 if nosmooth else _SMOOTH
        self.speaker, self.detect_every = speaker, detect_every
        self.sound, self.cycle = sound, cycle
        self.feather, self.lower_only = float(feather), lower_only
        self.lead = Fraction(lead).limit_denominator(10_000)
        self.preview, self.backend, self.progress = preview, backend, progress
        self.device = select_device(device)
        if isinstance(face_detector, str):
            check_detector(face_detector, detector_weights)
        given = config_given(config)
        self.weight_path = path = find_weights("wav2lip", checkpoint_path)
        arrays = select_net(read(path), _NET, path, prefer_ema=True)
        loaded = config_of(path, given)
        spec: Any
        if loaded is None:
            spec = infer_wav2lip(arrays, path)
        else:
            spec = loaded.model.kwargs.get("generator")
            if not isinstance(spec, Component) or not loaded.model.name.startswith("Wav2Lip"):
                raise WeightsError(f"the config of {path} describes no generator of Wav2Lip")
        self.generator = registry.build(registry.GENERATORS, spec)
        load_state(self.generator, arrays, path)
        self.generator.eval()
        self.film: Film | None = None
        self._detector, self._detector_weights = face_detector, detector_weights
        self._runner: Runner | None = None
        self._runner_size = 0
        self._has_measured = False
        self._is_cpu = paddle.device.get_device().startswith("cpu")
        self._batch = min(self.batch, _MOST_ON_CPU) if self._is_cpu else self.batch
        self._chooser = Speaker(speaker)
        self._planned = 0  # frames of the film under way
        self.remarks: list[str] = []

    def run(
        self,
        face: Source,
        audio_seq: Source,
        outfile: Source,
        *,
        seconds: float | None = None,
    ) -> Film:
        """Make a face talk, and write the film.

        Args:
            face: a film, or a picture.
            audio_seq: what is said: an audio file or a film, of any format.
            outfile: the new film, `.mp4`, `.mov` or `.mkv`; its folder is made.
            seconds: take only the beginning of the sound.

        Returns:
            what was made.

        Raises:
            DataError: a file is missing or cannot be read, or no face is found.
            UserError: the result cannot be written.
        """
        from tqdm import tqdm

        begin = time.perf_counter()
        check_seconds(seconds)
        path, _ = check_targets([face, audio_seq], outfile, self.preview)
        source = FaceFilm(face, self.framing, self.fps, self.static)
        _check_sound(source, self.sound)
        voice = read_voice(audio_seq)
        if seconds is not None:
            samples = round(Fraction(seconds) * SAMPLE_RATE)
            voice = replace(voice, samples=min(voice.samples, samples))
        count, shape = voice.frame_count(source.fps), (0, 0)
        heard = {"replace": audio_seq, "keep": face, "none": None}[self.sound]
        with contextlib.ExitStack() as exits:
            give = exits.enter_context
            writer = give(VideoWriter(path, source.fps, audio_from=heard))
            beside = None
            if self.preview is not None:
                beside = give(VideoWriter(self.preview, source.fps, audio_from=heard))
            bar = give(
                tqdm(
                    total=count,
                    unit="frame",
                    desc="wav2lip",
                    disable=None if self.progress else True,
                )
            )
            for before, frame in give(contextlib.closing(self.stream(source, voice))):
                writer.write(frame)
                if beside is not None:
                    beside.write(np.concatenate([before, frame], axis=1))
                shape = frame.shape[:2]
                bar.update()
        self.film = Film(
            path=path,
            pattern=None,
            frames=count,
            size=size_of(shape),
            size_before=source.size,
            fps=source.fps,
            cuts=(),
            seconds=time.perf_counter() - begin,
            problems=(*source.problems, *self.remarks),
        )
        return self.film

    def stream(self, source: FaceFilm, voice: Voice) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield frames as long as a voice sounds: as they were, and as they become.

        Args:
            source: the film, read as often as it takes.
            voice: what is said.

        Yields:
            two arrays uint8 RGB [H, W, 3]; without `preview` the first one is the second one.

        Raises:
            DataError: no frame shows a face, or the speaker.
            UserError: `box` or `crop` are not in the frames.
        """
        count = voice.frame_count(source.fps)
        self._planned, self.remarks = count, []
        batch, without = self._batch, 0
        group: list[Shot] = []
        # Before the thread below keeps the processor busy: backends are timed.
        _, self._batch = as_many_as_fit(self._runner_of, self._batch, "faces")
        # Faces are looked for by a thread of its own, while the network draws.
        shots = in_background(self._shots(source), _AHEAD)
        with contextlib.closing(shots):
            for i, shot in enumerate(itertools.islice(shots, count), 1):
                group.append(shot)
                without += shot[1] is None
                fits = max(1, _HELD_BYTES // shot[0].nbytes)
                if len(group) < min(self._batch, fits) and i < count:
                    continue
                heard = voice.windows(range(i - len(group), i), source.fps, self.lead)
                yield from self._changed(group, heard)
                group = []
        if without == count:
            raise self._nobody(source)
        if without:
            self.remarks.append(
                f"{without} of {count} frames show no face that could talk, and stay as they are"
            )
        if self._chooser.most > 1:
            self.remarks.append(
                f"up to {self._chooser.most} faces are seen at once, and number {self.speaker} "
                "talks, the largest one being 0 (speaker)"
            )
        if self._batch < batch:
            self.remarks.append(f"memory sufficed for {self._batch} faces at once, not {batch}")

    def draw(self, faces: Sequence[np.ndarray], mels: np.ndarray) -> np.ndarray:
        """Return faces that say what is heard.

        Args:
            faces: uint8 RGB [h, w, 3] each, of any size.
            mels: what is heard with each, windows of its spectrogram [N, 80, 16]; see
                `ppzoo.media.mel`.

        Returns:
            uint8 RGB [N, 96, 96, 3].

        Raises:
            ValueError: other shapes, or other numbers of faces than of windows.
        """
        mels = check_windows(mels)
        if len(mels) != len(faces):
            raise ValueError(f"{len(faces)} faces and {len(mels)} windows of sound")
        if not len(faces):
            return np.zeros((0, SIZE, SIZE, 3), np.uint8)
        small = np.stack([resize(face, (SIZE, SIZE)) for face in faces])[..., ::-1]  # blue first
        x = small.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        hidden = x.copy()
        hidden[:, :, SIZE // 2 :] = 0
        y = self._run(mels[:, np.newaxis], np.concatenate([hidden, x], axis=1))
        levels = np.rint(check_finite(y, self.weight_path) * np.float32(255)).clip(0, 255)
        return np.ascontiguousarray(levels.astype(np.uint8)[:, ::-1].transpose(0, 2, 3, 1))

    def describe(self) -> str:
        """Return one line on the backend in use; before the first face, that there is none."""
        return "no face yet" if self._runner is None else self._runner.describe()

    def _changed(
        self, group: Sequence[Shot], heard: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        there = [i for i, (_, place) in enumerate(group) if place is not None]
        faces = []
        for i in there:
            frame, (x1, y1, x2, y2) = group[i]
            faces.append(frame[y1:y2, x1:x2])
        drawn = dict(zip(there, self.draw(faces, heard[there]), strict=True))
        for i, (frame, place) in enumerate(group):
            before = frame
            if place is not None:
                before = frame if self.preview is None else frame.copy()
                paste(frame, drawn[i], place, self._mask(place, frame.shape[:2]))
            yield before, frame

    def _mask(self, place: Place, size: tuple[int, int]) -> np.ndarray:
        """Return how much of what is drawn is seen in each pixel of a place, float32 [h, w]."""
        x1, y1, x2, y2 = place
        # At the frame's own edges there is no seam to hide.
        sides = (x1 > 0, y1 > 0, x2 < size[1], y2 < size[0])
        mask = soft_mask((y2 - y1, x2 - x1), "rectangle", self.feather, sides=sides)
        if self.lower_only:
            rows = (np.arange(y2 - y1) + 0.5) / (y2 - y1)
            mask *= np.interp(rows, _BORDER, (0, 1))[:, np.newaxis].astype(np.float32)
        return mask

    def _shots(self, source: FaceFilm) -> Generator[Shot, None, None]:
        """Yield frames with the speaker's place, without an end."""
        places: list[Place | None] = []
        self._chooser = Speaker(self.speaker)
        with contextlib.closing(self._located(source)) as located:
            for frame, place in located:
                places.append(place)
                yield frame, place
        if not any(places):
            raise self._nobody(source)
        while True:
            if self.cycle == "pingpong" and len(places) > 2:
                # Without the last frame, which was just shown, and the first one, which follows.
                inner = zip(places[-2:0:-1], source.backwards(len(places) - 1), strict=False)
                yield from ((frame, place) for place, frame in inner)
            yield from zip(source.frames(), places, strict=False)

    def _located(self, source: FaceFilm) -> Generator[Shot, None, None]:
        with contextlib.closing(source.frames()) as frames:
            if self.box is not None:
                for frame in frames:
                    yield frame, given_place(self.box, frame.shape[:2])
                return
            tracker = FaceTracker(
                self._looking(),
                every=self.detect_every,
                smooth=self.smooth,
                batch=1 if self._is_cpu else self.detector_batch,
            )
            with contextlib.closing(tracker.stream(frames)) as tracked:
                for frame, faces in tracked:
                    chosen = self._chooser.choose(faces)
                    yield frame, None if chosen is None else self._place(chosen.face, frame)

    def _place(self, face: Face, frame: np.ndarray) -> Place | None:
        box = self._looking().whole_face(face.box)
        return face_place(box, self.pads, frame.shape[:2])

    def _looking(self) -> FaceDetector:
        """Return what finds faces; its weights are read when it is first needed."""
        if isinstance(self._detector, str):
            self._detector = detector_of_film(self._detector, self._detector_weights)
        return self._detector

    def _nobody(self, source: FaceFilm) -> DataError:
        if self.box is None and 0 < self._chooser.most <= self.speaker:
            most = self._chooser.most
            seen = "one face is" if most == 1 else f"{most} faces are"
            return DataError(
                f"there is no speaker {self.speaker} (counted from 0) in {source.name}: at most "
                f"{seen} seen at once"
            )
        return DataError(
            f"no face is found in {source.name} (looked for by "
            f"{detector_name(self._looking())!r}): try another --face-detector, turn the "
            "frames by --rotate, or say where it is by --box TOP BOTTOM LEFT RIGHT in pixels"
        )

    def _run(self, mels: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Return what the network draws, float32 [N, 3, 96, 96] with blue first, in [0, 1].

        Args:
            mels: [N, 1, 80, 16].
            faces: [N, 6, 96, 96].
        """
        drawn: list[np.ndarray] = []
        start = 0
        while start < len(faces):
            rest = functools.partial(self._first, mels[start:], faces[start:])
            made, self._batch = as_many_as_fit(rest, self._batch, "faces")
            drawn.append(made)
            start += len(made)
        return np.concatenate(drawn)

    def _first(self, mels: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
        runner = self._runner_of(count)
        mels, faces = mels[:count], faces[:count]
        size = len(faces) if runner.backend == "dynamic" else count
        return runner(repeated(mels, size), repeated(faces, size))[: len(faces)]

    def _runner_of(self, count: int) -> Runner:
        """Return what draws so many faces at once."""
        is_long = self._planned >= _WORTH_MEASURING
        is_new = self._runner is None or self._runner_size != count
        if is_new or (is_long and not self._has_measured):
            self._runner, self._runner_size = None, count
            self._has_measured = is_long
            # Of zeros, a network makes what tells little about a backend.
            random = np.random.default_rng(0)
            shapes = ((count, 1, BANDS, WINDOW), SILENCE, -SILENCE), ((count, 6, SIZE, SIZE), 0, 1)
            examples = [random.uniform(low, high, shape) for shape, low, high in shapes]
            self._runner = make_runner(
                self.generator,
                [example.astype(np.float32) for example in examples],
                self.backend,
                measured=is_long,
            )
            _LOG.debug("backend: %s", self._runner.describe())
        return self._runner


def infer_wav2lip(arrays: Mapping[str, np.ndarray], source: Source = "weights") -> dict[str, Any]:
    """Return the network that weights belong to, as a config would name it.

    Args:
        arrays: the weights by parameter.
        source: the file's name, for the error.

    Raises:
        WeightsError: they are not Wav2Lip's.
    """
    first = arrays.get("face_encoder_blocks.0.0.conv_block.0.weight")
    if first is None or first.ndim != 4 or first.shape[1] != 6:
        raise WeightsError(
            f"{source} holds no generator of Wav2Lip (its weights begin with "
            f"{', '.join(list(arrays)[:3])})"
        )
    return {"name": "Wav2Lip", "ngf": int(first.shape[0])}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict wav2lip`."""
    add = parser.add_argument
    four = ("TOP", "BOTTOM", "LEFT", "RIGHT")
    add("--face", required=True, metavar="FILE", help="film or picture of a face")
    add("--audio", required=True, metavar="FILE", help="what it is to say: sound, or a film's")
    add("--output", required=True, metavar="FILE|DIR", help="the new film, or a folder for it")
    add("--weights", metavar="FILE", help="weights or checkpoint (PaddleGAN's official ones)")
    add("-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights")
    add("--speaker", type=int, default=0, metavar="N", help="0: the largest face (default), 1, ...")
    add("--box", type=int, nargs=4, default=[-1] * 4, metavar=four, help="the face, in pixels")
    add(
        "--pads",
        type=int,
        nargs=4,
        default=[0, 10, 0, 0],
        metavar=four,
        help="pixels to add around the face (0 10 0 0)",
    )
    add("--no-smooth", action="store_true", help="do not average boxes over 5 frames")
    add("--face-detector", choices=get_args(DetectorName), default="auto", help="what finds faces")
    add("--detector-weights", metavar="FILE", help="its weights, by default the official ones")
    add("--detect-every", type=int, default=5, metavar="N", help="in every N-th frame (5)")
    add("--crop", type=int, nargs=4, default=[0, -1, 0, -1], metavar=four, help="of the frames")
    add("--rotate", action="store_true", help="turn frames clockwise by 90 degrees")
    add("--resize-factor", type=int, default=1, metavar="N", help="make frames N times smaller")
    add("--static", action="store_true", help="take the first frame of a film only")
    add("--fps", type=float, default=25, metavar="N", help="frames a second of a picture (25)")
    add("--cycle", choices=get_args(Cycle), default="restart", help="of a film that is too short")
    add("--sound", choices=get_args(Sound), default="replace", help="of the result (replace)")
    add("--feather", type=float, default=_FEATHER, metavar="X", help="soft edge, 0 to 1 (0.1)")
    add("--lower-only", action="store_true", help="leave the upper half of the face as it is")
    add("--seconds", type=float, metavar="N", help="take only the beginning of the sound")
    add("--preview", metavar="FILE", help="also write a film with original and result abreast")
    add("--batch-size", type=int, default=128, metavar="N", help="faces at once, at most (128)")
    add("--backend", choices=BACKENDS, help="how to run the network (the fastest)")
    add("--device", help="cpu, gpu or gpu:N")


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Make a face talk and return where the film is, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    target = target_of(args.face, args.output, "wav2lip")
    # Before weights are read, or even downloaded.
    check_targets([args.face, args.audio], target, args.preview)
    check_seconds(args.seconds)
    framing = Framing(args.resize_factor, args.rotate, tuple(args.crop))
    _check_sound(FaceFilm(args.face, framing, args.fps, args.static), args.sound)
    with contextlib.closing(audio_chunks(args.audio)) as chunks:
        next(chunks, None)
    predictor = Wav2LipPredictor(
        args.weights,
        static=args.static,
        fps=args.fps,
        pads=args.pads,
        wav2lip_batch_size=args.batch_size,
        resize_factor=args.resize_factor,
        crop=args.crop,
        box=args.box,
        rotate=args.rotate,
        nosmooth=args.no_smooth,
        face_detector=args.face_detector,
        config=args.config,
        detector_weights=args.detector_weights,
        speaker=args.speaker,
        detect_every=args.detect_every,
        sound=args.sound,
        cycle=args.cycle,
        feather=args.feather,
        lower_only=args.lower_only,
        preview=args.preview,
        backend=args.backend,
        device=args.device,
    )
    film = predictor.run(args.face, args.audio, target, seconds=args.seconds)
    places = say(film, [predictor.describe()])
    return places if args.preview is None else places | {"preview": Path(args.preview)}


def _check_sound(source: FaceFilm, sound: Sound) -> None:
    if sound == "keep" and not source.has_sound:
        raise UserError(f"{source.name} has no sound that could be kept (sound is 'keep')")


def _check_at_least(least: int, **numbers: float) -> None:
    for name, value in numbers.items():
        if not value >= least:
            raise UserError(f"{name} is {value}, expected at least {least}")


def _check_among(**choices: tuple[str, Sequence[str]]) -> None:
    for name, (value, known) in choices.items():
        if value not in known:
            raise UserError(f"{name} is {value!r}, expected one of {', '.join(known)}")
