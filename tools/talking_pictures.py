# SPDX-License-Identifier: Apache-2.0
"""Pictures and films of what lip-sync models have learned, from held-out talking heads."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppzoo.media.image import to_uint8_images
from ppzoo.media.mouths import mouth_opening
from tools.animations import side_by_side

FPS = 25
_WHITE, _GREY = 255, (210, 210, 210)
_COLOURS = ((20, 20, 20), (214, 69, 65), (52, 120, 200))
_LINE = 20  # pixels of a line of text
# What films and pictures show, and the outputs that it comes from.
_SHOWN = {
    "reference": "source",
    "made to its sound": "fake",
    "truth": "real",
    "made to another sound": "fake_other_sound",
}


def lips_film(trainer: Any, beginner: Any) -> tuple[np.ndarray, float]:
    """Return two held-out clips, side by side what `_SHOWN` names, and frames per second.

    Every other frame is left out, which is enough to see mouths move, in half the bytes.
    """
    clips = list(itertools.islice(_clips(trainer), 2))
    films = {
        title: np.stack([to_uint8_images(outputs[name]) for outputs in clips])
        for title, name in _SHOWN.items()
    }
    return side_by_side(films, upscale=2)[::2], FPS / 2


def lips_picture(trainer: Any, beginner: Any) -> np.ndarray:
    """Return frames of a held-out clip, and how far its mouths are open over time."""
    outputs = next(_clips(trainer))
    pictures = {title: to_uint8_images(outputs[name]) for title, name in _SHOWN.items()}
    rows = [_under(title, np.hstack(list(shown[2::5]))) for title, shown in pictures.items()]
    width = rows[0].shape[1]
    open_in = {
        title: mouth_opening(shown.transpose(0, 3, 1, 2) / 255)
        for title, shown in pictures.items()
        if title != "reference"
    }
    curves = {title: open_in[title] for title in ("truth", "made to its sound")}
    curves["made to another sound"] = open_in["made to another sound"]
    plot = _under("how far the mouth is open, frame by frame", _plot(curves, width, 150))
    return np.vstack([*rows, plot])


def sync_picture(trainer: Any, beginner: Any) -> np.ndarray:
    """Return held-out lips and sounds with what the expert says, and its cosines by shift."""
    batch = next(iter(trainer.evaluator.loader.epoch(0)))
    outputs = trainer.model.eval_step(batch)
    n = len(batch["y"])
    cosines = outputs["cosine"].numpy()
    rows = []
    for i in range(4):
        true, other = (
            np.hstack(list(to_uint8_images(_faces(batch[key][i, first:]), (0.0, 1.0))))
            for key, first in (("y", 0), ("x", 3))
        )
        sound = _spectrogram(batch["mel"][i, 0].numpy(), true.shape[0])
        parts = (
            ("sound", sound),
            (f"lips of this moment: cosine {cosines[i]:.2f}", true),
            (f"of another: {cosines[n + i]:.2f}", other),
        )
        gap = np.full((true.shape[0] + _LINE, 8, 3), _WHITE, np.uint8)
        columns = [part for title, picture in parts for part in (_under(title, picture), gap)]
        rows.append(np.hstack(columns[:-1]))
    curves = {}
    for title, who in (("trained", trainer), ("before training", beginner)):
        found = who.model.eval_step(batch)
        heard = found["has_sound"].numpy() > 0
        near = np.where(heard, 1 - found["distances_real"].numpy() ** 2 / 2, 0)
        curves[title] = near.sum(axis=0) / heard.sum(axis=0)
    reach = len(curves["trained"]) // 2
    title = f"mean cosine, sound shifted by -{reach} to {reach} frames"
    return np.vstack([*rows, _under(title, _plot(curves, rows[0].shape[1], 150, (0.0, 1.0)))])


def _clips(trainer: Any) -> Any:
    """Yield the outputs of whole held-out clips, pictures [frames, 3, H, W] by name."""
    names = list(_SHOWN.values())
    current, parts = None, {name: [] for name in names}
    for batch in trainer.evaluator.loader.epoch(0):
        outputs = trainer.model.eval_step(batch)
        frames = len(outputs["fake"]) // len(outputs["clip"])
        for i, clip in enumerate(outputs["clip"].numpy().ravel()):
            if current is not None and clip != current:
                yield {name: np.concatenate(parts[name]) for name in names}
                parts = {name: [] for name in names}
            current = clip
            for name in names:
                parts[name].append(outputs[name][i * frames : (i + 1) * frames].numpy())
    yield {name: np.concatenate(parts[name]) for name in names}


def _faces(clip: Any) -> Any:
    """Return BGR frames [3, T, H, W] as RGB ones [T, 3, H, W]."""
    return clip.flip(0).transpose([1, 0, 2, 3])


def _spectrogram(mel: np.ndarray, height: int) -> np.ndarray:
    """Return a spectrogram [80, 16] in [-4, 4] as a picture, deep sounds at the bottom."""
    from PIL import Image

    levels = np.clip((mel[::-1] + 4) / 8 * 255, 0, 255).astype(np.uint8)
    picture = Image.fromarray(levels).resize((height, height), Image.Resampling.NEAREST)
    return np.stack([np.asarray(picture)] * 3, axis=2)


def _under(title: str, picture: np.ndarray) -> np.ndarray:
    """Return a picture under its title."""
    from PIL import Image, ImageDraw, ImageFont

    line = Image.new("RGB", (picture.shape[1], _LINE), "white")
    ImageDraw.Draw(line).text((2, 2), title, fill="black", font=ImageFont.load_default(13))
    return np.vstack([np.asarray(line), picture])


def _plot(
    curves: Mapping[str, Sequence[float]],
    width: int,
    height: int,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Return curves with their titles, uint8 RGB [height, width, 3]; a line marks each fifth."""
    from PIL import Image, ImageDraw, ImageFont

    values = {title: np.asarray(curve, np.float64) for title, curve in curves.items()}
    every = np.concatenate(list(values.values()))
    low, high = limits or (float(every.min()), float(every.max()))
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for fifth in range(6):
        y = _LINE + (height - _LINE - 2) * fifth / 5
        draw.line([(0, y), (width, y)], fill=_GREY)
    for place, (title, curve) in enumerate(values.items()):
        colour = _COLOURS[place]
        xs = np.linspace(2, width - 3, len(curve))
        shares = (curve - low) / max(high - low, 1e-9)
        ys = height - 2 - (height - _LINE - 2) * shares
        draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=colour, width=2)
        draw.text((4 + 200 * place, 2), title, fill=colour, font=font)
    return np.asarray(sheet)
