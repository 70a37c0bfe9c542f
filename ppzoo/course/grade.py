# SPDX-License-Identifier: Apache-2.0
"""`ppzoo grade`: grade a folder of submissions offline, each in processes of its own."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import csv
import dataclasses
import importlib.util
import io
import itertools
import json
import math
import os
import re
import signal
import site
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ppzoo.atomic import atomic_write
from ppzoo.course.cage import check_unreadable, missing_isolation
from ppzoo.course.feedback import as_page, score, warning
from ppzoo.course.judge import Task
from ppzoo.course.kernel import PATIENCE, Limits
from ppzoo.course.notebooks import graded_cells, read_notebook
from ppzoo.errors import ConfigError, DataError, MissingExtraError, UserError

_COLUMNS = ("student", "day", "points", "max", "status", "note")
_PACKAGES = (
    "bleach", "ipykernel", "jupyter_client", "matplotlib", "nbconvert", "nbformat", "psutil",
    "pygments",
)  # fmt: skip
_LONGEST, _MOST_MEMORY, _MOST_JOBS = 7 * 24 * 3600, 2**16, 1000  # seconds, GB, notebooks
# Beyond a notebook's own time: starting Paddle, judging, writing the feedback.
_SLACK = 120.0
# The wide ones are taken for formulas where one writes in Chinese or Japanese.
_OF_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_DAY = re.compile(r"day[ _-]?\d+", re.IGNORECASE)
# Of a student's folder, where a notebook is looked for that is not where it belongs.
_MOST_LOOKED_AT, _DEEPEST = 2000, 4


@dataclasses.dataclass(frozen=True)
class Day:
    """A day's homework.

    Args:
        name: such as `day2`.
        notebook: the teacher's.
        most: its points.
    """

    name: str
    notebook: Path
    most: float


@dataclasses.dataclass(frozen=True)
class Grade:
    """A row of the table.

    Args:
        student: name of the folder.
        day: name of the day.
        points: earned.
        max: that could be earned.
        status: `graded`, `missing`, `unreadable`, `timed out`, `crashed`, `printed too much` or
            `wrote too much`; with the latter four, points are what was earned all the same.
        note: what else is to be said.
    """

    student: str
    day: str
    points: float
    max: float
    status: str
    note: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppzoo grade`."""
    limits = Limits()
    add = parser.add_argument
    add("homework", metavar="HOMEWORK", help="homework/source, or one day of it: .../day2")
    add("submissions", metavar="SUBMISSIONS", help="a folder of STUDENT/day2/day2.ipynb")
    add(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="folder for grades.csv, totals.csv and feedback",
    )
    add(
        "--time-limit",
        type=float,
        default=limits.seconds,
        metavar="SECONDS",
        help=f"for a notebook in all, {limits.seconds:g} by default",
    )
    add(
        "--cell-time-limit",
        type=float,
        default=limits.cell_seconds,
        metavar="SECONDS",
        help=f"for a cell, {limits.cell_seconds:g} by default",
    )
    add(
        "--memory-limit",
        type=float,
        default=limits.memory / 2**30,
        metavar="GB",
        help=f"of address space for a notebook, {limits.memory / 2**30:g} by default",
    )
    add(
        "--weak-isolation",
        action="store_true",
        help="grade also where the system has no Landlock or no seccomp: compiled code in a "
        "submission may then read and write what you may; for a container or virtual machine",
    )
    add("--jobs", type=int, default=1, metavar="N", help="notebooks graded at the same time")


def run(args: argparse.Namespace) -> int:
    """Run `ppzoo grade` and return the exit code.

    Raises:
        UserError: see `grade`.
    """
    memory = args.memory_limit * 2**30
    limits = Limits(
        args.time_limit,
        args.cell_time_limit,
        int(memory) if math.isfinite(memory) else memory,
        args.weak_isolation,
    )
    if names := _left_out(Path(args.submissions)):
        sys.stderr.write(
            f"warning: {args.submissions} holds files, which are no student's folder and are not "
            f"graded: {names}\n"
        )
    with _asked_to_end():
        grades = grade(
            args.homework, args.submissions, args.output, limits=limits, jobs=args.jobs, hear=_say
        )
    sys.stdout.write(f"grades: {Path(args.output) / 'grades.csv'} ({len(grades)} rows)\n")
    students = len({row.student for row in grades})
    sys.stdout.write(f"totals: {Path(args.output) / 'totals.csv'} ({students} students)\n")
    return 0


@contextlib.contextmanager
def _asked_to_end() -> Iterator[None]:
    """Remove what is temporary also where a scheduler ends this process, by SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def grade(
    homework: str | os.PathLike[str],
    submissions: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    jobs: int = 1,
    hear: Callable[[Grade], None] | None = None,
) -> list[Grade]:
    """Grade what students handed in; write tables of points, and `feedback/STUDENT/DAY.html`.

    Args:
        homework: the teacher's notebooks: a folder of days, or a day's.
        submissions: a folder of students' folders, with `DAY/DAY.ipynb` or `DAY.ipynb` in each.
        output: the folder to write to.
        limits: for each notebook.
        jobs: how many notebooks are graded at the same time.
        hear: is told each row as it is known.

    Raises:
        ConfigError: a limit out of range, or folders that lie within each other.
        DataError: no homework or no submissions there, or one student's only.
        MissingExtraError: the extra `course` is not installed.
        UserError: this system cannot keep submissions in bounds, or lets them read their own
            tests, or a file cannot be written.
    """
    limits = limits or Limits()
    _check(limits, jobs)
    days = find_days(Path(homework))
    students = _students(Path(submissions), days)
    out = Path(output)
    _check_places(out, days, Path(submissions))
    denied = _denied(days, Path(submissions), out)
    check_unreadable(denied, [*site.getsitepackages(), site.getusersitepackages(), *_python_path()])
    grades: list[Grade] = []
    running = _Running()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        work = [
            pool.submit(_graded, student, day, out, denied, limits, running)
            for student in _named(students)
            for day in days
        ]
        try:
            for future in concurrent.futures.as_completed(work):
                grades.append(future.result())
                grades.sort(key=lambda row: (row.student, row.day))
                # Each time, so that what is known stays where grading is interrupted.
                _write_table(out / "grades.csv", grades)
                _write_totals(out / "totals.csv", grades)
                if hear is not None:
                    hear(future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            running.end()
    return grades


def find_days(homework: Path) -> list[Day]:
    """Return the days of a homework folder.

    Args:
        homework: `homework`, with `source` in it, `homework/source`, or `homework/source/day2`.

    Raises:
        DataError: there are none, or a notebook that cannot be graded.
    """
    if (homework / "source").is_dir():
        homework = homework / "source"
    if not homework.is_dir():
        raise DataError(f"{homework} is no folder; name homework/source, or a day's folder in it")
    own = homework / f"{homework.resolve().name}.ipynb"
    places = [own] if own.is_file() else sorted(homework.glob("*/*.ipynb"))
    days = []
    for path in places:
        if path.stem != path.resolve().parent.name:
            continue
        try:
            notebook = read_notebook(path)
            most = sum(one.points for one in graded_cells(notebook).values())
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        if not any("### BEGIN" in cell["source"] for cell in notebook.cells):
            raise DataError(f"{path} is a student version: grade with the teacher's, of source/")
        days.append(Day(path.stem, path.resolve(), most))
    if not days:
        raise DataError(f"{homework} has no homework: expected day1/day1.ipynb and so on in it")
    return days


class _Running:
    """The judges at work, to be ended where the caller leaves early."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._processes: set[subprocess.Popen[bytes]] = set()

    @contextlib.contextmanager
    def started(
        self, command: list[str], environment: dict[str, str], folder: Path
    ) -> Iterator[Any]:
        with self._lock:
            if self._ended:
                raise UserError("grading was interrupted")
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
            self._processes.add(process)
        try:
            yield process
        finally:
            end_tree(process)
            with self._lock:
                self._processes.discard(process)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            for process in self._processes:
                end_tree(process)


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()


def _graded(
    student: tuple[Path, str],
    day: Day,
    out: Path,
    denied: tuple[str, ...],
    limits: Limits,
    running: _Running,
) -> Grade:
    try:
        return _grade_one(*student, day, out, denied, limits, running)
    except Exception as error:  # whatever a submission has led to, the others are graded
        note = _readable(f"{type(error).__name__}: {error}"[:300])
        return Grade(student[1], day.name, 0, day.most, "crashed", note)


def _grade_one(
    student: Path,
    name: str,
    day: Day,
    out: Path,
    denied: tuple[str, ...],
    limits: Limits,
    running: _Running,
) -> Grade:
    page = out / "feedback" / student.name / f"{day.name}.html"
    title = f"{name}, {day.name}"
    with contextlib.suppress(FileNotFoundError):
        page.unlink()  # of an earlier call
    try:
        submission = _submission(student, day.name)
    except (DataError, OSError) as error:
        return _without_judge(
            page, title, Grade(name, day.name, 0, day.most, "unreadable", _readable(str(error)))
        )
    if submission is None:
        there = _misplaced(student, day.name)
        note = f"there is no {day.name}/{day.name}.ipynb"
        note += f", but {there}: move it there" if there else ""
        row = Grade(name, day.name, 0, day.most, "missing", note)
        return _without_judge(page, title, row, there)
    with _folder() as folder:
        task = Task(
            source=str(day.notebook),
            submission=str(submission),
            release=str(day.notebook.parent),
            feedback=str(page.absolute()),
            title=title,
            box=str(folder / "b"),
            denied=denied,
            limits=limits,
        )
        Path(task.box).mkdir()
        text, errors, status = _judged(task, folder, running)
    row = _row(name, day, _lines(text), status or "crashed")
    if row.status == "crashed" and not row.note and errors:
        row = dataclasses.replace(row, note=_readable(errors.decode("utf-8", "replace")[-300:]))
    return row if page.is_file() else _without_judge(page, title, row)


def _judged(task: Task, folder: Path, running: _Running) -> tuple[bytes, bytes, str]:
    """Return what a judge said and complained of, and a status if it had to be ended."""
    package = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "ppzoo.course.judge", json.dumps(dataclasses.asdict(task))]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([package, *_python_path()]),
        "TMPDIR": str(folder),
    }
    # Python imports from the folder that it is started in: not one that holds submissions.
    with running.started(command, environment, folder) as process:
        try:
            return *process.communicate(timeout=PATIENCE * task.limits.seconds + _SLACK), ""
        except subprocess.TimeoutExpired:
            end_tree(process)
            return *process.communicate(), "timed out"


def _python_path() -> list[str]:
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [os.path.abspath(path) for path in paths if path]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a temporary folder, which goes whatever was made of it and of the judge in it."""
    # A short name, since names of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="pg-")).resolve()
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove what a student's code may have made unremovable, or leave it."""
    # Not shutil's: it fails in folders that are deeper than Python's stack or than a path is long.
    for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
        with contextlib.suppress(OSError):
            subprocess.run(
                [*command, "--", str(folder)],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )


def _row(name: str, day: Day, lines: Iterable[dict[str, Any]], status: str) -> Grade:
    points, note = 0.0, ""
    for line in lines:
        if line["kind"] == "points":
            points += line["points"]
        else:
            status = line["status"]
            notes = [line.get("why", "")]
            for kind in ("changed", "deleted"):
                notes += [f"{kind}: {', '.join(line[kind])}"] if line.get(kind) else []
            note = "; ".join(filter(None, notes))
    return Grade(name, day.name, points, day.most, status, _readable(note))


def _lines(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        # A judge that was killed may have left half a line.
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and said.get("kind") in ("points", "end"):
                yield said


def _without_judge(page: Path, title: str, row: Grade, there: str = "") -> Grade:
    """Write feedback where there is no notebook to show, only perhaps one in a wrong place."""
    instead = f"但找到了 {there}，请移到该位置。" if there else "请检查文件夹与笔记本的名称。"
    chinese = {
        "missing": f"没有提交作业：缺少 {row.day}/{row.day}.ipynb，{instead}",
        "unreadable": "作业无法读取，原因见上一行；请在 Jupyter 中打开检查，保存后重新提交。",
    }
    if row.status in chinese:
        said = warning(f"{row.status}: {row.note}", chinese[row.status])
    else:
        # What the judge complained of is for the teacher: it names his folders.
        said = warning(f"{row.status}: ask your teacher", "评判未能完成，请询问教师。")
    with atomic_write(page) as file:
        file.write(
            as_page(title, score(title, row.points, row.max) + said).encode("utf-8", "replace")
        )
    return row


def _submission(student: Path, day: str) -> Path | None:
    """Return a student's notebook of a day, None if there is none.

    Raises:
        DataError: it is a link or no file, or there are several and none has the day's name.
    """
    folder = student / day
    path = student / f"{day}.ipynb"
    if student.is_symlink():
        raise DataError(f"{student.name} is a link: hand in the folder itself")
    if folder.is_dir() and not folder.is_symlink():
        found = sorted(folder.glob("*.ipynb"))
        named = [one for one in found if one.stem == day]
        if len(found) > 1 and not named:
            raise DataError(f"{day} has several notebooks, and none is called {day}.ipynb")
        path = (named or found or [path])[0]
    if path.is_symlink() or folder.is_symlink():
        # It might be somebody else's work.
        raise DataError(f"{path.relative_to(student)} is a link: hand in the file itself")
    if path.exists() and not path.is_file():
        raise DataError(f"{path.relative_to(student)} is no file")
    return path.absolute() if path.exists() else None


def _misplaced(student: Path, day: str) -> str:
    """Return where in a student's folder something like a day's notebook is, empty if nowhere."""
    found = []
    for path in _notebooks_in(student):
        inside = path.relative_to(student)
        named = _plain_name(path.stem) == _plain_name(day)
        if named or _plain_name(inside.parent.name) == _plain_name(day):
            found.append((len(inside.parts), not named, str(inside)))
    return _readable(min(found)[2]) if found else ""


def _notebooks_in(folder: Path) -> Iterator[Path]:
    """Yield notebooks in a folder of a student's, which may hold anything.

    No link is followed, and what lies deep or beyond a number of entries is passed over.
    """
    left, folders = _MOST_LOOKED_AT, [(folder, 1)]
    while folders and left > 0:
        place, depth = folders.pop(0)
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in itertools.islice(entries, left):
                left -= 1
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders += [(Path(entry.path), depth + 1)] if depth < _DEEPEST else []
                elif entry.name.lower().endswith(".ipynb") and entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)


def _plain_name(name: str) -> str:
    """Return the name of a day in the way in which ours are written: day1 for Day_01."""
    return re.sub(r"[\s_-]+|(?<=[^\d])0+(?=\d)", "", name.casefold())


def _readable(name: str) -> str:
    """Return a text of a student's, as a name of a file of any bytes, as one line to be written.

    What moves a terminal's cursor, turns the direction of writing, or is half a character, becomes
    a question mark of Unicode's; bytes that are no UTF-8 are shown as numbers, which tell names
    apart.
    """
    line = re.sub(r"\s+", " ", name).strip()
    line = re.sub("[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", line)
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)


def _named(students: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield folders with what to call them: no two alike, since tables are read by names."""
    used: set[str] = set()
    for student in students:
        name = plain = _readable(student.name)
        number = 1
        while name in used:
            number += 1
            name = f"{plain} ({number})"
        used.add(name)
        yield student, name


def _students(submissions: Path, days: list[Day]) -> list[Path]:
    if not submissions.is_dir():
        raise DataError(f"{submissions} is no folder of submissions")
    names = {day.name for day in days}
    of_days = sorted(
        path.name
        for path in submissions.iterdir()
        if path.is_dir() or path.suffix == ".ipynb"
        if path.name.removesuffix(".ipynb") in names
        or _DAY.fullmatch(path.name.removesuffix(".ipynb"))
    )
    if of_days:
        raise DataError(
            f"{submissions} holds {', '.join(of_days[:3])}, so it is one student's folder: name "
            f"the folder of all students, {submissions.resolve().parent}"
        )
    found = sorted(
        path
        for path in submissions.iterdir()
        # A link gets a row that says so, also one that leads nowhere.
        if (path.is_dir() or (path.is_symlink() and not path.exists()))
        and not path.name.startswith(".")
    )
    if not found:
        raise DataError(f"{submissions} has no folders: expected one for each student")
    return found


def _left_out(submissions: Path) -> str:
    """Return the names of what lies among students' folders: archives, notebooks of somebody's."""
    if not submissions.is_dir():
        return ""
    files = (path for path in submissions.iterdir() if path.is_file())
    names = sorted(_readable(path.name) for path in files if not path.name.startswith("."))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _denied(days: list[Day], submissions: Path, out: Path) -> tuple[str, ...]:
    """Return what the student's code must not read, even where the system cannot forbid more."""
    places = {day.notebook.parents[1] for day in days} | {submissions.resolve(), out.resolve()}
    return tuple(sorted(f"{place}{os.sep}" for place in places))


def _check(limits: Limits, jobs: int) -> None:
    if os.name != "posix":
        raise UserError(
            "grading runs strangers' code under limits that this system does not have: use Linux, "
            "or on Windows WSL"
        )
    lacking = missing_isolation()
    if lacking and not limits.weak:
        raise UserError(
            f"{lacking}, so that compiled code in a submission could read and write what you may: "
            "grade in a container or virtual machine that holds nothing else, with --weak-isolation"
        )
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "course", "grading")
    for name, value, most in (
        ("time-limit", limits.seconds, _LONGEST),
        ("cell-time-limit", limits.cell_seconds, _LONGEST),
        ("memory-limit", limits.memory / 2**30, _MOST_MEMORY),
        ("jobs", jobs, _MOST_JOBS),
    ):
        if not 1 <= value <= most:
            raise ConfigError(f"--{name} must lie between 1 and {most}, got {value:g}")


def _check_places(out: Path, days: list[Day], submissions: Path) -> None:
    there = out.resolve()
    for place in (submissions.resolve(), *(day.notebook.parent for day in days)):
        if there == place or place in there.parents:
            raise ConfigError(f"--output {out} lies in {place}: choose a folder outside of it")


def _write_table(path: Path, grades: list[Grade]) -> None:
    _write_rows(
        path,
        _COLUMNS,
        (
            (row.student, row.day, f"{row.points:g}", f"{row.max:g}", row.status, row.note)
            for row in grades
        ),
    )


def _write_totals(path: Path, grades: list[Grade]) -> None:
    """Write a row for each student: the points of each day, and their sum."""
    days = sorted({row.day for row in grades})
    rows = []
    for student in dict.fromkeys(row.student for row in grades):
        own = {row.day: row for row in grades if row.student == student}
        points = [f"{own[day].points:g}" if day in own else "" for day in days]
        sums = [sum(getattr(row, of) for row in own.values()) for of in ("points", "max")]
        rows.append((student, *points, *(f"{one:g}" for one in sums)))
    _write_rows(path, ("student", *days, "points", "max"), rows)


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(map(_harmless, row))
    with atomic_write(path) as file:
        # With a mark at its beginning, Excel reads Chinese names as such.
        file.write(text.getvalue().encode("utf-8-sig", "replace"))


def _harmless(text: str) -> str:
    """Keep a name from being taken for a formula by a spreadsheet."""
    text = _readable(text)
    return f"'{text}" if text.startswith(_OF_FORMULAS) else text


def _say(row: Grade) -> None:
    note = f" ({row.note})" if row.note else ""
    sys.stderr.write(f"{row.student} {row.day}: {row.points:g} / {row.max:g} {row.status}{note}\n")
