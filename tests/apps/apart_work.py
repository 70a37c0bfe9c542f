# SPDX-License-Identifier: Apache-2.0
"""Tasks for processes: what they do is said by their names."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ppzoo.errors import ConfigError, DataError


def work(task: str, say) -> str:
    kind, _, rest = task.partition(" ")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "refuse":
        raise DataError(rest)
    elif kind == "misconfigure":
        raise ConfigError(rest)
    elif kind == "break":
        raise ZeroDivisionError(rest)
    elif kind == "exhaust":
        raise MemoryError(rest)
    elif kind == "say":
        say(rest)
    elif kind == "wait":
        Path(rest).write_text(str(os.getpid()))
        time.sleep(60)
    return f"{kind} done"
