# SPDX-License-Identifier: Apache-2.0
"""A student's kernel: what comes back, what it may not do, and how it ends."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppzoo.course import kernel as module
from ppzoo.course import landlock
from ppzoo.course.checks import Wrong
from ppzoo.course.kernel import Kernel, KernelGoneError, Limits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "secret.txt"
    path.write_text("42")
    return path


@pytest.fixture(scope="module")
def kernel(secret: Path) -> Iterator[Kernel]:
    # Names of sockets are short, and pytest's folders are not.
    box = Path(tempfile.mkdtemp(prefix="pg-"))
    with Kernel(box, Limits(120, 30, 3 * 2**30), (f"{secret.parent}/",)) as one:
        yield one
    shutil.rmtree(box)


def error_of(kernel: Kernel, code: str) -> str:
    ran = kernel.run(code)
    assert ran.status == "error", ran
    return f"{ran.outputs[-1]['ename']}: {ran.outputs[-1]['evalue']}"


def test_outputs_come_back(kernel: Kernel) -> None:
    ran = kernel.run("print('a')\nprint('b')\n3")
    assert ran.status == "ok"
    assert [one["output_type"] for one in ran.outputs] == ["stream", "display_data"]
    assert ran.outputs[0]["text"] == "a\nb\n"
    assert ran.outputs[1]["data"] == {"text/plain": "3"}


def test_texts_are_cut_and_pages_are_left_out(kernel: Kernel) -> None:
    (output,) = kernel.run(f"print('x' * {3 * module.KEPT})").outputs
    assert len(output["text"]) < module.KEPT + 100
    assert "cut here" in output["text"]
    ran = kernel.run("from IPython.display import HTML\nHTML('<script>alert(1)</script>')")
    assert "script" not in str(ran.outputs)


def test_questions_are_answered(kernel: Kernel) -> None:
    assert kernel.evaluate("[_x, 'é']", "_x = 2.5") == '[2.5, "\\u00e9"]'
    for expression, reason in (("1 / 0", "ZeroDivisionError"), ("object()", "AttributeError")):
        with pytest.raises(Wrong, match=reason):
            kernel.evaluate(expression, "")


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.system('true')",
        "import os; os.fork()",
        "import os; os.kill(os.getppid(), 9)",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "open('SECRET').read()",
        "open('SECRET', 'w')",
        "import os; os.remove('SECRET')",
        "import os; os.rename('SECRET', 'mine')",
        "import os; os.link('SECRET', 'mine')",
        "import os; os.symlink('SECRET', 'mine'); open('mine').read()",
        "import shutil; shutil.rmtree('SECRET')",
        "print('x' * 10**7)",
    ],
)
def test_what_is_forbidden_is_an_error(kernel: Kernel, secret: Path, code: str) -> None:
    said = error_of(kernel, code.replace("SECRET", str(secret)))
    assert said.startswith(("PermissionError", "RuntimeError: a cell may print"))
    assert secret.read_text() == "42"


@pytest.mark.skipif(not landlock.version(), reason="this system has no Landlock")
def test_compiled_code_is_bound_by_landlock(kernel: Kernel, secret: Path) -> None:
    ran = kernel.run(
        "import ctypes\n"
        f"ctypes.CDLL(None).open({str(secret).encode()!r}, 0), "
        f"ctypes.CDLL(None).unlink({str(secret).encode()!r})"
    )
    assert ran.outputs[-1]["data"]["text/plain"] == "(-1, -1)"
    assert secret.read_text() == "42"


def test_it_may_write_in_its_own_folder(kernel: Kernel) -> None:
    ran = kernel.run("import pathlib; pathlib.Path('a.txt').write_text('mine')")
    assert ran.status == "ok"
    assert (kernel.folder / "a.txt").read_text() == "mine"


def test_secrets_of_the_caller_stay_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    assert "SOME_TOKEN" not in Kernel(Path("box"), Limits())._environment()


def test_the_end_is_noticed(secret: Path) -> None:
    box = Path(tempfile.mkdtemp(prefix="pg-"))
    with Kernel(box, Limits(60, 30)) as kernel:
        with pytest.raises(KernelGoneError, match="crashed"):
            kernel.run("import os; os._exit(3)")
        with pytest.raises(KernelGoneError, match="crashed"):
            kernel.run("1")
    shutil.rmtree(box)
