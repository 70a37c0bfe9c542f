# SPDX-License-Identifier: Apache-2.0
"""Reading, computing and writing at the same time, with a bounded number of items in between."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_END = object()


def read_ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield items that another thread fetches meanwhile.

    An exception of the source is raised here, after the items before it. Where the caller stops
    early and closes this, the source is closed before that returns.

    Args:
        items: the source.
        depth: how many items may wait to be used.
    """
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def fetch() -> None:
        error: BaseException | None = None
        source = iter(items)
        try:
            for item in source:
                ready.put((item, None))
                if stopped.is_set():
                    break
        except BaseException as raised:  # to be raised where the items are used
            error = raised
        try:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        except BaseException as raised:
            error = error or raised
        ready.put((_END, error))

    thread = threading.Thread(target=fetch, name="read ahead", daemon=True)
    thread.start()
    item: Any = None
    try:
        while True:
            item, error = ready.get()
            if item is _END:
                if error is not None:
                    raise error
                return
            yield item
    finally:
        stopped.set()
        while item is not _END:
            item, _ = ready.get()
        thread.join()


class WriteBehind(Generic[T]):
    """Hands items to a function that runs in another thread; a context manager.

    Leaving the block waits for the items that are left, except after an exception: then they are
    dropped. An exception of the function is raised by the next `put`, or at the end of the block.

    Args:
        write: is called with one item after another.
        depth: how many items may wait.
    """

    def __init__(self, write: Callable[[T], Any], depth: int = 2) -> None:
        self._write = write
        self._waiting: queue.Queue[Any] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._is_dropping = False
        self._thread = threading.Thread(target=self._work, name="write behind", daemon=True)

    def put(self, item: T) -> None:
        """Hand over an item, and wait while too many are on their way."""
        self._raise()
        self._waiting.put(item)

    def __enter__(self) -> WriteBehind[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._is_dropping = kind is not None
        self._waiting.put(_END)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            if item is _END:
                return
            if self._error is not None or self._is_dropping:
                continue  # so that nobody waits for room
            try:
                self._write(item)
            except BaseException as raised:  # to be raised where items come from
                self._error = raised
