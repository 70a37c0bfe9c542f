# SPDX-License-Identifier: Apache-2.0
"""What hidden tests are written with."""

from __future__ import annotations

import math
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from ppzoo.course import checks
from ppzoo.course.checks import (
    Namespace,
    Wrong,
    ask,
    asking,
    close,
    expect,
    failed,
    handed_in,
    hint_of,
)


@pytest.fixture
def names() -> dict[str, object]:
    return {"np": np}


@pytest.fixture(autouse=True)
def copies(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of copies, which otherwise go when the process ends."""
    folder = tmp_path_factory.mktemp("copies")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, names: dict[str, object]) -> object:
    notebook = Namespace(lambda text: exec(text, names), lambda text: eval(text, names), tmp_path)  # noqa: S102, S307
    with asking(notebook):
        yield notebook


def test_arrays_come_as_lists(names: dict[str, object]) -> None:
    assert ask("[np.eye(2), np.float32(3), 'x', None]") == [[[1, 0], [0, 1]], 3, "x", None]


def test_statements_go_before(names: dict[str, object]) -> None:
    assert ask("_x + 1", "_x = 2") == 3
    assert names["_x"] == 2


def test_errors_of_the_student_are_feedback() -> None:
    with pytest.raises(Wrong, match="ZeroDivisionError") as error:
        ask("1 / 0")
    assert "无法计算" in str(error.value)
    with pytest.raises(Wrong, match="NameError"):
        ask("1", "nothing_of_that_name")
    with pytest.raises(Wrong, match=r"TypeError|AttributeError"):
        ask("object()")


def test_long_answers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LONGEST_ANSWER", 100)
    with pytest.raises(Wrong, match="too long"):
        ask("'x' * 200")


def test_expect_speaks_both_languages() -> None:
    expect(True, "a", "b")
    with pytest.raises(Wrong, match="a\nb"):
        expect(False, "a", "b")


@pytest.mark.parametrize(
    ("value", "near"), [(1.00001, True), (1, True), (1.1, False), (True, False), ("1", False)]
)
def test_close(value: object, near: bool) -> None:
    assert close(value, 1.0) is near
    assert not close(math.nan, 1.0)


def test_files_that_were_handed_in(
    tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.png").write_bytes(b"12345")
    assert handed_in("own.png").read_bytes() == b"12345"
    with pytest.raises(Wrong, match=r"no file 'other\.png'\. If a cell above") as caught:
        handed_in("other.png")
    assert "没有找到文件 'other.png'。如果上方有单元格出错，请先解决它" in str(caught.value)
    monkeypatch.setattr(checks, "LARGEST_FILE", 4)
    with pytest.raises(Wrong, match="at most"):
        handed_in("own.png")
    assert len(list(copies.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_pipes_and_folders_are_no_files(tmp_path: Path, copies: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # which would be waited for
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png"):
        with pytest.raises(Wrong, match="must be a file"):
            handed_in(name)
    writer = os.open(tmp_path / "pipe.png", os.O_RDWR)  # and one that somebody writes to
    try:
        os.write(writer, b"12345")
        with pytest.raises(Wrong, match="must be a file"):
            handed_in("pipe.png")
    finally:
        os.close(writer)
    assert list(copies.iterdir()) == []


def test_links_are_no_files(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other")
    (elsewhere / "theirs.png").write_bytes(b"1")
    (tmp_path / "mine.png").symlink_to(elsewhere / "theirs.png")
    (tmp_path / "folder").symlink_to(elsewhere)
    for name in ("mine.png", "folder/theirs.png"):
        with pytest.raises(Wrong, match="no link"):
            handed_in(name)
    (tmp_path / "work").symlink_to(elsewhere)
    replaced = Namespace(str, str, tmp_path / "work")
    with asking(replaced), pytest.raises(Wrong, match="no link"):
        handed_in("theirs.png")


def test_names_that_stand_in_tests_only_are_not_shown_to_students() -> None:
    said = str(failed("list(_net(_pictures).shape)", "TypeError", "'NoneType' is no picture"))
    assert "_net" not in said
    assert "你的代码在测试中出错：TypeError: 'NoneType' is no picture" in said
    assert "beta1_pow" not in str(failed("[k for k in beta1_pow]", "TypeError", "none"))
    assert "`answer_1.my_part`" in str(failed("answer_1.my_part", "NameError", "none"))


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("name 'd_loss' is not defined", "names that are given must stay", "题目给出的名称"),
        ("You calculate backward twice for the same subgraph", "fake.detach()", "应先分离"),
    ],
)
def test_errors_that_lead_beginners_astray_are_explained(
    text: str, english: str, chinese: str
) -> None:
    said = str(failed("float(d_loss(1, 2))", "Error", text)).splitlines()
    assert english in said[-2]
    assert chinese in said[-1]


@pytest.mark.parametrize("text", ["(InvalidArgument) shapes\n  [Hint: 1 != 2]", "w" * 101])
@pytest.mark.parametrize("expression", ["_net(1)", "net(1)"])
def test_long_errors_are_printed_once(expression: str, text: str) -> None:
    said = str(failed(expression, "ValueError", text))
    assert said.count(text) == 1
    english, chinese, first = said.splitlines()[:3]
    assert re.search("(failed in a test|be computed):$", english)
    assert re.search("(在测试中出错|无法计算.*)：$", chinese)
    assert first == f"ValueError: {text}".splitlines()[0]
    assert str(failed(expression, "ValueError", "short")).count("ValueError: short") == 2


def test_names_of_tests_and_unknown_errors_get_no_hint() -> None:
    assert hint_of("name '_net' is not defined") == ""
    assert hint_of("division by zero") == ""
