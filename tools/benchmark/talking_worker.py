# SPDX-License-Identifier: Apache-2.0
"""Make one film by an app or by a plain pipeline: `talking_worker.py APP MODE FOLDER [PYTHON]`.

APP is `firstorder` or `wav2lip`; FOLDER holds what talking.py wrote. MODE `ours` runs ppzoo's app;
`plain` does one stage after the other, as PaddleGAN's predictors do, with the network's twin in
PyTorch run by PYTHON. The last line is JSON: seconds of each stage.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402, F401, I001  (before Paddle, to set the CPU up)

import numpy as np  # noqa: E402

from ppzoo.apps import firstorder, wav2lip  # noqa: E402
from ppzoo.apps.face_squares import centre_square, cut, face_square  # noqa: E402
from ppzoo.apps.inference import Runner, make_runner  # noqa: E402
from ppzoo.apps.talkers import FaceFilm, Framing, face_place, read_voice  # noqa: E402
from ppzoo.faces import blend  # noqa: E402
from ppzoo.faces.detector import Face, FaceDetector  # noqa: E402
from ppzoo.faces.sfd import SFDDetector  # noqa: E402
from ppzoo.media.image import read_image  # noqa: E402
from ppzoo.media.video import VideoReader, VideoWriter, reader, writer  # noqa: E402
from ppzoo.media.video.background import BackgroundSink, in_background  # noqa: E402
from ppzoo.runtime import select_device  # noqa: E402
from tools.benchmark.worker import receive, send  # noqa: E402

BATCH = 8  # faces that Wav2Lip draws at once, in both pipelines


class Clock:
    """Seconds that each stage takes, each moment of a thread given to the innermost stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Give the time of the block to a stage."""
        names: list[str] = self._of_thread.__dict__.setdefault("names", [])
        self._settle(names)
        names.append(name)
        try:
            yield
        finally:
            self._settle(names)
            names.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time is given to a stage."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return function(*args, **kwargs)

        return call

    def each(self, name: str, items: Iterator[Any]) -> Generator[Any, None, None]:
        """Yield items, of which each one's making is given to a stage."""
        try:
            while True:
                with self.stage(name):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item
        finally:
            if isinstance(items, Generator):
                items.close()

    def _settle(self, names: Sequence[str]) -> None:
        now = time.perf_counter()
        if names:
            with self._lock:
                before = self.seconds.get(names[-1], 0.0)
                self.seconds[names[-1]] = before + now - self._of_thread.last
        self._of_thread.last = now


class KnownFace(SFDDetector):
    """Takes S3FD's time, and says where the face is: weights are random, and the clip is drawn."""

    def __init__(self, folder: Path, box: Sequence[float]) -> None:
        super().__init__(folder / "s3fd.pdparams")
        self._box = tuple(box)

    def _detect(self, images: list[np.ndarray]) -> list[list[Face]]:
        super()._detect(images)
        return [[Face(self._box, 1.0)] for _ in images]


def watch(clock: Clock) -> None:
    """Let the parts of the apps tell a clock what they do."""

    def background(stage: str) -> Callable[..., Any]:
        def run(items: Iterator[Any], depth: int) -> Generator[Any, None, None]:
            return clock.each("wait", in_background(clock.each(stage, items), depth))

        return run

    class Sink(BackgroundSink):
        def __init__(self, take: Callable[[Any], None], depth: int) -> None:
            super().__init__(clock.timed("encode", take), depth)

        put = clock.timed("wait", BackgroundSink.put)
        finish = clock.timed("wait", BackgroundSink.finish)

    reader.in_background = background("decode")
    wav2lip.in_background = background("track")
    if hasattr(firstorder, "in_background"):
        firstorder.in_background = background("track")
    writer.BackgroundSink = Sink
    Runner.run = clock.timed("network", Runner.run)
    FaceDetector.detect_batch = clock.timed("detect", FaceDetector.detect_batch)
    for module in (firstorder, wav2lip):
        module.paste = clock.timed("paste", blend.paste)


def first_order(clock: Clock, folder: Path, detector: FaceDetector, target: Path) -> int:
    """Run `ppzoo predict firstorder` and return the number of frames."""
    predictor = firstorder.FirstOrderPredictor(
        weight_path=folder / "firstorder.pdparams",
        relative=True,
        face_detector="cascade",
        image_size=256,
        progress=False,
    )
    predictor.detector = detector
    source = read_image(folder / "source.png")
    animator = predictor.animator
    animator.expect(None)
    for _ in animator.animate(source, [source] * animator.batch_size, initial=source):
        pass  # the fastest backends are found once, for all films
    with measured(clock):
        film = predictor.make(source, folder / "clip.mp4", target)
    for line in predictor.describe():
        print(line)
    return film.frames


def lip_sync(clock: Clock, folder: Path, detector: FaceDetector, target: Path) -> int:
    """Run `ppzoo predict wav2lip` and return the number of frames."""
    predictor = wav2lip.Wav2LipPredictor(
        folder / "wav2lip.pdparams",
        face_detector=detector,
        wav2lip_batch_size=BATCH,
        progress=False,
    )
    examples = [np.zeros((BATCH, *s), np.float32) for s in ((1, 80, 16), (6, 96, 96))]
    make_runner(predictor.generator, examples)(*examples)
    with measured(clock):
        film = predictor.run(folder / "clip.mp4", folder / "speech.wav", target)
    print(predictor.describe())
    return film.frames


class Twin:
    """A network in PyTorch, in a process of its own."""

    def __init__(self, python: str, app: str, folder: Path) -> None:
        script = Path(__file__).with_name("torch_talking_worker.py")
        self._process = subprocess.Popen(
            [python, str(script), app, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the result, and the seconds that it took without the way there and back."""
        send(self._process.stdin, arrays)
        result, seconds = receive(self._process.stdout)
        return result, float(seconds[0])

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def draw(clock: Clock, twin: Twin, *arrays: np.ndarray) -> np.ndarray:
    """Return what the twin draws, uint8 RGB [N, H, W, 3] or BGR as it was, and note its seconds."""
    result, seconds = twin(*arrays)
    clock.seconds["network"] = clock.seconds.get("network", 0.0) + seconds
    return (result * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def as_input(pictures: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Return pictures as float32 [N, 3, side, side] with values in [0, 1]."""
    sized = np.stack([blend.resize(picture, (side, side)) for picture in pictures])
    return np.ascontiguousarray(sized.transpose(0, 3, 1, 2) / np.float32(255))


def plain_first_order(
    clock: Clock, folder: Path, detector: FaceDetector, target: Path, twin: Twin
) -> int:
    """Animate as PaddleGAN does: all decoded, frame by frame with the source, then all encoded."""
    source = read_image(folder / "source.png")
    (face, *_) = detector.detect(source)
    part = face_square(face.box, source.shape[:2])
    still = as_input([cut(source, part)], 256)
    draw(clock, twin, still, still, still)
    clock.seconds.clear()
    with measured(clock):
        with clock.stage("detect"):
            detector.detect(source)
        with clock.stage("decode"), VideoReader(folder / "clip.mp4") as film:
            square = centre_square((film.info.height, film.info.width))
            frames = [cut(frame, square) for frame in film]
        results = []
        first = as_input(frames[:1], 256)
        for frame in frames:
            (patch,) = draw(clock, twin, as_input([frame], 256), still, first)
            with clock.stage("paste"):
                result = source.copy()
                blend.paste(result, patch, part)
            results.append(result)
        with clock.stage("encode"):
            encode(results, target, folder / "clip.mp4")
    return len(frames)


def plain_lip_sync(
    clock: Clock, folder: Path, detector: FaceDetector, target: Path, twin: Twin
) -> int:
    """Sync lips as PaddleGAN does: faces in all frames, then all drawn, then all encoded."""
    shapes = ((BATCH, 1, 80, 16), (BATCH, 6, 96, 96))
    draw(clock, twin, *(np.zeros(shape, np.float32) for shape in shapes))
    clock.seconds.clear()
    with measured(clock):
        film = FaceFilm(folder / "clip.mp4", Framing(), 25, False)
        with clock.stage("decode"):
            voice = read_voice(folder / "speech.wav")
            frames = list(film.frames())[: voice.frame_count(film.fps)]
        places = []
        for i in range(len(frames)):
            (face, *_) = detector.detect(frames[i])
            places.append(face_place(face.box, (0, 10, 0, 0), frames[i].shape[:2]))
        for start in range(0, len(frames), BATCH):
            group = range(start, min(start + BATCH, len(frames)))
            faces = [frames[i][y1:y2, x1:x2] for i in group for x1, y1, x2, y2 in [places[i]]]
            x = as_input(faces, 96)[:, ::-1]
            hidden = x.copy()
            hidden[:, :, 48:] = 0
            mels = voice.windows(group, film.fps, wav2lip.LEAD)[:, np.newaxis]
            drawn = draw(clock, twin, mels, np.concatenate([hidden, x], axis=1))
            for i, patch in zip(group, drawn[..., ::-1], strict=True):
                with clock.stage("paste"):
                    blend.paste(frames[i], np.ascontiguousarray(patch), places[i], feather=0)
        with clock.stage("encode"):
            encode(frames, target, folder / "speech.wav")
    return len(frames)


def encode(frames: Sequence[np.ndarray], target: Path, sound: Path) -> None:
    """Write a film of 25 frames a second."""
    with VideoWriter(target, 25, audio_from=sound) as film:
        for frame in frames:
            film.write(frame)


@contextlib.contextmanager
def measured(clock: Clock) -> Iterator[None]:
    """Note the seconds of the block, and those that all of the process's cores spent in it."""
    clock.seconds.clear()
    start, cpu = time.perf_counter(), _cpu_seconds()
    try:
        yield
    finally:
        clock.seconds["wall"] = time.perf_counter() - start
        clock.seconds["cpu"] = _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Make the film that the command line asks for."""
    app, mode, name, *python = sys.argv[1:]
    folder = Path(name)
    os.environ["PPZOO_HOME"] = str(folder / "home")
    select_device("cpu")
    clock = Clock()
    watch(clock)
    detector = KnownFace(folder, json.loads((folder / "box.json").read_text()))
    detector.detect(read_image(folder / "source.png"))
    args = (clock, folder, detector, folder / f"{app}_{mode}.mp4")
    if mode == "ours":
        frames = {"firstorder": first_order, "wav2lip": lip_sync}[app](*args)
    else:
        twin = Twin(python[0], app, folder)
        run = {"firstorder": plain_first_order, "wav2lip": plain_lip_sync}[app]
        frames = run(*args, twin)
        twin.close()
    print(json.dumps({"frames": frames, **clock.seconds}), flush=True)


if __name__ == "__main__":
    main()
