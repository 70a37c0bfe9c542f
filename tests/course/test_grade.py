# SPDX-License-Identifier: Apache-2.0
"""Grading: what is done counts, whatever else a submission does, and the others do not suffer."""

from __future__ import annotations

import csv
import html
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppzoo.cli import main
from ppzoo.course import cage, landlock, seccomp
from ppzoo.course import grade as module
from ppzoo.course import judge as judge_module
from ppzoo.course.cage import missing_isolation
from ppzoo.course.grade import Grade, find_days, grade
from ppzoo.course.judge import Task, judge
from ppzoo.course.kernel import Limits
from ppzoo.errors import ConfigError, DataError, UserError
from tests.course.notebooks import HOMEWORK, cell_of, hand_in, solved, students

SOURCE = HOMEWORK / "source"
ALL = 8.0  # points of day 1
# Of tests that start no kernel, and so need nothing of the system.
WEAK = Limits(weak=True)

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


def half_a_letter(notebook: Any) -> None:
    """Put half an emoji into text and code, as editors leave it that cut by UTF-16."""
    cell_of(notebook, "day1-answer-1")["source"] += "  # \ud83d"
    notebook["cells"].append(
        {"cell_type": "markdown", "id": "half", "metadata": {}, "source": "\ud83d"}
    )


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
for kill in (os.kill, os.killpg):
    try:
        kill(OTHER, signal.SIGKILL)
    except OSError:
        pass
for _ in range(20):
    try:
        if os.fork() == 0:
            os._exit(0)
    except OSError:
        break
"""
VANDAL = """
import os, shutil
for place in ("SUBMISSIONS", "OUTPUT"):
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
# By C's library, which Python's hook knows nothing of.
DEEP = """
import ctypes, time
libc = ctypes.CDLL(None)
for _ in range(3000):
    libc.mkdir(b"d", 0o700)
    libc.chdir(b"d")
time.sleep(2)
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
    "remembers": (in_first_answer("x = [bytes(2**28) for _ in range(20)]"), ALL - 1, "graded"),
    "edits": (edit_tests, 0, "graded"),
    "removes": (remove_tests, ALL, "graded"),
    "repeats": (repeat_a_test, 0, "graded"),
    "reads": (cheating(THIEF), 0, "graded"),
    "forges": (cheating(FORGER), 0, "graded"),
    "kills": (in_first_answer(KILLER), ALL, "graded"),
    "vandalises": (in_first_answer(VANDAL), ALL, "graded"),
    "deep": (in_first_answer(DEEP), 0, "wrote too much"),
    "half_a_letter": (half_a_letter, ALL, "graded"),
}


Graded = tuple[dict[str, Grade], Path, Path]


@pytest.mark.slow
def test_a_class_of_students(tmp_path_factory: pytest.TempPathFactory) -> None:
    # One test, since processes of tests would each grade them all.
    graded = grade_them(tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out"))
    check_points(graded)
    check_what_cannot_be_graded(graded)
    check_table(graded)
    check_totals(graded)
    check_feedback(graded)
    check_that_submissions_are_untouched(graded)


def grade_them(folder: Path, output: Path) -> Graded:
    # Another process of the teacher's, which bears what a student's code does to others.
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        rows = rows_of(folder, output, other.pid)
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()
    return {row.student: row for row in rows}, folder, output


def rows_of(folder: Path, output: Path, other: int) -> list[Grade]:
    for student, (change, _, _) in SUBMISSIONS.items():
        notebook = solved("day1")
        change(notebook)
        for cell in notebook.cells:
            for name, value in (("SUBMISSIONS", folder), ("OUTPUT", output), ("OTHER", other)):
                cell["source"] = cell["source"].replace(name, str(value))
        hand_in(folder, student, "day1", notebook)
    hand_in(folder, "hollow", "day1", {}).write_text('{"cells": 3}')
    (folder / "nothing").mkdir()
    (folder / "copies/day1").mkdir(parents=True)
    (folder / "copies/day1/day1.ipynb").symlink_to(folder / "good/day1/day1.ipynb")
    # All of these are kept in bounds by Python's hook as well, where the system has no better.
    limits = Limits(45, 3, 3 * 2**30, weak=bool(missing_isolation()))
    return grade(SOURCE / "day1", folder, output, limits=limits, jobs=2)


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
    table = table_of(output)
    assert [row["student"] for row in table] == sorted(rows)
    assert len(table) == len(SUBMISSIONS) + 3
    (good,) = (row for row in table if row["student"] == "good")
    assert (good["day"], good["points"], good["max"], good["status"]) == (
        "day1",
        "8",
        "8",
        "graded",
    )


def check_totals(graded: Graded) -> None:
    rows, _, output = graded
    with open(output / "totals.csv", encoding="utf-8-sig", newline="") as file:
        table = {row["student"]: row for row in csv.DictReader(file)}
    assert table.keys() == rows.keys()
    assert table["one_wrong"] == {"student": "one_wrong", "day1": "7", "points": "7", "max": "8"}


def check_feedback(graded: Graded) -> None:
    pages = {
        student: (graded[2] / f"feedback/{student}/day1.html").read_text("utf-8")
        for student in SUBMISSIONS
    }
    assert "7 / 8" in pages["one_wrong"]
    assert "Sorting has one exact result" in pages["one_wrong"]
    assert "排序有唯一的精确结果" in pages["one_wrong"]
    assert "运行超时" in pages["hangs"]
    assert "Question 1 · 第 1 题" in pages["edits"]
    assert "尚未作答" in pages["untouched"]
    rows = graded[0]
    assert rows["crashes_late"].note.startswith("in the cell of `import os; os._exit(0)`, under")
    assert "In the cell of `import os; os._exit(0)`" in pages["crashes_late"]
    assert "Question 5" in rows["crashes_late"].note
    assert "`while True:`" in rows["hangs"].note
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
        grade(SOURCE, tmp_path / "none", tmp_path / "out", limits=WEAK)
    with pytest.raises(DataError, match="has no folders"):
        grade(SOURCE, tmp_path, tmp_path / "out", limits=WEAK)
    hand_in(tmp_path, "one", "day1", students("day1"))
    with pytest.raises(ConfigError, match="outside"):
        grade(SOURCE, tmp_path, tmp_path / "out", limits=WEAK)
    for option, value in (
        ("--time-limit", "0"),
        ("--time-limit", "inf"),
        ("--cell-time-limit", "nan"),
        ("--memory-limit", "1e300"),
        ("--memory-limit", "inf"),
        ("--memory-limit", "nan"),
        ("--jobs", "0"),
    ):
        command = ["grade", str(SOURCE), str(tmp_path), "-o", "x", "--weak-isolation"]
        assert main([*command, option, value]) == 2
        assert f"{option} must lie between 1 and" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["day1/day1.ipynb", "day1.ipynb", "Day 3/a.ipynb"])
def test_one_students_folder_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "class/wang" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    (tmp_path / "class/wang/other").mkdir(exist_ok=True)
    with pytest.raises(DataError, match="one student's folder: name the folder of") as caught:
        grade(SOURCE / "day1", tmp_path / "class/wang", tmp_path / "out", limits=WEAK)
    assert str(caught.value).endswith(str(tmp_path / "class"))
    assert not (tmp_path / "out").exists()


def test_files_beside_the_students_folders_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in/wang").mkdir(parents=True)
    command = ["grade", str(SOURCE / "day1"), str(tmp_path / "in"), "--weak-isolation"]
    command += ["-o", str(tmp_path / "out")]
    (tmp_path / "in/.DS_Store").write_bytes(b"")
    assert main(command) == 0
    assert "warning" not in capsys.readouterr().err
    for name in ("李明.zip", "lin.ipynb"):
        (tmp_path / "in" / name).write_bytes(b"")
    assert main(command) == 0
    assert "are not graded: lin.ipynb, 李明.zip\n" in capsys.readouterr().err
    for number in range(9):
        (tmp_path / f"in/{number}.zip").write_bytes(b"")
    assert module._left_out(tmp_path / "in") == "0.zip, 1.zip, 2.zip, 3.zip, 4.zip and 6 more"


def test_students_have_totals(tmp_path: Path) -> None:
    rows = [
        Grade("a", "day1", 8, 8, "graded"),
        Grade("a", "day2", 2.5, 14, "graded"),
        Grade("=b", "day1", 0, 8, "missing"),
    ]
    module._write_totals(tmp_path / "t.csv", rows)
    assert (tmp_path / "t.csv").read_text("utf-8-sig").splitlines() == [
        "student,day1,day2,points,max",
        "a,8,2.5,10.5,22",
        "'=b,0,,0,8",
    ]


def test_names_are_no_formulas(tmp_path: Path) -> None:
    for sign in ("=", "\uff1d"):
        row = Grade(f"{sign}1+1", "day1", 0, 8, "missing", "a\nb")
        module._write_table(tmp_path / "t.csv", [row])
        text = (tmp_path / "t.csv").read_text("utf-8-sig")
        assert f"'{sign}1+1,day1,0,8,missing,a b" in text


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
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=WEAK)
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
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=WEAK)
    assert (row.points, row.status) == (0, "unreadable")
    assert word in row.note
    page = (tmp_path / "out/feedback/甲 <b>\n/day1.html").read_text("utf-8")
    assert word in html.unescape(page)
    for text in (page, row.note):
        assert str(tmp_path) not in text
        assert "Expecting value" not in text
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
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=WEAK)
    assert (row.status, row.note) == ("crashed", "killed")
    assert seen[0].parent == tmp_path / "tmp"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_folders_that_are_too_deep_go_as_well() -> None:
    with module._folder() as folder:
        # Deeper than Python's stack, and longer than a path.
        work = f"import os\nos.chdir({str(folder)!r})\n"
        deep = "for _ in range(3000):\n    os.mkdir('name')\n    os.chdir('name')"
        subprocess.run([sys.executable, "-c", work + deep], check=True)
    assert not folder.exists()


def table_of(output: Path) -> list[dict[str, str]]:
    with open(output / "grades.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_one_that_cannot_be_graded_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for student in ("one", "two"):
        hand_in(tmp_path / "in", student, "day1", students("day1"))

    def judged(task: Task, *_: object) -> tuple[bytes, bytes, str]:
        if "one" in task.title:
            raise RecursionError("too \x1b[31mdeep")
        return b'3\n{"a": 1}\n{"kind": "points", "points": 2}\n{"kind": "end"', b"", "timed out"

    monkeypatch.setattr(module, "_judged", judged)
    seen = []
    rows = grade(
        SOURCE / "day1",
        tmp_path / "in",
        tmp_path / "out",
        limits=WEAK,
        hear=lambda row: seen.append((row.student, len(table_of(tmp_path / "out")))),
    )
    assert [(row.student, row.points, row.status) for row in rows] == [
        ("one", 0, "crashed"),
        ("two", 2, "timed out"),
    ]
    assert rows[0].note == "RecursionError: too \ufffd[31mdeep"
    assert sorted(count for _, count in seen) == [1, 2]


def test_what_is_known_stays_where_grading_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for student in ("one", "two"):
        (tmp_path / "in" / student).mkdir(parents=True)

    def interrupted(row: Grade) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=WEAK, hear=interrupted)
    assert [row["status"] for row in table_of(tmp_path / "out")] == ["missing"]


def test_names_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    for name in ("a b", "a\nb", "a b "):
        (tmp_path / "in" / name).mkdir(parents=True)
    rows = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=WEAK)
    assert [row.student for row in rows] == ["a b", "a b (2)", "a b (3)"]
    with open(tmp_path / "out/totals.csv", encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_links_to_folders_get_a_row(tmp_path: Path) -> None:
    (tmp_path / "in/one").mkdir(parents=True)
    (tmp_path / "in/two").symlink_to(tmp_path / "in/one")
    (tmp_path / "in/three").symlink_to(tmp_path / "nowhere")
    rows = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=WEAK)
    statuses = {row.student: row.status for row in rows}
    assert statuses == {"one": "missing", "two": "unreadable", "three": "unreadable"}
    assert all("is a link" in row.note for row in rows if row.status == "unreadable")


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("Day1/Day1.ipynb", True),
        ("repo/day1/day1.ipynb", True),
        ("day1/mine/day1.ipynb", True),
        ("Day 01.ipynb", True),
        ("DAY-1/answers.ipynb", True),
        ("repo/\x1b[2J/day1.ipynb", True),
        ("day10.ipynb", False),
        ("repo/.ipynb_checkpoints/day1.ipynb", False),
        ("a/b/c/d/day1.ipynb", False),
        ("repo/day1.md", False),
    ],
)
def test_a_notebook_in_a_wrong_place_is_named(place: str, found: bool, tmp_path: Path) -> None:
    path = tmp_path / "in/one" / place
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=WEAK)
    assert (row.points, row.status) == (0, "missing")
    shown = place.replace("\x1b", "\ufffd")
    note = f", but {shown}: move it there" if found else ""
    assert row.note == f"there is no day1/day1.ipynb{note}"
    page = (tmp_path / "out/feedback/one/day1.html").read_text("utf-8")
    assert row.note in page
    assert (f"但找到了 {shown}，" in page) is found
    assert "\x1b" not in page


def test_notebooks_in_wrong_places_are_looked_for_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one/a").mkdir(parents=True)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/day1.ipynb").write_text("{}")
    (tmp_path / "one/link").symlink_to(tmp_path / "theirs")
    (tmp_path / "one/Day1.ipynb").symlink_to(tmp_path / "theirs/day1.ipynb")
    assert module._misplaced(tmp_path / "one", "day1") == ""
    for name in ("one/a/day1.ipynb", "one/a/day_1.ipynb"):
        (tmp_path / name).write_text("{}")
    assert module._misplaced(tmp_path / "one", "day1") == "a/day1.ipynb"
    monkeypatch.setattr(module, "_MOST_LOOKED_AT", 3)
    assert module._misplaced(tmp_path / "one", "day1") == ""


def test_folders_of_notebooks_names_are_no_notebooks(tmp_path: Path) -> None:
    path = hand_in(tmp_path / "in", "one", "day1", students("day1"))
    (path.parent / "old.ipynb").mkdir()
    (path.parent / "old.ipynb/notes.txt").write_text("a")
    task = Task(str(SOURCE / "day1/day1.ipynb"), str(path), "", "", "", "", (), WEAK)
    judge_module._fill(tmp_path / "work", task)
    assert (tmp_path / "work/old.ipynb/notes.txt").read_text() == "a"
    assert not (tmp_path / "work/day1.ipynb").exists()


def test_folders_handed_in_too_deep_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in" / "/".join("d" * 30)).mkdir(parents=True)
    with pytest.raises(DataError, match="20 deep"):
        judge_module._copy(tmp_path / "in", tmp_path / "out")


def test_limits_that_a_system_lacks_are_passed_over_but_on_linux(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource  # Windows has none

    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(sys, "platform", "darwin")
    cage.limit(resource.RLIMIT_CORE, 0)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ValueError, match="exceeds"):
        cage.limit(resource.RLIMIT_CORE, 0)


def test_a_scheduler_may_end_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, module._asked_to_end():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("half \ud83d", "half \ufffd"),
        ("\x1b[2Ja\u202eb", "\ufffd[2Ja\ufffdb"),
        (" 王　小明\r\n ", "王 小明"),
    ],
)
def test_texts_are_one_line_that_can_be_written(text: str, line: str) -> None:
    assert module._readable(text) == line


def test_folders_of_any_bytes_are_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # macOS takes names of UTF-8 only.
    unknown = [b"caf\xe9", "王小明".encode("gbk")] if sys.platform != "darwin" else []
    for name in (*unknown, b"\x1b[2J"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)) / "day1"
        folder.mkdir(parents=True)
        (folder / "day1.ipynb").write_text("{")
    monkeypatch.setattr(module, "_judged", judged_here)
    command = ["grade", str(SOURCE / "day1"), str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main([*command, "--weak-isolation"]) == 0
    table = table_of(tmp_path / "out")
    assert [row["status"] for row in table] == ["unreadable"] * (1 + len(unknown))
    students_there = {row["student"] for row in table}
    assert "\ufffd[2J" in students_there
    assert ({"caf\\xe9", "\\xcd\\xf5С\\xc3\\xf7"} < students_there) == bool(unknown)
    assert "\x1b" not in capsys.readouterr().err + (tmp_path / "out/grades.csv").read_text("utf-8")
    assert len(list((tmp_path / "out/feedback").glob("*/day1.html"))) == len(table)


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


def test_deleted_answers_are_named_and_cost_their_own_points_only(tmp_path: Path) -> None:
    notebook = solved("day1")
    notebook["cells"].remove(cell_of(notebook, "day1-answer-3"))
    hand_in(tmp_path / "in", "one", "day1", notebook)
    limits = Limits(weak=bool(missing_isolation()))
    (row,) = grade(SOURCE / "day1", tmp_path / "in", tmp_path / "out", limits=limits)
    assert (row.points, row.status, row.note) == (ALL - 1, "graded", "deleted: day1-answer-3")
    page = (tmp_path / "out/feedback/one/day1.html").read_text("utf-8")
    assert "The cell for your answer is gone" in page
    assert "not yours to change" not in page
