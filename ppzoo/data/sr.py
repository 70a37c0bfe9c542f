# SPDX-License-Identifier: Apache-2.0
"""Pairs of small and large pictures, from which super-resolution learns.

Names and arguments are those of PaddleGAN. Deviations: sizes of all pairs are compared before
anything is learnt (there: when a crop fails, or never), partners may differ in their suffix and
lie in subfolders, small pictures are made on the fly where no folder of them is named, folders may
be LMDB databases, and files that cannot be used can be skipped.
"""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from ppzoo.data import preprocess as steps
from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.degradation import Degrade
from ppzoo.data.folder import FileDataset, OnError, find_images
from ppzoo.data.lmdb_pictures import is_database, list_pictures, picture_size
from ppzoo.data.paired import SRPairedRandomCrop
from ppzoo.data.pairs import paths_by_name, summary
from ppzoo.data.sources import how_to_get
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import DATASETS, PREPROCESS

# Pictures made on the fly are kept as long as all of them take no more.
_CACHE_BYTES = 1 << 28
# Headers are read by threads, because folders may be far away.
_THREADS = 8
_NAMED = 3


Size = tuple[int, int]  # height, width


class Pair(NamedTuple):
    """The files of a small picture, if it is not to be made, and of the large one."""

    small: Path | None
    large: Path


@DATASETS.register()
class SRDataset(FileDataset):
    """Pairs of small and large pictures, prepared by steps that the config lists.

    A sample is what the steps make of `{"lq_path": file, "gt_path": file}`; with PaddleGAN's
    configs it has `lq`, float32 [3, h, w], and `gt`, [3, h * scale, w * scale], beside their
    paths.

    Args:
        lq_folder: the small pictures, a folder or an LMDB database (`*.lmdb`). Without it they are
            made: large pictures are cut to multiples of `scale` and shrunk by `resize_bicubic`,
            unless a step `Degrade` makes them; steps that load `lq` do nothing.
        gt_folder: the large pictures, likewise; subfolders are looked into.
        preprocess: the steps.
        scale: size of a large picture / size of the small one.
        filename_tmpl: name of the small picture whose partner is called `{}`, both without suffix:
            DIV2K's are `{}x4`.
        on_error: see `FileDataset`; `skip` leaves out pictures without a partner or of another
            scale, too.

    Raises:
        ConfigError: `scale`, `filename_tmpl` or the steps do not fit.
        DataError: no pictures there, pictures without a partner, pairs of another scale, pictures
            smaller than the patch that a step cuts; on access, a file that cannot be read.
    """

    def __init__(
        self,
        lq_folder: str | None = None,
        *,
        gt_folder: str,
        preprocess: list[Annotated[Any, PREPROCESS]],
        scale: int,
        filename_tmpl: str = "{}",
        on_error: OnError = "raise",
    ) -> None:
        if not isinstance(scale, int) or scale < 1:
            raise ConfigError(f"SRDataset: 'scale' must be a positive number, got {scale!r}")
        self.scale = scale
        self.preprocess = list(preprocess)
        patch = _patch_size(self.preprocess, scale)
        self._making: list[Any] = []
        if lq_folder is None:
            self._making, self.preprocess = _making_steps(self.preprocess, scale)
            paths = pictures_by_name(gt_folder, "gt_folder").values()
            pairs, problems = [Pair(None, path) for path in paths], []
        else:
            if not Path(lq_folder).expanduser().exists() and Path(gt_folder).expanduser().exists():
                raise DataError(
                    f"the folder {lq_folder} of 'lq_folder' does not exist{how_to_get(lq_folder)}; "
                    "or leave 'lq_folder' out, and small pictures are made of the large ones"
                )
            pairs, problems = match_pairs(lq_folder, gt_folder, scale, filename_tmpl)
        if problems and on_error != "skip":
            raise DataError(summary(problems) + "; set 'on_error: skip' to leave them out")
        pairs, unfit = fitting_pairs(pairs, scale, patch)
        if unfit and on_error != "skip":
            raise DataError(f"{unfit[0]}; set 'on_error: skip' to leave them out")
        if not pairs:
            raise DataError(f"no pair of pictures can be used: {(unfit or problems)[0]}")
        super().__init__([pair.large for pair in pairs], on_error)
        self.pairs = pairs
        self._unreported += [*problems, *unfit]
        self._made: dict[int, dict[str, Any]] = {}
        self._room = _CACHE_BYTES

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return steps.is_random(self.preprocess)

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`."""
        small, large = self.pairs[index]
        sample: dict[str, Any] = {"lq_path": str(small or large), "gt_path": str(large)}
        if self._making:
            sample = self._make(index, sample)
        return steps.run(self.preprocess, sample)

    def _make(self, index: int, sample: dict[str, Any]) -> dict[str, Any]:
        """Return the sample with both pictures, of which the small one is made here."""
        made = self._made.get(index)
        if made is None:
            made = steps.run(self._making, sample)
            size = sum(value.nbytes for value in made.values() if isinstance(value, np.ndarray))
            if size <= self._room:
                self._room -= size
                self._made[index] = made
        # Steps may write into what they get.
        return {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in made.items()}


def match_pairs(
    lq_folder: str | os.PathLike[str],
    gt_folder: str | os.PathLike[str],
    scale: int,
    filename_tmpl: str = "{}",
    options: tuple[str, str] = ("lq_folder", "gt_folder"),
) -> tuple[list[Pair], list[str]]:
    """Match small and large pictures by their paths in two folders, whatever the suffix.

    Args:
        lq_folder: the small pictures, a folder or a database.
        gt_folder: the large ones.
        scale: what is between their sizes, for hints.
        filename_tmpl: name of the small picture whose partner is called `{}`.
        options: what names the folders, for error messages.

    Returns:
        the pairs, in the order of the large pictures' paths, and one sentence for each picture that
        has no partner.

    Raises:
        ConfigError: `filename_tmpl` has no place for the name.
        DataError: a folder without pictures, or two pictures in it differ in their suffix alone.
    """
    if filename_tmpl.count("{}") != 1:
        raise ConfigError(
            "'filename_tmpl' must have one {}, where the large picture's name goes, "
            f"got {filename_tmpl!r}"
        )
    large = pictures_by_name(gt_folder, options[1])
    small = pictures_by_name(lq_folder, options[0])
    pairs, problems, wanted = [], [], set()
    for name, path in large.items():
        partner = name.with_name(filename_tmpl.replace("{}", name.name))
        wanted.add(partner)
        if partner in small:
            pairs.append(Pair(small[partner], path))
            continue
        problem = f"{path} has no partner {partner}.* in {lq_folder}"
        other = f"{{}}x{scale}"
        if name.with_name(other.replace("{}", name.name)) in small:
            problem += f" but one of the name that 'filename_tmpl: \"{other}\"' stands for"
        problems.append(problem)
    problems += [
        f"{path} has no partner in {gt_folder}"
        for name, path in small.items()
        if name not in wanted
    ]
    return pairs, problems


def fitting_pairs(
    pairs: Sequence[Pair],
    scale: int,
    patch: int = 0,
    patch_option: str = "gt_patch_size",
    progress: bool = True,
) -> tuple[list[Pair], list[str]]:
    """Compare the sizes of all pairs, which are read from the files' headers.

    Args:
        pairs: small and large pictures.
        scale: what must be between their sizes.
        patch: the least side of a large picture, in pixels.
        patch_option: what names it, for error messages.
        progress: show a bar if it takes long and the error stream is a terminal.

    Returns:
        the pairs that fit, and sentences about those that do not: one about files that cannot be
        read, one about sizes.
    """
    from tqdm import tqdm

    fitting, unfit, damaged = [], [], []
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        sizes = tqdm(
            pool.map(_pair_sizes, pairs, chunksize=64),
            "comparing sizes",
            len(pairs),
            unit="pair",
            delay=2,
            disable=None if progress else True,
        )
        for pair, found in zip(pairs, sizes, strict=True):
            if isinstance(found, str):
                damaged.append(found)
            elif _fits(pair, *found, scale, patch):
                fitting.append(pair)
            else:
                unfit.append((pair, *found))
    problems = []
    if damaged:
        rest = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        problems.append(f"files cannot be read: {'; '.join(damaged[:_NAMED])}{rest}")
    if unfit:
        option = f", or set a smaller {patch_option!r}" if patch else ""
        summed = _unfit_summary(unfit, len(pairs), scale, max(scale, patch), option)
        problems.append(summed)
    return fitting, problems


def _pair_sizes(pair: Pair) -> tuple[Size, Size] | str:
    """Return (height, width) of both pictures, or what is wrong with their files."""
    try:
        large = picture_size(pair.large)
        return (large if pair.small is None else picture_size(pair.small)), large
    except DataError as error:
        return str(error)


def _fits(pair: Pair, small: Size, large: Size, scale: int, patch: int) -> bool:
    if pair.small is None:
        return min(large) >= max(scale, patch)
    return large == (small[0] * scale, small[1] * scale) and min(large) >= patch


def _unfit_summary(
    unfit: Sequence[tuple[Pair, Size, Size]], total: int, scale: int, least: int, option: str
) -> str:
    """Return a sentence that names the first pairs, their sizes, and what to do."""
    named = []
    for pair, small, large in unfit[:_NAMED]:
        text = f"{pair.large} of {_shown(large)}"
        named.append(
            text if pair.small is None else f"{text} beside {pair.small} of {_shown(small)}"
        )
    rest = f" and {len(unfit) - _NAMED} more" if len(unfit) > _NAMED else ""
    made = all(pair.small is None for pair, *_ in unfit)
    ratios = {_ratio(small, large) for _, small, large in unfit}
    if made or ratios == {scale}:
        problem = f"have a side of less than {least} pixels"
        advice = f"leave these pictures out{option}"
    else:
        problem = f"differ in size otherwise than 'scale: {scale}' says"
        [ratio] = ratios if len(ratios) == 1 else [None]
        if ratio == 1:
            advice = (
                f"name a folder of pictures that are {scale} times smaller, or leave 'lq_folder' "
                "out, and they are made"
            )
        elif ratio is not None:
            advice = f"set 'scale: {ratio}', or name folders of pictures that fit scale {scale}"
        else:
            advice = (
                f"cut the large pictures to multiples of {scale} pixels and make the small ones "
                "anew: leave out 'lq_folder', which makes them on the fly, or see "
                "'ppzoo data patches --help'"
            )
    return f"{len(unfit)} of {total} pairs {problem}: {'; '.join(named)}{rest}; {advice}"


def _ratio(small: Size, large: Size) -> int | None:
    """Return how many times larger one size is than the other, if that is a whole number."""
    ratio = large[0] // max(1, small[0])
    return ratio if ratio > 0 and large == (small[0] * ratio, small[1] * ratio) else None


def _shown(size: Size) -> str:
    return f"{size[1]} x {size[0]} pixels"


def pictures_by_name(folder: str | os.PathLike[str], option: str) -> dict[Path, Path]:
    """Return the pictures of a folder or database by their paths in it, without suffix.

    Args:
        folder: the folder, or an LMDB database (`*.lmdb`).
        option: the option that names it, for error messages.

    Raises:
        DataError: there are none, or two differ in their suffix alone.
    """
    root = Path(folder).expanduser()
    if is_database(root):
        paths = list(list_pictures(root, option))
    else:
        try:
            paths = find_images(root, option=option)
        except DataError as error:
            raise DataError(f"{error}{how_to_get(folder)}") from error
    return paths_by_name(paths, root)


def _patch_size(preprocess: Sequence[Any], scale: int) -> int:
    """Return the side of the largest patch that steps cut from large pictures, or 0."""
    largest = 0
    for step in preprocess:
        for transform in getattr(step, "pipeline", ()):
            if isinstance(transform, SRPairedRandomCrop):
                if transform.scale != scale:
                    raise ConfigError(
                        f"SRDataset: 'scale' is {scale} but that of SRPairedRandomCrop is "
                        f"{transform.scale}"
                    )
                largest = max(largest, transform.gt_patch_size)
    return largest


def _making_steps(
    preprocess: Sequence[Any], scale: int
) -> tuple[list[Callable[..., Any]], list[Any]]:
    """Split steps behind the one that loads `gt`; the first part makes `lq` instead of loading."""
    loads = [step.key if isinstance(step, steps.LoadImageFromFile) else "" for step in preprocess]
    if "gt" not in loads:
        raise ConfigError(
            "SRDataset: without 'lq_folder', 'preprocess' must have a step LoadImageFromFile with "
            "'key: gt'"
        )
    last = loads.index("gt") + 1
    first = [step for step, key in zip(preprocess[:last], loads, strict=False) if key != "lq"]
    rest = [step for step, key in zip(preprocess[last:], loads[last:], strict=True) if key != "lq"]
    degrading = [step for step in rest if isinstance(step, Degrade)]
    for step in degrading:
        if step.scale != scale:
            raise ConfigError(f"SRDataset: 'scale' is {scale} but that of Degrade is {step.scale}")
    return [*first, _Shrink(scale, makes_lq=not degrading)], rest


class _Shrink:
    """Cut `gt` to a multiple of the scale and add `lq`, what is left of it after shrinking."""

    is_random = False

    def __init__(self, scale: int, makes_lq: bool) -> None:
        self.scale = scale
        self.makes_lq = makes_lq

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        height, width = (side - side % self.scale for side in sample["gt"].shape[:2])
        sample["gt"] = sample["gt"][:height, :width]
        if self.makes_lq:
            sample["lq"] = resize_bicubic(sample["gt"], 1 / self.scale)
        for key in ("gt", "lq")[: 1 + self.makes_lq]:
            sample[f"{key}_ori_shape"] = np.asarray(sample[key].shape, np.int64)
        return sample
