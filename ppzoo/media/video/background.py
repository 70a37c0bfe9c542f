# SPDX-License-Identifier: Apache-2.0
"""Work in a second thread, a bounded number of items ahead or behind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
# A thread that waits for a full queue looks this often whether it shall end, in seconds.
_PATIENCE = 0.05
_END = object()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def in_background(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """Yield what `items` yields, produced by a thread that runs ahead.

    Exceptions of `items` are raised where the next item is asked for. When this generator is closed
    or forgotten, `items` is closed too and its thread has ended.

    Args:
        items: an iterator or generator; it runs in the thread.
        depth: how many items may wait.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:  # handed to the thread that waits for it
            put(_Failure(error))
        else:
            put(_END)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, name="ppzoo-reader", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join()


class BackgroundSink(Generic[T]):
    """Hand items to a function that takes them one by one in a thread.

    Args:
        take: called with each item, in order.
        depth: how many items may wait; `put` blocks beyond.
    """

    def __init__(self, take: Callable[[T], None], depth: int) -> None:
        self._take = take
        self._waiting: queue.Queue[Any] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._work, name="ppzoo-writer", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Queue an item; an exception that an earlier one met is raised here."""
        self._check()
        self._waiting.put(item)

    def finish(self) -> None:
        """Wait until all items are taken; raises the exception that one of them met."""
        self._end()
        self._check()

    def abandon(self) -> None:
        """Drop what waits and end the thread; does not raise."""
        self._abandoned = True
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._waiting.put(_END)
        self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        # Goes on emptying the queue after an exception, so that nobody waits for room in vain.
        while (item := self._waiting.get()) is not _END:
            if self._error is None and not self._abandoned:
                try:
                    self._take(item)
                except BaseException as error:  # handed to the thread that calls put
                    self._error = error
