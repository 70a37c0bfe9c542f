# SPDX-License-Identifier: Apache-2.0
"""S3FD: faces of many sizes by a single network.

Zhang et al. 2017, "S3FD: single shot scale-invariant face detector" (arXiv:1708.05237), with the
layout of PaddleGAN's weights. VGG-16 goes on to six maps of strides 4 to 128, and each of their
places asks whether a face lies about it that is as large as four strides.

Unlike PaddleGAN's detector, this one gives the network blue first, as the weights expect it (their
mean colour says so), and reduces large pictures, since memory grows with the picture.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.faces.boxes import non_maximum_suppression
from ppzoo.faces.detector import Face, FaceDetector
from ppzoo.media.image import as_array
from ppzoo.nn.conv import Conv2D
from ppzoo.weights import load_weights
from ppzoo.weights.manifest import find_weights

# (name of the layers, convolutions in them, channels), each stage at half the size of the former
_STAGES = ((1, 2, 64), (2, 2, 128), (3, 3, 256), (4, 3, 512), (5, 3, 512))
# (layer, its channels, what the normalised features are scaled by at first)
_NORMALISED = (("conv3_3", 256, 10.0), ("conv4_3", 512, 8.0), ("conv5_3", 512, 5.0))
_PLAIN = (("fc7", 1024), ("conv6_2", 512), ("conv7_2", 256))
_BACKGROUNDS = 3  # scores of "no face" at the finest map, of which the highest counts

_MEAN_BGR = np.array([104.0, 117.0, 123.0], dtype=np.float32)
_VARIANCES = (0.1, 0.2)
_FILM_PIXELS = 320 * 320  # of a frame
_SMALLEST = 32  # pixels; less leaves nothing after five halvings


class L2Norm(nn.Layer):
    """Features scaled to length 1 at each place, and then by a learned factor per channel."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = self.create_parameter(
            [channels], default_initializer=nn.initializer.Constant(scale)
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to the same shape."""
        length = x.square().sum(1, keepdim=True).sqrt() + 1e-10
        return x / length * self.weight.reshape([1, -1, 1, 1])


class S3FD(nn.Layer):
    """The network: scores and boxes at six strides."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for stage, count, width in _STAGES:
            for index in range(1, count + 1):
                self.add_sublayer(f"conv{stage}_{index}", Conv2D(channels, width, 3, padding=1))
                channels = width
        self.fc6 = Conv2D(512, 1024, 3, padding=3)
        self.fc7 = Conv2D(1024, 1024, 1)
        self.conv6_1 = Conv2D(1024, 256, 1)
        self.conv6_2 = Conv2D(256, 512, 3, stride=2, padding=1)
        self.conv7_1 = Conv2D(512, 128, 1)
        self.conv7_2 = Conv2D(128, 256, 3, stride=2, padding=1)
        for name, width, scale in _NORMALISED:
            self.add_sublayer(f"{name}_norm", L2Norm(width, scale))
        heads = [(f"{name}_norm", width) for name, width, _ in _NORMALISED] + list(_PLAIN)
        for place, (name, width) in enumerate(heads):
            scores = 2 if place else _BACKGROUNDS + 1
            self.add_sublayer(f"{name}_mbox_conf", Conv2D(width, scores, 3, padding=1))
            self.add_sublayer(f"{name}_mbox_loc", Conv2D(width, 4, 3, padding=1))
        self._heads = [name for name, _ in heads]

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """Return for each stride from 4 to 128 the scores and the boxes.

        Args:
            x: pictures [N, 3, H, W], blue first, levels 0..255 less their mean.

        Returns:
            12 tensors: [N, 2, h, w] (no face, face; before softmax) and [N, 4, h, w] (as `decode`
            takes them) by turns.
        """
        features = []
        for stage, count, _ in _STAGES:
            for index in range(1, count + 1):
                x = F.relu(getattr(self, f"conv{stage}_{index}")(x))
            name = f"conv{stage}_{count}_norm"
            if name in self._heads:
                features.append(getattr(self, name)(x))
            x = F.max_pool2d(x, 2, 2)
        for first, second in (("fc6", "fc7"), ("conv6_1", "conv6_2"), ("conv7_1", "conv7_2")):
            x = F.relu(getattr(self, second)(F.relu(getattr(self, first)(x))))
            features.append(x)
        outputs = []
        for name, feature in zip(self._heads, features, strict=True):
            scores = getattr(self, f"{name}_mbox_conf")(feature)
            if scores.shape[1] > 2:
                background = scores[:, :_BACKGROUNDS].max(1, keepdim=True)
                scores = paddle.concat([background, scores[:, _BACKGROUNDS:]], axis=1)
            outputs += [scores, getattr(self, f"{name}_mbox_loc")(feature)]
        return outputs


def decode(loc: Any, priors: Any, variances: Sequence[float]) -> np.ndarray:
    """Return the boxes that the network means.

    Args:
        loc: [..., 4], a tensor or an array: how far the middle is from the prior's, in shares of
            the prior's size, and the logarithm of the size in the prior's; both over `variances`.
        priors: [..., 4] of (x, y, width, height) in pixels, (x, y) the middle.
        variances: the units of the two halves of `loc`.

    Returns:
        [..., 4] of (x1, y1, x2, y2) in pixels.
    """
    loc, priors = as_array(loc), as_array(priors)
    middle = priors[..., :2] + loc[..., :2] * variances[0] * priors[..., 2:]
    half = priors[..., 2:] * np.exp(loc[..., 2:] * variances[1]) / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


class SFDDetector(FaceDetector):
    """Finds faces by S3FD; gives boxes without landmarks.

    Args:
        weight_path: weights to use instead of PaddleGAN's official ones, which are downloaded once.
        min_score: from 0 to 1.
        max_overlap: the intersection over union above which two boxes are one face.
        search_pixels: larger pictures are reduced to so many pixels, at most `max_pixels`.
        max_pixels: how many pixels go through the network at once: smaller pictures of equal size
            share a pass. Memory is about 1.5 KB per pixel.

    Raises:
        WeightsError: the weights are missing, cannot be read or do not fit.
    """

    def __init__(
        self,
        weight_path: str | Path | None = None,
        min_score: float = 0.5,
        max_overlap: float = 0.3,
        search_pixels: int = 640 * 640,
        max_pixels: int = 640 * 640,
    ) -> None:
        for name, pixels in (("search_pixels", search_pixels), ("max_pixels", max_pixels)):
            if pixels < _SMALLEST**2:
                raise ValueError(f"{name} must be {_SMALLEST**2} or more, got {pixels}")
        self.min_score = min_score
        self.max_overlap = max_overlap
        self.search_pixels = search_pixels
        self.max_pixels = max_pixels
        self.net = S3FD()
        load_weights(self.net, find_weights("s3fd", weight_path), "s3fd")
        self.net.eval()

    def for_films(self) -> SFDDetector:
        """Return this detector as it looks at frames, reduced to 320 x 320 pixels' worth.

        It still finds faces of a fifteenth of their height there; at a picture's size the search
        takes longer than all else that is done to a film.
        """
        other = copy.copy(self)
        other.search_pixels = min(self.search_pixels, _FILM_PIXELS)
        return other

    def _detect(self, images: list[np.ndarray]) -> list[list[Face]]:
        sizes = [self._search_size(image) for image in images]
        found: list[list[Face]] = [[] for _ in images]
        for size in dict.fromkeys(sizes):
            members = [index for index, other in enumerate(sizes) if other == size]
            at_once = max(1, self.max_pixels // (size[0] * size[1]))
            for start in range(0, len(members), at_once):
                chunk = members[start : start + at_once]
                boxes = self._boxes([_reduced(images[index], size) for index in chunk])
                for index, rows in zip(chunk, boxes, strict=True):
                    found[index] = _faces(rows, images[index], size)
        return found

    def _search_size(self, image: np.ndarray) -> tuple[int, int]:
        """Return (height, width) of the picture in the search."""
        height, width = image.shape[:2]
        pixels = min(self.search_pixels, self.max_pixels)
        scale = min(1.0, (pixels / (height * width)) ** 0.5)
        return max(1, int(height * scale)), max(1, int(width * scale))

    @paddle.no_grad()
    def _boxes(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """Return for each picture [K, 5] of (x1, y1, x2, y2, score)."""
        batch = np.stack(pictures)[..., ::-1].astype(np.float32) - _MEAN_BGR
        # Zero is the mean colour, and coordinates stay as they are.
        height, width = (max(0, _SMALLEST - side) for side in batch.shape[1:3])
        batch = np.pad(batch, ((0, 0), (0, height), (0, width), (0, 0)))
        batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        outputs = self.net(paddle.to_tensor(batch))
        rows: list[list[np.ndarray]] = [[np.zeros((0, 5))] for _ in pictures]
        for level, (scores, loc) in enumerate(zip(outputs[::2], outputs[1::2], strict=True)):
            stride = 4 * 2**level
            probable = F.softmax(scores, axis=1)[:, 1].numpy()
            # PaddleGAN suppresses first and then drops the improbable ones, which is the same:
            # a box suppresses only boxes of smaller scores.
            items, ys, xs = np.nonzero(probable > self.min_score)
            if not len(items):
                continue
            middles = np.stack([xs, ys], axis=1) * stride + stride / 2
            priors = np.concatenate([middles, np.full_like(middles, 4 * stride)], axis=1)
            boxes = decode(loc.numpy()[items, :, ys, xs], priors, _VARIANCES)
            boxes = np.column_stack([boxes, probable[items, ys, xs]])
            for item in range(len(pictures)):
                rows[item].append(boxes[items == item])
        tables = [np.concatenate(parts) for parts in rows]
        return [table[non_maximum_suppression(table, self.max_overlap)] for table in tables]


def _reduced(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    if image.shape[:2] == size:
        return image
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def _faces(rows: np.ndarray, image: np.ndarray, size: tuple[int, int]) -> list[Face]:
    scales = np.array([image.shape[1] / size[1], image.shape[0] / size[0]] * 2)
    return [Face(tuple((row[:4] * scales).tolist()), float(row[4])) for row in rows]
