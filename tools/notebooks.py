# SPDX-License-Identifier: Apache-2.0
"""Execute the course's notebooks and look after them: python tools/notebooks.py run day1

`run` executes notebooks from top to bottom, each in a fresh process that has no network, and writes
their outputs into them: pictures compressed, and without what differs from run to run, so that a
change shows as one. `check` reads what is there and executes nothing: both languages in each text,
outputs present, in order, small, without errors, and of the cells as they stand. `pictures` writes
what is shown to files, to be looked at, and of animated pictures some frames besides.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.pages import DAYS  # noqa: E402

FOLDER = ROOT / "notebooks"
SWITCH = "FULL_SIZE = False"
LARGEST_NOTEBOOK = 1_000_000
LARGEST_PICTURE = 100_000
LARGEST_FILM = 300_000  # of an animated picture
FEWEST_PICTURES = 3
_STRIP = 6  # frames of an animated picture that `pictures` shows beside it
# Seconds: no cell waits longer, also on a machine that others use.
LONGEST_CELL = 3600
# Pictures with more colours than this are photographs.
_MOST_COLOURS = 4096
# Chinese letters for each English word; a translation has more than one.
_LEAST_CHINESE = 0.7
_HAN = re.compile(r"[\u4e00-\u9fff]")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")
_PLACE = re.compile(r"(?:/(?:home|root|tmp|work|Users|usr|opt|var)/|[A-Z]:\\Users)")
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

# The first thing that a notebook's process runs. Its own messages to the notebook go to this
# machine; nothing else may leave it. Hooks cannot be removed, and see all that Python connects to.
_NO_NETWORK = """
def _forbid_network(event, args):
    names = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0}
    if event in names:
        place = args[names[event]]
        host = place[0] if isinstance(place, tuple) else place
        near = host in ("127.0.0.1", "::1", "localhost", None, "") or str(host).startswith("/")
        if not near:
            raise OSError(f"this notebook asked for the network: {host}")
import sys
sys.addaudithook(_forbid_network)
"""


def notebook_paths(names: list[str]) -> list[Path]:
    """Return the notebooks of these names, such as `day1`; all of the course if none is named."""
    if not names:
        return sorted(FOLDER.glob(DAYS))
    paths = [FOLDER / f"{Path(name).stem}.ipynb" for name in names]
    for path in paths:
        if not path.is_file():
            known = ", ".join(other.stem for other in notebook_paths([]))
            sys.exit(f"error: there is no {path.relative_to(ROOT)}, only {known or 'no notebook'}")
    return paths


def read(path: Path) -> dict[str, Any]:
    """Return a notebook as JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def text_of(cell: dict[str, Any]) -> str:
    """Return the source of a cell, or the text of a part of its outputs, joined."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def fingerprint(notebook: dict[str, Any]) -> str:
    """Return what changes where a code cell changes."""
    code = [text_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


# -- run


def execute(path: Path) -> dict[str, Any]:
    """Return a notebook with its outputs; it runs in its own folder, in a process of its own.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; names it.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    guard = nbformat.v4.new_code_cell(_NO_NETWORK)
    notebook.cells.insert(0, guard)
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        # The package beside this file, and figures in the notebook.
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    # In a copy of its surroundings, so that runs leave nothing behind in the repository.
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, path.parent.name)
        folder.mkdir()
        shutil.copytree(ROOT / "configs", Path(temporary, "configs"))
        shutil.copytree(FOLDER / "weights", folder / "weights")
        client = NotebookClient(
            notebook,
            timeout=LONGEST_CELL,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=40"],
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=os.environ | environment)
    notebook.cells.remove(guard)
    return json.loads(nbformat.writes(notebook))


def tidy(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook without what differs from run to run, its pictures compressed."""
    taken: set[str] = set()
    cells = []
    for number, cell in enumerate(notebook["cells"]):
        source = text_of(cell)
        key = hashlib.sha256(source.encode()).hexdigest()[:8]
        if key in taken:
            key = f"{key}-{number}"
        taken.add(key)
        made = {"cell_type": cell["cell_type"], "id": key, "metadata": {}, "source": lines(source)}
        if cell["cell_type"] == "code":
            done = sum(other["cell_type"] == "code" for other in cells)
            made["execution_count"] = done + 1 if cell.get("outputs") is not None else None
            made["outputs"] = [_tidy_output(o, done + 1) for o in _joined(cell["outputs"])]
        cells.append(made)
    metadata = {
        "kernelspec": _KERNEL,
        "language_info": {"name": "python"},
        "license": "Apache-2.0",
        "ppzoo": {"executed": fingerprint(notebook)},
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def lines(text: str) -> list[str]:
    """Return a text as notebooks keep it: a list of lines."""
    return text.splitlines(keepends=True)


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs whose parts of one stream are one, however they came."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] = "".join(last["text"]) + "".join(output["text"])
        else:
            joined.append(dict(output))
    return joined


def _tidy_output(output: dict[str, Any], count: int) -> dict[str, Any]:
    kind = output["output_type"]
    if kind == "stream":
        return {"name": output["name"], "output_type": kind, "text": lines("".join(output["text"]))}
    if kind == "error":
        return output
    data = dict(output["data"])
    if "image/png" in data:
        png = base64.b64decode("".join(data.pop("image/png")))
        data.pop("image/jpeg", None)
        mime, picture = compress(png)
        data[mime] = base64.b64encode(picture).decode("ascii")
    made = {"data": data, "metadata": {}, "output_type": kind}
    return made | ({"execution_count": count} if kind == "execute_result" else {})


def compress(png: bytes) -> tuple[str, bytes]:
    """Return a smaller picture and its type: PNG with a palette, or JPEG for photographs.

    Animated pictures stay as they are.
    """
    from PIL import Image

    if frames_of(png) > 1:
        return "image/png", png
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    file = io.BytesIO()
    if picture.getcolors(_MOST_COLOURS) is None:
        picture.save(file, "JPEG", quality=85, optimize=True)
        return "image/jpeg", file.getvalue()
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return "image/png", file.getvalue()


def frames_of(data: bytes) -> int:
    """Return how many frames a picture has."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return getattr(picture, "n_frames", 1)


def write(path: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook whole or not at all, as Jupyter writes it."""
    from ppzoo.atomic import atomic_write

    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


# -- check


def problems(path: Path) -> list[str]:
    """Return what is wrong with a notebook as it is saved, a sentence each."""
    notebook = read(path)
    cells = notebook["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    texts = [text_of(cell) for cell in cells if cell["cell_type"] == "markdown"]
    found = [problem for text in texts if (problem := language_problem(text))]
    if not code or SWITCH not in text_of(code[0]):
        found.append(f"the first code cell does not say {SWITCH}")
    if not texts or "question" not in texts[-1].lower() or "homework/" not in texts[-1]:
        found.append("the last text has no questions, or does not point to the homework")
    places = re.findall(r"homework/[\w/]*", texts[-1]) if texts else []
    missing = sorted({place for place in places if not (ROOT / place).exists()})
    found += [f"the last text names {place}, which does not exist" for place in missing]
    if notebook["metadata"].get("ppzoo", {}).get("executed") != fingerprint(notebook):
        found.append("code has changed since it was executed: run it again")
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("not all cells were executed, or not from top to bottom")
    found += [problem for cell in code for problem in _output_problems(cell)]
    pictures = list(saved_pictures(notebook))
    for number, _, data in pictures:
        most = LARGEST_FILM if frames_of(data) > 1 else LARGEST_PICTURE
        if len(data) > most:
            found.append(f"a picture of cell {number} has {len(data)} bytes, more than {most}")
    if len(pictures) < FEWEST_PICTURES:
        found.append(f"it shows {len(pictures)} pictures, fewer than {FEWEST_PICTURES}")
    if path.stat().st_size > LARGEST_NOTEBOOK:
        found.append(f"it has {path.stat().st_size} bytes, more than {LARGEST_NOTEBOOK}")
    return found


def language_problem(text: str) -> str | None:
    """Return what is wrong with the languages of a text, None if nothing is."""
    # What is the same in both: code, formulas, addresses, pictures.
    prose = re.sub(r"```.*?```|\$\$.*?\$\$|`[^`]*`|\$[^$]*\$|\]\([^)]*\)", " ", text, flags=re.S)
    words, letters = list(_WORD.finditer(prose)), list(_HAN.finditer(prose))
    start = text.strip().splitlines()[0][:50] if text.strip() else ""
    if not words:
        return f"no English in the text {start!r}"
    if len(letters) < _LEAST_CHINESE * len(words):
        return f"{len(words)} English words and {len(letters)} Chinese letters in {start!r}"
    if letters[0].start() < words[0].start():
        return f"Chinese stands before English in {start!r}"
    return None


def _output_problems(cell: dict[str, Any]) -> Iterator[str]:
    start = text_of(cell).splitlines()[0][:50] if text_of(cell) else ""
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            yield f"the cell {start!r} ended in {output['ename']}: {output['evalue']}"
        elif output["output_type"] == "stream":
            text = "".join(output["text"])
            if output["name"] == "stderr":
                yield f"the cell {start!r} complains: {text.strip()[:200]}"
            if _PLACE.search(text):
                yield f"the cell {start!r} shows a place on somebody's machine"
        elif "image/gif" in output["data"]:
            # nbconvert, by which repository pages are made, does not know this type.
            yield f"the cell {start!r} shows a GIF, which pages leave out: use figures.draw_film"
        elif _PLACE.search("".join(output["data"].get("text/plain", ""))):
            yield f"the cell {start!r} shows a place on somebody's machine"


def saved_pictures(notebook: dict[str, Any]) -> Iterator[tuple[int, str, bytes]]:
    """Yield (number of the cell, type, bytes) of every picture that a notebook shows."""
    for number, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", ()):
            for kind, content in output.get("data", {}).items():
                if kind in ("image/png", "image/jpeg"):
                    yield number, kind.partition("/")[2], base64.b64decode("".join(content))


# -- command line


def _run(paths: list[Path], save: bool) -> bool:
    good = True
    for path in paths:
        started, before = time.perf_counter(), _processor_time()
        notebook = tidy(execute(path))
        seconds, work = time.perf_counter() - started, _processor_time() - before
        complaints = [
            problem
            for cell in notebook["cells"]
            if cell["cell_type"] == "code"
            for problem in _output_problems(cell)
        ]
        print(f"{path.stem}: {seconds:.0f} s, {work:.0f} s of processor time", flush=True)
        for complaint in complaints:
            print(f"  {complaint}")
        good &= not complaints
        if save:
            write(path, notebook)
    return good


def _processor_time() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _check(paths: list[Path]) -> bool:
    found = {path.stem: problems(path) for path in paths}
    for name, sentences in found.items():
        print(f"{name}: {'fine' if not sentences else ''}")
        for sentence in sentences:
            print(f"  {sentence}")
    return not any(found.values())


def _pictures(paths: list[Path], folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"error: --to {folder} cannot be made a folder: {error.strerror}")
    for path in paths:
        for index, (number, kind, data) in enumerate(saved_pictures(read(path))):
            target = folder / f"{path.stem}_{index:02d}_cell{number}.{kind}"
            target.write_bytes(data)
            print(f"{target}: {len(data)} bytes")
            if frames_of(data) > 1:
                strip = target.with_suffix(".frames.png")
                strip.write_bytes(strip_of(data))
                print(f"{strip}: {_STRIP} of its {frames_of(data)} frames, one below the other")
    return True


def strip_of(data: bytes) -> bytes:
    """Return a PNG of some frames of an animated picture, one below the other."""
    from PIL import Image, ImageSequence

    with Image.open(io.BytesIO(data)) as film:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
    chosen = [frames[i * (len(frames) - 1) // (_STRIP - 1)] for i in range(_STRIP)]
    width, height = chosen[0].size
    strip = Image.new("RGB", (width, _STRIP * height))
    for i, frame in enumerate(chosen):
        strip.paste(frame, (0, i * height))
    file = io.BytesIO()
    strip.save(file, "PNG")
    return file.getvalue()


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="execute, and save the outputs")
    run.add_argument("--no-save", action="store_true", help="leave the files as they are")
    check = commands.add_parser("check", help="look at what is saved")
    pictures = commands.add_parser("pictures", help="write the saved pictures to a folder")
    pictures.add_argument("--to", type=Path, required=True, metavar="DIR")
    for command in (run, check, pictures):
        command.add_argument("names", nargs="*", metavar="DAY", help="such as day1; all by default")
    args = parser.parse_args()
    paths = notebook_paths(args.names)
    if args.command == "run":
        good = _run(paths, not args.no_save)
    elif args.command == "check":
        good = _check(paths)
    else:
        good = _pictures(paths, args.to)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
