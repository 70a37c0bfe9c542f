# SPDX-License-Identifier: Apache-2.0
"""Blocks are found with their marks; marks that mean nothing are told, and wrong commands."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from ppzoo.course.checks import Wrong

from ..runs import ROOT
from . import files
from .blocks import Command, Mark, blocks
from .running import Runner, check
from .world import Store, World, smaller, stand_ins

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
        ("```text\nppzoo train -c a.yaml\n```", "`ppzoo train -c a.yaml` looks like a command"),
        ("```text\ntraining\n$ python train.py\n```", "`$ python train.py` looks like a command"),
        ("```\n.venv/bin/pip install x\n```", "`.venv/bin/pip install x` looks like a command"),
        ("```\nCUDA_VISIBLE_DEVICES=0 make demo\n```", "looks like a command"),
        ("```cobol\nls\n```", "no test knows how to execute 'cobol'"),
        ("```bat\ndir\n```", "tests have no Windows"),
    ],
)
def test_marks_that_mean_nothing(text, problem):
    (block,) = of(text)
    assert [problem in told for told in block.problems()] == [True]


def test_outputs_and_trees_are_no_commands():
    (block,) = of("```text\nppzoo\nppzoo: 3 models\nmake\nmy-gan/  python, and make them\n```\n")
    assert block.problems() == []


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


def test_what_a_page_writes_is_written_nowhere_else(tmp_path):
    world = World(tmp_path / "page", Store(tmp_path / "store"))
    for name in ("docs/new.md", "homework/new.md", "notebooks/new.ipynb", "tools/new.py"):
        (world.folder / name).write_text("made by a page", encoding="utf-8")
        assert (tmp_path / "store" / name).is_file()
        assert not (ROOT / name).exists()
    readme = "notebooks/README.md"
    assert (world.folder / readme).read_bytes() == (ROOT / readme).read_bytes()


def test_git_knows_nothing_of_this_computers_user(tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text("[commit]\n  gpgsign = true\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"/somewhere{os.pathsep}{os.environ['PATH']}")
    world = World(tmp_path / "page", Store(tmp_path / "store"))
    with pytest.MonkeyPatch.context() as patch:
        stand_ins(patch, world)
        files.clone(world.folder)
        assert "/somewhere" in os.environ["PATH"].split(os.pathsep)
        said = subprocess.run(["git", "log", "--format=%an"], capture_output=True, text=True)
    assert said.stdout == "A student\n"


def test_a_server_is_asked_where_it_listens_and_must_answer_by_a_picture(tmp_path, capsys):
    server = "import sys; print('serving: http://127.0.0.1:1 (end)', flush=True); sys.stdin.read()"
    runner = Runner(World(tmp_path / "page", Store(tmp_path / "store")), capsys)
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(runner):
        start = subprocess.Popen
        patch.setattr(
            "tests.pages.running.subprocess.Popen",
            lambda command, **options: start(
                [sys.executable, "-c", server] if "serve" in command else command,
                **({"stdin": subprocess.PIPE} if "serve" in command else {}) | options,
            ),
        )
        (block,) = of(
            "```bash\nppzoo serve pix2pix --weights w\ncurl http://127.0.0.1:8000/predict\n```\n"
        )
        with pytest.raises(AssertionError, match=r"curl .* ended with 7"):  # nobody is at port 1
            runner.run(block)
    assert runner.server.poll() is not None


def test_a_hidden_test_asks_what_the_page_has(tmp_path, capsys):
    runner = Runner(World(tmp_path / "page", Store(tmp_path / "store")), capsys)
    text = (
        "```python\n### BEGIN HIDDEN TESTS\nfrom ppzoo.course.checks import ask, expect\n\n"
        "expect(ask('answer') == 2, 'wrong', '错')\n```\n"
    )
    (block,) = of(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        runner.names["answer"] = 2
        runner.run(block)
        runner.names["answer"] = 3
        with pytest.raises(Wrong, match="wrong"):
            runner.run(block)


def test_configs_become_smaller_and_stay_what_they_are():
    text = "output_dir: a\ntotal_iters: 600  # of 8\nmodel:\n  name: SyncNetColor\n  ngf: 3\n"
    assert smaller(text) == (
        "output_dir: a\nmax_eval_steps: 2\ntotal_iters: 1\nmodel:\n  name: SyncNetColor\n  ngf: 3\n"
    )
    assert smaller("- name: FID\n") == "- name: FID\n  feature_extractor: digits\n"
