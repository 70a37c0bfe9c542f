# SPDX-License-Identifier: Apache-2.0
"""Draw the front page's pictures from those of the proofs: python tools/showcase.py

Writes docs/pictures/banner.png and, for each family, docs/pictures/NAME.png, cut out of
docs/models/*.png. The seconds in the banner are those that docs/models/*.json record.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from ppzoo.media.image import read_image, write_image  # noqa: E402

MODELS = ROOT / "docs" / "models"
PICTURES = ROOT / "docs" / "pictures"

_PANEL = 232  # pixels, each side of what the banner shows of a family
_GAP = 8
_CAPTION = 46
_THUMBNAIL = 80  # pixels, each of the two squares of a small picture

Cut = Callable[[np.ndarray], list[list[np.ndarray]]]


def _tiles(step: int, first: int, side: int, places: list[list[tuple[int, int]]]) -> Cut:
    """Return what cuts squares out of a grid: rows of (row, column), counted from 0."""

    def cut(picture: np.ndarray) -> list[list[np.ndarray]]:
        return [
            [picture[first + step * y :, first + step * x :][:side, :side] for y, x in row]
            for row in places
        ]

    return cut


def _boxes(places: list[list[tuple[int, int]]], height: int, width: int) -> Cut:
    """Return what cuts boxes out of a picture: rows of (top, left), in pixels."""

    def cut(picture: np.ndarray) -> list[list[np.ndarray]]:
        return [[picture[y : y + height, x : x + width] for y, x in row] for row in places]

    return cut


def _enlargements(ours: int, top: int, left: int, size: int) -> Cut:
    """Return what shows bicubic beside column `ours` of a table of enlarged pictures."""
    return _boxes([[(top, 8 + left), (top, 8 + 232 * ours + left)]], size, size)


# Squares of digits, photographs and what became of them, figures: as tools/prove.py draws them.
_DIGITS = _tiles(58, 2, 56, [[(y, x) for x in range(4)] for y in range(2)])
_CARTOON = _tiles(130, 2, 128, [[(0, 8), (1, 8)]])
_SHARPER = _enlargements(1, top=90, left=20, size=112)
THUMBNAILS: dict[str, Cut] = {
    "dcgan": _DIGITS,
    "lsgan": _DIGITS,
    "wgan": _DIGITS,
    "wgangp": _DIGITS,
    "cgan": _tiles(58, 2, 56, [[(y, 0) for y in range(4)], [(y, 0) for y in range(4, 8)]]),
    "pix2pix": _CARTOON,
    "cyclegan": _CARTOON,
    "ugatit": _tiles(130, 2, 128, [[(0, 1), (1, 1)]]),
    "srgan": _SHARPER,
    "esrgan": _SHARPER,
    "rcan": _SHARPER,
    "realsr": _SHARPER,
    "edvr": _enlargements(2, top=300, left=70, size=112),
    "firstorder": _tiles(66, 2, 64, [[(10, 4), (11, 4)]]),
    "syncnet": _boxes([[(368, 0), (368, 488)]], 96, 96),
    "wav2lip": _boxes([[(136, 768), (252, 768)]], 96, 96),
}
BANNER: dict[str, tuple[str, Cut]] = {
    "cgan": ("Conditional GAN", _tiles(58, 2, 56, [[(y, x) for x in range(4)] for y in range(4)])),
    "pix2pix": ("pix2pix", _tiles(130, 2, 128, [[(0, 8), (0, 9)], [(1, 8), (1, 9)]])),
    "edvr": ("EDVR x4", _boxes([[(276, 38), (276, 502)]], 224, 112)),
    "firstorder": (
        "First Order Motion",
        _tiles(66, 2, 64, [[(y, x) for x in range(4)] for y in range(2, 6)]),
    ),
    "wav2lip": ("Wav2Lip", _boxes([[(136, 672), (136, 768)], [(252, 672), (252, 768)]], 96, 96)),
}


def _arranged(rows: list[list[np.ndarray]], height: int, width: int, gap: int) -> np.ndarray:
    """Return pictures in rows and columns on white, shrunk or enlarged to fill the size."""
    from PIL import Image

    sheet = Image.new("RGB", (width, height), "white")
    h = (height - gap * (len(rows) - 1)) // len(rows)
    for y, row in enumerate(rows):
        w = (width - gap * (len(row) - 1)) // len(row)
        for x, part in enumerate(row):
            square = Image.fromarray(np.ascontiguousarray(part))
            sheet.paste(
                square.resize((w, h), Image.Resampling.LANCZOS), (x * (w + gap), y * (h + gap))
            )
    return np.asarray(sheet)


def draw_thumbnail(name: str) -> np.ndarray:
    """Return the small picture of a family, uint8 RGB [80, 162, 3]."""
    rows = THUMBNAILS[name](read_image(MODELS / f"{name}.png"))
    return _arranged(rows, _THUMBNAIL, 2 * _THUMBNAIL + 2, 2)


def draw_banner() -> np.ndarray:
    """Return what five families learnt, with the seconds that it took, uint8 RGB [H, W, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    width = len(BANNER) * (_PANEL + _GAP) - _GAP
    sheet = Image.new("RGB", (width, _PANEL + _CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (name, (title, cut)) in enumerate(BANNER.items()):
        left = place * (_PANEL + _GAP)
        panel = _arranged(cut(read_image(MODELS / f"{name}.png")), _PANEL, _PANEL, 2)
        sheet.paste(Image.fromarray(panel), (left, 0))
        row = json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8"))
        draw.text((left, _PANEL + 4), title, fill="black", font=ImageFont.load_default(17))
        seconds = f"{row['seconds']:.0f} s"
        draw.text((left, _PANEL + 25), seconds, fill="#666666", font=ImageFont.load_default(14))
    return np.asarray(sheet)


def pictures() -> Iterator[tuple[str, np.ndarray]]:
    """Yield the names of all pictures, and the pictures."""
    yield "banner", draw_banner()
    for name in THUMBNAILS:
        yield name, draw_thumbnail(name)


def main() -> None:
    """Write all pictures."""
    for name, picture in pictures():
        path = PICTURES / f"{name}.png"
        write_image(path, picture)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
