# SPDX-License-Identifier: Apache-2.0
"""Finds the blocks of code on our pages, their commands, and the marks of what is not executed.

A mark stands on the lines right before a block, where readers of the page do not see it:

    <!-- not executed by tests: REASON -->
    <!-- not executed by tests (`make demo`, `make test`): REASON -->

The first one exempts the whole block, the second one the commands that begin with these words.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

from ..runs import ROOT

# Languages whose blocks are executed, and those of outputs, trees and changes, which are shown.
SHELL = ("bash", "sh", "shell", "console")
EXECUTED = (*SHELL, "python", "yaml", "bat")
SHOWN = ("", "text", "diff")

_FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>```+|~~~+)\s*(?P<language>[^\s`]*)")
_MARK = re.compile(
    r"^\s*<!-- not executed by tests(?: \((?P<commands>`[^()]*`)\))?: *(?P<reason>.*?) *-->$"
)
# What the commands begin with that a page should not show without their being executed.
_OURS = re.compile(r"\s*(?:[$>%] +)?(?:\w+=\S+ +)*(?:\S*/)?(?:ppzoo|python[\d.]*|pip3?|make) +\S")
_OPERATORS = {"|", "&&", "||", ";", ">", ">>", "<", "&"}


@dataclasses.dataclass(frozen=True)
class Mark:
    """Says why something is not executed.

    Attributes:
        reason: in words.
        commands: what the exempted commands begin with; none for a whole block.
    """

    reason: str
    commands: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Command:
    """A line of a shell, with those that continue it.

    Attributes:
        text: as it stands there, without its comment.
        words: what the shell makes of it.
        mark: why it is not executed, or None.
    """

    text: str
    words: tuple[str, ...]
    mark: Mark | None = None

    @property
    def is_plain(self) -> bool:
        """Return whether one program runs with these words, and nothing else."""
        return not _OPERATORS & set(self.words) and not re.match(r"\w+=", self.words[0])


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page, line: where it is; the line is that of the fence.
        language: after the fence.
        text: what is in it.
        marks: right before it.
    """

    page: Path
    line: int
    language: str
    text: str
    marks: tuple[Mark, ...] = ()

    @property
    def place(self) -> str:
        """Return where the block is, in words."""
        return f"{self.page.name}:{self.line}"

    @property
    def mark(self) -> Mark | None:
        """Return why none of it is executed, or None."""
        return next((mark for mark in self.marks if not mark.commands), None)

    def commands(self) -> list[Command]:
        """Return the commands of a block of shell code."""
        lines = self.text
        if self.language == "console":  # with prompts, and outputs between them
            lines = "\n".join(re.findall(r"^\$ (.*(?:\\\n.*)*)", lines, re.MULTILINE))
        found = []
        for line in lines.replace("\\\n", " ").splitlines():
            words = tuple(shlex.split(line, comments=True))
            if words:
                text = re.sub(r"\s+#.*", "", " ".join(line.split()))
                found.append(Command(text, words, self._mark_of(text)))
        return found

    def _mark_of(self, command: str) -> Mark | None:
        marks = [mark for mark in self.marks if any(map(command.startswith, mark.commands))]
        return marks[0] if marks else self.mark

    def problems(self) -> list[str]:
        """Return what is wrong with the block's marks and language."""
        if self.language in SHOWN or self.language.startswith("{"):
            found = [f"{self.place}: a mark before a block of {self.language!r}"] * bool(self.marks)
            for line in filter(_OURS.match, self.text.splitlines()):
                found.append(f"{self.place}: `{line.strip()}` looks like a command: use bash")
            return found
        if self.language not in EXECUTED:
            return [f"{self.place}: no test knows how to execute {self.language!r}"]
        found = [f"{self.place}: a mark without a reason" for mark in self.marks if not mark.reason]
        if self.language == "bat" and not self.mark:
            found.append(f"{self.place}: tests have no Windows, so this needs a mark")
        texts = [c.text for c in self.commands()] if self.language in SHELL else []
        for start in (start for mark in self.marks for start in mark.commands):
            if not any(text.startswith(start) for text in texts):
                found.append(f"{self.place}: a mark names {start!r}, and no command begins so")
        return found


def pages() -> list[Path]:
    """Return the pages whose blocks are executed."""
    folders = [ROOT / "docs", ROOT / "homework"]
    found = [*sorted(ROOT.glob("README*.md")), ROOT / "CONTRIBUTING.md"]
    found += [page for folder in folders for page in sorted(folder.rglob("*.md"))]
    return [*found, ROOT / "notebooks" / "README.md"]


def blocks(page: Path, text: str | None = None) -> list[Block]:
    """Return the fenced blocks of a page, or of a text that is taken for one."""
    lines = (page.read_text(encoding="utf-8") if text is None else text).splitlines()
    found: list[Block] = []
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if not opening:
            number += 1
            continue
        indent, first = len(opening["indent"]), number
        closing = re.compile(rf"^\s*{re.escape(opening['fence'])}\s*$")
        number += 1
        while number < len(lines) and not closing.match(lines[number]):
            number += 1
        assert number < len(lines), f"{page.name}:{first + 1}: a block that does not end"
        body = "\n".join(line[indent:] for line in lines[first + 1 : number])
        marks = _marks_before(lines, first)
        found.append(Block(page, first + 1, opening["language"].lower(), body + "\n", marks))
        number += 1
    return found


def stray_marks(page: Path) -> int:
    """Return how many marks of a page are not right before a block."""
    text = page.read_text(encoding="utf-8")
    marks = re.findall(r"^\s*<!-- not executed", text, re.MULTILINE)
    return len(marks) - sum(len(block.marks) for block in blocks(page))


def _marks_before(lines: list[str], number: int) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    while number and (match := _MARK.match(lines[number - 1])):
        commands = re.findall(r"`([^`]+)`", match["commands"] or "")
        marks.insert(0, Mark(match["reason"], tuple(commands)))
        number -= 1
    return tuple(marks)
