# SPDX-License-Identifier: Apache-2.0
"""What is in the folders of clips that a dataset of video reads, down to each frame's header."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppzoo.data.clips import header_size
from ppzoo.data.survey import Survey
from ppzoo.data.vsr import ClipDataset
from ppzoo.errors import DataError

_PNG, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


def survey_clips(dataset: ClipDataset, progress: bool = True) -> list[Survey]:
    """Survey all frames of a dataset of clips, small and large ones.

    Read are headers, and of PNG files their ends, which a truncated file does not have: to decode
    all would take an hour for REDS.

    Args:
        dataset: the dataset, which has found its clips.
        progress: show a bar, if the error stream is a terminal.

    Returns:
        two surveys, of `lq_folder` and `gt_folder`; frames that do not fit those of the same name
        are problems of the latter.
    """
    surveys, sizes = [], []
    for folder, side in ((dataset.lq_folder, 1), (dataset.gt_folder, 2)):
        names = [f"{clip.name}/{frame}" for clip in dataset.clips for frame in clip[side]]
        survey, found = _survey(Path(folder), names, progress)
        surveys.append(survey)
        sizes.append(found)
    small, large = sizes
    for name in small.keys() & large.keys():
        width, height = small[name]
        if large[name] != (width * dataset.scale, height * dataset.scale):
            surveys[1].problems.append(
                f"{Path(dataset.gt_folder, name)} of {large[name][0]} x {large[name][1]} pixels is "
                f"not {dataset.scale} times as large as the small frame of {width} x {height}"
            )
    surveys[1].problems.sort()
    return surveys


def _survey(
    folder: Path, names: Sequence[str], progress: bool
) -> tuple[Survey, dict[str, tuple[int, int]]]:
    from tqdm import tqdm

    survey = Survey(folder, "frames")
    sizes: dict[str, tuple[int, int]] = {}
    # Files are waited for more than worked on.
    with concurrent.futures.ThreadPoolExecutor(4 * (os.cpu_count() or 1)) as pool:
        paths = [folder / name for name in names]
        found: Any = tqdm(
            pool.map(_size_or_problem, paths),
            folder.name,
            len(paths),
            unit="frame",
            disable=None if progress else True,
        )
        for name, size in zip(names, found, strict=True):
            if isinstance(size, str):
                survey.problems.append(size)
            else:
                sizes[name] = size
                survey.sizes[size] += 1
    survey.count = len(sizes)
    return survey, sizes


def _size_or_problem(path: Path) -> tuple[int, int] | str:
    try:
        size = header_size(path)
        with path.open("rb") as file:
            if file.read(4) == _PNG:
                file.seek(-min(path.stat().st_size, len(_PNG_END)), os.SEEK_END)
                if file.read() != _PNG_END:
                    return f"{path} is truncated"
    except DataError as error:
        return str(error)
    except OSError as error:
        return f"cannot read {path}: {error.strerror or error}"
    return size
