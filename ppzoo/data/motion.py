# SPDX-License-Identifier: Apache-2.0
"""Videos of one's own for models of motion: two frames of the same video at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ppzoo.data.clips import natural_order
from ppzoo.data.folder import IMAGE_SUFFIXES, FileDataset, OnError
from ppzoo.data.sprites import unit_range
from ppzoo.data.transforms import resize
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image
from ppzoo.registry import DATASETS, TRANSFORMS

VIDEO_SUFFIXES = frozenset((".mp4", ".mov", ".gif", ".avi", ".mkv", ".webm"))


@DATASETS.register()
class FirstOrderDataset(FileDataset):
    """The videos in a folder that has subfolders `train` and `test`, as in PaddleGAN.

    A video is a file, or a folder of frames (`ppzoo data prepare talking` makes them), from which
    two are read in milliseconds; a file is decoded from its start on for each sample. To train, a
    sample has `source` and `driving`, two frames of a video, float32 [3, H, W] in [0, 1]; to test,
    `video` [3, T, H, W], all frames. `name` is that of the video.

    Args:
        dataroot: the folder.
        phase: `train` or `test`.
        frame_shape: [H, W, 3] of the frames; others are resized.
        num_repeats: how often each video comes in an epoch of the training.
        time_flip: let either frame be the earlier one.
        id_sampling: videos whose names agree up to the first `#` are of one person and count as
            one in an epoch.
        create_frames_folder: accepted as False; ppzoo reads videos as they are.
        transforms: transforms of pairs of uint8 pictures [H, W, 3], for the training.
        max_frames: of a video of the test; all by default.
        pairs_list: accepted for PaddleGAN's configs, as are the following.
        process_time: unused.
        max_dataset_size: unused.
        direction: unused.
        input_nc: unused.
        output_nc: unused.
        on_error: see `FileDataset`.

    Raises:
        ConfigError: an argument out of range.
        DataError: no videos there; on access, one that cannot be read.
    """

    def __init__(
        self,
        dataroot: str,
        phase: Literal["train", "test"] = "train",
        frame_shape: Sequence[int] = (256, 256, 3),
        num_repeats: int = 1,
        time_flip: bool = False,
        id_sampling: bool = False,
        create_frames_folder: bool = False,
        transforms: list[Annotated[Any, TRANSFORMS]] | None = None,
        max_frames: int | None = None,
        pairs_list: str | None = None,
        process_time: bool = False,
        max_dataset_size: Any = None,
        direction: str | None = None,
        input_nc: int = 3,
        output_nc: int = 3,
        on_error: OnError = "raise",
    ) -> None:
        if phase not in ("train", "test"):
            raise ConfigError(f"FirstOrderDataset: 'phase' must be train or test, got {phase!r}")
        if create_frames_folder:
            raise ConfigError(
                "FirstOrderDataset: 'create_frames_folder' would write into the folder of the data "
                "and remove the videos; ppzoo reads them as they are: set it to False"
            )
        if len(frame_shape) != 3 or frame_shape[2] != 3 or min(frame_shape) < 1:
            raise ConfigError(
                f"FirstOrderDataset: 'frame_shape' must be [H, W, 3], got {list(frame_shape)}"
            )
        for key, value in (("num_repeats", num_repeats), ("max_frames", max_frames)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"FirstOrderDataset: {key!r} must be positive, got {value!r}")
        self.is_train = phase == "train"
        groups: dict[str, list[Path]] = {}
        for path in _find_videos(Path(dataroot).expanduser() / phase):
            person = path.name.split("#")[0] if id_sampling and self.is_train else path.name
            groups.setdefault(person, []).append(path)
        repeats = num_repeats if self.is_train else 1
        self.groups = list(groups.values()) * repeats
        super().__init__([group[0] for group in self.groups], on_error)
        self.size = (frame_shape[0], frame_shape[1])
        self.time_flip, self.max_frames = time_flip, max_frames
        self.transforms = list(transforms or ()) if self.is_train else []

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return self.is_train

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`."""
        if not self.is_train:
            path = self.paths[index]
            frames = [self._fit(frame) for frame in _frames(path, None, self.max_frames)]
            video = np.stack(frames).transpose(3, 0, 1, 2)
            return {"video": unit_range(video), "name": path.name}
        path = random.choice(self.groups[index])
        pair = tuple(self._fit(frame) for frame in _frames(path, 2))
        for transform in self.transforms:
            pair = transform(pair)
        pictures = [unit_range(picture.transpose(2, 0, 1)) for picture in pair]
        if self.time_flip and random.random() < 0.5:
            pictures.reverse()
        return {"driving": pictures[0], "source": pictures[1], "name": path.name}

    def _fit(self, frame: np.ndarray) -> np.ndarray:
        return frame if frame.shape[:2] == self.size else resize(frame, self.size, "area")


def _find_videos(folder: Path) -> list[Path]:
    """Return video files and folders of frames in a folder, in the order of their names.

    Raises:
        DataError: there are none.
    """
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}: 'dataroot' needs the subfolders train and test, with "
            "a video file or a folder of frames for each video"
        )
    found = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and (path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES)
    ]
    if not found:
        raise DataError(f"{folder} holds neither video files nor folders of frames")
    return sorted(found, key=lambda path: natural_order(path.name))


def _frames(path: Path, draw: int | None, limit: int | None = None) -> list[np.ndarray]:
    """Return frames of a video, uint8 RGB [H, W, 3]: `draw` random ones in order, or all.

    Raises:
        DataError: there are none, or one cannot be read.
    """
    if path.is_dir():
        names = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        files = sorted(names, key=lambda p: natural_order(p.name))
        if not files:
            raise DataError(f"{path} holds no frames")
        return [read_image(files[i]) for i in _chosen(len(files), draw, limit)]
    from ppzoo.media.video import VideoReader

    with VideoReader(path) as reader:
        wanted = _chosen(reader.info.frame_count or 1, draw, limit)
        found: dict[int, np.ndarray] = {}
        for number, frame in enumerate(reader):
            if number in wanted:
                found[number] = frame
            if number >= wanted[-1]:
                break
    if not found:
        raise DataError(f"no frame of {path} can be read")
    last = max(found)  # a video may end before it says
    return [found[min(number, last)] for number in wanted if draw or number in found]


def _chosen(count: int, draw: int | None, limit: int | None) -> list[int]:
    if draw is None:
        return list(range(min(count, limit or count)))
    return sorted(random.choices(range(count), k=draw))
