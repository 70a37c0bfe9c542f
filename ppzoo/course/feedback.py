# SPDX-License-Identifier: Apache-2.0
"""Feedback as an HTML page: the student's notebook with points and hints after each cell of tests.

What students wrote and printed stands in it as text and pictures: HTML and scripts are taken out,
and the page forbids the browser to run any or to fetch anything.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ppzoo.course.notebooks import is_tests, locked_and_deleted, mark_of, titles
from ppzoo.course.style import CSS

_STATUSES = {
    "timed out": ("It ran for too long and was stopped.", "运行超时，已被终止。"),
    "printed too much": ("It printed too much and was stopped.", "输出过多，已被终止。"),
    "wrote too much": ("It wrote too many files or too large ones, and was stopped.",
                       "写入的文件过多或过大，已被终止。"),
    "crashed": ("It ended by itself before its time.", "运行中途自行退出。"),
}  # fmt: skip
_AS_ABOVE = "See above what is said of your choice.\n对所选选项的讲解见上。"
# Elements of the body whose text begins in Chinese, and lines with more than a word of it.
_CHINESE = re.compile(r"<(p|h[1-6]|li)((?: [^<>]*)?)>(?=[\d\s.]*[\u4e00-\u9fff])")
_IS_CHINESE = re.compile("^[^A-Za-z]*[\u4e00-\u9fff]|。$")
_FORMULA = re.compile(r"\$([^$\n]+)\$")
# What markdown becomes; other tags are shown as they were typed.
_TAGS = (
    "a", "b", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td",
    "th", "thead", "tr", "ul",
)  # fmt: skip
# Classes of what the page itself says: markdown must not look as if it said that.
_OWN_CLASSES = frozenset(("bar", "parts", "right", "said", "warning", "wrong"))
_KEPT, _KEPT_IN_ALL = 64 * 1024, 256 * 1024  # characters of a cell, and of a notebook
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a cell of tests gave.

    Args:
        points: earned.
        most: that could be earned.
        message: what to say about it; empty where it is right, or was never reached.
        reached: whether it was.
    """

    points: float
    most: float
    message: str
    reached: bool = True


@dataclasses.dataclass(frozen=True)
class Stopped:
    """What went wrong with the kernel.

    Args:
        status: see `ppzoo.course.kernel`.
        english: the cell that it happened in, empty where no cell was run.
        chinese: the same.
    """

    status: str
    english: str = ""
    chinese: str = ""


def as_html(
    notebook: Any,
    judged: Mapping[str, Judged],
    title: str,
    changed: list[str],
    stopped: Sequence[Stopped],
) -> str:
    """Return the page.

    Args:
        notebook: what was run, with outputs; it is changed.
        judged: by the names of cells.
        title: of the page.
        changed: names of the locked cells that the student had changed.
        stopped: what went wrong, and where.
    """
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_markdown_cell

    # What is put in afterwards; names that no student can guess stand for it meanwhile.
    parts: dict[str, str] = {}

    def part(content: str) -> str:
        name = f"part{secrets.token_hex(16)}"
        parts[name] = content
        return name

    # Before cells are cut and others stand between them.
    head = _summary(notebook, judged, title, changed, stopped)
    cells, left = [], _KEPT_IN_ALL
    for cell in notebook.cells:
        source = cell["source"]
        cell["source"] = source[: min(_KEPT, left)]
        left -= len(cell["source"])
        if len(cell["source"]) < len(source):
            sign = "# " if cell["cell_type"] == "code" else ""
            cell["source"] += f"\n{sign}… cut here · 此后从略 …"
        if cell["cell_type"] == "markdown" and mark_of(cell):
            cell["source"] = _FORMULA.sub(lambda found: part(_formula(found[1])), cell["source"])
        cells.append(cell)
        if is_tests(cell):
            name = mark_of(cell)["grade_id"]
            one = judged[name]
            if one.message and one.message in _printed(cell):
                one = dataclasses.replace(one, message=_AS_ABOVE)
            cells.append(new_markdown_cell(part(_said(name, one))))
    notebook["cells"] = cells
    exporter = HTMLExporter(template_name="basic", sanitize_html=True, embed_images=False)
    # The judge numbers nothing.
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    # Its own filter takes paragraphs and headings for what must not be.
    exporter.register_filter("clean_html", _clean)
    body, _ = exporter.from_notebook_node(notebook)
    # The page is in two languages: readers aloud, and fonts, are to know which one each part is in.
    body = _CHINESE.sub(r'<\1\2 lang="zh">', body)
    for name, content in parts.items():
        body = body.replace(f"<p>{name}</p>", content).replace(name, content)
    return as_page(title, head, body)


def without_notebook(
    notebook: Any,
    judged: Mapping[str, Judged],
    title: str,
    changed: list[str],
    stopped: Sequence[Stopped],
) -> str:
    """Return the page of a notebook that cannot be shown; see `as_html`."""
    names = titles(notebook)
    said = "".join(
        f"<h2>{html.escape(names.get(name, name))}</h2>\n{_said(name, one)}\n"
        for name, one in judged.items()
    )
    note = warning("Your notebook cannot be shown here.", "此处无法显示你的笔记本。")
    return as_page(title, _summary(notebook, judged, title, changed, stopped) + note, said)


def as_page(title: str, head: str, body: str = "") -> str:
    """Return a page of two parts in HTML."""
    from pygments.formatters import HtmlFormatter

    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n"
        f"{HtmlFormatter().get_style_defs('.highlight')}\n{CSS}</style></head>\n"
        f"<body>\n<header>{head}</header>\n<main>{body}</main>\n</body></html>\n"
    )


def score(title: str, points: float, most: float) -> str:
    """Return a headline with points, and a bar of them."""
    return (
        f"<h1>{html.escape(title)}: {points:g} / {most:g}</h1>\n"
        f'<div class="bar"><div style="width: {100 * points / max(most, 1e-9):.0f}%"></div></div>\n'
    )


def warning(english: str, chinese: str) -> str:
    """Return a remark that stands out."""
    return f'<p class="warning">{_line(english)}<br>{_line(chinese)}</p>\n'


def _summary(
    notebook: Any,
    judged: Mapping[str, Judged],
    title: str,
    changed: list[str],
    stopped: Sequence[Stopped],
) -> str:
    names = titles(notebook)
    locked, deleted = locked_and_deleted(notebook, changed)
    text = score(
        title, *(sum(getattr(one, of) for one in judged.values()) for of in ("points", "most"))
    )
    for one in dict.fromkeys(stopped):
        english, chinese = _STATUSES.get(one.status, (one.status, ""))
        where = (f" In {one.english}.", f"位置：{one.chinese}。") if one.english else ("", "")
        text += warning(english + where[0], chinese + where[1])
    if locked:
        listed = ", ".join(dict.fromkeys(names.get(name, name) for name in locked))
        text += warning(
            f"These cells are not yours to change; the originals were run: {listed}",
            f"以下单元格不可修改，评分时使用了原始版本：{listed}",
        )
    if deleted:
        listed = ", ".join(dict.fromkeys(names.get(name, name) for name in deleted))
        text += warning(
            f"The cell for your answer is gone; answer in the cell that was given: {listed}",
            f"作答的单元格被删除了，请在题目给出的单元格中作答：{listed}",
        )
    rows = "".join(
        f'<li class="{_kind(one)}"><a href="#{html.escape(name)}">'
        f"{html.escape(names.get(name, name))}</a> "
        f"{one.points:g} / {one.most:g}</li>\n"
        for name, one in judged.items()
    )
    return f'{text}<ul class="parts">\n{rows}</ul>\n'


def _clean(text: Any) -> str:
    import bleach  # nbconvert's own

    return bleach.clean(str(text), tags=_TAGS, attributes={"a": ["href"], "*": _is_harmless})


def _is_harmless(tag: str, name: str, value: str) -> bool:
    return name == "class" and _OWN_CLASSES.isdisjoint(value.split())


def _printed(cell: Any) -> str:
    texts = [one.get("data", {}).get("text/plain", "") for one in cell["outputs"]]
    return "\n".join(map(str, texts))


def _said(name: str, one: Judged) -> str:
    lines = [f"<b>{'✔' if _kind(one) == 'right' else '✘'} {one.points:g} / {one.most:g}</b>"]
    if _kind(one) == "wrong":
        message = one.message or "This was not reached.\n没有运行到这里。"
        lines += map(_line, message.split("\n"))
    return f'<div class="said {_kind(one)}" id="{html.escape(name)}">{"<br>".join(lines)}</div>'


def _line(text: str) -> str:
    """Return a line of text in HTML, marked if it is Chinese."""
    escaped = html.escape(text)
    return f'<span lang="zh">{escaped}</span>' if _IS_CHINESE.search(text) else escaped


def _kind(one: Judged) -> str:
    # Of a cell without points, only the rest tells.
    is_right = one.points == one.most and one.reached and not one.message
    return "right" if is_right else "wrong"


def _formula(tex: str) -> str:
    """Return a formula of the teacher's as a picture, or as it was written."""
    from matplotlib.mathtext import math_to_image

    image = io.BytesIO()
    try:
        known = re.sub(r"\\[lr]Vert(?![A-Za-z])", r"\\Vert ", tex)
        math_to_image(f"${known}$", image, dpi=100, format="svg")
    except ValueError:
        return f"<code>{html.escape(tex)}</code>"
    data = base64.b64encode(image.getvalue()).decode()
    return f'<img class="formula" alt="{html.escape(tex)}" src="data:image/svg+xml;base64,{data}">'
