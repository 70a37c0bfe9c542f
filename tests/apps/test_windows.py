# SPDX-License-Identifier: Apache-2.0
"""Windows over films: PaddleGAN's neighbours, short clips, scenes, memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from ppzoo.apps.windows import batches, neighbours, windows


def frame(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def film(*lengths: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Frames whose value is their number, in scenes of these lengths."""
    number = 0
    for length in lengths:
        for i in range(length):
            yield frame(number), i == 0
            number += 1


def values(frames: tuple[np.ndarray, ...]) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in frames]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [4, 3, 0, 1, 2]),
        (1, [4, 0, 1, 2, 3]),
        (50, [48, 49, 50, 51, 52]),
        (98, [96, 97, 98, 99, 95]),
        (99, [97, 98, 99, 96, 95]),
    ],
)
def test_neighbours_are_those_of_paddlegans_predictor(index, expected):
    assert neighbours(index, 100, 5) == expected


@pytest.mark.parametrize("count", [5, 6, 7, 12])
def test_neighbours_of_a_long_enough_clip_are_different_frames(count):
    for index in range(count):
        found = neighbours(index, count, 5)
        assert found[2] == index
        assert len(set(found)) == 5
        assert set(found) <= set(range(count))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_short_clips_are_mirrored(count):
    for index in range(count):
        found = neighbours(index, count, 5)
        assert found[2] == index
        assert set(found) <= set(range(count))
        if count > 1:
            assert len(set(found)) > 1


def test_short_clips_use_what_new_info_gives_where_it_is_there():
    assert neighbours(0, 4, 5) == [2, 3, 0, 1, 2]
    assert neighbours(0, 1, 5) == [0, 0, 0, 0, 0]
    assert neighbours(1, 2, 5) == [0, 0, 1, 0, 1]


@pytest.mark.parametrize("lengths", [(1,), (3,), (5,), (9,), (4, 1, 7), (5, 5), (1, 1, 1), (6, 2)])
def test_windows_are_the_neighbours_within_each_scene(lengths):
    expected, begins, start = [], [], 0
    for length in lengths:
        for i in range(length):
            expected.append([start + j for j in neighbours(i, length, 5)])
            begins.append(i == 0)
        start += length
    found = list(windows(film(*lengths), 5))
    assert [values(window.frames) for window in found] == expected
    assert [window.begins_scene for window in found] == begins


@pytest.mark.parametrize("size", [1, 3, 7])
def test_windows_of_other_sizes(size):
    found = [values(window.frames) for window in windows(film(10), size)]
    assert found == [neighbours(i, 10, size) for i in range(10)]


def test_no_film_no_windows():
    assert list(windows([], 5)) == []
    assert list(batches(windows([], 5), 3)) == []


def test_a_window_comes_as_soon_as_its_frames_are_there():
    read = []

    def counted():
        for item in film(20):
            read.append(1)
            yield item

    stream = windows(counted(), 5)
    needed = []
    for _ in stream:
        needed.append(len(read))
    assert needed == [5, 5, 5, *range(6, 21), 20, 20]


def test_only_one_window_of_frames_is_held():
    alive: list[weakref.ref] = []
    most = 0

    class Frame(np.ndarray):
        """An array that can be watched."""

    def watched():
        for number in range(50):
            picture = frame(number).view(Frame)
            alive.append(weakref.ref(picture))
            yield picture, number == 0
            del picture

    for window in windows(watched(), 5):
        assert len(window.frames) == 5
        most = max(most, sum(ref() is not None for ref in alive))
        del window
    assert len(alive) == 50
    # The window that was given, the frame that came after it, and the one being handed over.
    assert most <= 7


def test_batches_end_with_scenes_and_with_the_film():
    groups = [
        [values(window.frames)[2] for window in group]
        for group in batches(windows(film(5, 2, 4), 5), 2)
    ]
    assert groups == [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9, 10]]
