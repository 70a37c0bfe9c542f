# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import time

import pytest

from ppzoo.apps.apart import run_apart
from ppzoo.errors import DataError, UserError
from tests.apps.apart_work import work


def test_one_task_that_fails_takes_no_other_along() -> None:
    tasks = [
        "fine",
        "refuse it is damaged",
        "die",
        "exhaust all",
        "misconfigure wrongly",
        "say 7",
        "fine",
    ]
    said = []
    results = dict(run_apart(work, tasks, 1, said.append))
    assert results["fine"] == "fine done"
    assert results["say 7"] == "say done"
    assert said == ["7"]
    assert isinstance(results["refuse it is damaged"], DataError)
    assert str(results["refuse it is damaged"]) == "it is damaged"
    assert isinstance(results["exhaust all"], DataError)
    assert str(results["exhaust all"]) == "there was not enough memory to work on it"
    assert type(results["misconfigure wrongly"]) is UserError
    assert isinstance(results["die"], DataError)
    assert "signal 9" in str(results["die"])


def test_what_nobody_expected_is_raised_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)apart_work\.py.*ZeroDivisionError: here"):
        list(run_apart(work, ["break here"], 1))


def test_without_tasks_there_are_no_processes() -> None:
    assert list(run_apart(work, [], 4)) == []


def test_who_leaves_early_leaves_no_process(tmp_path) -> None:
    note = tmp_path / "pid"
    running = run_apart(work, [f"wait {note}", "fine"], 2)
    assert next(running) == ("fine", "fine done")
    deadline = time.monotonic() + 60
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    number = int(note.read_text())
    os.kill(number, 0)
    running.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
