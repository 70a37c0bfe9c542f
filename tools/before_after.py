# SPDX-License-Identifier: Apache-2.0
"""Pictures that show results beside each other, with PSNR and SSIM under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ppzoo.metrics.psnr import calculate_psnr
from ppzoo.metrics.ssim import calculate_ssim

_GAP = 8  # pixels between pictures
_LINE = 22  # pixels of a line of text
_BORDER = 4  # pixels that figures leave out at each edge, as papers on super-resolution do


def comparison(
    columns: Mapping[str, Sequence[np.ndarray]], side: int = 112, upscale: int = 2
) -> np.ndarray:
    """Return a table of pictures: a row for each, a column for what was done with it.

    Of each picture the square with the most detail is shown. PSNR and SSIM, of luma and of the
    whole picture, are written under each; the last column is the truth.

    Args:
        columns: titles, and under each uint8 RGB pictures [H, W, 3] in one order; pictures of one
            row have one size.
        side: of the squares, in pixels.
        upscale: each pixel is repeated so often both ways.

    Returns:
        uint8 RGB [H, W, 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    titles = list(columns)
    truths = columns[titles[-1]]
    cell = side * upscale
    width = len(titles) * (cell + _GAP) + _GAP
    sheet = Image.new("RGB", (width, _LINE + len(truths) * (cell + _LINE + _GAP) + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column, title in enumerate(titles):
        x = _GAP + column * (cell + _GAP)
        draw.text((x, 3), title, fill="black", font=font)
        for row, (picture, truth) in enumerate(zip(columns[title], truths, strict=True)):
            y = _LINE + row * (cell + _LINE + _GAP)
            top, left = _most_detailed(truth, side)
            square = picture[top : top + side, left : left + side]
            enlarged = square.repeat(upscale, axis=0).repeat(upscale, axis=1)
            sheet.paste(Image.fromarray(np.ascontiguousarray(enlarged)), (x, y))
            draw.text((x, y + cell + 2), _figures(picture, truth), fill="black", font=font)
    return np.asarray(sheet)


def _figures(picture: np.ndarray, truth: np.ndarray) -> str:
    if picture is truth:
        return "PSNR / SSIM"
    psnr = calculate_psnr(picture, truth, _BORDER, test_y_channel=True)
    ssim = calculate_ssim(picture, truth, _BORDER, test_y_channel=True)
    return f"{psnr:.2f} dB / {ssim:.3f}"


def _most_detailed(picture: np.ndarray, side: int) -> tuple[int, int]:
    """Return top and left of the square whose levels vary most, on a grid of half its side."""
    height, width = picture.shape[:2]
    step = max(1, side // 2)
    places = [
        (top, left)
        for top in range(0, max(1, height - side + 1), step)
        for left in range(0, max(1, width - side + 1), step)
    ]
    return max(
        places,
        key=lambda place: (
            picture[place[0] : place[0] + side, place[1] : place[1] + side].std(axis=(0, 1)).max()
        ),
    )
