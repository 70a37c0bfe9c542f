# SPDX-License-Identifier: Apache-2.0
"""Measure how much memory an app takes for a short film and for a long one.

    python tools/benchmark/memory.py firstorder|wav2lip [--minutes 1 10] [--fps 25]

Films are drawn: a photograph's face that sways, with a tone. Networks are tiny and have random
weights, so that what is measured is what holds frames: reading, detection, batches, writing. Each
film is made by a process of its own, whose peak is compared; the exit code is 1 where it differs by
more than a tenth. For Linux, which tells a process's own peak.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppzoo  # noqa: E402, F401, I001  (before Paddle, to set the CPU up)

import numpy as np  # noqa: E402

SIDE, RATE = 96, 16000
ALLOWED = 1.1  # times the memory of the shortest film
CONFIG = ROOT / "configs" / "smoke" / "firstorder.yaml"


def photograph(side: int) -> np.ndarray:
    """Return a face, uint8 RGB [side, side, 3]."""
    import skimage.data

    from ppzoo.faces.blend import resize

    return resize(np.ascontiguousarray(skimage.data.astronaut()[20:220, 124:324]), (side, side))


def draw(folder: Path, minutes: float, fps: int) -> Path:
    """Write a film of a face that sways, with a tone, and return its path."""
    from ppzoo.media.video import VideoWriter

    path, sound = folder / f"{minutes:g} minutes.mp4", folder / f"{minutes:g} minutes.wav"
    seconds = minutes * 60
    with wave.open(os.fspath(sound), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        for start in range(math.ceil(seconds)):
            times = start + np.arange(RATE) / RATE
            tone = 0.3 * np.sin(2 * np.pi * 330 * times) * np.sin(20 * times)
            file.writeframes((tone * 32767).astype("<i2").tobytes())
    picture = np.pad(photograph(SIDE), ((8, 8), (8, 8), (0, 0)), mode="edge")
    with VideoWriter(path, fps, audio_from=sound, preset="ultrafast") as writer:
        for index in range(round(seconds * fps)):
            x, y = (round(8 + 6 * f(index / 10)) for f in (np.sin, np.cos))
            writer.write(picture[y : y + SIDE, x : x + SIDE])
    return path


def firstorder(film: Path, folder: Path) -> int:
    """Animate a photograph by a film, and return how many frames were made."""
    from ppzoo import registry
    from ppzoo.apps.firstorder import FirstOrderPredictor
    from ppzoo.config import load_config
    from ppzoo.weights import write_pdparams

    model = registry.build(registry.MODELS, load_config(CONFIG).model)
    weights = folder / "firstorder.pdparams"
    nets = {name: model.nets[name].state_dict() for name in ("kp_detector", "generator")}
    write_pdparams(weights, {k: {n: v.numpy() for n, v in net.items()} for k, net in nets.items()})
    predictor = FirstOrderPredictor(
        folder,
        weights,
        CONFIG,
        relative=True,
        find_best_frame=True,
        filename="result.mp4",
        face_detector="cascade",
        image_size=32,
        batch_size=8,
        detect_every=25,
        preview=folder / "preview.mp4",
        backend="dynamic",
    )
    predictor.run(photograph(SIDE), film)
    return predictor.film.frames


def wav2lip(film: Path, folder: Path) -> int:
    """Let a film's face say the film's sound, by a network that changes nothing."""
    import paddle

    from ppzoo import registry
    from ppzoo.apps.wav2lip import Wav2LipPredictor
    from ppzoo.weights import write_pdparams

    class Same(paddle.nn.Layer):
        def forward(self, mels: Any, faces: Any) -> Any:
            return faces[:, 3:]

    weights = folder / "wav2lip.pdparams"
    net = registry.build(registry.GENERATORS, {"name": "Wav2Lip"})
    write_pdparams(weights, {name: value.numpy() for name, value in net.state_dict().items()})
    predictor = Wav2LipPredictor(
        weights,
        face_detector="cascade",
        detect_every=25,
        preview=folder / "preview.mp4",
        backend="dynamic",
    )
    predictor.generator = Same()
    return predictor.run(film, film, folder / "result.mp4").frames


APPS = {"firstorder": firstorder, "wav2lip": wav2lip}


def work(app: str, film: Path) -> None:
    """Make one film and write the peak of this process's memory as JSON, in MB."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ppzoo-") as folder:
        frames = APPS[app](film, Path(folder))
    # `resource` would tell the parent's peak where that is higher.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    found = {"frames": frames, "peak": int(peak) / 1024, "seconds": time.perf_counter() - begin}
    print(json.dumps(found), flush=True)


def main() -> int:
    """Measure as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("app", choices=APPS)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10], metavar="N")
    parser.add_argument("--fps", type=int, default=25, metavar="N", help="of the films (25)")
    parser.add_argument("--film", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.film is not None:
        work(args.app, args.film)
        return 0
    peaks = []
    with tempfile.TemporaryDirectory(prefix="ppzoo-") as folder:
        for minutes in args.minutes:
            film = draw(Path(folder), minutes, args.fps)
            command = [sys.executable, __file__, args.app, "--film", str(film)]
            process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(process.stdout.splitlines()[-1])
            peaks.append(found["peak"])
            print(
                f"{args.app}, {minutes:g} minutes: {found['frames']} frames, peak "
                f"{found['peak']:.0f} MB, {found['seconds']:.0f} s",
                flush=True,
            )
    ratio = max(peaks) / min(peaks)
    print(f"{args.app}: {ratio:.3f} times the memory, {ALLOWED} allowed")
    return int(ratio > ALLOWED)


if __name__ == "__main__":
    raise SystemExit(main())
