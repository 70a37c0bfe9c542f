# SPDX-License-Identifier: Apache-2.0
"""Weights and checkpoints: read safely, written atomically, loaded strictly."""

from ppzoo.weights.files import read, read_safetensors, write_pdparams, write_safetensors
from ppzoo.weights.load import load_state, load_weights, match_state, select_net

__all__ = [
    "load_state",
    "load_weights",
    "match_state",
    "read",
    "read_safetensors",
    "select_net",
    "write_pdparams",
    "write_safetensors",
]
