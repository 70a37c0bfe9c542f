# SPDX-License-Identifier: Apache-2.0
"""Coordinates of pictures, and random smooth warps (Siarohin et al. 2019, arXiv:2003.00196).

Coordinates are (x, y) from -1 to 1, the centres of the outermost pixels.
"""

from __future__ import annotations

import paddle
import paddle.nn.functional as F

from ppzoo.nn import random


def make_coordinate_grid(size: tuple[int, int], dtype: str = "float32") -> paddle.Tensor:
    """Return the coordinates [H, W, 2] of all pixels of a picture of `size` (height, width)."""
    height, width = size
    y, x = paddle.meshgrid(
        paddle.linspace(-1, 1, height, dtype=dtype), paddle.linspace(-1, 1, width, dtype=dtype)
    )
    return paddle.stack([x, y], axis=-1)


def sample(pictures: paddle.Tensor, places: paddle.Tensor, border: str = "zeros") -> paddle.Tensor:
    """Return pictures [N, C, h, w] that show what is at `places` in other pictures.

    Args:
        pictures: [N, C, H, W].
        places: [N, h, w, 2], coordinates.
        border: what is beyond the pictures: `zeros`, `border` or `reflection`.
    """
    if paddle.is_grad_enabled() and pictures.stop_gradient and not places.stop_gradient:
        # Paddle crashes on CPUs where only the places have a gradient.
        pictures = pictures.detach()
        pictures.stop_gradient = False
    return F.grid_sample(pictures, places, padding_mode=border, align_corners=True)


class RandomWarp:
    """A random affine map plus a random thin-plate spline, one for each picture of a batch.

    Keypoints of a warped picture must be the warped keypoints: that is First Order Motion's
    equivariance loss.

    Args:
        batch_size: number of pictures.
        sigma_affine: standard deviation of the affine map's entries about the identity.
        sigma_tps: standard deviation of the spline's weights; None for no spline.
        points_tps: the spline has points_tps x points_tps control points.
    """

    def __init__(
        self,
        batch_size: int,
        sigma_affine: float = 0.05,
        sigma_tps: float | None = None,
        points_tps: int = 5,
    ) -> None:
        self.batch_size = batch_size
        noise = random.normal([batch_size, 2, 3]) * sigma_affine
        self.theta = noise + paddle.eye(2, 3).unsqueeze(0)
        self.control_points: paddle.Tensor | None = None
        if sigma_tps is not None:
            self.control_points = make_coordinate_grid((points_tps, points_tps)).reshape([1, -1, 2])
            self.weights = random.normal([batch_size, 1, points_tps**2]) * sigma_tps

    def transform_frame(self, frame: paddle.Tensor) -> paddle.Tensor:
        """Return pictures [N, C, H, W] warped; beyond their borders they are mirrored."""
        height, width = frame.shape[2:]
        grid = make_coordinate_grid((height, width)).reshape([1, height * width, 2])
        places = self.warp_coordinates(grid).reshape([self.batch_size, height, width, 2])
        return sample(frame, places, "reflection")

    def warp_coordinates(self, coordinates: paddle.Tensor) -> paddle.Tensor:
        """Return where points [N or 1, K, 2] go, [N, K, 2]."""
        linear, shift = self.theta[:, :, :2], self.theta[:, :, 2]
        warped = paddle.matmul(coordinates, linear, transpose_y=True) + shift.unsqueeze(1)
        if self.control_points is None:
            return warped
        apart = coordinates.unsqueeze(2) - self.control_points.unsqueeze(1)
        distances = apart.abs().sum(axis=-1)
        bend = distances**2 * paddle.log(distances + 1e-6) * self.weights
        return warped + bend.sum(axis=2, keepdim=True)

    def jacobian(self, coordinates: paddle.Tensor) -> paddle.Tensor:
        """Return the derivative [N, K, 2, 2] of the warp at points [N, K, 2]."""
        linear = self.theta[:, :, :2].unsqueeze(1)
        if self.control_points is None:
            return linear.expand([self.batch_size, coordinates.shape[1], 2, 2])
        apart = coordinates.unsqueeze(2) - self.control_points.unsqueeze(1)  # [N, K, P, 2]
        distances = apart.abs().sum(axis=-1)
        logs = paddle.log(distances + 1e-6)
        slopes = (2 * distances * logs + distances**2 / (distances + 1e-6)) * self.weights
        bend = (slopes.unsqueeze(-1) * paddle.sign(apart)).sum(axis=2, keepdim=True)
        # The spline shifts x and y alike, so its derivative has two equal rows.
        return linear + bend
