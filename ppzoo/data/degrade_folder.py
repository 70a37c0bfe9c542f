# SPDX-License-Identifier: Apache-2.0
"""Training data in the manner of RealSR, made from anybody's own photographs.

Large pictures are photographs at half their size, which rids them of noise and blur; small ones are
shrunk from them, by kernels if wanted. Noise is collected from flat places of photographs, and
added in training by `SRNoise` or `Degrade`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.degradation import Degrade, flat_places
from ppzoo.data.folder import OnError
from ppzoo.data.lmdb_pictures import read_picture
from ppzoo.data.many import for_each
from ppzoo.data.notes import agree_on_settings
from ppzoo.data.sr import pictures_by_name
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image

_NOTE = "degrade.json"
# So that one photograph with much sky does not make all of the noise.
_MOST_PLACES = 32


@dataclasses.dataclass
class Degraded:
    """What `degrade_folder` did.

    Args:
        pairs: how many pairs there are.
        made: how many of them are new.
        noise: how many pictures of noise there are.
        problems: one sentence for each photograph that was left out.
    """

    pairs: int = 0
    made: int = 0
    noise: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def degrade_folder(
    photos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    degrade: Degrade,
    *,
    clean: int = 2,
    noise_from: str | os.PathLike[str] | None = None,
    noise_size: int = 64,
    most_variance: float = 20.0,
    least_mean: float = 0.0,
    needs_noise: bool = True,
    jobs: int | None = None,
    on_error: OnError = "raise",
    progress: bool = True,
) -> Degraded:
    """Make pairs of large and small pictures of photographs, in `out/gt` and `out/lq`.

    Pairs that are there already are kept, so that an interrupted call is continued by the next one.
    What becomes of a photograph depends on its name and the settings alone.

    Args:
        photos: the folder; subfolders are looked into, and found again in `out`.
        out: where to write.
        degrade: how small pictures are made.
        clean: what photographs are shrunk by before anything else; 1 for such as are clean.
        noise_from: photographs whose noise is collected in `out/noise`.
        noise_size: side of a picture of noise in pixels.
        most_variance: see `flat_places`.
        least_mean: see `flat_places`.
        needs_noise: whether it is an error that none of `noise_from` has a flat place.
        jobs: how many threads work, as many as there are processors by default.
        on_error: `raise` stops at a photograph that cannot be used, `skip` leaves it out.
        progress: show bars, if the error stream is a terminal.

    Raises:
        ConfigError: a number out of range, or folders that lie within each other.
        DataError: no photographs there, one that cannot be used, none with a flat place, or `out`
            has pairs that were made with other settings.
        UserError: a file that cannot be written.
    """
    for name, value, good in (
        ("clean", clean, 1 <= clean <= 8),
        ("noise_size", noise_size, 16 <= noise_size <= 1024),
        ("jobs", jobs, jobs is None or jobs >= 1),
        ("on_error", on_error, on_error in ("raise", "skip")),
    ):
        if not good:
            raise ConfigError(f"{name!r} is out of range: {value!r}")
    root = Path(out).expanduser()
    for folder in filter(None, (photos, noise_from)):
        if Path(folder).expanduser().resolve() in (root.resolve(), *root.resolve().parents):
            raise ConfigError(
                f"what is made in {root} would be taken for photographs of {folder} by the next "
                "call: choose an 'out' outside the folder of photographs"
            )
    options: dict[str, Any] = {"jobs": jobs, "on_error": on_error, "progress": progress}
    result = Degraded()
    named = pictures_by_name(photos, "input")
    settings = {"clean": clean, **degrade.settings()}
    agree_on_settings(root / _NOTE, settings, "pairs", binding=any(root.glob("gt/**/*.png")))
    if noise_from:
        limits = noise_size, most_variance, least_mean
        collect = functools.partial(_collect, root / "noise", limits)
        noisy = pictures_by_name(noise_from, "noise-from")
        result.noise = sum(for_each(collect, noisy, "noise", problems=result.problems, **options))
        if needs_noise and not result.noise:
            raise DataError(
                f"no photograph in {noise_from} has a flat place of {noise_size} x {noise_size} "
                f"pixels with a variance below {most_variance}: choose photographs with sky or "
                "walls in them, a smaller noise-size or a larger noise-variance"
            )
    make = functools.partial(_make, root, degrade, clean)
    for is_new in for_each(make, named, "pairs", problems=result.problems, **options):
        result.pairs += 1
        result.made += is_new
    return result


def _collect(root: Path, limits: tuple[int, float, float], name: Path, path: Path) -> int:
    """Write the flat places of a photograph, of many some that are spread over it; count them."""
    places = list(flat_places(read_picture(path), *limits))
    step = math.ceil(len(places) / _MOST_PLACES) or 1
    for number, place in enumerate(places[::step], 1):
        # One folder, because SRNoise does not look into subfolders.
        write_image(root / f"{'_'.join(name.parts)}_{number:03d}.png", place)
    return len(places[::step])


def _make(root: Path, degrade: Degrade, clean: int, name: Path, path: Path) -> bool:
    """Write the pair of a photograph unless it is there; return whether it was not."""
    large_file, small_file = (root / part / f"{name}.png" for part in ("gt", "lq"))
    if large_file.exists() and small_file.exists():
        return False
    large = read_picture(path)
    if clean > 1:
        large = resize_bicubic(large, 1 / clean)
    height, width = (side - side % degrade.scale for side in large.shape[:2])
    if not height or not width:
        raise DataError(f"{path} is too small to be divided by {clean} and by {degrade.scale}")
    large = large[:height, :width]
    digest = hashlib.sha256(name.as_posix().encode()).digest()
    small = degrade.degrade(large, np.random.RandomState(np.frombuffer(digest, np.uint32)))
    write_image(small_file, small)
    # Last, so that a pair is there when this file is.
    write_image(large_file, large)
    return True
