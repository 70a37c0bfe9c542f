# SPDX-License-Identifier: Apache-2.0
"""Homework notebooks in nbgrader's format: what is to be graded, and what a student changed."""

from __future__ import annotations

import collections
import copy
import dataclasses
import json
import re
import textwrap
from pathlib import Path
from typing import Any

from ppzoo.errors import DataError, MissingExtraError

LARGEST_NOTEBOOK = 64 * 2**20  # bytes
MOST_CELLS = 2000
# nbgrader's own marks, as its ClearHiddenTests takes them out of student versions.
_HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS[^\n]*\n(.*?)^[ \t]*### END HIDDEN TESTS[^\n]*\n?",
    re.DOTALL | re.MULTILINE,
)


_SOLUTION = re.compile(
    r"^[ \t]*### BEGIN SOLUTION[^\n]*\n.*?^[ \t]*### END SOLUTION[^\n]*\n?",
    re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^#+[ \t]+(.+)$", re.MULTILINE)
_QUESTION = re.compile(r"\*\*(\d+)\.\*\*")
_POINTS = re.compile(r"\s*[(（][^()（）]*(?:points?|分)[)）]\s*$")
_NUMBER = re.compile(r"^\d+\.\s*")


@dataclasses.dataclass(frozen=True)
class GradedCell:
    """A cell of tests.

    Args:
        name: its `grade_id`.
        points: what it is worth.
        visible: the code that students have as well.
        hidden: the code that they do not have.
    """

    name: str
    points: float
    visible: str
    hidden: str


def read_notebook(path: Path, outputs: bool = True) -> Any:
    """Return a notebook of any version as one of nbformat 4.

    Args:
        path: the file.
        outputs: whether to keep what its cells showed.

    Raises:
        DataError: it is no notebook, larger than 64 MB, or of more than 2000 cells.
        MissingExtraError: nbformat is not installed.
    """
    try:
        import nbformat
    except ImportError:
        raise MissingExtraError("nbformat", "course", "reading notebooks") from None
    # Messages leave out the folder: students read them in their feedback, and it is the teacher's.
    if path.stat().st_size > LARGEST_NOTEBOOK:
        raise DataError(f"{path.name} is larger than {LARGEST_NOTEBOOK >> 20} MB")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        # Checked first, since to validate very many takes minutes.
        _check_count(content, path.name)
        for cell in _cells(content):
            _simplify(cell, outputs)
        # Half a character, as editors leave it where they cut an emoji, can be neither sent nor
        # written.
        text = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
        notebook = nbformat.reads(text, as_version=4)
        _check_count(notebook, path.name)
        nbformat.validate(notebook)
    except DataError:
        raise
    except Exception as error:  # its own kinds, and whatever JSON of another shape leads to
        raise DataError(
            f"{path.name} is no notebook, or is damaged: open it in Jupyter and save it anew"
        ) from error
    return notebook


def _check_count(content: Any, name: str) -> None:
    if len(_cells(content)) > MOST_CELLS:
        raise DataError(f"{name} has more than {MOST_CELLS} cells")


def _cells(content: Any) -> list[Any]:
    if not isinstance(content, dict):
        return []
    # Before version 4, cells stood in worksheets.
    places = [content, *(content.get("worksheets") or ())]
    return [cell for place in places for cell in place.get("cells") or ()]


def _simplify(cell: Any, outputs: bool) -> None:
    """Make little of what may be very many parts, each of which would be validated."""
    for name in ("source", "input"):
        lines = cell.get(name)
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            cell[name] = "".join(lines)
    if not outputs and "outputs" in cell:
        cell["outputs"] = []


def mark_of(cell: Any) -> dict[str, Any]:
    """Return nbgrader's metadata of a cell, empty for an ordinary one."""
    mark = cell.get("metadata", {}).get("nbgrader", {})
    return mark if isinstance(mark, dict) and isinstance(mark.get("grade_id"), str) else {}


def is_tests(cell: Any) -> bool:
    """Tell whether a cell holds tests that give points."""
    mark = mark_of(cell)
    return bool(mark.get("grade")) and not mark.get("solution") and cell["cell_type"] == "code"


def is_solution(cell: Any) -> bool:
    """Tell whether a cell is the student's to write."""
    return bool(mark_of(cell).get("solution"))


def graded_cells(notebook: Any) -> dict[str, GradedCell]:
    """Return the tests in a teacher's notebook by name, in their order.

    Raises:
        DataError: points that no tests give: cells to be graded by hand are not for this course.
    """
    found = {}
    for cell in notebook.cells:
        mark = mark_of(cell)
        if mark.get("grade") and not is_tests(cell):
            raise DataError(f"the cell {mark['grade_id']!r} has points, but is not one of tests")
        if is_tests(cell):
            visible, hidden = split_tests(cell["source"])
            found[mark["grade_id"]] = GradedCell(
                mark["grade_id"], float(mark.get("points") or 0), visible, hidden
            )
    return found


def titles(notebook: Any) -> dict[str, str]:
    """Return what to call the marked cells of a notebook: the heading above, in each language.

    Where several cells of tests stand under one heading, the end of their names tells them apart.
    """
    heading, found = "", {}
    for cell in notebook.cells:
        if name := mark_of(cell).get("grade_id"):
            heading = _heading(cell) or heading
            found[name] = heading or name
    tests = [mark_of(cell)["grade_id"] for cell in notebook.cells if is_tests(cell)]
    shared = collections.Counter(found[name] for name in tests)
    for name in tests:
        if shared[found[name]] > 1:
            found[name] += f" ({name.rpartition('test-')[2]})"
    return found


def place_of(notebook: Any, index: int) -> tuple[str, str]:
    """Return where a cell is, in English and in Chinese: its heading and its first line.

    Args:
        notebook: that holds it.
        index: of the cell.
    """
    cells = notebook.cells
    heading = next(filter(None, map(_heading, reversed(cells[:index]))), "")
    lines = [line.strip() for line in cells[index]["source"].splitlines()]
    lines = [line for line in lines if line]
    code = [line for line in lines if not line.startswith(("#", "import ", "from "))]
    first = (code or lines or [""])[0][:80]
    return (
        f"the cell of `{first}`" + (f", under “{heading}”" if heading else ""),
        (f"“{heading}”之下" if heading else "") + f"含 `{first}` 的单元格",
    )


def _heading(cell: Any) -> str:
    """Return the heading in a teacher's cell, in each language; empty where there is none."""
    if cell["cell_type"] != "markdown" or not mark_of(cell):
        return ""
    if question := _QUESTION.match(cell["source"]):
        return f"Question {question[1]} · 第 {question[1]} 题"
    # Points are said beside it, and a number need not be read twice.
    parts = [_POINTS.sub("", one).strip() for one in _HEADING.findall(cell["source"])]
    return " · ".join(dict.fromkeys([*parts[:1], *(_NUMBER.sub("", one) for one in parts[1:])]))


def is_untouched(original: Any, answer: str) -> bool:
    """Tell whether a student's cell is as it was given out, or empty.

    Args:
        original: the teacher's cell, with the solution.
        answer: what the student's holds.
    """
    written = _code_lines(answer)
    return not written or written == _code_lines(_SOLUTION.sub("", original["source"]))


def _code_lines(code: str) -> list[str]:
    lines = [line.partition("# YOUR CODE HERE")[0].strip() for line in code.splitlines()]
    return [line for line in lines if line not in ("", "pass", "...")]


def split_tests(code: str) -> tuple[str, str]:
    """Return the visible and the hidden part of a cell of tests."""
    hidden = [textwrap.dedent(part) for part in _HIDDEN.findall(code)]
    return _HIDDEN.sub("", code), "\n".join(hidden)


def assemble(source: Any, student: Any) -> tuple[Any, list[str]]:
    """Return what is run: the student's solutions among the teacher's other cells.

    Cells that students may not change are taken from the source, without what is hidden, whatever
    was made of them; missing ones are put back where they were. Cells that students added stay.

    Args:
        source: the teacher's notebook.
        student: the one that was handed in.

    Returns:
        The notebook, without outputs, and the names of the locked cells that had been changed or
        removed, and of the answers that had been removed; see `locked_and_deleted`.

    Raises:
        DataError: the student's has none of the source's cells.
    """
    originals = {mark_of(cell)["grade_id"]: cell for cell in source.cells if mark_of(cell)}
    there = {mark_of(cell).get("grade_id") for cell in student.cells}
    if originals and there.isdisjoint(originals):
        raise DataError(
            "the notebook has none of this homework's cells: it is another day's, or was saved by "
            "a program that drops their marks; write the answers into a fresh copy of the homework"
        )
    order = list(originals)
    result, seen, changed = [], set(), []
    for cell in student.cells:
        name = mark_of(cell).get("grade_id")
        original = originals.get(name)
        if original is None or name in seen:
            result.append(_plain(cell))
            continue
        result += _missing_before(name, order, originals, seen, changed, student)
        seen.add(name)
        new = _shown(original)
        if is_solution(original):
            new["source"] = cell["source"] if cell["cell_type"] == new["cell_type"] else ""
        elif cell["source"].strip() != new["source"].strip():
            changed.append(name)
        result.append(new)
    result += _missing_before(None, order, originals, seen, changed, student)
    notebook = copy.deepcopy(source)
    notebook["cells"] = result
    for number, cell in enumerate(result):
        cell["id"] = f"cell-{number}"
    return notebook, changed


def locked_and_deleted(notebook: Any, changed: list[str]) -> tuple[list[str], list[str]]:
    """Part what `assemble` found changed into cells that are locked, and answers that are gone.

    Args:
        notebook: what `assemble` made.
        changed: the names that it gave.
    """
    answers = {mark_of(cell).get("grade_id") for cell in notebook.cells if is_solution(cell)}
    return (
        [name for name in changed if name not in answers],
        [name for name in changed if name in answers],
    )


def _missing_before(
    name: str | None,
    order: list[str],
    originals: dict[str, Any],
    seen: set[str],
    changed: list[str],
    student: Any,
) -> list[Any]:
    """Return the teacher's cells before `name` that the student's notebook lacks."""
    there = {mark_of(cell).get("grade_id") for cell in student.cells}
    cells = []
    for other in order[: order.index(name)] if name is not None else order:
        if other in seen or other in there:
            continue
        seen.add(other)
        changed.append(other)
        cell = _shown(originals[other])
        if is_solution(cell):
            cell["source"] = ""
        cells.append(cell)
    return cells


def _shown(cell: Any) -> Any:
    """Return a copy of a teacher's cell without what is hidden."""
    new = copy.deepcopy(cell)
    if is_tests(cell):
        new["source"] = split_tests(cell["source"])[0].rstrip()
    return _emptied(new)


def _plain(cell: Any) -> Any:
    new = copy.deepcopy(cell)
    new["metadata"] = {}
    new.pop("attachments", None)
    return _emptied(new)


def _emptied(cell: Any) -> Any:
    if cell["cell_type"] == "code":
        cell["outputs"], cell["execution_count"] = [], None
    return cell
