# SPDX-License-Identifier: Apache-2.0
"""Cartoons of photographs, made by filters: flat colours between dark lines.

H. Winnemoeller, S. C. Olsen and B. Gooch, Real-Time Video Abstraction, SIGGRAPH 2006, gave the
order of steps: smooth with bilateral filters, round the lightness to a few soft steps, draw lines
where a difference of Gaussians is large. H. Kang, S. Lee and C. K. Chui, Coherent Line Drawing,
NPAR 2007, gave lines that hold together: the difference is averaged along the edges.

No step draws random numbers or looks at the picture's colours as a whole, so equal pictures give
equal cartoons, and what becomes of a place depends on its surroundings alone: that is what lets a
network learn it from crops.
"""

from __future__ import annotations

import math

import numpy as np

from ppzoo.errors import ConfigError

_INK = (0.10, 0.08, 0.10)
# Lengths below are in pixels of a picture of this size.
_REFERENCE_SIZE = 256
# Differences of lightness (CIE L*, 0 to 100) from which on a place may be, and is, on a line.
_WEAK, _STRONG = 0.8, 1.6


def cartoonise(
    photo: np.ndarray,
    *,
    size: int | None = None,
    levels: int = 7,
    saturation: float = 1.35,
    ink: float = 1.0,
    paint: bool = True,
) -> np.ndarray:
    """Return the cartoon of a photograph.

    Args:
        photo: uint8 RGB [H, W, 3].
        size: side in pixels of the view that lines and patches should suit, the shorter side of
            the photograph by default. Crops of a large picture need the size of the crops, or
            about twice as much for finer detail.
        levels: number of steps of lightness, 2 to 64.
        saturation: factor for pale colours; vivid ones gain less.
        ink: how opaque lines are, from 0 (none) to 1.
        paint: False leaves out the colours, for a drawing of lines on white paper.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        ConfigError: a number out of range.
        ValueError: not a uint8 picture [H, W, 3].
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
        raise ValueError(
            f"expected a uint8 picture [H, W, 3], got {photo.dtype} of the shape "
            f"{list(photo.shape)}"
        )
    for name, value, low, high in (
        ("size", size or 1, 1, math.inf),
        ("levels", levels, 2, 64),
        ("saturation", saturation, 0, 10),
        ("ink", ink, 0, 1),
    ):
        if not low <= value <= high:
            raise ConfigError(f"cartoonise: {name!r} must be from {low} to {high}, got {value!r}")
    import cv2

    # Lines of half the width are still seen in a picture of a quarter of the size.
    scale = max(0.45, math.sqrt((size or min(photo.shape[:2])) / _REFERENCE_SIZE))
    lab = cv2.cvtColor(photo.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
    lightly, smooth = _smooth(lab, scale)
    colours = _flat_colours(smooth, levels, saturation) if paint else np.ones_like(smooth)
    lines = _lines(lightly, scale)[..., np.newaxis] * np.float32(ink)
    inked = colours + (np.float32(_INK) - colours) * lines
    return np.rint(inked * np.float32(255)).astype(np.uint8)


def _smooth(lab: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lightness [H, W] after little smoothing, and all channels after much."""
    import cv2

    diameter = 2 * round(1.75 * scale) + 1
    smooth = lab
    # Many passes of a small kernel flatten like a large kernel that follows the edges.
    for step in range(6):
        smooth = cv2.bilateralFilter(smooth, diameter, sigmaColor=8, sigmaSpace=2.5 * scale)
        if step == 1:
            lightly = np.ascontiguousarray(smooth[..., 0])
    return lightly, smooth


def _flat_colours(lab: np.ndarray, levels: int, saturation: float) -> np.ndarray:
    """Return RGB in [0, 1]: lightness in soft steps, middle tones lifted, livelier colours."""
    import cv2

    lightness, opponent = lab[..., :1], lab[..., 1:]
    place = lightness * np.float32(levels / 100)
    edge = np.rint(place)
    steps = edge + np.tanh((place - edge) * np.float32(4.8)) * np.float32(0.5 / math.tanh(2.4))
    lightness = np.clip(steps * np.float32(100 / levels), 0, 100)
    lightness = lightness + 8 * np.sin(lightness * np.float32(math.pi / 100))
    chroma = np.sqrt((opponent * opponent).sum(axis=2, keepdims=True))
    # Colours that are vivid already would leave the range of RGB and change their hue.
    gain = 1 + (saturation - 1) * np.clip(1.25 - chroma / 80, 0.2, 1)
    flat = np.concatenate([lightness, opponent * gain], axis=2).astype(np.float32)
    return np.clip(cv2.cvtColor(flat, cv2.COLOR_Lab2RGB), 0, 1)


def _lines(lightness: np.ndarray, scale: float) -> np.ndarray:
    """Return how much ink is where, float32 [H, W] in [0, 1]."""
    import cv2

    # Lines lie on the dark side of edges. The coarse band finds the soft edges of faces.
    fine, coarse = (
        cv2.GaussianBlur(lightness, (0, 0), 1.6 * sigma)
        - cv2.GaussianBlur(lightness, (0, 0), sigma)
        for sigma in (0.75 * scale, 1.5 * scale)
    )
    contrast = np.maximum(fine, 0.75 * coarse)
    contrast = np.maximum(_average_along_edges(contrast, lightness, scale), 0)
    reach = 2 * round(2 * scale) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    relative = contrast / np.maximum(cv2.dilate(contrast, disc), 1e-3)
    # Where edges are dense (leaves, fur) only the strongest are drawn.
    texture = np.sqrt(cv2.GaussianBlur(contrast * contrast, (0, 0), 7 * scale))
    strong = (contrast > _STRONG) & (contrast > 1.5 * texture) & (relative > 0.9)
    weak = (contrast > _WEAK) & (contrast > 0.9 * texture) & (relative > 0.45)
    # A line goes on where it is weak if it is strong somewhere; what is short is a speck.
    count, parts, stats, _ = cv2.connectedComponentsWithStats(weak.astype(np.uint8), connectivity=8)
    length = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    keep = np.zeros(count, bool)
    keep[np.unique(parts[strong])] = True
    keep[0] = False
    keep &= length >= 7 * scale
    # By the share of the nearby peak, lines are equally thin on strong and on weak edges.
    soft = np.clip(contrast / (0.5 * _WEAK) - 1.6, 0, 1) * np.clip((relative - 0.4) / 0.3, 0, 1)
    return np.where(keep[parts], soft, 0).astype(np.float32)


def _average_along_edges(values: np.ndarray, lightness: np.ndarray, scale: float) -> np.ndarray:
    """Return `values` [H, W] averaged over a few pixels along the edges of `lightness`."""
    import cv2

    block = 2 * round(1.25 * scale) + 1
    eigen = cv2.cornerEigenValsAndVecs(lightness, block, 3)
    # Along an edge lightness changes least.
    first_is_least = eigen[..., :1] < eigen[..., 1:2]
    tangent = np.where(first_is_least, eigen[..., 2:4], eigen[..., 4:6])
    norm = np.linalg.norm(tangent, axis=2, keepdims=True)
    tangent = (tangent / np.maximum(norm, 1e-6)).astype(np.float32)
    height, width = values.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    steps, stride = max(2, round(4 * math.sqrt(scale))), np.float32(max(scale, 0.6))
    total, weights = values.copy(), 1.0
    for sign in (1, -1):
        place, direction = grid, np.float32(sign) * tangent
        for step in range(1, steps + 1):
            weight = math.exp(-2 * (step / steps) ** 2)
            place = place + direction * stride
            total += np.float32(weight) * cv2.remap(
                values, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            weights += weight
            there = cv2.remap(
                tangent, place, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
            )
            # A tangent has no sign of its own: go on forwards.
            turned = (there * direction).sum(axis=2, keepdims=True) < 0
            direction = np.where(turned, -there, there)
    return total / np.float32(weights)
