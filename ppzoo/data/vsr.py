# SPDX-License-Identifier: Apache-2.0
"""Datasets of video super-resolution: clips as folders of frames, under PaddleGAN's names.

Samples are what the steps of `preprocess` make of a clip; with PaddleGAN's configs `lq`, float32
[T, 3, h, w] in [0, 1], and `gt`, [1, 3, H, W] or [T, 3, H, W]. Missing frames and sizes that do
not fit are found when the dataset is made.

Deviations from PaddleGAN: `lq_path` and `gt_path` of a finished sample are one text (that of the
middle frame, or of the folder of several), clips come in a fixed order (there: in an order that
changes from run to run), clips may have other numbers of frames than 100, `times` is honoured.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from ppzoo.data import preprocess as steps
from ppzoo.data.clips import Clip, check_frames, check_sizes, find_clips, read_clips
from ppzoo.data.folder import FileDataset, OnError
from ppzoo.data.frames import GetFrameIdx, Padding, padded_numbers
from ppzoo.data.paired import SRPairedRandomCrop
from ppzoo.data.sources import how_to_get
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import DATASETS, PREPROCESS

Steps = list[Annotated[Any, PREPROCESS]]
Partition = Literal["REDS4", "official"]

# Clips that are kept for testing: those of the paper on EDVR, or those of the official split in
# the numbering that puts them behind the 240 clips for training.
PARTITIONS: dict[str, frozenset[str]] = {
    "REDS4": frozenset(("000", "011", "015", "020")),
    "official": frozenset(f"{number:03d}" for number in range(240, 270)),
}


class ClipDataset(FileDataset):
    """What all datasets of clips share.

    Subclasses define `begin`, and `__len__` if samples are not clips.

    Args:
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones.
        preprocess: the steps from files to pictures.
        on_error: see `FileDataset`.
    """

    clips: list[Clip]

    def __init__(
        self, lq_folder: str, gt_folder: str, preprocess: Sequence[Any], on_error: OnError
    ) -> None:
        super().__init__([], on_error)
        self.lq_folder = str(Path(lq_folder).expanduser())
        self.gt_folder = str(Path(gt_folder).expanduser())
        self.preprocess = list(preprocess)
        crop = next(
            (
                transform
                for step in self.preprocess
                for transform in getattr(step, "pipeline", ())
                if isinstance(transform, SRPairedRandomCrop)
            ),
            None,
        )
        self._scale = crop.scale if crop else None
        self._patch = crop.gt_patch_size if crop else None

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return steps.is_random(self.preprocess)

    @property
    def scale(self) -> int:
        """Size of large frames / size of small ones."""
        return self._found_scale

    def begin(self, index: int) -> dict[str, Any]:
        """Return what the steps begin with for the sample at `index`."""
        raise NotImplementedError

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`."""
        sample = steps.run(self.preprocess, self.begin(index))
        for key in ("lq_path", "gt_path"):
            sample[key] = _as_text(sample[key], sample["gt_path"])
        return sample

    def source(self, index: int) -> str:
        """Return what the sample at `index` is made of, for error messages."""
        return str(Path(self.lq_folder, self.begin(index)["key"]))

    def _names_in_both(self) -> list[str]:
        """Return the names of the clips of either folder: one that only `gt` has is a mistake."""
        small = find_clips(self.lq_folder, "lq_folder")
        large = find_clips(self.gt_folder, "gt_folder")
        return small + [name for name in large if name not in set(small)]

    def _take(self, names: Sequence[str], wanted: Any = None) -> None:
        """Set `clips` to those of these names, once they are checked."""
        self.clips = read_clips(self.lq_folder, self.gt_folder, names)
        check_frames(self.clips, self.lq_folder, self.gt_folder, wanted)
        self._found_scale = check_sizes(
            self.clips, self.lq_folder, self.gt_folder, self._scale, self._patch
        )


@DATASETS.register()
class VSRREDSDataset(ClipDataset):
    """Frames of REDS with their neighbours, for networks that restore one frame at a time.

    Files are clip/number: `000/00000000.png`.

    Args:
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones.
        ann_file: a text file with a line for each frame, `000/00000000.png (720, 1280, 3)`, or for
            each clip, `000 100 (720,1280,3)`, with its number of frames.
        num_frames: how many successive frames a sample has, an odd number.
        preprocess: the steps; the first is `GetFrameIdx` or `GetFrameIdxwithPadding`.
        val_partition: which clips are for testing: `REDS4` or `official`.
        test_mode: take those; otherwise all others.
        on_error: see `FileDataset`.

    Raises:
        ConfigError: an even number of frames, or an unknown partition.
        DataError: `ann_file` or a folder is missing, or has nothing for this part; frames are
            missing or do not fit.
    """

    def __init__(
        self,
        lq_folder: str,
        gt_folder: str,
        ann_file: str,
        num_frames: int,
        preprocess: Steps,
        val_partition: Partition = "REDS4",
        test_mode: bool = False,
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(lq_folder, gt_folder, preprocess, on_error)
        self.num_frames = _odd(num_frames, self)
        listed = _in_partition(_annotated(ann_file), val_partition, test_mode)
        if not listed:
            raise DataError(_nothing_left(ann_file, val_partition, test_mode))
        chooser = next((step for step in self.preprocess if isinstance(step, GetFrameIdx)), None)
        every = [f"{n:08d}.png" for n in range(chooser.frames_per_clip + 1)] if chooser else []
        self._take(
            list(listed), lambda clip: [*every, *(f"{name}.png" for name in listed[clip.name])]
        )
        self._keys = [f"{clip}/{name}" for clip, names in listed.items() for name in names]
        self._lengths = {clip.name: len(clip.lq) for clip in self.clips}

    def begin(self, index: int) -> dict[str, Any]:
        """Return what the steps begin with for the sample at `index`."""
        key = self._keys[index]
        return {
            "lq_path": self.lq_folder,
            "gt_path": self.gt_folder,
            "key": key,
            "max_frame_num": self._lengths[key.split("/")[0]],
            "num_frames": self.num_frames,
        }

    def __len__(self) -> int:
        return len(self._keys)


@DATASETS.register()
class VSRREDSMultipleGTDataset(ClipDataset):
    """Clips of REDS, for networks that restore all frames at once.

    Args:
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones.
        ann_file: see `VSRREDSDataset`.
        num_frames: how many successive frames a sample has.
        preprocess: the steps; the first is `GetNeighboringFramesIdx`.
        val_partition: which clips are for testing: `REDS4` or `official`.
        test_mode: take those; otherwise all others.
        on_error: see `FileDataset`.

    Raises:
        ConfigError: an unknown partition, or a number of frames that is not positive.
        DataError: see `VSRREDSDataset`.
    """

    def __init__(
        self,
        lq_folder: str,
        gt_folder: str,
        ann_file: str,
        num_frames: int,
        preprocess: Steps,
        val_partition: Partition = "REDS4",
        test_mode: bool = False,
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(lq_folder, gt_folder, preprocess, on_error)
        self.num_frames = _positive("num_frames", num_frames, self)
        listed = _in_partition(_annotated(ann_file), val_partition, test_mode)
        if not listed:
            raise DataError(_nothing_left(ann_file, val_partition, test_mode))
        self._take(
            list(listed),
            lambda clip: [f"{n:08d}.png" for n in range(max(len(clip.lq), len(clip.gt)))],
        )

    def begin(self, index: int) -> dict[str, Any]:
        """Return what the steps begin with for the sample at `index`."""
        clip = self.clips[index]
        return {
            "lq_path": self.lq_folder,
            "gt_path": self.gt_folder,
            "key": clip.name,
            "sequence_length": len(clip.lq),
            "num_frames": self.num_frames,
        }

    def __len__(self) -> int:
        return len(self.clips)


@DATASETS.register()
class VSRVimeo90KDataset(ClipDataset):
    """Clips of Vimeo90K, seven frames each, all of which are read.

    Files are folder/clip/frame: `00001/0233/im1.png`.

    Args:
        lq_folder: the folder `sequences` of small frames.
        gt_folder: that of large ones.
        ann_file: a text file with a line for each clip: `00001/0233`.
        preprocess: the steps; the first is `ReadImageSequence`.
        gt_center: have the middle frame alone in `gt`, as networks need that restore one frame.
        on_error: see `FileDataset`.

    Raises:
        DataError: see `VSRREDSDataset`.
    """

    def __init__(
        self,
        lq_folder: str,
        gt_folder: str,
        ann_file: str,
        preprocess: Steps,
        gt_center: bool = False,
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(lq_folder, gt_folder, preprocess, on_error)
        self.gt_center = gt_center
        names = [line.strip("/") for line in _lines(ann_file)]
        if not names:
            raise DataError(f"the file {ann_file} of 'ann_file' names no clips, such as 00001/0233")
        self._take(names)

    def begin(self, index: int) -> dict[str, Any]:
        """Return what the steps begin with for the sample at `index`."""
        clip = self.clips[index]
        gt = clip.gt[len(clip.gt) // 2 :][:1] if self.gt_center else clip.gt
        return {
            "lq_path": [os.path.join(self.lq_folder, clip.name, name) for name in clip.lq],
            "gt_path": [os.path.join(self.gt_folder, clip.name, name) for name in gt],
            "key": clip.name,
        }

    def __len__(self) -> int:
        return len(self.clips)


@DATASETS.register()
class VSRFolderDataset(ClipDataset):
    """Clips of any folder, for networks that restore all frames at once.

    Args:
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones; clips and frames have the same names in both.
        preprocess: the steps; the first is `GetNeighboringFramesIdx`, with the names of frames.
        num_frames: how many successive frames a sample has; all of a clip by default.
        times: how often each clip comes in an epoch.
        on_error: see `FileDataset`.

    Raises:
        ConfigError: a number that is not positive.
        DataError: see `VSRREDSDataset`.
    """

    def __init__(
        self,
        lq_folder: str,
        gt_folder: str,
        preprocess: Steps,
        num_frames: int | None = None,
        times: int = 1,
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(lq_folder, gt_folder, preprocess, on_error)
        self.num_frames = num_frames and _positive("num_frames", num_frames, self)
        self.times = _positive("times", times, self)
        self._take(self._names_in_both())

    def begin(self, index: int) -> dict[str, Any]:
        """Return what the steps begin with for the sample at `index`."""
        clip = self.clips[index % len(self.clips)]
        return {
            "lq_path": self.lq_folder,
            "gt_path": self.gt_folder,
            "key": clip.name,
            "num_frames": self.num_frames or len(clip.lq),
            "sequence_length": len(clip.lq),
        }

    def __len__(self) -> int:
        return len(self.clips) * self.times


@DATASETS.register()
class VSRFramesDataset(ClipDataset):
    """Frames of any folder of clips with their neighbours, for networks that restore one frame.

    For one's own videos: clips and frames may have any names and numbers, and the order of frames
    is that of the numbers in their names. No step needs to choose frames.

    Args:
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones; clips and frames have the same names in both.
        preprocess: the steps; the first is `ReadImageSequence`.
        num_frames: how many successive frames a sample has, an odd number.
        padding: what stands for frames beyond the ends of a clip, see `GetFrameIdxwithPadding`;
            clips that are too short for it have their end frames repeated.
        on_error: see `FileDataset`.

    Raises:
        ConfigError: an even number of frames.
        DataError: see `VSRREDSDataset`.
    """

    def __init__(
        self,
        lq_folder: str,
        gt_folder: str,
        preprocess: Steps,
        num_frames: int = 5,
        padding: Padding = "reflection_circle",
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(lq_folder, gt_folder, preprocess, on_error)
        self.num_frames = _odd(num_frames, self)
        self.padding: Padding = padding
        self._take(self._names_in_both())
        self._places = [
            (number, frame)
            for number, clip in enumerate(self.clips)
            for frame in range(len(clip.lq))
        ]

    def begin(self, index: int) -> dict[str, Any]:
        """Return what the steps begin with for the sample at `index`."""
        number, frame = self._places[index]
        clip = self.clips[number]
        short = len(clip.lq) < self.num_frames
        padding: Padding = "replicate" if short else self.padding
        chosen = padded_numbers(frame, self.num_frames, len(clip.lq), padding)
        lq, gt = (os.path.join(root, clip.name) for root in (self.lq_folder, self.gt_folder))
        return {
            "lq_path": [os.path.join(lq, clip.lq[place]) for place in chosen],
            "gt_path": [os.path.join(gt, clip.gt[frame])],
            "key": f"{clip.name}/{os.path.splitext(clip.lq[frame])[0]}",
        }

    def __len__(self) -> int:
        return len(self._places)


def _as_text(paths: Any, targets: Any) -> Any:
    """Return one path for a list: the middle one where there is one target, else their folder."""
    if not isinstance(paths, list) or not paths:
        return paths
    if len(paths) == 1 or not isinstance(targets, list) or len(targets) == 1:
        return str(paths[len(paths) // 2])
    return os.path.dirname(str(paths[0]))


def _lines(ann_file: str) -> list[str]:
    """Return the lines of a text file that are not empty."""
    path = Path(ann_file).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise DataError(
            f"the file {path} of 'ann_file' {problem}{how_to_get(path.parent)}"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _annotated(ann_file: str) -> dict[str, list[str]]:
    """Return the frames of each clip that a file lists, as names without their suffix."""
    frames: dict[str, list[str]] = {}
    for number, line in enumerate(_lines(ann_file), 1):
        name, *rest = line.split()
        clip, _, frame = name.partition("/")
        frame = frame.split(".")[0]
        if not frame and rest and rest[0].isdigit():
            frames.setdefault(clip, []).extend(f"{place:08d}" for place in range(int(rest[0])))
        elif frame.isdigit():
            frames.setdefault(clip, []).append(frame)
        else:
            raise DataError(
                f"{ann_file}:{number}: {line!r} names neither a frame, such as 000/00000000.png, "
                "nor a clip with its number of frames, such as 000 100"
            )
    return frames


def _in_partition(
    listed: dict[str, list[str]], partition: str, test_mode: bool
) -> dict[str, list[str]]:
    if partition not in PARTITIONS:
        raise ConfigError(f"'val_partition' must be REDS4 or official, got {partition!r}")
    kept = PARTITIONS[partition]
    return {clip: names for clip, names in listed.items() if (clip in kept) == test_mode}


def _nothing_left(ann_file: str, partition: str, test_mode: bool) -> str:
    part = f"of the {len(PARTITIONS[partition])} clips for testing" if test_mode else "other clips"
    return f"the file {ann_file} of 'ann_file' lists none {part} of the partition {partition!r}"


def _odd(count: int, owner: Any) -> int:
    if not isinstance(count, int) or count < 1 or count % 2 == 0:
        raise ConfigError(
            f"{type(owner).__name__}: 'num_frames' must be odd, so that there is a middle frame, "
            f"got {count!r}"
        )
    return count


def _positive(key: str, count: int, owner: Any) -> int:
    if not isinstance(count, int) or count < 1:
        raise ConfigError(
            f"{type(owner).__name__}: {key!r} must be a positive number, got {count!r}"
        )
    return count
