# SPDX-License-Identifier: Apache-2.0
"""Every command line on our pages is one that the programs take."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from ppzoo import cli

from .runs import ROOT, script

PAGES = [
    *sorted(ROOT.glob("README*.md")),
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
# What else is called on them, and is not ours to check.
OTHERS = {"pip", "make", "git", "pre-commit", "pytest", "source", "cd", "curl", "docker", "jupyter"}


def commands(page):
    """The commands of a page's blocks of shell code, as words; of a pipeline, the first."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(
        r"^```(?:bash|sh|shell|console)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[: line.index("|")] if "|" in line else line for line in words if line]


def check(words):
    """Parse a command, and return whether it is one of ours."""
    while re.fullmatch(r"\w+=.*", words[0]):  # settings of its environment
        words = words[1:]
    program, *words = [Path(words[0]).name, *words[1:]]
    if program == "python" and "-m" in words:
        program, *words = words[words.index("-m") + 1 :]
    if program == "paddle.distributed.launch":
        script_at = next(i for i, word in enumerate(words) if word.endswith(".py"))
        program, words = "python", words[script_at:]
    if program == "python3" and words[:2] == ["-m", "venv"]:
        return False
    if program == "python" and words[0] == "-c":
        compile(words[1], "-c", "exec")
        return False
    if program == "ppzoo":
        cli._parser(words).parse_args(words)
        return True
    if program != "python":
        assert program in OTHERS, program
        return False
    path = ROOT / words.pop(0)
    if path.name == "main.py":
        parser = argparse.ArgumentParser()
        cli._add_run_arguments(parser)
        parser.add_argument("--list", action="store_true")
        file = parser.parse_args(words).config_file
        assert not str(file).startswith("configs/") or (ROOT / file).is_file(), file
        return True
    assert path.is_file(), path
    has_parser = hasattr(module := script(path.stem), "build_parser")
    if has_parser:
        module.build_parser().parse_args(words)
    return has_parser


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_understood(page):
    lines = commands(page)
    for words in [words for words in lines if words[-1] == "--help"]:
        lines.remove(words)
        with pytest.raises(SystemExit) as end:
            check(words)
        assert end.value.code == 0
    found = [check(words) for words in lines]
    if page.name in ("README.md", "README.zh-CN.md", "use.md", "migrating.md", "weights.md"):
        assert sum(found) > 8
