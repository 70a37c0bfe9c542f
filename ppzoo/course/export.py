# SPDX-License-Identifier: Apache-2.0
"""`ppzoo homework export`: a notebook as markdown with its pictures, to be shown on GitHub."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

from ppzoo.atomic import atomic_write
from ppzoo.course.notebooks import read_notebook
from ppzoo.errors import ConfigError, DataError, MissingExtraError

# A warning as Python prints it: file, line, kind and text, then the line of code. And where the
# packages lie, also in a notebook that was run on another machine.
_WARNING = re.compile(r"^\S.*?:\d+: \w*Warning: .*\n?(?:[ \t]+.*(?:\n|$))?", re.MULTILINE)
_PACKAGES = re.compile(r"(?:[A-Za-z]:)?[\w./\\~+-]*[/\\](?=(?:site|dist)-packages[/\\])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppzoo homework`."""
    commands = parser.add_subparsers(dest="homework_command", required=True)
    export = commands.add_parser(
        "export",
        help="write a notebook as markdown with its pictures",
        description="Write a notebook as markdown with its pictures. Warnings that cells printed "
        "are left out, and folders of this machine are shortened, such as your home to ~.",
    )
    export.add_argument("notebook", metavar="NOTEBOOK", help="an .ipynb that was run and saved")
    export.add_argument(
        "-o", "--output", metavar="OUT.md", help="the file to write; by default beside the notebook"
    )


def run(args: argparse.Namespace) -> int:
    """Run `ppzoo homework ...` and return the exit code.

    Raises:
        UserError: see `export_markdown`.
    """
    if not Path(args.notebook).is_file():  # a folder such as `.` has no name to make another of
        raise DataError(f"there is no notebook {args.notebook}")
    target = args.output or Path(args.notebook).with_suffix(".md")
    written = export_markdown(args.notebook, target)
    sys.stdout.write("".join(f"{path}\n" for path in written))
    if not _was_run(Path(args.notebook)):
        sys.stderr.write(
            "warning: the notebook has no outputs: run all of its cells and save it, then export\n"
        )
    return 0


def export_markdown(notebook: str | os.PathLike[str], target: str | os.PathLike[str]) -> list[Path]:
    """Write a notebook as markdown, and its pictures into a folder beside it.

    Args:
        notebook: an .ipynb file; it is not run.
        target: the .md file; the pictures of `day2.md` go to `day2_files`.

    Returns:
        The files that were written. Warnings that cells printed are left out, and folders of this
        machine are shortened.

    Raises:
        ConfigError: the target's name does not end in .md.
        DataError: the notebook is missing, damaged, or cannot be exported.
        MissingExtraError: the extra `course` is not installed.
        UserError: a file that cannot be written.
    """
    source, target = Path(notebook), Path(target)
    if target.suffix.lower() != ".md":
        raise ConfigError(f"--output {target}: the name must end in .md")
    if not source.is_file():
        raise DataError(f"there is no notebook {source}")
    try:
        from nbconvert import MarkdownExporter
    except ImportError:
        raise MissingExtraError("nbconvert", "course", "exporting a notebook") from None
    folder = f"{target.stem}_files"
    # Links in markdown end at a space.
    folder = "_".join(folder.split())
    resources = {"output_files_dir": folder, "unique_key": "picture"}
    text, made = MarkdownExporter().from_notebook_node(
        _public(read_notebook(source)), resources=resources
    )
    written = []
    for name, content in sorted(made.get("outputs", {}).items()):
        path = (target.parent / name).resolve()
        if (target.parent / folder).resolve() not in path.parents:
            raise DataError(f"{source}: a picture wants to be written to {name}")
        with atomic_write(target.parent / name) as file:
            file.write(content)
        written.append(target.parent / name)
    with atomic_write(target) as file:
        file.write(text.encode("utf-8"))
    return [target, *written]


def _public(notebook: Any) -> Any:
    """Leave out of outputs what says more about a machine than about the work."""
    for cell in notebook.cells:
        if cell["cell_type"] != "code":
            continue
        kept = []
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                text = output["text"]
                text = _WARNING.sub("", text) if output["name"] == "stderr" else text
                output["text"] = _shortened(text)
            elif output["output_type"] == "error":
                output["evalue"] = _shortened(output["evalue"])
                output["traceback"] = [_shortened(line) for line in output["traceback"]]
            elif isinstance(output.get("data", {}).get("text/plain"), str):
                output["data"]["text/plain"] = _shortened(output["data"]["text/plain"])
            if output["output_type"] != "stream" or output["text"].strip():
                kept.append(output)
        cell["outputs"] = kept
    return notebook


def _shortened(text: str) -> str:
    text = _PACKAGES.sub("", text)
    home = str(Path.home())
    # A container may have the root of all files for a home.
    return re.sub(rf"{re.escape(home)}(?![\w-])", "~", text) if len(home) > 1 else text


def _was_run(notebook: Path) -> bool:
    cells = [cell for cell in read_notebook(notebook).cells if cell["cell_type"] == "code"]
    return not cells or any(cell["outputs"] for cell in cells)
