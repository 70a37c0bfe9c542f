# SPDX-License-Identifier: Apache-2.0
"""Video clips without a download: a camera moves over photographs that come inside packages.

Every frame is rendered in high resolution by itself, in float positions, then shrunk by itself. So
the small frames of a clip hold different samples of the same scene, and all of them together more
than one of them: what networks for video super-resolution live on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import paddle

from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.photographs import SPLIT, embedded_photograph
from ppzoo.errors import ConfigError
from ppzoo.registry import DATASETS

# Photographs are shrunk before the camera looks at them, by factors that clips take in turns: as
# they are, few of them are sharp to the pixel.
_SHRINKS = (1.5, 2.0, 1.25)
# Frames are rendered with this border, in small pixels, so that shrinking sees true neighbours.
_BORDER = 3
# Pixels of the photograph around a frame that interpolation (8 x 8) reads.
_REACH = 4
# Of four places the first that shows something, by the mean step between neighbouring pixels in
# levels. Only four, because a network that has seen no plain sky draws patterns into it.
_DRAWS, _LEAST_STEP = 4, 5.0
# Share of clips with an object in front that moves by itself.
_OBJECTS = 0.35
_CACHED_BYTES = 1 << 29


class Pose(NamedTuple):
    """Where the camera looks in one frame.

    The frame's centre shows the photograph's point (`x`, `y`), in pixels; one pixel of the frame is
    `zoom` pixels of the photograph wide; `turn` is in radians; `mirrored` is -1 or 1.
    """

    x: float
    y: float
    zoom: float = 1.0
    turn: float = 0.0
    mirrored: int = 1

    def matrix(self, height: int, width: int) -> np.ndarray:
        """Return float64 [2, 3], from (column, row) in a frame to those in the photograph."""
        cosine, sine = self.zoom * math.cos(self.turn), self.zoom * math.sin(self.turn)
        linear = np.array([[self.mirrored * cosine, -sine], [self.mirrored * sine, cosine]])
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        return np.column_stack((linear, np.array([self.x, self.y]) - linear @ centre))


class Layer(NamedTuple):
    """A moving photograph, or the ellipse of it that an object has.

    Args:
        photo: a key of `PHOTOGRAPHS`.
        shrink: how much smaller it is than the file.
        poses: one for each frame.
        ellipse: of an object: its centre and half axes (x, y, a, b) in the shrunken photograph.
    """

    photo: str
    shrink: float
    poses: tuple[Pose, ...]
    ellipse: tuple[float, float, float, float] | None = None


class Clip(NamedTuple):
    """What a clip shows: `layers`, the farthest first, in exchanged colours (`channels`)."""

    layers: tuple[Layer, ...]
    channels: tuple[int, int, int] = (0, 1, 2)

    @property
    def name(self) -> str:
        """What to call it, as if it were a folder of frames."""
        scene = self.layers[0]
        middle = scene.poses[len(scene.poses) // 2]
        colours = "".join("rgb"[channel] for channel in self.channels)
        objects = "".join(f"_{layer.photo}" for layer in self.layers[1:])
        turn = round(math.degrees(middle.turn)) % 360
        view = f"{scene.shrink:g}_{middle.y:.0f}_{middle.x:.0f}_{turn * middle.mirrored}"
        return f"{scene.photo}{objects}_{view}_{colours}"

    def render(self, frame: int, height: int, width: int) -> np.ndarray:
        """Return the frame number `frame`, uint8 RGB [height, width, 3]."""
        image = _seen(self.layers[0], frame, height, width)
        for layer in self.layers[1:]:
            cover = _cover(layer, frame, height, width)[..., np.newaxis]
            front = _seen(layer, frame, height, width)
            image = np.rint(image + cover * (front.astype(np.float32) - image)).astype(np.uint8)
        return image if self.channels == (0, 1, 2) else image[..., self.channels]


@functools.lru_cache(maxsize=32)
def shrunken_photograph(name: str, shrink: float) -> np.ndarray:
    """Return an embedded photograph, antialiased and 1/`shrink` of its size.

    Args:
        name: a key of `PHOTOGRAPHS`.
        shrink: may be less than 1, to enlarge.

    Returns:
        uint8 RGB [H, W, 3]; it is shared and cannot be written to.
    """
    photo = embedded_photograph(name)
    if shrink != 1:
        photo = resize_bicubic(photo, 1 / shrink)
        photo.setflags(write=False)
    return photo


@DATASETS.register()
class EmbeddedVideoDataset(paddle.io.Dataset):
    """Clips of a camera that moves over embedded photographs, without a download.

    A sample has `lq`, float32 [T, 3, size / scale, size / scale] in [0, 1], the small frames;
    `gt`, float32 [1, 3, size, size], the middle frame; `lq_path` and `gt_path`, which say what
    they show. Small frames are shrunk one by one (antialiased bicubic). The camera moves steadily
    with a little shake, zoom and rotation; in a third of the clips an object of another
    photograph passes in front. Clips are the same each time: the index decides. Neighbours in the
    order are of different photographs.

    Args:
        mode: `train` has five photographs (astronaut, coffee, motorcycle, rocket, china), turned,
            mirrored, and in half of the clips with exchanged colours. `test` has two others
            (chelsea, a cat, and flower), as they are.
        scale: size of the large frames / size of the small ones, 1 to 8.
        size: side of the large frames in pixels, a multiple of `scale`, 16 to 256.
        num_frames: frames per clip, an odd number from 1 to 15.
        samples: how many clips there are, 2048 for training and 16 for testing by default.
        speed: the least and greatest mean motion per frame, in pixels of the small frames.

    Raises:
        ConfigError: an argument out of range.
        DataError: an installed package does not contain its photographs.
    """

    is_random = False

    def __init__(
        self,
        mode: Literal["train", "test"] = "train",
        scale: int = 4,
        size: int = 64,
        num_frames: int = 5,
        samples: int | None = None,
        speed: Sequence[float] = (0.2, 1.5),
    ) -> None:
        super().__init__()
        samples = (2048 if mode == "train" else 16) if samples is None else samples
        _check(mode, scale, size, num_frames, samples, speed)
        self.mode = mode
        self.scale = scale
        self.size = size
        self.num_frames = num_frames
        self.samples = samples
        self.speed = (float(speed[0]), float(speed[1]))
        pixels = size * size + num_frames * (size // scale) ** 2
        self._most_cached = _CACHED_BYTES // (3 * pixels)
        self._cached: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def clip(self, index: int) -> Clip:
        """Return what the clip at `index` shows."""
        # Streams of RandomState are the same in all versions of NumPy.
        random = np.random.RandomState((index, self.size, self.scale, 1961))
        names, varied = SPLIT[self.mode], self.mode == "train"
        name, others = (
            names[index % len(names)],
            [n for n in names if n != names[index % len(names)]],
        )
        side = self.size + 2 * _BORDER * self.scale
        shrink = _SHRINKS[index // len(names) % len(_SHRINKS)]
        scene = self._layer(random, name, shrink, side, varied)
        layers = [scene]
        if random.uniform() < _OBJECTS:
            other = others[random.randint(len(others))]
            front = self._layer(random, other, _SHRINKS[-1], side, varied)
            layers.append(_as_object(random, front, self.size))
        exchanged = varied and bool(random.randint(2))
        channels = tuple(random.permutation(3).tolist()) if exchanged else (0, 1, 2)
        return Clip(tuple(layers), channels)

    def get_batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the samples at `indices`, stacked; the loader's fast path."""
        made = [self._frames(int(index)) for index in indices]
        names = [self.source(int(index)) for index in indices]
        lq = np.stack([small for small, _ in made]).transpose(0, 1, 4, 2, 3)
        gt = np.stack([large for _, large in made]).transpose(0, 3, 1, 2)[:, np.newaxis]
        return {
            "lq": _unit_range(lq),
            "gt": _unit_range(gt),
            "lq_path": names,
            "gt_path": list(names),
        }

    def source(self, index: int) -> str:
        """Return what the sample at `index` shows, for error messages and file names."""
        names = SPLIT[self.mode]
        return f"{names[index % len(names)]}_{index:05d}.png"

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {key: value[0] for key, value in self.get_batch([index]).items()}

    def __len__(self) -> int:
        return self.samples

    def _frames(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return uint8 [T, h, w, 3], the small frames, and [H, W, 3], the large one."""
        if index in self._cached:
            return self._cached[index]
        clip, border = self.clip(index), _BORDER * self.scale
        side = self.size + 2 * border
        large = [clip.render(frame, side, side) for frame in range(self.num_frames)]
        # All frames at once, as channels: the columns of one picture are as quick as one.
        small = resize_bicubic(np.concatenate(large, axis=2), 1 / self.scale)
        small = small[_BORDER : small.shape[0] - _BORDER, _BORDER : small.shape[1] - _BORDER]
        height, width = small.shape[:2]
        lq = small.reshape(height, width, self.num_frames, 3).transpose(2, 0, 1, 3).copy()
        gt = large[self.num_frames // 2][border : side - border, border : side - border].copy()
        if len(self._cached) < self._most_cached:
            self._cached[index] = lq, gt
        return lq, gt

    def _layer(
        self, random: np.random.RandomState, name: str, shrink: float, side: int, varied: bool
    ) -> Layer:
        """Return a moving photograph that fills all frames, `side` pixels wide and high."""
        low, high = np.log(self.speed)
        path = _path(random, self.num_frames, self.scale * math.exp(random.uniform(low, high)))
        start = random.randint(4) * math.pi / 2 if varied else 0.0
        mirrored = -1 if varied and random.randint(2) else 1
        path = [pose._replace(turn=pose.turn + start, mirrored=mirrored) for pose in path]
        corners = np.concatenate([_corners(pose, side, side) for pose in path])
        low_corner, high_corner = corners.min(axis=0) - _REACH, corners.max(axis=0) + _REACH
        room = high_corner - low_corner
        height, width = embedded_photograph(name).shape[:2]
        # In steps, so that clips share what is shrunk.
        fitting = math.floor(20 * min(width / room[0], height / room[1])) / 20
        shrink = max(0.25, min(shrink, fitting))
        photo = shrunken_photograph(name, shrink)
        free = np.maximum(0, photo.shape[1::-1] - room)
        for _ in range(_DRAWS):
            x, y = random.uniform(size=2) * free - low_corner
            top, left = (max(0, int(place - side / 2)) for place in (y, x))
            if _mean_step(photo[top : top + side, left : left + side]) >= _LEAST_STEP:
                break
        poses = tuple(pose._replace(x=pose.x + x, y=pose.y + y) for pose in path)
        return Layer(name, shrink, poses)


def moving_frames(
    count: int,
    height: int,
    width: int,
    names: Sequence[str] = ("coffee",),
    speed: float = 2.0,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Yield the frames of a video: a camera sweeps over embedded photographs.

    Args:
        count: how many frames.
        height: of the frames, in pixels.
        width: likewise.
        names: photographs, keys of `PHOTOGRAPHS`; each has an equal part of the frames, and where
            one follows on another is a cut.
        speed: mean motion in pixels per frame.
        seed: decides the way.

    Yields:
        uint8 RGB [height, width, 3].

    Raises:
        ConfigError: an unknown photograph.
    """
    for number in range(count):
        part = number * len(names) // count
        random = np.random.RandomState((seed, part))
        name = names[part]
        photo = embedded_photograph(name)
        # A quarter of the photograph is left for the camera to move in.
        shrink = min(photo.shape[0] / height, photo.shape[1] / width) / 1.33
        photo = shrunken_photograph(name, math.floor(shrink * 1000) / 1000)
        room = np.array([photo.shape[1] - width, photo.shape[0] - height]) / 2.0
        # Two sines that do not keep step never lead the same way twice; the mean speed of a sine
        # is 4 amplitudes per period.
        rates = speed * np.pi / 2 / np.maximum(room, 1) / math.sqrt(2) * (1.0, 0.77)
        phases = random.uniform(0, 2 * np.pi, 2) + rates * number
        way = 0.9 * room * np.sin(phases)
        middle = np.array([photo.shape[1] - 1, photo.shape[0] - 1]) / 2.0
        pose = Pose(*(middle + way), 1 - 0.02 * math.sin(phases[0] / 2))
        yield Clip((Layer(name, math.floor(shrink * 1000) / 1000, (pose,)),)).render(
            0, height, width
        )


def _check(
    mode: str, scale: int, size: int, num_frames: int, samples: int, speed: Sequence[float]
) -> None:
    """Refuse arguments of `EmbeddedVideoDataset` that are out of range."""
    if mode not in SPLIT:
        raise ConfigError(f"EmbeddedVideoDataset: 'mode' must be train or test, got {mode!r}")
    for key, value, low, high in (
        ("scale", scale, 1, 8),
        ("size", size, 16, 256),
        ("num_frames", num_frames, 1, 15),
        ("samples", samples, 1, 1_000_000),
    ):
        if not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(
                f"EmbeddedVideoDataset: {key!r} must be from {low} to {high}, got {value!r}"
            )
    if size % scale:
        raise ConfigError(
            f"EmbeddedVideoDataset: 'size' must be a multiple of the scale {scale}, got {size}"
        )
    if num_frames % 2 == 0:
        raise ConfigError(
            "EmbeddedVideoDataset: 'num_frames' must be odd, so that there is a middle frame, got "
            f"{num_frames}"
        )
    if len(speed) != 2 or not 0 < speed[0] <= speed[1] <= 4:
        raise ConfigError(
            "EmbeddedVideoDataset: 'speed' must be [least, greatest], more than 0 and at most 4 "
            f"pixels per frame, got {list(speed)}"
        )


def _path(random: np.random.RandomState, frames: int, speed: float) -> list[Pose]:
    """Return the camera's poses, relative to those of the middle frame; `speed` in pixels."""
    times = np.arange(frames) - frames // 2
    heading = random.uniform(0, 2 * math.pi)
    velocity = speed * np.array([math.cos(heading), math.sin(heading)])
    bend = random.normal(0, 0.1 * speed, 2)
    shake = random.normal(0, 0.1 * speed, (frames, 2))
    places = velocity * times[:, np.newaxis] + bend * times[:, np.newaxis] ** 2 / 2 + shake
    zooming, turning = random.uniform(-0.004, 0.004), random.uniform(-0.006, 0.006)
    return [
        Pose(float(x), float(y), math.exp(zooming * time), turning * time)
        for (x, y), time in zip(places, times.tolist(), strict=True)
    ]


def _as_object(random: np.random.RandomState, layer: Layer, size: int) -> Layer:
    """Return an ellipse of `layer` that is somewhere about the middle of the middle frame."""
    middle = layer.poses[len(layer.poses) // 2]
    a, b = size * random.uniform(0.12, 0.25, 2)
    away = size * random.uniform(-0.25, 0.25, 2)
    return layer._replace(
        ellipse=(float(middle.x + away[0]), float(middle.y + away[1]), float(a), float(b))
    )


def _corners(pose: Pose, height: int, width: int) -> np.ndarray:
    """Return float64 [4, 2], the points (x, y) of the photograph in the corners of a frame."""
    matrix = pose.matrix(height, width)
    frame = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)])
    return frame @ matrix[:, :2].T + matrix[:, 2]


def _seen(layer: Layer, frame: int, height: int, width: int) -> np.ndarray:
    """Return what a layer shows in a frame, uint8 [height, width, 3]."""
    import cv2

    return cv2.warpAffine(
        shrunken_photograph(layer.photo, layer.shrink),
        layer.poses[frame].matrix(height, width),
        (width, height),
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LANCZOS4,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _cover(layer: Layer, frame: int, height: int, width: int) -> np.ndarray:
    """Return how much of each pixel an object hides, float32 [height, width] in [0, 1]."""
    x, y, a, b = layer.ellipse or (0.0, 0.0, math.inf, math.inf)
    pose = layer.poses[frame]
    matrix = pose.matrix(height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    u = (matrix[0, 0] * columns + matrix[0, 1] * rows + (matrix[0, 2] - x)) / a
    v = (matrix[1, 0] * columns + matrix[1, 1] * rows + (matrix[1, 2] - y)) / b
    # Distance from the edge in pixels, nearly, so that the edge is one pixel soft.
    distance = (1 - np.hypot(u, v)) * min(a, b) / pose.zoom
    return np.clip(distance + 0.5, 0, 1).astype(np.float32)


def _mean_step(image: np.ndarray) -> float:
    """Return the mean difference of neighbouring pixels of [H, W, 3]."""
    levels = image.astype(np.int16)
    return sum(float(np.abs(np.diff(levels, axis=axis)).mean()) for axis in (0, 1)) / 2


def _unit_range(images: np.ndarray) -> np.ndarray:
    """Return uint8 pictures as float32 in [0, 1]."""
    scaled = images.astype(np.float32, order="C")
    scaled /= np.float32(255)
    return scaled
