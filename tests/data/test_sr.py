# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from ppzoo.data import resize_bicubic, sr
from ppzoo.data.lmdb_pictures import DatabaseWriter
from ppzoo.data.loader import Loader, build_dataset
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image

# As in PaddleGAN's esrgan, rcan and realsr configs.
TRAIN = YAML(typ="safe").load(
    """
    - name: LoadImageFromFile
      key: lq
    - name: LoadImageFromFile
      key: gt
    - name: Transforms
      input_keys: [lq, gt]
      pipeline:
        - name: SRPairedRandomCrop
          gt_patch_size: 16
          scale: 4
          keys: [image, image]
        - name: PairedRandomHorizontalFlip
          keys: [image, image]
        - name: PairedRandomVerticalFlip
          keys: [image, image]
        - name: PairedRandomTransposeHW
          keys: [image, image]
        - name: Transpose
          keys: [image, image]
        - name: Normalize
          mean: [0., .0, 0.]
          std: [255., 255., 255.]
          keys: [image, image]
    """
)
TEST = [
    *TRAIN[:2],
    {"name": "Transforms", "input_keys": ["lq", "gt"], "pipeline": TRAIN[2]["pipeline"][-2:]},
]
SIZES = {"0001": (40, 48), "0002": (32, 32), "0003": (36, 52)}


def picture(name: str, size: tuple[int, int]) -> np.ndarray:
    """Return a smooth picture whose red and green levels say where a pixel is."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    blue = np.full(size, 50 * int(name[-1]))
    return np.stack([4 * rows, 4 * columns, blue], -1).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    for name, size in SIZES.items():
        large = picture(name, size)
        write_image(tmp_path / "gt" / f"{name}.png", large)
        write_image(tmp_path / "lq" / f"{name}.png", resize_bicubic(large, 1 / 4))
    return str(tmp_path / "lq"), str(tmp_path / "gt")


def build(lq: str | None, gt: str, preprocess: list = TEST, **more) -> sr.SRDataset:
    spec = {"name": "SRDataset", "gt_folder": gt, "preprocess": preprocess, "scale": 4, **more}
    return build_dataset(spec if lq is None else {**spec, "lq_folder": lq})


def test_samples_are_pairs_in_the_order_of_their_names(folders) -> None:
    dataset = build(*folders)
    assert len(dataset) == 3
    assert not dataset.is_random
    for index, (name, (height, width)) in enumerate(SIZES.items()):
        sample = dataset[index]
        assert sample["gt_path"] == f"{folders[1]}/{name}.png" == dataset.source(index)
        assert sample["lq_path"] == f"{folders[0]}/{name}.png"
        assert sample["gt"].shape == (3, height, width)
        assert sample["lq"].shape == (3, height // 4, width // 4)
        assert sample["gt"].dtype == sample["lq"].dtype == np.float32
        large = picture(name, (height, width))
        assert np.allclose(sample["gt"], large.transpose(2, 0, 1) / 255, atol=1e-6)


def test_training_cuts_corresponding_patches(folders) -> None:
    loader = Loader(build(*folders, TRAIN), 3, train=True, seed=0)
    seen = set()
    for epoch in range(5):
        for batch in loader.epoch(epoch):
            assert batch["lq"].shape == [3, 3, 4, 4]
            assert batch["gt"].shape == [3, 3, 16, 16]
            # The mean of a plane does not depend on the transform and says where the patch is.
            middles = batch["gt"].numpy().mean(axis=(2, 3))
            assert np.abs(batch["lq"].numpy().mean(axis=(2, 3)) - middles).max() < 0.01
            seen |= {tuple(row) for row in middles.round(3).tolist()}
    assert len(seen) > 10


def test_small_pictures_are_made_where_there_is_no_folder(folders, tmp_path) -> None:
    write_image(tmp_path / "odd" / "0001.png", picture("0001", (42, 51)))
    sample = build(None, str(tmp_path / "odd"))[0]
    cut = picture("0001", (40, 48))
    assert sample["gt"].shape == (3, 40, 48)
    small = resize_bicubic(cut, 1 / 4).transpose(2, 0, 1)
    assert np.array_equal((sample["lq"] * 255).round(), small)
    assert sample["lq_path"] == sample["gt_path"]
    assert sample["lq_ori_shape"].tolist() == [10, 12, 3]
    # What is on the disk gives the same.
    for index in range(3):
        made, read = build(None, folders[1])[index], build(*folders)[index]
        assert np.array_equal(made["lq"], read["lq"])
        assert np.array_equal(made["gt"], read["gt"])


def test_made_pictures_are_kept_as_long_as_there_is_room(folders, monkeypatch) -> None:
    reads = []
    monkeypatch.setattr(sr, "_CACHE_BYTES", 3 * (40 * 48 + 10 * 12) + 100)
    dataset = build(None, folders[1])
    first = [dataset[index] for index in range(3)]
    original = sr.steps.run
    monkeypatch.setattr(sr.steps, "run", lambda s, d: reads.append(d["gt_path"]) or original(s, d))
    again = [dataset[index] for index in range(3)]
    assert len(reads) == 5  # the first was kept
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one["lq"], other["lq"])
        assert not np.shares_memory(one["gt"], other["gt"])


def test_loading_the_large_picture_is_asked_for(folders) -> None:
    with pytest.raises(ConfigError, match="key: gt"):
        build(None, folders[1], TEST[:1])


def test_partners_may_have_another_name_and_suffix(folders, tmp_path) -> None:
    for name, size in SIZES.items():
        small = resize_bicubic(picture(name, size), 1 / 4)
        Image.fromarray(small).save(tmp_path / "lq" / f"{name}x4.bmp")
        (tmp_path / "lq" / f"{name}.png").unlink()
    dataset = build(*folders, filename_tmpl="{}x4")
    assert [Path(pair.small).name for pair in dataset.pairs] == [f"{name}x4.bmp" for name in SIZES]
    with pytest.raises(DataError, match=r"0001\.png has no partner.*filename_tmpl: .*\{\}x4"):
        build(*folders)
    for wrong in ("x4", "{}{}", "{:d}"):
        with pytest.raises(ConfigError, match="filename_tmpl"):
            build(*folders, filename_tmpl=wrong)


def test_pictures_without_partner_are_named_or_left_out(folders, tmp_path) -> None:
    (tmp_path / "lq" / "0002.png").unlink()
    with pytest.raises(DataError, match=r"gt/0002\.png has no partner 0002.*on_error: skip"):
        build(*folders)
    dataset = build(*folders, on_error="skip")
    assert len(dataset) == 2
    assert "0002" in dataset.take_skipped()[0]


def test_subfolders_keep_pairs_apart(tmp_path) -> None:
    for place, name in (("a", "0001"), ("b", "0001")):
        large = picture("0002" if place == "b" else "0001", (32, 32))
        write_image(tmp_path / "gt" / place / f"{name}.png", large)
        write_image(tmp_path / "lq" / place / f"{name}.png", resize_bicubic(large, 1 / 4))
    dataset = build(str(tmp_path / "lq"), str(tmp_path / "gt"))
    for index in range(2):
        sample = dataset[index]
        assert np.allclose(sample["lq"][2].mean(), sample["gt"][2].mean(), atol=0.01)


@pytest.mark.parametrize(
    ("small", "words"),
    [
        ((20, 24), r"1 of 3 pairs .*'scale: 4'.*48 x 40 pixels.*24 x 20 pixels.*'scale: 2'"),
        ((10, 13), r"48 x 40 pixels beside .*13 x 10 pixels.*multiples of 4"),
        ((11, 12), r"48 x 40 pixels beside .*12 x 11 pixels.*multiples of 4"),
        ((11, 13), r"0001\.png of 48 x 40 pixels beside .*13 x 11.*multiples of 4.*lq_folder"),
    ],
)
def test_pairs_of_another_scale_are_found_before_training(folders, small, words) -> None:
    write_image(f"{folders[0]}/0001.png", resize_bicubic(picture("0001", (40, 48)), size=small))
    with pytest.raises(DataError, match=words):
        build(*folders)
    dataset = build(*folders, on_error="skip")
    assert len(dataset) == 2
    assert len(dataset.take_skipped()) == 1


def test_a_whole_folder_of_another_scale_is_told_in_one_sentence(folders) -> None:
    with pytest.raises(DataError, match=r"3 of 3 pairs.*set 'scale: 4'") as caught:
        build(*folders, scale=2)
    assert str(caught.value).count("beside") == 3
    with pytest.raises(DataError, match=r"pictures that are 4 times smaller, or leave 'lq_folder'"):
        build(folders[1], folders[1])
    with pytest.raises(ConfigError, match="SRPairedRandomCrop is 4"):
        build(*folders, TRAIN, scale=2)


def test_pictures_smaller_than_the_patch_are_found_before_training(folders) -> None:
    pipeline = [{"name": "SRPairedRandomCrop", "gt_patch_size": 36, "scale": 4}]
    transforms = {"name": "Transforms", "input_keys": ["lq", "gt"], "pipeline": pipeline}
    for lq in (folders[0], None):
        with pytest.raises(DataError, match=r"1 of 3.*less than 36.*0002.*32 x 32.*gt_patch_size"):
            build(lq, folders[1], [*TRAIN[:2], transforms])


def test_headers_suffice_and_a_camera_s_orientation_counts(folders, tmp_path) -> None:
    turned = Image.fromarray(picture("0001", (48, 40)))
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("jpg", "png"):
        turned.save(tmp_path / f"turned.{suffix}", exif=exif)
        assert sr.picture_size(tmp_path / f"turned.{suffix}") == (40, 48)
    whole = (tmp_path / "gt" / "0001.png").read_bytes()
    (tmp_path / "gt" / "0001.png").write_bytes(whole[: len(whole) // 2])
    dataset = build(*folders)
    with pytest.raises(DataError, match=r"gt/0001\.png"):
        dataset[0]
    assert build(*folders, on_error="skip")[0]["gt_path"].endswith("0002.png")
    # What its first bytes betray is found before training.
    (tmp_path / "gt" / "0001.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"cannot be read: .*gt/0001\.png.*on_error: skip"):
        build(*folders)
    dataset = build(*folders, on_error="skip")
    assert len(dataset) == 2
    assert "0001.png" in dataset.take_skipped()[0]


@pytest.mark.parametrize("scale", [0, -4, 2.5])
def test_scales_are_positive_numbers(folders, scale) -> None:
    with pytest.raises(ConfigError, match="scale"):
        build(*folders, scale=scale)


def test_missing_folders_are_named_by_their_option(folders) -> None:
    with pytest.raises(DataError, match=r"nowhere of 'lq_folder'.*leave 'lq_folder' out"):
        build("nowhere", folders[1])
    with pytest.raises(DataError, match="gt_folder"):
        build(folders[0], "nowhere")
    with pytest.raises(DataError, match=r"prepare div2k --out data/DIV2K, .*--scale 2 .*X2_sub"):
        build("data/DIV2K/DIV2K_train_LR_bicubic/X2_sub", folders[1])
    with pytest.raises(DataError, match=r"ppzoo data degrade .*data/DF2K"):
        build(None, "data/DF2K/generated/tdsr/HR_sub")
    with pytest.raises(DataError, match="gt_folder"):
        build(None, "nowhere")


def test_databases_take_the_place_of_folders(folders, tmp_path) -> None:
    places = []
    for folder in folders:
        places.append(f"{folder}.lmdb")
        with DatabaseWriter(places[-1]) as writer:
            for path in sorted(Path(folder).iterdir()):
                with Image.open(path) as image:
                    shape = image.height, image.width, 3
                writer.put({path.stem: path.read_bytes()}, shape)
    dataset, expected = build(*places), build(*folders)
    for index in range(3):
        assert np.array_equal(dataset[index]["gt"], expected[index]["gt"])
        assert np.array_equal(dataset[index]["lq"], expected[index]["lq"])
    assert dataset[0]["gt_path"] == f"{places[1]}/0001.png"
    # What this process has read must not hinder those that are forked from it.
    batches = list(Loader(dataset, 1, train=False, seed=0, num_workers=2).epoch(0))
    assert [batch["gt"].shape[2:] for batch in batches] == [list(size) for size in SIZES.values()]
    with pytest.raises(DataError, match="'scale: 4'"):
        build(*places, scale=2)


def test_noise_of_a_camera_is_added_to_the_small_picture_alone(folders, tmp_path) -> None:
    noise = np.random.RandomState(0).randint(100, 110, (64, 64, 3)).astype(np.uint8)
    write_image(tmp_path / "noise" / "0.png", noise)
    step = {"name": "SRNoise", "noise_path": str(tmp_path / "noise"), "size": 4, "keys": ["image"]}
    transforms = {**TRAIN[2], "pipeline": [*TRAIN[2]["pipeline"], step]}
    noisy, clean = build(*folders, [*TRAIN[:2], transforms]), build(*folders, TRAIN)
    loaders = [Loader(dataset, 3, train=True, seed=3) for dataset in (noisy, clean)]
    [with_noise], [without] = (list(loader.epoch(0)) for loader in loaders)
    assert np.array_equal(with_noise["gt"].numpy(), without["gt"].numpy())
    difference = (with_noise["lq"] - without["lq"]).numpy()
    assert 0.005 < difference.std() < 0.02


def test_samples_can_be_repeated(folders) -> None:
    inner = {"name": "SRDataset", "lq_folder": folders[0], "gt_folder": folders[1], "scale": 4}
    dataset = build_dataset(
        {"name": "RepeatDataset", "times": 4, "dataset": {**inner, "preprocess": TRAIN}}
    )
    assert len(dataset) == 12
    batches = list(Loader(dataset, 6, train=True, seed=0).epoch(0))
    assert [batch["lq"].shape for batch in batches] == [[6, 3, 4, 4]] * 2
