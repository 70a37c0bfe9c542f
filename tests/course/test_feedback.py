# SPDX-License-Identifier: Apache-2.0
"""Feedback pages: points and hints are seen, and nothing of a student's is run or fetched."""

from __future__ import annotations

import re
import signal

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from ppzoo.course import feedback, judge
from ppzoo.course.feedback import Judged, Stopped, as_html, as_page, score, warning


def cell_of_tests(name: str, printed: str = "") -> object:
    cell = new_code_cell("quiz.check()", metadata={"nbgrader": {"grade": True, "grade_id": name}})
    cell["outputs"] = [new_output("display_data", data={"text/plain": printed})] if printed else []
    return cell


@pytest.fixture(scope="module")
def page() -> str:
    cells = [
        new_markdown_cell(
            "# Title\n\nA *word* and $D(x)$\\\nnext",
            metadata={"nbgrader": {"grade": False, "grade_id": "text", "solution": False}},
        ),
        new_markdown_cell(
            "<script>alert(1)</script><img src=x onerror=alert(2)>[go](javascript:alert(3)) $E=1$"
        ),
        new_code_cell("print('<b>')"),
        cell_of_tests("right"),
        cell_of_tests("wrong"),
        cell_of_tests("quiz", "Not quite."),
        cell_of_tests("late"),
    ]
    judged = {
        "right": Judged(2, 2, ""),
        "wrong": Judged(0, 3, "Too <large>\n太大"),
        "quiz": Judged(0, 1, "Not quite."),
        "late": Judged(0, 1, ""),
    }
    where = Stopped("timed out", "the cell of `<x>`", "含 `<x>` 的单元格")
    return as_html(new_notebook(cells=cells), judged, "A & B, day1", ["text"], [where, where])


def test_points_are_summed_and_linked(page: str) -> None:
    assert "<h1>A &amp; B, day1: 2 / 7</h1>" in page
    assert 'style="width: 29%"' in page
    for name in ("right", "wrong", "quiz", "late"):
        assert page.count(f'href="#{name}"') == page.count(f'id="{name}"') == 1


def test_hints_are_said_once_and_escaped(page: str) -> None:
    assert '<b>✘ 0 / 3</b><br>Too &lt;large&gt;<br><span lang="zh">太大</span></div>' in page
    assert page.count("Not quite.") == 1
    assert "See above what is said" in page
    assert "没有运行到这里" in page
    assert page.count("运行超时") == 1
    assert "originals were run: Title" in page
    assert "In the cell of `&lt;x&gt;`." in page


def test_markdown_is_a_page_and_not_its_source(page: str) -> None:
    assert re.search(r"<h1[^>]*>Title", page)
    assert "<em>word</em>" in page
    assert "&lt;p&gt;" not in page
    assert "&lt;br" not in page
    assert re.search(r'<img class="formula" alt="D\(x\)" src="data:image/svg', page)


def test_parts_are_called_by_their_headings(page: str) -> None:
    assert '<a href="#right">Title (right)</a> 2 / 2' in page
    assert '<a href="#quiz">Title (quiz)</a> 0 / 1' in page


def test_empty_prompts_are_left_out(page: str) -> None:
    assert "print" in page
    assert "In&nbsp;[" not in page
    assert "In [" not in page


def test_chinese_paragraphs_are_marked() -> None:
    cells = [
        new_markdown_cell("## 1. Losses\n\nEnglish 中\n\n## 1. 损失\n\n中文 text\n\n- 甲\n- b"),
        new_code_cell("x = '<p>中'"),
    ]
    page = as_html(new_notebook(cells=cells), {}, "a", [], [])
    assert re.search(r'<h2[^>]* lang="zh">1. 损失', page)
    assert re.search(r"<h2(?![^>]*lang)[^>]*>1. Losses", page)
    assert '<p lang="zh">中文 text' in page
    assert "<p>English 中" in page
    assert '<li lang="zh">甲' in page
    assert page.count('lang="zh"') == 3


def test_nothing_of_a_students_is_run_or_fetched(page: str) -> None:
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "<img src=x" not in page
    assert 'href="javascript' not in page
    assert "$E=1$" in page  # a formula of theirs is not drawn
    assert not re.search(r"part[0-9a-f]{32}", page)


def test_a_formula_that_cannot_be_drawn_is_shown_as_written() -> None:
    cell = new_markdown_cell("$\\nosuch{x}$", metadata={"nbgrader": {"grade_id": "text"}})
    assert "<code>\\nosuch{x}</code>" in as_html(new_notebook(cells=[cell]), {}, "a", [], [])


def test_norms_of_the_homework_are_drawn() -> None:
    source = r"$\lVert x \rVert_1$"
    cell = new_markdown_cell(source, metadata={"nbgrader": {"grade_id": "text"}})
    page = as_html(new_notebook(cells=[cell]), {}, "a", [], [])
    assert '<img class="formula"' in page
    assert "<code>" not in page


def test_a_cell_without_points_is_not_right_by_that() -> None:
    judged = {
        "right": Judged(0, 0, ""),
        "failed": Judged(0, 0, "NameError"),
        "late": Judged(0, 0, "", reached=False),
    }
    page = as_html(new_notebook(cells=[*map(cell_of_tests, judged)]), judged, "a", [], [])
    kinds = re.findall(r'<div class="said (\w+)" id="(\w+)"', page)
    assert kinds == [("right", "right"), ("wrong", "failed"), ("wrong", "late")]


def test_a_page_without_a_notebook() -> None:
    page = as_page("<x>", score("<x>", 0, 8) + warning("missing: <y>", "没有"))
    assert "&lt;x&gt;: 0 / 8" in page
    assert 'missing: &lt;y&gt;<br><span lang="zh">没有</span>' in page
    assert "<x>" not in page


def test_an_error_in_a_visible_test_is_the_students_unless_the_test_says_more() -> None:
    said = judge._error({"ename": "AssertionError", "evalue": "too large · 过大"})
    assert said == "too large · 过大"
    said = judge._error({"ename": "AttributeError", "evalue": "'NoneType' has no 'backward'"})
    assert said.startswith("Your code failed in a test: AttributeError: 'NoneType' has")
    assert "你的代码在测试中出错：AttributeError" in said
    assert "AssertionError" in judge._error({"ename": "AssertionError", "evalue": ""})
    said = judge._error({"ename": "ValueError", "evalue": "(InvalidArgument)\n  [Hint: 1 != 2]"})
    assert said.count("[Hint: 1 != 2]") == 1


def test_what_students_write_does_not_look_like_points() -> None:
    forged = '<div class="said right"><b>✔ 5 / 5</b></div><p class="x warning">y</p>'
    cells = [new_markdown_cell(forged), new_raw_cell(forged)]
    page = as_html(new_notebook(cells=cells), {}, "title", [], [])
    body = page[page.index("<main>") :]
    assert body.count("✔ 5 / 5") == 2
    for name in ("said", "warning"):
        assert not re.search(f'class="[^"]*{name}', body)


def test_long_cells_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "_KEPT", 1000)
    monkeypatch.setattr(feedback, "_KEPT_IN_ALL", 4000)
    cells = [
        new_markdown_cell("word " * 300),
        *(new_code_cell("x = 1\n" * 300) for _ in range(9)),
    ]
    page = as_html(new_notebook(cells=cells), {}, "title", [], [])
    text = re.sub("<[^<>]*>", "", page)
    assert text.count("cut here") == 10
    assert 400 < text.count("x = 1") <= 4000 / 6


@pytest.mark.parametrize("slow", [False, True])
def test_points_are_shown_where_the_notebook_cannot_be(
    slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(*_: object) -> str:
        while slow:
            pass
        raise RecursionError

    monkeypatch.setattr(judge, "as_html", shown)
    monkeypatch.setattr(judge, "_MOST_SHOWING", 0.2)
    judged = {"right": Judged(2, 2, ""), "wrong": Judged(0, 3, "Too <large>")}
    page = judge._page(new_notebook(cells=[cell_of_tests("right")]), judged, "title", [], [])
    assert "title: 2 / 5" in page
    assert "Too &lt;large&gt;" in page
    assert "cannot be shown" in page
    assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL


def test_deleted_answers_are_not_called_locked_cells() -> None:
    mark = {"nbgrader": {"grade": False, "grade_id": "answer", "solution": True}}
    cells = [new_markdown_cell("# Title"), new_code_cell("", metadata=mark)]
    page = as_html(new_notebook(cells=cells), {}, "a", ["answer"], [])
    assert "The cell for your answer is gone" in page
    assert "作答的单元格被删除了" in page
    assert "originals were run" not in page
