# SPDX-License-Identifier: Apache-2.0
"""Feedback as an HTML page: the student's notebook with points and hints after each cell of tests.

What students wrote and printed stands in it as text and pictures: HTML and scripts are taken out.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from typing import Any

from ppzoo.course.notebooks import is_tests, mark_of

_STATUSES = {
    "timed out": "ran for too long and was stopped · 运行超时，已被终止",
    "printed too much": "printed too much and was stopped · 输出过多，已被终止",
    "crashed": "ended by itself before its time · 运行中途自行退出",
}


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a cell of tests gave.

    Args:
        points: earned.
        most: that could be earned.
        message: what to say about it; empty where it was never reached.
    """

    points: float
    most: float
    message: str


def as_html(
    notebook: Any,
    judged: Mapping[str, Judged],
    title: str,
    changed: Sequence[str],
    statuses: Sequence[str],
) -> str:
    """Return the page.

    Args:
        notebook: what was run, with outputs; it is changed.
        judged: by the names of cells.
        title: of the page.
        changed: names of the locked cells that the student had changed.
        statuses: what went wrong, see `ppzoo.course.kernel`.
    """
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_markdown_cell

    points, most = _sum(judged, "points"), _sum(judged, "most")
    head = [f"# {html.escape(title)}: {points:g} / {most:g}"]
    head += [f"**The notebook {_STATUSES.get(one, one)}.**" for one in dict.fromkeys(statuses)]
    if changed:
        names = ", ".join(f"`{html.escape(name)}`" for name in changed)
        head.append(
            f"These cells are not yours to change; the originals were run: {names}\n\n"
            f"以下单元格不可修改，评分时使用了原始版本：{names}"
        )
    cells = [new_markdown_cell("\n\n".join(head))]
    for cell in notebook.cells:
        cells.append(cell)
        if is_tests(cell):
            cells.append(new_markdown_cell(_said(judged[mark_of(cell)["grade_id"]])))
    notebook["cells"] = cells
    exporter = HTMLExporter(sanitize_html=True, embed_images=False)
    page, _ = exporter.from_notebook_node(notebook)
    return page


def _said(one: Judged) -> str:
    mark = "✔" if one.points == one.most else "✘"
    line = f"**{mark} {one.points:g} / {one.most:g}**"
    if one.points == one.most:
        return line
    message = one.message or "This was not reached.\n没有运行到这里。"
    # As a block of HTML, so that nothing in it is taken for markdown.
    return f"{line}\n\n<pre>{html.escape(message)}</pre>"


def _sum(judged: Mapping[str, Judged], what: str) -> float:
    return sum(getattr(one, what) for one in judged.values())
