# SPDX-License-Identifier: Apache-2.0
"""Processes that read batches in advance.

Why not `paddle.io.DataLoader`: in Paddle 2.6 and 3.3 its processes and threads live on when its
iterator is left early, it takes five seconds to notice that a worker died, exceptions arrive as
text, and what it shares lies in /dev/shm, of which containers have 64 MB. Python's own pool has
none of these faults, and memory that is mapped before the fork knows no such limit.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import math
import mmap
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np

from ppzoo.errors import ConfigError, DataError, UserError
from ppzoo.runtime import end_with_parent

Batch = dict[str, Any]
Read = Callable[[int, np.ndarray], Batch]

_PER_WORKER = 2  # batches asked for in advance
_ALIGNMENT = 64


class Pool:
    """Processes that call `read(epoch, indices)`, forked from this one when first needed.

    Args:
        read: returns a batch of arrays and other things that can be pickled.
        num_workers: how many processes.
        shared_bytes: room for the arrays of one batch in memory shared with the processes; a
            larger batch, and any batch if this is 0, comes through a pipe.
    """

    def __init__(self, read: Read, num_workers: int, shared_bytes: int) -> None:
        self._ahead = num_workers * _PER_WORKER
        self._owner = os.getpid()
        self._forked = False
        self._slots = [mmap.mmap(-1, shared_bytes) for _ in range(self._ahead + 1) if shared_bytes]
        self._free = collections.deque(range(len(self._slots)))
        self._executor = ProcessPoolExecutor(
            num_workers,
            multiprocessing.get_context("fork"),
            initializer=_start_worker,
            initargs=(read, self._slots),
        )

    def batches(self, epoch: int, plan: Iterable[np.ndarray]) -> Iterator[Batch]:
        """Yield `read(epoch, indices)` for each of `plan`, in order.

        An array of a batch is valid until the next batch is asked for.

        Raises:
            DataError: a process died, or `read` raised it.
            ConfigError: `read` raised it.
            RuntimeError: `read` raised something else; with the traceback.
        """
        waiting: collections.deque[tuple[Future, int | None]] = collections.deque()
        rest = iter(plan)
        try:
            while True:
                while len(waiting) < self._ahead:
                    indices = next(rest, None)
                    if indices is None:
                        break
                    waiting.append(self._submit(epoch, indices))
                if not waiting:
                    return
                future, slot = waiting[0]
                batch = future.result()
                yield {key: self._resolved(value, slot) for key, value in batch.items()}
                waiting.popleft()
                if slot is not None:
                    self._free.append(slot)
        except BrokenProcessPool:
            raise DataError(
                "a worker process that reads data died, probably because memory ran out; set a "
                "smaller 'num_workers', or 0, which reads in the main process"
            ) from None
        finally:
            # What is being read when the consumer leaves early is waited for: its slot is in use.
            concurrent.futures.wait([future for future, _ in waiting if not future.cancel()])
            self._free.extend(slot for _, slot in waiting if slot is not None)

    def close(self) -> None:
        """Wait for what the processes are doing, and end them; deleting the pool does so too."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __del__(self) -> None:
        # A worker has copies of all pools there were when it began.
        if os.getpid() == self._owner:
            in_main = threading.current_thread() is threading.main_thread()
            self._executor.shutdown(wait=in_main, cancel_futures=True)

    def _submit(self, epoch: int, indices: np.ndarray) -> tuple[Future, int | None]:
        slot = self._free.popleft() if self._free else None
        with contextlib.nullcontext() if self._forked else _ctrl_c_postponed():
            future = self._executor.submit(_work, epoch, indices, slot)
        self._forked = True
        return future, slot

    def _resolved(self, value: Any, slot: int | None) -> Any:
        if not isinstance(value, _Place):
            return value
        count = math.prod(value.shape)
        array = np.frombuffer(self._slots[slot or 0], value.dtype, count, value.offset)
        return array.reshape(value.shape)


@contextlib.contextmanager
def _ctrl_c_postponed() -> Iterator[None]:
    """Fork in here: Ctrl-C reaches all processes, but ending workers is the main one's task.

    Workers inherit that the signal is blocked, and SIGTERM until they are ready for it. In the main
    process, where Ctrl-C would get lost in the functions that Python runs after a fork, it is
    raised afterwards.
    """
    received: list[int] = []
    handler: Any = None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        if threading.current_thread() is threading.main_thread():
            handler = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if received:
            signal.raise_signal(signal.SIGINT)


def room(batch: Batch) -> int:
    """Return the bytes of shared memory that the arrays of `batch` take."""
    return sum(_padded(value) for value in batch.values() if isinstance(value, np.ndarray))


class _Place(NamedTuple):
    """Where in a slot an array lies."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


_read: Read
_slots: list[mmap.mmap]


def _start_worker(read: Read, slots: list[mmap.mmap]) -> None:
    global _read, _slots
    _read, _slots = read, slots
    # So the pool ends its processes. The trainer's handler would not end them, and Paddle's, which
    # prints a stack trace, may wait for ever for a lock that another thread held at the fork.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=end_with_parent, daemon=True).start()
    if "cv2" in sys.modules:
        # OpenCV's threads do not survive the fork.
        sys.modules["cv2"].setNumThreads(0)


def _work(epoch: int, indices: np.ndarray, slot: int | None) -> Batch:
    # Only exceptions that are made of one text survive being pickled for certain.
    try:
        batch = _read(epoch, indices)
    except UserError as error:
        raise (ConfigError if isinstance(error, ConfigError) else DataError)(str(error)) from None
    except Exception:
        text = f"reading data failed in a worker process:\n{traceback.format_exc()}"
        raise RuntimeError(text) from None
    if slot is None or room(batch) > len(_slots[slot]):
        return batch
    offset = 0
    for key, value in batch.items():
        if isinstance(value, np.ndarray) and value.size:
            target = np.frombuffer(_slots[slot], value.dtype, value.size, offset)
            target.reshape(value.shape)[...] = value
            batch[key] = _Place(value.dtype.str, value.shape, offset)
            offset += _padded(value)
    return batch


def _padded(array: np.ndarray) -> int:
    return -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
