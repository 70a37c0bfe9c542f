# SPDX-License-Identifier: Apache-2.0
"""Folders of runs."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from ppzoo.engine.run_dir import make_run_dir, open_run_dir
from ppzoo.errors import UserError


def test_every_run_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppzoo.engine.run_dir.time.strftime", lambda form: "2024-02-03-04-05")
    names = [make_run_dir(tmp_path / "a" / "b", "x").name for _ in range(3)]
    assert names == ["x-2024-02-03-04-05", "x-2024-02-03-04-05-2", "x-2024-02-03-04-05-3"]


def test_name_has_the_local_time(tmp_path: Path) -> None:
    assert re.fullmatch(r"x-\d{4}(-\d\d){4}", make_run_dir(tmp_path, "x").name)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/x-.*\(Not a directory\): choose another"):
        make_run_dir(tmp_path / "file", "x")


@pytest.mark.parametrize(
    ("rank", "names"), [(0, ["config.yaml", "log.txt"]), (2, ["log.txt.rank2"])]
)
def test_first_process_writes_the_config(tmp_path: Path, rank: int, names: list[str]) -> None:
    with open_run_dir(tmp_path / "run", "a: 1\n", rank):
        logging.getLogger("ppzoo.x").info("hello")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == names
    assert (tmp_path / "run" / names[-1]).read_text().endswith("INFO: hello\n")


def test_config_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "run" / "config.yaml").mkdir(parents=True)
    with (
        pytest.raises(UserError, match=r"run cannot be written \(Is a directory\)"),
        open_run_dir(tmp_path / "run", "", 0),
    ):
        pass
