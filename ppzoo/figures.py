# SPDX-License-Identifier: Apache-2.0
"""Figures for notebooks: curves of runs, tables of pictures, and films that play where they stand.

Curves and pictures are drawn as pyplot figures, so a notebook shows them below the cell that asks
for them, and `matplotlib.pyplot.gcf()` in the same cell gets the figure to change or to save it.

Titles and labels in Chinese need a font that has the characters: where Matplotlib knows one of
`CHINESE_FONTS`, curves and pictures use it for what its own font lacks; elsewhere it warns "Glyph
missing" and draws boxes, until such a font is installed (and Python started anew). Films are
lettered in Pillow's own font, which has Latin letters only.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppzoo.errors import MissingExtraError
from ppzoo.media.image import with_one_palette

# Okabe & Ito's colours, which the colour-blind tell apart, the darker ones first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Families that come with Linux, Windows and macOS, or are installed for Chinese.
CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei",
    "PingFang SC", "Hiragino Sans GB", "Heiti TC", "Arial Unicode MS", "Noto Sans CJK JP",
)  # fmt: skip
# Printed in grey, or where colours fail nevertheless.
_LINES = ("-", "--", "-.", ":")
_INCH = 72  # points an inch: one pixel of a figure at this resolution
_LABEL_WIDTH = 0.085  # inches a letter of a row's title
# Of films, in pixels: between them, and the size of letters.
_GAP, _LETTERS = 6, 13


def draw_curves(
    panels: Mapping[str, Mapping[str, tuple[Any, Any]]],
    *,
    xlabel: str = "step",
    log: Sequence[str] = (),
    smooth: int = 1,
) -> None:
    """Draw curves, a panel for each entry, side by side.

    Args:
        panels: for each panel's title its curves by label, each (x, y), such as a `Curve`.
        xlabel: what x is.
        log: titles of the panels whose y axis is logarithmic, if they are there.
        smooth: each point is the mean of this many before it; 1 draws what was measured.

    Raises:
        ValueError: no panels, or `smooth` is less than 1.
        MissingExtraError: matplotlib is not installed.
    """
    if not panels or smooth < 1:
        raise ValueError(f"expected panels, and smooth of at least 1; got {len(panels)}, {smooth}")
    plt = _pyplot()
    with plt.rc_context(_fonts()):
        _draw_panels(plt, panels, xlabel, log, smooth)


def _draw_panels(
    plt: Any,
    panels: Mapping[str, Mapping[str, tuple[Any, Any]]],
    xlabel: str,
    log: Sequence[str],
    smooth: int,
) -> None:
    figure, axes = plt.subplots(
        1, len(panels), figsize=(min(12.0, 4.2 * len(panels)), 2.9), dpi=80, squeeze=False
    )
    for axis, (title, curves) in zip(axes[0], panels.items(), strict=True):
        for index, (label, (x, y)) in enumerate(curves.items()):
            x, y = np.asarray(x), _running_mean(np.asarray(y, np.float64), smooth)
            style = {"color": COLOURS[index % len(COLOURS)], "ls": _LINES[index % len(_LINES)]}
            marker = "o" if len(x) <= 12 else None
            axis.plot(x, y, label=label, marker=marker, markersize=4, linewidth=1.6, **style)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel(xlabel)
        if title in log:
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if len(curves) > 1 or next(iter(curves), ""):
            axis.legend(fontsize=9, frameon=False)
    figure.tight_layout()


def draw_pictures(
    rows: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    *,
    height: float = 1.1,
) -> None:
    """Draw a table of pictures, a row for each entry, its title on the left.

    Args:
        rows: for each row's title its pictures, uint8 [H, W], [H, W, 1] or RGB [H, W, 3]. Pictures
            of different sizes are drawn equally high.
        titles: of the columns; none by default.
        height: of a row in inches.

    Raises:
        ValueError: no pictures, or more titles than columns.
        MissingExtraError: matplotlib is not installed.
    """
    pictures = {title: [_plain(picture) for picture in row] for title, row in rows.items()}
    columns = max((len(row) for row in pictures.values()), default=0)
    if not columns or len(titles) > columns:
        raise ValueError(f"{len(titles)} titles for {columns} columns of {len(pictures)} rows")
    plt = _pyplot()
    with plt.rc_context(_fonts()):
        _draw_table(plt, pictures, titles, columns, height)


def _draw_table(
    plt: Any,
    pictures: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str],
    columns: int,
    height: float,
) -> None:
    widths = [
        max(row[i].shape[1] / row[i].shape[0] for row in pictures.values() if i < len(row))
        for i in range(columns)
    ]
    margin = 0.1 + _LABEL_WIDTH * max(len(title) for title in pictures)
    top = 0.3 if titles else 0.05
    size = (margin + height * sum(widths), top + height * len(pictures))
    figure, axes = plt.subplots(
        len(pictures),
        columns,
        figsize=size,
        dpi=80,
        squeeze=False,
        gridspec_kw={"width_ratios": widths, "wspace": 0.04, "hspace": 0.04},
    )
    figure.subplots_adjust(left=margin / size[0], right=0.995, bottom=0.01, top=1 - top / size[1])
    for line, (title, row) in zip(axes, pictures.items(), strict=True):
        for axis in line:
            axis.axis("off")
        for axis, picture in zip(line, row, strict=False):
            # Digits of 28 pixels stay squares where they are enlarged, photographs stay smooth.
            enlarged = picture.shape[0] < height * _INCH
            axis.imshow(
                picture,
                cmap="gray",
                vmin=0,
                vmax=255,
                interpolation="nearest" if enlarged else "antialiased",
            )
        place = line[0].get_position()
        middle = (place.y0 + place.y1) / 2
        left = (margin - 0.08) / size[0]
        figure.text(left, middle, title, ha="right", va="center", fontsize=10)
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, fontsize=10, pad=4)


def draw_film(
    rows: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    *,
    fps: float = 12,
    height: int = 96,
    colours: int = 128,
) -> None:
    """Show a table of films that play side by side and begin again, a row for each entry.

    It is an animated PNG: notebooks show it, also where they are only read, as on the pages of
    repositories, which show GIFs and videos as the name of a type. Sound it has none.

    Args:
        rows: for each row's title its films, uint8 RGB [T, H, W, 3], all of T frames, or pictures
            [H, W, 3], which stand still.
        titles: of the columns; none by default.
        fps: frames per second.
        height: of each film in pixels. Films are made larger or smaller to have it.
        colours: of all films together, 2 to 256; fewer make a smaller file.

    Raises:
        ValueError: no film, films of different lengths, more titles than columns, `fps` or
            `height` is not positive, or `colours` is out of range.
        MissingExtraError: IPython is not installed.
    """
    if not (fps > 0 and height > 0):
        raise ValueError(f"fps and height must be positive, got {fps} and {height}")
    if not 2 <= colours <= 256:
        raise ValueError(f"colours must lie between 2 and 256, got {colours}")
    try:
        from IPython.display import Image, display
    except ImportError as error:
        raise MissingExtraError("ipython", "course", "showing films") from error
    pictures = with_one_palette(_sheets(rows, titles, height), colours)
    file = io.BytesIO()
    duration = round(1000 / fps)
    pictures[0].save(
        file, "PNG", save_all=True, append_images=pictures[1:], duration=duration, loop=0
    )
    display(Image(file.getvalue(), format="png"))


def _sheets(
    rows: Mapping[str, Sequence[np.ndarray]], titles: Sequence[str], height: int
) -> np.ndarray:
    """Return the frames [T, H, W, 3] of a table of films."""
    from PIL import Image, ImageDraw, ImageFont

    films = [[_film(film) for film in row] for row in rows.values()]
    lengths = {len(film) for row in films for film in row if len(film) != 1}
    columns = max((len(row) for row in films), default=0)
    if columns and not lengths:
        raise ValueError("expected films of two frames or more, got pictures only: nothing moves")
    if len(lengths) != 1 or len(titles) > columns:
        raise ValueError(
            f"expected films of one length in at least {len(titles)} columns, got films of "
            f"{sorted(lengths)} frames in {columns} columns"
        )
    films = [[np.stack([_scaled(f, height) for f in film]) for film in row] for row in films]
    widths = [max(row[i].shape[2] for row in films if i < len(row)) for i in range(columns)]
    font = ImageFont.load_default(_LETTERS)
    for column, title in enumerate(titles):
        widths[column] = max(widths[column], round(font.getlength(title)))
    left = max(round(font.getlength(title)) for title in rows) + 2 * _GAP
    top = _GAP + (_LETTERS + _GAP if titles else 0)
    lefts = left + np.cumsum([0, *(width + _GAP for width in widths)])
    sheet = Image.new("RGB", (int(lefts[-1]), top + len(films) * (height + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for x, width, title in zip(lefts, widths, titles, strict=False):
        draw.text((x + width / 2, top - _GAP), title, fill="black", font=font, anchor="md")
    made = []
    for number, title in enumerate(rows):
        middle = top + number * (height + _GAP) + height / 2
        draw.text((left - _GAP, middle), title, fill="black", font=font, anchor="rm")
    for moment in range(lengths.pop()):
        frame = np.array(sheet)
        for number, row in enumerate(films):
            y = top + number * (height + _GAP)
            for x, width, film in zip(lefts, widths, row, strict=False):
                x += (width - film.shape[2]) // 2
                frame[y : y + height, x : x + film.shape[2]] = film[min(moment, len(film) - 1)]
        made.append(frame)
    return np.stack(made)


def _film(film: Any) -> np.ndarray:
    """Return a film [T, H, W, 3], of one frame if it is a picture."""
    film = np.asarray(film)
    if film.dtype != np.uint8 or film.ndim not in (3, 4) or film.shape[-1] != 3 or film.size == 0:
        raise ValueError(
            f"expected films uint8 [T, H, W, 3] or pictures [H, W, 3], got {film.dtype} with the "
            f"shape {list(film.shape)}"
        )
    return film if film.ndim == 4 else film[np.newaxis]


def _scaled(picture: np.ndarray, height: int) -> np.ndarray:
    from PIL import Image

    before, width = picture.shape[:2]
    # Pixels that are repeated stay sharp, and cost little.
    how = Image.Resampling.LANCZOS if height % before else Image.Resampling.NEAREST
    size = (max(1, round(width * height / before)), height)
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, how))


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    if window == 1 or not len(values):
        return values
    # Each window by itself, and no difference of sums over all values before: a NaN or a huge value
    # would be felt until the end.
    sums = np.convolve(values, np.ones(window))[: len(values)]
    return sums / np.minimum(np.arange(1, len(values) + 1), window)


def _plain(picture: Any) -> np.ndarray:
    picture = np.asarray(picture)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    is_shape = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[-1] == 3)
    if picture.dtype != np.uint8 or not is_shape or picture.size == 0:
        raise ValueError(
            f"expected uint8 pictures [H, W], [H, W, 1] or [H, W, 3], got {picture.dtype} with the "
            f"shape {list(picture.shape)}"
        )
    return picture


def _fonts() -> dict[str, Any]:
    """Return Matplotlib's settings with fonts of Chinese behind the fonts that are set."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    family = matplotlib.rcParams["font.family"]
    return {"font.family": [*family, *(name for name in CHINESE_FONTS if name in known)]}


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtraError("matplotlib", "course", "drawing figures") from error
    return plt
