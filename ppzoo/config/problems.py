# SPDX-License-Identifier: Apache-2.0
"""Where a value of a config was written, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ppzoo.errors import ConfigError, NotHereYetError
from ppzoo.registry import suggest


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a value was written: a line of a file, or an override.

    Args:
        file: the file as the user named it, or `-o`.
        line: counted from 1; 0 for an override.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


OVERRIDE = Origin("-o")
MAX_LISTED = 20


@dataclasses.dataclass(frozen=True)
class Problem:
    """One mistake in a config.

    Args:
        origin: where it was written.
        where: its dotted path, such as `model.generator`, empty for the file as a whole.
        text: what is wrong and what to do about it.
        lacking: the names of PaddleGAN's that ppzoo does not have, if that is what is wrong.
    """

    origin: Origin
    where: str
    text: str
    lacking: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.origin} {self.where}" if self.where else str(self.origin)
        return f"{place}: {self.text}"


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise one error that lists all problems in the order of files and lines, if there are any.

    Raises:
        NotHereYetError: nothing is wrong but that ppzoo does not have what PaddleGAN has.
        ConfigError: one line for each problem.
    """
    ordered = sorted(problems, key=lambda problem: (problem.origin.file, problem.origin.line))
    lines = dict.fromkeys(str(problem) for problem in ordered)
    if ordered and all(problem.lacking for problem in ordered):
        names = dict.fromkeys(name for problem in ordered for name in problem.lacking)
        raise NotHereYetError("\n".join(lines), tuple(names))
    if lines:
        raise ConfigError("\n".join(lines))


def suggest_or_list(name: Any, known: Iterable[Any], before: str = "known are") -> str:
    """Return "; did you mean 'x'?", or the known names where none is close and they are few."""
    known = [str(item) for item in known]
    listed = f"; {before} {', '.join(known)}" if 0 < len(known) <= MAX_LISTED else ""
    return suggest(str(name), known) or listed


def shown(value: Any) -> str:
    """Return `value` as an error message quotes it: on one line, not too long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
