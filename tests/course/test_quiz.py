# SPDX-License-Identifier: Apache-2.0
"""Quizzes teach, and do not show their answers at a glance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ppzoo.course.checks import Namespace, Wrong, asking
from ppzoo.course.quiz import Key, Quiz, judge, normalised, seal
from ppzoo.errors import DataError

WHY = {one: (f"English {one}", f"中文 {one}") for one in "ABCD"}


@pytest.fixture
def quiz(tmp_path: Path) -> Quiz:
    path = tmp_path / "quiz.json"
    path.write_text(json.dumps({"q": seal("q", Key("AC", WHY))}), encoding="utf-8")
    return Quiz(path)


@pytest.mark.parametrize("answer", ["AC", "ca", "A, C", ["A", "C"], {"C", "A"}, "ＡＣ", "ａ、ｃ"])
def test_right_answers_in_any_order_and_form(quiz: Quiz, answer: object) -> None:
    assert quiz.check("q", answer).right


@pytest.mark.parametrize("answer", ["A", "C", "ABC", "BD", "ACD", "", None, 3, ...])
def test_all_others_are_wrong(quiz: Quiz, answer: object) -> None:
    assert not quiz.check("q", answer).right


def test_feedback_explains_what_was_chosen_and_nothing_else(quiz: Quiz) -> None:
    said = repr(quiz.check("q", "AB"))
    assert "✔ A: English A" in said
    assert "✘ B: English B" in said
    assert "中文 B" in said
    assert "English C" not in said
    assert "English D" not in said


def test_what_is_missing_is_not_named(quiz: Quiz) -> None:
    said = repr(quiz.check("q", "A"))
    assert "something is missing" in said
    assert "C" not in said.replace("Chosen", "")


def test_an_option_that_is_not_there(quiz: Quiz) -> None:
    said = repr(quiz.check("q", "AE"))
    assert "E: there are only ABCD" in said
    assert "something is missing" not in said


def test_nothing_of_the_key_is_readable() -> None:
    text = json.dumps(seal("q", Key("AC", WHY)), ensure_ascii=False)
    assert "English" not in text
    assert "中文" not in text
    assert '"AC"' not in text


def test_each_question_has_its_own_salt() -> None:
    first, second = seal("q1", Key("A", WHY)), seal("q2", Key("A", WHY))
    assert first["salt"] != second["salt"]
    assert first["hash"] != second["hash"]
    assert first["options"]["A"] != second["options"]["A"]
    assert first == seal("q1", Key("A", WHY))


def test_unknown_questions_and_missing_files(quiz: Quiz, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no question"):
        quiz.check("other", "A")
    with pytest.raises(DataError, match="missing"):
        Quiz(tmp_path / "other.json")
    (tmp_path / "damaged.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Quiz(tmp_path / "damaged.json")


def test_hidden_tests_judge_by_the_key(tmp_path: Path) -> None:
    names = {"answer": "CA"}
    here = Namespace(lambda _: None, lambda text: eval(text, names), tmp_path)  # noqa: S307
    with asking(here):
        judge("answer", "AC", WHY)
        names["answer"] = "AB"
        with pytest.raises(Wrong, match="✘ B: English B"):
            judge("answer", "AC", WHY)
        del names["answer"]
        with pytest.raises(Wrong, match="NameError"):
            judge("answer", "AC", WHY)


def test_letters() -> None:
    assert normalised("b a b") == "AB"
    assert normalised("  ") is None
