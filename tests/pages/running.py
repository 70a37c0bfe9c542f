# SPDX-License-Identifier: Apache-2.0
"""Executes what a block of a page says, in its world."""

from __future__ import annotations

import argparse
import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ppzoo import cli
from ppzoo.config import load_config

from ..runs import ROOT, script
from . import files
from .blocks import SHELL, Block, Command
from .world import World

# Names that a page's Python speaks of before it has made them.
NAMES: dict[str, Any] = {
    "picture": lambda: files.face(),
    "driving_frames": lambda: [files.face()] * 2,
    "faces": lambda: [files.face()] * 2,
    "mels": lambda: __import__("numpy").zeros([2, 80, 16], "float32"),
}
# Configs that a page's parts of configs are laid over.
BASES = {"metrics.md": "configs/wav2lip.yaml"}
# Programs that are run as they are, and those of others, which need a mark and are not checked.
HARMLESS = re.compile(r"(git|ls|mkdir|source|make (demo|help))\b")
OTHERS = {"cd", "curl", "docker", "git", "jupyter", "pip", "pre-commit", "source", "venv"}


class Runner:
    """Executes the blocks of a page one after the other.

    Args:
        world: where.
        capsys: to say what a command said that failed.
    """

    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world, self.capsys = world, capsys
        self.names: dict[str, Any] = {"__name__": "page"}
        self.counts = {"executed": 0, "marked": 0}

    def run(self, block: Block) -> None:
        """Execute a block, but for what is marked, which is only looked at.

        Raises:
            AssertionError: it does not do what a reader expects.
        """
        os.chdir(self.world.folder)
        if block.language in SHELL:
            for command in block.commands():
                if command.mark is None:
                    self._command(command, block)
                else:
                    check(command)
                self._count(command.mark is None)
            return
        if block.mark is None:
            execute = {"python": self._python, "yaml": self._yaml}
            execute[block.language](block)
        elif block.language == "python":
            ast.parse(block.text)
        self._count(block.mark is None)

    def _count(self, executed: bool) -> None:
        self.counts["executed" if executed else "marked"] += 1

    def _command(self, command: Command, block: Block) -> None:
        text = self.world.prepare(command.text)
        self.capsys.readouterr()
        code = self._code(text, command.is_plain)
        said = self.capsys.readouterr()
        last = "\n".join((said.out + said.err).splitlines()[-12:])
        assert code == 0, f"{block.place}: `{text}` ended with {code}:\n{last}"

    def _code(self, text: str, is_plain: bool) -> int:
        """Return the exit code of a command; those of ours need no process of their own."""
        program, *words = shlex.split(text)
        if is_plain and program == "cd":
            os.chdir(words[0])
            return 0
        if is_plain and program == "ppzoo":
            return _ended(lambda: cli.main(words))
        if is_plain and program == "python":
            return _ended(lambda: _interpreted(words))
        assert HARMLESS.match(text), f"`{text}` changes more than a folder: it needs a mark"
        done = subprocess.run(["bash", "-c", text], check=False, capture_output=True, timeout=60)
        sys.stdout.write(done.stdout.decode(errors="replace"))
        sys.stderr.write(done.stderr.decode(errors="replace"))
        return done.returncode

    def _python(self, block: Block) -> None:
        text = self.world.prepare(block.text)
        for name, make in NAMES.items():
            if name not in self.names and re.search(rf"\b{name}\b", text):
                self.names[name] = make()
        exec(compile(text, block.place, "exec"), self.names)  # noqa: S102

    def _yaml(self, block: Block) -> None:
        text = self.world.prepare(block.text)
        if base := BASES.get(block.page.name):
            text = f"_base_: {base}\n{text}"
        path = self.world.folder / "of_this_page.yaml"
        path.write_text(text, encoding="utf-8")
        assert not load_config(path, check=True).warnings


def _interpreted(words: Sequence[str]) -> int:
    """Run a script of tools/, or `-c` and code, as `python` does, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        if words[0] == "-c":
            exec(words[1], {"__name__": "__main__"})  # noqa: S102
            return 0
        assert words[0].startswith("tools/"), f"`python {shlex.join(words)}` needs a mark"
        patch.setattr(sys, "argv", list(words))
        runpy.run_path(words[0], run_name="__main__")
        return 0


def _ended(call: Any) -> int:
    try:
        return call()
    except SystemExit as end:
        return end.code or 0 if isinstance(end.code, int | None) else 1


def check(command: Command) -> None:
    """Check what can be known of a command that is not executed: files, options, targets.

    Raises:
        AssertionError: it names something that is not there.
        SystemExit: it has options that its program does not have.
    """
    words = list(command.words)
    while re.fullmatch(r"\w+=.*", words[0]):  # settings of its environment
        words = words[1:]
    program, *words = [Path(words[0]).name, *words[1:]]
    program = "python" if program == "python3" else program
    if program == "python" and "-m" in words:
        program, *words = words[words.index("-m") + 1 :]
    if program == "ppzoo":
        cli._parser(words).parse_args(words)
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in (word for word in words if "=" not in word):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    elif program == "pytest":
        for path in (word for word in words if word.startswith("tests/")):
            assert (ROOT / path).exists(), path
    elif program == "python":
        _check_script(*words)
    elif program == "pip":
        for path in (words[i + 1] for i, word in enumerate(words) if word in ("-c", "-r")):
            assert (ROOT / path).is_file(), path
    else:
        assert program in OTHERS, program


def _check_script(path: str, *words: str) -> None:
    assert (ROOT / path).is_file(), path
    module = script(Path(path).stem)
    if path == "tools/main.py":
        parser = argparse.ArgumentParser()
        cli._add_run_arguments(parser)
        file = parser.parse_args(words).config_file
        assert not str(file).startswith("configs/") or (ROOT / file).is_file(), file
    elif hasattr(module, "build_parser"):
        module.build_parser().parse_args(words)
