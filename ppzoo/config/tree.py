# SPDX-License-Identifier: Apache-2.0
"""YAML as a tree whose every value knows where it was written.

Nothing here executes what it reads: tags may only name the plain types of YAML, and texts that
spell Python values go through `ast.literal_eval`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import re
import warnings
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from ppzoo.config.problems import OVERRIDE, Origin, shown
from ppzoo.errors import ConfigError
from ppzoo.registry import closest

# The largest of PaddleGAN's files has 6 kB, 400 values and 12 levels. The limits keep files that
# were made to be expensive (aliases of aliases of aliases) from taking all time and memory.
MAX_BYTES = 64 * 1024
MAX_VALUES = 20_000
MAX_DEPTH = 40
MAX_LITERAL = 4096
MAX_INT = 2**64

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(_TAG + kind for kind in ("null", "bool", "int", "float"))
# YAML reads 2020-01-01 as a date; a folder may be called so.
_TEXT_TAGS = frozenset((_TAG + "str", _TAG + "timestamp"))


_YAML = (".yaml", ".yml")
# A key whose colon YAML does not take for one: from a Chinese keyboard, or with no space behind.
_NO_COLON = re.compile(
    r"\s*(?:- )?(?P<key>[A-Za-z_]\w*)(?P<colon>\s*：|:(?=[^\s/\\]))(?P<value>.*)"
)
_REACH = 2  # lines that the parser may be behind such a key
# What the parser's sentences begin with, and what a person can look for.
_HINTS = {
    "expected <block end>": "the indentation fits none of the lines above: keys of one mapping "
    "begin in the same column",
    "mapping values are not allowed": "a key cannot stand here: look at its indentation, and put a "
    "text that has ': ' in it into quotes",
    "expected ',' or ']'": "is the bracket '[' closed, with a comma between all entries?",
    "expected ',' or '}'": "is the bracket '{' closed, with a comma between all entries?",
    "found unexpected end of stream": "is the quotation mark closed?",
}


@dataclasses.dataclass(frozen=True)
class Node:
    """A value and where it was written. Nodes are shared and never changed.

    Args:
        value: a scalar, a list of nodes, or a mapping from scalars to nodes.
        origin: the line of its key, if it has one, else its own.
    """

    value: Any
    origin: Origin

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self.value, dict)

    def get(self, key: Hashable) -> Any:
        """Return the plain scalar under `key` of a mapping, None if there is none."""
        item = self.value.get(key) if self.is_mapping else None
        return item.value if item is not None else None


def walk(node: Node, where: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every node below `node` with its dotted path."""
    if isinstance(node.value, dict):
        items = node.value.items()
    elif isinstance(node.value, list):
        items = enumerate(node.value)
    else:
        return
    for key, item in items:
        path = f"{where}.{key}" if where else str(key)
        yield path, item
        yield from walk(item, path)


def literal(text: str) -> Any:
    """Return the Python value that a text such as `(0., 1.)`, `None` or `1e-4` spells, else it.

    PaddleGAN's configs write values so. Only numbers, texts, booleans, None and lists, tuples and
    mappings of them count.
    """
    if len(text) > MAX_LITERAL:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns about texts such as `1if` and `\d`
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value if _is_plain(value) else text


def parse_yaml(text: str, file: str | None = None) -> Node | None:
    """Read one YAML document, None if it is empty.

    Args:
        text: the document.
        file: how errors name it; None for the value of an override.

    Raises:
        ConfigError: it is not valid YAML, repeats a key, has tags that are not plain values, or
            is too large.
    """
    name = file or str(OVERRIDE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an anchor that is defined twice
            root = YAML(typ="safe", pure=True).compose(text)
        return None if root is None else _Converter(file).convert(root, _line(root), depth=0)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        line, explained = _mistyped(text, line) or (line, _explained(error, line))
        place = Origin(name, line if file else 0)
        raise ConfigError(f"{place}: not valid YAML: {explained}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if file else 0
        character = f"U+{error.character:04X}"
        raise ConfigError(
            f"{Origin(name, line)}: not a text file: it has the control character {character}"
        ) from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply to be a config") from None
    except YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{name}: not valid YAML: {problem}") from None


def read_yaml(path: Path, name: str) -> Node:
    """Read a config file.

    Args:
        path: the file.
        name: how errors name it.

    Raises:
        ConfigError: the file is missing, not readable, not UTF-8, empty, not valid YAML, or not
            a mapping.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{name}: there is no such file{similar_file(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a folder, expected a YAML file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{name}: cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: has more than {MAX_BYTES} bytes, too many for a config")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: not UTF-8 text; save the file as UTF-8") from None
    root = parse_yaml(text, name)
    if root is None:
        raise ConfigError(f"{name}: is empty, expected at least 'model' and 'dataset'")
    if not root.is_mapping:
        raise ConfigError(f"{root.origin}: expected a mapping (`key: value` lines) at the top")
    return root


def from_python(value: Any, origin: Origin, depth: int = 0) -> Node:
    """Return a Python value as a tree that was all written at `origin`.

    Raises:
        ConfigError: it is nested too deeply.
    """
    _check_depth(depth, origin)
    if isinstance(value, dict):
        value = {key: from_python(item, origin, depth + 1) for key, item in value.items()}
    elif isinstance(value, list):
        value = [from_python(item, origin, depth + 1) for item in value]
    return Node(value, origin)


class _Converter:
    """Turns ruamel's nodes into ours: resolves scalars, literals, aliases and merge keys."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.scalars = YAML(typ="safe", pure=True).constructor
        self.count = 0

    def convert(self, node: Any, line: int, depth: int, in_mapping: bool = False) -> Node:
        origin = self._origin(line)
        _check_depth(depth, origin)
        self.count += 1
        if self.count > MAX_VALUES:
            raise ConfigError(f"{origin}: has more than {MAX_VALUES} values, aliases included")
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return Node(self._mapping(node, depth), origin)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            items = [self.convert(item, _line(item), depth + 1) for item in node.value]
            return Node(items, origin)
        value = self._scalar(node, origin)
        if in_mapping and isinstance(value, str):
            return from_python(literal(value), origin, depth)
        return Node(value, origin)

    def _mapping(self, node: MappingNode, depth: int) -> dict[Hashable, Node]:
        own: dict[Hashable, Node] = {}
        merged: dict[Hashable, Node] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            origin = self._origin(line)
            if getattr(key_node, "tag", None) == _TAG + "merge":
                merged = self._merged(value_node, line, depth) | merged
                continue
            key = self._scalar(key_node, origin)
            if key in own:
                first = own[key].origin
                raise ConfigError(f"{origin}: the key {key!r} stands here again, see {first}")
            own[key] = self.convert(value_node, line, depth + 1, in_mapping=True)
        return merged | own

    def _merged(self, node: Any, line: int, depth: int) -> dict[Hashable, Node]:
        """Return what `<<: *anchor` or `<<: [*first, *second]` stands for; the first one wins."""
        found: dict[Hashable, Node] = {}
        for item in node.value if isinstance(node, SequenceNode) else [node]:
            mapping = self.convert(item, line, depth + 1)
            if not mapping.is_mapping:
                raise ConfigError(f"{self._origin(line)}: '<<' takes mappings only")
            found = mapping.value | found
        return found

    def _scalar(self, node: Any, origin: Origin) -> Any:
        tag = str(node.tag)
        if not isinstance(node, ScalarNode) or tag not in _SCALAR_TAGS | _TEXT_TAGS:
            kind = tag.removeprefix(_TAG)
            raise ConfigError(
                f"{origin}: a value tagged {kind!r} cannot be used here; configs "
                "hold numbers, texts, lists and mappings with plain keys"
            )
        if tag in _TEXT_TAGS:
            if not _is_plain(node.value):
                raise ConfigError(f"{origin}: the text {node.value!r} is not valid Unicode")
            return node.value
        try:
            value = self.scalars.construct_object(node)
        except (ValueError, KeyError, IndexError, OverflowError):
            kind = tag.removeprefix(_TAG)
            raise ConfigError(f"{origin}: {node.value[:60]!r} cannot be read as {kind}") from None
        if isinstance(value, int) and not _is_plain(value):
            raise ConfigError(f"{origin}: the number does not fit into 64 bits")
        return value

    def _origin(self, line: int) -> Origin:
        return OVERRIDE if self.file is None else Origin(self.file, line)


def _explained(error: MarkedYAMLError, line: int) -> str:
    problem = " ".join(str(error.problem).split())
    if "'\\t'" in problem:
        return "a tab where YAML wants spaces"
    if error.context_mark is not None and error.context_mark.line + 1 != line:
        problem += f" ({error.context}, which began in line {error.context_mark.line + 1})"
    hints = [hint for start, hint in _HINTS.items() if problem.startswith(start)]
    return "; ".join([problem, *hints])


def _mistyped(text: str, line: int) -> tuple[int, str] | None:
    """Return the line of a key without a colon or spaces, and a sentence; None if none is near.

    Args:
        text: the document.
        line: where the parser stopped, from 1: there, or after such a key.
    """
    lines = text.splitlines()
    for number in range(min(line, len(lines)), max(0, line - _REACH - 1), -1):
        code = lines[number - 1].lstrip()
        indent = lines[number - 1][: -len(code)] if code else ""
        if odd := indent.strip(" \t"):
            return number, (
                f"the line begins with U+{ord(odd[0]):04X}, which looks like a space and is none "
                "in YAML: type half-width spaces"
            )
        found = _NO_COLON.fullmatch(lines[number - 1])
        if found is None:
            continue
        right = f"{found['key']}: {found['value'].strip()}".strip()
        wrong = "a space is missing after the colon"
        if "：" in found["colon"]:
            wrong = "the full-width colon '：' is none in YAML, the half-width ':' is"
        return number, f"{wrong}: type {shown(right)}"
    return None


def _line(node: Any) -> int:
    return node.start_mark.line + 1


def _check_depth(depth: int, origin: Origin) -> None:
    if depth > MAX_DEPTH:
        raise ConfigError(f"{origin}: nested more than {MAX_DEPTH} levels deep")


def _is_plain(value: Any) -> bool:
    """Whether a value can be written to YAML and read back."""
    if isinstance(value, dict):
        return all(_is_plain_scalar(key) for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return _is_plain_scalar(value)


def _is_plain_scalar(value: Any) -> bool:
    if isinstance(value, str):
        # Lone surrogates can be escaped in YAML and in Python, but not be written to a file.
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return (
        value is None
        or isinstance(value, bool)
        or (isinstance(value, int) and abs(value) < MAX_INT)
    )


def similar_file(path: Path) -> str:
    """Return "; did you mean 'x.yaml'?" for a missing file, if its folder has one like it.

    Where the folder is wrong, files of its name anywhere in ./configs count.
    """
    try:
        # Not by whole names: their common ending makes all of them alike.
        stems = {entry.stem: entry.name for entry in path.parent.iterdir() if entry.suffix in _YAML}
    except (OSError, ValueError):
        stems = {}
    found = closest(path.stem, stems)
    if found is not None:
        return f"; did you mean {stems[found]!r}?"
    named = [str(entry) for entry in Path("configs").rglob("*.yaml") if entry.name == path.name]
    # Of several, the one whose folder is most like it.
    return f"; did you mean {_nearest(str(path), named)!r}?" if named else ""


def _nearest(name: str, known: list[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
