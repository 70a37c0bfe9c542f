# SPDX-License-Identifier: Apache-2.0
"""What tests of face parsing share, those of its predictor among them."""

from __future__ import annotations

from pathlib import Path

import paddle

from ppzoo.faces.bisenet import BiSeNet
from ppzoo.weights import write_pdparams


def write_bisenet(folder: Path) -> Path:
    """Write weights of BiSeNet that were never trained, and return their path."""
    paddle.seed(5)
    path = folder / "bisenet.pdparams"
    state = {name: value.numpy() for name, value in BiSeNet(19).state_dict().items()}
    write_pdparams(path, state)
    return path
