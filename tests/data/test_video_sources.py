# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ppzoo.config import load_config
from ppzoo.data import video_sources
from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.loader import build_dataset
from ppzoo.data.video_sources import prepare_reds, prepare_vimeo90k
from ppzoo.errors import DataError, UserError
from ppzoo.media.image import read_image
from tests.data.videos import preprocess, reds_names, write_frames

LARGE, SMALL = (16, 24), (4, 6)


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """REDS as its archives unpack, with three frames per clip."""
    monkeypatch.setattr(video_sources, "_REDS_FRAMES", reds_names(3))
    root = tmp_path / "unpacked"
    for part, clips in (("train", ("000", "001", "011")), ("val", ("000", "029"))):
        for clip in clips:
            write_frames(root / part / f"{part}_sharp", clip, reds_names(3), LARGE)
            write_frames(root / f"{part}_sharp_bicubic" / "X4", clip, reds_names(3), SMALL)
    return root


def reds(out: Path, **arguments):
    kind = "REDS4_test" if arguments.get("test_mode") else "train"
    choose = {"name": "GetFrameIdxwithPadding", "padding": "replicate"}
    return build_dataset(
        {
            "name": "VSRREDSDataset",
            "lq_folder": str(out / f"{kind}_sharp_bicubic" / "X4"),
            "gt_folder": str(out / f"{kind}_sharp" / "X4"),
            "ann_file": str(out / "meta_info_REDS_GT.txt"),
            "num_frames": 3,
            "preprocess": preprocess(choose, crop=False),
            **arguments,
        }
    )


def test_reds_is_laid_out_as_the_configs_want_it(archives: Path, tmp_path: Path) -> None:
    out = tmp_path / "REDS"
    prepared = prepare_reds(out, archives)
    assert prepared.clips == {
        "train_sharp/X4": 5,
        "REDS4_test_sharp/X4": 2,
        "train_sharp_bicubic/X4": 5,
        "REDS4_test_sharp_bicubic/X4": 2,
    }
    assert prepared.made == 14
    assert sorted(os.listdir(out / "train_sharp" / "X4")) == ["000", "001", "011", "240", "269"]
    lines = (out / "meta_info_REDS_GT.txt").read_text().splitlines()
    assert len(lines) == 15
    assert lines[0] == "000/00000000.png (16, 24, 3)"
    assert lines[-1] == "269/00000002.png (16, 24, 3)"
    assert len(reds(out)) == 9
    assert len(reds(out, test_mode=True)) == 6
    assert len(reds(out, val_partition="official")) == 9
    assert reds(out)[0]["gt_path"].endswith("001/00000000.png")
    assert prepare_reds(out, archives).made == prepare_reds(out).made == 0


def test_what_is_missing_of_reds_is_named(archives: Path, tmp_path: Path) -> None:
    out = tmp_path / "REDS"
    with pytest.raises(DataError, match=r"has no REDS\. .* --from DIR --out .*REDS"):
        prepare_reds(out)
    with pytest.raises(DataError, match=r"none of '--from' does not exist"):
        prepare_reds(out, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no folder train_sharp of clips"):
        prepare_reds(out, tmp_path / "empty")
    os.remove(archives / "train_sharp_bicubic" / "X4" / "001" / "00000001.png")
    with pytest.raises(DataError, match=r"bicubic/X4/001 has 2 of the 3 frames .*1\.png is miss"):
        prepare_reds(out, archives)
    assert not (out / "meta_info_REDS_GT.txt").exists()
    write_frames(archives / "train_sharp_bicubic" / "X4", "001", reds_names(3), LARGE)
    with pytest.raises(DataError, match="24 x 16 pixels is not 4 times as large"):
        prepare_reds(out)


def test_links_that_cannot_be_made_are_named(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(
        UserError, match=r"train_sharp/X4/000 to .*: not permitted; move the folder"
    ):
        prepare_reds(tmp_path / "REDS", archives)


def test_vimeo90k_gets_its_small_frames(tmp_path: Path) -> None:
    out = tmp_path / "vimeo90k"
    with pytest.raises(DataError, match=r"sequences does not exist\. .* --out .*vimeo90k again"):
        prepare_vimeo90k(out, progress=False)
    root, names = out / "vimeo_septuplet", [f"im{number}.png" for number in range(1, 8)]
    for clip in ("00001/0001", "00001/0002", "00002/0001"):
        write_frames(root / "sequences", clip, names, LARGE)
    (root / "sep_trainlist.txt").write_text("00001/0001\n00002/0001\n")
    (root / "sep_testlist.txt").write_text("00001/0002\n\n")
    prepared = prepare_vimeo90k(out, progress=False)
    small = "vimeo_septuplet_matlabLRx4/sequences"
    assert prepared.clips == {"vimeo_septuplet/sequences": 3, small: 3}
    assert prepared.made == 21
    assert prepare_vimeo90k(out, progress=False).made == 0
    large = read_image(root / "sequences" / "00002/0001" / "im7.png")
    made = read_image(out / small / "00002/0001" / "im7.png")
    assert (made == resize_bicubic(large, 1 / 4)).all()
    dataset = build_dataset(
        {
            "name": "VSRVimeo90KDataset",
            "lq_folder": str(out / small),
            "gt_folder": str(root / "sequences"),
            "ann_file": str(root / "sep_trainlist.txt"),
            "preprocess": preprocess(None, crop=False),
        }
    )
    assert len(dataset) == 2
    os.remove(root / "sequences" / "00001/0002" / "im4.png")
    with pytest.raises(DataError, match=r"00001/0002 has 6 of the 7 frames .* im4\.png is missing"):
        prepare_vimeo90k(out, progress=False)


def test_configs_read_what_is_prepared() -> None:
    made = {
        f"data/REDS/{folder.replace('train', kind)}"
        for folder, _ in video_sources._REDS_PARTS.values()
        for kind in ("train", "REDS4_test")
    }
    made |= {f"data/vimeo90k/vimeo_septuplet{kind}/sequences" for kind in ("", "_matlabLRx4")}
    made |= {f"data/{name}/{side}" for name in ("frames", "frames_test") for side in ("lq", "gt")}
    seen = set()
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")):
        if "VSR" not in path.read_text("utf-8"):
            continue
        config = load_config(path, check=True)
        for section in (config.dataset.train, config.dataset.test):
            arguments = section.component.kwargs
            component = arguments.get("dataset", section.component)
            if getattr(component, "name", "").startswith("VSR"):
                folders = {component.kwargs["lq_folder"], component.kwargs["gt_folder"]}
                assert folders <= made, path.name
                seen.add(path.stem)
    assert "edvr_m_frames" in seen
