# SPDX-License-Identifier: Apache-2.0
"""A user's mistake in a notebook is one sentence there, too."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from ppzoo.errors import ConfigError, MissingExtraError


@pytest.fixture
def shell() -> InteractiveShell:
    return InteractiveShell()


def test_a_notebook_shows_the_sentence(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import ppzoo\nppzoo.load_config('nothing-here.yaml')"
    result = shell.run_cell(code)
    assert isinstance(result.error_in_exec, ConfigError)
    assert str(result.error_in_exec).startswith("nothing-here.yaml: there is no such file")
    assert capsys.readouterr().out == f"ConfigError: {result.error_in_exec}\n"


def test_other_errors_keep_their_traceback(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("1 / 0")
    assert "Traceback" in capsys.readouterr().out


def test_errors_with_arguments_of_their_own_are_shown_as_well() -> None:
    error = MissingExtraError("matplotlib", "course", "drawing")
    assert error._render_traceback_() == [f"MissingExtraError: {error}"]
