# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from ppzoo.data import embedded_video
from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.embedded_video import (
    Clip,
    EmbeddedVideoDataset,
    Layer,
    Pose,
    moving_frames,
    shrunken_photograph,
)
from ppzoo.data.loader import Loader, build_dataset
from ppzoo.data.photographs import SPLIT, embedded_photograph
from ppzoo.errors import ConfigError

SCALE = 4


def as_picture(image: np.ndarray) -> np.ndarray:
    return image.transpose(1, 2, 0)


def psnr(image: np.ndarray, truth: np.ndarray, border: int = 8) -> float:
    inner = np.s_[border:-border, border:-border]
    return -10 * np.log10(np.square(np.clip(image[inner], 0, 1) - truth[inner]).mean())


def brought_together(lq: np.ndarray, clip: Clip, frames: list[int]) -> np.ndarray:
    """Enlarge the middle frame so that `frames` would come out of it: back-projection."""
    scene, middle = clip.layers[0], len(clip.layers[0].poses) // 2
    side = lq.shape[1] * SCALE

    def matrix(frame: int) -> np.ndarray:
        return np.vstack([scene.poses[frame].matrix(side, side), (0, 0, 1)])

    result = resize_bicubic(lq[middle], SCALE)
    for _ in range(15):
        step = np.zeros_like(result)
        for frame in frames:
            to_middle = (np.linalg.inv(matrix(middle)) @ matrix(frame))[:2]
            flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
            border = cv2.BORDER_REPLICATE
            seen = cv2.warpAffine(result, to_middle, (side, side), flags=flags, borderMode=border)
            missing = resize_bicubic(lq[frame] - resize_bicubic(seen, 1 / SCALE), SCALE)
            step += cv2.warpAffine(missing, to_middle, (side, side), flags=cv2.INTER_CUBIC)
        result += step / len(frames)
    return result


def test_samples_are_small_frames_and_the_large_middle_one() -> None:
    sample = EmbeddedVideoDataset("test", size=64, num_frames=5)[0]
    assert sample["lq"].shape == (5, 3, 16, 16)
    assert sample["gt"].shape == (1, 3, 64, 64)
    assert sample["lq_path"] == sample["gt_path"] == "chelsea_00000.png"
    for key in ("lq", "gt"):
        assert sample[key].dtype == np.float32
        assert 0 <= sample[key].min() < 0.3 < 0.6 < sample[key].max() <= 1
        assert np.array_equal(sample[key] * 255, np.rint(sample[key] * 255))
    shrunk = resize_bicubic(as_picture(sample["gt"][0]), 1 / SCALE)
    middle = as_picture(sample["lq"][2])
    inner = np.s_[3:-3, 3:-3]
    assert np.abs(shrunk - middle)[inner].max() < 1.01 / 255


def test_small_frames_know_what_is_beyond_their_border() -> None:
    dataset = EmbeddedVideoDataset("test", size=32, samples=4)
    sample, clip = dataset[2], dataset.clip(2)
    wide = clip.render(2, 32 + 64, 32 + 64)
    assert np.array_equal(wide[32:-32, 32:-32] / np.float32(255), as_picture(sample["gt"][0]))
    small = resize_bicubic(wide, 1 / SCALE)[8:-8, 8:-8]
    assert np.array_equal(small / np.float32(255), as_picture(sample["lq"][2]))


def test_several_frames_hold_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_video, "_OBJECTS", 0.0)
    dataset = EmbeddedVideoDataset("test", size=64, samples=8)
    gains = []
    for index in range(8):
        sample, clip = dataset[index], dataset.clip(index)
        lq, gt = sample["lq"].transpose(0, 2, 3, 1), as_picture(sample["gt"][0])
        one, five = (psnr(brought_together(lq, clip, f), gt) for f in ([2], [0, 1, 2, 3, 4]))
        gains.append(five - one)
    assert min(gains) > 0.5
    assert np.mean(gains) > 1.2


def test_motion_is_as_fast_as_asked_for_and_differs_between_clips() -> None:
    dataset = EmbeddedVideoDataset("train", size=64, samples=60, speed=(0.5, 2.0))
    speeds = []
    for index in range(60):
        poses = dataset.clip(index).layers[0].poses
        way = np.hypot(poses[-1].x - poses[0].x, poses[-1].y - poses[0].y)
        speeds.append(way / 4 / SCALE)
    assert 0.4 < min(speeds) < 0.7
    assert 1.6 < max(speeds) < 2.4


def test_split_is_by_photograph_also_of_objects() -> None:
    for mode, names in SPLIT.items():
        dataset = EmbeddedVideoDataset(mode, size=32, samples=40)
        clips = [dataset.clip(index) for index in range(40)]
        assert {layer.photo for clip in clips for layer in clip.layers} == set(names)
        assert 5 < sum(len(clip.layers) == 2 for clip in clips) < 25
        for a, b in itertools.pairwise(clips):
            assert a.layers[0].photo != b.layers[0].photo
    train = [EmbeddedVideoDataset("train", size=32).clip(index) for index in range(60)]
    assert len({clip.channels for clip in train}) == 6
    assert {clip.layers[0].poses[2].mirrored for clip in train} == {-1, 1}
    assert {round(clip.layers[0].poses[2].turn, 3) for clip in train} == {0, 1.571, 3.142, 4.712}
    assert {clip.channels for clip in clips} == {(0, 1, 2)}
    assert {clip.layers[0].poses[2].turn for clip in clips} == {0}


def test_an_object_hides_what_is_behind_and_moves_by_itself() -> None:
    still = (Pose(200, 200),) * 3
    scene = Layer("coffee", 1.5, still)
    moving = tuple(Pose(100 - 6 * t, 100) for t in (-1, 0, 1))
    front = Layer("astronaut", 1.5, moving, (100, 100, 10, 14))
    with_object, without = Clip((scene, front)), Clip((scene,))
    for t in (-1, 0, 1):
        image, bare = (clip.render(t + 1, 64, 64) for clip in (with_object, without))
        rows, columns = np.nonzero((image != bare).any(axis=2))
        assert abs(columns.mean() - (31.5 + 6 * t)) < 1
        assert abs(rows.mean() - 31.5) < 1
        assert 17 <= np.ptp(columns) <= 21
        assert 25 <= np.ptp(rows) <= 29
    assert np.array_equal(without.render(0, 64, 64), without.render(2, 64, 64))


def test_a_pose_shows_the_photograph() -> None:
    photo = shrunken_photograph("coffee", 1.5)
    for pose, expected in (
        (Pose(131.5, 121.5), photo[90:154, 100:164]),
        (Pose(131.5, 121.5, mirrored=-1), photo[90:154, 163:99:-1]),
        (Pose(131.5, 121.5, turn=np.pi / 2), np.rot90(photo[90:154, 100:164])),
    ):
        image = Clip((Layer("coffee", 1.5, (pose,)),)).render(0, 64, 64)
        assert np.abs(image.astype(int) - expected).max() <= 2
    assert photo.shape == (267, 400, 3)
    assert not photo.flags.writeable


@pytest.mark.parametrize("size", [32, 128, 256])
def test_frames_lie_within_the_photograph(size: int) -> None:
    for mode in SPLIT:
        dataset = EmbeddedVideoDataset(mode, size=size)
        for index in range(10):
            for layer in dataset.clip(index).layers:
                height, width = shrunken_photograph(layer.photo, layer.shrink).shape[:2]
                for pose in layer.poses:
                    corners = embedded_video._corners(pose, size, size)
                    assert corners.min() >= 3
                    assert (corners <= np.array([width - 4, height - 4])).all()


def test_batches_repeat_samples_and_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, again = (EmbeddedVideoDataset("train", size=32, samples=12) for _ in range(2))
    batch = next(iter(Loader(dataset, 4, train=True, seed=3).epoch(0)))
    assert batch["lq"].shape == [4, 5, 3, 8, 8]
    assert batch["gt"].shape == [4, 1, 3, 32, 32]
    index = int(batch["lq_path"][0].split("_")[1].split(".")[0])
    assert np.array_equal(batch["lq"].numpy()[0], again[index]["lq"])
    first = dataset.get_batch(range(12))
    monkeypatch.setattr(Clip, "render", None)
    second = dataset.get_batch(range(12))
    assert np.array_equal(first["lq"], second["lq"])
    assert len(np.unique(first["gt"].reshape(12, -1).mean(axis=1))) == 12
    with pytest.raises(IndexError):
        dataset[12]


def test_memory_for_made_clips_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_video, "_CACHED_BYTES", 2 * 3 * (16 * 16 + 5 * 4 * 4))
    dataset = EmbeddedVideoDataset("test", size=16, samples=6)
    first, second = (dataset.get_batch(range(6)) for _ in range(2))
    assert len(dataset._cached) == 2
    assert np.array_equal(first["gt"], second["gt"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"mode": "val"}, "'mode'"),
        ({"size": 62}, "multiple of the scale 4"),
        ({"size": 8}, "'size'"),
        ({"scale": 0}, "'scale'"),
        ({"num_frames": 4}, "odd"),
        ({"num_frames": 17}, "'num_frames'"),
        ({"samples": 0}, "'samples'"),
        ({"speed": (2, 1)}, "'speed'"),
        ({"speed": (0, 1)}, "'speed'"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        build_dataset({"name": "EmbeddedVideoDataset", **arguments})


def test_a_longer_video_moves_steadily_and_cuts_between_photographs() -> None:
    frames = list(moving_frames(40, 48, 80, names=("coffee", "chelsea"), speed=1.5))
    assert len(frames) == 40
    assert all(frame.shape == (48, 80, 3) and frame.dtype == np.uint8 for frame in frames)
    steps = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(frames)]
    assert int(np.argmax(steps)) == 19
    assert sorted(steps)[-2] < 0.5 * max(steps)
    assert min(steps) > 0.3
    again = list(moving_frames(40, 48, 80, names=("coffee", "chelsea"), speed=1.5))
    assert all(np.array_equal(a, b) for a, b in zip(frames, again, strict=True))
    other = next(moving_frames(1, 48, 80, seed=1))
    assert np.abs(other.astype(int) - frames[0]).mean() > 1


def test_a_longer_video_may_be_larger_than_the_photograph() -> None:
    height, width = embedded_photograph("chelsea").shape[:2]
    frame = next(moving_frames(1, height + 61, width + 30, names=("chelsea",)))
    assert frame.shape == (height + 61, width + 30, 3)
    assert frame.std() > 20
