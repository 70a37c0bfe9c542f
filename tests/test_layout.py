# SPDX-License-Identifier: Apache-2.0
"""The house keeps its own rules: short files, no copies, a config and a page for every family.

Every sweep is driven by what exists, and asserts that it found something.
"""

from __future__ import annotations

import ast
import collections
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppzoo.config import check_config, load_config
from ppzoo.registry import MODELS

ROOT = Path(__file__).parents[1]
SPDX = "# SPDX-License-Identifier: Apache-2.0"
MAX_LINES_OF_FILE = 800
MAX_LINES_OF_FUNCTION = 100
# Two functions as large as this, in nodes of their syntax trees, are not equal by chance.
NODES_OF_A_COPY = 60

PACKAGE = sorted(path for name in ("ppzoo", "ppgan") for path in (ROOT / name).rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
# Variants of a family have its name, an underscore and their own.
SMOKE = {path.stem: path for path in CONFIGS if path.parent.name == "smoke"}
FAMILIES = {stem.split("_")[0] for stem in SMOKE}
PAGES = {path.stem: path for path in sorted((ROOT / "docs/models").glob("*.md"))}
READMES = ("README.md", "README.zh-CN.md")
TEXTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests/golden/DEVIATIONS.md"]
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_the_sweeps_below_find_something() -> None:
    assert len(PACKAGE) > 30
    assert len(TESTS) > 10
    assert TOOLS
    assert len(CONFIGS) >= 7
    assert {path.name for path in TEXTS} > {*READMES, "CHANGELOG.md", "CONTRIBUTING.md"}


def test_every_file_names_its_licence_in_the_first_line() -> None:
    scripts = [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci/run"]
    wrong = []
    for path in [*PACKAGE, *TOOLS, *TESTS, *scripts]:
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines and lines[0].startswith("#!"):
            lines = lines[1:]
        if lines[:1] != [SPDX]:
            wrong.append(name_of(path))
    assert not wrong


def test_every_module_says_what_it_is_for() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in [*PACKAGE, *TOOLS]}
    assert not [name_of(path) for path, tree in trees.items() if not ast.get_docstring(tree)]


def test_files_are_short() -> None:
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in [*PACKAGE, *TOOLS, *TESTS]
    }
    assert not {name: n for name, n in lengths.items() if n > MAX_LINES_OF_FILE}


def test_functions_are_short() -> None:
    wrong = {
        f"{name_of(path)}:{f.lineno} {f.name}": f.end_lineno - f.lineno + 1
        for path in [*PACKAGE, *TOOLS]
        for f in functions(path)
        if f.end_lineno - f.lineno + 1 > MAX_LINES_OF_FUNCTION
    }
    assert not wrong


def test_nothing_is_copied() -> None:
    places = collections.defaultdict(list)
    for path in [*PACKAGE, *TOOLS]:
        for function in functions(path):
            body = function.body[1:] if ast.get_docstring(function) else function.body
            if sum(1 for part in body for _ in ast.walk(part)) >= NODES_OF_A_COPY:
                key = "\n".join(ast.dump(part) for part in body)
                places[key].append(f"{name_of(path)}:{function.lineno} {function.name}")
    assert len(places) > 50
    assert not [copies for copies in places.values() if len(copies) > 1]


def test_test_folders_mirror_the_packages() -> None:
    folders = {path.parent for path in TESTS}
    folders -= {ROOT / "tests", ROOT / "tests/golden", ROOT / "tests/pages"}
    mirrored = [(f, f.relative_to(ROOT / "tests")) for f in folders]
    wrong = [
        folder
        for folder, place in mirrored
        if not any((root / place).is_dir() for root in (ROOT / "ppzoo", ROOT))
    ]
    assert folders
    assert not wrong
    # As packages, so that tests/gan/test_gan.py and tests/losses/test_gan.py are two modules.
    assert not [name_of(f) for f in folders if not (f / "__init__.py").is_file()]


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_config_is_valid(path: Path) -> None:
    config = load_config(path)
    check_config(config)
    assert config.warnings == ()


def test_configs_have_one_suffix() -> None:
    assert not list((ROOT / "configs").rglob("*.yml"))


def test_every_model_has_a_smoke_config() -> None:
    used = {load_config(path).model.name for path in SMOKE.values()}
    assert set(MODELS.names()) == used


@pytest.mark.parametrize("family", sorted(FAMILIES | PAGES.keys()))
def test_family_is_complete(family: str) -> None:
    demos = [path for path in CONFIGS if path.parent.name == "demo"]
    assert family in SMOKE, f"configs/smoke/{family}.yaml is missing"
    assert family in PAGES, f"docs/models/{family}.md is missing"
    assert any(d.stem.split("_")[0] == family for d in demos), f"no configs/demo/{family}*.yaml"
    for name in READMES:
        readme = (ROOT / name).read_text(encoding="utf-8")
        assert f"docs/models/{family}.md" in readme, f"{name} does not link its page"
        assert f"docs/pictures/{family}.png" in readme, f"{name} does not show what it drew"


def test_both_front_pages_say_the_same() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in READMES)
    for name, page in zip(reversed(READMES), (english, chinese), strict=True):
        assert f"({name})" in page.split("\n\n")[1], f"no link to {name} under the title"
    shown = []
    for page in (english, chinese):
        links = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", page)
        code = re.findall(r"^```(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        code = [re.sub(r"\s+#.*", "", block) for block in code]
        headings = re.findall(r"^(#+) ", page, re.MULTILINE)
        proofs = re.findall(r"<!-- proof (\w+) -->", page)
        pages = sorted({link for link in links if link not in READMES})
        shown.append((code, headings, proofs, pages, len(re.findall(r"^\|", page, re.MULTILINE))))
    for part, (left, right) in enumerate(zip(*shown, strict=True)):
        assert left == right, part
    assert len(shown[0][2]) > 15


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_named_files_exist(path: Path) -> None:
    # Links are followed by tests/test_links.py; these are names in prose and commands.
    text = path.read_text(encoding="utf-8")
    named = set(
        re.findall(r"(?<![\w/<])(?:configs|tools|ppzoo|tests|docs)/[\w/.-]+\.(?:py|yaml|md)", text)
    )
    missing = {name for name in named if not (ROOT / name).exists()}
    if path.name == "project.md":  # which tells of the files of a project that `ppzoo new` makes
        template = ROOT / "ppzoo/apps/template"
        missing = {name for name in missing if not (template / f"{name}-tpl").exists()}
    assert not missing


def test_make_targets_in_texts_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = "\n".join(path.read_text(encoding="utf-8") for path in TEXTS)
    named = set(re.findall(r"`make ([a-z-]+)", text))
    assert {"demo", "test"} <= named <= targets


def test_each_deviation_has_its_test() -> None:
    text = (ROOT / "tests/golden/DEVIATIONS.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert named
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or name not in {f.name for f in functions(ROOT / file)}
    ]
    assert not missing


def test_tested_versions_cover_every_dependency() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    required = {
        name.lower()
        for name in re.findall(r'^  "([A-Za-z0-9_.-]+)(?:\[\w+\])?>=', project, re.MULTILINE)
    }
    lock = (ROOT / "constraints/paddle-3.3.txt").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE))
    # A lock has one of cpu and gpu, and paddleseg stands apart: it needs NumPy 1.
    required -= {"paddlepaddle-gpu", "paddleseg"}
    assert len(required) > 15
    assert {name.replace(".", "-") for name in required} <= {n.replace(".", "-") for n in locked}, (
        "run `make lock`"
    )


def test_hooks_use_the_same_ruff() -> None:
    (wanted,) = re.findall(r'"(ruff>=[^"]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    hooks = re.findall(r'"(ruff[^"]+)"', (ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert set(hooks) == {wanted}


def test_nothing_names_a_place_on_somebodys_machine() -> None:
    homes = re.compile("/" + r"(?:work|home/\w+|root|tmp/v|Users/\w+)/")
    files = [*PACKAGE, *TOOLS, *TESTS, *CONFIGS, *TEXTS, ROOT / "Makefile", ROOT / ".ci/run"]
    assert not [name_of(p) for p in files if homes.search(p.read_text(encoding="utf-8"))]
