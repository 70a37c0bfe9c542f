# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's command line."""

from __future__ import annotations

import argparse


def parse_args() -> argparse.Namespace:
    """Return the options of the command line of `tools/main.py`."""
    parser = argparse.ArgumentParser(description="PaddleGAN's command line, by ppzoo")
    add = parser.add_argument
    add("-c", "--config-file", metavar="FILE", help="YAML that describes the run")
    add("--resume", metavar="FILE", help="go on from a *_checkpoint.pdparams")
    add("--load", metavar="FILE", help="start from the weights in a file")
    add("--val-interval", type=int, default=1, help="accepted; validate.interval decides")
    add("--evaluate-only", action="store_true", help="compute the metrics, write pictures and exit")
    add("--source_path", default="", metavar="DIR", help="for scripts that take it")
    add("--reference_dir", default="", metavar="DIR", help="for scripts that take it")
    add("--model_path", metavar="FILE", help="for scripts that take it")
    add("-o", "--opt", nargs="+", metavar="KEY=VALUE", help="change the config")
    add("--no-cuda", action="store_true", help="use the CPU")
    add("-p", "--profiler_options", metavar="K=V;...", help="profile some steps")
    add("--amp", action="store_true", help="mixed precision")
    add("--amp_level", default="O1", choices=["O1", "O2"], help="how mixed")
    add("--seed", type=int, help="repeat a run bit for bit (on CPU)")
    return parser.parse_args()
