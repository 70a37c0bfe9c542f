# SPDX-License-Identifier: Apache-2.0
"""Grading: what is done counts, whatever else a submission does, and the others do not suffer."""

from __future__ import annotations

import csv
import html
import json
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppzoo.cli import main
from ppzoo.course import cage, landlock, seccomp
from ppzoo.course import grade as module
from ppzoo.course.grade import Grade, find_days, grade
from ppzoo.course.judge import Task, judge
from ppzoo.course.kernel import Limits
from ppzoo.errors import ConfigError, DataError, UserError
from tests.course.notebooks import HOMEWORK, cell_of, hand_in, solved, students

SOURCE = HOMEWORK / "source"
ALL = 8.0  # points of day 1

Change = Callable[[Any], None]


def in_first_answer(code: str) -> Change:
    """Return what puts code before the first answer, the cell of which is a student's own."""

    def change(notebook: Any) -> None:
        cell = cell_of(notebook, "day1-answer-1")
        cell["source"] = f"{code}\n{cell['source']}"

    return change


def edit_tests(notebook: Any) -> None:
    for cell in notebook.cells:
        mark = cell["metadata"].get("nbgrader", {})
        if mark.get("solution"):
            cell["source"] = 'answer = "none"'
        if mark.get("grade"):
            cell["source"] = "pass"
            mark["points"] = 100


def remove_tests(notebook: Any) -> None:
    notebook["cells"] = [
        cell for cell in notebook.cells if not cell["metadata"].get("nbgrader", {}).get("grade")
    ]


def repeat_a_test(notebook: Any) -> None:
    blank(notebook)
    notebook["cells"] += [cell_of(notebook, "day1-question-1")] * 20


def blank(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = ""


def cheating(code: str) -> Change:
    """Return what answers nothing and tries to be taken for right by other means."""

    def change(notebook: Any) -> None:
        blank(notebook)
        cell_of(notebook, "day1-answer-1")["source"] = code

    return change


# Reads what it can of the teacher's folder and of other students', and answers by it.
THIEF = f"""
import ctypes, glob, io, os, re, subprocess
text = ""
for place in {[str(SOURCE / "day1/day1.ipynb"), "SUBMISSIONS/good/day1/day1.ipynb"]!r}:
    for read in (
        lambda: open(place).read(),
        lambda: io.open_code(place).read().decode(),
        lambda: os.read(os.open(place, os.O_RDONLY), 10**6).decode(),
        lambda: subprocess.run(["cat", place], capture_output=True, text=True).stdout,
        lambda: os.popen("cat " + place).read(),
    ):
        try:
            text += read()
        except Exception as error:
            print(type(error).__name__)
for number, answer in re.findall(r'answer_(\\d) = .{{1,3}}([A-E]+)', text):
    globals()["answer_" + number] = answer
"""
# Makes every assertion pass that is made in its own process, and reads what it is asked there.
FORGER = """
import ast, builtins, inspect, sys
import ppzoo.course.checks, ppzoo.course.quiz
shell = get_ipython()
class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
shell.ast_transformers.append(NoAsserts())
shell.showtraceback = lambda *args, **kwargs: None
builtins.AssertionError = type("Nothing", (Exception,), {})
ppzoo.course.checks.expect = lambda *args: None
ppzoo.course.quiz.judge = lambda *args, **kwargs: None
ppzoo.course.quiz._hashed = lambda *args: "same"
class Right(str):
    def __eq__(self, other):
        return True
    __hash__ = str.__hash__
for number in range(1, 9):
    globals()[f"answer_{number}"] = Right("")
"""
KILLER = """
import os, signal
for target in (os.getppid(), -1, 0):
    for kill in (os.kill, os.killpg):
        try:
            kill(target, signal.SIGKILL)
        except (OSError, PermissionError):
            pass
while True:
    try:
        os.fork()
    except OSError:
        break
"""
VANDAL = """
import os, shutil
for place in ("SUBMISSIONS", "OUTPUT", "/tmp"):
    for destroy in (
        lambda: shutil.rmtree(place, ignore_errors=True),
        lambda: os.rename(place, place + ".gone"),
        lambda: open(place + "/good/day1/day1.ipynb", "w").close(),
        lambda: os.remove(place + "/good/day1/day1.ipynb"),
    ):
        try:
            destroy()
        except OSError as error:
            print(error)
"""
STUBBORN = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    pass
"""

SUBMISSIONS: dict[str, tuple[Change, float, str]] = {
    "good": (lambda _: None, ALL, "graded"),
    "untouched": (blank, 0, "graded"),
    "one_wrong": (
        lambda notebook: cell_of(notebook, "day1-answer-2").update(source='answer_2 = "D"'),
        ALL - 1,
        "graded",
    ),
    "hangs": (in_first_answer("while True:\n    pass"), ALL - 1, "timed out"),
    "hangs_for_good": (in_first_answer(STUBBORN), 0, "timed out"),
    "crashes": (in_first_answer("import os\nos._exit(0)"), 0, "crashed"),
    "crashes_late": (
        lambda notebook: cell_of(notebook, "day1-answer-5").update(source="import os; os._exit(0)"),
        4,
        "crashed",
    ),
    "exits": (in_first_answer("raise SystemExit"), ALL - 1, "graded"),
    "prints": (in_first_answer("while True:\n    print('x' * 2**20)"), ALL - 1, None),
    "remembers": (in_first_answer("x = [0]\nwhile True:\n    x += x"), ALL - 1, None),
    "edits": (edit_tests, 0, "graded"),
    "removes": (remove_tests, ALL, "graded"),
    "repeats": (repeat_a_test, 0, "graded"),
    "reads": (cheating(THIEF), 0, "graded"),
    "forges": (cheating(FORGER), 0, "graded"),
    "kills": (in_first_answer(KILLER), ALL, "graded"),
    "vandalises": (in_first_answer(VANDAL), ALL, "graded"),
}


Graded = tuple[dict[str, Grade], Path, Path]


@pytest.mark.slow
def test_a_class_of_students(tmp_path_factory: pytest.TempPathFactory) -> None:
    # One test, since processes of tests would each grade them all.
    graded = grade_them(tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out"))
    check_points(graded)
    check_what_cannot_be_graded(graded)
    check_table(graded)
    check_feedback(graded)
    check_that_submissions_are_untouched(graded)


def grade_them(folder: Path, output: Path) -> Graded:
    for student, (change, _, _) in SUBMISSIONS.items():
        notebook = solved("day1")
        change(notebook)
        for cell in notebook.cells:
            cell["source"] = (
                cell["source"].replace("SUBMISSIONS", str(folder)).replace("OUTPUT", str(output))
            )
        hand_in(folder, student, "day1", notebook)
    hand_in(folder, "hollow", "day1", {}).write_text('{"cells": 3}')
    (folder / "nothing").mkdir()
    (folder / "copies/day1").mkdir(parents=True)
    (folder / "copies/day1/day1.ipynb").symlink_to(folder / "good/day1/day1.ipynb")
    limits = Limits(seconds=45, cell_seconds=3, memory=3 * 2**30)
    rows = grade(SOURCE / "day1", folder, output, limits=limits, jobs=2)
    return {row.student: row for row in rows}, folder, output


def check_points(graded: Graded) -> None:
    rows = graded[0]
    wanted = {student: points for student, (_, points, _) in SUBMISSIONS.items()}
    assert {student: rows[student].points for student in wanted} == wanted, rows
    assert {rows[student].max for student in wanted} == {ALL}
    wrong = [
        rows[student]
        for student, (_, _, status) in SUBMISSIONS.items()
        if status not in (None, rows[student].status)
    ]
    assert not wrong


def check_what_cannot_be_graded(graded: Graded) -> None:
    rows, _, output = graded
    assert (rows["hollow"].points, rows["hollow"].status) == (0, "unreadable")
    assert rows["nothing"].status == "missing"
    assert "day1/day1.ipynb" in (output / "feedback/nothing/day1.html").read_text("utf-8")
    assert rows["copies"].status == "unreadable"
    assert "link" in rows["copies"].note
    assert "link" in (output / "feedback/copies/day1.html").read_text("utf-8")


def check_table(graded: Graded) -> None:
    rows, _, output = graded
    with open(output / "grades.csv", encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["student"] for row in table] == sorted(rows)
    assert len(table) == len(SUBMISSIONS) + 3
    (good,) = (row for row in table if row["student"] == "good")
    assert (good["day"], good["points"], good["max"], good["status"]) == (
        "day1",
        "8",
        "8",
        "graded",
    )


def check_feedback(graded: Graded) -> None:
    pages = {
        student: (graded[2] / f"feedback/{student}/day1.html").read_text("utf-8")
        for student in SUBMISSIONS
    }
    assert "7 / 8" in pages["one_wrong"]
    assert "Sorting has one exact result" in pages["one_wrong"]
    assert "排序有唯一的精确结果" in pages["one_wrong"]
    assert "运行超时" in pages["hangs"]
    assert "day1-question-1" in pages["edits"]
    assert len(pages["prints"]) < 2**20
    for student in ("good", "untouched", "reads"):
        assert "from ppzoo.course.quiz import judge" not in pages[student]
        assert "HIDDEN" not in pages[student]


def check_that_submissions_are_untouched(graded: Graded) -> None:
    path = graded[1] / "good/day1/day1.ipynb"
    assert json.loads(path.read_text("utf-8")) == json.loads(json.dumps(solved("day1")))


def test_days_are_found() -> None:
    assert [day.name for day in find_days(HOMEWORK)] == [f"day{n}" for n in range(1, 7)]
    assert [day.name for day in find_days(SOURCE)] == [f"day{n}" for n in range(1, 7)]
    (day,) = find_days(SOURCE / "day2")
    assert (day.name, day.most) == ("day2", 14)


def test_student_versions_do_not_grade() -> None:
    with pytest.raises(DataError, match="student version"):
        find_days(HOMEWORK / "release")


def test_mistakes_of_the_caller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="no homework"):
        find_days(tmp_path)
    with pytest.raises(DataError, match="no folder of submissions"):
        grade(SOURCE, tmp_path / "none", tmp_path / "out")
    with pytest.raises(DataError, match="has no folders"):
        grade(SOURCE, tmp_path, tmp_path / "out")
    hand_in(tmp_path, "one", "day1", students("day1"))
    with pytest.raises(ConfigError, match="outside"):
        grade(SOURCE, tmp_path, tmp_path / "out")
    assert main(["grade", str(SOURCE), str(tmp_path), "-o", "x", "--time-limit", "0"]) == 2
    assert "--time-limit" in capsys.readouterr().err


def test_names_are_no_formulas(tmp_path: Path) -> None:
    module._write_table(tmp_path / "t.csv", [Grade("=1+1", "day1", 0, 8, "missing", "a\nb")])
    assert "'=1+1,day1,0,8,missing,a b" in (tmp_path / "t.csv").read_text("utf-8-sig")


def test_a_system_that_cannot_isolate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(tmp_path / "in", "one", "day1", students("day1"))
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(seccomp, "available", lambda: False)
    with pytest.raises(UserError, match=r"no Landlock .* and no seccomp .*--weak-isolation"):
        grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(landlock, "confine", lambda allowed: 0)
    monkeypatch.setattr(module, "_judged", lambda *_: (b"", b"", "timed out"))
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=Limits(weak=True))
    assert row.status == "timed out"


def test_the_hook_alone_forbids_what_python_does(tmp_path: Path) -> None:
    box, secret = tmp_path / "box", tmp_path / "secret"
    box.mkdir()
    hook = cage._guard(str(box), (f"{tmp_path}/secret/",))
    hook("open", (str(box / "a"), "w", os.O_WRONLY))
    hook("open", ("/usr/lib/os-release", "r", os.O_RDONLY))
    for event, args in (
        ("open", (str(secret / "a"), "r", os.O_RDONLY)),
        ("open", (str(tmp_path / "b"), "w", os.O_WRONLY)),
        ("os.rename", (str(box / "a"), str(tmp_path / "b"))),
        ("os.fork", ()),
        ("socket.connect", (None, ("127.0.0.1", 9))),
    ):
        with pytest.raises(PermissionError):
            hook(event, args)


def test_homework_that_submissions_could_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="every submission may read"):
        cage.check_unreadable(["/usr/share/course/"], [])
    with pytest.raises(UserError, match="every submission may read"):
        cage.check_unreadable([f"{tmp_path}/course/"], [str(tmp_path)])
    cage.check_unreadable([f"{tmp_path}/course/"], [])


def fifo(path: Path) -> None:
    os.mkfifo(path)


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(500 * 2**20)


def notebook_of(count: int) -> str:
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "1"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell] * count})


# What to make of the path of a notebook, and a word of the sentence that is said of it.
UNREADABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_text(""), "no notebook"),
    "bytes": (lambda path: path.write_bytes(b"\x80" * 9), "no notebook"),
    "deep": (lambda path: path.write_text("[" * 10**6), "no notebook"),
    "large": (large, "larger than 64 MB"),
    "many": (lambda path: path.write_text(notebook_of(2001)), "more than 2000 cells"),
    "other": (lambda path: path.write_text(notebook_of(1)), "none of this homework's cells"),
    "folder": (lambda path: path.mkdir(), "is no file"),
    "pipe": (fifo, "is no file"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_homework_gets_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, word = UNREADABLE[name]
    folder = tmp_path / "in" / "甲 <b>\n" / "day1"
    folder.mkdir(parents=True)
    make(folder / "day1.ipynb")
    # In this process, since to start another one takes seconds; nothing of a kernel is needed.
    monkeypatch.setattr(module, "_judged", judged_here)
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=Limits(weak=True))
    assert (row.points, row.status) == (0, "unreadable")
    assert word in row.note
    page = (tmp_path / "out/feedback/甲 <b>\n/day1.html").read_text("utf-8")
    assert word in html.unescape(page)
    assert "<b>\n" not in page


def judged_here(task: Task, *_: object) -> tuple[bytes, bytes, str]:
    with pytest.raises(DataError) as caught:
        list(judge(task))
    return (
        json.dumps({"kind": "end", "status": "unreadable", "why": str(caught.value)}).encode(),
        b"",
        "",
    )


def test_temporary_folders_go_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    hand_in(tmp_path / "in", "one", "day1", students("day1"))
    seen = []

    def killed(task: Task, folder: Path, _: object) -> tuple[bytes, bytes, str]:
        seen.append(folder)
        (Path(task.box) / "work/deep").mkdir(parents=True)
        (Path(task.box) / "work/deep/file").write_text("a")
        (Path(task.box) / "work/deep").chmod(0)
        return b"", b"killed", ""

    monkeypatch.setattr(module, "_judged", killed)
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=Limits(weak=True))
    assert (row.status, row.note) == ("crashed", "killed")
    assert seen[0].parent == tmp_path / "tmp"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_scheduler_may_end_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, module._asked_to_end():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_names_of_any_bytes_are_written() -> None:
    assert module._readable(os.fsdecode(b"caf\xe9")) == "caf\ufffd"


def in_a_child(work: Callable[[], bool]) -> int:
    """Return the exit code of a child that did something irreversible: 0 if it said so."""
    child = os.fork()
    if not child:
        code = 3
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_landlock_gives_up_files_or_says_that_it_did_not(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open/file").write_text("open")
    (tmp_path / "secret").write_text("secret")

    def work() -> bool:
        confined = landlock.confine({tmp_path / "open": landlock.EVERYTHING})
        assert confined == landlock.version()
        assert (tmp_path / "open/file").read_text() == "open"
        (tmp_path / "open/new").write_text("new")
        try:
            (tmp_path / "secret").read_text()
        except PermissionError:
            return confined > 0
        return confined == 0

    assert in_a_child(work) == 0
    assert (tmp_path / "open/new").read_text() == "new"


def test_seccomp_gives_up_processes_or_says_that_it_did_not() -> None:
    def work() -> bool:
        confined = seccomp.confine()
        assert confined == seccomp.available()
        try:
            if os.fork() == 0:
                os._exit(0)
        except PermissionError:
            return confined
        return not confined

    assert in_a_child(work) == 0
