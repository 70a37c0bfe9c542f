# SPDX-License-Identifier: Apache-2.0
"""The comparison of the apps of talking faces: what is measured, and the table of it."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tools.benchmark import talking
from tools.benchmark.talking_worker import Clock
from tools.benchmark.worker import receive, send

OURS = {"frames": 10, "wall": 2.0, "cpu": 3.0, "decode": 0.1, "network": 1.5, "wait": 0.3}
PLAIN = {"frames": 10, "wall": 9.0, "cpu": 9.0, "decode": 0.5, "network": 3.5}


def rows() -> dict[str, dict[str, dict[str, object]]]:
    ours, plain = talking.summary([OURS], False), talking.summary([PLAIN], True)
    return {"wav2lip": {"ours": ours, "plain": plain}}


def test_plain_stages_follow_each_other_and_ours_overlap() -> None:
    found = rows()["wav2lip"]
    assert found["ours"]["frames_per_second"] == pytest.approx(5)
    assert found["ours"]["cores"] == pytest.approx(1.5)
    # Without the time that arrays travel between processes.
    assert found["plain"]["frames_per_second"] == pytest.approx(2.5)
    assert found["plain"]["milliseconds"]["network"] == pytest.approx(350)


def test_table_says_where_the_time_goes() -> None:
    lines = talking.table(rows()).splitlines()
    assert lines[0] == (
        "|  | frames/s | ratio | decode | detect | track | network | paste | encode |"
    )
    assert lines[2:] == [
        "| Wav2Lip, 96 x 96: ppzoo | 5.00 | **2.00** | 10 | 0 | 0 | 150 | 0 | 0 |",
        "| Wav2Lip, 96 x 96: plain, PyTorch | 2.50 |  | 50 | 0 | 0 | 350 | 0 | 0 |",
    ]


def test_report_keeps_what_was_not_measured(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"a\n{talking.BEGIN}\n{talking.END}\nb\n", encoding="utf-8")
    stored = {"rows": 1, "talking": {"rows": {"firstorder": rows()["wav2lip"]}}}
    (tmp_path / "benchmarks.json").write_text(json.dumps(stored), encoding="utf-8")
    talking.report(rows(), {"cores": 2}, tmp_path)
    new = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    assert (new["rows"], new["talking"]["cores"]) == (1, 2)
    assert list(new["talking"]["rows"]) == ["firstorder", "wav2lip"]
    text = page.read_text(encoding="utf-8")
    assert text.count("ppzoo") == 2
    assert text.endswith(f"{talking.END}\nb\n")


def test_page_has_the_place_that_the_report_fills() -> None:
    page = (talking.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.index(talking.BEGIN) < page.index(talking.END)


def test_clock_gives_each_moment_to_the_innermost_stage_of_its_thread() -> None:
    clock = Clock()

    def other() -> None:
        with clock.stage("encode"):
            time.sleep(0.08)

    thread = threading.Thread(target=other)
    start = time.perf_counter()
    with clock.stage("track"):
        thread.start()
        time.sleep(0.02)
        clock.timed("detect", time.sleep)(0.05)
        assert list(clock.each("wait", iter("ab"))) == ["a", "b"]
    wall = time.perf_counter() - start
    thread.join()
    seconds = clock.seconds
    assert seconds["track"] >= 0.02
    whole = seconds["track"] + seconds["detect"] + seconds["wait"]
    assert whole == pytest.approx(wall, abs=5e-3)
    assert seconds["detect"] >= 0.05
    assert seconds["encode"] >= 0.08
    assert set(seconds) == {"track", "detect", "wait", "encode"}


def test_arrays_arrive_as_they_were_sent() -> None:
    sent = [np.arange(6, dtype=np.float32).reshape(1, 2, 3), np.float32([7])]
    pipe = io.BytesIO()
    send(pipe, sent)
    send(pipe, sent[:1])
    pipe.seek(0)
    for expected in (sent, sent[:1]):
        found = receive(pipe)
        assert len(found) == len(expected)
        for array, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, wanted)
    assert receive(pipe) is None
