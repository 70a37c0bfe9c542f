# SPDX-License-Identifier: Apache-2.0
"""Public datasets of pictures: where they are, and what is in them when all is there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ppzoo.data.archive import extract_archive
from ppzoo.data.folder import find_images
from ppzoo.download import cache_dir, download
from ppzoo.errors import ConfigError, DataError


@dataclass(frozen=True)
class Source:
    """A public dataset.

    Args:
        about: what it is, and who made it.
        terms: its licence, as its makers state it.
        pictures: how many pictures each folder has; `.` is the dataset's own folder.
        file: the archive's name in the cache.
        urls: where the archive is; none where its makers want it fetched by hand.
        sha256: of the archive; where nobody publishes one, the pictures are counted.
        by_hand: how to get it where there is no address.
        into: the folder in the dataset's own that the archive's files belong into.
    """

    about: str
    terms: str
    pictures: Mapping[str, int]
    file: str = ""
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    by_hand: str = ""
    into: str = ""


SOURCES = {
    "facades": Source(
        about="606 house fronts (left) with their plans (right), 512 x 256 (CMP Facade Database)",
        terms="for research",
        pictures={"train": 400, "val": 100, "test": 106},
        file="facades.tar.gz",
        urls=(
            "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets/facades.tar.gz",
            "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/facades.tar.gz",
        ),
    ),
    "horse2zebra": Source(
        about="1187 horses and 1474 zebras, 256 x 256 (from ImageNet, chosen for CycleGAN)",
        terms="for research",
        pictures={"trainA": 1067, "trainB": 1334, "testA": 120, "testB": 140},
        file="horse2zebra.zip",
        urls=(
            "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/horse2zebra.zip",
            "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/horse2zebra.zip",
        ),
        sha256="a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
    ),
    "cartoon_set": Source(
        about="10000 drawn heads, 500 x 500 (Cartoon Set of Google, https://google.github.io/cartoonset)",
        terms="CC BY 4.0",
        pictures={".": 10000},
        file="cartoonset10k.tgz",
        urls=(
            "https://storage.googleapis.com/storage/v1/b/cartoonset_public_files/o/"
            "cartoonset10k.tgz?alt=media",
            "https://huggingface.co/datasets/cgarciae/cartoonset/resolve/1.0.0/data/"
            "cartoonset10k.tgz",
        ),
    ),
    "selfie2anime": Source(
        about="3500 selfies and 3500 faces of anime, 256 x 256 (made for U-GAT-IT)",
        terms="licence not stated",
        pictures={"trainA": 3400, "trainB": 3400, "testA": 100, "testB": 100},
        by_hand=(
            "its makers offer selfie2anime.zip through Google Drive, for browsers only: "
            "https://drive.google.com/file/d/1xOWj1UVgp6NKMT3HbPhBbtq2A4EDkghF/view"
        ),
    ),
    "cityscapes": Source(
        about="2975 + 500 street scenes (left) with their classes (right), 512 x 256",
        terms="for research, after registration; may not be passed on",
        pictures={"train": 2975, "test": 500},
        by_hand=(
            "its licence forbids passing it on: register at https://www.cityscapes-dataset.com, "
            "fetch leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, and make pairs of "
            "the pictures *_leftImg8bit.png (left) and *_gtFine_color.png (right), each shrunk to "
            "256 x 256: those of its part 'train' into train, those of 'val' into test (for "
            "CycleGAN, the halves into trainA, trainB, testA, testB)"
        ),
    ),
    "div2k": Source(
        about="800 photographs of two megapixels and more, for training (DIV2K, NTIRE 2017)",
        terms="for research",
        pictures={"DIV2K_train_HR": 800},
        into="DIV2K_train_HR",
        file="DIV2K_train_HR.zip",
        urls=(
            "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip",
            "http://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip",
        ),
    ),
}

# Datasets of video, see video_sources.py.
_VIDEOS = ("reds", "vimeo90k")


def fetch_dataset(
    name: str,
    out: str | os.PathLike[str],
    archive: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> int:
    """Fetch a public dataset, or unpack one that was fetched by hand.

    The archive is kept in the cache, see `ppzoo.download.cache_dir`.

    Args:
        name: a key of `SOURCES`.
        out: the folder to make.
        archive: the dataset's archive, where it was fetched by other means.
        progress: show bars, if the error stream is a terminal.

    Returns:
        the number of pictures in `out`.

    Raises:
        ConfigError: an unknown name.
        DataError: the dataset has to be fetched by hand, its archive is damaged, or pictures are
            missing; or `out` holds something else.
        UserError: it cannot be downloaded.
    """
    if name not in SOURCES:
        raise ConfigError(f"there is no dataset {name!r} to fetch, only {', '.join(SOURCES)}")
    source, out = SOURCES[name], Path(out).expanduser()
    total, place = sum(source.pictures.values()), out / source.into
    if not missing_pictures(source, out):
        return total
    if archive is None:
        if not source.urls:
            raise DataError(
                f"{name} ({source.about}; {source.terms}) cannot be fetched from here: "
                f"{source.by_hand}. Put the pictures into {_layout(source, out)}"
                ", or name the archive with --archive FILE"
            )
        # What is in the way is better told before a long download.
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise DataError(
                f"{place} is there already but is not {name}: {missing_pictures(source, out)}; "
                "choose another folder or remove that one"
            )
        url, *mirrors = source.urls
        archive = download(
            url, cache_dir() / "datasets" / source.file, source.sha256, mirrors, progress
        )

    def check(folder: Path) -> None:
        counts = {
            os.path.relpath(name, source.into or "."): n for name, n in source.pictures.items()
        }
        problem = missing_pictures(replace(source, pictures=counts), folder)
        if problem:
            raise DataError(
                f"{archive} is not the whole of {name}, so it was not used: {problem}; remove it "
                "and fetch it again"
            )

    extract_archive(archive, place, check=check, progress=progress)
    return total


def missing_pictures(source: Source, out: Path) -> str:
    """Return what of a dataset is missing in a folder, in words; nothing if all is there."""
    problems = []
    for folder, wanted in source.pictures.items():
        try:
            there = len(find_images(out / folder))
        except DataError:
            there = 0
        if there < wanted:
            problems.append(f"{folder} has {there} of {wanted} pictures")
    return ", ".join(problems)


def how_to_get(folder: str | os.PathLike[str]) -> str:
    """Return how to make a folder of the name that our configs give it, to end a sentence with."""
    for place in (Path(folder), *Path(folder).parents):
        if place.name == "cartoon":
            return f"; make it: ppzoo data prepare cartoon --photos DIR --out {place}"
        if place.name in ("frames", "frames_test"):
            return f"; make it: ppzoo data prepare frames --videos DIR --out {place}"
        if place.name in ("DF2K", "DPED"):
            return (
                f"; make it of your own photographs: ppzoo data degrade --input DIR --out {place} "
                f"--noise-from DIR, and name {place}/gt, {place}/lq and {place}/noise in the config"
            )
        if place.name == "DIV2K" and "_sub" in str(folder):
            named = re.search(r"X(\d)_sub", str(folder))
            factor = named[1] if named else "4"
            return (
                f"; make it: ppzoo data prepare div2k --out {place}, then "
                f"ppzoo data patches --input {place / 'DIV2K_train_HR'} "
                f"--out {place / 'DIV2K_train_HR_sub'} --scale {factor} "
                f"--small-out {place / 'DIV2K_train_LR_bicubic' / f'X{factor}_sub'}"
            )
        if place.name in SOURCES:
            return f"; get it: ppzoo data prepare {place.name} --out {place}"
        if place.name.lower() in _VIDEOS:
            return f"; get it: ppzoo data prepare {place.name.lower()} --out {place}"
    return ""


def _layout(source: Source, out: Path) -> str:
    return ", ".join(f"{out / folder} ({count})" for folder, count in source.pictures.items())
