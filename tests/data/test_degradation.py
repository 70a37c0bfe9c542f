# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ppzoo.data import resize_bicubic
from ppzoo.data.degradation import (
    Degrade,
    camera_noise,
    compress,
    draw_kernel,
    flat_places,
    gaussian_kernel,
    read_kernels,
    shrink,
)
from ppzoo.data.loader import Loader, build_dataset
from ppzoo.data.photographs import embedded_photograph
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image, write_image

PHOTO = embedded_photograph("astronaut")[:128, 200:360]


def random(seed: int = 0) -> np.random.RandomState:
    return np.random.RandomState(seed)


def spread(kernel: np.ndarray) -> tuple[float, float, float]:
    """Return the variances of a kernel along columns and rows, and their covariance."""
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (kernel * x * x).sum(), (kernel * y * y).sum(), (kernel * x * y).sum()


def test_kernels_have_the_widths_that_were_asked_for() -> None:
    assert spread(gaussian_kernel(2.0)) == pytest.approx((4, 4, 0), rel=0.05, abs=1e-9)
    assert spread(gaussian_kernel(3, 1)) == pytest.approx((9, 1, 0), rel=0.05, abs=1e-9)
    assert spread(gaussian_kernel(3, 1, math.pi / 2)) == pytest.approx(
        (1, 9, 0), rel=0.05, abs=1e-9
    )
    wide, high, both = spread(gaussian_kernel(3, 1, math.pi / 4))
    assert wide == pytest.approx(high)
    assert both > 3


def test_a_movement_draws_a_kernel_out() -> None:
    kernel = gaussian_kernel(1.0, length=12)
    wide, high, _ = spread(kernel)
    assert wide > 10
    assert high == pytest.approx(1, rel=0.05)
    middle = kernel[kernel.shape[0] // 2]
    assert np.allclose(middle[middle.size // 2 - 5 : middle.size // 2 + 6], middle.max())


def test_kernels_are_drawn_round_and_oval_and_add_up_to_one() -> None:
    kernels = [draw_kernel(random(seed), 4, motion=0) for seed in range(40)]
    for kernel in kernels:
        assert kernel.sum() == pytest.approx(1)
        assert kernel.shape[0] == kernel.shape[1]
        assert kernel.shape[0] % 2 == 1
        assert 0.9 < spread(kernel)[0] < 8.3  # 0.25 to 0.7 of 4 pixels
    is_round = [abs(spread(k)[0] - spread(k)[1]) < 1e-6 for k in kernels]
    assert 10 < sum(is_round) < 30
    moved = [draw_kernel(random(seed), 4, motion=1) for seed in range(40)]
    assert np.mean([max(spread(k)[:2]) for k in moved]) > np.mean(
        [max(spread(k)[:2]) for k in kernels]
    )
    assert np.array_equal(draw_kernel(random(7), 4), draw_kernel(random(7), 4))


def test_small_pictures_lie_where_bicubic_ones_do() -> None:
    rows, columns = np.mgrid[:64, :96]
    slope = np.stack([2 * rows, 2 * columns, rows + columns], -1).astype(np.uint8)
    for kernel in (gaussian_kernel(1.5), gaussian_kernel(3, 1, 0.5)):
        apart = shrink(slope, 4, kernel).astype(int) - resize_bicubic(slope, 1 / 4)
        assert np.abs(apart[4:-4, 4:-4]).max() <= 1
    assert np.array_equal(shrink(PHOTO[:127, :158], 4), resize_bicubic(PHOTO[:124, :156], 1 / 4))


def test_a_kernel_is_a_convolution_and_wide_ones_blur() -> None:
    impulse = np.zeros((33, 33, 3), np.uint8)
    impulse[16, 16] = 255
    kernel = np.zeros((5, 5))
    kernel[2, 4] = 1  # what is seen here comes from two pixels to the left
    moved = shrink(impulse, 1, kernel)
    assert moved[16, 18].tolist() == [255] * 3
    assert moved.sum() == 3 * 255
    sharp, soft = (shrink(PHOTO, 4, gaussian_kernel(s)).astype(int) for s in (1.0, 4.0))
    assert np.abs(np.diff(soft, axis=1)).mean() < 0.7 * np.abs(np.diff(sharp, axis=1)).mean()


def test_estimated_kernels_are_centred_and_normalised(tmp_path) -> None:
    kernel = np.zeros((8, 6))
    kernel[5:7, 4] = 3
    np.save(tmp_path / "b.npy", kernel)
    np.save(tmp_path / "a.npy", gaussian_kernel(1.0))
    first, second = read_kernels(str(tmp_path))
    assert np.allclose(first[first.shape[0] // 2], first[::-1, ::-1][first.shape[0] // 2])
    assert spread(first)[0] == pytest.approx(1, rel=0.05)
    assert second.shape[0] == second.shape[1]
    assert second.shape[0] % 2 == 1
    assert second.sum() == pytest.approx(1)
    reach = second.shape[0] // 2
    places = np.arange(-reach, reach + 1)
    assert second.sum(axis=1) @ places == pytest.approx(0, abs=1e-6)
    assert second.sum(axis=0) @ places == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros((3, 3)), "sum"),
        (np.full((3, 3), np.nan), "sum"),
        (np.ones(9), r"\[9\]"),
        (np.ones((66, 3)), r"\[66, 3\]"),
        (np.array([{}], dtype=object), "no kernel"),
        (None, "no kernel"),
    ],
)
def test_other_files_are_no_kernels(tmp_path, content, words) -> None:
    if content is None:
        (tmp_path / "k.npy").write_bytes(b"\x80\x04N.")
    else:
        np.save(tmp_path / "k.npy", content, allow_pickle=True)
    with pytest.raises(DataError, match=rf"k\.npy.*{words}"):
        read_kernels(str(tmp_path))


def test_a_folder_without_kernels_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="no kernels"):
        read_kernels(str(tmp_path / "none"))


def test_flat_places_show_noise_and_nothing_else() -> None:
    image = np.full((96, 160, 3), 120, np.uint8)
    noisy = camera_noise(image, random(), 3.0)
    noisy[:32, :32] = PHOTO[:32, :32]  # shows something
    noisy[:32, 32:64] = 255  # overexposed
    noisy[32:64, :32] = camera_noise(image[:32, :32], random(), 12.0)  # too noisy
    noisy[32:64, 32:64] = camera_noise(np.full((32, 32, 3), 9, np.uint8), random(), 3.0)  # dark
    found = list(flat_places(noisy, 32, 20.0, 20.0))
    assert len(found) == 3 * 5 - 4
    assert all(place.shape == (32, 32, 3) and 100 < place.mean() < 140 for place in found)
    assert len(list(flat_places(noisy, 32))) == len(found) + 1


def test_clouds_and_corners_of_things_are_no_noise() -> None:
    image = camera_noise(np.full((64, 192, 3), 120, np.uint8), random(), 2.0)
    image[:, 64:128] += np.linspace(0, 9, 64).astype(np.uint8)[:, np.newaxis, np.newaxis]
    image[:16, 128:144] = PHOTO[:16, :16] // 8 + 110
    shades = [image[:, left : left + 64] for left in (64, 128)]
    assert all(square.mean(axis=2).var() < 20 for square in shades)
    [only] = flat_places(image, 64)
    assert np.array_equal(only, image[:, :64])


def test_noise_of_a_sensor_is_stronger_where_it_is_brighter() -> None:
    noise = {
        level: camera_noise(np.full((64, 64, 3), level, np.uint8), random(), 6.0).astype(int)
        - level
        for level in (30, 128, 220)
    }
    assert noise[128].std() == pytest.approx(6, rel=0.05)
    assert noise[30].std() < noise[128].std() < noise[220].std()
    assert abs(noise[128].mean()) < 0.3
    beside = noise[128][:, 1:] * noise[128][:, :-1]
    assert 0.1 < beside.mean() / noise[128].var() < 0.6


def test_compression_costs_details() -> None:
    errors = [np.abs(compress(PHOTO, q).astype(int) - PHOTO).mean() for q in (30, 60, 95)]
    assert errors[0] > errors[1] > errors[2] > 0
    assert errors[2] < 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(2):
        write_image(tmp_path / "gt" / f"{index}.png", PHOTO[index:])
    noise = camera_noise(np.full((24, 24, 3), 128, np.uint8), random(), 5.0)
    write_image(tmp_path / "noise" / "0.png", noise)
    return tmp_path


def build(folder: Path, **degrade):
    crop = {"name": "RandomCrop", "size": 64}
    finish = [
        {"name": "Transpose"},
        {"name": "Normalize", "mean": [0, 0, 0], "std": [255, 255, 255]},
    ]
    return build_dataset(
        {
            "name": "SRDataset",
            "gt_folder": str(folder / "gt"),
            "scale": 4,
            "preprocess": [
                {"name": "LoadImageFromFile", "key": "lq"},
                {"name": "LoadImageFromFile", "key": "gt"},
                {"name": "Transforms", "input_keys": ["gt"], "pipeline": [crop]},
                {"name": "Degrade", "scale": 4, **degrade},
                {"name": "Transforms", "input_keys": ["lq", "gt"], "pipeline": finish},
            ],
        }
    )


def batch_of(dataset, epoch: int = 0, workers: int = 0) -> dict:
    [batch] = Loader(dataset, 2, train=True, seed=1, num_workers=workers).epoch(epoch)
    return {key: batch[key].numpy() for key in ("lq", "gt")}


def test_a_config_makes_small_pictures_each_time_anew(folder) -> None:
    dataset = build(folder, blur="random", noise=[2, 8], jpeg=[60, 95])
    assert dataset.is_random
    first, again, later = batch_of(dataset), batch_of(dataset, workers=1), batch_of(dataset, 1)
    assert first["lq"].shape == (2, 3, 16, 16)
    assert first["gt"].shape == (2, 3, 64, 64)
    assert np.array_equal(first["lq"], again["lq"])
    assert not np.array_equal(first["lq"], later["lq"])
    for small, large in zip(first["lq"], first["gt"], strict=True):
        clean = resize_bicubic(large.transpose(1, 2, 0), 1 / 4).transpose(2, 0, 1)
        assert 0.005 < (small - clean).std() < 0.1


def test_without_options_it_is_bicubic(folder) -> None:
    batch = batch_of(build(folder))
    for small, large in zip(batch["lq"], batch["gt"], strict=True):
        levels = (large.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        expected = resize_bicubic(levels, 1 / 4).transpose(2, 0, 1)
        assert np.array_equal((small * 255).round(), expected)


def test_noise_and_kernels_come_from_folders(folder) -> None:
    np.save(folder / "wide.npy", gaussian_kernel(4.0))
    plain, noisy, wide = (
        batch_of(build(folder, **options))
        for options in ({}, {"noise_path": str(folder / "noise")}, {"kernel_path": str(folder)})
    )
    assert np.array_equal(plain["gt"], noisy["gt"])
    difference = (noisy["lq"] - plain["lq"]) * 255
    patch = read_image(folder / "noise" / "0.png").astype(float)
    assert difference.std() == pytest.approx(patch.std(), rel=0.25)
    assert np.abs(difference.mean()) < 1
    sharpness = [np.abs(np.diff(batch["lq"])).mean() for batch in (plain, wide)]
    assert sharpness[1] < 0.8 * sharpness[0]


def test_noise_is_continued_where_a_picture_is_larger(folder) -> None:
    degrade = Degrade(2, noise_path=str(folder / "noise"))
    small = degrade.degrade(np.full((80, 120, 3), 128, np.uint8), random())
    assert small.shape == (40, 60, 3)
    assert small[-8:, -8:].std() > 2


def test_float_arrays_are_refused() -> None:
    with pytest.raises(DataError, match="before the step"):
        Degrade(2)({"gt": PHOTO.astype(np.float32)})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0}, "scale"),
        ({"scale": 2}, "that of Degrade is 2"),
        ({"blur": "strong"}, "blur"),
        ({"motion": 2}, "motion"),
        ({"sigma": [1]}, "sigma"),
        ({"sigma": [2, 1]}, "sigma"),
        ({"jpeg": [0, 50]}, "jpeg"),
        ({"noise": [3]}, "noise"),
        ({"noise": [1, 2], "noise_path": "somewhere"}, "either"),
    ],
)
def test_wrong_arguments_are_named(folder, options, words) -> None:
    with pytest.raises(ConfigError, match=words):
        build(folder, **options)
