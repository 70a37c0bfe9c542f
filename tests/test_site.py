# SPDX-License-Identifier: Apache-2.0
"""What docs/conf.py makes of docstrings before Sphinx reads them."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from .runs import ROOT


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_conf", ROOT / "docs/conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Return `a_b` of ``c``.", "Return ``a_b`` of ``c``."),
        ("Of *args and x_, or a|b.", r"Of \*args and x\_, or a\|b."),
        ("Run:\n\n    ppzoo `a` *b*\n\nEnd.", "Run:\n\n::\n\n    ppzoo `a` *b*\n\nEnd."),
        (
            "Kinds:\n  `a`: one\n  b: two\n    that goes on\nEnd.",
            "Kinds:\n\n* ``a``: one\n* b: two\n  that goes on\n\nEnd.",
        ),
        ("- `a`\n  goes on\n- b", "- ``a``\n  goes on\n- b"),
        (
            "Do.\n\nArgs:\n    a: `b`\n        goes on\nReturns:\n    c_",
            "Do.\n\nArgs:\n    a: ``b``\n        goes on\nReturns:\n    c\\_",
        ),
    ],
    ids=["code", "signs", "literal", "list", "marked list", "sections"],
)
def test_docstrings_become_what_sphinx_reads(conf: ModuleType, text: str, made: str) -> None:
    lines = text.split("\n")
    conf.as_rst(None, "function", "f", None, None, lines)
    assert "\n".join(lines) == made


def test_fields_of_tuples_are_left_out_and_all_else_as_sphinx_has_it(conf: ModuleType) -> None:
    from ppzoo.engine.records import Curve

    for kind, skip in ((Curve.steps, True), (Curve, None)):
        assert conf.leave_out(None, "class", "a", kind, False, None) is skip
