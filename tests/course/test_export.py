# SPDX-License-Identifier: Apache-2.0
"""Notebooks as markdown."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppzoo.cli import main
from ppzoo.course.export import export_markdown
from ppzoo.errors import ConfigError, DataError

PICTURE = cv2.imencode(".png", np.full([4, 4, 3], 200, "uint8"))[1].tobytes()


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    data = {"image/png": base64.b64encode(PICTURE).decode(), "text/plain": "<Figure>"}
    outputs = [new_output("stream", text="3.5 dB\n"), new_output("display_data", data=data)]
    cells = [new_markdown_cell("# 第二天 day 2"), new_code_cell("show()", outputs=outputs)]
    path = tmp_path / "my day2.ipynb"
    content = new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_text_and_pictures_are_written(notebook: Path, tmp_path: Path) -> None:
    written = export_markdown(notebook, tmp_path / "out/day2.md")
    text = (tmp_path / "out/day2.md").read_text("utf-8")
    assert "# 第二天 day 2" in text
    assert "3.5 dB" in text
    assert "```python\nshow()" in text
    (picture,) = written[1:]
    assert picture.parent == tmp_path / "out/day2_files"
    assert picture.read_bytes() == PICTURE
    assert f"](day2_files/{picture.name})" in text


def test_the_command(notebook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["homework", "export", str(notebook)]) == 0
    said = capsys.readouterr()
    assert str(tmp_path / "my day2.md") in said.out
    assert not said.err
    text = (tmp_path / "my day2.md").read_text("utf-8")
    assert "](my_day2_files/" in text
    assert (tmp_path / "my_day2_files").is_dir()


def test_a_notebook_that_was_never_run(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(notebook.read_text("utf-8"))
    content["cells"][1]["outputs"] = []
    notebook.write_text(json.dumps(content))
    assert main(["homework", "export", str(notebook)]) == 0
    assert "run all of its cells" in capsys.readouterr().err


def test_a_notebook_says_nothing_of_the_machine(
    notebook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nbformat.v4 import new_output

    home, other = str(tmp_path / "wang"), str(tmp_path / "wangli")
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("USERPROFILE", home)
    ccache = (
        f"{home}/v/lib/python3.11/site-packages/paddle/utils/extension_utils.py:712: "
        "UserWarning: No ccache found. Please be aware\n  warnings.warn(warning_message)\n"
    )
    place = f"{home}/v/lib/python3.11/site-packages/paddle/nn/layer.py"
    outputs = [
        new_output("stream", name="stderr", text=ccache),
        new_output("stream", name="stderr", text=f"{ccache}epoch 1\n{ccache}epoch 2\n"),
        new_output("stream", name="stdout", text=f"saved to {home}/gan, {other}/a\n"),
        new_output(
            "error", ename="E", evalue="e", traceback=[f"File {place}:3", f"File {home}/a.py"]
        ),
        new_output("execute_result", data={"text/plain": f"Path('{home}/x')"}),
    ]
    content = json.loads(notebook.read_text("utf-8"))
    content["cells"][1]["outputs"] = outputs
    notebook.write_text(json.dumps(content))
    export_markdown(notebook, tmp_path / "day2.md")
    text = (tmp_path / "day2.md").read_text("utf-8")
    assert "ccache" not in text
    assert "warnings.warn" not in text
    assert "epoch 1" in text
    assert "epoch 2" in text
    assert f"saved to ~/gan, {other}/a" in text
    assert "File site-packages/paddle/nn/layer.py:3" in text
    assert "File ~/a.py" in text
    assert "Path('~/x')" in text
    assert f"{home}/" not in text


def test_what_is_no_notebook_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("# Hello")
    target = str(tmp_path / "out.md")
    assert main(["homework", "export", str(tmp_path / "README.md"), "-o", target]) == 2
    said = capsys.readouterr().err
    assert "README.md is no notebook" in said
    assert "Expecting value" not in said


@pytest.mark.parametrize("name", ["../theirs.png", "day2_files/../theirs.png", "theirs.png"])
def test_pictures_are_written_into_their_folder_only(
    notebook: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbconvert import MarkdownExporter

    # Notebooks may name their pictures, and older versions of nbconvert take any name.
    made = ("text", {"outputs": {name: PICTURE}})
    monkeypatch.setattr(MarkdownExporter, "from_notebook_node", lambda *_, **__: made)
    with pytest.raises(DataError, match="a picture wants to be written to"):
        export_markdown(notebook, tmp_path / "out" / "day2.md")
    assert list(tmp_path.rglob("*.png")) == list(tmp_path.rglob("*.md")) == []


def test_a_folder_is_no_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", "/", "day2"):
        assert main(["homework", "export", name]) == 2
        assert f"error: there is no notebook {name}\n" in capsys.readouterr().err


def test_mistakes(notebook: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"end in \.md"):
        export_markdown(notebook, tmp_path / "day2.txt")
    with pytest.raises(DataError, match="there is no notebook"):
        export_markdown(tmp_path / "none.ipynb", tmp_path / "day2.md")
    (tmp_path / "day2.md").write_text("before")
    notebook.write_text("{")
    with pytest.raises(DataError, match="is no notebook"):
        export_markdown(notebook, tmp_path / "day2.md")
    assert (tmp_path / "day2.md").read_text() == "before"
