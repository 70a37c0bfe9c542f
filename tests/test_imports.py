# SPDX-License-Identifier: Apache-2.0
"""Imports run one way (DESIGN: layout), stay off Paddle's private parts, and cost little."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TASKS = {"gan", "translation", "restoration", "video", "motion", "lipsync"}
# Each part of the package may import the rows above its own. Parts of one row keep apart, except
# where ALLOWED_BESIDE says otherwise.
ROWS: tuple[set[str], ...] = (
    {"errors", "paddlegan_names"},
    {"registry", "runtime", "config", "atomic", "download"},
    {"nn"},
    {"networks"},
    {"media", "weights"},
    {"losses", "metrics", "data", "optim", "figures"},
    {"model", "faces"},
    TASKS | {"engine"},
    {"apps"},
    {"course"},
    {"cli"},
    {"__main__", "tools", "notebooks", "homework", "ppgan"},
)
ROW_OF = {part: row for row, parts in enumerate(ROWS) for part in parts}
ALLOWED_BESIDE = {
    ("config", "registry"),  # a config is checked against what is registered
    ("download", "atomic"),  # a download makes its rename last as every writer does
}
FORBIDDEN = {
    ("losses", "media"),
    ("optim", "media"),
    ("weights", "media"),
    ("apps", "engine"),  # predictors run without the trainer
}
PRIVATE_PADDLE = {"base", "fluid", "core", "libpaddle"}
HEAVY = {
    "av",
    "cv2",
    "imageio",
    "matplotlib",
    "onnxruntime",
    "paddle",
    "pandas",
    "requests",
    "scipy",
    "skimage",
    "sklearn",
    "torch",
    "visualdl",
}


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import, wherever it stands: also in functions."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{prefix}.{alias.name}"


def part_of(module: str) -> str:
    """Return the part of the house that a module belongs to: `ppzoo.nn.init` to `nn`."""
    head, _, rest = module.partition(".")
    return rest.partition(".")[0] if head == "ppzoo" else head


def registers_a_model(path: Path) -> bool:
    return any(
        isinstance(node, ast.ClassDef)
        and any("MODELS.register" in ast.unparse(item) for item in node.decorator_list)
        for node in ast.walk(parse(path))
    )


def families() -> set[str]:
    return {module_of(p) for p in python_files("ppzoo") if registers_a_model(p)}


def wrong_direction(source: str, target: str) -> bool:
    if source == target or source == "" or target in {"", "__version__"}:
        return False
    if (source, target) in FORBIDDEN:
        return True
    above = ROW_OF[target] < ROW_OF[source]
    return not above and (source, target) not in ALLOWED_BESIDE


def test_every_part_of_the_package_has_a_row() -> None:
    found = {part_of(module_of(path)) for path in python_files("ppzoo")} - {""}
    assert len(found) > 5
    assert found <= set(ROW_OF), "say in ROWS what the new part may import, and who may import it"


def test_imports_run_one_way() -> None:
    wrong = []
    for path in python_files("ppzoo", "ppgan", "tools"):
        source = part_of(module_of(path))
        for line, name in imports(path):
            if not name.startswith(("ppzoo", "ppgan")):
                continue
            target = part_of(name)
            if target and target not in ROW_OF:
                target = ""  # `from ppzoo import build_model`: a name of the package itself
            if wrong_direction(source, target):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_family_imports_another() -> None:
    wrong = []
    known = families()
    assert known
    for path in python_files(*(f"ppzoo/{task}" for task in TASKS)):
        # ppzoo.gan.dcgan of a module, ppzoo.translation.ugatit of all modules of that package
        own = ".".join(module_of(path).split(".")[:3])
        for line, name in imports(path):
            others = {f for f in known if name == f or name.startswith(f + ".")}
            if any(f != own and not f.startswith(own + ".") for f in others):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "what two families use belongs in ppzoo/networks:\n" + "\n".join(wrong)


def test_no_private_parts_of_paddle() -> None:
    wrong = []
    for path in python_files("ppzoo", "tools", "tests"):
        for line, name in imports(path):
            if is_private_paddle(name):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Attribute) and is_private_paddle(ast.unparse(node)):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} uses {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def is_private_paddle(dotted: str) -> bool:
    head, *rest = dotted.split(".")
    # In an expression such as paddle.abs(self._x).sum, the attributes are those of several things.
    return (
        dotted.replace(".", "").isidentifier()
        and head == "paddle"
        and any(
            part in PRIVATE_PADDLE or (part.startswith("_") and not part.endswith("__"))
            for part in rest
        )
    )


@pytest.mark.parametrize(
    ("source", "target", "wrong"),
    [
        ("gan", "model", False),
        ("gan", "engine", True),
        ("engine", "gan", True),
        ("engine", "metrics", False),
        ("networks", "nn", False),
        ("nn", "networks", True),
        ("metrics", "media", False),
        ("weights", "media", True),
        ("metrics", "data", True),
        ("apps", "gan", False),
        ("apps", "engine", True),
        ("cli", "engine", False),
        ("config", "registry", False),
        ("registry", "config", True),
        ("model", "ppgan", True),
        ("tools", "cli", False),
    ],
)
def test_the_rule_itself(source: str, target: str, wrong: bool) -> None:
    assert wrong_direction(source, target) is wrong


@pytest.mark.parametrize(
    "statement",
    ["import ppzoo", "import ppzoo.registry", "import ppzoo.config, ppzoo.errors, ppzoo.cli"],
)
def test_import_is_light(statement: str) -> None:
    code = f"import sys; {statement}; print(*(m for m in {sorted(HEAVY)!r} if m in sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert out.stdout.split() == []


def test_compression_works_after_ppzoo_and_paddle() -> None:
    # paddlepaddle 2.6 exports a zlib of its own; where Python's zlib is loaded after it, as in
    # Pythons that are built from source, any PNG, .npz or gzip ended in a segmentation fault.
    code = (
        "import ppzoo, paddle, zlib, io\n"
        "from PIL import Image\n"
        "assert zlib.decompress(zlib.compress(b'a' * 1000)) == b'a' * 1000\n"
        "file = io.BytesIO()\n"
        "Image.new('RGB', (64, 64)).save(file, 'PNG')\n"
        "print(Image.open(file).resize((2, 2)).size)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == "(2, 2)", out.stderr[-500:]


def test_a_clone_in_the_working_folder_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "ppzoo/ppzoo").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", "import ppgan, ppzoo; print(ppzoo.__version__)"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
