# SPDX-License-Identifier: Apache-2.0
"""Every link of our pages leads somewhere: to a file, a heading of it, or a plausible address.

Relative links are followed here, with the anchors that GitHub gives to headings; that they also
hold on the site, Sphinx says when it builds it. Addresses are looked at, not asked: `make links`
asks them, by hand.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from tools import pages

from .runs import ROOT

PAGES = list(pages.our_pages())


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@functools.cache
def anchors(path):
    return set(pages.anchors(pages.markdown_of(path)))


def problems(page, text):
    """Return what is wrong with the links of a page."""
    found = []
    for link in pages.links(text):
        place = f"{page.name}:{link.line}: {link.target}"
        if link.is_external:
            found += [f"{place}: {wrong}" for wrong in problems_of_address(link.target)]
            continue
        path = Path(os.path.normpath(page.parent / link.path))
        path = path if link.path else page
        if not path.exists() or not path.is_relative_to(ROOT):
            found.append(f"{place}: there is no such file")
        elif link.anchor and path.suffix in (".md", ".ipynb"):
            if link.anchor not in (anchors(path) if path != page else pages.anchors(text)):
                found.append(f"{place}: there is no such heading")
        elif link.anchor:
            found.append(f"{place}: an anchor in what is no page")
    return found


def problems_of_address(address):
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("https", "http", "mailto"):
        return [f"the scheme {parts.scheme!r}"]
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1"):
        return ["http where https will do"]
    if parts.scheme == "https" and not re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.hostname or ""):
        return [f"the host {parts.hostname!r}"]
    if not address.isascii() or " " in address:
        return ["letters that an address has in %-form"]
    return []


def test_the_sweep_finds_pages_and_links():
    names = {name_of(page) for page in PAGES}
    assert names >= {"README.md", "README.zh-CN.md", "CONTRIBUTING.md", "notebooks/README.md"}
    assert {"docs/index.md", "docs/models/dcgan.md", "notebooks/day1.ipynb"} <= names
    found = [link for page in PAGES for link in pages.links(pages.markdown_of(page))]
    assert sum(link.is_external for link in found) > 50
    assert sum(bool(link.anchor) for link in found if not link.is_external) > 10
    assert len(found) > 300


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    assert problems(page, pages.markdown_of(page)) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[a](docs/nowhere.md)", "README.md:1: docs/nowhere.md: there is no such file"),
        ("\n![a](docs/no.png)", "README.md:2: docs/no.png: there is no such file"),
        ("# Here\n[a](#there)", "README.md:2: #there: there is no such heading"),
        (
            "[a](docs/install.md#mars)",
            "README.md:1: docs/install.md#mars: there is no such heading",
        ),
        ("[a](pyproject.toml#x)", "README.md:1: pyproject.toml#x: an anchor in what is no page"),
        ("[a](../elsewhere)", "README.md:1: ../elsewhere: there is no such file"),
        ("[a](http://a.org)", "README.md:1: http://a.org: http where https will do"),
        ("[a](https://localhost)", "README.md:1: https://localhost: the host 'localhost'"),
        ("[a](ftp://a.org)", "README.md:1: ftp://a.org: the scheme 'ftp'"),
        ('[a](docs/no.md "title")', "README.md:1: docs/no.md: there is no such file"),
        ("[a](docs/no.md 'title')", "README.md:1: docs/no.md: there is no such file"),
        ("[a](docs%2Fno.md)", "README.md:1: docs%2Fno.md: there is no such file"),
        ("[`a`](docs/no.md)", "README.md:1: docs/no.md: there is no such file"),
    ],
)
def test_what_is_wrong_is_found(text, what):
    assert problems(ROOT / "README.md", text) == [what]


@pytest.mark.parametrize(
    "text",
    [
        "```text\n[a](nowhere.md)\n```",
        "~~~\n[a](nowhere.md)\n```\n[b](nowhere.md)\n~~~",
        "`f[x](y)` and ``[a](b)``",
        "# Two · 二\n# Two · 二\n[a](#two--二) [b](#two--二-1)",
        "[a](docs/install.md#gpu), [b](docs/), <https://a.org>",
        "[a](https://a.org/b%20c?d=e#f)",
    ],
)
def test_what_is_right_is_left_alone(text):
    assert problems(ROOT / "README.md", text) == []


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Install · 安装", "install--安装"),
        ("`ppzoo weights`, and more", "ppzoo-weights-and-more"),
        ("What [this](x.md) is: a *link*!", "what-this-is-a-link"),
        ("snake_case-and C++", "snake_case-and-c"),
        ("为什么？", "为什么"),
    ],
)
def test_anchors_are_githubs(heading, anchor):
    assert pages.slug(heading) == anchor
    assert pages.anchors(f"## {heading} ##") == [anchor]


@pytest.mark.parametrize(
    ("link", "folder", "made"),
    [
        ("data.md#x", "docs", "data.md#x"),
        ("../faces.md", "docs/course", "../faces.md"),
        ("../README.md", "docs", "/repository/README.markdown"),
        ("../configs/wgan_mnist.yaml", "docs", "/repository/configs/wgan_mnist.yaml.markdown"),
        ("../../tests/golden/DEVIATIONS.md#a", "docs/models", "/repository/tests/golden/DEVIATIONS.markdown#a"),  # noqa: E501
        ("../notebooks/README.md", "docs", "/notebooks/index.markdown"),
        ("day1.ipynb", "notebooks", "/notebooks/day1.ipynb"),
        ("../docs/models/dcgan.md", "notebooks", "/models/dcgan.md"),
        ("docs/pictures/dcgan.png", "", "/pictures/dcgan.png"),
        ("https://a.org/b.md", "docs", "https://a.org/b.md"),
        ("#here", "docs", "#here"),
        ("nowhere.md", "", "nowhere.md"),
    ],
)  # fmt: skip
def test_links_are_led_to_the_site(link, folder, made):
    text = f"[a]({link})\n\n```\n[a]({link})\n```\n"
    expected = f"[a]({made})\n\n```\n[a]({link})\n```\n"
    assert pages.for_site(text, ROOT / folder) == expected


def test_a_page_has_one_title_on_the_site():
    text = "# Day 1\n\nText.\n\n# 第一天\n\n```python\n# a comment\n```\n\n## 练习\n"
    assert pages.one_title(text) == text.replace("# 第一天", "**第一天**", 1)
    assert pages.one_title("## A\n# B") == "## A\n# B"


def test_what_lies_beside_the_notebooks_is_no_page():
    names = [
        "day1.ipynb",
        "day7.ipynb",
        "day1.nbconvert.ipynb",
        "day1-mine.ipynb",
        "Untitled.ipynb",
    ]
    assert [name for name in names if Path(name).match(pages.DAYS)] == names[:2]


def test_links_are_led_to_the_repository_if_its_address_is_known():
    address = "https://example.org/us/ppzoo/blob/main/"
    text = "[a](../configs/wgan_mnist.yaml) [b](install.md) ![c](../notebooks/day1.ipynb)"
    assert pages.for_site(text, ROOT / "docs", address) == (
        "[a](https://example.org/us/ppzoo/blob/main/configs/wgan_mnist.yaml) [b](install.md) "
        "![c](/notebooks/day1.ipynb)"
    )


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """A repository of five files."""
    for name, text in {
        "docs/index.md": "[code](../ppzoo/a.py) [notes](../NOTES.md)",
        "NOTES.md": "[more](configs/a.yaml) [page](docs/index.md)",
        "configs/a.yaml": "epochs: 1\n",
        "ppzoo/__init__.py": "",
        "ppzoo/a.py": "x = '```'\n",
        "notebooks/README.md": "# Days\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["[code](../ppzoo/a.py)"]}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "notebooks/day1.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (tmp_path / "tests/golden").mkdir(parents=True)
    (tmp_path / "tests/golden/DEVIATIONS.md").write_text("", encoding="utf-8")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "DOCS", tmp_path / "docs")
    return tmp_path / "docs"


def made(docs):
    return {
        path.relative_to(docs).as_posix()
        for folder in pages.MADE
        for path in (docs / folder).rglob("*")
        if path.is_file()
    }


def test_pages_are_made_of_what_is_linked(docs):
    pages.prepare()
    assert made(docs) == {
        "api/index.rst",
        "api/ppzoo.rst",
        "notebooks/index.markdown",
        "notebooks/day1.ipynb",
        "repository/NOTES.markdown",
        "repository/configs/a.yaml.markdown",
        "repository/ppzoo/a.py.markdown",
    }
    notes = (docs / "repository/NOTES.markdown").read_text("utf-8")
    assert "[more](/repository/configs/a.yaml.markdown) [page](/index.md)" in notes
    assert "(/repository/ppzoo/a.py.markdown)" in (docs / "notebooks/day1.ipynb").read_text("utf-8")
    code = (docs / "repository/ppzoo/a.py.markdown").read_text("utf-8")
    assert "````python\nx = '```'\n" in code
    assert ".. automodule:: ppzoo.a\n   :members:" in (docs / "api/ppzoo.rst").read_text("utf-8")


def test_unchanged_pages_keep_their_time_and_old_ones_go(docs):
    pages.prepare()
    page = docs / "repository/configs/a.yaml.markdown"
    os.utime(page, (1, 1))
    pages.prepare()
    assert page.stat().st_mtime == 1
    (docs.parent / "configs/a.yaml").write_text("epochs: 2\n", encoding="utf-8")
    pages.prepare()
    assert page.stat().st_mtime > 1
    (docs.parent / "NOTES.md").write_text("nothing", encoding="utf-8")
    pages.prepare()
    assert not page.exists()
    pages.prepare("https://example.org/blob/main")
    assert not any(name.startswith("repository/") for name in made(docs))
    pages.remove()
    assert made(docs) == set()


def test_names_in_percent_form_and_files_that_are_no_text(docs):
    root = docs.parent
    (root / "my code.py").write_text("x = 1\n", encoding="utf-8")
    (root / "weights.bin").write_bytes(b"\xff\xfe\x00")
    (docs / "index.md").write_text(
        "[a](../my%20code.py 'code') [b](<../my code.py>) [c](../weights.bin)", encoding="utf-8"
    )
    assert pages.for_site((docs / "index.md").read_text("utf-8"), docs) == (
        "[a](/repository/my%20code.py.markdown 'code') [b](/repository/my%20code.py.markdown) "
        "[c](/repository/weights.bin.markdown)"
    )
    assert pages.for_site("[a](../my%20code.py)", docs, "https://a.org") == (
        "[a](https://a.org/my%20code.py)"
    )
    pages.prepare()
    assert "````python\nx = 1\n" in (docs / "repository/my code.py.markdown").read_text("utf-8")
    shown = (docs / "repository/weights.bin.markdown").read_text("utf-8")
    assert "text\n3 bytes: see the repository\n" in shown


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    # As `make docs` does, but of a copy: what the build makes does not get among our pages.
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("configs", "docs", "homework", "notebooks", "ppgan", "ppzoo", "tests", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in pages.MADE:
        shutil.rmtree(tmp_path / "docs" / name, ignore_errors=True)
    for path in ROOT.glob("*"):
        if path.is_file():
            shutil.copy(path, tmp_path)
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PPZOO_REPOSITORY": ""}
    run = subprocess.run(
        [*command, "docs", str(site)],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    index = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="repository/README.zh-CN.html"' in index
    assert "<img" in (site / "notebooks/day1.html").read_text(encoding="utf-8")
    assert len(re.findall("<h1[ >]", (site / "notebooks/day1.html").read_text("utf-8"))) == 1
    assert not (tmp_path / "jupyter_execute").exists()
    api = (site / "api/ppzoo.engine.html").read_text(encoding="utf-8")
    assert 'id="ppzoo.engine.trainer.Trainer.fit"' in api
    shown = (site / "repository/configs/wgan_mnist.yaml.html").read_text(encoding="utf-8")
    assert "DeepConvGenerator" in shown
    check_pages(site)


def check_pages(site):
    """Follow each link between the site's pages."""
    found = 0
    ids = {}
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        ids[page] = set(re.findall(r'\bid="([^"]+)"', text))
    for page in ids:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r'\b(?:href|src)="([^"]+)"', text):
            target = target.replace("&amp;", "&")
            if re.match(r"[a-z]+:|//", target) or "_static" in target or "searchindex" in target:
                continue
            path, _, anchor = urllib.parse.unquote(target).partition("#")
            there = Path(os.path.normpath(page.parent / path)) if path else page
            assert there.is_file(), f"{page.relative_to(site)}: {target}"
            if anchor and there.suffix == ".html":
                assert anchor in ids[there], f"{page.relative_to(site)}: {target}"
            found += 1
    assert found > 1000


def test_every_page_of_docs_is_in_the_menu():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    listed = {
        line
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    }
    found = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/course").glob("*.md")]
    names = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in found}
    assert len(names) > 12
    assert names - {"index"} <= listed
