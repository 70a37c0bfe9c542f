# SPDX-License-Identifier: Apache-2.0
"""Executes what a block of a page says, in its world."""

from __future__ import annotations

import argparse
import ast
import contextlib
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
from ppzoo.course.cage import missing_isolation
from ppzoo.course.checks import Namespace, asking

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
    # Of the homework whose hidden test is shown.
    "paddle": lambda: __import__("paddle"),
    "d_loss": lambda: lambda real, fake: ((real - 1) ** 2).mean() + (fake**2).mean(),
}
# Configs that a page's parts of configs are laid over.
BASES = {"metrics.md": "configs/wav2lip.yaml"}
# Where pages say that `ppzoo serve` listens; here it takes another port, which is free.
ADDRESS = "http://127.0.0.1:8000"
# Programs that are run as they are, and those of others, which need a mark and are not checked.
HARMLESS = re.compile(r"(git|ls|mkdir|source|curl .*http://127\.0\.0\.1|make (demo|help))\b")
# Seconds that a program may take, on a machine that others use.
PATIENCE = 600
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
        self.server: subprocess.Popen[str] | None = None
        self._address = ""

    def close(self) -> None:
        """End the server, if there is one."""
        if self.server:
            self.server.kill()
            self.server.communicate()

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
        if is_plain and program == "ppzoo" and words[0] == "serve":
            return self._serve(words)
        if is_plain and program == "cd":
            os.chdir(words[0])
            return 0
        if is_plain and program == "ppzoo":
            if words[:1] == ["grade"] and missing_isolation():
                words.append("--weak-isolation")  # nothing is handed in, and nothing is run
            return _ended(lambda: cli.main(words))
        if is_plain and program == "python":
            return _ended(lambda: _interpreted(words))
        assert HARMLESS.match(text), f"`{text}` changes more than a folder: it needs a mark"
        if self._address:  # and what is not answered by a picture is a failure
            text = text.replace(ADDRESS, self._address).replace("curl ", "curl --fail --silent ")
        return _said(["bash", "-c", text])

    def _serve(self, words: Sequence[str]) -> int:
        """Start a server at a free port, which runs until the page's end."""
        # Choosing among backends takes longer than all that it is asked here.
        more = ("--port", "0", "--backend", "dynamic")
        self.server = subprocess.Popen(
            [sys.executable, "-m", "ppzoo", *words, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in self.server.stdout:
            if line.startswith("serving: "):
                self._address = line.split()[1]
                return 0
            sys.stdout.write(line)
        return self.server.wait() or 1

    def _python(self, block: Block) -> None:
        text = self.world.prepare(block.text)
        for name, make in NAMES.items():
            if name not in self.names and re.search(rf"\b{name}\b", text):
                self.names[name] = make()
        code = compile(text, block.place, "exec")
        with contextlib.ExitStack() as stack:
            if "HIDDEN TESTS" in text:  # which ask a notebook
                stack.enter_context(asking(Namespace(self._executed, self._evaluated)))
            exec(code, self.names)  # noqa: S102

    def _executed(self, text: str) -> None:
        exec(text, self.names)  # noqa: S102

    def _evaluated(self, text: str) -> Any:
        return eval(text, self.names)  # noqa: S307

    def _yaml(self, block: Block) -> None:
        text = self.world.prepare(block.text)
        if base := BASES.get(block.page.name):
            text = f"_base_: {base}\n{text}"
        path = self.world.folder / "of_this_page.yaml"
        path.write_text(text, encoding="utf-8")
        assert not load_config(path, check=True).warnings


def _said(command: Sequence[str]) -> int:
    """Run a program, repeat what it says, and return its exit code."""
    done = subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE)
    sys.stdout.write(done.stdout.decode(errors="replace"))
    sys.stderr.write(done.stderr.decode(errors="replace"))
    return done.returncode


def _interpreted(words: Sequence[str]) -> int:
    """Run a script, tests, or `-c` and code, as `python` does, and return the exit code.

    What is of tools/ runs here, and what a page has made in a process of its own.
    """
    is_made = Path(words[0]).is_file() and not words[0].startswith("tools/")
    if is_made or words[:2] == ["-m", "pytest"]:
        return _said([sys.executable, "-B", *words])
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
    if Path(path).is_file() and not (ROOT / path).is_file():  # that the page has made
        return
    assert (ROOT / path).is_file(), path
    module = script(Path(path).stem)
    if path == "tools/main.py":
        parser = argparse.ArgumentParser()
        cli._add_run_arguments(parser)
        file = parser.parse_args(words).config_file
        assert not str(file).startswith("configs/") or (ROOT / file).is_file(), file
    elif hasattr(module, "build_parser"):
        module.build_parser().parse_args(words)
