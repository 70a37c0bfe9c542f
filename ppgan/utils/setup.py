# SPDX-License-Identifier: Apache-2.0
"""What PaddleGAN's scripts do before they train."""

from __future__ import annotations

import time
from typing import Any

from ppzoo.runtime import seed_everything, select_device


def setup(args: Any, cfg: Any) -> None:
    """Choose the device, set the seed and note options of the command line in the config.

    The run folder is made, and the log is begun, by the trainer: `cfg.output_dir` stays.

    Args:
        args: of `ppgan.utils.options.parse_args`, or with some of its attributes.
        cfg: of `ppgan.utils.config.get_config`; changed.
    """
    if getattr(args, "config_file", None):
        cfg.config_file = args.config_file
    cfg.is_train = not getattr(args, "evaluate_only", False)
    cfg.timestamp = time.strftime("-%Y-%m-%d-%H-%M", time.localtime())
    for name in ("profiler_options", "amp", "amp_level"):
        value = getattr(args, name, None)
        if value:
            cfg[name] = value
    if getattr(args, "no_cuda", False):
        cfg.device = "cpu"
    select_device(cfg.get("device"))
    seed = getattr(args, "seed", None)
    if seed is not None:
        cfg.seed = seed
        seed_everything(seed)
