# SPDX-License-Identifier: Apache-2.0
"""Make the students' version of the homework from the teacher's: `homework/release`.

`python tools/homework.py` writes it, `--check` says whether what is there is what would be written.
The students' notebooks are what nbgrader makes of `homework/source`; the questions' answers, which
stand in the hidden tests of each quiz, go sealed into `quiz.json` beside the notebooks.
"""

from __future__ import annotations

import argparse
import ast
import json
import logging
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ppzoo.atomic import atomic_write  # noqa: E402
from ppzoo.course.notebooks import graded_cells, read_notebook  # noqa: E402
from ppzoo.course.quiz import Key, seal  # noqa: E402
from ppzoo.errors import DataError, MissingExtraError, UserError  # noqa: E402

HOMEWORK = ROOT / "homework"
STUB = "pass  # YOUR CODE HERE · 在这里写你的代码"
# What follows an answer of letters, so that there is one line to edit and nothing to replace.
LETTERS = '# YOUR CODE HERE: between the quotes, such as "AC" · 在引号中填写，例如 "AC"'
_QUIZ_ANSWER = re.compile(rf'(\w+ = "")\n{re.escape(STUB)}\s*')


def main() -> int:
    """Write or check the release, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if stale")
    parser.add_argument("--homework", type=Path, default=HOMEWORK, metavar="FOLDER")
    args = parser.parse_args()
    try:
        stale = refresh(args.homework, write=not args.check)
    except UserError as error:
        sys.exit(f"error: {error}")
    for path in stale:
        print(f"{'stale' if args.check else 'written'}: {path}")
    return 1 if stale and args.check else 0


def refresh(homework: Path, write: bool = True) -> list[Path]:
    """Return the files that are not what they should be, and write them unless told otherwise.

    Raises:
        DataError: there is no teacher's notebook, or one that cannot be read.
        MissingExtraError: nbgrader is not installed.
    """
    notebooks = sorted(
        path for path in homework.glob("source/*/*.ipynb") if _is_ours(path.relative_to(homework))
    )
    if not notebooks:
        raise DataError(f"{homework} has no notebooks: expected source/day1/day1.ipynb and so on")
    with tempfile.TemporaryDirectory() as name:
        wanted: dict[Path, bytes | None] = {}
        for notebook in notebooks:
            if sealed := sealed_questions(notebook):
                wanted[notebook.with_name("quiz.json")] = sealed
        made = Path(name) / "source"
        shutil.copytree(homework / "source", made, ignore=shutil.ignore_patterns(".*"))
        for path, content in wanted.items():
            (made / path.relative_to(homework / "source")).write_bytes(content or b"")
        generate(Path(name))
        release = Path(name) / "release"
        for notebook in release.glob("*/*.ipynb"):
            join_answers(notebook)
        for path in sorted(release.rglob("*")):
            if path.is_file():
                wanted[homework / "release" / path.relative_to(release)] = path.read_bytes()
    for path in (homework / "release").rglob("*"):
        if path.is_file() and path not in wanted and _is_ours(path.relative_to(homework)):
            wanted[path] = None
    stale = [path for path, content in wanted.items() if _content(path) != content]
    for path in stale if write else ():
        content = wanted[path]
        if content is None:
            path.unlink()
        else:
            with atomic_write(path) as file:
                file.write(content)
    return stale


def sealed_questions(notebook: Path) -> bytes | None:
    """Return what students get of the questions in a teacher's notebook, None if it has none."""
    questions = {}
    for name, tests in graded_cells(read_notebook(notebook)).items():
        for node in ast.walk(ast.parse(tests.hidden)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "judge":
                given = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
                questions[name] = seal(name, Key(given["right"], given["why"]))
    if not questions:
        return None
    return (json.dumps(questions, indent=1) + "\n").encode()


def join_answers(notebook: Path) -> None:
    """Put the mark of what is to be filled in onto the line of a quiz's answer."""
    from nbformat import from_dict
    from nbgrader.utils import compute_checksum

    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if found := _QUIZ_ANSWER.fullmatch("".join(cell["source"])):
            cell["source"] = f"{found[1]}  {LETTERS}"
            cell["metadata"]["nbgrader"]["checksum"] = compute_checksum(from_dict(cell))
            cell["source"] = [cell["source"]]
    text = json.dumps(content, ensure_ascii=False, indent=1)
    notebook.write_text(f"{text}\n", encoding="utf-8")


def generate(course: Path) -> None:
    """Let nbgrader write `course/release` from `course/source`."""
    try:
        from nbgrader.apps import NbGraderAPI
    except ImportError:
        raise MissingExtraError("nbgrader", "course", "making the students' version") from None
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(course)
    # Marks are kept by nobody: `ppzoo grade` writes a table.
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False
    config.ClearSolutions.code_stub = {"python": STUB}
    api = NbGraderAPI(config=config)
    api.log.setLevel(logging.WARNING)
    for day in sorted(path.name for path in (course / "source").iterdir() if path.is_dir()):
        result: dict[str, Any] = api.generate_assignment(day, force=True, create=True)
        if not result["success"]:
            raise SystemExit(f"nbgrader could not make {day}:\n{result.get('log', '')}")


def _is_ours(path: Path) -> bool:
    """Tell a file from what Jupyter and systems leave beside it, in hidden files and folders."""
    return not any(part.startswith(".") for part in path.parts)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
