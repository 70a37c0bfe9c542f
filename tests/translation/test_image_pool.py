# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import paddle
import pytest

from ppzoo.translation.image_pool import ImagePool


def numbered(*numbers):
    return paddle.to_tensor(np.array(numbers, "float32").reshape([-1, 1, 1, 1]))


def numbers(images):
    return images.flatten().tolist()


def test_without_a_place_every_picture_passes():
    pool = ImagePool(0)
    assert numbers(pool.query(numbered(1, 2))) == [1, 2]
    assert pool.state() == []


def test_an_empty_pool_fills_first():
    pool = ImagePool(3)
    assert numbers(pool.query(numbered(1, 2))) == [1, 2]
    assert numbers(pool.query(numbered(3))) == [3]
    assert [image.item() for image in pool.state()] == [1, 2, 3]


def test_a_full_pool_hands_out_the_past_half_of_the_time():
    pool, old = ImagePool(10), 0
    pool.query(numbered(*range(10)))
    for step in range(10, 1010):
        (got,) = numbers(pool.query(numbered(step)))
        held = [image.item() for image in pool.state()]
        assert len(held) == 10
        if got != step:
            old += 1
            assert got not in held
            assert step in held
    assert 430 < old < 570


def test_pictures_are_cut_off_from_the_generator():
    images = numbered(1, 2)
    images.stop_gradient = False
    for size in (0, 1):
        assert ImagePool(size).query(images * 2).stop_gradient


def test_goes_on_from_its_state():
    first, second = ImagePool(4), ImagePool(4)
    first.query(numbered(1, 2, 3, 4))
    second.load_state(first.state())
    results = []
    for pool in (first, second):
        random.seed(7)
        results.append([numbers(pool.query(numbered(step))) for step in range(5, 25)])
    assert results[0] == results[1]


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="pool_size is -1"):
        ImagePool(-1)
