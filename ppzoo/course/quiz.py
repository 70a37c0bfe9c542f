# SPDX-License-Identifier: Apache-2.0
"""Questions with several answers, which students check themselves as often as they like.

What is in the students' file cannot be read at a glance: the right answer is a salted hash, and
what is said of an option is readable for who chose it. Whoever tries all answers by a program gets
in, as with any check that works offline; points come from the hidden tests.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppzoo.course.checks import Wrong, ask
from ppzoo.errors import DataError

_COST = 2**12


@dataclasses.dataclass(frozen=True)
class Key:
    """What the teacher knows of a question.

    Args:
        right: letters of the right options, such as `AC`.
        why: for each option, why it is right or wrong, in English and in Chinese.
    """

    right: str
    why: Mapping[str, tuple[str, str]]


class Verdict:
    """What a student is told; shown as text.

    Args:
        right: whether the answer is.
        lines: what to say about it.
    """

    def __init__(self, right: bool, lines: list[str]) -> None:
        self.right, self.lines = right, lines

    def __repr__(self) -> str:
        return "\n".join(self.lines)


class Quiz:
    """The questions of a day, sealed.

    Args:
        path: a file that `seal` made the content of.

    Raises:
        DataError: it is missing or damaged.
    """

    def __init__(self, path: str | os.PathLike[str] = "quiz.json") -> None:
        try:
            self._questions = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(
                f"{path} is missing: open the notebook from the folder that it came in"
            ) from None
        except ValueError as error:
            raise DataError(f"{path} is damaged: get the homework again") from error

    def check(self, question: str, answer: Any) -> Verdict:
        """Say what is right and wrong about an answer, without telling the right one.

        Args:
            question: its name.
            answer: letters, as "B" or "ACD", in any order.

        Raises:
            DataError: there is no such question.
        """
        if question not in self._questions:
            raise DataError(f"there is no question {question!r}")
        sealed = self._questions[question]
        letters = normalised(answer)
        salt = bytes.fromhex(sealed["salt"])
        said = {}
        for letter in letters or "":
            if letter in sealed["options"]:
                text = _mixed(base64.b64decode(sealed["options"][letter]), salt, letter)
                said[letter] = json.loads(text)
        right = _hashed(letters or "", salt) == sealed["hash"]
        return _verdict(letters, "".join(sealed["options"]), said, right)


def normalised(answer: Any) -> str | None:
    """Return the letters of an answer in order, each once; None where it is no answer."""
    if isinstance(answer, list | tuple | set):
        answer = "".join(map(str, answer))
    if not isinstance(answer, str):
        return None
    # Chinese keyboards also write letters of full width, which look like these.
    plain = unicodedata.normalize("NFKC", answer).upper()
    letters = sorted({one for one in plain if one.isalpha()})
    return "".join(letters) or None


def seal(name: str, key: Key) -> dict[str, Any]:
    """Return what students get of a question.

    Args:
        name: the question's, which the salt is made from.
        key: the answer, and what to say of each option.
    """
    salt = hashlib.sha256(f"ppzoo homework {name}".encode()).digest()[:16]
    options = {}
    for letter, why in sorted(key.why.items()):
        text = json.dumps([letter in key.right, *why], ensure_ascii=False).encode()
        options[letter] = base64.b64encode(_mixed(text, salt, letter)).decode()
    letters = normalised(key.right) or ""
    return {"salt": salt.hex(), "hash": _hashed(letters, salt), "options": options}


def judge(expression: str, right: str, why: Mapping[str, tuple[str, str]]) -> None:
    """Ask for a student's answer, in a hidden test.

    Args:
        expression: the variable that holds it.
        right, why: as in `Key`.

    Raises:
        Wrong: it is not right; with the feedback for what was chosen.
    """
    letters = normalised(ask(expression))
    said = {one: [one in right, *why[one]] for one in letters or "" if one in why}
    verdict = _verdict(letters, "".join(sorted(why)), said, letters == normalised(right))
    if not verdict.right:
        raise Wrong(repr(verdict))


def _verdict(
    letters: str | None, options: str, said: Mapping[str, list[Any]], right: bool
) -> Verdict:
    if letters is None:
        return Verdict(False, ["Not answered yet. · 尚未作答。"])
    lines = ["Right! · 回答正确！" if right else "Not quite. · 还不完全对。"]
    for letter in letters:
        if letter not in said:
            lines.append(f"{letter}: there are only {options}. · 选项只有 {options}。")
            continue
        is_right, english, chinese = said[letter]
        lines += [f"{'✔' if is_right else '✘'} {letter}: {english}", f"     {chinese}"]
    if (
        not right
        and said
        and all(entry[0] for entry in said.values())
        and len(said) == len(letters)
    ):
        lines.append(
            "What you chose is right, but something is missing. · 所选均正确，但还有遗漏。"
        )
    return Verdict(right, lines)


@functools.lru_cache(maxsize=1024)
def _hashed(letters: str, salt: bytes) -> str:
    return hashlib.scrypt(letters.encode(), salt=salt, n=_COST, r=8, p=1).hex()


def _mixed(text: bytes, salt: bytes, letter: str) -> bytes:
    stream = hashlib.shake_256(salt + letter.encode()).digest(len(text))
    return bytes(one ^ other for one, other in zip(text, stream, strict=True))
