# SPDX-License-Identifier: Apache-2.0
"""BlazeFace: the faces of a selfie, and six points of each, in a few milliseconds.

Bazarevsky et al. 2019, "BlazeFace: sub-millisecond neural face detection on mobile GPUs"
(arXiv:1907.05047), with the layout of PaddleGAN's weights, whose anchors follow from a formula here
and need no file.

Unlike PaddleGAN's detector, which cuts the middle square out of a picture, this one shrinks all of
it to the network's 128 x 128 pixels, and where that shows no face, looks at parts of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.faces.boxes import overlaps
from ppzoo.faces.detector import Face, FaceDetector, roll_of_eyes
from ppzoo.faces.warp import square_matrix, warp
from ppzoo.nn.conv import Conv2D
from ppzoo.weights import load_weights
from ppzoo.weights.manifest import find_weights

SIDE = 128  # pixels of the network's input
_GRIDS = ((16, 2), (8, 6))  # (places per side, anchors per place)
_COORDINATES = 16  # of a face: x, y, width, height, then (x, y) of six points
_LIMIT = 100.0  # of scores before the sigmoid
_NONE = np.zeros((0, _COORDINATES + 1))

_CANDIDATE = 0.5  # score of what is worth a closer look
_MOST = 48  # candidates in a picture that get it, the most probable ones
_ZOOMS = (1.7, 2.0, 2.6)  # how much of the surroundings these looks take in, in faces
_SAME = 0.4  # intersection over union with the candidate
_SMALL = 0.2  # of the picture's longer side


class BlazeBlock(nn.Layer):
    """A convolution per channel and one across channels, beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.added = out_channels - in_channels
        padding = 0 if stride == 2 else 1
        self.convs = nn.Sequential(
            Conv2D(in_channels, in_channels, 3, stride, padding, groups=in_channels),
            Conv2D(in_channels, out_channels, 1),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, H / stride, W / stride]."""
        inner = x
        if self.stride == 2:
            inner = F.pad(x, [0, 2, 0, 2])
            x = F.max_pool2d(x, 2, 2)
        if self.added:
            zeros = paddle.zeros([x.shape[0], self.added, *x.shape[2:]], dtype=x.dtype)
            x = paddle.concat([x, zeros], axis=1)
        return F.relu(self.convs(inner) + x)


class BlazeFace(nn.Layer):
    """The network: coordinates and a score for each of 896 anchors."""

    def __init__(self) -> None:
        super().__init__()
        fine = [24, 24, 28, (32,), 36, 42, (48,), 56, 64, 72, 80, 88]
        self.backbone1 = nn.Sequential(
            Conv2D(3, 24, 5, stride=2), nn.ReLU(), *_blocks(fine[0], fine[1:])
        )
        self.backbone2 = nn.Sequential(*_blocks(88, [(96,), 96, 96, 96, 96]))
        for name, values in (("classifier", 1), ("regressor", _COORDINATES)):
            for (_, anchors), places, channels in zip(_GRIDS, (8, 16), (88, 96), strict=True):
                self.add_sublayer(f"{name}_{places}", Conv2D(channels, anchors * values, 1))

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """Return the coordinates and scores of faces at `anchors()`.

        Args:
            x: pictures [N, 3, 128, 128], red first, in [-1, 1].

        Returns:
            [N, 896, 16] in pixels about the anchor, and [N, 896, 1] before the sigmoid.
        """
        fine = self.backbone1(F.pad(x, [1, 2, 1, 2]))
        coarse = self.backbone2(fine)
        coordinates = [
            _per_anchor(self.regressor_8(fine), _COORDINATES),
            _per_anchor(self.regressor_16(coarse), _COORDINATES),
        ]
        scores = [
            _per_anchor(self.classifier_8(fine), 1),
            _per_anchor(self.classifier_16(coarse), 1),
        ]
        return [paddle.concat(coordinates, axis=1), paddle.concat(scores, axis=1)]


def _blocks(channels: int, widths: list) -> list[BlazeBlock]:
    """Return a chain of blocks; a width in brackets halves the size."""
    blocks = []
    for width in widths:
        stride = 2 if isinstance(width, tuple) else 1
        width = width[0] if isinstance(width, tuple) else width
        blocks.append(BlazeBlock(channels, width, stride))
        channels = width
    return blocks


def _per_anchor(x: paddle.Tensor, values: int) -> paddle.Tensor:
    # [N, anchors * values, H, W] -> [N, H * W * anchors, values]
    return x.transpose([0, 2, 3, 1]).reshape([x.shape[0], -1, values])


def anchors() -> np.ndarray:
    """Return the middles of the 896 anchors, [896, 2] of (x, y) in shares of the picture."""
    middles = []
    for places, count in _GRIDS:
        y, x = np.mgrid[:places, :places]
        grid = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / places
        middles.append(grid.repeat(count, axis=0))
    return np.concatenate(middles)


def decode(coordinates: np.ndarray) -> np.ndarray:
    """Return the faces that the network means at each anchor.

    Args:
        coordinates: [..., 896, 16] as the network returns them.

    Returns:
        [..., 896, 16] of (x1, y1, x2, y2, six times x and y) in shares of the picture.
    """
    points = coordinates.reshape(*coordinates.shape[:-1], 8, 2) / SIDE
    middles = anchors()[:, np.newaxis]
    # The second pair is the size, all others are places relative to the anchor.
    middle, half = points[..., :1, :] + middles, points[..., 1:2, :] / 2
    faces = [middle - half, middle + half, points[..., 2:, :] + middles]
    return np.concatenate(faces, axis=-2).reshape(coordinates.shape)


def weighted_suppression(faces: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return one face for each group of overlapping ones: their mean, weighted by score.

    Args:
        faces: [N, 16] as `decode` returns them.
        scores: [N] from 0 to 1.
        threshold: the intersection over union above which boxes are of one face.

    Returns:
        [K, 17]: the face and its group's mean score, best first by the best score of each group.
    """
    left = scores.argsort(kind="stable")[::-1]
    groups = []
    while left.size:
        best = faces[left[:1], :4]
        same = overlaps(best, faces[left, :4])[0] > threshold
        same[0] = True  # an empty box overlaps nothing, not even itself
        weights = scores[left[same]]
        mean = weights @ faces[left[same]] / weights.sum()
        groups.append(np.append(mean, weights.mean()))
        left = left[~same]
    return np.array(groups).reshape(-1, _COORDINATES + 1)


class BlazeFaceDetector(FaceDetector):
    """Finds faces by BlazeFace, with landmarks.

    The landmarks are the eyes, the tip of the nose, the middle of the mouth and the ears. What the
    network takes for a face at first glance it has to see again at three distances: what only
    resembles a face seldom does so at all of them. The result is the mean of these looks.

    Args:
        weight_path: weights to use instead of PaddleGAN's official ones, which are downloaded once.
        min_score: the mean score of the looks that makes a face, from 0 to 1.
        max_overlap: the intersection over union above which two boxes are one face.
        batch_size: how many squares of 128 x 128 pixels go through the network at once.

    Raises:
        WeightsError: the weights are missing, cannot be read or do not fit.
    """

    is_from_brows = True

    def __init__(
        self,
        weight_path: str | Path | None = None,
        min_score: float = 0.7,
        max_overlap: float = 0.3,
        batch_size: int = 64,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        self.min_score = min_score
        self.max_overlap = max_overlap
        self.batch_size = batch_size
        self.net = BlazeFace()
        load_weights(self.net, find_weights("blazeface", weight_path), "blazeface")
        self.net.eval()

    def _detect(self, images: list[np.ndarray]) -> list[list[Face]]:
        found = self._in_squares(images, [[_whole(image)] for image in images])
        # Small faces do not show in the whole, and a small one is seldom alone.
        few = [
            index
            for index, image in enumerate(images)
            if _largest(found[index]) < _SMALL * max(image.shape)
        ]
        closer = self._in_squares(
            [images[index] for index in few], [_parts(images[index]) for index in few]
        )
        for index, faces in zip(few, closer, strict=True):
            found[index] = self._suppressed(np.concatenate([found[index], faces]))
        return [[_face(row) for row in rows] for rows in found]

    def _in_squares(
        self, images: list[np.ndarray], squares: list[list[np.ndarray]]
    ) -> list[np.ndarray]:
        """Return the faces [K, 17] of each picture, in pixels, seen first through its squares."""
        glances = self._looks(images, squares, _CANDIDATE)
        candidates = [self._suppressed(np.concatenate([_NONE, *seen]))[:_MOST] for seen in glances]
        around = [[_around(row, zoom) for row in rows for zoom in _ZOOMS] for rows in candidates]
        looks = self._looks(images, around, _CANDIDATE / 2)
        faces = []
        for rows, seen in zip(candidates, looks, strict=True):
            means = [
                _mean(row, seen[len(_ZOOMS) * place : len(_ZOOMS) * (place + 1)])
                for place, row in enumerate(rows)
            ]
            table = np.concatenate([_NONE, *means])
            faces.append(self._suppressed(table[table[:, -1] >= self.min_score]))
        return faces

    def _looks(
        self, images: list[np.ndarray], squares: list[list[np.ndarray]], min_score: float
    ) -> list[list[np.ndarray]]:
        """Return for each square of each picture the faces [K, 17] in it, in pixels."""
        flat = [(index, square) for index, some in enumerate(squares) for square in some]
        found: list[list[np.ndarray]] = [[] for _ in images]
        for start in range(0, len(flat), self.batch_size):
            chunk = flat[start : start + self.batch_size]
            inputs = np.stack([_cut(images[index], square) for index, square in chunk])
            for (index, (x, y, side)), faces in zip(
                chunk, self._run(inputs, min_score), strict=True
            ):
                faces[:, :-1] = faces[:, :-1] * side + np.tile([x, y], 8)
                found[index].append(faces)
        return found

    @paddle.no_grad()
    def _run(self, pictures: np.ndarray, min_score: float) -> list[np.ndarray]:
        """Return the faces [K, 17] of uint8 pictures [N, 128, 128, 3], in shares of a side."""
        x = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1.0
        coordinates, scores = (output.numpy() for output in self.net(paddle.to_tensor(x)))
        probable = 1 / (1 + np.exp(-scores.astype(np.float64).clip(-_LIMIT, _LIMIT)))
        table = np.concatenate([decode(coordinates.astype(np.float64)), probable], axis=-1)
        return [self._suppressed(rows[rows[:, -1] >= min_score]) for rows in table]

    def _suppressed(self, table: np.ndarray) -> np.ndarray:
        return weighted_suppression(table[:, :-1], table[:, -1], self.max_overlap)


def _largest(faces: np.ndarray) -> float:
    """Return the width of the widest face in pixels, 0 if there is none."""
    return float((faces[:, 2] - faces[:, 0]).max(initial=0.0))


def _around(face: np.ndarray, zoom: float) -> np.ndarray:
    """Return the square (x, y, side) about a face, `zoom` times as large as its box."""
    low, high = face[:2], face[2:4]
    side = max(1.0, float((high - low).max()) * zoom)
    return np.append((low + high) / 2 - side / 2, side)


def _mean(candidate: np.ndarray, looks: list[np.ndarray]) -> np.ndarray:
    """Return the mean [1, 17] of what was seen of a candidate; a look that saw none scores 0."""
    same = []
    for faces in looks:
        shared = overlaps(candidate[np.newaxis, :4], faces[:, :4])[0]
        near = faces[shared > _SAME]
        if len(near):
            same.append(near[near[:, -1].argmax()])
    if not same:
        return _NONE
    rows = np.array(same)
    coordinates = rows[:, -1] @ rows[:, :-1] / rows[:, -1].sum()
    return np.append(coordinates, rows[:, -1].sum() / len(looks))[np.newaxis]


def _whole(image: np.ndarray) -> np.ndarray:
    """Return (x, y, side) of the square about a picture."""
    height, width = image.shape[:2]
    side = max(height, width)
    return np.array([(width - side) / 2, (height - side) / 2, side])


def _parts(image: np.ndarray) -> list[np.ndarray]:
    """Return the squares (x, y, side) of half the longer side that cover a picture, overlapping."""
    height, width = image.shape[:2]
    side = max(height, width) / 2
    if side < SIDE / 4:
        return []  # enlarging further shows nothing new
    starts = []
    for length in (width, height):
        count = max(1, int(np.ceil(2 * (length - side) / side)) + 1)
        room = length - side
        starts.append(np.linspace(0, room, count) if room > 0 else np.array([room / 2]))
    return [np.array([x, y, side]) for y in starts[1] for x in starts[0]]


def _cut(image: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Return a square of a picture at the network's size, black beyond the picture."""
    x, y, side = square
    matrix = square_matrix((x + side / 2, y + side / 2), side, SIDE)
    return warp(image, matrix, (SIDE, SIDE), border="black")


def _face(row: np.ndarray) -> Face:
    landmarks = row[4:16].reshape(6, 2)
    return Face(tuple(row[:4].tolist()), float(row[16]), landmarks, roll_of_eyes(landmarks))
