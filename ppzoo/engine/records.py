# SPDX-License-Identifier: Apache-2.0
"""Reading back what a run has written for VisualDL, to draw its curves elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppzoo.errors import DataError


class Curve(NamedTuple):
    """One scalar of a run: `values` float64 [T] at the training steps `steps` int64 [T]."""

    steps: np.ndarray
    values: np.ndarray


def read_curves(run_dir: str | os.PathLike[str]) -> dict[str, Curve]:
    """Return the scalars of a run's VisualDL logs by name: losses, `lr`, `ips`, `metrics/...`.

    A run that was resumed has several logs. Where they overlap the later one counts.

    Args:
        run_dir: the run folder, or any folder with `vdlrecords.*.log` files.

    Raises:
        DataError: there is no folder, no log, one that cannot be read, or none with a scalar in it.
    """
    if not os.path.isdir(run_dir):
        raise DataError(f"there is no folder {os.fspath(run_dir)}: name that of a run")
    # By name: VisualDL puts the time of its making there.
    paths = sorted(Path(run_dir).glob("vdlrecords.*.log"))
    if not paths:
        raise DataError(
            f"{os.fspath(run_dir)} has no vdlrecords.*.log: a run writes them if its config says "
            "enable_visualdl: True, which is the default"
        )
    points: dict[str, dict[int, float]] = {}
    for path in paths:
        for tag, values in _scalars(path).items():
            points.setdefault(tag, {}).update(values)
    if not points:
        raise DataError(
            f"{paths[-1]} holds no scalars yet: a run that has begun writes the first ones after "
            "log_config.interval steps, so try again later"
        )
    return {
        tag: Curve(
            np.array(sorted(values), np.int64),
            np.array([values[step] for step in sorted(values)], np.float64),
        )
        for tag, values in points.items()
    }


def _scalars(path: Path) -> dict[str, dict[int, float]]:
    from visualdl import LogReader  # pulls in a web framework, so only when it is used

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # what it prints helps nobody
            reader = LogReader(file_path=str(path))
    except Exception as error:  # of VisualDL's parser, whatever it may be
        raise DataError(
            f"{path} is no log of VisualDL, or its end is missing: if its run is still writing it, "
            f"try again in a moment ({error})"
        ) from error
    return {
        tag: {int(record.id): float(record.value) for record in reader.get_data("scalar", tag)}
        for tag in reader.get_tags().get("scalar", ())
    }
