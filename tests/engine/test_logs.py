# SPDX-License-Identifier: Apache-2.0
"""The console's log and the file's."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppzoo.engine.logs import log_file, setup_logging, showing_warnings
from ppzoo.errors import UserError

LOG = logging.getLogger("ppzoo.engine.trainer")


@pytest.fixture(autouse=True)
def no_console_afterwards() -> Iterator[None]:
    yield
    setup_logging(console=False)


def test_console_shows_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    setup_logging()
    LOG.info("hello")
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[\d\d/\d\d \d\d:\d\d:\d\d\] ppzoo\.engine\.trainer INFO: hello", line)
    setup_logging(console=False)
    LOG.info("hello")
    assert capsys.readouterr().out == ""


def test_file_is_appended_to_and_closed(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with log_file(tmp_path / "log.txt"):
            LOG.info(text)
    LOG.info("three")
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line[-3:] for line in lines] == ["one", "two"]


def test_error_that_ends_a_run_is_in_the_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging()
    with pytest.raises(UserError), log_file(tmp_path / "log.txt"):
        raise UserError("diverged")
    assert "ERROR: diverged" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "diverged" not in capsys.readouterr().out


def test_file_that_cannot_be_written_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with log_file(tmp_path / "log.txt"):
        (handler,) = [
            h for h in logging.getLogger("ppzoo").handlers if isinstance(h, logging.FileHandler)
        ]

        def full(text: str) -> int:
            raise OSError(28, "No space left on device")

        handler.stream.close()
        monkeypatch.setattr(handler, "stream", SimpleNamespace(write=full, close=lambda: None))
        LOG.info("one")
        LOG.info("two")
    err = capsys.readouterr().err
    assert err.count("No space left on device") == err.count("\n") == 1
    assert str(tmp_path / "log.txt") in err


def test_commands_that_do_not_train_show_warnings_as_notes(capsys):
    logger = logging.getLogger("ppzoo.somewhere")
    before = logging.getLogger("ppzoo").propagate
    with showing_warnings():
        logger.info("of no account")
        logger.warning("%d frames are missing", 3)
    assert capsys.readouterr().err == "note: 3 frames are missing\n"
    assert logging.getLogger("ppzoo").propagate == before
