# SPDX-License-Identifier: Apache-2.0
"""From a dataset to batches of tensors, in an order that can be repeated.

Which samples stand in which batch depends on (seed, epoch) alone, and what random transforms do
to a sample on (seed, epoch, index of the sample) alone: neither on the number of workers, nor on
where in the epoch one begins, nor on the number of processes that share the work. So a resumed
run sees what an uninterrupted one would have seen.

With W processes (ranks) a global batch has W * batch_size samples, and rank r takes its rows
r, r + W, r + 2 W, ...
"""

from __future__ import annotations

import contextlib
import logging
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import paddle

from ppzoo.data import workers
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import DATASETS, build

Batch = workers.Batch

_log = logging.getLogger(__name__)

# An entry of a batch that does not reach the consumer: problems of files that were replaced.
_REPLACED = "ppzoo/replaced"


def build_dataset(spec: Any) -> paddle.io.Dataset:
    """Build the dataset that a config's section describes.

    Args:
        spec: a `DataConfig`, a `Component`, or a mapping with a `name` and keyword arguments.

    Raises:
        UserError: the name or the arguments are wrong, or the data are not there.
    """
    return build(DATASETS, getattr(spec, "component", spec))


def build_dataloader(
    cfg: Any, *, train: bool, seed: int, rank: int = 0, world_size: int = 1
) -> Loader:
    """Build the loader that a config's section describes.

    Args:
        cfg: a `DataConfig`: has `component`, `batch_size` (per process), `num_workers` and
            `use_shared_memory`.
        train: shuffle, and drop the last incomplete batch.
        seed: what order and random transforms depend on.
        rank: which of `world_size` processes this is.
        world_size: how many processes share each global batch.

    Raises:
        UserError: see `build_dataset` and `Loader`.
    """
    return Loader(
        build_dataset(cfg.component),
        cfg.batch_size,
        train=train,
        seed=seed,
        rank=rank,
        world_size=world_size,
        num_workers=cfg.num_workers,
        use_shared_memory=cfg.use_shared_memory,
    )


class Loader:
    """Batches of a dataset.

    A batch has the keys of the samples. Arrays and numbers become tensors [N, ...], the rest
    (paths) lists. A dataset may offer

    - `is_random`: False says that samples do not depend on random draws;
    - `get_batch(indices)`: a dict of stacked arrays, used if `is_random` is False;
    - `source(index)`: where a sample comes from, for error messages;
    - `take_skipped()`: problems of files that were replaced, each of which is told once.

    Args:
        dataset: has `__len__`, and `__getitem__` that returns a dict.
        batch_size: samples per batch of this process.
        train: shuffle, and drop the last incomplete global batch unless it is the only one.
            Otherwise all samples come, in order, and ranks may have different numbers of them.
        seed: what order and random transforms depend on.
        rank: which of `world_size` processes this is.
        world_size: how many processes share each global batch.
        num_workers: processes that read in advance; 0 reads in this process, as do systems other
            than Linux.
        use_shared_memory: how workers hand over batches; without, through pipes.

    Raises:
        ConfigError: a number out of range.
        DataError: the dataset is empty, or in training has fewer samples than there are ranks.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        *,
        train: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        use_shared_memory: bool = True,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"'batch_size' must be a positive number, got {batch_size!r}")
        if not isinstance(num_workers, int) or num_workers < 0:
            raise ConfigError(f"'num_workers' must be a number from 0 up, got {num_workers!r}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not one of {world_size}")
        kind = type(dataset).__name__
        if len(dataset) == 0:
            raise DataError(f"the dataset {kind} is empty")
        if train and len(dataset) < world_size:
            raise DataError(
                f"the dataset {kind} has {len(dataset)} samples, fewer than the {world_size} "
                "processes that share each batch"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.train = train
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        # Elsewhere processes cannot be forked, or libraries do not bear it.
        self.num_workers = num_workers if sys.platform == "linux" else 0
        self.use_shared_memory = use_shared_memory
        self._reader = _BatchReader(dataset, seed)
        self._pool: workers.Pool | None = None
        self._replaced: set[str] = set()
        self._told: set[str] = set()

    def __len__(self) -> int:
        """Return the number of batches of this rank per epoch."""
        total, size = len(self.dataset), self.batch_size * self.world_size
        if self.train:
            return max(1, total // size)
        return total // size + (total % size > self.rank)

    def indices(self, epoch: int, start_batch: int = 0) -> Sequence[np.ndarray]:
        """Return, for each batch of this rank from `start_batch` on, the samples in it."""
        total, size = len(self.dataset), self.batch_size * self.world_size
        if self.train:
            # Streams of RandomState, unlike those of Generator, are the same in all versions of
            # NumPy. No sample has the index `total`, so no transform draws from this one.
            order = np.random.RandomState(_entropy(self.seed, epoch, total)).permutation(total)
        else:
            order = np.arange(total)
        return _Plan(order, size, self.rank, self.world_size, range(start_batch, len(self)))

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Args:
            epoch: number of the epoch, from 0 up; orders and random transforms differ by it.
            start_batch: how many batches to leave out at the beginning, unread.

        Raises:
            DataError: a sample cannot be read, samples do not fit together, a worker died.
        """
        if not 0 <= start_batch <= len(self):
            raise ValueError(f"there is no batch {start_batch} among {len(self)}")
        plan = self.indices(epoch, start_batch)
        try:
            with contextlib.closing(self._read(epoch, plan)) as batches:
                for batch in batches:
                    self._replaced.update(batch.pop(_REPLACED, ()))
                    yield {key: _tensor(value) for key, value in batch.items()}
        finally:
            self._tell_replaced()

    def close(self) -> None:
        """End the workers; they also end with the loader, and are started again when needed."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _read(self, epoch: int, plan: Sequence[np.ndarray]) -> Iterator[Batch]:
        if self.num_workers and self._pool is None and plan:
            # The first batch shows how much memory to share.
            first = self._reader.read(epoch, plan[0])
            size = 2 * workers.room(first) if self.use_shared_memory else 0
            self._pool = workers.Pool(self._reader.read, self.num_workers, size)
            yield first
            plan = plan[1:]
        if self._pool is None:
            for indices in plan:
                yield self._reader.read(epoch, indices)
            return
        try:
            with contextlib.closing(self._pool.batches(epoch, plan)) as batches:
                yield from batches
        except Exception:
            self.close()
            raise

    def _tell_replaced(self) -> None:
        new = sorted(self._replaced - self._told)
        if new:
            self._told.update(new)
            _log.warning(
                "%d files could not be used, so other samples took their places; the first: %s",
                len(new),
                new[0],
            )


class _Plan(Sequence[np.ndarray]):
    """The samples of each batch of a rank.

    They are cut out when asked for: a dataset that is repeated a thousand times has millions of
    batches in an epoch, of which most runs see few.
    """

    def __init__(
        self, order: np.ndarray, size: int, rank: int, world_size: int, batches: range
    ) -> None:
        self.order = order
        self.size = size
        self.rank = rank
        self.world_size = world_size
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return _Plan(self.order, self.size, self.rank, self.world_size, self.batches[place])
        start = self.batches[place] * self.size
        return self.order[start : start + self.size][self.rank :: self.world_size]


class _BatchReader:
    """Reads batches as arrays; what workers get a copy of."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.is_random = getattr(dataset, "is_random", True)
        self.fast = None if self.is_random else getattr(dataset, "get_batch", None)

    def read(self, epoch: int, indices: np.ndarray) -> Batch:
        """Return the samples at `indices` as one batch of arrays and lists."""
        if self.fast is not None:
            return dict(self.fast(indices))
        with _preserved_random_state() if self.is_random else contextlib.nullcontext():
            samples = [self._sample(epoch, int(index)) for index in indices]
        batch = collate(samples, lambda row: self._source(int(indices[row])))
        if hasattr(self.dataset, "take_skipped"):
            problems = self.dataset.take_skipped()
            if problems:
                batch[_REPLACED] = problems
        return batch

    def _sample(self, epoch: int, index: int) -> Mapping[str, Any]:
        if self.is_random:
            words = _entropy(self.seed, epoch, index)
            # Two halves: the generators are the same, so one seed would give the same numbers.
            random.seed(int.from_bytes(words[:4].tobytes(), "little"))
            np.random.seed(words[4:])
        return self.dataset[index]

    def _source(self, index: int) -> str:
        return self.dataset.source(index) if hasattr(self.dataset, "source") else f"sample {index}"


def collate(samples: Sequence[Mapping[str, Any]], source: Any = "sample {}".format) -> Batch:
    """Put samples together: arrays and numbers are stacked to [N, ...], the rest become lists.

    Args:
        samples: dicts with the same keys.
        source: returns what a sample is called in error messages, given its place in `samples`.

    Raises:
        DataError: samples differ in their keys or in the shapes of their arrays.
    """
    first = samples[0]
    for row, sample in enumerate(samples):
        if sample.keys() != first.keys():
            raise DataError(
                f"samples of one batch differ in their entries: {source(0)} has "
                f"{', '.join(first)}; {source(row)} has {', '.join(sample)}"
            )
    batch: Batch = {}
    for key, example in first.items():
        values = [sample[key] for sample in samples]
        arrays = [np.asarray(value) for value in values]
        if arrays[0].dtype.kind not in "biufc":
            batch[key] = values
            continue
        for row, array in enumerate(arrays):
            if array.shape != arrays[0].shape:
                raise DataError(
                    f"samples of one batch differ in the shape of {key!r}: "
                    f"{list(arrays[0].shape)} from {source(0)}, {list(array.shape)} from "
                    f"{source(row)}; resize or crop them to one size, or set 'batch_size: 1'"
                )
        stacked = np.stack(arrays)
        # Python's floats are double, which networks do not take.
        batch[key] = stacked.astype(np.float32) if isinstance(example, float) else stacked
    return batch


@contextlib.contextmanager
def _preserved_random_state() -> Iterator[None]:
    """Leave Python's and NumPy's global random states as they were."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _entropy(*numbers: int) -> np.ndarray:
    """Return 256 well-mixed bits, as eight uint32, that depend on all numbers."""
    return np.random.SeedSequence([number % 2**64 for number in numbers]).generate_state(8)


def _tensor(value: Any) -> Any:
    return paddle.to_tensor(value) if isinstance(value, np.ndarray) else value
