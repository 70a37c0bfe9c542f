# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket

import numpy as np
import pytest

from ppzoo.data import photographs
from ppzoo.data.loader import Loader, build_dataset
from ppzoo.data.photographs import (
    PHOTOGRAPHS,
    SPLIT,
    EmbeddedCartoonDataset,
    embedded_photograph,
    resized_pair,
)
from ppzoo.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an embedded photograph was looked for in the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_there(name: str) -> None:
    image = embedded_photograph(name)
    assert image.dtype == np.uint8
    assert min(image.shape[:2]) >= 170
    assert image.std() > 5
    assert not image.flags.writeable


@pytest.mark.parametrize("name", [*SPLIT["train"], *SPLIT["test"]])
def test_photographs_of_the_split_are_in_colour(name: str) -> None:
    image = embedded_photograph(name)
    assert min(image.shape[:2]) >= 300
    assert np.ptp(image.astype(int), axis=2).mean() > 10


def test_no_photograph_is_on_both_sides_of_the_split() -> None:
    assert not set(SPLIT["train"]) & set(SPLIT["test"])
    assert set(SPLIT["train"]) | set(SPLIT["test"]) <= set(PHOTOGRAPHS)
    shown = {
        mode: {path.split("_")[0] for path in ds.get_batch(range(len(ds)))["A_path"]}
        for mode in SPLIT
        for ds in [EmbeddedCartoonDataset(mode, 32, samples=40)]
    }
    assert shown == {mode: set(names) for mode, names in SPLIT.items()}


def test_unknown_or_absent_photographs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="'lena'"):
        embedded_photograph("lena")
    monkeypatch.setitem(PHOTOGRAPHS, "absent", ("skimage", "data/none.png"))
    with pytest.raises(DataError, match=r"data/none\.png"):
        embedded_photograph("absent")
    monkeypatch.setitem(PHOTOGRAPHS, "alien", ("no_such_package", "a.png"))
    with pytest.raises(DataError, match="no_such_package"):
        embedded_photograph("alien")


def test_pairs_are_a_photograph_and_its_cartoon() -> None:
    dataset = EmbeddedCartoonDataset("train", 48, samples=60)
    for index in range(len(dataset)):
        sample = dataset[index]
        crop = dataset.crops[index]
        assert sample["A_path"] == sample["B_path"] == crop.name
        photo, cartoon = resized_pair(crop.photo, crop.shorter_side, 48)
        for key, whole in (("A", photo), ("B", cartoon)):
            square = whole[crop.top : crop.top + 48, crop.left : crop.left + 48]
            square = np.rot90(square, crop.turns)
            if crop.flipped:
                square = square[:, ::-1]
            square = square[..., list(crop.channels)]
            assert sample[key].dtype == np.float32
            assert np.allclose(sample[key].transpose(1, 2, 0), square / 127.5 - 1, atol=1e-6)
    assert {crop.flipped for crop in dataset.crops} == {False, True}
    assert len({crop.channels for crop in dataset.crops}) == 6
    test = EmbeddedCartoonDataset("test", 48).crops
    assert {crop.turns for crop in dataset.crops} == {0, 1, 2, 3}
    assert {(crop.turns, crop.flipped, crop.channels) for crop in test} == {(0, False, (0, 1, 2))}
    assert len({crop.shorter_side for crop in dataset.crops}) == 3


def test_cartoons_differ_from_photographs_by_more_than_colour() -> None:
    batch = EmbeddedCartoonDataset("test", 64).get_batch(range(64))
    dark = (batch["B"].max(axis=1) < -0.6) & (batch["A"].max(axis=1) > -0.4)
    assert 0.005 < dark.mean() < 0.3


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("samples", [2, 7, 64])
def test_unpaired_samples_are_of_two_photographs(mode: str, samples: int) -> None:
    paired = EmbeddedCartoonDataset(mode, 32, samples=samples).get_batch(range(samples))
    dataset = EmbeddedCartoonDataset(mode, 32, paired=False, samples=samples)
    batch = dataset.get_batch(range(samples))
    assert np.array_equal(batch["A"], paired["A"])
    for own, other in zip(batch["A_path"], batch["B_path"], strict=True):
        assert own.split("_")[0] != other.split("_")[0]
    if mode == "test":
        assert np.array_equal(batch["B_truth"], paired["B"])
    else:
        assert "B_truth" not in batch
    if samples == 64:
        assert len(set(batch["B_path"])) > 0.5 * len(set(batch["A_path"]))


def test_the_same_each_time_in_every_size() -> None:
    for size in (16, 64, 400):
        first, second = (EmbeddedCartoonDataset("test", size, samples=4)[3] for _ in range(2))
        assert first["A"].shape == (3, size, size)
        assert np.array_equal(first["B"], second["B"])
        assert np.abs(first["B"]).max() <= 1


def test_crops_show_something() -> None:
    batch = EmbeddedCartoonDataset("train", 64, samples=200).get_batch(range(200))
    deviation = batch["A"].std(axis=(2, 3)).max(axis=1)
    assert (deviation > 0.15).mean() > 0.95


def test_through_the_loader_with_workers() -> None:
    spec = {"name": "EmbeddedCartoonDataset", "mode": "train", "size": 32, "samples": 12}
    batches = {}
    for count in (0, 1):
        loader = Loader(build_dataset(dict(spec)), 4, train=True, seed=3, num_workers=count)
        batches[count] = list(loader.epoch(0))
        loader.close()
    assert [b["A"].shape for b in batches[0]] == [[4, 3, 32, 32]] * 3
    for one, other in zip(batches[0], batches[1], strict=True):
        assert one["A_path"] == other["A_path"]
        assert np.array_equal(one["B"].numpy(), other["B"].numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "val"}, "'mode' must be train or test, got 'val'"),
        ({"size": 8}, "'size' must be from 16 to 512, got 8"),
        ({"size": "64"}, "'size'"),
        ({"samples": 1}, "'samples'"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EmbeddedCartoonDataset(**arguments)


def test_crops_are_not_drawn_from_the_global_state() -> None:
    np.random.seed(0)
    expected = np.random.get_state()[1].copy()
    photographs._crops.cache_clear()
    EmbeddedCartoonDataset("test", 24, samples=6)
    assert np.array_equal(np.random.get_state()[1], expected)


def test_drawings_are_the_lines_of_cartoons() -> None:
    cartoons = EmbeddedCartoonDataset("test", 64).get_batch(range(64))
    drawings = EmbeddedCartoonDataset("test", 64, style="drawing").get_batch(range(64))
    assert np.array_equal(cartoons["A"], drawings["A"])
    assert (drawings["B"] == 1).mean() > 0.7
    ink = drawings["B"].max(axis=1) < -0.6
    assert 0.005 < ink.mean() < 0.3
    assert (cartoons["B"].max(axis=1)[ink] < -0.6).all()
    with pytest.raises(ConfigError, match="'style' must be cartoon or drawing, got 'oil'"):
        EmbeddedCartoonDataset("test", style="oil")
