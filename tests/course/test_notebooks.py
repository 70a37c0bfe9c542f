# SPDX-License-Identifier: Apache-2.0
"""What is run of a submission: the student's solutions, the teacher's everything else."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ppzoo.course.notebooks import (
    MOST_CELLS,
    assemble,
    graded_cells,
    is_solution,
    is_untouched,
    mark_of,
    place_of,
    read_notebook,
    split_tests,
    titles,
)
from ppzoo.errors import DataError
from tests.course.notebooks import DAYS, cell_of, solved, students, teachers


def names(notebook: object) -> list[str]:
    return [mark_of(cell).get("grade_id") for cell in notebook.cells]


def test_hidden_tests_are_split_off() -> None:
    visible, hidden = split_tests(
        "a\n    ### BEGIN HIDDEN TESTS\n    b\n      c\n    ### END HIDDEN TESTS\nd\n"
    )
    assert visible == "a\nd\n"
    assert hidden == "b\n  c\n"


def test_a_solved_notebook_is_run_as_it_is() -> None:
    notebook, changed = assemble(teachers("day2"), solved("day2"))
    assert changed == []
    assert names(notebook) == names(teachers("day2"))
    assert "HIDDEN" not in str(notebook)
    assert "F.mse_loss(real_scores" in cell_of(notebook, "day2-losses")["source"]


def test_locked_cells_come_from_the_teacher() -> None:
    student = solved("day2")
    cell_of(student, "day2-test-g-loss")["source"] = "pass"
    cell_of(student, "day2-test-g-loss")["metadata"]["nbgrader"]["points"] = 100
    cell_of(student, "day2-dcgan")["source"] = "cheat = True"
    notebook, changed = assemble(teachers("day2"), student)
    assert changed == ["day2-dcgan", "day2-test-g-loss"]
    assert "g_loss" in cell_of(notebook, "day2-test-g-loss")["source"]
    assert cell_of(notebook, "day2-test-g-loss")["metadata"]["nbgrader"]["points"] == 2
    assert "cheat" not in str(notebook)


def test_missing_cells_are_put_back_in_their_place() -> None:
    student = solved("day2")
    gone = {"day2-setup", "day2-test-d-loss", "day2-test-samples"}
    student["cells"] = [c for c in student.cells if mark_of(c)["grade_id"] not in gone]
    notebook, changed = assemble(teachers("day2"), student)
    assert set(changed) == gone
    assert names(notebook) == names(teachers("day2"))


def test_an_answer_that_was_removed_or_is_no_code_comes_back_empty() -> None:
    student = solved("day2")
    student["cells"] = [c for c in student.cells if mark_of(c)["grade_id"] != "day2-losses"]
    cell_of(student, "day2-training")["cell_type"] = "markdown"
    notebook, changed = assemble(teachers("day2"), student)
    assert changed == ["day2-losses"]
    assert names(notebook) == names(teachers("day2"))
    for name in ("day2-losses", "day2-training"):
        assert cell_of(notebook, name)["cell_type"] == "code"
        assert cell_of(notebook, name)["source"] == ""


def test_cells_of_the_student_stay_and_copies_are_plain() -> None:
    student = students("day1")
    extra = {"cell_type": "code", "source": "helper = 1", "metadata": {}, "outputs": []}
    extra["attachments"] = {"a.png": {"image/png": "AAAA"}}
    student["cells"][3:3] = [type(student.cells[0])(extra)]
    student["cells"].append(cell_of(student, "day1-question-1"))
    notebook, _ = assemble(teachers("day1"), student)
    assert notebook.cells[3]["source"] == "helper = 1"
    assert "attachments" not in notebook.cells[3]
    assert names(notebook).count("day1-question-1") == 1
    assert len(notebook.cells) == len(teachers("day1").cells) + 2


def test_outputs_that_were_handed_in_are_dropped() -> None:
    student = solved("day1")
    for cell in student.cells:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "8 / 8"}]
    assert "8 / 8" not in str(assemble(teachers("day1"), student)[0])


def test_points_without_tests_are_refused() -> None:
    notebook = teachers("day1")
    cell_of(notebook, "day1-question-1")["metadata"]["nbgrader"]["solution"] = True
    with pytest.raises(DataError, match="has points"):
        graded_cells(notebook)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"cells": [], "nbformat": 4}', "\x00"])
def test_what_is_no_notebook_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x\.ipynb is no notebook"):
        read_notebook(path)


@pytest.mark.parametrize("version", [3, 4])
def test_too_many_cells_are_refused_in_every_version(version: int, tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "a"}] * (MOST_CELLS + 1)
    content = {"nbformat": version, "nbformat_minor": 0, "metadata": {}}
    content |= {"cells": cells} if version == 4 else {"worksheets": [{"cells": cells}]}
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="more than 2000 cells"):
        read_notebook(path)


def test_half_a_letter_is_read_as_a_question_mark(tmp_path: Path) -> None:
    notebook = students("day1")
    notebook.cells[0]["source"] = "\ud83d and \U0001f600"
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(notebook))
    assert read_notebook(path).cells[0]["source"] == "? and \U0001f600"


def test_cells_are_called_by_the_heading_above_them() -> None:
    names = titles(teachers("day2"))
    assert names["day2-test-discriminator"] == "1. The discriminator · 判别器"
    assert names["day2-test-g-loss"] == "2. The losses · 损失函数 (g-loss)"
    assert titles(teachers("day1"))["day1-question-3"] == "Question 3 · 第 3 题"


def test_a_place_is_named_by_heading_and_first_line() -> None:
    notebook = students("day2")
    index = next(
        number
        for number, cell in enumerate(notebook.cells)
        if mark_of(cell).get("grade_id") == "day2-train"
    )
    assert place_of(notebook, index) == (
        "the cell of `STEPS = 20`, under “4. Train · 训练”",
        "“4. Train · 训练”之下含 `STEPS = 20` 的单元格",
    )


@pytest.mark.parametrize("day", DAYS)
def test_what_nobody_has_filled_in_is_known(day: str) -> None:
    originals = [cell for cell in teachers(day).cells if is_solution(cell)]
    for original, given, right in zip(
        originals,
        filter(is_solution, students(day).cells),
        filter(is_solution, solved(day).cells),
        strict=True,
    ):
        assert is_untouched(original, given["source"])
        assert is_untouched(original, "")
        assert not is_untouched(original, right["source"])
        assert not is_untouched(original, given["source"] + "\nprint(1)")


def test_of_submissions_only_what_was_written_is_read(tmp_path: Path) -> None:
    notebook = students("day1")
    path = tmp_path / "day1.ipynb"
    code = cell_of(notebook, "day1-answer-1")
    code["source"] = ["a = 1\n", "b = 2"]
    # To validate these would take minutes.
    code["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["a"] * 9}] * 200_000
    path.write_text(json.dumps(notebook), encoding="utf-8")
    began = time.process_time()
    read = cell_of(read_notebook(path, outputs=False), "day1-answer-1")
    assert (read["source"], read["outputs"]) == ("a = 1\nb = 2", [])
    assert time.process_time() - began < 30
    code["outputs"] = [{"damaged": 1}]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    read_notebook(path, outputs=False)
    with pytest.raises(DataError, match="no notebook"):
        read_notebook(path)
