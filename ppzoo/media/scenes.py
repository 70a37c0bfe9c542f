# SPDX-License-Identifier: Apache-2.0
"""Where one scene of a film ends and the next begins.

Two frames belong to one scene if the middle of the one is found in the other: at another place
after a pan, darker in a fade, brighter in a flash. Only where it is not found do their histograms
decide. Both are compared at the size of a stamp, where grain and the noise of compression are gone.
A flash that washes a picture out for a frame or two is told from a cut by what follows it.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

_WIDTH, _HEIGHT = 96, 54  # pixels of a stamp, whatever the film's proportions
_BLUR = 6.0  # pixels; what is coarser than that is alike in many pictures
_BINS = 32
_STILL = 4.0  # mean difference, out of 255, of frames between which nothing happens
_PLAIN = 1.0  # contrast of a picture in whose middle there is nothing to find again
_PLAIN_STILL = 24.0  # as _STILL, for such pictures: the end of a fade, a plain sky
# How different histograms may be (see `_histogram_distance`), by how well one frame is found in the
# other. Of 2100 cuts between unrelated pictures, two thirds of them of faces or of fronts of houses
# in one place, 2 were missed; neither talking heads (1500 frames) nor pans by a quarter of the
# picture, zooms by a twentieth and flashes were taken for cuts.
_FOUND, _MAY_DIFFER = (0.0, 0.6, 0.9), (0.05, 0.17, 1.0)
_FLASH = 2  # frames that a flash may last
_FLAT = 0.5  # of the contrast before a flash, of which it leaves less than that,
_ONE_WAY = 0.95  # or it makes this part of the pixels brighter, or darker


class Stamp:
    """A frame made small enough to be compared fast.

    Args:
        frame: uint8 RGB [H, W, 3] of any size.
    """

    def __init__(self, frame: np.ndarray) -> None:
        import cv2

        height, width = frame.shape[:2]
        # Averaging cannot enlarge.
        is_larger = height >= _HEIGHT and width >= _WIDTH
        method = cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
        small = cv2.resize(np.ascontiguousarray(frame), (_WIDTH, _HEIGHT), interpolation=method)
        self.luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self.contrast = float(self.luma.std())
        self._details: np.ndarray | None = None

    @property
    def details(self) -> np.ndarray:
        """Return the luma without what is coarse, float32 [54, 96]."""
        import cv2

        if self._details is None:
            self._details = self.luma - cv2.GaussianBlur(self.luma, (0, 0), _BLUR)
        return self._details

    def is_cut_from(self, before: Stamp) -> bool:
        """Tell whether a frame before this one must be of another scene."""
        difference = float(np.abs(self.luma - before.luma).mean())
        if difference <= _STILL:
            return False
        if min(float(_middle(stamp.details).std()) for stamp in (before, self)) < _PLAIN:
            return difference > _PLAIN_STILL
        match = max(_match(before.details, self.details), _match(self.details, before.details))
        bound = float(np.interp(match, _FOUND, _MAY_DIFFER))
        return _histogram_distance(before.luma, self.luma) >= bound

    def is_washed_out(self, before: Stamp) -> bool:
        """Tell whether this may be what a flash, or its opposite, made of the scene before it."""
        if self.contrast <= _FLAT * before.contrast:
            return True
        parts = [float((self.luma * sign >= before.luma * sign).mean()) for sign in (1, -1)]
        return max(parts) >= _ONE_WAY


def mark_scenes(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield each frame of a film and whether a scene begins with it.

    Two frames are held beside the one that is given: a flash shows by what comes after it.

    Args:
        frames: uint8 RGB [H, W, 3].
    """
    source = ((frame, Stamp(frame)) for frame in frames)
    ahead: collections.deque[tuple[np.ndarray, Stamp]] = collections.deque()
    # As many as reach back over a flash.
    scene: collections.deque[Stamp] = collections.deque(maxlen=_FLASH + 1)
    for item in itertools.chain(source, [None] * _FLASH):
        if item is not None:
            ahead.append(item)
            if len(ahead) <= _FLASH:
                continue
        if not ahead:
            return
        frame, stamp = ahead.popleft()
        following = [later for _, later in ahead]
        begins = not scene or (_is_cut(scene, stamp) and not _is_flash(scene, stamp, following))
        if begins:
            scene.clear()
        scene.append(stamp)
        yield frame, begins


def _is_cut(scene: Sequence[Stamp], stamp: Stamp) -> bool:
    return all(stamp.is_cut_from(before) for before in reversed(scene))


def _is_flash(scene: Sequence[Stamp], stamp: Stamp, following: Iterable[Stamp]) -> bool:
    """Tell whether the scene is there again after frames that may be what a flash made of it."""
    for later in following:
        if not stamp.is_washed_out(scene[-1]):
            return False
        if not _is_cut(scene, later):
            return True
        stamp = later
    return False


def _match(picture: np.ndarray, other: np.ndarray) -> float:
    """Return how well the middle of one stamp is found in another: 1 for a copy, 0 for nothing."""
    import cv2

    found = cv2.matchTemplate(other, _middle(picture), cv2.TM_CCOEFF_NORMED)
    # A part without any contrast has no correlation with anything.
    return float(np.where(np.isfinite(found) & (np.abs(found) <= 1.001), found, 0.0).max())


def _middle(picture: np.ndarray) -> np.ndarray:
    top, left = _HEIGHT // 4, _WIDTH // 4
    return picture[top:-top, left:-left]


def _histogram_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return which part of the pixels would have to change their brightness, 0 to 1."""
    counts = [np.histogram(luma, _BINS, (0, 256))[0] for luma in (one, other)]
    return float(np.abs(counts[0] - counts[1]).sum()) / (2 * one.size)
