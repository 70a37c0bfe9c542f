# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket

import numpy as np
import pytest

from ppzoo.data import embedded_sr, resize_bicubic
from ppzoo.data.embedded_sr import SHRINKS, EmbeddedSRDataset
from ppzoo.data.loader import Loader, build_dataset
from ppzoo.data.photographs import embedded_photograph
from ppzoo.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an embedded photograph was looked for in the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def levels(unit: np.ndarray) -> np.ndarray:
    """Return [3, H, W] in [0, 1] as the uint8 picture that it was."""
    picture = unit.transpose(1, 2, 0) * 255
    assert np.abs(picture - picture.round()).max() < 1e-3
    return picture.round().astype(np.uint8)


def test_no_photograph_is_on_both_sides_and_there_are_enough() -> None:
    assert not set(SHRINKS["train"]) & set(SHRINKS["test"])
    assert len(SHRINKS["train"]) >= 12
    assert len(SHRINKS["test"]) >= 4
    shown = {name.split("_")[0] for name in EmbeddedSRDataset().get_batch(range(26))["lq_path"]}
    assert shown == set(SHRINKS["train"])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_small_pictures_are_whole_photographs_shrunk_like_matlab_does(scale) -> None:
    dataset = EmbeddedSRDataset("test", scale)
    for index in range(len(dataset)):
        sample = dataset[index]
        large, small = levels(sample["gt"]), levels(sample["lq"])
        assert max(large.shape) <= 256
        assert large.shape == (small.shape[0] * scale, small.shape[1] * scale, 3)
        assert np.array_equal(small, resize_bicubic(large, 1 / scale))
        name = sample["gt_path"].split("_")[0]
        source = embedded_photograph(name)
        shrunk = resize_bicubic(source, 1 / SHRINKS["test"][name][0])
        assert np.array_equal(shrunk[: large.shape[0], : large.shape[1]], large)
        assert shrunk.shape[0] - large.shape[0] < scale
    grey = [np.ptp(dataset[i]["gt"], axis=0).max() == 0 for i in range(len(dataset))]
    assert grey.count(False) >= 2


@pytest.mark.parametrize(("scale", "size"), [(4, 96), (3, 48), (2, 160)])
def test_crops_are_corresponding_parts_of_both_pictures(scale, size) -> None:
    dataset = EmbeddedSRDataset("train", scale, size, samples=60)
    side = size // scale
    batch = dataset.get_batch(range(60))
    assert batch["lq"].shape == (60, 3, side, side)
    assert batch["gt"].shape == (60, 3, size, size)
    assert batch["lq"].dtype == batch["gt"].dtype == np.float32
    assert batch["lq_path"] == batch["gt_path"]
    for index in range(60):
        place = dataset._place(index)
        pair = []
        for image in (batch["lq"][index], batch["gt"][index]):
            flipped_back = image[..., ::-1] if place.flipped else image
            pair.append(levels(np.rot90(flipped_back, -place.turns, (1, 2))))
        again = resize_bicubic(pair[1], 1 / scale)
        # At the border shrinking has seen what was cut off.
        assert np.array_equal(again[2:-2, 2:-2], pair[0][2:-2, 2:-2])


def test_crops_are_turned_flipped_and_the_same_each_time() -> None:
    dataset = EmbeddedSRDataset("train", samples=300)
    places = [dataset._place(index) for index in range(300)]
    assert {place.turns for place in places} == {0, 1, 2, 3}
    assert {place.flipped for place in places} == {False, True}
    assert len({(place.pair.name, place.top, place.left) for place in places}) > 250
    other = EmbeddedSRDataset("train", samples=600)
    assert [other.source(index) for index in range(300)] == [place.name for place in places]
    one, many = dataset[7], other.get_batch([7, 8])
    assert np.array_equal(one["gt"], many["gt"][0])
    assert one["gt_path"] == many["gt_path"][0] == dataset.source(7)
    # Beyond the first block of random numbers.
    far = EmbeddedSRDataset("train", samples=10_000)
    assert far.source(4096 + 13) != far.source(13)


def test_small_pictures_can_be_noisy_and_blurred() -> None:
    for mode, size in (("train", 64), ("test", None)):
        clean, noisy, blurred, both = (
            EmbeddedSRDataset(mode, size=size, samples=4, degradation=degradation)
            for degradation in (None, "noise", "blur", "blur+noise")
        )
        for index in range(4):
            expected = clean[index]
            for dataset in (noisy, blurred, both):
                sample = dataset[index]
                assert np.array_equal(sample["gt"], expected["gt"])
                assert np.array_equal(sample["lq"], dataset.get_batch([index])["lq"][0])
                levels(sample["lq"])
            for dirty, without in ((noisy, clean), (both, blurred)):
                noise = (dirty[index]["lq"] - without[index]["lq"]) * 255
                assert 1 < noise.std() < 12
                assert abs(noise.mean()) < 1
            apart = blurred[index]["lq"] - expected["lq"]
            assert 0.002 < apart.std() < 0.1


def test_dull_places_are_drawn_again(monkeypatch) -> None:
    def deviation() -> float:
        batch = EmbeddedSRDataset("train", samples=260).get_batch(range(260))
        return float(np.mean(batch["lq"].std(axis=(2, 3)).max(axis=1)))

    chosen = deviation()
    monkeypatch.setattr(embedded_sr, "_LEAST_DEVIATION", 0.0)
    assert deviation() < chosen


def test_the_loader_takes_the_fast_path_in_training() -> None:
    dataset = build_dataset({"name": "EmbeddedSRDataset", "size": 32, "samples": 20})
    batches = list(Loader(dataset, 4, train=True, seed=1).epoch(0))
    assert len(batches) == 5
    assert batches[0]["lq"].shape == [4, 3, 8, 8]
    seen = sorted(name for batch in batches for name in batch["lq_path"])
    assert seen == sorted(dataset.source(index) for index in range(20))


def test_whole_photographs_come_one_at_a_time() -> None:
    dataset = EmbeddedSRDataset("test")
    batches = list(Loader(dataset, 1, train=False, seed=0).epoch(0))
    assert [tuple(batch["gt"].shape[1:]) for batch in batches] == [
        dataset[index]["gt"].shape for index in range(5)
    ]
    with pytest.raises(DataError, match=r"differ in the shape.*chelsea.*batch_size: 1"):
        next(Loader(dataset, 5, train=False, seed=0).epoch(0))
    assert len(EmbeddedSRDataset("test", samples=2)) == 2
    with pytest.raises(IndexError):
        dataset[5]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"mode": "val"},
        {"scale": 5},
        {"size": 98},
        {"size": 28},
        {"size": 164},
        {"size": "96"},
        {"samples": 0},
        {"mode": "test", "samples": 6},
        {"mode": "test", "size": 96},
        {"degradation": "snow"},
    ],
)
def test_wrong_arguments_are_named(kwargs) -> None:
    with pytest.raises(ConfigError, match=list(kwargs)[-1]):
        EmbeddedSRDataset(**kwargs)
