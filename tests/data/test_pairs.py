# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np
import pytest

from ppzoo.config import load_config
from ppzoo.data.loader import Loader, build_dataset
from ppzoo.data.pairs import PairedDataset, UnpairedDataset, match_folders, same_proportions
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image
from ppzoo.registry import DATASETS, PREPROCESS, build

NORMALISE = [
    {"name": "Transpose", "keys": ["image", "image"]},
    {"name": "Normalize", "mean": [127.5] * 3, "std": [127.5] * 3, "keys": ["image", "image"]},
]
LOAD_PAIR = [
    {"name": "LoadImageFromFile", "key": "pair"},
    {"name": "SplitPairedImage", "key": "pair", "paired_keys": ["A", "B"]},
]
LOAD_BOTH = [{"name": "LoadImageFromFile", "key": "A"}, {"name": "LoadImageFromFile", "key": "B"}]
AUGMENT = [
    {"name": "Resize", "size": [20, 20], "interpolation": "bicubic", "keys": ["image", "image"]},
    {"name": "PairedRandomCrop", "size": [16, 16], "keys": ["image", "image"]},
    {"name": "PairedRandomHorizontalFlip", "prob": 0.5, "keys": ["image", "image"]},
]


def prepared(load: list, pipeline: list = NORMALISE) -> list:
    spec = [*load, {"name": "Transforms", "input_keys": ["A", "B"], "pipeline": pipeline}]
    return [build(PREPROCESS, step) for step in spec]


def picture(level: int, width: int = 16, height: int = 16) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_pairs(folder: Path, count: int = 4, width: int = 32) -> None:
    for index in range(count):
        both = picture(index, width)
        both[:, width // 2 :] = 200 + index
        write_image(folder / f"{index}.png", both)


def write_domain(folder: Path, levels: range) -> None:
    for level in levels:
        write_image(folder / f"{level}.png", picture(level))


def level_of(array: np.ndarray) -> int:
    return round((float(array.mean()) + 1) * 127.5)


# ---------------------------------------------------------------- pairs


def test_pairs_side_by_side(tmp_path: Path) -> None:
    write_pairs(tmp_path / "sub")
    dataset = PairedDataset(str(tmp_path), prepared(LOAD_PAIR))
    assert len(dataset) == 4
    assert not dataset.is_random
    for index in range(4):
        sample = dataset[index]
        assert sample["A"].shape == sample["B"].shape == (3, 16, 16)
        assert (level_of(sample["A"]), level_of(sample["B"])) == (index, 200 + index)
        assert sample["A_path"] == sample["B_path"] == str(tmp_path / "sub" / f"{index}.png")


def test_pairs_of_two_folders(tmp_path: Path) -> None:
    for name in ("x", "deep/y"):
        write_image(tmp_path / "a" / f"{name}.png", picture(10))
        write_image(tmp_path / "b" / f"{name}.jpg", picture(90, 32, 32))
    resize = [{"name": "Resize", "size": [16, 16], "keys": ["image", "image"]}, *NORMALISE]
    dataset = PairedDataset(
        preprocess=prepared(LOAD_BOTH, resize),
        dataroot_a=str(tmp_path / "a"),
        dataroot_b=str(tmp_path / "b"),
    )
    assert len(dataset) == 2
    for index in range(2):
        sample = dataset[index]
        assert (level_of(sample["A"]), level_of(sample["B"])) == (10, 90)
        assert Path(sample["A_path"]).stem == Path(sample["B_path"]).stem


def test_pictures_without_a_partner_are_named_counted_and_skipped_on_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_domain(tmp_path / "a", range(4))
    write_domain(tmp_path / "b", range(2, 7))
    arguments = {
        "preprocess": prepared(LOAD_BOTH),
        "dataroot_a": str(tmp_path / "a"),
        "dataroot_b": str(tmp_path / "b"),
    }
    with pytest.raises(DataError, match=r"5 pictures have no partner; the first: .*a/0\.png"):
        PairedDataset(**arguments)
    dataset = PairedDataset(**arguments, on_error="skip")
    assert [level_of(dataset[i]["B"]) for i in range(len(dataset))] == [2, 3]
    loader = Loader(dataset, 1, train=False, seed=0)
    with caplog.at_level(logging.WARNING):
        assert len(list(loader.epoch(0))) == 2
        list(loader.epoch(1))
    assert caplog.text.count("5 files could not be used") == 1
    assert "has no partner of this name in" in caplog.text


def test_folders_that_do_not_match(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(2))
    write_domain(tmp_path / "b", range(5, 7))
    with pytest.raises(DataError, match="no picture has a partner: 4 pictures"):
        PairedDataset(
            preprocess=prepared(LOAD_BOTH),
            dataroot_a=str(tmp_path / "a"),
            dataroot_b=str(tmp_path / "b"),
            on_error="skip",
        )
    write_image(tmp_path / "a" / "0.jpg", picture(1))
    with pytest.raises(DataError, match=r"0\.jpg and .*0\.png have the same name"):
        match_folders(str(tmp_path / "a"), str(tmp_path / "b"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty of 'dataroot_b' is empty"):
        match_folders(str(tmp_path / "b"), str(tmp_path / "empty"))


def test_a_pair_of_odd_width_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    write_image(tmp_path / "1.png", picture(5, 33))
    dataset = PairedDataset(str(tmp_path), prepared(LOAD_PAIR))
    with pytest.raises(DataError, match=r"1\.png is 33 pixels wide, an odd number"):
        dataset[1]
    dataset = PairedDataset(str(tmp_path), prepared(LOAD_PAIR), on_error="skip")
    assert level_of(dataset[1]["A"]) == 2
    assert ["33 pixels" in problem for problem in dataset.take_skipped()] == [True]


def test_partners_of_other_proportions_are_named(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "0.png", picture(5, 30, 20))
    write_image(tmp_path / "b" / "0.png", picture(5, 20, 30))
    dataset = PairedDataset(
        preprocess=prepared(LOAD_BOTH),
        dataroot_a=str(tmp_path / "a"),
        dataroot_b=str(tmp_path / "b"),
    )
    with pytest.raises(DataError, match=r"a/0\.png of 30 x 20 and .*b/0\.png of 20 x 30 pixels"):
        dataset[0]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ((100, 200, 3), (100, 200, 3), True),
        ((100, 200), (50, 100), True),
        ((333, 500), (167, 250), True),
        ((100, 200), (200, 100), False),
        ((256, 256), (256, 250), False),
    ],
)
def test_proportions(a: tuple, b: tuple, same: bool) -> None:
    assert same_proportions(a, b) is same
    assert same_proportions(b, a) is same


def test_what_is_no_picture_is_named_and_skipped_on_request(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    (tmp_path / "2.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("not looked at")
    dataset = PairedDataset(str(tmp_path), prepared(LOAD_PAIR))
    with pytest.raises(DataError, match=r"2\.png is not an image file"):
        dataset[2]
    dataset = PairedDataset(str(tmp_path), prepared(LOAD_PAIR), on_error="skip")
    assert [level_of(dataset[i]["A"]) for i in range(4)] == [0, 1, 3, 3]
    assert len(dataset.take_skipped()) == 1


def test_wrong_arguments(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    ready = prepared(LOAD_PAIR)
    for folders in ({}, {"dataroot": "x", "dataroot_a": "y"}, {"dataroot_a": "y"}):
        with pytest.raises(ConfigError, match="needs 'dataroot'"):
            PairedDataset(**folders, preprocess=ready)
    with pytest.raises(ConfigError, match="needs 'preprocess'"):
        PairedDataset(str(tmp_path))
    with pytest.raises(ConfigError, match="'on_error' must be"):
        PairedDataset(str(tmp_path), ready, on_error="ignore")
    with pytest.raises(DataError, match="nowhere of 'dataroot' does not exist"):
        PairedDataset(str(tmp_path / "nowhere"), ready)
    with pytest.raises(DataError, match="does not exist; make it: ppzoo data prepare cartoon"):
        PairedDataset(str(tmp_path / "cartoon/train"), ready)
    with pytest.raises(DataError, match="does not exist; get it: ppzoo data prepare horse2zebra"):
        UnpairedDataset(str(tmp_path / "horse2zebra/trainA"), str(tmp_path), ready)


def test_both_pictures_of_a_pair_are_augmented_alike(tmp_path: Path) -> None:
    half = np.random.RandomState(0).randint(0, 256, (24, 24, 3)).astype(np.uint8)
    write_image(tmp_path / "0.png", np.concatenate([half, 255 - half], axis=1))
    dataset = PairedDataset(str(tmp_path), prepared(LOAD_PAIR, [*AUGMENT, *NORMALISE]))
    loader = Loader(dataset, 1, train=True, seed=5)
    shown = [next(iter(loader.epoch(epoch))) for epoch in range(4)]
    for batch in shown:
        assert np.abs((batch["A"] + batch["B"]).numpy()).max() < 0.02
    assert len({batch["A"].numpy().tobytes() for batch in shown}) > 1


# ---------------------------------------------------------------- domains


def unpaired(tmp_path: Path, **arguments: object) -> UnpairedDataset:
    return UnpairedDataset(
        str(tmp_path / "a"), str(tmp_path / "b"), prepared(LOAD_BOTH), **arguments
    )


def levels(dataset: UnpairedDataset) -> list[tuple[int, int]]:
    samples = [dataset[i] for i in range(len(dataset))]
    return [(level_of(sample["A"]), level_of(sample["B"])) for sample in samples]


def test_in_order_when_not_training(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(3))
    write_domain(tmp_path / "b", range(100, 105))
    dataset = unpaired(tmp_path, is_train=False)
    assert not dataset.is_random
    assert levels(dataset) == [(0, 100), (1, 101), (2, 102), (0, 103), (1, 104)]
    sample = dataset[3]
    assert sample["A_path"].endswith("0.png")
    assert sample["B_path"].endswith("103.png")


def test_b_is_drawn_in_training_and_follows_the_seed(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(6))
    write_domain(tmp_path / "b", range(100, 105))
    dataset = unpaired(tmp_path)
    assert dataset.is_random
    random.seed(3)
    first = levels(dataset)
    random.seed(3)
    expected = [100 + random.randint(0, 4) for _ in range(6)]
    assert first == list(zip(range(6), expected, strict=True))

    def epochs(workers: int) -> list[list[list[str]]]:
        loader = Loader(dataset, 2, train=True, seed=1, num_workers=workers)
        shown = [[b["A_path"] + b["B_path"] for b in loader.epoch(e)] for e in range(2)]
        loader.close()
        return shown

    alone = epochs(0)
    assert alone == epochs(1)
    assert alone[0] != alone[1]


def test_max_size(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(3))
    write_domain(tmp_path / "b", range(100, 105))
    assert len(unpaired(tmp_path, max_size="inf")) == 5
    assert len(unpaired(tmp_path, max_size=float("inf"))) == 5
    limited = unpaired(tmp_path, max_size=2, is_train=False)
    assert levels(limited) == [(0, 100), (1, 101)]
    for wrong in (0, -1, "many", float("nan")):
        with pytest.raises(ConfigError, match="'max_size' must be"):
            unpaired(tmp_path, max_size=wrong)


def test_empty_folders_are_named(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(3))
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="b of 'dataroot_b' is empty"):
        unpaired(tmp_path)


@pytest.mark.parametrize("is_train", [True, False])
def test_damaged_files_of_either_domain(tmp_path: Path, is_train: bool) -> None:
    write_domain(tmp_path / "a", range(4))
    write_domain(tmp_path / "b", range(100, 105))
    (tmp_path / "a" / "1.png").write_text("no picture")
    (tmp_path / "b" / "102.png").write_text("no picture")
    strict = unpaired(tmp_path, is_train=is_train)
    with pytest.raises(DataError, match=r"a/1\.png is not an image file"):
        strict[1]
    lenient = unpaired(tmp_path, is_train=is_train, on_error="skip")
    random.seed(0)
    for _ in range(4):
        found = levels(lenient)
        assert [a for a, _ in found] == [0, 2, 2, 3, 0]
        assert 102 not in [b for _, b in found]
    problems = lenient.take_skipped()
    assert len(problems) == 2
    assert {p.split(" ")[0].rsplit("/", 1)[1] for p in problems} == {"1.png", "102.png"}
    assert lenient.take_skipped() == []


def test_a_picture_too_small_for_the_crop_is_skipped_alone(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(3))
    write_domain(tmp_path / "b", range(100, 102))
    write_image(tmp_path / "a" / "0.png", picture(0, 8, 8))
    crop = [{"name": "RandomCrop", "size": 12, "keys": ["image", "image"]}, *NORMALISE]
    dataset = UnpairedDataset(
        str(tmp_path / "a"), str(tmp_path / "b"), prepared(LOAD_BOTH, crop), on_error="skip"
    )
    random.seed(0)
    assert {a for a, _ in levels(dataset)} == {1, 2}
    assert len(dataset.take_skipped()) == 1


def test_nothing_usable_in_one_domain(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(2))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_text("no picture")
    dataset = unpaired(tmp_path, on_error="skip")
    with pytest.raises(DataError, match=r"none of the 1 files .*1\.png is not an image"):
        dataset[0]


def test_skipping_does_not_change_what_is_drawn_for_the_others(tmp_path: Path) -> None:
    rng = np.random.RandomState(0)
    for name in ("a/0", "a/1", "b/0", "b/1"):
        write_image(tmp_path / f"{name}.png", rng.randint(0, 256, (24, 24, 3)).astype(np.uint8))
    (tmp_path / "a/0.png").write_text("no picture")
    crop = [{"name": "RandomCrop", "size": 8, "keys": ["image", "image"]}, *NORMALISE]
    dataset = UnpairedDataset(
        str(tmp_path / "a"), str(tmp_path / "b"), prepared(LOAD_BOTH, crop), on_error="skip"
    )
    batches = [next(iter(Loader(dataset, 2, train=True, seed=4).epoch(0))) for _ in range(2)]
    assert np.array_equal(batches[0]["A"].numpy(), batches[1]["A"].numpy())
    assert np.array_equal(batches[0]["B"].numpy(), batches[1]["B"].numpy())


# ---------------------------------------------------------------- configs


def test_sections_as_paddlegan_writes_them_are_accepted(tmp_path: Path) -> None:
    write_domain(tmp_path / "a", range(3))
    write_domain(tmp_path / "b", range(100, 103))
    write_pairs(tmp_path / "pairs")
    keys = "keys: ['image', 'image']"
    steps = f"""
        - name: Transforms
          input_keys: [A, B]
          pipeline:
            - {{name: Resize, size: [16, 16], interpolation: 'bicubic', {keys}}}
            - {{name: RandomCrop, size: [12, 12], {keys}}}
            - {{name: RandomHorizontalFlip, prob: 0.5, {keys}}}
            - {{name: Transpose, {keys}}}
            - {{name: Normalize, mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5], {keys}}}
"""
    text = f"""
dataset:
  train:
    name: UnpairedDataset
    dataroot_a: {tmp_path}/a
    dataroot_b: {tmp_path}/b
    num_workers: 0
    batch_size: 1
    use_shared_memory: True
    is_train: True
    max_size: inf
    preprocess:
        - {{name: LoadImageFromFile, key: A}}
        - {{name: LoadImageFromFile, key: B}}{steps}
  test:
    name: PairedDataset
    dataroot: {tmp_path}/pairs
    num_workers: 4
    batch_size: 1
    preprocess:
        - {{name: LoadImageFromFile, key: pair}}
        - {{name: SplitPairedImage, key: pair, paired_keys: [A, B]}}{steps}
"""
    base = Path(__file__).parents[2] / "configs" / "smoke" / "dcgan.yaml"
    content = base.read_text(encoding="utf-8")
    start = content.index("dataset:")
    rest = content[start:].split("\n")
    end = next(i for i, line in enumerate(rest[1:], 1) if line and not line[0].isspace())
    path = tmp_path / "config.yaml"
    path.write_text(content[:start] + text.strip() + "\n" + "\n".join(rest[end:]), "utf-8")
    config = load_config(path, [], check=True)
    train = build_dataset(config.dataset.train)
    assert isinstance(train, UnpairedDataset)
    assert train[0]["A"].shape == (3, 12, 12)
    test = build_dataset(config.dataset.test)
    assert isinstance(test, PairedDataset)
    assert test[0]["B"].shape == (3, 12, 12)


def test_registered() -> None:
    assert DATASETS.get("PairedDataset") is PairedDataset
    assert DATASETS.get("UnpairedDataset") is UnpairedDataset
