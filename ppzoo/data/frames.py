# SPDX-License-Identifier: Apache-2.0
"""Steps that choose the frames of a video and read them, under PaddleGAN's names.

They stand at the beginning of `preprocess` in the configs of video networks. A sample begins with
`lq_path` and `gt_path`, two folders of clips; `key`, the clip and, for networks that restore one
frame, the frame: `003/00000050`; and numbers of frames. Choosing replaces both paths by lists of
files, reading adds the pictures `lq` and `gt` as lists.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppzoo.data.preprocess import LoadImageFromFile, Sample
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import PREPROCESS

Padding = Literal["replicate", "reflection", "reflection_circle", "circle"]
_PADDINGS = ("replicate", "reflection", "reflection_circle", "circle")


@PREPROCESS.register()
class ReadImageSequence(LoadImageFromFile):
    """Read the pictures that the list `<key>_path` names, as the list `key`.

    Each is uint8 [H, W, 3], RGB. Adds their shapes, int64 [T, 3], as `<key>_ori_shape`.

    Args:
        key: name of the entry.
        flag: 0 reads grey, [H, W, 1]; other values (OpenCV's flags) read colour.
        to_rgb: False gives the channels as BGR.
        save_original_img: keep untouched copies as `ori_<key>`.
        backend: accepted for PaddleGAN's configs, which leave it empty.

    Raises:
        DataError: when called, if a frame is missing or cannot be read, or frames differ in shape.
    """

    def __init__(
        self,
        key: str = "gt",
        flag: int = -1,
        to_rgb: bool = True,
        save_original_img: bool = False,
        backend: str | None = None,
    ) -> None:
        super().__init__(key, flag, to_rgb, save_original_img, backend)

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample with the pictures."""
        paths = sample[f"{self.key}_path"]
        if isinstance(paths, (str, os.PathLike)):
            raise DataError(
                f"ReadImageSequence: '{self.key}_path' must be a list of files, got {paths}; "
                "put a step that chooses frames before it, such as GetFrameIdx"
            )
        names = [str(path) for path in paths]
        frames: dict[str, np.ndarray] = {}
        # Padding repeats frames at the ends of a clip: each file is read once.
        for name in names:
            if name not in frames:
                frames[name] = self._read(name)
        pictures = [frames[name] for name in names]
        for name, picture in zip(names, pictures, strict=True):
            if picture.shape != pictures[0].shape:
                raise DataError(
                    "the frames of one clip differ in size: "
                    f"{_size(pictures[0])} in {names[0]}, {_size(picture)} in {name}"
                )
        sample[self.key] = pictures
        sample[f"{self.key}_path"] = names
        sample[f"{self.key}_ori_shape"] = np.array([p.shape for p in pictures], np.int64)
        if self.save_original_img:
            sample[f"ori_{self.key}"] = [picture.copy() for picture in pictures]
        return sample

    def _read(self, name: str) -> np.ndarray:
        if not os.path.isfile(name):
            raise DataError(missing_frame(name))
        return super().__call__({f"{self.key}_path": name})[self.key]


@PREPROCESS.register()
class GetNeighboringFramesIdx:
    """Choose successive frames of the clip `key`, the same ones of both folders.

    The sample says how many: `num_frames`, all `sequence_length` frames without it. Where they
    begin is drawn at random, and so is the interval between them.

    Args:
        interval_list: intervals to draw from, in frames.
        start_idx: the number of a clip's first frame.
        filename_tmpl: the name of a frame's file, given its number.
    """

    is_random = True

    def __init__(
        self,
        interval_list: Sequence[int],
        start_idx: int = 0,
        filename_tmpl: str = "{:08d}.png",
    ) -> None:
        self.interval_list = _intervals(interval_list, self)
        self.start_idx = start_idx
        self.filename_tmpl = _template(filename_tmpl, self)

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample with lists of files, and the `interval` that was drawn."""
        length = int(sample["sequence_length"])
        count = int(sample.get("num_frames", length))
        interval = _draw(self.interval_list)
        if count * interval > length:
            raise DataError(
                f"the clip {Path(sample['lq_path'], sample['key'])} has {length} frames, too few "
                f"for {count} at an interval of {interval}: lower 'num_frames' or 'interval_list' "
                "of GetNeighboringFramesIdx"
            )
        first = int(np.random.randint(length - count * interval + 1)) + self.start_idx
        names = [
            self.filename_tmpl.format(number)
            for number in range(first, first + count * interval, interval)
        ]
        for side in ("lq_path", "gt_path"):
            sample[side] = [os.path.join(sample[side], sample["key"], name) for name in names]
        sample["interval"] = interval
        return sample


@PREPROCESS.register()
class GetFrameIdx:
    """Choose the frame `key` and its neighbours, for training.

    `key` is clip/frame. If neighbours would lie beyond the clip, another frame of it is drawn in
    the place of `key`. `lq_path` becomes `num_frames` files, `gt_path` the one in the middle.

    Args:
        interval_list: intervals between frames to draw from.
        frames_per_clip: the number of a clip's last frame, counted from 0.
    """

    is_random = True

    def __init__(self, interval_list: Sequence[int], frames_per_clip: int = 99) -> None:
        self.interval_list = _intervals(interval_list, self)
        self.frames_per_clip = frames_per_clip

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample with lists of files, and the `interval` that was drawn."""
        clip, centre = _clip_and_frame(sample["key"])
        interval = _draw(self.interval_list)
        reach = int(sample["num_frames"]) // 2 * interval
        if 2 * reach > self.frames_per_clip:
            raise ConfigError(
                f"GetFrameIdx: {sample['num_frames']} frames at an interval of {interval} do not "
                f"fit into clips of frames 0 to {self.frames_per_clip} ('frames_per_clip')"
            )
        if not reach <= centre <= self.frames_per_clip - reach:
            centre = int(np.random.randint(reach, self.frames_per_clip - reach + 1))
        numbers = range(centre - reach, centre + reach + 1, interval)
        lq, gt = (os.path.join(sample[side], clip) for side in ("lq_path", "gt_path"))
        sample["lq_path"] = [os.path.join(lq, f"{number:08d}.png") for number in numbers]
        sample["gt_path"] = [os.path.join(gt, f"{centre:08d}.png")]
        sample["interval"] = interval
        return sample


@PREPROCESS.register()
class GetFrameIdxwithPadding:
    """Choose the frame `key` and its neighbours, for testing, also at the ends of a clip.

    `key` is clip/frame, and `max_frame_num` how many frames the clip has. `lq_path` becomes
    `num_frames` files, `gt_path` the one in the middle.

    Args:
        padding: what stands for frames before the first, likewise for those after the last. With
            five frames around the first, number 0: `replicate` takes 0 0 0 1 2, `reflection`
            2 1 0 1 2, `reflection_circle` 4 3 0 1 2, `circle` 3 4 0 1 2.
        filename_tmpl: the name of a frame's file without `.png`, given its number.
    """

    is_random = False

    def __init__(self, padding: Padding, filename_tmpl: str = "{:08d}") -> None:
        if padding not in _PADDINGS:
            raise ConfigError(
                f"GetFrameIdxwithPadding: 'padding' must be one of {', '.join(_PADDINGS)}, got "
                f"{padding!r}"
            )
        self.padding: Padding = padding
        self.filename_tmpl = _template(filename_tmpl, self)

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample with lists of files."""
        clip, centre = _clip_and_frame(sample["key"])
        lq, gt = (os.path.join(sample[side], clip) for side in ("lq_path", "gt_path"))
        try:
            numbers = padded_numbers(
                centre, int(sample["num_frames"]), int(sample["max_frame_num"]), self.padding
            )
        except ValueError as error:
            raise DataError(f"{lq}: {error}") from error
        names = [f"{self.filename_tmpl.format(number)}.png" for number in numbers]
        sample["lq_path"] = [os.path.join(lq, name) for name in names]
        sample["gt_path"] = [os.path.join(gt, f"{sample['key'].split('/')[1]}.png")]
        return sample


def padded_numbers(centre: int, count: int, length: int, padding: Padding) -> list[int]:
    """Return the numbers of the frames around one, within a clip; see `GetFrameIdxwithPadding`.

    Args:
        centre: the frame in the middle, from 0.
        count: how many frames, an odd number.
        length: how many frames the clip has.
        padding: what stands for frames beyond its ends.

    Raises:
        ValueError: the clip does not have that frame, or too few for this padding.
    """
    if not 0 <= centre < length:
        raise ValueError(
            f"there is no frame {centre} in a clip of {length} frames, 0 to {length - 1}"
        )
    reach, last = count // 2, length - 1
    numbers = []
    for number in range(centre - reach, centre + reach + 1):
        if number < 0:
            number = {
                "replicate": 0,
                "reflection": -number,
                "reflection_circle": centre + reach - number,
                "circle": count + number,
            }[padding]
        elif number > last:
            number = {
                "replicate": last,
                "reflection": 2 * last - number,
                "reflection_circle": centre - reach - (number - last),
                "circle": number - count,
            }[padding]
        numbers.append(number)
    if not 0 <= min(numbers) <= max(numbers) <= last:
        raise ValueError(
            f"a clip of {length} frames is too short for {count} frames around frame {centre} "
            f"with the padding {padding!r}; 'replicate' suits clips of any length"
        )
    return numbers


def missing_frame(name: str) -> str:
    """Return a sentence on a frame's file that is not there, and on what its folder holds."""
    folder, frame = os.path.split(name)
    if not os.path.isdir(folder):
        return f"the folder of frames {folder} does not exist, so {frame} cannot be read"
    there = sorted(entry for entry in os.listdir(folder) if not entry.startswith("."))
    held = f"{len(there)} files, {there[0]} to {there[-1]}" if there else "nothing"
    return f"the frame {frame} is missing in {folder}, which holds {held}"


def _clip_and_frame(key: str) -> tuple[str, int]:
    clip, _, frame = key.partition("/")
    if not frame.isdigit():
        raise DataError(
            f"{key!r} does not name a frame: expected clip/number, such as 003/00000050"
        )
    return clip, int(frame)


def _intervals(values: Sequence[int], step: Any) -> list[int]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        values = []
    if not values or any(not isinstance(value, int) or value < 1 for value in values):
        raise ConfigError(
            f"{type(step).__name__}: 'interval_list' must be a list of positive numbers of frames, "
            f"got {values!r}"
        )
    return list(values)


def _draw(intervals: Sequence[int]) -> int:
    return int(intervals[np.random.randint(len(intervals))])


def _template(template: str, step: Any) -> str:
    try:
        names = {template.format(number) for number in (0, 1)}
    except (ValueError, IndexError, KeyError, AttributeError):
        names = set()
    if len(names) != 2:
        raise ConfigError(
            f"{type(step).__name__}: 'filename_tmpl' must have one place for the frame's number, "
            f"such as '{{:08d}}.png', got {template!r}"
        )
    return template


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
