# SPDX-License-Identifier: Apache-2.0
"""Configs and `-o` from strangers: whatever they say, nothing of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppzoo.config.overrides import parse_override
from ppzoo.config.tree import parse_yaml
from ppzoo.engine.profiler import Profiler
from ppzoo.errors import ConfigError

from ..watch import watched

COMMANDS = [
    "__import__('os').system('echo > executed')",
    "(lambda: open('executed', 'w'))()",
    "[open('executed', 'w') for _ in '1']",
    "exec('open(1)')",
    "().__class__.__base__.__subclasses__()",
    "f'{open(1)}'",
    "!!python/object/apply:os.system ['echo > executed']",
    "!!python/object/new:os.system ['echo > executed']",
    "!!python/object:pathlib.Path {}",
    "!!python/module:antigravity",
    "!!python/name:os.system",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['echo > executed']",
    "${oc.env:HOME}",
    "$(echo > executed)",
    "`echo > executed`",
]
PIECES = [
    *COMMANDS,
    *("&a ", "*a", "<<: *a", "&a [*a]", "{", "}", "[", "]", '"', "'", "|", ">", "? ", "- ", ": "),
    *("\n", " ", ",", "\t", "\0", "\u2028", "\ufeff", "---\n", "...\n", "%YAML 1.1\n---\n", "#"),
    *("9" * 5000, "0x" + "f" * 3000, "1e999", ".nan", "1:1:1", "-" * 3000 + "1", "(" * 300),
    *("!!binary aGk=", "!!set {a}", "!!omap [a: 1]", "!!int x", "!!float _", "a: 1\n", "[" * 50),
    *("1" + "+1j" * 99, "!", "~"),
]


def acts(event: str) -> bool:
    """Tell what is more than parsing: `ast` compiles to a tree, ruamel looks for its plug-ins."""
    return not event.startswith(("compile", "glob.glob")) and "ruamel" not in event


@pytest.fixture(scope="module", autouse=True)
def used_before() -> None:
    """Have everything imported that is imported at the first use."""
    for text in ("a: 1\n", "a: 2020-01-01", "[1", "!!python/name:x y"):
        for read in (parse_yaml, lambda text: parse_override(f"a={text}"), Profiler.from_text):
            try:
                read(text)
            except ConfigError:
                continue


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_text_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    results = []
    with watched() as done:
        for read in (
            lambda: parse_override(f"model.x={command}").value.value,
            lambda: parse_yaml(f"x: {command}\n", "x.yaml").get("x"),
            lambda: Profiler.from_text(f"profile_path={command}").path,
        ):
            try:
                results.append(read())
            except ConfigError as error:
                results.append(str(error))
    assert all(isinstance(result, (str, list, dict)) for result in results)
    assert not any(map(acts, done)), done
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(pieces=st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=9))
def test_any_text_is_a_value_or_one_sentence(pieces: list[str]) -> None:
    text, messages = "".join(pieces), []
    with watched() as done:
        for read in (lambda: parse_override(f"a.b={text}"), lambda: parse_yaml(text, "x.yaml")):
            try:
                read()
            except ConfigError as error:
                messages.append(str(error))
    assert not any(map(acts, done)), done
    assert all(messages)
