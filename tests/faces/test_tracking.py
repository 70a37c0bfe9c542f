# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import tracemalloc

import cv2
import numpy as np
import pytest

from ppzoo.faces.detector import Face, FaceDetector
from ppzoo.faces.tracking import FaceTracker, TrackedFace

HEIGHT, WIDTH, SIDE = 120, 160, 48


def texture(seed, height, width):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


BACKGROUNDS = [texture(0, HEIGHT, WIDTH), texture(100, HEIGHT, WIDTH) // 4]
PATCHES = [texture(seed, SIDE, SIDE) for seed in (1, 2, 3)]


def film(count, places, cut=None):
    """Return frames that say their number in a pixel, and in them textures at places.

    `places` are functions of the number, (x, y) or None, of one texture each.
    """
    frames = []
    for number in range(count):
        frame = BACKGROUNDS[cut is not None and number >= cut].copy()
        for patch, place in zip(PATCHES, places, strict=False):
            if place(number) is not None:
                # Whole pixels, as what is painted has them.
                x, y = np.round(place(number)).astype(int)
                frame[y : y + SIDE, x : x + SIDE] = patch
        frame[0, 0] = (number // 256, number % 256, 0)
        frames.append(frame)
    return frames


class FakeDetector(FaceDetector):
    """Knows the boxes by the frame's number; remembers which were asked for."""

    def __init__(self, places, unseen=(), false=None, largest_batch=99):
        self.places, self.unseen, self.false = places, set(unseen), false or {}
        self.largest_batch = largest_batch
        self.asked, self.batches = [], []

    def _detect(self, images):
        self.batches.append(len(images))
        if len(images) > self.largest_batch:
            raise RuntimeError("ResourceExhaustedError: Out of memory on GPU 0")
        return [self._one(int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])) for image in images]

    def _one(self, number):
        self.asked.append(number)
        found = [Face(box, 0.3) for box in self.false.get(number, [])]
        for place in self.places:
            if place(number) is not None and number not in self.unseen:
                x, y = place(number)
                points = np.array([[x + 12.0, y + 16.0], [x + 36.0, y + 16.0]])
                found.append(Face((x, y, x + SIDE, y + SIDE), 0.9, points, roll=number / 10))
        return found


def still(number):
    return (40.0, 30.0)


def swinging(number):
    return (56 + 40 * np.sin(number / 5), 36 + 10 * np.cos(number / 4))


def track(frames, detector, **options):
    given = list(FaceTracker(detector, **options).stream(iter(frames)))
    assert len(given) == len(frames)
    for (one, _), other in zip(given, frames, strict=True):
        assert one is other
    return [faces for _, faces in given]


def middle(tracked: TrackedFace):
    x1, y1, x2, y2 = tracked.face.box
    return np.array([x1 + x2, y1 + y2]) / 2


def off(faces, place):
    """Return how far each frame's only face is from a place, in pixels."""
    truth = np.array([place(number) for number in range(len(faces))]) + SIDE / 2
    return np.abs(np.array([middle(one) for (one,) in faces]) - truth).max(axis=1)


def test_one_frame_in_n_is_detected() -> None:
    detector = FakeDetector([swinging])
    faces = track(film(103, [swinging]), detector, every=5)
    assert len(detector.asked) == 1 + 21
    assert detector.asked == [*range(0, 103, 5), 102]
    assert {one.id for (one,) in faces} == {0}
    assert [i for i, (one,) in enumerate(faces) if one.is_detected] == detector.asked


@pytest.mark.parametrize("every", [5, 12])
def test_between_detections_faces_are_followed(every) -> None:
    faces = track(film(73, [swinging]), FakeDetector([swinging]), every=every, smooth=1)
    error = off(faces, swinging)
    assert error.max() < 1.1  # it is painted at whole pixels
    if every == 12:
        keys = np.array([swinging(number) for number in range(0, 73, every)]) + SIDE / 2
        straight = np.interp(range(73), range(0, 73, every), keys[:, 0])
        truth = np.array([swinging(number)[0] for number in range(73)]) + SIDE / 2
        assert np.abs(straight - truth).max() > 10  # what interpolation would be off by


def test_landmarks_roll_and_score_come_along() -> None:
    faces = track(film(21, [swinging]), FakeDetector([swinging]), every=10, smooth=1)
    face = faces[7][0].face
    x, y = swinging(7)
    np.testing.assert_allclose(face.landmarks, [[x + 12, y + 16], [x + 36, y + 16]], atol=1.1)
    assert face.roll == pytest.approx(0.7)
    assert face.score == pytest.approx(0.9)


def test_every_frame_can_be_detected() -> None:
    detector = FakeDetector([swinging])
    faces = track(film(30, [swinging]), detector, every=1, smooth=1)
    assert detector.asked == list(range(30))
    assert off(faces, swinging).max() < 1e-9
    assert all(one.is_detected for (one,) in faces)


def test_boxes_are_averaged_over_a_centred_window() -> None:
    def jittering(number):
        return (40.0 + 3 * (number % 2), 30.0)

    faces = track(film(20, [still]), FakeDetector([jittering]), every=1, smooth=5)
    lefts = [one.face.box[0] for (one,) in faces]
    assert lefts[0] == 40  # nothing lies before it
    assert lefts[1] == pytest.approx(41)  # the mean of three: 40, 43, 40
    assert lefts[2] == pytest.approx(40 + 6 / 5)
    assert lefts[19] == 43
    assert faces[2][0].face.landmarks[0, 0] == pytest.approx(52 + 6 / 5)


def test_it_is_searched_for_where_a_face_leaves_and_comes() -> None:
    def passing(number):
        return (40.0, 30.0) if 13 <= number < 49 else None

    detector = FakeDetector([passing])
    faces = track(film(80, [passing]), detector, every=8, smooth=1)
    assert [i for i, found in enumerate(faces) if found] == list(range(13, 49))
    assert len(detector.asked) <= 1 + 10 + 2 * 3


def test_the_detector_may_blink() -> None:
    detector = FakeDetector([swinging], unseen=[9, 10, 11, 12])
    faces = track(film(40, [swinging]), detector, every=5, smooth=1)
    assert {one.id for (one,) in faces} == {0}
    assert off(faces, swinging).max() < 1.1
    assert not any(faces[number][0].is_detected for number in range(9, 13))


def test_who_is_away_for_long_is_another_afterwards() -> None:
    def leaving(number):
        return None if 15 <= number < 35 else (40.0, 30.0)

    faces = track(film(60, [leaving]), FakeDetector([leaving]), every=5)
    assert [[one.id for one in found] for found in faces] == [[0]] * 15 + [[]] * 20 + [[1]] * 25


def test_flashes_of_the_detector_are_no_faces() -> None:
    flash = (100.0, 10.0, 140.0, 50.0)
    detector = FakeDetector([still], false={20: [flash], 31: [flash], 32: [flash]})
    for every in (1, 5):
        faces = track(film(50, [still]), detector, every=every)
        assert [len(found) for found in faces] == [1] * 50
    faces = track(film(50, [still]), detector, every=5, shortest=1)
    assert [i for i, found in enumerate(faces) if len(found) == 2] == [20]


def test_a_cut_ends_all_tracks() -> None:
    places = [lambda number: (30.0, 20.0) if number < 23 else (34.0, 24.0)]
    detector = FakeDetector(places)
    faces = track(film(46, places, cut=23), detector, every=10, smooth=5)
    assert [one.id for (one,) in faces] == [0] * 23 + [1] * 23
    assert {22, 23} <= set(detector.asked)
    # Neither smoothed nor followed across.
    assert [one.face.box[0] for (one,) in faces] == pytest.approx([30.0] * 23 + [34.0] * 23)


def test_two_faces_keep_their_ids_and_the_larger_is_first() -> None:
    places = [lambda n: (6.0 + n, 10.0), lambda n: (100.0 - n, 66.0)]
    detector = FakeDetector(places)
    grown = (90.0, 8.0, 150.0, 64.0)  # appears late and is the largest
    detector.false = {number: [grown] for number in range(24, 41)}
    faces = track(film(41, places), detector, every=4)
    assert [len(found) for found in faces] == [2] * 24 + [3] * 17
    for number, found in enumerate(faces):
        areas = [one.face.area for one in found]
        assert areas == sorted(areas, reverse=True)
        tops = {one.id: round(one.face.box[1]) for one in found}
        assert tops == {0: 10, 1: 66} | ({2: 8} if number >= 24 else {})


def test_short_scenes_and_stills_keep_their_faces() -> None:
    for count in (1, 2, 4):
        faces = track(film(count, [still]), FakeDetector([still]), every=5)
        assert [len(found) for found in faces] == [1] * count


def test_a_film_without_faces_or_frames() -> None:
    detector = FakeDetector([lambda number: None])
    assert track(film(17, []), detector, every=4) == [[]] * 17
    assert len(detector.asked) == 5
    assert track([], detector) == []


def test_batches_are_halved_where_memory_does_not_suffice(caplog) -> None:
    frames = film(41, [swinging])
    detector = FakeDetector([swinging], largest_batch=2)
    with caplog.at_level(logging.WARNING):
        faces = track(frames, detector, every=5, batch=8)
    assert detector.asked == [*range(0, 41, 5)]
    assert detector.batches[:3] == [8, 4, 2]
    assert "going on with 2" in caplog.text
    plain = track(frames, FakeDetector([swinging]), every=5)
    assert [one.face.box for (one,) in faces] == [one.face.box for (one,) in plain]
    with pytest.raises(RuntimeError, match="Out of memory"):
        track(frames, FakeDetector([swinging], largest_batch=0))


def test_frames_may_be_painted_on() -> None:
    frames = film(60, [swinging])
    expected = track(frames, FakeDetector([swinging]), every=6)
    found = []
    for frame, faces in FaceTracker(FakeDetector([swinging]), every=6).stream(iter(frames)):
        found.append(faces)
        frame[:] = 0
    assert [one.face.box for (one,) in found] == [one.face.box for (one,) in expected]


def test_few_frames_are_held() -> None:
    def endless(count):
        for number in range(count):
            yield film(1, [lambda _, n=number: swinging(n)])[0]

    def peak(count):
        tracemalloc.start()
        for _ in FaceTracker(FakeDetector([lambda number: None]), every=5).stream(endless(count)):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(150) < min(1.1 * peak(30), 22 * HEIGHT * WIDTH * 3 + 500_000)


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"smooth": 4}, {"smooth": 0}, {"shortest": 0}, {"batch": 0}]
)
def test_arguments_out_of_range(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        FaceTracker(FakeDetector([]), **options)
