# SPDX-License-Identifier: Apache-2.0
"""Talking heads without a download: drawn faces whose mouths move as their voices sound.

All of a clip is drawn from its number: who it is, how the head moves, and what it says
(ppzoo/data/speech.py). What the mouth does is known, so that one can measure whether a network
does the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from ppzoo.data.drawn import DrawnDataset
from ppzoo.data.speech import Speech, speak
from ppzoo.data.sprites import unit_range
from ppzoo.errors import ConfigError
from ppzoo.media.mel import column_of, melspectrogram, windows_around, windows_of
from ppzoo.media.mouths import INSIDE
from ppzoo.media.sprites import circle, colour_near, fill_polygon
from ppzoo.registry import DATASETS

SIZE = 96
FPS = 25
# Frames that lip-sync models see at once.
FRAMES = 5
_FIRST_TEST_CLIP = 1_000_000
_CACHED_CLIPS = 1024


class Head(NamedTuple):
    """Who is shown: colours RGB 0..255, sizes in heights of the picture.

    Args:
        skin: colour of the face.
        hair: likewise.
        eyes: likewise.
        lips: likewise.
        shirt: likewise.
        wall: of the background.
        wide: half the width of the face.
        high: half its height.
        mouth: half the width of a mouth at rest.
        fringe: how far the hair comes down.
    """

    skin: tuple[float, ...]
    hair: tuple[float, ...]
    eyes: tuple[float, ...]
    lips: tuple[float, ...]
    shirt: tuple[float, ...]
    wall: tuple[float, ...]
    wide: float
    high: float
    mouth: float
    fringe: float


class Clip(NamedTuple):
    """A head, how it moves and what it says.

    Args:
        head: who it is.
        poses: float32 [frames, 5]: place of the face's middle (x, y) in heights of the picture,
            turn to the side (yaw) from -1 to 1, tilt in radians, and how far the eyes are open.
        speech: sound and mouth.
        mel: float32 [80, columns], the sound's spectrogram.
    """

    head: Head
    poses: np.ndarray
    speech: Speech
    mel: np.ndarray

    def draw(self, frame: int, size: int = SIZE) -> np.ndarray:
        """Return a frame, uint8 RGB [size, size, 3]."""
        opening, spread = self.speech.opening[frame], self.speech.spread[frame]
        return draw_head(self.head, self.poses[frame], opening, spread, size)


@functools.lru_cache(maxsize=_CACHED_CLIPS)
def make_clip(number: int, frames: int, person: int | None = None) -> Clip:
    """Return the clip of a number, always the same.

    Args:
        number: of the clip.
        frames: how many it has.
        person: number of the one who speaks, None for somebody who is in no other clip.
    """
    random = np.random.RandomState((number, 271))
    head = _head(random if person is None else np.random.RandomState((person, 811)))
    times = np.arange(frames) / FPS
    ways = []
    for low, high in ((0.46, 0.54), (0.47, 0.53), (-1.0, 1.0), (-0.12, 0.12)):
        way = np.zeros(frames)
        for weight in (0.7, 0.3):
            rate = 2 * np.pi * random.uniform(0.15, 0.6)
            way += weight * np.sin(random.uniform(0, 2 * np.pi) + rate * times)
        ways.append(low + (high - low) * (way + 1) / 2)
    blinks = random.uniform(0, times[-1] + 1, 1 + frames // 50)
    shut = np.exp(-((times[:, np.newaxis] - blinks) ** 2) / (2 * 0.05**2)).max(axis=1)
    poses = np.stack([*ways, 1 - shut], axis=1).astype(np.float32)
    speech = speak(number, frames, FPS)
    return Clip(head, poses, speech, melspectrogram(speech.wav))


def _head(random: np.random.RandomState) -> Head:
    skin = colour_near(random, 0.07, random.uniform(0.25, 0.6), random.uniform(0.55, 1.0))
    return Head(
        skin=skin,
        hair=colour_near(random, 0.08, random.uniform(0.2, 0.8), random.uniform(0.1, 0.7)),
        eyes=colour_near(random, random.uniform(0.1, 0.7), 0.6, 0.5),
        lips=tuple(0.75 * value for value in (skin[0], 0.7 * skin[1], 0.75 * skin[2])),
        shirt=colour_near(random, random.uniform(), 0.6, 0.7),
        wall=colour_near(random, random.uniform(), 0.2, random.uniform(0.4, 0.9)),
        wide=random.uniform(0.28, 0.34),
        high=random.uniform(0.37, 0.43),
        mouth=random.uniform(0.085, 0.12),
        fringe=random.uniform(0.05, 0.2),
    )


def draw_head(
    head: Head, pose: Sequence[float], opening: float, spread: float, size: int = SIZE
) -> np.ndarray:
    """Return a picture of a head, uint8 RGB [size, size, 3].

    Args:
        head: who it is.
        pose: see `Clip`.
        opening: of the mouth, 0 to 1.
        spread: of the lips, 0 to 1.
        size: side of the picture.
    """
    x, y, yaw, tilt, eyes = (float(value) for value in pose)
    picture = np.empty((size, size, 3), np.uint8)
    picture[:] = np.rint(head.wall).astype(np.uint8)
    turned = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    middle = np.array([x, y])

    def fill(points: Any, colour: tuple[float, ...]) -> None:
        fill_polygon(picture, (np.asarray(points) @ turned + middle) * (size - 1), colour)

    def ellipse(cx: float, cy: float, a: float, b: float) -> np.ndarray:
        return circle(0, 0, 1) * (a, b) + (cx, cy)

    wide, high, aside = head.wide, head.high, 0.1 * yaw
    fill([(-0.6, 0.8), (0.6, 0.8), (0.3, high), (-0.3, high)], head.shirt)
    fill(ellipse(-0.02 * yaw, -0.06, 1.15 * wide, 1.1 * high), head.hair)
    fill(ellipse(0, 0, wide, high), head.skin)
    brow = -high + head.fringe
    fill([(-wide, brow), (wide, brow), (0.7 * wide, -high), (-0.7 * wide, -high)], head.hair)
    shade = tuple(0.85 * value for value in head.skin)
    for side in (-1, 1):
        centre = aside + side * 0.42 * wide
        narrow = 0.16 * wide * (1 - 0.2 * side * yaw)
        lid = max(0.01, 0.04 * eyes)
        fill(ellipse(centre, -0.1, 1.4 * narrow, lid + 0.01), shade)
        fill(ellipse(centre, -0.1, 1.3 * narrow, lid), (245.0, 245.0, 245.0))
        fill(ellipse(centre + 0.01 * yaw, -0.1, 0.7 * narrow, min(0.03, lid)), head.eyes)
        fill([(centre - 0.06, -0.17), (centre + 0.06, -0.17), (centre, -0.19)], head.hair)
    fill([(1.3 * aside, -0.06), (1.5 * aside - 0.035, 0.06), (1.5 * aside + 0.035, 0.06)], shade)
    across = head.mouth * (0.75 + 0.45 * float(spread))
    apart = 0.085 * float(opening)
    fill(ellipse(aside, 0.2, across + 0.02, apart + 0.022), head.lips)
    if apart > 0.002:
        fill(ellipse(aside, 0.2, across, apart), INSIDE)
    return picture


@DATASETS.register()
class TalkingHeadDataset(DrawnDataset):
    """Clips of talking heads, without a download.

    With the task `lipsync`, a sample is one of Wav2Lip's: `y`, five frames of a face, float32
    [3, 5, 96, 96] in [0, 1]; `x` [6, 5, 96, 96], the same with the lower half black, and five
    frames of another moment; `indiv_mels` [5, 1, 80, 16] and `mel` [1, 80, 16], their sound; and
    `opening` and `other_opening` [5], how far the mouths of both are open. Channels are blue, green
    and red, as the official weights know them. For the metric `LSE`, `reach` adds `mels_around`
    [2 reach + 1, 1, 80, 16], sounds so many frames earlier to later, `has_sound` [2 reach + 1],
    which of them the clip really has, and `clip`, its number. With `whole`, samples are the windows
    of one whole clip after another, and have besides `clip` and another clip's sounds of the same
    moments, `other_sound` [5, 1, 80, 16], with the mouths that they belong to,
    `opening_other_sound` [5].

    With the task `motion` it is one of First Order Motion's: `source` and `driving`, two frames
    [3, size, size], with `pose_source` and `pose_driving` [6], the head's pose and the mouth's
    opening; to test, `video` [3, frames, size, size] and `pose` [frames, 6].

    Clips of the test are others than those of the training, and so are their heads unless there are
    `people`. Clips are the same each time: the index decides.

    Args:
        mode: `train` or `test`.
        task: see above.
        samples: how many there are, 4096 for training and 64 for testing by default.
        clips: how many clips the training has, and the test of `lipsync`.
        frames: of a clip, 15 to 500; 25 a second.
        size: side of the pictures in pixels, 32 to 512; Wav2Lip's networks take 96.
        reach: with `lipsync`, see above; `LSE` wants 15, and 0 adds nothing.
        whole: with `lipsync`, see above; `samples` stays None then.
        people: how many there are, who then speak in the training and in the test; None for as many
            as there are clips.
        sway: how far heads move and tilt, 1 as people do who speak; they turn aside as ever.

    Raises:
        ConfigError: an argument out of range.
    """

    def __init__(
        self,
        mode: Literal["train", "test"] = "train",
        task: Literal["lipsync", "motion"] = "lipsync",
        samples: int | None = None,
        clips: int = 256,
        frames: int = 50,
        size: int = SIZE,
        reach: int = 0,
        whole: bool = False,
        people: int | None = None,
        sway: float = 1.0,
    ) -> None:
        super().__init__()
        for key, text, known in (
            ("mode", mode, ("train", "test")),
            ("task", task, ("lipsync", "motion")),
        ):
            if text not in known:
                raise ConfigError(
                    f"TalkingHeadDataset: {key!r} must be {' or '.join(known)}, got {text!r}"
                )
        self.windows = (frames - FRAMES - 2) // FRAMES + 1
        if whole and (samples is not None or task != "lipsync" or clips < 2):
            raise ConfigError(
                "TalkingHeadDataset: 'whole' is for the task 'lipsync', for 2 'clips' or more, "
                "and leaves no choice of 'samples'"
            )
        if samples is None:
            samples = clips * self.windows if whole else 4096 if mode == "train" else 64
        self._check_ranges(
            {
                "samples": (samples, 1, 1_000_000),
                "clips": (clips, 1, _FIRST_TEST_CLIP),
                "frames": (frames, 3 * FRAMES, 500),
                "size": (size, 32, 512),
                "reach": (reach, 0, 100),
                "people": (1 if people is None else people, 1, _FIRST_TEST_CLIP),
            }
        )
        if not 0 <= sway <= 4:
            raise ConfigError(f"TalkingHeadDataset: 'sway' must be from 0 to 4, got {sway!r}")
        self.mode, self.task, self.samples = mode, task, samples
        self.clips, self.frames, self.size = clips, frames, size
        self.reach, self.whole, self.people, self.sway = reach, whole, people, sway

    def clip(self, index: int) -> Clip:
        """Return the clip of the sample at `index`."""
        return self._numbered(self._number(index))

    def _number(self, index: int) -> int:
        return index // self.windows if self.whole else index % self.clips

    def _numbered(self, number: int) -> Clip:
        first = 0 if self.mode == "train" else _FIRST_TEST_CLIP
        number %= self.clips
        person = None if self.people is None else number % self.people
        clip = make_clip(first + number, self.frames, person)
        if self.sway == 1.0:
            return clip
        poses = clip.poses.copy()
        poses[:, :2] = 0.5 + self.sway * (poses[:, :2] - 0.5)
        poses[:, 3] *= self.sway
        return clip._replace(poses=poses)

    def source(self, index: int) -> str:
        """Return what the sample at `index` shows, for error messages."""
        return f"talking head {self._number(index)} of the {self.mode} set, sample {index}"

    def _sample(self, index: int) -> dict[str, Any]:
        clip = self.clip(index)
        random = np.random.RandomState((index, self.mode == "test", 619))
        if self.task == "motion":
            return self._motion(clip, random)
        number, start = self._number(index), None
        if self.whole:
            start = 1 + index % self.windows * FRAMES
        sample, start = self._lips(clip, random, start)
        if self.reach or self.whole:
            sample["clip"] = number
        if self.reach:
            around, has_sound = windows_around(clip.mel, start, self.reach, FPS)
            sample |= {"mels_around": around[:, np.newaxis], "has_sound": has_sound}
        if self.whole:
            other = self._numbered(number + 1)
            sample["other_sound"] = _sounds(other, start)[:FRAMES, np.newaxis]
            sample["opening_other_sound"] = other.speech.opening[start : start + FRAMES]
        return sample

    def _lips(
        self, clip: Clip, random: np.random.RandomState, start: int | None
    ) -> tuple[dict[str, Any], int]:
        """Return five frames and their sounds, and where they start, at random if it is None."""
        # The sound of a frame begins one frame before it, and the last window ends with the clip.
        last = self.frames - FRAMES - 1
        start = random.randint(1, last + 1) if start is None else start
        others = [frame for frame in range(1, last + 1) if abs(frame - start) >= FRAMES]
        other = others[random.randint(len(others))]
        y, reference = (self._pictures(clip, range(s, s + FRAMES))[::-1] for s in (start, other))
        hidden = y.copy()
        hidden[:, :, self.size // 2 :] = 0.0
        mels, opening = _sounds(clip, start), clip.speech.opening
        sample = {
            "x": np.concatenate([hidden, reference]),
            "indiv_mels": mels[:FRAMES, np.newaxis],
            "mel": mels[FRAMES:],
            "y": y,
            "opening": opening[start : start + FRAMES],
            "other_opening": opening[other : other + FRAMES],
        }
        return sample, start

    def _motion(self, clip: Clip, random: np.random.RandomState) -> dict[str, Any]:
        poses = np.column_stack([clip.poses, clip.speech.opening])
        if self.mode == "test":
            return {"video": self._pictures(clip, range(self.frames)), "pose": poses}
        made = {}
        for key, frame in zip(("source", "driving"), random.permutation(self.frames), strict=False):
            made[key] = self._pictures(clip, [frame])[:, 0]
            made[f"pose_{key}"] = poses[frame]
        return made

    def _pictures(self, clip: Clip, frames: Sequence[int]) -> np.ndarray:
        """Return frames as float32 [3, T, size, size] in [0, 1]."""
        drawn = np.stack([clip.draw(int(frame), self.size) for frame in frames])
        return unit_range(drawn.transpose(3, 0, 1, 2))


def _sounds(clip: Clip, start: int) -> np.ndarray:
    """Return the sounds [6, 80, 16] of each of five frames, and of all of them."""
    each = [column_of(frame - 1, FPS) for frame in range(start, start + FRAMES)]
    return windows_of(clip.mel, np.array([*each, column_of(start, FPS)]))
