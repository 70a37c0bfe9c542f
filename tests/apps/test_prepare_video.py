# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ppzoo import cli
from ppzoo.data import video_sources
from ppzoo.data.embedded_video import moving_frames
from ppzoo.media.video import VideoWriter
from tests.data.videos import preprocess, reds_names, write_clips, write_frames


def run(capsys: pytest.CaptureFixture, *command: object) -> tuple[int, str]:
    code = cli.main(["data", *map(str, command)])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_frames_of_own_videos(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    videos, out = tmp_path / "videos", tmp_path / "frames"
    videos.mkdir()
    with VideoWriter(videos / "walk.mp4", 25, preset="ultrafast") as writer:
        for frame in moving_frames(8, 64, 96):
            writer.write(frame)
    for number in range(7):
        (videos / f"bad{number}.mp4").write_text("no film")
    command = ("prepare", "frames", "--videos", videos, "--out", out, "--most", 6, "--jobs", 1)
    code, said = run(capsys, *command)
    assert code == 2
    assert said.startswith(f"error: {videos / 'bad0.mp4'}")
    code, said = run(capsys, *command, "--on-error", "skip", "--scale", 2)
    assert code == 0
    assert f"6 frames in 1 clips of 1 videos are in {out}/gt, and at 1/2 in {out}/lq" in said
    assert "problems: 7" in said
    assert "... and 2 more" in said


def test_reds(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_sources, "_REDS_FRAMES", reds_names(2))
    write_frames(tmp_path / "in" / "train_sharp", "000", reds_names(2), (8, 8))
    code, said = run(
        capsys, "prepare", "reds", "--from", tmp_path / "in", "--out", tmp_path / "REDS"
    )
    assert code == 0
    assert f"1 clips in {tmp_path}/REDS/train_sharp/X4" in said
    assert "2 links are new; CC BY 4.0" in said
    code, said = run(capsys, "prepare", "reds", "--out", tmp_path / "none")
    assert code == 2
    assert "https://seungjunnah.github.io" in said


def test_vimeo90k(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root, names = tmp_path / "vimeo_septuplet", [f"im{number}.png" for number in range(1, 8)]
    write_frames(root / "sequences", "00001/0001", names, (8, 8))
    (root / "sep_trainlist.txt").write_text("00001/0001\n")
    (root / "sep_testlist.txt").write_text("")
    code, said = run(capsys, "prepare", "vimeo90k", "--out", tmp_path, "--jobs", 2)
    assert code == 0
    assert "7 frames are new; for research" in said


def config(folder: Path, name: str, **arguments: object) -> Path:
    """Write a config that reads the clips of `folder`."""
    section = {
        "name": name,
        "lq_folder": str(folder / "lq"),
        "gt_folder": str(folder / "gt"),
        "preprocess": preprocess(None, crop=False),
        **arguments,
    }
    repeated = {"name": "RepeatDataset", "times": 1000, "batch_size": 1, "dataset": section}
    smoke = Path(__file__).parents[2] / "configs" / "smoke" / "dcgan.yaml"
    values = yaml.safe_load(smoke.read_text("utf-8"))
    values["dataset"] = {"train": repeated}
    values.pop("validate", None)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def test_check_looks_at_the_clips_of_a_config(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_clips(tmp_path, ["a", "b"], reds_names(3))
    path = config(tmp_path, "VSRFramesDataset")
    code, said = run(capsys, "check", path)
    assert code == 0
    assert [line.split()[1:5] for line in said.splitlines()[2:4]] == [
        ["frames", "6", "12", "x"],
        ["frames", "6", "48", "x"],
    ]
    code, of_folder = run(capsys, "check", tmp_path)
    assert (code, of_folder) == (0, said)
    write_frames(tmp_path / "gt", "b", ["00000002.png"], (31, 48))
    code, said = run(capsys, "check", path)
    assert code == 1
    assert "b/00000002.png of 48 x 31 pixels is not 4 times" in said
    (tmp_path / "lq" / "b" / "00000001.png").unlink()
    code, said = run(capsys, "check", path)
    assert code == 1
    assert "lq/b has 2 of the 3 frames" in said
    assert run(capsys, "check", tmp_path) == (1, said)
