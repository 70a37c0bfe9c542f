# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the site: `make docs`, or `sphinx-build -W -b html docs site`.

PPZOO_REPOSITORY may hold the address of the repository's files, as in `https://.../blob/main`:
links to code then lead there. Without it they lead to pages of the site that show the code.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ppzoo
from tools import pages

project = "ppzoo"
author = "the authors of ppzoo"
project_copyright = author
version = release = ppzoo.__version__
repository = os.environ.get("PPZOO_REPOSITORY", "")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {
    ".md": "myst-nb",
    ".markdown": "myst-nb",
    ".ipynb": "myst-nb",
    ".rst": "restructuredtext",
}
html_theme = "furo"
html_title = "ppzoo"
html_show_copyright = False
html_copy_source = False
default_role = "code"
copybutton_exclude = ".linenos, .gp, .go"

nb_execution_mode = "off"
# Quotes are those that the pages have: curly ones made of straight ones are wrong in Chinese.
smartquotes = False
myst_enable_extensions = ["dollarmath"]
myst_dmath_allow_space = False
myst_heading_anchors = 4
myst_heading_slug_func = "tools.pages.slug"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
autodoc_class_signature = "mixed"
# The menu would copy a thousand entries for every page, and more than double the building time.
toc_object_entries = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Classes of one name that two modules have: which one a docstring means is not said there.
suppress_warnings = ["ref.python"]

linkcheck_timeout = 20
linkcheck_retries = 2


def lead_links(app: Any, docname: str, source: list[str]) -> None:
    """Lead the links of a page of docs/ that leave it to where the site has their targets."""
    path = Path(app.env.doc2path(docname))
    if path.suffix == ".md":
        source[0] = pages.for_site(source[0], path.parent, repository)


_MARKED = re.compile(r"(``[^`]+``|`[^`]+`)")
_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Example|Note):$")


def escaped(line: str) -> str:
    """Return a line with code marked as code, and signs that would mark something as themselves."""
    parts = _MARKED.split(line)
    for at, part in enumerate(parts):
        if at % 2:
            parts[at] = f"``{part.strip('`')}``"
        else:
            parts[at] = re.sub(r"(?<!\\)([*|]|_(?=\W|$))", r"\\\1", part)
    return "".join(parts)


def as_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring into reStructuredText.

    Code in single quotes becomes code; a block that is indented behind a blank line, literal; one
    that is not behind a blank line, a list. What belongs to `Args:` and the like is napoleon's.
    """
    made: list[str] = []
    base, kind = None, ""
    for line in lines:
        indent, text = len(line) - len(line.lstrip()), line.strip()
        if text and (not indent or (kind == "section" and _SECTION.match(text))):
            kind = "section" if _SECTION.match(text) else ""
            if made and made[-1] and base is not None and not kind:
                made.append("")
            base = None
        elif text and base is None and kind != "section" and not _is_list(made):
            base = indent
            kind = "literal" if made and not made[-1] else "list"
            made += ["::", ""] if kind == "literal" else [""]
        if kind == "literal" or not text:
            made.append(line)
        elif kind == "list" and base is not None:
            deeper = indent > base
            made.append(f"{'  ' if deeper else '* '}{escaped(text)}")
        else:
            made.append(line[:indent] + escaped(text))
    lines[:] = made


def _is_list(lines: list[str]) -> bool:
    last = next((line for line in reversed(lines) if line and not line[0].isspace()), "")
    return bool(re.match(r"([-*]|\d+\.) ", last))


def leave_out(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out fields of named tuples, whose docstrings are Python's: their class says it."""
    text = getattr(obj, "__doc__", None) or ""
    return True if text.startswith("Alias for field number") else None


def keep_outputs_in_site(app: Any) -> None:
    """Have myst-nb put the notebooks' pictures into the site's folder, not into one beside it."""
    folder = Path(app.doctreedir) / "notebooks"
    app.env.mystnb_config = app.env.mystnb_config.copy(output_folder=str(folder))


def setup(app: Any) -> None:
    """Make the pages that are not in docs/, before Sphinx looks for pages."""
    pages.prepare(repository)
    app.add_config_value("repository", "", "env")  # another address: all pages are read again
    app.connect("builder-inited", keep_outputs_in_site, priority=900)  # after myst-nb's own
    app.connect("source-read", lead_links)
    app.connect("autodoc-process-docstring", as_rst, priority=100)
    app.connect("autodoc-skip-member", leave_out)
