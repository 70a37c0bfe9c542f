# SPDX-License-Identifier: Apache-2.0
"""Films that show results beside each other on a page, as GIFs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.media.image import with_one_palette

_GAP = 6  # pixels between films
_LINE = 20  # pixels of a line of text


def side_by_side(films: Mapping[str, np.ndarray], upscale: int = 1) -> np.ndarray:
    """Return films beside each other, each under its title.

    Args:
        films: titles, and under each uint8 RGB [T, H, W, 3], all of one shape; several films under
            one title, [R, T, H, W, 3], stand one below the other.
        upscale: each pixel is repeated so often both ways.

    Returns:
        uint8 RGB [T, H', W', 3].

    Raises:
        ValueError: the films differ in shape.
    """
    from PIL import Image, ImageDraw, ImageFont

    shapes = {title: np.asarray(film).shape for title, film in films.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"films beside each other must have one shape, got {shapes}")
    stacked = [film if np.ndim(film) == 5 else film[np.newaxis] for film in films.values()]
    columns = np.stack(stacked, axis=1)  # [R, columns, T, H, W, 3]
    columns = columns.repeat(upscale, axis=3).repeat(upscale, axis=4)
    rows, count, frames, height, width, _ = columns.shape
    sheet = Image.new("RGB", (count * (width + _GAP) + _GAP, _LINE), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, title in enumerate(films):
        draw.text((_GAP + column * (width + _GAP), 2), title, fill="black", font=font)
    out = np.full((frames, _LINE + rows * (height + _GAP), sheet.width, 3), 255, np.uint8)
    out[:, :_LINE] = np.asarray(sheet)
    for row in range(rows):
        for column in range(count):
            y, x = _LINE + row * (height + _GAP), _GAP + column * (width + _GAP)
            out[:, y : y + height, x : x + width] = columns[row, column]
    return out


def write_gif(path: Path, frames: np.ndarray, fps: float) -> None:
    """Write a film as a GIF that begins again when it ends.

    All pictures have one palette, so that what stands still does not flicker.

    Args:
        path: of the new file.
        frames: uint8 RGB [T, H, W, 3].
        fps: frames per second; a GIF counts in hundredths of a second, so 25 and 20 are exact and
            30 is not.
    """
    pictures = with_one_palette(frames)
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(100 / fps) * 10,
        loop=0,
        disposal=1,
    )
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
