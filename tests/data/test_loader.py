# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.loader: batches that can be repeated, resumed and shared among processes."""

import logging
import multiprocessing
import random
import tracemalloc
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from ppzoo.data import Loader, build_dataloader, build_dataset
from ppzoo.data.loader import collate
from ppzoo.errors import ConfigError, DataError


class Noisy(paddle.io.Dataset):
    """Samples that show their index and two random draws."""

    def __init__(self, count=22):
        super().__init__()
        self.count = count
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return {
            "index": index,
            "drawn": np.array([random.random(), np.random.random()]),
            "img": np.full((1, 2, 2), index, np.float32),
            "path": f"{index}.png",
        }

    def __len__(self):
        return self.count


class Fails(Noisy):
    """Samples of which number 3 does what the test says, in workers only."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def __getitem__(self, index):
        if index == 3 and multiprocessing.parent_process() is not None:
            self.action()
        return super().__getitem__(index)


def loader(dataset=None, batch_size=4, **kwargs):
    dataset = Noisy() if dataset is None else dataset
    return Loader(dataset, batch_size, **{"train": True, "seed": 7, **kwargs})


def arrays(batches):
    """Return the batches with arrays instead of tensors."""
    return [
        {k: v.numpy() if isinstance(v, paddle.Tensor) else v for k, v in batch.items()}
        for batch in batches
    ]


def assert_equal(left, right):
    assert len(left) == len(right)
    for one, two in zip(left, right, strict=True):
        assert one.keys() == two.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], two[key], err_msg=key)


def indices(batches):
    return [int(i) for batch in batches for i in batch["index"]]


def test_batches_are_tensors_and_lists():
    batch = next(loader().epoch(0))
    assert batch["img"].shape == [4, 1, 2, 2]
    assert batch["img"].dtype == paddle.float32
    assert batch["index"].dtype == paddle.int64
    assert batch["path"] == [f"{int(i)}.png" for i in batch["index"]]


def test_training_shuffles_and_drops_the_rest():
    loaded = loader()
    assert len(loaded) == 5
    first = indices(loaded.epoch(0))
    assert len(set(first)) == 20
    assert first != sorted(first)


def test_testing_keeps_order_and_the_rest():
    loaded = loader(train=False)
    assert len(loaded) == 6
    batches = arrays(loaded.epoch(0))
    assert indices(batches) == list(range(22))
    assert len(batches[-1]["index"]) == 2


def test_a_set_smaller_than_a_batch_is_one_batch():
    loaded = loader(Noisy(3))
    assert len(loaded) == 1
    assert sorted(indices(loaded.epoch(0))) == [0, 1, 2]


def test_the_same_seed_gives_the_same_epoch_and_others_differ():
    reference = arrays(loader().epoch(0))
    assert_equal(reference, arrays(loader().epoch(0)))
    assert indices(reference) != indices(loader().epoch(1))
    assert indices(reference) != indices(loader(seed=8).epoch(0))
    drawn = [x for e in (0, 1) for b in arrays(loader().epoch(e)) for x in b["drawn"].ravel()]
    assert len(set(drawn)) == 80


def test_the_order_is_the_same_on_every_platform():
    assert indices(loader(Noisy(8), 8, seed=0).epoch(0)) == [3, 4, 7, 0, 2, 1, 6, 5]


@pytest.mark.parametrize("shared", [True, False])
def test_workers_change_nothing(shared):
    alone = arrays(loader().epoch(3))
    helped = arrays(loader(num_workers=2, use_shared_memory=shared).epoch(3))
    assert_equal(alone, helped)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_skipping_gives_the_tail_of_the_epoch(num_workers):
    full = arrays(loader().epoch(2))
    assert_equal(full[3:], arrays(loader(num_workers=num_workers).epoch(2, start_batch=3)))
    assert list(loader(num_workers=num_workers).epoch(2, start_batch=5)) == []


def test_skipped_samples_are_not_read():
    dataset = Noisy()
    tail = indices(loader(dataset).epoch(0, start_batch=3))
    assert dataset.read == tail
    with pytest.raises(ValueError, match="no batch 6"):
        next(loader().epoch(0, start_batch=6))


@pytest.mark.parametrize("train", [True, False])
def test_ranks_together_have_the_global_batch(train):
    whole = arrays(loader(batch_size=6, train=train).epoch(1))
    ranks = [
        arrays(loader(batch_size=2, train=train, rank=r, world_size=3).epoch(1)) for r in range(3)
    ]
    for rank, batches in enumerate(ranks):
        assert len(batches) == len(loader(batch_size=2, train=train, rank=rank, world_size=3))
        for batch, reference in zip(batches, whole, strict=False):
            np.testing.assert_array_equal(batch["drawn"], reference["drawn"][rank::3])
    assert sorted(indices(b for rank in ranks for b in rank)) == sorted(indices(whole))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_callers_random_states_are_left_alone(num_workers):
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    for _ in loader(num_workers=num_workers).epoch(0):
        pass
    assert (random.random(), np.random.random()) == expected


def test_random_state_between_batches_does_not_leak_in():
    reference = arrays(loader().epoch(0))
    disturbed = []
    for batch in loader().epoch(0):
        random.seed(5)
        np.random.seed(5)
        disturbed.append(batch)
    assert_equal(reference, arrays(disturbed))


def test_a_dataset_without_randomness_gives_whole_batches():
    class Fast(Noisy):
        is_random = False

        def get_batch(self, rows):
            return {"index": rows * 10}

    batches = arrays(loader(Fast(), train=False).epoch(0))
    np.testing.assert_array_equal(batches[1]["index"], [40, 50, 60, 70])
    Fast.is_random = True
    assert indices(loader(Fast(), train=False).epoch(0)) == list(range(22))


def test_a_workers_data_error_arrives_as_it_is():
    def fail():
        raise DataError("x/3.png is damaged: not an image")

    with pytest.raises(DataError, match=r"^x/3\.png is damaged: not an image$"):
        list(loader(Fails(fail), num_workers=2).epoch(0))


def test_closing_ends_the_workers_until_they_are_needed_again():
    loaded = loader(num_workers=1)
    reference = arrays(loaded.epoch(0))
    loaded.close()
    assert multiprocessing.active_children() == []
    assert_equal(reference, arrays(loaded.epoch(0)))
    loaded.close()


def test_shapes_that_differ_are_named_with_their_files():
    class Uneven(Noisy):
        def __getitem__(self, index):
            return {"img": np.zeros((1, 2, 2 + index))}

        def source(self, index):
            return f"folder/{index}.png"

    with pytest.raises(DataError) as caught:
        next(loader(Uneven(), train=False).epoch(0))
    for part in ("'img'", "[1, 2, 2]", "folder/0.png", "[1, 2, 3]", "folder/1.png", "batch_size"):
        assert part in str(caught.value)


def test_entries_that_differ_are_named():
    with pytest.raises(DataError, match="sample 0 has a, b; sample 1 has a"):
        collate([{"a": 1, "b": 2}, {"a": 1}])


def test_collating_numbers_strings_and_nothing():
    batch = collate([{"i": 1, "f": 0.5, "b": True, "s": "x", "n": None, "z": np.int64(3)}] * 2)
    assert batch["i"].dtype == np.int64
    assert batch["f"].dtype == np.float32
    assert batch["b"].dtype == bool
    assert batch["s"] == ["x", "x"]
    assert batch["n"] == [None, None]
    np.testing.assert_array_equal(batch["z"], [3, 3])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_replaced_files_are_told_once_with_their_number(num_workers, caplog):
    class Skips(Noisy):
        def __init__(self):
            super().__init__()
            self.problems = []

        def __getitem__(self, index):
            if index in (2, 9):
                self.problems.append(f"{index}.png is damaged")
            return super().__getitem__(index)

        def take_skipped(self):
            taken, self.problems = self.problems, []
            return taken

    loaded = loader(Skips(), batch_size=2, train=False, num_workers=num_workers)
    with caplog.at_level(logging.WARNING):
        for epoch in range(2):
            assert all(set(batch) == {"index", "drawn", "img", "path"}
                       for batch in loaded.epoch(epoch))  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == [
        "2 files could not be used, so other samples took their places; the first: 2.png is damaged"
    ]


def test_wrong_numbers_and_empty_sets_are_refused():
    with pytest.raises(ConfigError, match="'batch_size' must be"):
        loader(batch_size=0)
    with pytest.raises(ConfigError, match="'num_workers' must be"):
        loader(num_workers=-1)
    with pytest.raises(DataError, match="the dataset Noisy is empty"):
        loader(Noisy(0))
    with pytest.raises(DataError, match="2 samples, fewer than the 3 processes"):
        loader(Noisy(2), rank=0, world_size=3)


def test_building_from_a_config():
    spec = {"name": "DigitsDataset", "mode": "test", "size": 8}
    count = len(build_dataset(spec))
    cfg = SimpleNamespace(component=spec, batch_size=50, num_workers=0, use_shared_memory=True)
    built = build_dataloader(cfg, train=False, seed=0)
    assert len(build_dataset(cfg)) == count > 100
    sizes = [len(batch["class_id"]) for batch in built.epoch(0)]
    assert sum(sizes) == count
    assert set(sizes[:-1]) == {50}
    assert len(build_dataloader(cfg, train=True, seed=0, rank=1, world_size=2)) == count // 100


def test_an_epoch_of_millions_of_batches_begins_without_listing_them():
    class Long:
        is_random = False

        def __len__(self):
            return 2_000_000

        def __getitem__(self, index):
            return {"index": np.asarray(index)}

    loader = Loader(Long(), 2, train=True, seed=3, rank=1, world_size=2)
    tracemalloc.start()
    try:
        batches = loader.epoch(0, start_batch=499_998)
        last = [batch["index"].numpy().tolist() for batch in batches]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000
    whole = loader.indices(0)
    assert len(whole) == 500_000
    assert [row.tolist() for row in whole[-2:]] == last
