# SPDX-License-Identifier: Apache-2.0
"""Our pages: their links and headings, and what the site makes of links that leave docs/.

docs/ is what Sphinx builds. Pages there also link to code, configs, tests and notebooks, which are
elsewhere in the repository. `prepare` makes pages of these for the site, in folders that Git
ignores, and `for_site` leads the links there, or to the repository's own address if that is given.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# The course's notebooks, and not what nbconvert or somebody's experiments leave beside them.
DAYS = "day[1-7].ipynb"
# What `prepare` writes. Its pages end in `.markdown`, so that nothing takes them for ours.
MADE = ("api", "notebooks", "repository")

# Links and pictures, with a title or without: `[text](target)`, `![text](<target> "title")`.
_LINK = re.compile(
    r"(?P<before>\]\()(?P<target><[^>\n]*>|[^)\s]+)(?P<after>(?:\s+(?:\"[^\"]*\"|'[^']*'))?\))"
)
_FENCE = re.compile(r"^\s*(```+|~~~+)")
_CODE = re.compile(r"(`+)(?:(?!\1).)+?\1")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_EXTERNAL = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".md": "markdown"}
_LARGEST = 200_000  # bytes of a file that is shown as a page


@dataclasses.dataclass(frozen=True)
class Link:
    """A link or a picture on a page.

    Args:
        target: as it stands there.
        line: number of its line, from 1; 0 where that is not known.
    """

    target: str
    line: int = 0

    @property
    def is_external(self) -> bool:
        """Return whether it leaves the repository."""
        return bool(_EXTERNAL.match(self.target))

    @property
    def path(self) -> str:
        """Return the file that stands before the anchor, without %-forms; it may be nothing."""
        return urllib.parse.unquote(self.target.partition("#")[0])

    @property
    def anchor(self) -> str:
        """Return what stands behind the `#`."""
        return self.target.partition("#")[2]


def slug(heading: str) -> str:
    """Return GitHub's anchor of a heading: that of `A model · 模型` is `a-model--模型`.

    Args:
        heading: its Markdown, or its text.
    """
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[`*]", "", text).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of Markdown that are no code, with their numbers from 1."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif mark:
            fence = mark[1]
        else:
            yield number, line


def links(text: str) -> list[Link]:
    """Return the links and pictures of Markdown."""
    found = []
    for number, line in prose(text):
        # Code may look like a link; links may have code for their text.
        line = _CODE.sub(lambda m: "`" + re.sub(r"[\[\]()]", "_", m[0][1:-1]) + "`", line)
        found += [Link(m["target"].strip("<>"), number) for m in _LINK.finditer(line)]
    return found


def anchors(text: str) -> list[str]:
    """Return the anchors of Markdown's headings, numbered where they repeat, as GitHub does."""
    found: list[str] = []
    counts: dict[str, int] = {}
    for _, line in prose(text):
        heading = _HEADING.match(line)
        if heading:
            name = slug(heading[2])
            count = counts.get(name, 0)
            counts[name] = count + 1
            found.append(f"{name}-{count}" if count else name)
    return found


def markdown_of(path: Path) -> str:
    """Return a page's Markdown: of a notebook that of its cells, with blank lines between."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def on_site(path: Path) -> str | None:
    """Return where the site has a file of the repository, from docs/ on; None if it is no page.

    Args:
        path: absolute, of a file or a folder.
    """
    try:
        name = path.relative_to(ROOT).as_posix()
    except ValueError:
        return None
    if path.is_relative_to(DOCS):
        return f"/{path.relative_to(DOCS).as_posix()}"
    if name == "notebooks/README.md":
        return "/notebooks/index.markdown"
    if path.parent == ROOT / "notebooks":
        return f"/{name}"
    end = "" if path.suffix == ".md" else path.suffix
    return f"/repository/{(path.parent / path.stem).relative_to(ROOT).as_posix()}{end}.markdown"


def for_site(text: str, folder: Path, repository: str = "") -> str:
    """Return Markdown with its relative links as the site needs them.

    Args:
        text: Markdown.
        folder: where its page lies in the repository.
        repository: address of the repository's files, `https://.../blob/main`, to which links that
            leave docs/ and notebooks/ lead; without, they lead to pages of the site.
    """

    def lead(match: re.Match[str]) -> str:
        link = Link(match["target"].strip("<>"))
        if link.is_external or not link.path:
            return match[0]
        path = Path(os.path.normpath(folder / link.path))
        if folder.is_relative_to(DOCS) and path.is_relative_to(DOCS):
            return match[0]
        place = on_site(path)
        if place is None or not path.exists():
            return match[0]
        if repository and place.startswith("/repository/"):
            name = urllib.parse.quote(path.relative_to(ROOT).as_posix())
            place = f"{repository.rstrip('/')}/{name}"
        else:
            place = urllib.parse.quote(place)
        anchor = f"#{link.anchor}" if link.anchor else ""
        return f"{match['before']}{place}{anchor}{match['after']}"

    lines = text.splitlines(keepends=True)
    for number, line in prose(text):
        end = lines[number - 1][len(line) :]
        lines[number - 1] = _LINK.sub(lead, line) + end
    return "".join(lines)


def one_title(text: str) -> str:
    """Return Markdown whose second title, that in Chinese, is a bold line.

    The site's menu would list the page twice.
    """
    lines = text.splitlines(keepends=True)
    titles = [number for number, line in prose(text) if line.startswith("# ")]
    for number in titles[1:]:
        line = lines[number - 1]
        end = line[len(line.rstrip()) :]
        lines[number - 1] = f"**{line.strip('# ').rstrip()}**{end}"
    return "".join(lines)


def our_pages() -> list[Path]:
    """Return all pages that people read: Markdown of the repository, and the notebooks."""
    found = [*ROOT.glob("*.md"), ROOT / "tests/golden/DEVIATIONS.md"]
    for folder in ("docs", "notebooks", "homework"):
        found += (ROOT / folder).rglob("*.md")
    found += (ROOT / "notebooks").glob(DAYS)
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def linked_from(pages: list[Path]) -> set[Path]:
    """Return the files and folders of the repository that pages link to, as absolute paths."""
    found = set()
    for page in pages:
        for link in links(markdown_of(page)):
            if link.path and not link.is_external:
                found.add(Path(os.path.normpath(page.parent / link.path)))
    return {path for path in found if path.exists()}


def prepare(repository: str = "") -> None:
    """Write the pages that the site has beside those of docs/, and remove those of a former time.

    Args:
        repository: as in `for_site`; with it, code has no pages on the site.
    """
    made = {DOCS / "notebooks" / "index.markdown": _notebooks(repository)}
    for notebook in sorted((ROOT / "notebooks").glob(DAYS)):
        content = json.loads(notebook.read_text(encoding="utf-8"))
        for cell in content["cells"]:
            if cell["cell_type"] == "markdown":
                source = for_site(one_title("".join(cell["source"])), notebook.parent, repository)
                cell["source"] = source.splitlines(keepends=True)
        made[DOCS / "notebooks" / notebook.name] = json.dumps(content, indent=1)
    # Pages that are shown whole may link to further files.
    reached: set[Path] = set()
    new = set() if repository else linked_from(our_pages())
    while new:
        reached |= new
        new = linked_from([path for path in new if path.suffix == ".md"]) - reached
    for path in reached:
        place = on_site(path)
        if place is not None and place.startswith("/repository/"):
            made[DOCS / place[1:]] = _page_of(path)
    for path, name in _modules():
        made[DOCS / "api" / path] = name
    for folder in MADE:
        for path in sorted((DOCS / folder).rglob("*"), reverse=True):
            if path.is_file() and path not in made:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    for path, text in made.items():
        # An unchanged page keeps its time, and Sphinx need not read it again.
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def remove() -> None:
    """Remove what `prepare` wrote."""
    for folder in MADE:
        shutil.rmtree(DOCS / folder, ignore_errors=True)


def _notebooks(repository: str) -> str:
    page = ROOT / "notebooks" / "README.md"
    days = sorted(path.name for path in page.parent.glob(DAYS))
    text = for_site(page.read_text(encoding="utf-8"), page.parent, repository)
    return f"{text}\n```{{toctree}}\n:hidden:\n\n" + "\n".join(days) + "\n```\n"


def _page_of(path: Path) -> str:
    """Return a page that shows a file or lists a folder."""
    name = path.relative_to(ROOT).as_posix()
    if path.suffix == ".md":
        return f"---\norphan: true\n---\n\n{for_site(path.read_text('utf-8'), path.parent)}"
    if path.is_dir():
        content, language = "\n".join(sorted(entry.name for entry in path.iterdir())), "text"
    else:
        content, language = f"{path.stat().st_size} bytes: see the repository", "text"
        # What is no text, such as weights, is not shown either.
        with contextlib.suppress(UnicodeDecodeError):
            if path.stat().st_size <= _LARGEST:
                content = path.read_text(encoding="utf-8")
                language = _LANGUAGES.get(path.suffix, "text")
    fence = "`" * 12  # more than any file has
    return f"---\norphan: true\n---\n\n# `{name}`\n\n{fence}{language}\n{content}\n{fence}\n"


def _modules() -> Iterator[tuple[str, str]]:
    """Yield the pages of the API reference: one for each package, with its public modules."""
    package = ROOT / "ppzoo"
    folders = sorted({path.parent for path in package.rglob("__init__.py")})
    names = []
    for folder in folders:
        name = ".".join(folder.relative_to(ROOT).parts)
        modules = [name]
        for path in sorted(folder.glob("*.py")):
            if not path.stem.startswith("_"):
                modules.append(f"{name}.{path.stem}")
        lines = [f"{name}\n{'=' * len(name)}\n"]
        for module in modules:
            if module != name:
                lines.append(f"{module}\n{'-' * len(module)}\n")
            # What a package offers of its modules is described there, but for ppzoo's own.
            options = ":no-index:" if module == "ppzoo" else ":ignore-module-all:"
            lines.append(f".. automodule:: {module}\n   :members:\n   {options}\n")
        names.append(name)
        yield f"{name}.rst", "\n".join(lines)
    title = "API reference · 接口参考"
    listed = "".join(f"   {name}\n" for name in names)
    intro = (
        "What `import ppzoo` offers comes first; then each package, module by module, from the\n"
        "docstrings of the code.\n\n"
        "先列出 `import ppzoo` 直接提供的接口，再按包逐个模块列出，内容来自代码中的文档字符串。\n"
    )
    yield "index.rst", f"{title}\n{'=' * 30}\n\n{intro}\n.. toctree::\n   :maxdepth: 2\n\n{listed}"
