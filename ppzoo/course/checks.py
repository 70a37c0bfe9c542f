# SPDX-License-Identifier: Apache-2.0
"""What hidden tests are written with: questions to the student's notebook, and what is expected.

A hidden test asks for values and judges them: `expect(ask("answer_1") == "B", "...")`. Under
`ppzoo grade` the question goes to the student's kernel and the judging happens in a process that
the student's code has no part in, so that what it did to `assert` or NumPy is of no use, and the
right values never reach it. In a teacher's own notebook, and under nbgrader, both are in one.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

LONGEST_ANSWER = 8 * 2**20  # characters
LARGEST_FILE = 64 * 2**20  # bytes
_SHORT = 100  # characters of an error that may be said twice
_OF_TESTS = re.compile(r"(?<![\w.])_[a-z]| for ")
# What errors say that lead a beginner nowhere, or astray, and what is likely to be the mistake.
_HINTS = (
    (
        re.compile(r"name '([^\W_]\w*)' is not defined"),
        r"Either the cell that should define `\1` has failed itself (look at its error), or `\1` "
        "has another name there: names that are given must stay.",
        r"要么本该定义 `\1` 的单元格自己出错了（请看它的报错），要么 `\1` 被改了名："
        "题目给出的名称须保持不变。",
    ),
    (
        re.compile(r"backward twice"),
        "Two losses share a graph, which the first backward has used up. Detach the generated "
        "pictures that D learns from, fake.detach(); retain_graph=True only hides it.",
        "两个损失共用一张计算图，而它在第一次 backward 后已释放。供 D 学习的生成图片应先分离："
        "fake.detach()；retain_graph=True 只会掩盖问题。",
    ),
)


class Wrong(AssertionError):
    """An answer that is not right; the message is feedback for the student."""


class Notebook(Protocol):
    """Where questions go."""

    folder: Path

    def evaluate(self, expression: str, before: str) -> str:
        """Return the value of an expression as JSON, after some statements.

        Raises:
            Wrong: it cannot be had.
        """


class Namespace:
    """Answer from Python objects in this process.

    Args:
        execute: run statements.
        evaluate: return the value of an expression.
        folder: where files that the student made are.
    """

    def __init__(
        self,
        execute: Callable[[str], Any],
        evaluate: Callable[[str], Any],
        folder: Path | None = None,
    ) -> None:
        self._execute, self._evaluate = execute, evaluate
        self.folder = folder or Path.cwd()

    def evaluate(self, expression: str, before: str) -> str:
        """Return the value of an expression as JSON, after some statements."""
        try:
            if before:
                self._execute(before)
            return self._evaluate(as_json(expression))
        except Exception as error:
            raise failed(expression, type(error).__name__, str(error)) from error


def as_json(expression: str) -> str:
    """Return an expression for another one's value as JSON: tensors and arrays become lists."""
    return f'__import__("json").dumps(({expression}), default=lambda value: value.tolist())'


class NotComputed(Wrong):
    """There is no answer, since the student's code failed."""


def failed(expression: str, name: str, text: str) -> NotComputed:
    """Return what to raise where a question ended in an error."""
    why = f"{name}: {text[:500]}"
    hint = hint_of(text)
    if _OF_TESTS.search(expression):  # names and loops of the tests, which no student has seen
        return NotComputed(
            in_both("Your code failed in a test", "你的代码在测试中出错", why) + hint
        )
    return NotComputed(
        in_both(f"`{expression}` could not be computed", f"无法计算 `{expression}`", why) + hint
    )


def in_both(english: str, chinese: str, why: str) -> str:
    """Return what went wrong in both languages, and once what Python says of it if that is long."""
    if "\n" in why or len(why) > _SHORT:
        return f"{english}:\n{chinese}：\n{why}"
    return f"{english}: {why}\n{chinese}：{why}"


def hint_of(text: str) -> str:
    """Return lines in both languages that explain the text of an error, none if it is unknown."""
    for pattern, english, chinese in _HINTS:
        if found := pattern.search(text):
            return f"\n{found.expand(english)}\n{found.expand(chinese)}"
    return ""


_asked: list[Notebook] = []


def ask(expression: str, before: str = "") -> Any:
    """Return a value from the student's notebook.

    Args:
        expression: of numbers, texts, lists, dictionaries, arrays and tensors.
        before: statements to run first, in the same namespace: begin their names with `_`.

    Raises:
        Wrong: the student's code failed, or the value is nothing of the above or too long.
    """
    notebook = _asked[-1] if _asked else _own_notebook()
    text = notebook.evaluate(expression, before)
    if len(text) > LONGEST_ANSWER:
        raise failed(expression, "ValueError", "the value is too long")
    return json.loads(text)


def expect(condition: bool, english: str, chinese: str) -> None:
    """Refuse an answer unless a condition holds.

    Args:
        condition: what holds where the answer is right.
        english: feedback for a wrong answer: what is likely to be the mistake.
        chinese: the same.

    Raises:
        Wrong: it does not hold.
    """
    if not condition:
        raise Wrong(f"{english}\n{chinese}")


def close(value: Any, wanted: float, tolerance: float = 1e-4) -> bool:
    """Tell whether an answer is a number near another."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value - wanted) <= tolerance * max(1.0, abs(wanted))


def handed_in(name: str) -> Path:
    """Return a copy of a file that the student's code made or that came with the notebook.

    A copy, since the student's code may go on running, and put a link to somebody else's picture in
    its place after it was looked at.

    Raises:
        Wrong: there is none of that name, or it is a link or very large.
    """
    folder = (_asked[-1] if _asked else _own_notebook()).folder
    try:
        with open(_opened(folder, Path(name).parts), "rb") as file:
            status = os.fstat(file.fileno())
            is_fine = stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_FILE
            # It may be growing.
            content = file.read(LARGEST_FILE) if is_fine else b""
    except FileNotFoundError:
        raise Wrong(
            f"There is no file {name!r}. If a cell above ended in an error, begin there; if not, "
            "look whether the file is written, and by this name.\n"
            f"没有找到文件 {name!r}。如果上方有单元格出错，请先解决它；"
            "否则请检查是否写入了该文件，名称是否正确。"
        ) from None
    except OSError:
        is_fine = False
    if not is_fine:
        raise Wrong(
            f"{name!r} must be a file of at most {LARGEST_FILE >> 20} MB, and no link\n"
            f"{name!r} 应为不超过 {LARGEST_FILE >> 20} MB 的普通文件，不能是链接"
        )
    copies = tempfile.mkdtemp(prefix="handed-in-")
    atexit.register(shutil.rmtree, copies, ignore_errors=True)
    copy = Path(copies, Path(name).name)
    copy.write_bytes(content)
    return copy


def _opened(folder: Path, parts: tuple[str, ...]) -> int:
    """Open a file of a folder without following a link on the way."""
    if os.open not in os.supports_dir_fd:  # Windows, in a notebook of one's own
        return os.open(folder.joinpath(*parts), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    # The folder itself may have been replaced, too: the student's code may write where it lies.
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        # A pipe would be waited for.
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)


class asking:
    """Send the questions of a `with` block to a notebook.

    Args:
        notebook: where they go.
    """

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    def __enter__(self) -> None:
        _asked.append(self._notebook)

    def __exit__(self, *_: object) -> None:
        _asked.pop()


def _own_notebook() -> Notebook:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("hidden tests run in notebooks, or under `ppzoo grade`")
    return Namespace(shell.ex, shell.ev)
