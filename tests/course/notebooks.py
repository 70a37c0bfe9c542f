# SPDX-License-Identifier: Apache-2.0
"""Homework notebooks as students hand them in, made from the course's own."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ppzoo.course.checks import Namespace, Wrong, asking
from ppzoo.course.judge import run_hidden
from ppzoo.course.notebooks import graded_cells, is_tests, mark_of, read_notebook

HOMEWORK = Path(__file__).parents[2] / "homework"
DAYS = sorted(path.stem for path in (HOMEWORK / "source").glob("day*/day?.ipynb"))


def teachers(day: str) -> Any:
    return read_notebook(HOMEWORK / f"source/{day}/{day}.ipynb")


def students(day: str) -> Any:
    return read_notebook(HOMEWORK / f"release/{day}/{day}.ipynb")


def solved(day: str) -> Any:
    """Return a student's notebook with the teacher's solutions."""
    answers = {mark_of(cell).get("grade_id"): cell["source"] for cell in teachers(day).cells}
    notebook = students(day)
    for cell in notebook.cells:
        if mark_of(cell).get("solution"):
            cell["source"] = answers[mark_of(cell)["grade_id"]]
    return notebook


def cell_of(notebook: Any, name: str) -> Any:
    return next(cell for cell in notebook.cells if mark_of(cell).get("grade_id") == name)


def hand_in(folder: Path, student: str, day: str, notebook: Any) -> Path:
    place = folder / student / day
    place.mkdir(parents=True)
    path = place / f"{day}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


@contextlib.contextmanager
def copies_in(folder: Path) -> Iterator[None]:
    """Keep what hidden tests look at in a folder of the test's own, and remove it."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(dir=folder) as copies:
        tempfile.tempdir = copies
        try:
            yield
        finally:
            tempfile.tempdir = before


def run_here(
    day: str,
    folder: Path,
    changed: Mapping[str, Callable[[str], str]] | None = None,
    wanted: set[str] | None = None,
    errors: type[Exception] | tuple[()] = (),
    hidden: bool = True,
) -> dict[str, str]:
    """Run a day's solutions and tests in this process, which must be in `folder`.

    Returns what is said of each cell of tests, empty where it passes.

    Args:
        changed: what to make of the solutions of some cells.
        wanted: run these cells of tests only.
        errors: what the solutions may raise, and go on; in tests, it counts as what they say.
        hidden: run the hidden tests as well.
    """
    for path in (HOMEWORK / "source" / day).iterdir():
        if path.is_file() and path.suffix != ".ipynb":  # Jupyter keeps a folder beside it
            shutil.copy(path, folder)
    notebook = teachers(day)
    tests = graded_cells(notebook)
    refused = (AssertionError, errors) if errors else (AssertionError,)
    names: dict[str, Any] = {"__name__": "__main__"}
    here = Namespace(lambda text: exec(text, names), lambda text: eval(text, names), folder)  # noqa: S102, S307
    said = {}
    for cell in notebook.cells:
        name = mark_of(cell).get("grade_id", "")
        if cell["cell_type"] != "code" or (wanted and is_tests(cell) and name not in wanted):
            continue
        if not is_tests(cell):
            code = (changed or {}).get(name, str)(cell["source"])
            with contextlib.suppress(errors):
                exec(compile(code, name, "exec"), names)  # noqa: S102
            continue
        said[name] = ""
        try:
            exec(compile(tests[name].visible, name, "exec"), names)  # noqa: S102
        except refused as error:
            said[name] = str(error) or type(error).__name__
        if not hidden:
            continue
        try:
            with asking(here), copies_in(folder):
                run_hidden(tests[name])
        except Wrong as error:
            said[name] = str(error)
        if wanted and wanted <= said.keys():
            break
    return said
