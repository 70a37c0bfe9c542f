# SPDX-License-Identifier: Apache-2.0
"""`ppzoo measure`: FID and KID of two folders of pictures of any number and size.

Pictures are read one by one and only running moments of their features are kept, with a random
sample of bounded size for KID; so memory does not grow with the folders. What is known of a folder
can be kept in an .npz file, which takes the folder's place later. Its arrays `mu` and `sigma` are
those of other FID programs, whose files can be given too.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppzoo import runtime
from ppzoo.atomic import atomic_write
from ppzoo.data.folder import find_images
from ppzoo.errors import DataError, UserError
from ppzoo.media.image import read_image
from ppzoo.metrics.features import Moments, frechet_distance, inception_features
from ppzoo.metrics.kid import KID

METRICS = ("fid", "kid")
SAMPLE = 10_000  # features kept for KID: 80 MB of InceptionV3's
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Features:
    """How pictures become features.

    Attributes:
        name: of the feature space; figures of different spaces must not be compared.
        dims: features of a picture.
        prepare: float32 [1, 3, H, W] in [-1, 1] -> an array whose shape is the same for all.
        extract: a stack of these -> features [N, dims].
    """

    name: str
    dims: int
    prepare: Callable[[np.ndarray], np.ndarray]
    extract: Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass
class Statistics:
    """What is kept of a set of pictures.

    Attributes:
        source: the folder or file that they come from.
        features: name of the feature space, None if a file does not say.
        count: pictures, None if a file does not say.
        mean: of the features, float64 [D].
        covariance: unbiased, float64 [D, D].
        sample: features of some pictures, all if they are few, float32 [K, D]; None if a file has
            none.
        skipped: what was wrong with the files that were left out.
    """

    source: Path
    features: str | None
    count: int | None
    mean: np.ndarray
    covariance: np.ndarray
    sample: np.ndarray | None
    skipped: list[str] = dataclasses.field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `ppzoo measure` understands."""
    parser.epilog = (
        "films: `ppzoo measure sync --help` for lips and sound, `ppzoo measure motion --help` for "
        "what was animated and the truth"
    )
    add = parser.add_argument
    add("metrics", type=_metrics, metavar="METRICS", help="fid, kid, or fid,kid")
    add("generated", type=Path, metavar="GENERATED", help="folder of generated pictures, or .npz")
    add("real", type=Path, metavar="REAL", help="folder of real pictures, or .npz")
    add("--weights", type=Path, metavar="FILE", help="InceptionV3's weights, else downloaded")
    add("--features", choices=["inception", "digits"], default="inception")
    add("--batch-size", type=_positive, default=16, metavar="N", help="of no account for figures")
    add("--size", type=_positive, metavar="N", help="bring pictures to N x N pixels first")
    add("--on-error", choices=["raise", "skip"], default="raise", help="at a damaged picture")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    add("--save-statistics", type=Path, metavar="FILE.npz", help="keep what is known of REAL")


def run(args: argparse.Namespace) -> None:
    """Measure and print.

    Raises:
        UserError: a folder or file is missing, damaged, or of another feature space.
    """
    if args.save_statistics is not None and args.save_statistics.suffix != ".npz":
        raise UserError(f"--save-statistics {args.save_statistics}: the name must end in .npz")
    runtime.select_device(None)
    features = load_features(args.features, args.weights, args.batch_size)
    sides = []
    for path in (args.generated, args.real):
        if path.suffix == ".npz":
            sides.append(load_statistics(path, features))
        else:
            sides.append(statistics_of(path, features, args.batch_size, args.size, args.on_error))
    generated, real = sides
    if args.save_statistics is not None:
        save_statistics(args.save_statistics, real)
    figures = compare(args.metrics, generated, real)
    _report(figures, generated, real, features)
    if args.json is not None:
        text = json.dumps({**figures, **_provenance(generated, real, features)}, indent=2)
        with atomic_write(args.json) as file:
            file.write(text.encode("utf-8") + b"\n")


def load_features(
    name: str = "inception",
    weights: str | os.PathLike[str] | None = None,
    batch_size: int = 16,
    dims: int = 2048,
) -> Features:
    """Return the way to features that a name means.

    Args:
        name: "inception", or "digits" for pictures of handwritten digits.
        weights: InceptionV3's; the official ones by default, downloaded if need be.
        batch_size: pictures looked at together.
        dims: of InceptionV3's features; published figures have 2048.

    Raises:
        UserError: weights for what has none.
        WeightsError: InceptionV3's weights are missing, or are those of another network.
    """
    if name == "inception":
        network = inception_features(dims, weights, batch_size)
        return Features(f"inception-{dims}", dims, _to_inception_size, network)
    if weights is not None:
        raise UserError(f"--weights are InceptionV3's: leave them out with --features {name}")
    from ppzoo.metrics.digits import digit_classifier, to_digit_scale

    return Features("digits-64", 64, to_digit_scale, digit_classifier().features)


def statistics_of(
    folder: str | os.PathLike[str],
    features: Features,
    batch_size: int = 16,
    size: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> Statistics:
    """Return what is needed of a folder's pictures, with its subfolders', with a progress bar.

    Args:
        folder: where the pictures are.
        features: how they become features.
        batch_size: pictures that are in memory together.
        size: bring them to this many pixels a side first (Pillow's bicubic with a filter against
            aliasing), whatever their shape.
        on_error: stop at a file that cannot be read, or leave it out.

    Raises:
        DataError: there is no such folder, a picture is damaged, or there are fewer than two.
    """
    import paddle
    from tqdm import tqdm

    paths = find_images(folder, option=None)
    moments, sample, skipped = Moments(), _Sample(features.dims), []
    # `disable=None` leaves the bar out where the error stream is no terminal.
    bar = tqdm(paths, desc=Path(folder).name, unit="picture", disable=None)
    pictures = _prepared(bar, features, size, skipped if on_error == "skip" else None)
    for batch in _batches(pictures, batch_size):
        with paddle.no_grad():
            found = np.asarray(features.extract(batch), dtype=np.float64)
        moments.add(found)
        sample.add(found)
    if moments.count < 2:
        reason = f" ({len(skipped)} cannot be read: {skipped[0]})" if skipped else ""
        raise DataError(f"{folder} has {moments.count} pictures, two are the least{reason}")
    return Statistics(
        Path(folder),
        features.name,
        moments.count,
        moments.mean,
        moments.covariance(),
        sample.rows(),
        skipped,
    )


def compare(metrics: Sequence[str], generated: Statistics, real: Statistics) -> dict[str, float]:
    """Return the figures by name: `fid`; `kid` with `kid_std`.

    Raises:
        DataError: KID is asked for, and a file of statistics has no features for it.
    """
    figures = {}
    if "fid" in metrics:
        figures["fid"] = frechet_distance(
            generated.mean, generated.covariance, real.mean, real.covariance
        )
    if "kid" in metrics:
        for side in (generated, real):
            if side.sample is None:
                raise DataError(
                    f"{side.source} has no features for KID, only mean and covariance: give the "
                    "folder of pictures, or statistics that `ppzoo measure` has saved"
                )
        kid = KID(lambda features: features)
        kid.merge([{"fake": generated.sample, "real": real.sample}])
        found = kid.accumulate()
        figures |= {"kid": found["mean"], "kid_std": found["std"]}
    return figures


def save_statistics(path: str | os.PathLike[str], statistics: Statistics) -> None:
    """Write statistics as .npz: `mu`, `sigma`, `count`, `features` and `sample`.

    Raises:
        UserError: the file cannot be written.
    """
    arrays = {"mu": statistics.mean, "sigma": statistics.covariance}
    if statistics.count is not None:
        arrays["count"] = np.array(statistics.count)
    if statistics.features is not None:
        arrays["features"] = np.array(statistics.features)
    if statistics.sample is not None:
        arrays["sample"] = statistics.sample
    with atomic_write(path) as file:
        np.savez(file, **arrays)


def load_statistics(path: str | os.PathLike[str], features: Features) -> Statistics:
    """Read statistics that `save_statistics` or another FID program has written.

    Raises:
        DataError: the file is missing, damaged, or of another feature space.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file of statistics {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        mean, covariance = arrays["mu"].astype(np.float64), arrays["sigma"].astype(np.float64)
        count = int(arrays["count"]) if "count" in arrays else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise DataError(
            f"{path} is not a file of statistics (an .npz with `mu` and `sigma`), or is damaged"
        ) from None
    name = str(arrays["features"]) if "features" in arrays else None
    if name not in (None, features.name) or mean.shape != (features.dims,):
        found = name or f"{list(mean.shape)} features"
        raise DataError(f"{path} holds {found}, where {features.name} is measured")
    sample = arrays.get("sample")
    fits = covariance.shape == (features.dims, features.dims) and (
        sample is None or (sample.ndim == 2 and sample.shape[1] == features.dims)
    )
    if not fits or not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{path} is damaged: its arrays do not fit one another")
    return Statistics(path, name, count, mean, covariance, sample)


class _Sample:
    """A uniform random sample of rows that come in batches (Vitter 1985, algorithm R)."""

    def __init__(self, dims: int) -> None:
        self._dims, self._kept, self._seen = dims, [], 0
        self._generator = np.random.default_rng(_SEED)

    def add(self, rows: np.ndarray) -> None:
        for row in rows.astype(np.float32):
            self._seen += 1
            if len(self._kept) < SAMPLE:
                self._kept.append(row.copy())  # a view would keep the whole batch in memory
                continue
            place = self._generator.integers(self._seen)
            if place < SAMPLE:
                self._kept[place] = row.copy()

    def rows(self) -> np.ndarray:
        return np.array(self._kept, np.float32).reshape(-1, self._dims)


def _prepared(
    paths: Iterable[Path], features: Features, size: int | None, skipped: list[str] | None
) -> Iterator[np.ndarray]:
    """Yield each picture ready for a batch; note those that cannot be read, if there is a list."""
    for path in paths:
        try:
            picture = read_image(path)
        except DataError as error:
            if skipped is None:
                raise DataError(f"{error}; --on-error skip leaves such files out") from error
            skipped.append(str(error))
            continue
        if size is not None:
            picture = _resized(picture, size)
        image = picture.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / 127.5 - 1.0
        yield features.prepare(image)


def _batches(pictures: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    while batch := list(itertools.islice(pictures, size)):
        yield np.concatenate(batch)


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    resized = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _to_inception_size(image: np.ndarray) -> np.ndarray:
    import paddle
    import paddle.nn.functional as F

    from ppzoo.networks.inception import SIDE

    # As the network itself does, but before pictures of different sizes form a batch.
    return F.interpolate(paddle.to_tensor(image), size=[SIDE, SIDE], mode="bilinear").numpy()


def _report(
    figures: Mapping[str, float], generated: Statistics, real: Statistics, features: Features
) -> None:
    for side, name in ((generated, "generated"), (real, "real")):
        number = "an unknown number of" if side.count is None else side.count
        left_out = f", {len(side.skipped)} left out: {side.skipped[0]}" if side.skipped else ""
        _say(f"{name}: {number} pictures of {side.source}{left_out}")
    if "fid" in figures:
        _say(f"fid: {figures['fid']:.4f}")
        counts = [side.count for side in (generated, real) if side.count is not None]
        if min(counts, default=features.dims) < features.dims:
            _say(
                f"  (fewer than {features.dims} pictures: the distance is biased upwards, compare "
                "only figures of equal numbers, or use kid)"
            )
    if "kid" in figures:
        _say(f"kid: {figures['kid']:.6f} (standard deviation of subsets {figures['kid_std']:.6f})")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _provenance(generated: Statistics, real: Statistics, features: Features) -> dict[str, Any]:
    sides = {
        name: {"source": str(side.source), "pictures": side.count, "left_out": len(side.skipped)}
        for name, side in (("generated", generated), ("real", real))
    }
    return {"features": features.name, **sides}


def _metrics(text: str) -> list[str]:
    names = [name.strip().lower() for name in text.split(",")]
    if not set(names) <= set(METRICS):
        raise argparse.ArgumentTypeError(f"{text!r} is not fid, kid, or fid,kid")
    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
