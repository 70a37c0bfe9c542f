# SPDX-License-Identifier: Apache-2.0
"""A student's kernel: what comes back, what it may not do, and how it ends."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppzoo.course import kernel as module
from ppzoo.course.cage import missing_isolation
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


# By C's library, which Python's hook knows nothing of; each is refused with -1.
COMPILED = {
    "open": "libc.open(SECRET, 0)",
    "unlink": "libc.unlink(SECRET)",
    "etc": "libc.open(b'/etc/shadow', 0) if os.path.exists('/etc/shadow') else -1",
    "environ": "libc.open(b'/proc/%d/environ' % os.getppid(), 0)",
    "pipes": "libc.open(b'/proc/%d/fd/1' % os.getppid(), 1)",
    "fork": "libc.fork()",
    "clone": "libc.syscall(CLONE, 17, None, None, None, None)",
    "exec": "libc.execl(b'/bin/true', b'true', None)",
    "udp": "libc.socket(2, 2, 0)",
    "unix": "libc.socket(1, 1, 0)",
    "kill": "libc.kill(os.getppid(), 0)",
    "kill_all": "libc.kill(-1, 0)",
    "ptrace": "libc.ptrace(16, os.getppid(), None, None)",
    "memfd": "libc.memfd_create(b'a', 0)",
}


@pytest.fixture(scope="module")
def isolated(request: pytest.FixtureRequest) -> Kernel | None:
    """A kernel, or None where the system cannot isolate it, and says so."""
    if not missing_isolation():
        return request.getfixturevalue("kernel")
    box = Path(tempfile.mkdtemp(prefix="pg-"))
    with pytest.raises(KernelGoneError) as caught, Kernel(box, Limits(120, 30, 3 * 2**30)):
        pass
    assert "this system has no" in caught.value.why
    shutil.rmtree(box)
    return None


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_code_is_bound(isolated: Kernel | None, secret: Path, name: str) -> None:
    if isolated is not None:
        clone = 56 if platform.machine() == "x86_64" else 220
        code = COMPILED[name].replace("SECRET", repr(bytes(secret))).replace("CLONE", str(clone))
        ran = isolated.run(f"import ctypes, os\nlibc = ctypes.CDLL(None)\n{code}")
        assert ran.outputs[-1]["data"]["text/plain"] == "-1"
    assert secret.read_text() == "42"


def test_threads_and_signals_to_oneself_are_allowed(kernel: Kernel) -> None:
    ran = kernel.run(
        "import os, threading\nseen = []\n"
        "thread = threading.Thread(target=seen.append, args=[1])\n"
        "thread.start()\nthread.join()\n"
        "__import__('ctypes').CDLL(None).kill(os.getpid(), 0), seen"
    )
    assert ran.outputs[-1]["data"]["text/plain"] == "(0, [1])"


def test_a_folder_that_fills_up_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 50)
    box = Path(tempfile.mkdtemp(prefix="pg-"))
    code = "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'w').close()\n    sleep(0.01)"
    with (
        Kernel(box, Limits(60, 30, weak=True)) as kernel,
        pytest.raises(KernelGoneError, match="wrote too much"),
    ):
        kernel.run(f"from time import sleep\n{code}")
    shutil.rmtree(box)


def test_what_is_no_message_is_the_end() -> None:
    box = Path(tempfile.mkdtemp(prefix="pg-"))
    with (
        Kernel(box, Limits(60, 30, weak=True)) as kernel,
        pytest.raises(KernelGoneError, match="crashed"),
    ):
        kernel.run("get_ipython().kernel.session.pack = lambda _: b'[1]'\n1")
    shutil.rmtree(box)


def test_waiting_for_a_processor_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = [0.0], [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module._Clock, "_waiting", lambda self: waited[0])
    clock = module._Clock(1)
    now[0], waited[0] = 15.0, 6.0
    assert not clock.is_over(10)
    waited[0] = 4.0
    assert clock.is_over(10)
    now[0], waited[0] = 41.0, 40.0  # patience ends
    assert clock.is_over(10)


def test_the_system_tells_how_long_a_process_waited() -> None:
    assert module._Clock(os.getpid())._waiting() >= 0
    assert module._Clock(None)._waiting() == 0


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
