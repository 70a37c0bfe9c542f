# SPDX-License-Identifier: Apache-2.0
"""Checks code within sentences: commands, options, files, settings of configs, names of Python."""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import inspect
import itertools
import re
import runpy
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ppzoo import cli
from ppzoo.apps import PREDICTORS
from ppzoo.config import load_config
from ppzoo.errors import ConfigError

from ..runs import ROOT, SMOKE
from .blocks import SHELL, blocks
from .spans import Sentences, Text

# What a value may be instead of itself: FILE, iter_N_weight.pdparams, ..., <family>, 上.
_PLACEHOLDER = re.compile(r"(?<![a-z])[A-Z][A-Z_]*(?![a-z])|\.\.\.|…|<|[^\x00-\x7f]")
_OVERRIDE = re.compile(r"[a-z]\w*(\.\w+)+=[^=].*")
_NAME = re.compile(r"(?<![\w./+-])(?:ppzoo|ppgan)(?:\.[A-Za-z_]\w*)+(?![\w/*-])")
_FOLDERS = "configs|constraints|docs|homework|notebooks|ppgan|ppzoo|tests|tools"
_PATH = re.compile(rf"(?<![\w./-])(?:{_FOLDERS})/[\w.*/-]*")
# What stands before a command that is spoken of by its second word, or by the name of its file.
_BEFORE = (["ppzoo"], *(["ppzoo", name] for name in ("predict", "weights", "data", "measure")))
# Modules whose functions and classes sentences call without saying where they are.
_HOMES = ("ppzoo", "ppzoo.figures", "ppgan.apps")

Command = tuple[str, ...]


class Problem(Exception):
    """Says what is wrong with a mention."""


class _Found(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


class _Lenient(list[Any]):
    """Choices, with placeholders among them."""

    def __contains__(self, value: object) -> bool:
        return super().__contains__(value) or bool(_PLACEHOLDER.search(str(value)))


def is_placeholder(word: str) -> bool:
    """Return whether a word stands for something that readers have to put in its place."""
    return bool(_PLACEHOLDER.search(word))


def _refuse(message: str) -> None:
    raise Problem(message)


def _relax(parser: argparse.ArgumentParser) -> None:
    """Let a parser take commands that leave something out or have placeholders, and no others."""
    parser.error = _refuse
    parser.allow_abbrev = False
    for group in parser._mutually_exclusive_groups:
        group.required = False
    for action in parser._actions:
        action.required = False
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _relax(command)
            continue
        if action.choices is not None:
            action.choices = _Lenient(action.choices)
        kind = parser._registry_get("type", action.type, action.type)
        action.type = lambda text, kind=kind: text if is_placeholder(text) else kind(text)
        if action.nargs == 0:  # such as --version, which says it and exits
            action.__class__, action.const = argparse._StoreConstAction, True


@functools.cache
def _script_parser(path: str) -> argparse.ArgumentParser | None:
    """Return the parser of a script, or None if it has none."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if "ArgumentParser" not in text and "main_tool" not in text:
        return None

    def parse(parser: argparse.ArgumentParser, *_: Any) -> None:
        raise _Found(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [path])
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        try:
            runpy.run_path(str(ROOT / path), run_name="__main__")
        except _Found as found:
            _relax(found.parser)
            return found.parser
    raise AssertionError(f"{path} does not read its options")


def _own_parser(*words: str) -> argparse.ArgumentParser:
    return _parser_of(words[:2] if words[:2] in cli.SPECIAL else words[:1])


@functools.cache
def _parser_of(words: Command) -> argparse.ArgumentParser:
    parser = cli._parser(list(words))
    _relax(parser)
    return parser


@functools.cache
def _targets() -> tuple[frozenset[str], str]:
    """Return the targets of the Makefile, and its text."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):", text, re.MULTILINE)), text


def commands(span: str) -> Iterator[Command]:
    """Yield the commands of ours in a span of code.

    Each begins with `ppzoo`, `make`, or the path of a script in tools/.
    """
    for part in re.split(r"\s*(?:;|&&|\|)\s*", span):
        try:
            words = shlex.split(part)
        except ValueError:  # no command
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # settings of its environment
            words = words[1:]
        words = [word for word in words if word not in ("...", "…")]
        if words[:2] == ["python", "-m"] and words[2:]:
            if words[2] in ("ppzoo", "my_gan", "my_project"):
                words = ["ppzoo", *words[3:]]
            elif words[2] == "paddle.distributed.launch":
                words = words[next((i for i, w in enumerate(words) if "/" in w), len(words)) :]
        elif words[:1] == ["python"]:
            words = words[1:]
        if words[1:] and re.fullmatch(r"[\w-]+\.py", words[0]) and is_file(f"tools/{words[0]}"):
            words[0] = f"tools/{words[0]}"
        if not words or (words == ["make"]):
            continue
        if words[0] in ("ppzoo", "make") or re.fullmatch(r"tools/.*\.py", words[0]):
            yield tuple(words)
        elif words == [span] and span in PREDICTORS:
            yield ("ppzoo", "predict", span)
        elif any(word.startswith("-") for word in words[1:]):
            yield from _with_its_beginning(words)


def _with_its_beginning(words: Sequence[str]) -> Iterator[Command]:
    """Yield the command that `wav2lip --sound none` or `list --json` is the end of, if it is."""
    for before in _BEFORE:
        known = {**cli.COMMANDS, "train": 0, "eval": 0} if len(before) == 1 else _second(before[1])
        if words[0] in known:
            yield (*before, *words)
            return


@functools.cache
def _second(word: str) -> frozenset[str]:
    """Return what may stand after a subcommand."""
    if word == "predict":
        return frozenset(PREDICTORS)
    parser = next(iter(_subparsers(_own_parser(word))))[word]
    return frozenset(name for choices in _subparsers(parser) for name in choices)


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[dict[str, Any]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield dict(action.choices)


def is_file(path: str) -> bool:
    """Return whether the repository has such a file."""
    return (ROOT / path).is_file()


def check_command(command: Sequence[str]) -> None:
    """Check a command's subcommand, options, values of options, target, and settings of its config.

    Raises:
        Problem: there is no such thing.
    """
    program, *words = command
    if program == "make":
        targets, makefile = _targets()
        for word in words:
            name, is_setting, _ = word.partition("=")
            if is_setting and f"$({name})" not in makefile:
                raise Problem(f"the Makefile has no variable {name}")
            if not is_setting and not is_placeholder(word) and word not in targets:
                raise Problem(f"the Makefile has no target {word}")
            if words[0] == "prove" and name == "F":
                check_command(("tools/prove.py", word.removeprefix("F=")))
        return
    if program != "ppzoo" and not is_file(program):
        raise Problem(f"there is no {program}")
    parser = _own_parser(*words) if program == "ppzoo" else _script_parser(program)
    if parser is None:
        if words:
            raise Problem(f"{program} takes no options")
        return
    _check_names(parser, words)
    try:
        args = parser.parse_args(cli._with_sizes(words))
    except Problem as problem:
        # Sentences leave values out, and let readers choose among subcommands.
        if re.search(r"expected .* arguments?$", str(problem)):
            return
        if (choice := re.search(r"invalid choice: '(.*?)'", str(problem))) and is_placeholder(
            choice[1]
        ):
            return
        raise
    config = getattr(args, "config_file", None)
    if config and is_file(config) and getattr(args, "opt", None):
        try:
            load_config(ROOT / config, args.opt, check=True)
        except ConfigError as error:
            raise Problem(str(error)) from error


def _check_names(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Check the names of options, also of those whose values are left out."""
    options = set(parser._option_string_actions)
    for word in words:
        for commands in _subparsers(parser):
            if word in commands:
                parser = commands[word]
                options |= set(parser._option_string_actions)
        name = word.partition("=")[0]
        if re.match("--?[A-Za-z]", name) and name not in options:
            raise Problem(f"there is no option {name}")


def check_override(text: str) -> None:
    """Check that a setting leads somewhere in a config of one of the families.

    Raises:
        Problem: it leads nowhere.
    """
    if is_placeholder(text.partition("=")[0]):
        return
    for config in sorted(SMOKE.glob("*.yaml")):
        with contextlib.suppress(ConfigError):
            load_config(config, [text], check=True)
            return
    raise Problem(f"{text} leads nowhere in a config")


def check_path(path: str) -> None:
    """Check that the repository has a file or a folder, or any where it has a star.

    Raises:
        Problem: it has not.
    """
    path = path.rstrip("./") if path.endswith(("/", "..")) else path
    if not (ROOT / path).exists() and not ("*" in path and any(ROOT.glob(path))):
        raise Problem(f"there is no {path}")


def look_up(name: str) -> Any:
    """Return what a dotted name stands for.

    Raises:
        Problem: it cannot be imported.
    """
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        with contextlib.suppress(ImportError):  # also what `ppgan` says of names it has not
            thing = importlib.import_module(".".join(parts[:count]))
            break
    try:
        for part in parts[count:]:
            thing = getattr(thing, part)
    except (AttributeError, ImportError) as error:
        raise Problem(f"there is no {name}") from error
    return thing


def check_code(span: str) -> None:
    """Check what a span of Python imports from our packages, and the arguments of its calls.

    Raises:
        Problem: a name or an argument that is not there.
    """
    try:
        nodes = list(ast.walk(ast.parse(span)))
    except SyntaxError:
        return
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("ppzoo", "ppgan")):
            for name in (alias.name for alias in node.names if alias.name != "*"):
                if not re.fullmatch("[A-Z]", name):
                    look_up(f"{node.module}.{name}")
        if isinstance(node, ast.Call):
            _check_call(ast.unparse(node.func), [k.arg for k in node.keywords if k.arg])


def _check_call(name: str, arguments: Sequence[str]) -> None:
    if name.startswith(("ppzoo.", "ppgan.")):
        called = look_up(name) if re.fullmatch(r"[\w.]+", name) else None
    elif not name.isidentifier():
        called = None
    else:
        homes = map(importlib.import_module, _HOMES)
        called = next((getattr(home, name) for home in homes if hasattr(home, name)), None)
    if called is None or not arguments:
        return
    known = inspect.signature(called).parameters
    for argument in arguments:
        if argument not in known and all(p.kind != p.VAR_KEYWORD for p in known.values()):
            raise Problem(f"{name} has no argument {argument}")


class Reader:
    """Checks the sentences of a page.

    Args:
        shown: the page's commands outside its sentences: bare options may belong to them.
        foreign: options of other programs, which are not checked.
        absent: what the page says is not there.
    """

    def __init__(
        self,
        shown: Iterable[Command] = (),
        foreign: Iterable[str] = (),
        absent: Iterable[str] = (),
    ) -> None:
        self.shown = [command for command in shown if command[0] != "make"]
        self.foreign, self.absent = frozenset(foreign), frozenset(absent)
        self.used: set[str] = set()

    def problems(self, parts: Sequence[Sentences]) -> list[str]:
        """Return what is wrong in them, each with its place."""
        said = [command for part in parts for span in part.spans for command in commands(span)]
        known = dict.fromkeys([*self.shown, *(c for c in said if c[0] != "make")])
        found = []
        for part in parts:
            for span in part.spans:
                if span in self.absent:
                    self.used.add(span)
                    continue
                for problem in dict.fromkeys(self._of(span, list(known))):
                    found.append(f"{part.place}: `{span}`: {problem}")
        return found

    def _of(self, span: str, known: Sequence[Command]) -> Iterator[str]:
        checks: list[tuple[Any, ...]] = [(check_command, command) for command in commands(span)]
        if re.match(r"--?[A-Za-z]", span):
            checks.append((self._check_options, shlex.split(span), known))
        if match := re.fullmatch(_OVERRIDE, span.removeprefix("-o ")):
            checks.append((check_override, match[0]))
        words = re.split(r"[\s,;:()'\"]+", span)
        checks += [(check_path, w) for w in words if _PATH.fullmatch(w) and not is_placeholder(w)]
        checks += [(look_up, name) for name in _NAME.findall(span)]
        checks.append((check_code, span))
        for check, *arguments in checks:
            try:
                check(*arguments)
            except Problem as problem:
                yield str(problem)

    def _check_options(self, words: Sequence[str], known: Sequence[Command]) -> None:
        """Check options that stand alone: a command of the page has to have them."""
        if words[0].partition("=")[0] in self.foreign:
            self.used.add(words[0].partition("=")[0])
            return
        said = "no command of this page has it"
        for program, *rest in known:
            # Without options of the command itself, which these may contradict.
            names = itertools.takewhile(lambda word: not word.startswith("-"), rest)
            try:
                return check_command((program, *names, *words))
            except Problem as problem:
                if "no option" not in str(problem):
                    said = str(problem)
        raise Problem(said)


def commands_of_blocks(page: Path, text: Text) -> Iterator[Command]:
    """Yield the commands of ours in the blocks of shell code of a page's text."""
    for block in blocks(page, text.markdown):
        for command in block.commands() if block.language in SHELL else ():
            yield from commands(shlex.join(command.words))
