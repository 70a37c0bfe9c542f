# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's log."""

from __future__ import annotations

import logging

from ppzoo.engine.logs import setup_logging


def setup_logger(output: str | None = None, name: str = "ppgan") -> logging.Logger:
    """Show the log on the console and return it.

    Args:
        output: accepted as PaddleGAN's; a training logs into its run folder.
        name: of the log.
    """
    setup_logging()
    return logging.getLogger("ppzoo").getChild(name)


def get_logger(name: str = "ppgan", **_: object) -> logging.Logger:
    """Return a log that is shown where ppzoo's is."""
    return logging.getLogger("ppzoo").getChild(name)
