# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ppzoo.data import video_frames
from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.embedded_video import moving_frames
from ppzoo.data.loader import build_dataset
from ppzoo.data.video_frames import extract_frames, find_videos, shrink_clips
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image
from ppzoo.media.video import VideoReader, VideoWriter
from tests.data.videos import preprocess, write_frames


def write_video(path: Path, names: tuple[str, ...], count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, Fraction(30000, 1001), preset="ultrafast") as writer:
        for frame in moving_frames(count, 66, 98, names=names):
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "a film.mp4", ("coffee", "chelsea"), 24)
    write_video(root / "sub" / "b.mkv", ("astronaut",), 7)
    (root / "notes.txt").write_text("no video")
    return root


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_scenes_become_clips_of_large_and_small_frames(videos: Path, tmp_path: Path) -> None:
    made = extract_frames(videos, tmp_path, scale=4, most=10, progress=False)
    assert (made.videos, made.clips, made.frames, made.made, made.problems) == (2, 3, 27, 27, [])
    wanted = [f"a_film_00{c}/{n:08d}.png" for c in (0, 1) for n in range(10)]
    wanted += [f"sub_b_000/{n:08d}.png" for n in range(7)]
    assert files(tmp_path / "gt") == files(tmp_path / "lq") == wanted
    with VideoReader(videos / "a film.mp4") as reader:
        decoded = list(reader)
    for clip, first in (("a_film_000", 0), ("a_film_001", 12)):
        for number in (0, 9):
            gt = read_image(tmp_path / "gt" / clip / f"{number:08d}.png")
            assert np.array_equal(gt, decoded[first + number][:64, :96])
            lq = read_image(tmp_path / "lq" / clip / f"{number:08d}.png")
            assert np.array_equal(lq, resize_bicubic(gt, 1 / 4))
    dataset = build_dataset(
        {
            "name": "VSRFramesDataset",
            "lq_folder": str(tmp_path / "lq"),
            "gt_folder": str(tmp_path / "gt"),
            "preprocess": preprocess(None, crop=True),
        }
    )
    assert len(dataset) == 27
    assert dataset[5]["lq"].shape == (5, 3, 4, 4)


def test_an_interrupted_call_is_continued(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = video_frames.write_image

    def fail_later(path: Path, image: np.ndarray) -> None:
        if len(written) == 9:
            raise KeyboardInterrupt
        written.append(path)
        write(path, image)

    monkeypatch.setattr(video_frames, "write_image", fail_later)
    with pytest.raises(KeyboardInterrupt):
        extract_frames(videos, tmp_path, jobs=1, progress=False)
    assert len(list(tmp_path.rglob("*.png"))) == 9
    assert not (tmp_path / "frames.json").exists()
    monkeypatch.setattr(video_frames, "write_image", write)
    made = extract_frames(videos, tmp_path, jobs=2, progress=False)
    assert (made.frames, made.made) == (31, 31 - 4)
    monkeypatch.setattr(video_frames, "write_image", None)
    again = extract_frames(videos, tmp_path, progress=False)
    assert (again.videos, again.clips, again.frames, again.made) == (2, 3, 31, 0)
    with pytest.raises(DataError, match="other settings"):
        extract_frames(videos, tmp_path, scale=2, progress=False)


def test_a_video_that_cannot_be_used_is_named_or_left_out(videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.mkv").write_bytes((videos / "sub" / "b.mkv").read_bytes())
    (folder / "damaged.mp4").write_text("no film")
    write_video(folder / "short.mp4", ("coffee",), 3)
    with pytest.raises(DataError, match=r"damaged\.mp4"):
        extract_frames(folder, tmp_path / "out", progress=False)
    made = extract_frames(folder, tmp_path / "out", on_error="skip", progress=False)
    assert (made.videos, made.frames) == (1, 7)
    assert [problem.split()[0] for problem in made.problems] == [
        str(folder / "damaged.mp4"),
        str(folder / "short.mp4"),
    ]
    assert list(json.loads((tmp_path / "out" / "frames.json").read_text())["videos"]) == ["b"]
    with pytest.raises(DataError, match="98 x 66 pixels is too small to be shrunk by 9"):
        video_frames._extract(folder / "b.mkv", "b", tmp_path, 9, 10, None)


def test_what_a_damaged_video_holds_is_kept_and_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", ("coffee",), 60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    made = extract_frames(path, tmp_path / "out", progress=False)
    assert 5 <= made.frames < 60
    assert [problem.count(str(path)) for problem in made.problems] == [1] * len(made.problems)
    assert f"{path} is cut off" in made.problems[0]


def test_videos_are_found_by_their_suffix(videos: Path, tmp_path: Path) -> None:
    assert [path.name for path in find_videos(videos)] == ["a film.mp4", "b.mkv"]
    assert find_videos(videos / "a film.mp4") == [videos / "a film.mp4"]
    with pytest.raises(DataError, match=r"holds no videos \(\.3gp, \.avi, "):
        find_videos(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        find_videos(tmp_path / "none")


@pytest.mark.parametrize("wrong", [{"scale": 1}, {"most": 4}, {"jobs": 0}, {"on_error": "ignore"}])
def test_numbers_out_of_range_are_refused(videos: Path, tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        extract_frames(videos, tmp_path, progress=False, **wrong)


def test_small_frames_are_made_once(tmp_path: Path) -> None:
    write_frames(tmp_path / "gt", "1/2", ["im1.png", "im2.png"], (18, 24))
    frames = ["1/2/im1.png", "1/2/im2.png"]
    assert shrink_clips(tmp_path / "gt", tmp_path / "lq", frames[:1], progress=False) == 1
    assert shrink_clips(tmp_path / "gt", tmp_path / "lq", frames, progress=False) == 1
    for name in frames:
        large = read_image(tmp_path / "gt" / name)[:16]
        assert np.array_equal(read_image(tmp_path / "lq" / name), resize_bicubic(large, 1 / 4))
    with pytest.raises(DataError, match=r"im9\.png"):
        shrink_clips(tmp_path / "gt", tmp_path / "lq", ["1/2/im9.png"], progress=False)
