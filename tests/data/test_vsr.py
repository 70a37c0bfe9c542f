# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ppzoo.data.loader import Loader, build_dataset
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image
from tests.data.videos import preprocess, reds_names, write_clips, write_frames

TRAIN = {"name": "GetFrameIdx", "interval_list": [1], "frames_per_clip": 5}
TEST = {"name": "GetFrameIdxwithPadding", "padding": "reflection_circle"}
NEIGHBOURS = {"name": "GetNeighboringFramesIdx", "interval_list": [1]}


@pytest.fixture
def reds(tmp_path: Path) -> Path:
    write_clips(tmp_path, ["000", "001", "240"], reds_names(6))
    lines = [f"{c}/{n} (32, 48, 3)" for c in ("000", "001", "240") for n in reds_names(6)]
    (tmp_path / "meta.txt").write_text("\n".join(lines) + "\n\n")
    return tmp_path


def make(root: Path, kind: str = "VSRREDSDataset", **arguments):
    folders = {"lq_folder": str(root / "lq"), "gt_folder": str(root / "gt")}
    if "REDS" in kind:
        arguments = {"ann_file": str(root / "meta.txt"), "num_frames": 5, **arguments}
    return build_dataset({"name": kind, **folders, **arguments})


def greens(frames: np.ndarray) -> list[int]:
    return [round(float(frame[1].mean()) * 255) for frame in frames]


def test_reds_for_testing_gives_every_frame_with_its_neighbours(reds: Path) -> None:
    dataset = make(reds, preprocess=preprocess(TEST, crop=False), test_mode=True)
    assert len(dataset) == 6
    assert not dataset.is_random
    assert dataset.scale == 4
    sample = dataset[0]
    assert sample["lq"].shape == (5, 3, 8, 12)
    assert sample["gt"].shape == (1, 3, 32, 48)
    assert sample["lq"].dtype == sample["gt"].dtype == np.float32
    assert greens(sample["lq"]) == [4, 3, 0, 1, 2]
    assert greens(dataset[5]["lq"]) == [3, 4, 5, 2, 1]
    assert greens(dataset[3]["gt"]) == [3]
    assert sample["gt_path"] == str(reds / "gt" / "000" / "00000000.png")
    assert sample["lq_path"] == str(reds / "lq" / "000" / "00000000.png")
    assert dataset.source(4) == str(reds / "lq" / "000" / "00000004")


def test_reds_for_training_cuts_and_flips_all_frames_alike(reds: Path) -> None:
    dataset = make(reds, preprocess=preprocess(TRAIN, crop=True))
    assert len(dataset) == 12
    assert dataset.is_random
    loader = Loader(dataset, 4, train=True, seed=0)
    orders = set()
    for batch in loader.epoch(0):
        assert batch["lq"].shape == [4, 5, 3, 4, 4]
        assert batch["gt"].shape == [4, 1, 3, 16, 16]
        for lq, gt, path in zip(
            batch["lq"].numpy(), batch["gt"].numpy(), batch["gt_path"], strict=True
        ):
            middle = int(Path(path).stem)
            assert 2 <= middle <= 3
            clip = Path(path).parent.name
            assert clip in {"001", "240"}
            first = 20 * ["000", "001", "240"].index(clip)
            assert greens(gt) == [first + middle]
            assert greens(lq) == [first + middle + step for step in (-2, -1, 0, 1, 2)]
            # Red counts columns: small ones are every fourth of the large, cut at the same place.
            red = np.rint(lq[2, 0] * 255).astype(int)
            large = np.rint(gt[0, 0] * 255).astype(int)
            orders.add(np.sign(red[0, -1] - red[0, 0]))
            across = red if red[0, 0] != red[0, -1] else red.T
            wide = large if large[0, 0] != large[0, -1] else large.T
            assert abs(across[0, 0] * 4 + 1.5 - wide[0, :4].mean()) < 1e-6
    assert orders == {-1, 0, 1}


def test_reds_partitions_divide_the_clips(reds: Path) -> None:
    steps = preprocess(NEIGHBOURS, crop=False)

    def clips(**arguments) -> list[str]:
        dataset = make(reds, "VSRREDSMultipleGTDataset", preprocess=steps, **arguments)
        return [Path(dataset.source(index)).name for index in range(len(dataset))]

    assert clips() == ["001", "240"]
    assert clips(test_mode=True) == ["000"]
    assert clips(val_partition="official") == ["000", "001"]
    assert clips(val_partition="official", test_mode=True) == ["240"]
    with pytest.raises(ConfigError, match="'val_partition'"):
        clips(val_partition="other")
    (reds / "meta.txt").write_text("000 6 (32,48,3)\n")
    with pytest.raises(DataError, match=r"meta\.txt of 'ann_file' lists none other clips"):
        clips()


def test_reds_with_all_frames_as_targets(reds: Path) -> None:
    dataset = make(
        reds, "VSRREDSMultipleGTDataset", num_frames=4, preprocess=preprocess(NEIGHBOURS, crop=True)
    )
    sample = dataset[1]
    assert sample["lq"].shape == (4, 3, 4, 4)
    assert sample["gt"].shape == (4, 3, 16, 16)
    assert np.diff(greens(sample["gt"])).tolist() == [1, 1, 1]
    assert greens(sample["lq"]) == greens(sample["gt"])
    assert sample["gt_path"] == str(reds / "gt" / "240")


def test_lists_of_clips_are_read_as_those_of_frames(reds: Path) -> None:
    whole = make(reds, preprocess=preprocess(TRAIN, crop=True))
    (reds / "meta.txt").write_text("000 6 (32,48,3)\n001 6 (32,48,3)\n240 6 (32,48,3)\n")
    short = make(reds, preprocess=preprocess(TRAIN, crop=True))
    assert [short.source(n) for n in range(len(short))] == [
        whole.source(n) for n in range(len(whole))
    ]
    (reds / "meta.txt").write_text("000 6\n001\n")
    with pytest.raises(DataError, match=r"meta\.txt:2: '001'"):
        make(reds, preprocess=preprocess(TRAIN, crop=True))


def test_missing_frames_are_found_before_training(reds: Path) -> None:
    for number in (2, 4):
        os.remove(reds / "gt" / "240" / f"0000000{number}.png")
    with pytest.raises(
        DataError,
        match=r"gt/240 has 4 of the 6 frames 00000000\.png to 00000005\.png: "
        r"00000002\.png, 00000004\.png are missing",
    ):
        make(reds, preprocess=preprocess(TRAIN, crop=True))
    with pytest.raises(DataError, match="gt/240 has 4 of the 6"):
        make(reds, "VSRREDSMultipleGTDataset", preprocess=preprocess(NEIGHBOURS, crop=True))
    long = TRAIN | {"frames_per_clip": 7}
    with pytest.raises(DataError, match=r"6 of the 8 frames .* 00000006\.png, 00000007\.png are"):
        make(reds, preprocess=preprocess(long, crop=True))
    (reds / "lq" / "000").rename(reds / "lq" / "old")
    with pytest.raises(DataError, match=r"lq/000 does not exist; 00000000\.png to 00000005\.png"):
        make(reds, preprocess=preprocess(TEST, crop=False), test_mode=True)


def test_sizes_that_do_not_fit_are_found_before_training(reds: Path) -> None:
    write_frames(reds / "gt", "001", reds_names(6), (24, 48))
    for crop in (True, False):
        with pytest.raises(
            DataError,
            match=r"gt/001/00000000\.png of 48 x 24 pixels is not 4 times .* of 12 x 8"
            if crop
            else r"is not 4 times",
        ):
            make(reds, preprocess=preprocess(TRAIN, crop=crop), val_partition="official")
    write_clips(reds, ["001"], reds_names(6))
    steps = preprocess(TRAIN, crop=True)
    steps[-1]["pipeline"][0] = steps[-1]["pipeline"][0] | {"scale": 2}
    with pytest.raises(DataError, match="not 2 times as large"):
        make(reds, preprocess=steps)
    steps[-1]["pipeline"][0] = steps[-1]["pipeline"][0] | {"scale": 4, "gt_patch_size": 64}
    with pytest.raises(DataError, match="48 x 32 pixels is smaller than the patch of 64"):
        make(reds, preprocess=steps)
    (reds / "lq" / "001" / "00000000.png").write_text("no picture")
    with pytest.raises(DataError, match=r"lq/001/00000000\.png is not an image file"):
        make(reds, preprocess=preprocess(TRAIN, crop=True))


def test_missing_folders_and_lists_are_named_with_what_helps(tmp_path: Path) -> None:
    root = tmp_path / "REDS"
    steps = preprocess(TRAIN, crop=True)
    with pytest.raises(DataError, match=r"meta\.txt of 'ann_file' does not exist; .* prepare reds"):
        make(root, preprocess=steps)
    root.mkdir()
    (root / "meta.txt").write_text("001/00000000.png\n")
    with pytest.raises(DataError, match=r"lq of 'lq_folder' does not exist; .* prepare reds"):
        make(root, preprocess=steps)
    own = tmp_path / "frames_test"
    with pytest.raises(DataError, match=rf"prepare frames --videos DIR --out {own}$"):
        make(own, "VSRFramesDataset", preprocess=steps)
    with pytest.raises(ConfigError, match="'num_frames' must be odd"):
        make(root, preprocess=steps, num_frames=4)


def test_vimeo_reads_all_seven_frames(tmp_path: Path) -> None:
    names = [f"im{number}.png" for number in range(1, 8)]
    write_clips(tmp_path, ["00001/0233", "00002/0001"], names)
    (tmp_path / "list.txt").write_text("00002/0001\n00001/0233\n")
    arguments = {"ann_file": str(tmp_path / "list.txt"), "preprocess": preprocess(None, crop=False)}
    dataset = make(tmp_path, "VSRVimeo90KDataset", **arguments)
    assert len(dataset) == 2
    assert not dataset.is_random
    sample = dataset[0]
    assert greens(sample["lq"]) == greens(sample["gt"]) == list(range(20, 27))
    assert sample["gt_path"] == str(tmp_path / "gt" / "00002/0001")
    centre = make(tmp_path, "VSRVimeo90KDataset", gt_center=True, **arguments)[1]
    assert greens(centre["gt"]) == [3]
    assert centre["gt_path"] == str(tmp_path / "gt" / "00001/0233" / "im4.png")
    assert centre["lq"].shape == (7, 3, 8, 12)
    os.remove(tmp_path / "lq" / "00001/0233" / "im3.png")
    with pytest.raises(DataError, match=r"00001/0233 has 6 of the 7 frames im1\.png to im7\.png"):
        make(tmp_path, "VSRVimeo90KDataset", **arguments)
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(DataError, match="names no clips"):
        make(tmp_path, "VSRVimeo90KDataset", **arguments)


def test_folders_of_clips_with_all_frames_as_targets(tmp_path: Path) -> None:
    write_clips(tmp_path, ["b", "a"], reds_names(3))
    steps = preprocess(NEIGHBOURS, crop=False)
    dataset = make(tmp_path, "VSRFolderDataset", preprocess=steps, times=2)
    assert len(dataset) == 4
    assert greens(dataset[0]["gt"]) == greens(dataset[2]["lq"]) == [20, 21, 22]
    assert make(tmp_path, "VSRFolderDataset", preprocess=steps, num_frames=2)[0]["lq"].shape[0] == 2
    with pytest.raises(ConfigError, match="'times'"):
        make(tmp_path, "VSRFolderDataset", preprocess=steps, times=0)
    with pytest.raises(DataError, match="name the folder above it"):
        build_dataset(
            {
                "name": "VSRFolderDataset",
                "lq_folder": str(tmp_path / "lq" / "a"),
                "gt_folder": str(tmp_path / "gt" / "a"),
                "preprocess": steps,
            }
        )


def test_own_videos_may_have_any_names_and_lengths(tmp_path: Path) -> None:
    write_clips(tmp_path, ["walk"], [f"Frame {number}.png" for number in range(8, 14)])
    write_clips(tmp_path, ["a short one"], ["x.png", "y.png"])
    dataset = make(tmp_path, "VSRFramesDataset", preprocess=preprocess(None, crop=False))
    assert len(dataset) == 8
    assert greens(dataset[0]["lq"]) == [0, 0, 0, 1, 1]
    assert dataset[0]["gt_path"] == str(tmp_path / "gt" / "a short one" / "x.png")
    assert greens(dataset[2]["lq"]) == [4, 3, 0, 1, 2]
    assert greens(dataset[5]["lq"]) == [1, 2, 3, 4, 5]
    assert greens(dataset[5]["gt"]) == [3]
    reflected = make(
        tmp_path, "VSRFramesDataset", preprocess=preprocess(None, crop=False), padding="reflection"
    )
    assert greens(reflected[2]["lq"]) == [2, 1, 0, 1, 2]
    os.remove(tmp_path / "lq" / "walk" / "Frame 9.png")
    with pytest.raises(DataError, match=r"lq/walk has 5 of the 6 frames Frame 8\.png to Frame 13"):
        make(tmp_path, "VSRFramesDataset", preprocess=preprocess(None, crop=False))
    shutil.rmtree(tmp_path / "lq" / "walk")
    with pytest.raises(DataError, match=r"lq/walk does not exist; Frame 8\.png to Frame 13"):
        make(tmp_path, "VSRFramesDataset", preprocess=preprocess(None, crop=False))


def test_a_damaged_frame_can_be_skipped(reds: Path) -> None:
    path = reds / "lq" / "000" / "00000005.png"
    path.write_bytes(path.read_bytes()[:45])
    steps = preprocess(TEST, crop=False)
    with pytest.raises(DataError, match=r"00000005\.png"):
        make(reds, preprocess=steps, test_mode=True)[5]
    dataset = make(reds, preprocess=steps, test_mode=True, on_error="skip")
    assert greens(dataset[5]["gt"]) == [0]
    assert "00000005.png" in dataset.take_skipped()[0]


def test_lying_photographs_count_as_they_are_displayed(tmp_path: Path) -> None:
    from PIL import Image

    write_clips(tmp_path, ["a"], ["1.jpg"])
    image = Image.fromarray(np.zeros((48, 32, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "gt" / "a" / "1.jpg", exif=exif)
    dataset = make(
        tmp_path, "VSRFramesDataset", num_frames=1, preprocess=preprocess(None, crop=False)
    )
    assert dataset[0]["gt"].shape == (1, 3, 32, 48)
    write_image(tmp_path / "gt" / "a" / "1.jpg", np.zeros((48, 32, 3), np.uint8))
    with pytest.raises(DataError, match="32 x 48 pixels is not"):
        make(tmp_path, "VSRFramesDataset", preprocess=preprocess(None, crop=False))
