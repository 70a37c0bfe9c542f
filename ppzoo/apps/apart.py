# SPDX-License-Identifier: Apache-2.0
"""Long tasks in processes of their own, so that one that crashes takes none of the others along.

An executor of Python's would break as a whole where one of its processes dies, as decoders of
damaged films may, and would not say which task it was.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from ppzoo.errors import DataError, UserError
from ppzoo.runtime import end_with_parent, is_out_of_memory

Say = Callable[[Any], None]

_PATIENCE = 5.0  # seconds that a process has to end when it is told to


def run_apart(
    work: Callable[[Any, Say], Any],
    tasks: Iterable[Any],
    workers: int,
    hear: Callable[[Any], None] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Yield each task with what `work(task, say)` returned, in the order in which they end.

    Processes are started afresh and not forked. They end when the caller leaves early, and when
    this process ends in any way.

    Args:
        work: a function of a module.
        tasks: what can be pickled, as can results.
        workers: how many processes.
        hear: is called with what `work` gives `say`.

    Yields:
        (task, result); in place of a result the `UserError` that `work` raised, or a `DataError`
        where its process died or memory ran out.

    Raises:
        RuntimeError: `work` raised something else; with the traceback.
    """
    rest = iter(tasks)
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    try:
        while True:
            while len(busy) < workers and (task := next(rest, _NOTHING)) is not _NOTHING:
                worker = idle.pop() if idle else _Worker(work)
                worker.give(task)
                busy[worker.connection] = worker
            if not busy:
                return
            for connection in wait(list(busy)):
                worker = busy[connection]
                kind, content = worker.answer()
                if kind == "said":
                    if hear is not None:
                        hear(content)
                    continue
                del busy[connection]
                if kind == "died":
                    worker.end()
                else:
                    idle.append(worker)
                if kind == "failed":
                    raise RuntimeError(f"a worker process failed:\n{content}")
                yield worker.task, content
    finally:
        for worker in busy.values():
            # Paddle answers SIGTERM with a stack trace.
            worker.process.kill()
        for worker in [*idle, *busy.values()]:
            worker.end()


_NOTHING = object()


class _Worker:
    """A process that does one task after another.

    Args:
        work: see `run_apart`.
    """

    def __init__(self, work: Callable[[Any, Say], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, other), daemon=True)
        self.process.start()
        other.close()
        self.task: Any = None

    def give(self, task: Any) -> None:
        self.task = task
        # One that died while it was idle is found out about when its answer is asked for.
        with contextlib.suppress(OSError):
            self.connection.send(task)

    def answer(self) -> tuple[str, Any]:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join(_PATIENCE)
            code = self.process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            return "died", DataError(
                f"the process that worked on it died ({how}), perhaps because memory ran out"
            )

    def end(self) -> None:
        self.connection.close()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(work: Callable[[Any, Say], Any], connection: Connection) -> None:
    # Ctrl-C reaches all processes, but ending workers is the main one's task.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):  # the main process has gone
        while True:
            task = connection.recv()
            try:
                answer: tuple[str, Any] = (
                    "done",
                    work(task, lambda content: connection.send(("said", content))),
                )
            except UserError as error:
                # Only exceptions that are made of one text survive being pickled for certain.
                kind = DataError if isinstance(error, DataError) else UserError
                answer = ("refused", kind(str(error)))
            except Exception as error:
                answer = ("failed", traceback.format_exc())
                if is_out_of_memory(error):
                    answer = ("refused", DataError("there was not enough memory to work on it"))
            connection.send(answer)
