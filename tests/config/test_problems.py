# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from ppzoo.config.problems import (
    MAX_LISTED,
    OVERRIDE,
    Origin,
    Problem,
    raise_problems,
    shown,
    suggest_or_list,
)
from ppzoo.errors import ConfigError


def test_problems_are_listed_once_each_in_the_order_of_lines() -> None:
    problems = [
        Problem(Origin("x.yaml", 10), "b", "is wrong"),
        Problem(Origin("x.yaml", 9), "", "is odd"),
        Problem(OVERRIDE, "c", "is bad"),
        Problem(Origin("x.yaml", 10), "b", "is wrong"),
    ]
    with pytest.raises(ConfigError) as error:
        raise_problems(problems)
    assert str(error.value) == "-o c: is bad\nx.yaml:9: is odd\nx.yaml:10 b: is wrong"


def test_no_problems_raise_nothing() -> None:
    raise_problems([])


def test_suggestions() -> None:
    assert suggest_or_list("intervall", ["interval", "other"]) == "; did you mean 'interval'?"
    assert suggest_or_list("xyz", ["interval", "other"]) == "; known are interval, other"
    assert suggest_or_list("xyz", ["a"], "it takes") == "; it takes a"
    assert suggest_or_list("xyz", []) == ""
    assert suggest_or_list("xyz", map(str, range(MAX_LISTED + 1))) == ""


def test_long_values_are_cut() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 500)) == 60
