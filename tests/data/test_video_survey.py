# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from ppzoo.data.loader import build_dataset
from ppzoo.data.survey import as_table
from ppzoo.data.video_survey import survey_clips
from tests.data.videos import preprocess, reds_names, write_clips, write_frames


def make(root: Path):
    return build_dataset(
        {
            "name": "VSRFramesDataset",
            "lq_folder": str(root / "lq"),
            "gt_folder": str(root / "gt"),
            "preprocess": preprocess(None, crop=False),
        }
    )


def test_all_frames_are_looked_at(tmp_path: Path) -> None:
    write_clips(tmp_path, ["a", "b"], reds_names(4))
    lq, gt = survey_clips(make(tmp_path), progress=False)
    assert (lq.kind, lq.count, dict(lq.sizes), lq.problems) == ("frames", 8, {(12, 8): 8}, [])
    assert (gt.kind, gt.count, dict(gt.sizes), gt.problems) == ("frames", 8, {(48, 32): 8}, [])
    assert "12 x 8" in as_table([lq, gt])


def test_frames_are_not_decoded(tmp_path: Path, monkeypatch) -> None:
    from PIL.PngImagePlugin import PngImageFile

    write_clips(tmp_path, ["a"], reds_names(2))
    monkeypatch.setattr(PngImageFile, "load", lambda image: pytest.fail("decoded"))
    lq, gt = survey_clips(make(tmp_path), progress=False)
    assert (lq.count, gt.count, lq.problems + gt.problems) == (2, 2, [])


def test_what_is_wrong_in_the_middle_of_a_clip_is_found(tmp_path: Path) -> None:
    write_clips(tmp_path, ["a", "b"], reds_names(4))
    write_frames(tmp_path / "gt", "a", ["00000001.png"], (32, 44))
    path = tmp_path / "lq" / "b" / "00000003.png"
    path.write_bytes(path.read_bytes()[:-5])
    (tmp_path / "gt" / "b" / "00000002.png").write_bytes(b"GIF?")
    lq, gt = survey_clips(make(tmp_path), progress=False)
    assert lq.problems == [f"{path} is truncated"]
    assert lq.count == gt.count == 7
    assert gt.problems[0] == (
        f"{tmp_path / 'gt' / 'a' / '00000001.png'} of 44 x 32 pixels is not 4 times as large as "
        "the small frame of 12 x 8"
    )
    assert "b/00000002.png is not an image file" in gt.problems[1]
