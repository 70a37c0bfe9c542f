# SPDX-License-Identifier: Apache-2.0
"""The course's notebooks are whole as they are saved, and run as a student would run them."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ppzoo
from ppzoo.weights import load_weights
from tools import notebooks

ROOT = Path(__file__).parents[1]
# "Under five minutes", in seconds of a processor: what a clock shows is the machine's affair.
MOST_WORK = 300
PATIENCE = 3600  # of the clock
SAVED = notebooks.notebook_paths([])


def markdown(source: str) -> dict:
    return {"cell_type": "markdown", "id": "a", "metadata": {}, "source": source}


def code(source: str, *outputs: dict) -> dict:
    return {
        "cell_type": "code",
        "id": "b",
        "metadata": {},
        "source": source,
        "execution_count": 1,
        "outputs": list(outputs),
    }


def stream(text: str, name: str = "stdout") -> dict:
    return {"output_type": "stream", "name": name, "text": text}


def png(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def film(frames: np.ndarray) -> str:
    file = io.BytesIO()
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(file, "PNG", save_all=True, append_images=others, duration=80, loop=0)
    return base64.b64encode(file.getvalue()).decode()


def shown(picture: np.ndarray) -> dict:
    made = film(picture) if picture.ndim == 4 else png(picture)
    data = {"image/png": made, "text/plain": "<Figure>"}
    return {"output_type": "display_data", "data": data, "metadata": {"needs_background": "light"}}


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
LAST = (
    "## Questions\n\nWhat is a critic? See `homework/release/day1`.\n\n"
    "什么是评论家？见 `homework/release/day1`。"
)


def good_notebook() -> dict:
    cells = [markdown("# A day of work\n# 一天的工作内容"), code(notebooks.SWITCH)]
    cells += [code(f"draw({i})", shown(GREY)) for i in range(3)]
    return notebooks.tidy({"cells": [*cells, markdown(LAST)]})


def work_of(printed: str) -> int:
    """Return the seconds of processor time that `tools/notebooks.py run` says."""
    (seconds,) = re.findall(r"(\d+) s of processor time", printed)
    return int(seconds)


def found(tmp_path: Path, notebook: dict) -> str:
    path = tmp_path / "day0.ipynb"
    notebooks.write(path, notebook)
    return " | ".join(notebooks.problems(path))


def test_there_are_notebooks() -> None:
    assert [path.stem for path in SAVED] == [f"day{number}" for number in range(1, 8)]


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_saved_notebook_is_whole(path: Path) -> None:
    assert notebooks.problems(path) == []


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_saved_notebook_is_tidy(path: Path) -> None:
    notebook = notebooks.read(path)
    assert notebook["metadata"] == notebooks.tidy(notebook)["metadata"]
    assert [set(cell["metadata"]) for cell in notebook["cells"]] == [set()] * len(notebook["cells"])
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_named_configs_exist(path: Path) -> None:
    code = "".join(
        notebooks.text_of(cell)
        for cell in notebooks.read(path)["cells"]
        if cell["cell_type"] == "code"
    )
    named = re.findall(r"\.\./(configs/[\w/{}]+)\.yaml", code)
    assert named
    # A name in braces is filled in by the code: something must fit it.
    missing = [n for n in named if not list(ROOT.glob(re.sub(r"{\w+}", "*", n) + ".yaml"))]
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom_without_a_network(path: Path) -> None:
    run = [sys.executable, "tools/notebooks.py", "run", "--no-save", path.stem]
    # One thread: others that wait for it would count as work.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        run, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert work_of(done.stdout) <= MOST_WORK


def test_the_work_of_a_notebook_is_what_its_run_takes_of_a_processor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = "import time\nwhile time.process_time() < 2:\n    pass"

    def execute(path: Path) -> dict:
        subprocess.run([sys.executable, "-c", busy], check=True)
        return good_notebook()

    monkeypatch.setattr(notebooks, "execute", execute)
    assert notebooks._run([Path("day0.ipynb")], save=False)
    assert 2 <= work_of(capsys.readouterr().out) <= 4


def test_the_weights_of_day_5_are_those_of_its_config(tmp_path: Path) -> None:
    path = ROOT / "configs/demo/firstorder_heads.yaml"
    config = ppzoo.load_config(path, [f"output_dir={tmp_path}"])
    nets = ppzoo.Trainer(config).model.nets
    folder = notebooks.FOLDER / "weights"
    for name in ("kp_detector", "generator"):
        load_weights(nets[name], folder / "firstorder_heads.safetensors", name)
    curves = ppzoo.read_curves(folder)
    assert curves["reconstruction"].steps[-1] == config.total_iters
    assert curves["metrics/l1_over_source"].values[-1] == pytest.approx(0.515, abs=5e-4)


def test_a_good_notebook_has_no_problems(tmp_path: Path) -> None:
    assert found(tmp_path, good_notebook()) == ""


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    def changed(number: int, **fields: object) -> str:
        notebook = json.loads(json.dumps(good_notebook()))
        notebook["cells"][number] |= fields
        return found(tmp_path, notebook)

    assert "has changed since" in changed(2, source="draw(7)")
    assert "not all cells" in changed(2, execution_count=None)
    assert "not all cells" in changed(2, execution_count=9)
    assert "does not say FULL_SIZE" in changed(1, source="x = 1")
    assert "has no questions" in changed(5, source="# The end\n# 结束")
    nowhere = LAST.replace("homework/release/", "homework/")
    assert "names homework/day1, which does not exist" in changed(5, source=nowhere)
    assert "fewer than 3" in changed(2, outputs=[])
    assert "complains: oh" in changed(2, outputs=[stream("oh", "stderr")])
    assert "on somebody's machine" in changed(2, outputs=[stream("in /" + "home/me/x")])
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": []}
    assert "ended in KeyError" in changed(2, outputs=[error])
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    assert "more than 100000" in changed(2, outputs=[shown(noise)])
    # Films may be larger than pictures, but not as large as they like.
    assert changed(2, outputs=[shown(noise.reshape(10, 90, 100, 3))]) == ""
    noise = np.random.default_rng(0).integers(0, 255, (4, 200, 200, 3), np.uint8)
    assert "more than 300000" in changed(2, outputs=[shown(noise)])
    gif = {"output_type": "display_data", "data": {"image/gif": "R0"}, "metadata": {}}
    assert "use figures.draw_film" in changed(2, outputs=[gif])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# A heading\n# 一个标题的例子", None),
        ("Only English here", "0 Chinese letters"),
        ("只有中文", "no English"),
        ("一个标题的例子 A heading", "Chinese stands before English"),
        ("A long English text of many words, and hardly any of it 译文", "English words"),
        ("Same `code_in_both` and $x$ here\n此处两种语言相同的 `code_in_both` 和 $x$", None),
    ],
)
def test_every_text_has_both_languages(text: str, problem: str | None) -> None:
    said = notebooks.language_problem(text)
    assert said is None if problem is None else problem in said


def test_what_differs_from_run_to_run_is_left_out() -> None:
    cell = code("draw()", stream("a"), stream("b"), shown(GREY))
    cell |= {"id": "random", "execution_count": 17, "metadata": {"execution": {"started": "now"}}}
    other = json.loads(json.dumps(cell)) | {"id": "other", "execution_count": 3, "metadata": {}}
    first, second = (
        notebooks.tidy({"cells": [c], "metadata": {"language_info": {"version": v}}})
        for c, v in ((cell, "3.10.1"), (other, "3.12.9"))
    )
    assert first == second
    (tidied,) = first["cells"]
    assert tidied["execution_count"] == 1
    assert tidied["outputs"][0]["text"] == ["ab"]


def test_pictures_are_compressed_by_their_kind() -> None:
    chart = np.full((200, 300, 3), 255, np.uint8)
    chart[50:60] = (0, 114, 178)
    kind, small = notebooks.compress(base64.b64decode(png(chart)))
    assert kind == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(small)).convert("RGB")), chart)
    x, y = np.meshgrid(np.arange(300), np.arange(200))
    photo = np.stack([x * 255 // 299, y * 255 // 199, (x + y) % 256], -1)
    photo = (photo + np.random.default_rng(0).integers(0, 30, photo.shape)).clip(0, 255)
    photo = photo.astype(np.uint8)
    kind, small = notebooks.compress(base64.b64decode(png(photo)))
    assert kind == "image/jpeg"
    assert len(small) < len(base64.b64decode(png(photo)))


def test_pictures_are_not_written_into_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for place in (file, file / "folder"):
        with pytest.raises(SystemExit, match=f"^error: --to {re.escape(str(place))} cannot be"):
            notebooks._pictures([], place)
    assert file.read_text() == "mine"


def test_films_are_saved_as_they_are() -> None:
    levels = np.arange(5, dtype=np.uint8) * 40
    frames = np.broadcast_to(levels[:, np.newaxis, np.newaxis, np.newaxis], (5, 16, 20, 3))
    cell = notebooks.tidy({"cells": [code("draw()", shown(frames))]})["cells"][0]
    saved = base64.b64decode(cell["outputs"][0]["data"]["image/png"])
    assert saved == base64.b64decode(film(frames))
    assert notebooks.frames_of(saved) == 5


def test_films_are_written_with_some_frames_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = np.stack([np.full((4, 6, 3), 10 * i, np.uint8) for i in range(11)])
    notebook = good_notebook()
    notebook["cells"][2]["outputs"] = [shown(frames)]
    path = tmp_path / "day0.ipynb"
    notebooks.write(path, notebook)
    assert notebooks._pictures([path], tmp_path / "out")
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == [
        "day0_00_cell2.frames.png",
        "day0_00_cell2.png",
        "day0_01_cell3.png",
        "day0_02_cell4.png",
    ]
    strip = np.asarray(Image.open(tmp_path / "out" / names[0]))
    assert strip.shape == (24, 6, 3)
    assert strip[::4, 0, 0].tolist() == [0, 20, 40, 60, 80, 100]
    assert "6 of its 11 frames" in capsys.readouterr().out


@pytest.mark.slow
def test_the_network_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat

    cells = [
        "import socket\ntry:\n    socket.create_connection(('203.0.113.1', 80), timeout=2)\n"
        "except OSError as error:\n    print(error)",
        "try:\n    socket.getaddrinfo('example.org', 80)\n"
        "except OSError as error:\n    print(error)",
        "import ppzoo\nprint(ppzoo.__file__)",
    ]
    folder = tmp_path / "notebooks"
    folder.mkdir()
    path = folder / "day0.ipynb"
    new = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(new, path)
    done = notebooks.execute(path)
    said = ["".join(cell["outputs"][0]["text"]) for cell in done["cells"]]
    assert "asked for the network: 203.0.113.1" in said[0]
    assert "asked for the network: example.org" in said[1]
    assert said[2].strip() == str(ROOT / "ppzoo/__init__.py")


def test_notebooks_of_ones_own_are_left_alone_unless_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    for name in ("day1", "day2", "day1.nbconvert", "Untitled"):
        (tmp_path / f"{name}.ipynb").write_text("{}")
    assert [path.stem for path in notebooks.notebook_paths([])] == ["day1", "day2"]
    assert notebooks.notebook_paths(["Untitled"]) == [tmp_path / "Untitled.ipynb"]


def test_an_unknown_day_is_named() -> None:
    with pytest.raises(SystemExit, match=r"no notebooks.day99\.ipynb"):
        notebooks.notebook_paths(["day99"])
