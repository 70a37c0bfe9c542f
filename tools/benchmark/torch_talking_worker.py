# SPDX-License-Identifier: Apache-2.0
"""Run the twin of an app's network on what arrives: `torch_talking_worker.py APP FOLDER`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.benchmark.talking_twins import FirstOrder, Keypoints, Wav2Lip
from tools.benchmark.torch_inference_worker import best_layout, load
from tools.benchmark.worker import receive, send


class Animation(FirstOrder):
    """First Order Motion as PaddleGAN's predictor runs it: the source goes through every time.

    Keypoints of the source and of the film's first frame are found once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: tuple[Keypoints, Keypoints] | None = None

    def forward(
        self, driving: torch.Tensor, source: torch.Tensor, first: torch.Tensor
    ) -> torch.Tensor:
        if self.known is None:
            self.known = self.kp_extractor(source), self.kp_extractor(first)
        still, start = self.known
        moved = self.kp_extractor(driving)
        shift = moved[0] - start[0] + still[0]
        turn = torch.matmul(torch.matmul(moved[1], torch.inverse(start[1])), still[1])
        return self.generator(source, (shift, turn), still)


def main() -> None:
    """Answer arrays by the network's result and the seconds that it took."""
    app, folder = sys.argv[1], Path(sys.argv[2])
    net = {"firstorder": Animation, "wav2lip": Wav2Lip}[app]().eval()
    with np.load(folder / f"{app}.npz") as arrays:
        load(net, {name: torch.from_numpy(arrays[name]) for name in arrays.files})
    is_first = True
    with torch.inference_mode():
        while (arrays := receive(sys.stdin.buffer)) is not None:
            inputs = [torch.from_numpy(array) for array in arrays]
            if is_first:
                best_layout(net, inputs)
            start = time.perf_counter()
            result = net(*inputs)
            seconds = time.perf_counter() - start
            send(sys.stdout.buffer, (result.contiguous().numpy(), np.float32([seconds])))
            if is_first and app == "firstorder":
                net.known = None  # the first call is no frame of the film
            is_first = False


if __name__ == "__main__":
    main()
