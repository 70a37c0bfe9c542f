# SPDX-License-Identifier: Apache-2.0
"""Finds the code that stands within the sentences of our pages and of the texts of notebooks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from markdown_it import MarkdownIt

from ..runs import ROOT
from .blocks import pages as pages_with_blocks

MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclasses.dataclass(frozen=True)
class Text:
    """Markdown: a page, or a text cell of a notebook.

    Attributes:
        place: what a problem in it is said to be in.
        markdown: it.
    """

    place: str
    markdown: str


@dataclasses.dataclass(frozen=True)
class Sentences:
    """A paragraph, a heading, an item of a list or a row of a table.

    Attributes:
        place: where, in words.
        spans: of code, in order.
    """

    place: str
    spans: tuple[str, ...]


def sources() -> list[Path]:
    """Return the pages and notebooks in whose sentences code stands."""
    notebooks = [
        *(ROOT / "notebooks").glob("*.ipynb"),
        *(ROOT / "homework/source").rglob("*.ipynb"),
    ]
    others = [ROOT / "CHANGELOG.md", *(ROOT / "notebooks").rglob("*.md")]
    others += (ROOT / "ppzoo").rglob("*.md-tpl")
    return list(dict.fromkeys([*pages_with_blocks(), *sorted(others), *sorted(notebooks)]))


def texts(path: Path) -> list[Text]:
    """Return the text of a page, or those of a notebook's cells."""
    name, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [Text(name, text)]
    cells = enumerate(json.loads(text)["cells"], 1)
    return [
        Text(f"{name}, cell {number}", "".join(cell["source"]))
        for number, cell in cells
        if cell["cell_type"] == "markdown"
    ]


def sentences(text: Text) -> list[Sentences]:
    """Return the parts of a text that have code in them."""
    found: dict[int, list[str]] = {}
    for token in MARKDOWN.parse(text.markdown):
        if token.type == "inline":
            # The cells of a row stand in one line, and speak of one thing.
            spans = found.setdefault(token.map[0] + 1, [])
            spans += [child.content for child in token.children if child.type == "code_inline"]
    return [
        Sentences(f"{text.place}:{line}", tuple(spans)) for line, spans in found.items() if spans
    ]
