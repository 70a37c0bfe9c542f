# SPDX-License-Identifier: Apache-2.0
"""Measure the apps of talking faces from film to film: python tools/benchmark/talking.py

A film of a drawn head that talks (640 x 360 pixels) goes through `ppzoo predict firstorder` and
`ppzoo predict wav2lip`, and through a plain pipeline as PaddleGAN's predictors have it: everything
decoded, then faces looked for in every frame (Wav2Lip), then the networks, which encode the source
for every frame (First Order Motion), then everything encoded. The plain one's networks are twins
in eager PyTorch; decoder, face detector and encoder are the same. Networks have their full sizes
and random weights; so has the face detector, S3FD, which takes its time, although the face's place
is known. Exporting networks and finding their fastest backends, once for all films, is not counted.
Results go to docs/benchmarks.json, under `talking`, and into the third table of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402, I001  (before Paddle, to set the CPU up)

import numpy as np  # noqa: E402

from tools.benchmark.bench import add_common_options, torch_python  # noqa: E402
from tools.benchmark.rounds import SETTINGS, replace_between  # noqa: E402

BEGIN, END = "<!-- talking table -->", "<!-- end of talking table -->"
APPS = {"firstorder": "First Order Motion, vox-256", "wav2lip": "Wav2Lip, 96 x 96"}
STAGES = ("decode", "detect", "track", "network", "paste", "encode")
_WIDTH, _HEIGHT, _HEAD = 640, 360, 280
_LEFT, _TOP = 180, 60
# Of the drawn head's face, from the hair to the chin and from ear to ear, as S3FD would see it.
_BOX = (_LEFT + 55, _TOP + 50, _LEFT + 225, _TOP + 255)


def write_inputs(folder: Path, seconds: float) -> None:
    """Write what the workers need: film, sound, picture, place of the face and weights."""
    from scipy.io import wavfile

    from ppzoo.data.talking_head import FPS, make_clip
    from ppzoo.media.image import write_image
    from ppzoo.media.mel import SAMPLE_RATE
    from ppzoo.media.video import VideoWriter

    count = round(seconds * FPS)
    clip = make_clip(0, count)
    wavfile.write(folder / "speech.wav", SAMPLE_RATE, (clip.speech.wav * 32767).astype(np.int16))
    with VideoWriter(folder / "clip.mp4", FPS, audio_from=folder / "speech.wav") as film:
        for i in range(count):
            film.write(_in_room(clip.draw(i, _HEAD)))
    write_image(folder / "source.png", _in_room(make_clip(1, 1).draw(0, _HEAD)))
    (folder / "box.json").write_text(json.dumps(_BOX))
    _write_weights(folder)


def _in_room(head: np.ndarray) -> np.ndarray:
    """Return a frame that shows a drawn head before a wall."""
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    waves = [128 + 60 * np.sin(x / a + y / b) for a, b in ((31, 17), (23, 41), (13, 29))]
    frame = np.stack(waves, axis=-1).astype(np.uint8)
    frame[_TOP : _TOP + _HEAD, _LEFT : _LEFT + _HEAD] = head
    return frame


def _write_weights(folder: Path) -> None:
    import paddle

    from ppzoo.faces.sfd import S3FD
    from ppzoo.runtime import seed_everything, select_device
    from tools.benchmark.talking_nets import first_order_frame, wav2lip

    select_device("cpu")
    seed_everything(0)
    frame, lips, faces = first_order_frame(), wav2lip(), S3FD()
    for name, layer in faces.named_sublayers():
        if name.endswith("_conf"):  # nothing is a face
            layer.bias.set_value(np.float32([9.0] * (layer.bias.shape[0] - 1) + [-9.0]))
    parts = {"kp_detector": frame.kp_extractor, "generator": frame.generator}
    paddle.save(
        {name: part.state_dict() for name, part in parts.items()},
        str(folder / "firstorder.pdparams"),
    )
    paddle.save({"netG": lips.state_dict()}, str(folder / "wav2lip.pdparams"))
    paddle.save(faces.state_dict(), str(folder / "s3fd.pdparams"))
    for name, net in (("firstorder", frame), ("wav2lip", lips)):
        arrays = {key: value.numpy() for key, value in net.state_dict().items()}
        np.savez(folder / f"{name}.npz", **arrays)


def run(app: str, mode: str, folder: Path, python: Path) -> dict[str, float]:
    """Return the seconds of each stage of one film, and its number of `frames`."""
    script = Path(__file__).with_name("talking_worker.py")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
    process = subprocess.run(
        [sys.executable, str(script), app, mode, str(folder), str(python)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = process.stdout.splitlines()
    if process.returncode or not lines:
        raise SystemExit(f"{app}, {mode}: the worker ended with code {process.returncode}")
    for line in lines[:-1]:
        if not line.startswith(("[", "W", "I")):
            print(f"  {line}", flush=True)
    return json.loads(lines[-1])


def summary(rounds: list[dict[str, float]], is_plain: bool) -> dict[str, Any]:
    """Return frames/s and milliseconds a frame of each stage: medians of rounds."""
    speeds, stages = [], {}
    for found in rounds:
        # One stage follows another, without the way to the process with the twin and back.
        total = sum(found.get(stage, 0.0) for stage in STAGES) if is_plain else found["wall"]
        speeds.append(found["frames"] / total)
    for stage in STAGES:
        values = [1000 * found.get(stage, 0.0) / found["frames"] for found in rounds]
        stages[stage] = statistics.median(values)
    cores = statistics.median(found["cpu"] / found["wall"] for found in rounds)
    return {
        "frames_per_second": statistics.median(speeds),
        "slowest": min(speeds),
        "fastest": max(speeds),
        "milliseconds": stages,
        "cores": cores,
    }


def table(rows: dict[str, Any]) -> str:
    """Return the table as Markdown: frames/s, ratio, milliseconds a frame of each stage."""
    lines = [["", "frames/s", "ratio", *STAGES], ["---"] + ["---:"] * (len(STAGES) + 2)]
    for app, row in rows.items():
        base = row["plain"]["frames_per_second"]
        for mode, title in (("ours", "ppzoo"), ("plain", "plain, PyTorch")):
            speed = row[mode]["frames_per_second"]
            ratio = f"**{speed / base:.2f}**" if mode == "ours" else ""
            times = [f"{row[mode]['milliseconds'][stage]:.0f}" for stage in STAGES]
            lines.append([f"{APPS[app]}: {title}", f"{speed:.2f}", ratio, *times])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report(rows: dict[str, Any], facts: dict[str, Any], folder: Path) -> None:
    """Write the rows to docs/benchmarks.json and the third table of docs/benchmarks.md."""
    path = folder / "benchmarks.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    old = results.get("talking", {}).get("rows", {}) | rows
    rows = {app: old[app] for app in APPS if app in old}
    results["talking"] = facts | {"rows": rows}
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    replace_between(folder / "benchmarks.md", BEGIN, END, table(rows))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = result.add_argument
    add("--only", nargs="+", choices=APPS, default=list(APPS), metavar="APP")
    add("--rounds", type=int, default=1, help="films of each pipeline, in turn")
    add("--seconds", type=float, default=2.0, help="length of the film")
    add_common_options(result)
    return result


def main() -> None:
    """Measure what the command line asks for."""
    args = parser().parse_args()
    python = torch_python(args.venv)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="ppzoo-") as name:
        folder = Path(name)
        write_inputs(folder, args.seconds)
        for app in args.only:
            found: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
            for _ in range(args.rounds):
                for mode, results in found.items():
                    results.append(run(app, mode, folder, python))
                    print(f"{app} {mode}: {_line(results[-1])}", flush=True)
            rows[app] = {k: summary(v, k == "plain") for k, v in found.items()}
    print(table(rows))
    if not args.dry_run:
        facts = {
            "processor": ppzoo.runtime.configure().processor,
            "cores": ppzoo.runtime.physical_cores(),
            "seconds": args.seconds,
        }
        report(rows, facts, ROOT / "docs")


def _line(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in found.items())


if __name__ == "__main__":
    main()
