# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppzoo.data import resize_bicubic
from ppzoo.data.degradation import Degrade, camera_noise
from ppzoo.data.degrade_folder import Degraded, degrade_folder
from ppzoo.data.loader import Loader, build_dataset
from ppzoo.data.photographs import embedded_photograph
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image, write_image

PHOTOS = {
    name: embedded_photograph(Path(name).name)[:283, 20:322] for name in ("coffee", "deep/chelsea")
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, image in PHOTOS.items():
        write_image(tmp_path / "photos" / f"{name}.png", image)
    return tmp_path / "photos"


def degrade(photos: Path, out: Path, how: Degrade | None = None, **more) -> Degraded:
    return degrade_folder(photos, out, how or Degrade(4), progress=False, **more)


def sky(folder: Path) -> Path:
    """Return a folder with a photograph of which the upper half is a noisy sky."""
    image = np.full((192, 256, 3), 150, np.uint8)
    image = camera_noise(image, np.random.RandomState(0), 3.0)
    image[96:] = PHOTOS["coffee"][100:196, :256]
    write_image(folder / "walk" / "sky.png", image)
    return folder


def test_pairs_are_half_photographs_and_what_shrinking_leaves(photos, tmp_path) -> None:
    assert degrade(photos, tmp_path / "out") == Degraded(pairs=2, made=2)
    for name, photo in PHOTOS.items():
        half = resize_bicubic(photo, 1 / 2)
        half = half[: half.shape[0] // 4 * 4, : half.shape[1] // 4 * 4]
        large = read_image(tmp_path / "out" / "gt" / f"{name}.png")
        assert np.array_equal(large, half)
        small = read_image(tmp_path / "out" / "lq" / f"{name}.png")
        assert np.array_equal(small, resize_bicubic(half, 1 / 4))


def test_kernels_depend_on_the_name_alone(photos, tmp_path) -> None:
    how = Degrade(2, blur="random", jpeg=[70, 90])
    for out, jobs in (("a", 1), ("b", 2)):
        degrade(photos, tmp_path / out, how, clean=1, jobs=jobs)
    for name in PHOTOS:
        a, b = (read_image(tmp_path / out / "lq" / f"{name}.png") for out in "ab")
        assert np.array_equal(a, b)
    large = read_image(tmp_path / "a" / "gt" / "coffee.png")
    assert np.array_equal(large, PHOTOS["coffee"][:282])
    assert not np.array_equal(
        read_image(tmp_path / "a" / "lq" / "coffee.png"), resize_bicubic(large, 1 / 2)
    )


def test_what_is_there_is_kept(photos, tmp_path) -> None:
    how = Degrade(4, noise=[1, 2], jpeg=[70, 90])
    degrade(photos, tmp_path / "out", how)
    (tmp_path / "out" / "gt" / "coffee.png").unlink()
    assert degrade(photos, tmp_path / "out", how) == Degraded(pairs=2, made=1)
    with pytest.raises(DataError, match="made with other settings"):
        degrade(photos, tmp_path / "out", Degrade(4))


def test_noise_is_collected_and_trained_with(photos, tmp_path) -> None:
    noisy = sky(tmp_path / "noisy")
    made = degrade(photos, tmp_path / "out", noise_from=noisy, noise_size=32)
    files = sorted((tmp_path / "out" / "noise").glob("walk_sky_*.png"))
    assert len(files) == made.noise >= 3 * 8
    whole = read_image(noisy / "walk" / "sky.png")
    assert np.array_equal(read_image(files[0]), whole[:32, :32])
    # As in PaddleGAN's realsr configs.
    pipeline = [
        {"name": "SRPairedRandomCrop", "gt_patch_size": 128, "scale": 4, "keys": ["image"] * 2},
        {"name": "PairedRandomHorizontalFlip", "keys": ["image"] * 2},
        {"name": "PairedRandomVerticalFlip", "keys": ["image"] * 2},
        {"name": "PairedRandomTransposeHW", "keys": ["image"] * 2},
        {"name": "Transpose", "keys": ["image"] * 2},
        {"name": "Normalize", "mean": [0.0] * 3, "std": [255.0] * 3, "keys": ["image"] * 2},
        {
            "name": "SRNoise",
            "noise_path": str(tmp_path / "out" / "noise"),
            "size": 32,
            "keys": ["image"],
        },
    ]
    dataset = build_dataset(
        {
            "name": "SRDataset",
            "lq_folder": str(tmp_path / "out" / "lq"),
            "gt_folder": str(tmp_path / "out" / "gt"),
            "scale": 4,
            "preprocess": [
                {"name": "LoadImageFromFile", "key": "lq"},
                {"name": "LoadImageFromFile", "key": "gt"},
                {"name": "Transforms", "input_keys": ["lq", "gt"], "pipeline": pipeline},
            ],
        }
    )
    [batch] = Loader(dataset, 2, train=True, seed=0).epoch(0)
    small, large = batch["lq"].numpy(), batch["gt"].numpy()
    for low, high in zip(small, large, strict=True):
        clean = resize_bicubic(high.transpose(1, 2, 0), 1 / 4).transpose(2, 0, 1)
        inner = (low - clean)[:, 2:-2, 2:-2]
        assert 0.006 < inner.std() < 0.025  # three levels


def test_one_photograph_does_not_make_all_of_the_noise(photos, tmp_path) -> None:
    image = camera_noise(np.full((256, 512, 3), 150, np.uint8), np.random.RandomState(0), 3.0)
    write_image(tmp_path / "noisy" / "sky.png", image)
    made = degrade(photos, tmp_path / "out", noise_from=tmp_path / "noisy", noise_size=32)
    assert made.noise == 32
    last = sorted((tmp_path / "out" / "noise").glob("*.png"))[-1]
    assert np.array_equal(read_image(last), image[-32:, -4 * 32 : -3 * 32])


def test_photographs_without_flat_places_are_not_enough(photos, tmp_path) -> None:
    with pytest.raises(DataError, match=r"flat place of 64 x 64.*noise-size.*noise-variance"):
        degrade(photos, tmp_path / "out", noise_from=photos, most_variance=0.5)


def test_damaged_photographs_are_named_or_left_out(photos, tmp_path) -> None:
    (photos / "bad.png").write_bytes(b"no picture")
    write_image(photos / "tiny.png", np.zeros((5, 90, 3), np.uint8))
    with pytest.raises(DataError, match=r"bad\.png|tiny\.png"):
        degrade(photos, tmp_path / "out")
    made = degrade(photos, tmp_path / "out", on_error="skip")
    assert made.pairs == 2
    assert "bad.png" in made.problems[0]
    assert "tiny.png is too small" in made.problems[1]


@pytest.mark.parametrize(
    "options",
    [{"clean": 0}, {"noise_size": 8}, {"jobs": 0}, {"on_error": "ignore"}],
)
def test_wrong_options_are_named(photos, tmp_path, options) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        degrade(photos, tmp_path / "out", **options)


def test_pairs_do_not_go_where_photographs_are(photos) -> None:
    with pytest.raises(ConfigError, match="taken for photographs"):
        degrade(photos, photos / "out")
