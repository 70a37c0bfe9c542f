# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle

from ppzoo.motion.warp import RandomWarp, make_coordinate_grid


def points(number=6):
    draw = np.random.default_rng(0).uniform(-0.9, 0.9, [2, number, 2]).astype("float32")
    return paddle.to_tensor(draw, stop_gradient=False)


def test_coordinates_run_from_corner_to_corner():
    grid = make_coordinate_grid((3, 5)).numpy()
    assert grid.shape == (3, 5, 2)
    assert grid[0, 0].tolist() == [-1, -1]
    assert grid[0, -1].tolist() == [1, -1]
    assert grid[1, 2].tolist() == [0, 0]


def test_no_noise_is_no_warp():
    warp, frame = RandomWarp(2, 0.0, 0.0), paddle.rand([2, 3, 9, 7])
    assert np.allclose(warp.transform_frame(frame).numpy(), frame.numpy(), atol=1e-5)
    assert np.allclose(warp.warp_coordinates(points()).numpy(), points().numpy(), atol=1e-6)


def test_each_picture_has_a_warp_of_its_own_and_keeps_it():
    warp = RandomWarp(2, 0.1, 0.02)
    same = paddle.rand([1, 3, 12, 12]).expand([2, 3, 12, 12])
    first, again = warp.transform_frame(same).numpy(), warp.transform_frame(same).numpy()
    assert np.array_equal(first, again)
    assert not np.allclose(first[0], first[1], atol=1e-2)


def test_the_jacobian_is_the_slope_of_the_warp():
    warp, step = RandomWarp(2, 0.1, 0.02), 1e-3
    slope = warp.jacobian(points()).numpy()
    for axis in range(2):
        offset = paddle.zeros([2])
        offset[axis] = step
        ahead = warp.warp_coordinates(points() + offset)
        behind = warp.warp_coordinates(points() - offset)
        measured = ((ahead - behind) / (2 * step)).numpy()
        assert np.allclose(slope[..., axis], measured, atol=2e-3)


def test_a_picture_moves_against_its_points():
    """A pixel that is sampled from place p shows what was at p."""
    warp = RandomWarp(1, 0.1)
    ramp = make_coordinate_grid((33, 33)).transpose([2, 0, 1]).unsqueeze(0)
    moved = warp.transform_frame(ramp)[0].transpose([1, 2, 0]).numpy()
    grid = make_coordinate_grid((33, 33)).reshape([1, -1, 2])
    expected = warp.warp_coordinates(grid).reshape([33, 33, 2]).numpy()
    inside = (np.abs(expected) < 1).all(axis=-1)
    assert inside.mean() > 0.5
    assert np.allclose(moved[inside], expected[inside], atol=1e-4)
