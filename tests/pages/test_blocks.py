# SPDX-License-Identifier: Apache-2.0
"""Blocks are found with their marks; marks that mean nothing are told, and wrong commands."""

from __future__ import annotations

import pytest

from ..runs import ROOT
from .blocks import Command, Mark, blocks
from .running import check
from .world import smaller

PAGE = ROOT / "README.md"


def of(text):
    return blocks(PAGE, text)


def command(text):
    return Command(text, tuple(text.split()))


def test_blocks_and_their_languages():
    found = of(
        "a\n```bash\nls\n```\n- b\n\n  ~~~python\n  if x:\n      y\n  ~~~\n````\n```\n````\n"
    )
    assert [(b.line, b.language, b.text) for b in found] == [
        (2, "bash", "ls\n"),
        (7, "python", "if x:\n    y\n"),
        (11, "", "```\n"),
    ]
    with pytest.raises(AssertionError, match=r"README\.md:2: a block that does not end"):
        of("a\n```bash\nls\n")


def test_commands_go_on_over_lines_and_lose_their_comments():
    (block,) = of("```bash\n# first\nppzoo list \\\n  models  # all\n\nls -l | head\n```\n")
    assert [(c.text, c.is_plain) for c in block.commands()] == [
        ("ppzoo list models", True),
        ("ls -l | head", False),
    ]
    assert block.commands()[0].words == ("ppzoo", "list", "models")
    (block,) = of("```console\n$ ppzoo list\nmodels (3):\n$ ls\n```\n")
    assert [c.text for c in block.commands()] == ["ppzoo list", "ls"]


def test_marks_exempt_a_block_or_some_of_its_commands():
    mark = "<!-- not executed by tests: no GPU -->"
    (block,) = of(f"{mark}\n```python\nx\n```\n")
    assert block.mark == Mark("no GPU")
    some = "<!-- not executed by tests (`make a`, `pip`): reason -->"
    (block,) = of(f"{some}\n```bash\nmake a\nmake b\npip list\n```\n")
    assert block.mark is None
    assert [c.mark is None for c in block.commands()] == [False, True, False]
    assert block.problems() == []
    (block,) = of(f"{mark}\n\n```python\nx\n```\n")
    assert block.mark is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<!-- not executed by tests: -->\n```bash\nls\n```", "a mark without a reason"),
        ("<!-- not executed by tests (`pip`): x -->\n```bash\nls\n```", "no command begins so"),
        ("<!-- not executed by tests: x -->\n```text\nls\n```", "a mark before a block of 'text'"),
        ("```cobol\nls\n```", "no test knows how to execute 'cobol'"),
        ("```bat\ndir\n```", "tests have no Windows"),
    ],
)
def test_marks_that_mean_nothing(text, problem):
    (block,) = of(text)
    assert [problem in told for told in block.problems()] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "ppzoo predict dcgan --wieghts a",
        "python tools/nothing.py",
        "python tools/main.py -c configs/nothing.yaml",
        "python tools/wav2lip.py --sound a",
        "make nothing",
        "pip install -r nothing.txt",
        "python -m pytest tests/nothing.py",
        "nothing --here",
    ],
)
def test_wrong_commands_are_found_where_they_are_not_executed(text):
    with pytest.raises((AssertionError, SystemExit)):
        check(command(text))


def test_configs_become_smaller_and_stay_what_they_are():
    text = "output_dir: a\ntotal_iters: 600  # of 8\nmodel:\n  name: SyncNetColor\n  ngf: 3\n"
    assert smaller(text) == (
        "output_dir: a\nmax_eval_steps: 2\ntotal_iters: 1\nmodel:\n  name: SyncNetColor\n  ngf: 3\n"
    )
    assert smaller("- name: FID\n") == "- name: FID\n  feature_extractor: digits\n"
