# SPDX-License-Identifier: Apache-2.0
"""Every command and block of code on our pages does what it says, or says why no test runs it."""

from __future__ import annotations

import ast
import contextlib

import pytest

from ppzoo import registry

from ..runs import ROOT
from .blocks import EXECUTED, SHELL, blocks, pages, stray_marks
from .running import Runner
from .world import Store, World, stand_ins

PAGES = pages()
# Pages whose blocks are those of another one.
TRANSLATED = {"README.zh-CN.md": "README.md"}
EXECUTED_PAGES = [
    page
    for page in PAGES
    if page.name not in TRANSLATED and any(block.language in EXECUTED for block in blocks(page))
]


def name_of(page):
    return str(page.relative_to(ROOT))


def code(page):
    """Return the code of a page's blocks, and what of it is not executed, without comments."""
    found = []
    for block in (block for block in blocks(page) if block.language in EXECUTED):
        if block.language in SHELL:
            found += [(command.text, command.mark is None) for command in block.commands()]
        elif block.language == "python":
            found.append((ast.dump(ast.parse(block.text)), block.mark is None))
        else:
            found.append((block.text, block.mark is None))
    return found


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_have_marks_that_mean_something(page):
    assert [problem for block in blocks(page) for problem in block.problems()] == []
    assert stray_marks(page) == 0


@pytest.fixture
def own_names():
    """Forget afterwards what a page registered: it is no business of later tests."""
    yield
    for table in vars(registry).values():
        if isinstance(table, registry.Registry):
            for name, entry in list(table._entries.items()):
                if entry.__module__.partition(".")[0] not in ("ppzoo", "ppgan", "paddle"):
                    del table._entries[name]


@pytest.mark.slow
@pytest.mark.usefixtures("own_names")
@pytest.mark.parametrize("page", EXECUTED_PAGES, ids=name_of)
def test_page(page, store, tmp_path, monkeypatch, capsys):
    world = World(tmp_path, store)
    stand_ins(monkeypatch, world)
    runner = Runner(world, capsys)
    with contextlib.closing(runner):
        for block in blocks(page):
            if block.language in EXECUTED:
                runner.run(block)
    assert sum(runner.counts.values())


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_translation_has_the_same_code(name):
    translated, page = ROOT / name, ROOT / TRANSLATED[name]
    assert code(translated) == code(page)
    assert len(code(page)) > 3
