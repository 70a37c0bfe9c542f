# SPDX-License-Identifier: Apache-2.0
"""Threads that work ahead end when they should, and hand their exceptions over."""

from __future__ import annotations

import threading
import time

import pytest

from ppzoo.media.video.background import BackgroundSink, in_background


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("ppzoo")]


class TestInBackground:
    def test_order(self):
        assert list(in_background(iter(range(50)), 3)) == list(range(50))
        assert threads() == []

    def test_runs_ahead_by_no_more_than_its_depth(self):
        made = []

        def make():
            for i in range(20):
                made.append(i)
                yield i

        items = in_background(make(), 2)
        assert next(items) == 0
        # One handed over, two wait, one is held by the thread.
        while len(made) < 4:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(made) == 4
        items.close()

    def test_exception_after_what_came_before(self):
        def make():
            yield 1
            raise KeyError("elsewhere")

        items = in_background(make(), 3)
        assert next(items) == 1
        with pytest.raises(KeyError, match="elsewhere"):
            next(items)
        assert threads() == []

    def test_closing_closes_the_source(self):
        closed = []

        def make():
            try:
                while True:
                    yield 0
            finally:
                closed.append(threading.current_thread().name)

        items = in_background(make(), 2)
        next(items)
        items.close()
        assert closed == ["ppzoo-reader"]
        assert threads() == []


class TestBackgroundSink:
    def test_order(self):
        taken = []
        sink = BackgroundSink(taken.append, 2)
        for i in range(30):
            sink.put(i)
        sink.finish()
        assert taken == list(range(30))
        assert threads() == []

    def test_blocks_beyond_its_depth(self):
        release = threading.Event()
        sink = BackgroundSink(lambda _: release.wait(5), 2)
        for i in range(3):
            sink.put(i)
        late = threading.Thread(target=sink.put, args=(3,))
        late.start()
        late.join(0.2)
        assert late.is_alive()
        release.set()
        late.join()
        sink.finish()

    def test_exception_reaches_put(self):
        def fail(_):
            raise KeyError("elsewhere")

        sink = BackgroundSink(fail, 1)
        sink.put(0)
        while sink._error is None:
            time.sleep(0.01)
        with pytest.raises(KeyError, match="elsewhere"):
            sink.put(1)
        sink.abandon()
        assert threads() == []

    def test_exception_of_the_last_item_reaches_finish(self):
        def fail(_):
            raise KeyError("elsewhere")

        sink = BackgroundSink(fail, 1)
        sink.put(0)
        with pytest.raises(KeyError, match="elsewhere"):
            sink.finish()
        assert threads() == []

    def test_abandoned_items_are_dropped(self):
        begun, release, taken = threading.Event(), threading.Event(), []

        def take(item):
            begun.set()
            release.wait(5)
            taken.append(item)

        sink = BackgroundSink(take, 5)
        for i in range(4):
            sink.put(i)
        begun.wait(5)
        end = threading.Thread(target=sink.abandon)
        end.start()
        while not sink._abandoned:
            time.sleep(0.01)
        release.set()
        end.join()
        assert taken == [0]
        assert threads() == []
