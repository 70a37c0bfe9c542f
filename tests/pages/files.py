# SPDX-License-Identifier: Apache-2.0
"""Pictures, films, sounds and public data sets, in small, for the commands on our pages."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ppzoo.faces import detector
from ppzoo.media.image import write_image

from ..data.test_mnist import idx
from ..data.videos import reds_names, write_frames
from ..media.video.clips import make_film, make_sound, tone

# Pictures of public sets, here as few.
COUNTS: Mapping[str, Mapping[str, int]] = {
    "facades": {"train": 2, "val": 1, "test": 2},
    "horse2zebra": {"trainA": 2, "trainB": 2, "testA": 2, "testB": 2},
    "selfie2anime": {"trainA": 2, "trainB": 2, "testA": 2, "testB": 2},
    "div2k": {"DIV2K_train_HR": 2},
}


class FaceDetector(detector.FaceDetector):
    """Finds the faces of `photo`, `group` and `film`, also where a tiny network has drawn them.

    Args:
        weights: are not looked at.
    """

    def __init__(self, weights: object = None) -> None:
        pass

    def _detect(self, images: list[np.ndarray]) -> list[list[detector.Face]]:
        return [
            [
                detector.Face((left + 0.3 * side, 0.2 * side, left + 0.7 * side, 0.6 * side), 0.9)
                for left in range(0, image.shape[1] - side + 1, side)
            ]
            for image in images
            for side in (image.shape[0],)
        ]


@functools.cache
def face() -> np.ndarray:
    """Return a photograph, uint8 [128, 128, 3], of a face that is found without weights."""
    import cv2
    from skimage import data

    return cv2.resize(data.astronaut()[:256, 96:352], (128, 128), interpolation=cv2.INTER_AREA)


def photo(path: Path) -> None:
    write_image(path, face())


def group(path: Path) -> None:
    write_image(path, np.hstack([face(), face()]))


def album(path: Path, count: int = 4, side: int = 128) -> None:
    picture = np.tile(face(), (side // 128, side // 128, 1))
    for number in range(count):
        write_image(path / f"{number}.png", np.roll(picture, 3 * number, axis=1))


def large_album(path: Path) -> None:
    """Write photographs with a wall that shows nothing but the camera's noise."""
    wall = np.random.default_rng(0).normal(120, 2, (128, 256, 3)).astype(np.uint8)
    for number in range(4):
        people = np.roll(np.hstack([face(), face()]), 3 * number, axis=1)
        write_image(path / f"{number}.png", np.vstack([people, wall]))


def huge_album(path: Path) -> None:
    album(path, count=2, side=512)


def film(path: Path, seconds: float = 0.32, enlarged: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = face().repeat(enlarged, axis=0).repeat(enlarged, axis=1)
    frames = [np.roll(picture, i % 8, axis=1) for i in range(round(25 * seconds))]
    make_film(path, pictures=frames, sound=(tone(seconds), 0))


def long_film(path: Path) -> None:
    film(path, seconds=1.2)


def small_film(path: Path) -> None:
    """Write a film that networks which enlarge sixteen times need not long for."""
    make_film(path, pictures=[np.ascontiguousarray(face()[40:72, 40 : 72 + 16])] * 3)


def small_photo(path: Path) -> None:
    write_image(path, np.ascontiguousarray(face()[40:72, 40:88]))


def sound(path: Path) -> None:
    make_sound(path, tone(1.2), codec="flac" if path.suffix == ".flac" else "pcm_s16le")


def films(path: Path) -> None:
    for name in "ab":
        film(path / f"{name}.mp4", seconds=2.2, enlarged=2)


def short_films(path: Path) -> None:
    for name in "ab":
        long_film(path / f"{name}.mp4")


def pairs(path: Path, count: int = 2) -> None:
    for number in range(count):
        write_image(path / f"{number}.png", np.hstack([face(), 255 - face()]))


def nothing_handed_in(path: Path) -> None:
    """Make a folder of submissions, which are graded at once."""
    (path / "a_student").mkdir(parents=True)


def repository(path: Path) -> None:
    """Write what a student hands in."""
    for name in ("README.md", "requirements.txt", "day1/day1.md", "day2/day2.md"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("text\n", encoding="utf-8")


def clone(path: Path) -> None:
    """Make a folder look like a clone of a repository, unless it does."""
    if not (path / ".git").exists():
        address = "https://localhost/ppzoo.git"
        for command in (["init", "-q"], ["remote", "add", "origin", address]):
            subprocess.run(["git", *command], cwd=path, check=True)
        saved = ["commit", "-q", "--allow-empty", "-m", "All of it"]
        subprocess.run(["git", *saved], cwd=path, check=True)


def public_set(path: Path, name: str) -> None:
    """Write one of the sets of `COUNTS`."""
    for folder, count in COUNTS[name].items():
        if name == "facades":
            pairs(path / folder, count)
        else:
            album(path / folder, count, 256 if name == "div2k" else 128)


def training_data(data: Path) -> None:
    """Write what full-size configs are trained on and pages do not make."""
    draw = np.random.default_rng(0)
    (data / "mnist").mkdir(parents=True)
    for part, count in (("train", 32), ("t10k", 8)):
        images = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (data / f"mnist/{part}-images-idx3-ubyte").write_bytes(idx(images))
        (data / f"mnist/{part}-labels-idx1-ubyte").write_bytes(idx(labels))

    public_set(data / "facades", "facades")
    public_set(data / "selfie2anime", "selfie2anime")

    album(data / "DIV2K/DIV2K_train_HR_sub", 2)
    album(data / "Set14/GTmod12", 1)
    for folder in ("DIV2K/DIV2K_train_LR_bicubic/X4_sub", "Set14/LRbicx4"):
        for number in range(2 if "DIV2K" in folder else 1):
            small = np.roll(face(), 3 * number, axis=1)[::4, ::4]
            write_image(data / folder / f"{number}.png", np.ascontiguousarray(small))

    clips, names = ("000", "001", "011", "015", "020"), reds_names(10)
    reds = data / "REDS"
    for clip in clips:
        part = "train_sharp" if clip == "001" else "REDS4_test_sharp"
        for kind, size in (("/X4", (256, 256)), ("_bicubic/X4", (64, 64))):
            write_frames(reds / (part + kind), clip, names, size)
    lines = [f"{clip}/{name} (256, 256, 3)\n" for clip in clips for name in names]
    (reds / "meta_info_REDS_GT.txt").write_text("".join(lines), encoding="utf-8")
