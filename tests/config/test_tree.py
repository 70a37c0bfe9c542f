# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppzoo.config.problems import OVERRIDE, Origin
from ppzoo.config.tree import MAX_BYTES, Node, from_python, literal, parse_yaml, read_yaml, walk
from ppzoo.errors import ConfigError


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def parsed(text: str) -> Any:
    return plain(parse_yaml(text, "x.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(0., 1.)", (0.0, 1.0)),
        ("None", None),
        ("True", True),
        ("1e-4", 1e-4),
        ("-3", -3),
        ("[1, (2, 'a')]", [1, (2, "a")]),
        ("{'a': None}", {"a": None}),
        ("'1'", "1"),
        ("1, 2", (1, 2)),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert literal(text) == value
    assert type(literal(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "inf",
        "1e999",
        "batch",
        "data/(0., 1.)",
        "1if",
        "'\\d",
        "{1, 2}",
        "1+2j",
        "b'a'",
        "...",
        "{[]: 1}",
        "(" * 90 + ")" * 90 + "x",
        "-" * 3000 + "1",
        "1+" * 2000 + "1",
        "9" * 5000,
        "0x" + "f" * 4000,
        "__import__('os').getcwd()",
        "'\\ud800'",
        "a\0b",
        "",
    ],
)
def test_other_texts_stay_texts(text: str) -> None:
    assert literal(text) is text


def test_literals_are_read_in_values_of_mappings_alone() -> None:
    tree = parsed("""
a: '(0., 1.)'
b: (0., 1.)
c: 'None'
d: ['None', '1']
'34': '{"x": [1]}'
e: [{f: '1e-4'}]
""")
    assert tree == {
        "a": (0.0, 1.0),
        "b": (0.0, 1.0),
        "c": None,
        "d": ["None", "1"],
        "34": {"x": [1]},
        "e": [{"f": 1e-4}],
    }


def test_numbers_without_a_dot_are_floats_and_dates_are_texts() -> None:
    tree = parsed("{a: 1e-4, b: 5e-5, c: .0, d: !!float 1, e: -.inf, f: 2020-01-01, g: 0x1f}")
    assert tree == {
        "a": 1e-4,
        "b": 5e-5,
        "c": 0.0,
        "d": 1.0,
        "e": float("-inf"),
        "f": "2020-01-01",
        "g": 31,
    }
    assert isinstance(tree["d"], float)


def test_every_value_knows_its_line() -> None:
    root = parse_yaml("a: 1\nb:\n  c:\n    - x\n    - y: 2\n", "x.yaml")
    lines = {where: node.origin.line for where, node in walk(root)}
    # A value below its key counts as written where the key is.
    assert lines == {"a": 1, "b": 2, "b.c": 3, "b.c.0": 4, "b.c.1": 5, "b.c.1.y": 5}
    assert root.value["a"].origin == Origin("x.yaml", 1)
    assert str(root.value["a"].origin) == "x.yaml:1"


def test_aliases_and_merge_keys() -> None:
    tree = parsed("""
size: &size 64
first: &first {a: 1, b: 1}
second: &second {b: 2, c: 2}
one: {<<: *first, a: 9, size: *size}
both: {<<: [*first, *second]}
""")
    assert tree["one"] == {"a": 9, "b": 1, "size": 64}
    assert tree["both"] == {"a": 1, "b": 1, "c": 2}


def test_values_of_overrides_have_no_line() -> None:
    node = parse_yaml("{a: [1]}")
    assert {item.origin for _, item in walk(node)} == {OVERRIDE}
    assert str(OVERRIDE) == "-o"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb:\n\tc: 2\n", 3, "a tab where YAML wants spaces"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' stands here again, see x.yaml:1"),
        ("a:\n  - {b: 1, b: 2}\n", 2, "'b' stands here again"),
        ("a: 1\nb: [1, 2\n", 3, "sequence, which began in line 2); is the bracket '[' closed"),
        ("b: {c: 1\nd: 2\n", 2, "is the bracket '{' closed, with a comma between all entries?"),
        ("a: 'x\nb: 1\n", 3, "is the quotation mark closed?"),
        ("a:\n    b: 1\n  c: 2\n", 3, "the indentation fits none of the lines above"),
        ("a:\n  b: 1\n    c: 2\n", 3, "a key cannot stand here: look at its indentation"),
        ("a: 1\nb：800\nc: 2\n", 2, "full-width colon '：' is none in YAML, the half-width ':' is"),
        ("a: 1\nb：800\nc: 2\n", 2, "type 'b: 800'"),
        ("a: 1\n\nmodel：\n  name: x\n", 3, "type 'model:'"),
        ("a: 1\nb：800\n", 2, "type 'b: 800'"),
        ("a:\n\u3000\u3000b: 1\n  c: 2\n", 2, "the line begins with U+3000, which looks like a"),
        ("a:\n  b: 1\n \xa0c: 2\n", 3, "the line begins with U+00A0, which looks like a space"),
        ("b:800\nc: 2\n", 1, "a space is missing after the colon: type 'b: 800'"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("a: *missing\n", 1, "undefined alias"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\nb: x\0y\n", 2, "control character U+0000"),
        ("a: 1\n? [b]\n: 2\n", 2, "plain keys"),
        ("a: !!python/object/apply:os.getcwd []\n", 1, "tagged 'python/object/apply:os.getcwd'"),
        ("a: !mine 3\n", 1, "tagged '!mine'"),
        ("a: !!binary aGk=\n", 1, "tagged 'binary'"),
        ("a: !!set {b}\n", 1, "tagged 'set'"),
        ("a: !!bool maybe\n", 1, "'maybe' cannot be read as bool"),
        ("a: !!int ''\n", 1, "cannot be read as int"),
        ("a: 0x" + "f" * 100, 1, "64 bits"),
        ('a: "\\ud800"', 1, "not valid Unicode"),
        ("a: {<<: 3}", 1, "'<<' takes mappings only"),
    ],
)
def test_bad_yaml_is_one_sentence_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, "x.yaml")
    message = str(error.value)
    assert message.startswith(f"x.yaml:{line}: ")
    assert reason in message
    assert "\n" not in message


def bomb(level: str) -> str:
    names = "abcdefghijklmnopqrst"
    lines = ["a: &a {x: 1}"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} {level.replace('*', '*' + before)}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb("[*, *, *, *, *, *, *, *, *]"),
        bomb("{p: *, q: *, r: *}"),
        bomb("{<<: [*, *, *, *, *, *]}"),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: &a {<<: *a}",
        "[" * 1000,
        "{a: " * 1000,
        "\n".join(" " * i + "a:" for i in range(200)),
    ],
)
def test_files_made_to_be_expensive_are_refused_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"more than|too deeply"):
        parse_yaml(text, "x.yaml")
    assert time.process_time() - start < 5.0


def test_python_values_as_trees() -> None:
    node = from_python({"a": [1, {"b": (2, 3)}]}, OVERRIDE)
    assert plain(node) == {"a": [1, {"b": (2, 3)}]}
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ConfigError, match="levels deep"):
        from_python(deep, OVERRIDE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", ": is empty"),
        (b"# only a comment\n", ": is empty"),
        (b"- a\n- b\n", ":1: expected a mapping"),
        (b"just words", ":1: expected a mapping"),
        (b"a: 1\nb: \xe9t\xe9\n", ":2: not UTF-8"),
        ("a: 1".encode("utf-16"), ":1: not UTF-8"),
        (bytes(range(256)), "not UTF-8"),
        (b"a: 1\n" * MAX_BYTES, "bytes, too many for a config"),
    ],
)
def test_files_that_are_no_configs(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as error:
        read_yaml(path, "x.yaml")
    assert str(error.value).startswith("x.yaml")
    assert reason in str(error.value)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert plain(read_yaml(path, "x.yaml")) == {"a": 1, "b": 2}


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "dcgan.yaml").write_text("a: 1")
    with pytest.raises(ConfigError, match=r"no such file; did you mean 'dcgan.yaml'\?"):
        read_yaml(tmp_path / "dcgam.yaml", "dcgam.yaml")
    with pytest.raises(ConfigError, match=r"no such file$"):
        read_yaml(tmp_path / "nowhere" / "x.yaml", "x.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        read_yaml(tmp_path, "x.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(Path("a\0b"), "x.yaml")


@settings(deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="ab:-[]{}&*!?|>'\"%@`#, \n\t0.1e~<")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        node = parse_yaml(text, "x.yaml")
    except ConfigError as error:
        assert str(error).startswith("x.yaml")  # noqa: PT017  (not raising is right, too)
    else:
        assert node is None or isinstance(node, Node)
