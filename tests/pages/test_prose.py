# SPDX-License-Identifier: Apache-2.0
"""The two languages of our pages stand in lines of their own, and Chinese is not broken."""

from __future__ import annotations

import pytest

from ..runs import ROOT
from .prose import problems
from .spans import Text, sources, texts


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_languages_stand_apart(path):
    assert [problem for text in texts(path) for problem in problems(text)] == []


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("A sentence.\n一句话。", 1),
        ("Two lines,\nand `code`.\n`code` 是代码。", 1),
        ("- A sentence (in a list).\n  **一句**话。", 1),
        ("A sentence.\\\n一句话。", 0),
        ("A sentence.  \n一句话。", 0),
        ("A sentence.\n\n一句话。", 0),
        ("Of one name,\nDCGAN 生成器, and more.", 0),  # no sentence ends there
        ("一句没有\n说完的话。", 1),
        ("说完的话，\n又一句话。", 1),
        ("一句话。\\\n又一句话。", 0),
        ("一句带有\nDCGAN 的话。", 0),  # a blank belongs there
        ("```text\nA sentence.\n一句话。\n```", 0),
        ("| A sentence. |\n|---|\n| 一句话。 |", 0),
    ],
)
def test_what_is_wrong_is_found(lines, count):
    assert len(list(problems(Text("page", lines)))) == count
