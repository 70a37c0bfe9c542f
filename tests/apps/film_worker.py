# SPDX-License-Identifier: Apache-2.0
"""A process that sends a film through a chain of steps, and prints its frames and peak memory."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from ppzoo.apps.films import EachFrame, restore_film

from .test_edvr import Mixer, predictor, saved


def main():
    source, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        first = predictor(saved(Path(folder) / "edvr.pdparams"), Mixer(), bs=2)
        second = EachFrame("darker", 1, lambda frame: frame // 2)
        film = restore_film(source, target, [first, second], progress=False)
    print(film.frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main()
