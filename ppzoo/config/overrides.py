# SPDX-License-Identifier: Apache-2.0
"""Changes to a config from the command line: `-o a.b.c=value`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ppzoo.config.problems import OVERRIDE, shown, suggest_or_list
from ppzoo.config.schema import CLOSED, LENGTHS, SYNONYMS
from ppzoo.config.tree import Node, from_python, literal, parse_yaml, walk
from ppzoo.errors import ConfigError
from ppzoo.registry import suggest

# Mappings whose keys are names that the user chooses.
FREE = ("validate.metrics",)


@dataclasses.dataclass(frozen=True)
class Override:
    """One change.

    Args:
        text: as the user wrote it.
        keys: the dotted path, in parts; a part may be an index into a list.
        value: what to put there.
    """

    text: str
    keys: tuple[str, ...]
    value: Node


def parse_override(text: str) -> Override:
    """Read `key=value`: a dotted path, and a Python literal (as in PaddleGAN) or a YAML value.

    Raises:
        ConfigError: it has another form, or the value is not valid YAML.
    """
    path, equals, value = text.partition("=")
    keys = tuple(key.strip() for key in path.split("."))
    if not equals or not all(keys):
        raise ConfigError(f"-o {text}: expected key=value, such as dataset.train.batch_size=4")
    python = literal(value)
    try:
        if python is not value:
            node = from_python(python, OVERRIDE)
        else:
            node = parse_yaml(value) or Node(None, OVERRIDE)
    except ConfigError as error:
        raise ConfigError(f"-o {text}{str(error).removeprefix(str(OVERRIDE))}") from None
    return Override(text, SYNONYMS.get(keys, keys), node)


def apply_overrides(root: Node, overrides: Sequence[str]) -> tuple[Node, list[str]]:
    """Return the tree with all overrides, the last one winning, and remarks on what they imply.

    A path must exist, or be an option of a closed section, or an argument of a component, which
    `check_config` compares with the class, or a key of an argument that takes mappings. Setting one
    of `epochs` and `total_iters` removes the other, so that a run is shortened by one override.

    Raises:
        ConfigError: lists all overrides that have a wrong form or lead nowhere.
    """
    problems: list[str] = []
    parsed: list[Override] = []
    for text in overrides:
        try:
            override = parse_override(text)
            root = _assign(root, override, 0)
            parsed.append(override)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return _one_length(root, parsed)


def _assign(node: Node, override: Override, done: int, owner: str | None = None) -> Node:
    """Return `node`, which stands under the first `done` keys, with the change made below it.

    Args:
        node: a section, or a value in it.
        override: the change.
        done: how many keys lead here.
        owner: the name of the component that the node is an argument of, if it is one.
    """
    if done == len(override.keys):
        return override.value
    where, key = ".".join(override.keys[:done]), override.keys[done]
    if node.value is None and (
        where in CLOSED or where in FREE or _is_own_key(owner, override, done)
    ):
        node = Node({}, OVERRIDE)
    if isinstance(node.value, list):
        index = _index(node, key, where, override)
        items = list(node.value)
        items[index] = _assign(items[index], override, done + 1)
        return Node(items, node.origin)
    if not isinstance(node.value, dict):
        raise ConfigError(
            f"-o {override.text}: {where} is {shown(node.value)} and has no {key!r} in it"
        )
    # Keys may be numbers, as in `layer_weights: {34: 1.0}`.
    found = next((known for known in node.value if str(known) == key), None)
    if found is None and not _may_add(node, override, done, owner):
        raise ConfigError(_no_such_key(node, override, done))
    child = Node({}, OVERRIDE) if found is None else node.value[found]
    changed = _assign(child, override, done + 1, _name_of(node))
    return Node({**node.value, (key if found is None else found): changed}, node.origin)


def _index(node: Node, key: str, where: str, override: Override) -> int:
    size = len(node.value)
    if not (key.isascii() and key.isdigit() and int(key) < size):
        raise ConfigError(
            f"-o {override.text}: {where} is a list of {size}; its items are called 0 to {size - 1}"
            if size
            else f"-o {override.text}: {where} is an empty list"
        )
    return int(key)


def _name_of(node: Node) -> str | None:
    """Return the name of a component, None of what is no component."""
    name = node.get("name")
    return name if isinstance(name, str) else None


def _is_own_key(owner: str | None, override: Override, done: int) -> bool:
    """Whether the last key stands in an argument of a component whose class takes a mapping."""
    if owner is None or done + 1 != len(override.keys):
        return False
    from ppzoo.config.check import takes_mapping  # it looks at classes, and so imports paddle

    return takes_mapping(owner, override.keys[done - 1])


def _may_add(node: Node, override: Override, done: int, owner: str | None) -> bool:
    where, path = ".".join(override.keys[:done]), ".".join(override.keys[: done + 1])
    is_last = done + 1 == len(override.keys)
    if where in CLOSED:
        is_section = path in CLOSED or path in FREE
        return override.keys[done] in CLOSED[where] and (is_last or is_section)
    if where in FREE:  # null leaves out what is there: of another name it would do nothing
        return not is_last or override.value.value is not None
    if where.rpartition(".")[0] in FREE:
        return True
    if where == "optimizer" and override.keys[done] == "lr":
        return is_last
    name = _name_of(node)
    if name is not None:
        return is_last or _is_own_key(name, override, done + 1)
    # The `params` of a model or dataset are its own: the class refuses keys that it does not know.
    params = ("model.params", "dataset.train.params", "dataset.test.params")
    return is_last and (where in params or _is_own_key(owner, override, done))


def _no_such_key(node: Node, override: Override, done: int) -> str:
    where, key = ".".join(override.keys[:done]), override.keys[done]
    if key in CLOSED.get(where, ()):
        path = f"{where}.{key}".lstrip(".")
        return f"-o {override.text}: there is no {path} to change; set it as a whole"
    name = _name_of(node)
    arguments = () if name is None else _arguments(name)
    known = list(dict.fromkeys([*CLOSED.get(where, ()), *node.value, *arguments]))
    hint = suggest(key, known) or _same_leaf(node, where, override) or suggest_or_list(key, known)
    return f"-o {override.text}: {where or 'the config'} has no key {key!r}{hint}"


def _arguments(name: str) -> list[str]:
    from ppzoo.config.check import arguments_of

    return arguments_of(name)


def _same_leaf(node: Node, where: str, override: Override) -> str:
    """Suggest a longer path that ends in the same key: `batch_size` is `dataset.train...`."""
    for path, _ in walk(node, where):
        if path.rpartition(".")[2] == override.keys[-1]:
            return f"; did you mean {path!r}?"
    return ""


def _one_length(root: Node, overrides: Sequence[Override]) -> tuple[Node, list[str]]:
    given: dict[str, Any] = {
        item.keys[0]: item for item in overrides if len(item.keys) == 1 and item.keys[0] in LENGTHS
    }
    notes = []
    for key, other in (LENGTHS, LENGTHS[::-1]):
        dropped = root.value.get(other)
        if key not in given or other in given or given[key].value.value is None:
            continue
        if dropped is not None and dropped.value is not None:
            notes.append(
                f"-o {given[key].text} replaces {other}: {dropped.value} of {dropped.origin}"
            )
            root = Node({k: v for k, v in root.value.items() if k != other}, root.origin)
    return root, notes
