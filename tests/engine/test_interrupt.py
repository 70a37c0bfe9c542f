# SPDX-License-Identifier: Apache-2.0
"""Signals as wishes."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ppzoo.engine.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_answered(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    interrupt = Interrupt()
    assert interrupt.signal is None
    with interrupt.listening():
        os.kill(os.getpid(), number)
        assert interrupt.signal == number
    assert capfd.readouterr().err == (
        "\nfinishing this step, then saving; ask again to stop at once\n"
    )
    assert signal.getsignal(number) is before


def test_second_signal_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupt = Interrupt()
    with interrupt.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert interrupt.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_change_no_handlers() -> None:
    handlers = []

    def look() -> None:
        with Interrupt().listening():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
