# SPDX-License-Identifier: Apache-2.0
"""Config files that build on others: `_base_: ../dcgan.yaml`, or a list of such files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ppzoo.config.problems import shown
from ppzoo.config.schema import LENGTHS, SYNONYMS
from ppzoo.config.tree import Node, read_yaml, similar_file
from ppzoo.errors import ConfigError

BASE = "_base_"
MAX_BASES = 16
# Mappings that hold either one component or several by name.
ONE_OR_MANY = ("optimizer", "validate.metrics")


def read_inherited(path: Path) -> Node:
    """Read a config file on top of the files in its `_base_`, of which later ones win.

    Mappings are merged key by key; lists are replaced, and so are components whose name changes,
    because arguments belong to a class. A length of the run replaces one of the other kind.

    Raises:
        ConfigError: a file cannot be read, see `read_yaml`, or inherits from itself.
    """
    return _read(path, str(path), (), {})


def _read(path: Path, name: str, chain: tuple[str, ...], done: dict[str, Node]) -> Node:
    """Read a file and what it inherits.

    Args:
        path: the file.
        name: how errors name it.
        chain: the files that led here.
        done: results for files that were read already.
    """
    key = _identity(path)
    if key not in done:
        root = read_yaml(path, name)
        values = _without_synonyms(root)
        base = values.pop(BASE, None)
        tree = Node({}, root.origin)
        for item in _names(base):
            file = path.parent / item
            _check_base(base, item, file, (*chain, key))
            item_name = os.path.normpath(os.path.join(os.path.dirname(name), item))
            tree = _inherit(tree, _read(file, item_name, (*chain, key), done))
        tree = _inherit(tree, Node(values, root.origin))
        done[key] = tree
    return done[key]


def _identity(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # no file can be called so; reading it says why
        return str(path)


def _names(base: Node | None) -> list[str]:
    if base is None or base.value is None:
        return []
    names = [item.value for item in base.value] if isinstance(base.value, list) else [base.value]
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(
            f"{base.origin} {BASE}: expected a file or a list of files, relative to this one"
        )
    return names


def _check_base(base: Node, item: str, file: Path, chain: tuple[str, ...]) -> None:
    if not os.path.exists(file):
        raise ConfigError(
            f"{base.origin} {BASE}: there is no file {shown(str(file))}{similar_file(file)}"
        )
    if _identity(file) in chain:
        raise ConfigError(f"{base.origin} {BASE}: {item!r} inherits from this file in turn")
    if len(chain) > MAX_BASES:
        raise ConfigError(f"{base.origin} {BASE}: more than {MAX_BASES} files build on one another")


def _inherit(base: Node, child: Node) -> Node:
    for key, other in (LENGTHS, LENGTHS[::-1]):
        if child.get(key) is not None and child.get(other) is None:
            base = Node({k: item for k, item in base.value.items() if k != other}, base.origin)
    return _merge(base, child, "")


def _merge(base: Node, child: Node, where: str) -> Node:
    if not (base.is_mapping and child.is_mapping) or _replaces(base, child, where):
        return child
    merged = dict(base.value)
    for key, item in child.value.items():
        path = f"{where}.{key}" if where else str(key)
        merged[key] = _merge(merged[key], item, path) if key in merged else item
    return Node(merged, child.origin)


def _replaces(base: Node, child: Node, where: str) -> bool:
    """Whether the child's mapping means something else, rather than more of the same."""
    base_name, child_name = base.get("name"), child.get("name")
    if base_name is not None and child_name is not None:
        return base_name != child_name
    if where not in ONE_OR_MANY:
        return False
    single_to_many = base_name is not None and _has_groups(child)
    return single_to_many or (child_name is not None and _has_groups(base))


def _has_groups(node: Node) -> bool:
    return any(item.is_mapping for item in node.value.values())


def _without_synonyms(root: Node) -> dict[Any, Node]:
    values = dict(root.value)
    for (section, synonym), (_, key) in SYNONYMS.items():
        node = values.get(section)
        if node is None or not node.is_mapping or synonym not in node.value:
            continue
        if key in node.value:
            raise ConfigError(
                f"{node.value[synonym].origin} {section}: {key!r} and {synonym!r} mean the same; "
                "keep one"
            )
        renamed = {key if k == synonym else k: item for k, item in node.value.items()}
        values[section] = Node(renamed, node.origin)
    return values
