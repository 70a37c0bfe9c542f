# SPDX-License-Identifier: Apache-2.0
"""Scenes: hard cuts are found; fades, flashes, pans, zooms and noise are none."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from ppzoo.data.photographs import embedded_photograph
from ppzoo.media.scenes import Stamp, mark_scenes

NAMES = ("astronaut", "chelsea", "china", "coffee", "flower", "motorcycle", "rocket")


def camera(name, x=0.5, y=0.5, zoom=1.0, width=192, height=108):
    """What a camera sees of a photograph: it is at (x, y), and takes in 0.6 / zoom of it."""
    photo = embedded_photograph(name)
    rows, columns = photo.shape[:2]
    scale = 0.6 * min(columns / width, rows / height) / zoom
    matrix = np.array(
        [
            [scale, 0, x * columns - scale * width / 2],
            [0, scale, y * rows - scale * height / 2],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        photo, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
    )


def cuts(frames):
    marked = list(mark_scenes(frames))
    assert [a.tobytes() for a, _ in marked] == [b.tobytes() for b in frames]
    assert marked[0][1]
    return [i for i, (_, begins) in enumerate(marked) if begins][1:]


def bright(frame, gain, offset=0.0):
    return np.clip(frame.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(NAMES, 2)))
def test_a_hard_cut_is_found(first, second):
    frames = [camera(first, 0.4 + 0.01 * i) for i in range(4)]
    frames += [camera(second, 0.5 + 0.01 * i) for i in range(4)]
    assert cuts(frames) == [4]


@pytest.mark.parametrize("name", NAMES)
def test_dark_scenes_are_cut_as_well(name):
    others = [other for other in NAMES if other != name]
    frames = [bright(camera(name), 0.3)] * 3 + [bright(camera(others[0]), 0.3)] * 3
    assert cuts(frames) == [3]


def test_every_frame_may_be_another_scene():
    assert cuts([camera(name) for name in NAMES]) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("name", NAMES)
def test_fades_are_no_cuts(name):
    frames = [bright(camera(name, 0.45 + 0.005 * i), 1 - i / 12) for i in range(13)]
    assert cuts(frames) == []
    assert cuts(frames[::-1]) == []
    to_white = [bright(camera(name), 1 - i / 12, 255 * i / 12) for i in range(13)]
    assert cuts(to_white) == []


@pytest.mark.parametrize(("first", "second"), list(itertools.pairwise(NAMES)))
def test_slow_dissolves_are_no_cuts(first, second):
    a, b = camera(first).astype(np.float32), camera(second).astype(np.float32)
    frames = [(a + (b - a) * i / 24).astype(np.uint8) for i in range(25)]
    assert cuts(frames) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("gain", "offset"), [(2.5, 60), (0.05, 250), (0.0, 255), (0.4, 0)])
@pytest.mark.parametrize("length", [1, 2])
def test_flashes_are_no_cuts(name, gain, offset, length):
    frames = [camera(name, 0.4 + 0.01 * i) for i in range(10)]
    for i in range(4, 4 + length):
        frames[i] = bright(frames[i], gain, offset)
    assert cuts(frames) == []


def test_a_flash_at_the_end_and_at_the_beginning():
    frames = [camera("coffee")] * 4
    white = np.full_like(frames[0], 255)
    assert cuts([white, *frames]) == [1]
    # Nothing comes after it that would show the scene again.
    assert cuts([*frames, white]) == [4]


def test_a_cut_in_a_flash_is_found():
    white = np.full_like(camera("coffee"), 255)
    found = cuts([*[camera("coffee")] * 4, white, *[camera("chelsea")] * 4])
    assert found in ([4, 5], [5])


def test_one_frame_of_another_picture_is_a_scene_of_its_own():
    frames = [camera("coffee")] * 4 + [camera("chelsea")] + [camera("coffee")] * 4
    assert cuts(frames) == [4, 5]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [0.02, 0.08, 0.2])
def test_fast_pans_are_no_cuts(name, step):
    photo = embedded_photograph(name)
    wide = cv2.resize(photo, (1200, 300))
    wide = np.concatenate([wide, wide[:, ::-1]], axis=1)
    pixels = max(2, int(192 * step))
    frames = [
        cv2.blur(wide, (max(1, pixels // 2), 1))[60:168, i * pixels : i * pixels + 192]
        for i in range(12)
    ]
    assert cuts(frames) == []


@pytest.mark.parametrize("name", NAMES)
def test_zooms_are_no_cuts(name):
    assert cuts([camera(name, zoom=1.04**i) for i in range(12)]) == []


def test_grain_and_flicker_of_old_film_are_no_cuts():
    random = np.random.default_rng(0)
    frames = []
    for i in range(12):
        noise = random.normal(0, 25, (108, 192, 1)).astype(np.float32)
        flicker = 1 + 0.25 * random.uniform(-1, 1)
        frames.append(bright(camera("motorcycle", 0.4 + 0.01 * i) + noise, flicker))
    assert cuts(frames) == []
    dark = [random.integers(0, 12, (108, 192, 3)).astype(np.uint8) for _ in range(6)]
    assert cuts(dark) == []


def test_a_scene_and_a_black_title():
    black = np.zeros_like(camera("coffee"))
    assert cuts([*[camera("coffee")] * 4, *[black] * 4, *[camera("rocket")] * 4]) == [4, 8]


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (40, 300), (2, 700)])
def test_any_size_of_frame(size):
    frame = np.full((*size, 3), 30, np.uint8)
    assert cuts([frame] * 4) == []
    assert cuts([frame] * 3 + [frame + 200] * 3) == [3]


def test_short_films():
    assert list(mark_scenes([])) == []
    for count in (1, 2, 3):
        assert cuts([camera("coffee")] * count) == []


def test_frames_are_read_only_two_ahead():
    read = 0

    def film():
        nonlocal read
        for _ in range(10):
            read += 1
            yield camera("coffee")

    for given, _ in enumerate(mark_scenes(film())):
        assert read <= given + 3


def test_a_stamp_is_not_tied_to_the_frame():
    frame = camera("coffee").copy()
    stamp = Stamp(frame)
    luma = stamp.luma.copy()
    frame[:] = 0
    np.testing.assert_array_equal(stamp.luma, luma)
    assert stamp.is_cut_from(Stamp(camera("chelsea")))
    assert not stamp.is_cut_from(Stamp(camera("coffee")))
