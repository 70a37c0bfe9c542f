# SPDX-License-Identifier: Apache-2.0
"""A film as windows of neighbouring frames, for networks that look at several frames at once.

Only the frames of one window and of one batch are held, however long the film is.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Window:
    """A frame with those around it.

    Args:
        frames: uint8 RGB [H, W, 3] each, the frame itself in the middle.
        begins_scene: whether it is the first frame of a scene.
    """

    frames: tuple[np.ndarray, ...]
    begins_scene: bool


def neighbours(index: int, count: int, size: int) -> list[int]:
    """Return which frames are around one of a clip, with other frames for those that are not there.

    Beyond an end, PaddleGAN's predictor takes the frames that the window would hold next, so that
    all frames of a window differ ("new_info": 4 3 [0] 1 2). A clip of fewer frames than a window
    does not have those either, and is mirrored at its ends instead.

    Args:
        index: of the frame in the middle, from 0.
        count: of the clip's frames.
        size: frames in a window, odd.
    """
    half, last = size // 2, count - 1
    found = []
    for i in range(index - half, index + half + 1):
        if i < 0:
            i = index + half - i
        elif i > last:
            i = index - half - (i - last)
        # Only in a clip that is shorter than a window is anything left to mirror.
        around = i % max(1, 2 * last)
        found.append(min(around, 2 * last - around))
    return found


def windows(frames: Iterable[tuple[np.ndarray, bool]], size: int) -> Iterator[Window]:
    """Yield the window of every frame; none holds frames of two scenes.

    Args:
        frames: each with whether it begins a scene, see `ppzoo.media.scenes.mark_scenes`.
        size: frames in a window, odd.
    """
    held: collections.deque[np.ndarray] = collections.deque(maxlen=size)
    given = count = 0  # windows and frames of this scene

    def window(index: int) -> Window:
        start = count - len(held)
        chosen = tuple(held[i - start] for i in neighbours(index, count, size))
        return Window(chosen, index == 0)

    for frame, begins in frames:
        if begins and count:
            yield from map(window, range(given, count))
            held.clear()
            given = count = 0
        held.append(frame)
        count += 1
        # Before it is as long as a window, a clip may yet turn out to be a short one.
        while count >= size and given < count - size // 2:
            yield window(given)
            given += 1
    yield from map(window, range(given, count))


def batches(items: Iterable[Window], size: int) -> Iterator[list[Window]]:
    """Yield windows in groups of `size`, fewer at the end of a scene.

    Each scene begins a new group, so that what becomes of it does not depend on the one before.
    """
    group: list[Window] = []
    for item in items:
        if group and (len(group) == size or item.begins_scene):
            yield group
            group = []
        group.append(item)
    if group:
        yield group
