# SPDX-License-Identifier: Apache-2.0
"""`ppzoo homework export`: a notebook as markdown with its pictures, to be shown on GitHub."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ppzoo.atomic import atomic_write
from ppzoo.course.notebooks import read_notebook
from ppzoo.errors import ConfigError, DataError, MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppzoo homework`."""
    commands = parser.add_subparsers(dest="homework_command", required=True)
    export = commands.add_parser("export", help="write a notebook as markdown with its pictures")
    export.add_argument("notebook", metavar="NOTEBOOK", help="an .ipynb that was run and saved")
    export.add_argument(
        "-o", "--output", metavar="OUT.md", help="the file to write; by default beside the notebook"
    )


def run(args: argparse.Namespace) -> int:
    """Run `ppzoo homework ...` and return the exit code.

    Raises:
        UserError: see `export_markdown`.
    """
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
        The files that were written.

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
    text, made = MarkdownExporter().from_notebook_node(read_notebook(source), resources=resources)
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


def _was_run(notebook: Path) -> bool:
    cells = [cell for cell in read_notebook(notebook).cells if cell["cell_type"] == "code"]
    return not cells or any(cell["outputs"] for cell in cells)
