# SPDX-License-Identifier: Apache-2.0
"""Grade one notebook: `ppzoo grade` starts this as a process of its own for each.

It writes a line of JSON for each cell of tests as soon as it is judged, so that what was earned
stays where something ends it, and at last the feedback.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppzoo.atomic import atomic_write
from ppzoo.course.cage import end_with_parent, limit
from ppzoo.course.checks import NotComputed, Wrong, asking, hint_of, in_both
from ppzoo.course.feedback import Judged, Stopped, as_html, without_notebook
from ppzoo.course.kernel import Kernel, KernelGoneError, Limits, Ran
from ppzoo.course.notebooks import (
    GradedCell,
    assemble,
    graded_cells,
    is_solution,
    is_tests,
    is_untouched,
    locked_and_deleted,
    mark_of,
    place_of,
    read_notebook,
)
from ppzoo.errors import DataError

# Of a student's folder, beside the notebook: own photographs, films, weights.
_MOST_FILES, _MOST_BYTES, _MOST_DEPTH = 500, 512 * 2**20, 20
_PR_SET_CHILD_SUBREAPER = 36
_MOST_SHOWING = 120.0  # seconds of a processor that the feedback may take
_LONGEST_MESSAGE = 8000  # characters: answers of any length stand in them
_BLANK = "Not filled in yet.\n尚未作答。"
_NEEDS_PADDLE = re.compile(r"\bpaddle\b|\bppzoo\.(?!course\b)|\bppgan\b")


@dataclasses.dataclass(frozen=True)
class Task:
    """What to grade.

    Args:
        source: the teacher's notebook.
        submission: the student's.
        release: the folder of the student version, whose other files the notebook needs.
        feedback: the HTML file to write.
        title: for the feedback's head.
        box: an empty folder for this alone, with a short path, which the caller removes.
        denied: folders that the student's code must not read.
        limits: what it may use.
    """

    source: str
    submission: str
    release: str
    feedback: str
    title: str
    box: str
    denied: tuple[str, ...]
    limits: Limits

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return what `json.dumps(dataclasses.asdict(task))` was made from."""
        fields = json.loads(text)
        return cls(
            **fields | {"limits": Limits(**fields["limits"]), "denied": tuple(fields["denied"])}
        )


def main(text: str) -> None:
    """Grade what a `Task` in JSON says, and write lines of JSON."""
    import resource  # Windows has none, and `Task` is for all

    task = Task.from_json(text)
    end_with_parent()
    # Replies of a hostile kernel take memory here, too.
    limit(resource.RLIMIT_AS, task.limits.memory)
    _adopt_orphans()
    out = sys.stdout

    def say(kind: str, **value: Any) -> None:
        out.write(json.dumps({"kind": kind, **value}) + "\n")
        out.flush()

    try:
        # What hidden tests print is no line of this.
        with contextlib.redirect_stdout(sys.stderr):
            for kind, value in judge(task):
                say(kind, **value)
    except DataError as error:
        say("end", status="unreadable", why=str(error))
    except Exception as error:  # whatever a submission has led to, the table has a row for it
        say("end", status="crashed", why=f"{type(error).__name__}: {error}"[:300])
    finally:
        _end_children()


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent has ended, so that none stays behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_children() -> None:
    import psutil

    # Again, since one that is being ended may be starting another.
    for _ in range(10):
        children = psutil.Process().children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        if not psutil.wait_procs(children, timeout=1)[1]:
            return


def judge(task: Task) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("points", ...) for each cell of tests, and ("end", ...).

    Raises:
        DataError: a notebook that cannot be read.
    """
    source = read_notebook(Path(task.source))
    tests = graded_cells(source)
    notebook, changed = assemble(source, read_notebook(Path(task.submission), outputs=False))
    judged: dict[str, Judged] = {}
    stopped: list[Stopped] = []
    why = ""
    index, last, answer = -1, -1, None
    _fill(Path(task.box) / "work", task)
    try:
        preload = ("paddle",) if _needs_paddle(source, notebook) else ()
        with Kernel(Path(task.box), task.limits, task.denied, preload) as kernel:
            for index, cell in enumerate(notebook.cells):
                if cell["cell_type"] != "code":
                    continue
                answer = cell if is_solution(cell) else answer
                ran = kernel.run(cell["source"])
                last = index
                cell["outputs"] = ran.outputs
                if ran.status not in ("ok", "error"):
                    stopped.append(Stopped(ran.status, *place_of(notebook, index)))
                if is_tests(cell):
                    one = tests[mark_of(cell)["grade_id"]]
                    verdict = _judged(one, ran, kernel)
                    if verdict.message and answer is not None and _is_blank(source, answer):
                        verdict = dataclasses.replace(verdict, message=_BLANK)
                    judged[one.name] = verdict
                    yield "points", {"name": one.name, "points": verdict.points}
    except KernelGoneError as error:
        # Not the cell whose turn it was: a cell before it has used up the time, or ended it all.
        index = index if error.began else last
        place = ("", "") if index < 0 else place_of(notebook, index)
        stopped.append(Stopped(str(error), *place))
        why = error.why
    for name, one in tests.items():
        if name not in judged:
            judged[name] = Judged(0.0, one.points, "", reached=False)
    page = _page(notebook, judged, task.title, changed, stopped)
    with atomic_write(task.feedback) as file:
        file.write(page.encode("utf-8", "replace"))
    status = stopped[0].status if stopped else "graded"
    if stopped and stopped[0].english:
        why = why or f"in {stopped[0].english}"
    locked, deleted = locked_and_deleted(notebook, changed)
    yield "end", {"status": status, "changed": locked, "deleted": deleted, "why": why}


class _TooSlow(BaseException):
    """Showing a notebook takes too long."""


def _page(notebook: Any, *said: Any) -> str:
    """Return the feedback, without the notebook where showing it fails or takes too long."""
    try:
        with _within(_MOST_SHOWING):
            return as_html(notebook, *said)
    except (Exception, _TooSlow):  # markdown can be made to break whatever reads it
        return without_notebook(notebook, *said)


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Interrupt what takes more of a processor's time; in a process's main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _is_blank(source: Any, answer: Any) -> bool:
    name = mark_of(answer)["grade_id"]
    original = next(cell for cell in source.cells if mark_of(cell).get("grade_id") == name)
    return is_untouched(original, answer["source"])


def _judged(tests: GradedCell, ran: Ran, kernel: Kernel) -> Judged:
    """Return what a cell of tests is worth: all of its points, or none."""
    message = ""
    if ran.status != "ok":
        shown = [output for output in ran.outputs if output["output_type"] == "error"]
        message = _error(shown[-1]) if shown else ran.status
    try:
        with asking(kernel):
            run_hidden(tests)
    except NotComputed as error:
        # What the visible tests have found says more.
        message = message or str(error)
    except Wrong as error:
        # What hidden tests say is meant for the student; what the kernel says may be anything.
        message = str(error) or "This is not right.\n答案不正确。"
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]} …"
    return Judged(0.0 if message or ran.status != "ok" else tests.points, tests.points, message)


def _error(output: Any) -> str:
    """Return what an error in a cell of tests says to the student."""
    name, text = str(output["ename"]), str(output["evalue"])
    if name == "AssertionError" and text:
        return text  # the visible tests' own
    what = f"{name}: {text}" if text else name
    return in_both("Your code failed in a test", "你的代码在测试中出错", what) + hint_of(text)


def run_hidden(tests: GradedCell) -> None:
    """Run hidden tests; questions go where `ppzoo.course.checks.asking` sends them.

    They are code in a notebook of the teacher's, and nbgrader runs them in the same way. What the
    student's process answers is data: it comes as JSON and is never run.

    Raises:
        Wrong: the answer is not right.
    """
    code = compile(tests.hidden, f"<hidden tests {tests.name}>", "exec")
    try:
        exec(code, {"__name__": "hidden_tests"})  # noqa: S102 - the teacher's own code
    except (Wrong, KernelGoneError):
        raise
    except AssertionError as error:
        raise Wrong(str(error)) from error
    except Exception as error:
        # An answer of a kind that the tests did not think of.
        why = f"{type(error).__name__}: {error}"
        raise Wrong(in_both("The answer cannot be judged", "无法评判此答案", why)) from error


def _fill(work: Path, task: Task) -> None:
    """Make a folder of the course's own files and of what the student handed in beside them."""
    work.mkdir()
    if task.release:
        _copy(Path(task.release), work)
    _copy(Path(task.submission).parent, work)
    for notebook in work.rglob("*.ipynb"):
        if notebook.is_file():
            notebook.unlink()


def _copy(folder: Path, target: Path) -> None:
    """Copy ordinary files: no links, which may lead anywhere, no pipes, which never end.

    What is there already stays.

    Raises:
        DataError: they are too many or too large, or cannot be read.
    """
    files = total = 0
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if len(Path(root).relative_to(folder).parts) > _MOST_DEPTH:
            raise DataError(f"{folder} holds folders in each other, more than {_MOST_DEPTH} deep")
        for name in names:
            path = Path(root, name)
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                continue
            files, total = files + 1, total + status.st_size
            if files > _MOST_FILES or total > _MOST_BYTES:
                raise DataError(
                    f"{folder} holds more than {_MOST_FILES} files or {_MOST_BYTES >> 20} MB"
                )
            place = target / path.relative_to(folder)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():
                    shutil.copyfile(path, place)
            except FileExistsError:
                continue
            except OSError as error:
                raise DataError(f"{path} cannot be copied: {error.strerror}") from error


def _needs_paddle(*notebooks: Any) -> bool:
    return any(
        _NEEDS_PADDLE.search(cell["source"])
        for notebook in notebooks
        for cell in notebook.cells
        if cell["cell_type"] == "code"
    )


if __name__ == "__main__":
    main(sys.argv[1])
