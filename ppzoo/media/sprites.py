# SPDX-License-Identifier: Apache-2.0
"""Figures that stand in a pose: drawing them, and seeing in a picture what pose it shows.

A figure has a body, a head that shows where it looks, and two arms; it stands before a background
that does not move. All of a clip is drawn from the number of the clip.
"""

from __future__ import annotations

import colorsys
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

# Least and greatest values of the pose: place of the body's middle (x, y) in [-1, 1], turn and the
# arms' angles against hanging down in radians, height in heights of the picture.
_POSE = {
    "x": (-0.45, 0.45),
    "y": (-0.15, 0.25),
    "turn": (-0.6, 0.6),
    "height": (1.1, 1.4),
    "left": (0.2, 2.4),
    "right": (0.2, 2.4),
}
POSE = tuple(_POSE)
# Of `cv2`: coordinates have this many binary digits behind the point.
_DIGITS = 6
_FRAMES_PER_TURN = (16.0, 40.0)


class Figure(NamedTuple):
    """What a clip shows, colours RGB 0..255, sizes in heights of the figure.

    Args:
        body: colour of the body's upper half.
        legs: of its lower half.
        skin: of head and arms.
        sky: of the upper edge of the background.
        ground: of its lower edge.
        spots: of the background: (x, y, radius) in [-1, 1] and a colour each.
        wide: half the width of the shoulders.
        narrow: of the hips.
        head: radius.
        arm: length.
    """

    body: tuple[float, ...]
    legs: tuple[float, ...]
    skin: tuple[float, ...]
    sky: tuple[float, ...]
    ground: tuple[float, ...]
    spots: tuple[tuple[float, float, float, tuple[float, ...]], ...]
    wide: float
    narrow: float
    head: float
    arm: float


def figure(clip: int) -> Figure:
    """Return the figure of a clip, always the same."""
    random = np.random.RandomState((clip, 733))
    hue, away = random.uniform(), random.uniform(0.25, 0.75)
    spots = tuple(
        (
            *random.uniform(-1, 1, 2),
            random.uniform(0.1, 0.3),
            colour_near(random, hue + 0.5, 0.4, 0.7),
        )
        for _ in range(4)
    )
    return Figure(
        body=colour_near(random, hue, 0.8, 0.9),
        legs=colour_near(random, hue + away, 0.8, 0.6),
        skin=colour_near(random, 0.07, random.uniform(0.3, 0.7), random.uniform(0.5, 1.0)),
        sky=colour_near(random, hue + 0.5, 0.3, 0.9),
        ground=colour_near(random, hue + 0.4, 0.4, 0.4),
        spots=spots,
        wide=random.uniform(0.13, 0.2),
        narrow=random.uniform(0.07, 0.12),
        head=random.uniform(0.1, 0.14),
        arm=random.uniform(0.24, 0.32),
    )


def poses(clip: int, frames: int) -> np.ndarray:
    """Return the poses [frames, 6] of a clip, in the order of `POSE`; they change smoothly."""
    random = np.random.RandomState((clip, 911))
    columns = []
    for low, high in _POSE.values():
        way = np.zeros(frames)
        # Two sines that do not keep step, so that poses do not come again.
        for weight in (0.7, 0.3):
            rate = 2 * np.pi / random.uniform(*_FRAMES_PER_TURN)
            way += weight * np.sin(random.uniform(0, 2 * np.pi) + rate * np.arange(frames))
        columns.append(low + (high - low) * (way + 1) / 2)
    return np.stack(columns, axis=1).astype(np.float32)


def draw(figure: Figure, pose: Sequence[float], size: int) -> np.ndarray:
    """Return a picture of a figure, uint8 RGB [size, size, 3]."""
    picture = _background(figure, size).copy()
    x, y, turn, height, left, right = (float(value) for value in pose)
    scale = height * size / 2
    middle = np.array([(x + 1) * (size - 1) / 2, (y + 1) * (size - 1) / 2])
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])

    def fill(points: Any, colour: tuple[float, ...]) -> None:
        fill_polygon(picture, np.asarray(points) @ turned * scale + middle, colour)

    f = figure
    top, waist, bottom = -0.3, 0.1, 0.55
    fill([(-f.narrow, waist), (f.narrow, waist), (1.5 * f.narrow, bottom), (0.02, bottom),
          (0, waist + 0.12), (-0.02, bottom), (-1.5 * f.narrow, bottom)], f.legs)  # fmt: skip
    fill([(-f.wide, top), (f.wide, top), (f.narrow, waist), (-f.narrow, waist)], f.body)
    for side, angle in ((-1, left), (1, right)):
        shoulder = np.array([side * f.wide, top + 0.03])
        along = np.array([side * math.sin(angle), math.cos(angle)])
        across = 0.04 * np.array([-along[1], along[0]])
        end = shoulder + f.arm * along
        fill([shoulder - across, shoulder + across, end + across, end - across], f.skin)
        fill(circle(*end, 0.06), f.skin)
    centre = top - f.head - 0.02
    fill(circle(0, centre, f.head), f.skin)
    for side in (-1, 1):
        fill(circle(side * 0.4 * f.head, centre - 0.1 * f.head, 0.2 * f.head), (20.0, 20.0, 30.0))
    fill(circle(0, centre + 0.5 * f.head, 0.18 * f.head), (150.0, 40.0, 50.0))
    return picture


def fit_poses(figure: Figure, film: np.ndarray, start: Sequence[float]) -> np.ndarray:
    """Return the poses [T, 6] in which a drawing of the figure is most like the pictures of a film.

    What else is known of the film plays no part: each fit (least squares of the differences of
    slightly blurred pictures) begins with the pose of the picture before. So motions from one
    picture to the next must be small, and `start` near the first one.

    Args:
        figure: who is shown.
        film: uint8 RGB [T, size, size, 3].
        start: a pose.
    """
    from scipy.optimize import least_squares

    size = film.shape[1]
    steps = np.array(_FIT_STEPS) * 64 / size

    def look(pose: np.ndarray) -> np.ndarray:
        return _blurred(draw(figure, pose, size)).ravel()

    def slopes(pose: np.ndarray) -> np.ndarray:
        sides = [(look(pose + step), look(pose - step)) for step in np.diag(steps)]
        return np.stack([more - less for more, less in sides], axis=1) / (2 * steps)

    found, pose = [], np.asarray(start, np.float64)
    for picture in film:
        wanted = _blurred(picture).ravel()
        fit = least_squares(
            lambda p, wanted=wanted: look(p) - wanted,
            pose,
            slopes,
            method="lm",
            x_scale=steps,
            max_nfev=_FIT_LOOKS,
        )
        pose = fit.x
        found.append(pose)
    return np.array(found, np.float32)


# How far poses are changed to see what changes in a picture of 64 pixels, about one pixel each.
_FIT_STEPS = (0.03, 0.03, 0.05, 0.05, 0.1, 0.1)
_FIT_LOOKS = 25


def _blurred(picture: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), picture.shape[0] / 64)


@functools.lru_cache(maxsize=64)
def _background(figure: Figure, size: int) -> np.ndarray:
    rows = np.linspace(0, 1, size)[:, np.newaxis]
    shades = (1 - rows) * np.array(figure.sky) + rows * np.array(figure.ground)  # [size, 3]
    picture = np.repeat(np.rint(shades).astype(np.uint8)[:, np.newaxis], size, axis=1)
    for x, y, radius, colour in figure.spots:
        fill_polygon(picture, (circle(x, y, radius) + 1) * (size - 1) / 2, colour)
    return picture


def fill_polygon(picture: np.ndarray, points: np.ndarray, colour: tuple[float, ...]) -> None:
    """Fill a polygon [K, 2] of points (x, y) in pixels, smooth at its edges."""
    import cv2

    fixed = np.rint(np.asarray(points) * 2**_DIGITS).astype(np.int32)
    cv2.fillPoly(picture, [fixed], colour, lineType=cv2.LINE_AA, shift=_DIGITS)


def circle(x: float, y: float, radius: float) -> np.ndarray:
    """Return the points [20, 2] of a circle."""
    return np.array([x, y]) + radius * _UNIT


_UNIT = np.stack(
    [f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], axis=1
)


def colour_near(
    random: np.random.RandomState, hue: float, saturation: float, value: float
) -> tuple[float, ...]:
    """Return a colour RGB 0..255 of about the given hue, all from 0 to 1."""
    hue = (hue + random.uniform(-0.03, 0.03)) % 1
    return tuple(255 * part for part in colorsys.hsv_to_rgb(hue, saturation, value))
