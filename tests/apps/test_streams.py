# SPDX-License-Identifier: Apache-2.0
"""Threads that read ahead and write behind: order, bounds, errors, stopping early."""

from __future__ import annotations

import threading
import time

import pytest

from ppzoo.apps.streams import WriteBehind, read_ahead


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_items_come_in_order():
    assert list(read_ahead(range(100))) == list(range(100))
    assert list(read_ahead([])) == []


def test_another_thread_fetches_but_not_too_much():
    fetched, threads = [], set()

    def source():
        for i in range(20):
            fetched.append(i)
            threads.add(threading.get_ident())
            yield i

    stream = read_ahead(source(), depth=3)
    assert next(stream) == 0
    # 3 wait and one is in the hand of the thread.
    wait_until(lambda: len(fetched) == 5)
    time.sleep(0.02)
    assert len(fetched) == 5
    assert threads != {threading.get_ident()}
    stream.close()


def test_an_error_comes_after_the_items_before_it():
    def source():
        yield 1
        yield 2
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(read_ahead(source()))
    assert found == [1, 2]


def test_stopping_early_closes_the_source():
    closed = []

    def source():
        try:
            yield from range(1000)
        finally:
            closed.append(threading.get_ident())

    stream = read_ahead(source())
    assert next(stream) == 0
    stream.close()
    assert len(closed) == 1


def test_an_error_beside_the_stream_stops_it():
    def use():
        for item in read_ahead(range(1000)):
            if item == 3:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        use()


def test_all_items_are_written_in_order_by_another_thread():
    written, threads = [], set()

    def write(item):
        time.sleep(0.0005)
        threads.add(threading.get_ident())
        written.append(item)

    with WriteBehind(write) as behind:
        for i in range(50):
            behind.put(i)
    assert written == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_no_more_wait_than_allowed():
    gate, put = threading.Event(), []

    def produce(behind):
        for i in range(10):
            behind.put(i)
            put.append(i)

    with WriteBehind(lambda _: gate.wait(10), depth=2) as behind:
        thread = threading.Thread(target=produce, args=(behind,))
        thread.start()
        wait_until(lambda: len(put) == 3)
        time.sleep(0.02)
        assert len(put) == 3
        gate.set()
        thread.join()


def test_an_error_of_the_writer_reaches_the_next_put():
    def write(item):
        if item == 2:
            raise OSError("disk full")

    def use():
        with WriteBehind(write) as behind:
            for i in range(1000):
                behind.put(i)

    with pytest.raises(OSError, match="disk full"):
        use()


def test_an_error_with_the_last_item_is_raised_at_the_end():
    def write(item):
        raise OSError(f"disk full at {item}")

    with pytest.raises(OSError, match="disk full at 7"), WriteBehind(write) as behind:
        behind.put(7)


def test_after_an_error_of_the_caller_nothing_more_is_written():
    gate, written = threading.Event(), []

    def write(item):
        gate.wait(10)
        written.append(item)

    def use():
        with WriteBehind(write, depth=4) as behind:
            for i in range(4):
                behind.put(i)
            threading.Timer(0.02, gate.set).start()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        use()
    wait_until(lambda: threading.active_count() == 1 or gate.is_set())
    assert written in ([], [0])


def test_reading_computing_and_writing_overlap():
    nap = 0.02

    def source():
        for i in range(12):
            time.sleep(nap)
            yield i

    start = time.perf_counter()
    with WriteBehind(lambda _: time.sleep(nap)) as behind:
        for item in read_ahead(source()):
            time.sleep(nap)
            behind.put(item)
    taken = time.perf_counter() - start
    # One after another it takes 36 naps, at the same time 14.
    assert taken < 26 * nap
