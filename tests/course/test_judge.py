# SPDX-License-Identifier: Apache-2.0
"""What the judge says of a notebook, with a kernel that only pretends to run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ppzoo.course import judge as module
from ppzoo.course.judge import Task, judge
from ppzoo.course.kernel import KernelGoneError, Limits, Ran
from tests.course.notebooks import HOMEWORK, hand_in, solved


class Pretended:
    """A kernel whose time is used up by the first answer of day 1."""

    began = False

    def __init__(self, *_: object) -> None:
        self._is_late = False

    def __enter__(self) -> Pretended:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, code: str) -> Ran:
        if self._is_late:
            raise KernelGoneError("timed out", began=self.began)
        self._is_late = code.startswith("answer_1")
        return Ran([], "timed out" if self._is_late else "ok")


def judged(folder: Path) -> tuple[list[Any], str]:
    path = hand_in(folder / "in", "one", "day1", solved("day1"))
    (folder / "box").mkdir()
    source, page = str(HOMEWORK / "source/day1/day1.ipynb"), folder / "page.html"
    said = list(
        judge(Task(source, str(path), "", str(page), "t", str(folder / "box"), (), Limits()))
    )
    return said, page.read_text("utf-8")


def test_a_cell_that_never_began_did_not_run_for_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Kernel", Pretended)
    said, page = judged(tmp_path)
    assert [kind for kind, _ in said] == ["end"]
    assert said[0][1]["status"] == "timed out"
    assert said[0][1]["why"].startswith("in the cell of `answer_1")
    assert page.count("It ran for too long and was stopped. In the cell of `answer_1") == 1
    assert page.count("It ran for too long") == page.count("运行超时") == 1
    assert page.count("This was not reached.") == page.count("没有运行到这里。") == 8


def test_a_cell_that_began_and_ended_the_kernel_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Kernel", Pretended)
    monkeypatch.setattr(Pretended, "began", True)
    _, page = judged(tmp_path)
    assert page.count("It ran for too long") == page.count("运行超时") == 2
    assert "In the cell of `quiz.check(&quot;day1-question-1&quot;, answer_1)`" in page
