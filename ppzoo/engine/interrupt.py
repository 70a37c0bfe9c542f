# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as a wish: the step under way ends and is saved before the run stops."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ANSWER = b"\nfinishing this step, then saving; ask again to stop at once\n"


class Interrupt:
    """Whether, and by which signal, this process has been asked to stop.

    Attributes:
        signal: the number of the signal, None as long as there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note the first signal inside the context; the second one is a KeyboardInterrupt.

        Only the main thread of a program hears signals; in another one this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                # None stands for a handler that was not made by Python.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: Any) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        # Not by print or a logger: the signal may have come while one of them holds its buffer.
        with contextlib.suppress(OSError):
            os.write(2, _ANSWER)
