# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

import numpy as np
import pytest

from ppzoo.config import Component
from ppzoo.config.annotations import (
    choices,
    described,
    fits,
    item_hint,
    parameter_hints,
    takes_component,
)
from ppzoo.registry import Registry

if TYPE_CHECKING:
    from nowhere import Missing

PARTS = Registry("part")
Part = Annotated[np.ndarray, PARTS]


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (True, int, False),
        (1.0, int, False),
        ("1", int, False),
        (1, float, True),
        (True, float, False),
        (None, float, False),
        (True, bool, True),
        (1, bool, False),
        ("a", str, True),
        (1, str, False),
        (None, int | None, True),
        (None, Optional[int], True),  # noqa: UP045
        ("a", Union[int, str], True),  # noqa: UP007
        (1.5, int | str, False),
        ("b", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        (1, Literal[True], False),
        (None, Literal["a"] | None, True),
        ([1, 2], list[int], True),
        ((1, 2), list[int], True),
        ([1, "a"], list[int], False),
        ([1, 2], tuple[int, int], True),
        ([1, 2], tuple[int, ...], True),
        ([1, 2, 3], tuple[int, int], False),
        ([1, "a"], Sequence[int | str], True),
        ("ab", Sequence[str], False),
        ([], list, True),
        (3, list, False),
        ({"a": 1}, dict, True),
        ({"a": 1}, dict[str, int], True),
        ({"a": "b"}, Mapping[str, int], False),
        ([1], dict, False),
        (Component("A", {}), dict[str, Any], True),
        (Component("A", {}), int, False),
        ("data", Path, True),
        (3, Path, False),
        (3, Any, True),
        (3, np.ndarray, True),
        ([3], object, True),
        (3, Annotated[int, "positive"], True),
        ("a", Annotated[int, "positive"], False),
        (Component("A", {}), Part, True),
        (Component("A", {}), Part | None, True),
        ("A", Part, False),
        ({"type": "A"}, Part, False),
    ],
)
def test_fits(value: Any, hint: Any, expected: bool) -> None:
    assert fits(value, hint) is expected


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "int"),
        (int | None, "int or None"),
        (int | float | None, "int, float or None"),
        (Literal["a", "b", "c"], "'a', 'b' or 'c'"),
        (list[int], "list[int]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Part, "a part (a mapping with a 'name')"),
        (list[Part] | None, "list[a part (a mapping with a 'name')] or None"),
        (Annotated[int, "positive"], "int"),
    ],
)
def test_described(hint: Any, words: str) -> None:
    assert described(hint) == words


def test_items_of_lists_and_mappings() -> None:
    assert item_hint([1], list[Part]) is Part
    assert item_hint([1], list[Part] | None) is Part
    assert item_hint([1], Annotated[list, PARTS]) is Any
    assert item_hint({"a": 1}, Mapping[str, Part]) is Part
    assert item_hint([1], Part) is None
    assert item_hint({"a": 1}, list[Part]) is None
    assert item_hint("a", list[Part]) is None


def test_which_annotations_take_components() -> None:
    assert takes_component(Part)
    assert takes_component(Annotated[Any, PARTS])
    assert not takes_component(list[Part])
    assert not takes_component(Annotated[list, PARTS])
    assert not takes_component(Annotated[int, "positive"])
    assert not takes_component(int)


def test_choices() -> None:
    assert choices(Literal["a", "b"] | None) == ["a", "b"]
    assert choices(int) == []


def test_hints_of_functions_and_classes() -> None:
    def function(a: int, b: str = "x", c=None) -> None: ...

    class Class:
        def __init__(self, a: Part, *rest: int, **more: Any) -> None: ...

    class Plain:
        pass

    assert parameter_hints(function) == {"a": int, "b": str}
    assert parameter_hints(Class)["a"] is Part
    assert parameter_hints(Plain) == {}


def test_unknown_names_in_annotations_mean_anything() -> None:
    def function(a: int, b: Missing, c: float | Missing, d: Missing[int], e: Sequence[int]): ...

    hints = parameter_hints(function)
    assert hints["a"] is int
    assert hints["b"] is Any
    assert fits("anything", hints["c"])
    assert "d" not in hints
    assert hints["e"] == Sequence[int]


def test_hints_of_wrapped_classes_follow_the_signature() -> None:
    class Class:
        def __init__(self, a: int) -> None: ...

    @functools.wraps(Class, updated=())
    def make(*args: Any, **kwargs: Any) -> Any: ...

    assert parameter_hints(make) == {"a": int}
