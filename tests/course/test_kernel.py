# SPDX-License-Identifier: Apache-2.0
"""A student's kernel: what comes back, what it may not do, and how it ends."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppzoo.course import kernel as module
from ppzoo.course.cage import missing_isolation
from ppzoo.course.checks import Wrong, asking, handed_in
from ppzoo.course.grade import _remove as remove
from ppzoo.course.kernel import Kernel, KernelGoneError, Limits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "secret.txt"
    path.write_text("42")
    return path


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    # Names of sockets are short, and pytest's folders are not.
    box = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        yield box
    finally:
        remove(box)


@pytest.fixture
def box() -> Iterator[Path]:
    with folder() as one:
        yield one


@pytest.fixture(scope="module")
def kernel(secret: Path) -> Iterator[Kernel]:
    # Where the system cannot isolate, what binds Python code is tested all the same.
    limits = Limits(120, 30, 3 * 2**30, weak=bool(missing_isolation()))
    with folder() as box, Kernel(box, limits, (f"{secret.parent}/",)) as one:
        yield one


@pytest.fixture(scope="module")
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that nothing of a student's may reach; it bears what would reach others."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


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
        "import os; os.kill(OTHER, 9)",
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
def test_what_is_forbidden_is_an_error(
    kernel: Kernel, secret: Path, other: subprocess.Popen[bytes], code: str
) -> None:
    said = error_of(kernel, code.replace("SECRET", str(secret)).replace("OTHER", str(other.pid)))
    assert said.startswith(("PermissionError", "RuntimeError: a cell may print"))
    assert secret.read_text() == "42"
    assert other.poll() is None


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
    "kill": "libc.kill(OTHER, 0)",
    "kill_all": "libc.kill(-1, 0)",
    "ptrace": "libc.ptrace(0x4206, OTHER, None, None)",
    "memfd": "libc.memfd_create(b'a', 0)",
    "owner": "libc.fcntl(PIPE, 8, os.getpid())",
    "owner_ex": "libc.fcntl(PIPE, 15, (ctypes.c_int * 2)(1, os.getpid()))",
    "signal": "libc.fcntl(PIPE, 10, 9)",
    "owner_ioctl": "libc.ioctl(SOCKET, 0x8901, ctypes.byref(ctypes.c_int(os.getpid())))",
    "priority": "libc.setpriority(0, os.getpid(), libc.getpriority(0, os.getpid()))",
    "queue": "(lambda n: n if n == -1 else libc.msgctl(n, 0, None))(libc.msgget(0, 0o600))",
    "semaphore": "(lambda n: n if n == -1 else libc.semctl(n, 0, 0))(libc.semget(0, 1, 0o600))",
    "chown": "libc.chown(SECRET, os.getuid(), os.getgid())",
    "attribute": "libc.setxattr(SECRET, b'user.a', b'1', 1, 0)",
    "truncate": "libc.truncate(SECRET, 0)",
    "empty": "(open('own', 'w'), libc.open(b'own', os.O_TRUNC))[1]",
    "watch": "libc.inotify_add_watch(libc.inotify_init(), b'/tmp', 0xfff)",
    "orphan": "libc.prctl(1, 0, 0, 0, 0)",
    "hide": "libc.prctl(4, 0, 0, 0, 0)",
    "pass_on": "(lambda pair: libc.sendmsg(pair[0].fileno(), bytes(56), 0))(socket.socketpair())",
    "device": "libc.mknod(b'device', 0o060600, 0)",
    "memory": "(lambda n: n if n == -1 else libc.shmctl(n, 0, None))(libc.shmget(0, 9, 0o600))",
}


# One of those by which the kernel is spoken to.
A_SOCKET = (
    "next(int(name) for name in os.listdir('/proc/self/fd')"
    " if os.path.realpath(f'/proc/self/fd/{name}').rpartition('/')[2].startswith('socket:'))"
)


@pytest.fixture(scope="module")
def isolated(request: pytest.FixtureRequest) -> Kernel | None:
    """A kernel, or None where the system cannot isolate it, and says so."""
    if not missing_isolation():
        return request.getfixturevalue("kernel")
    with (
        folder() as box,
        pytest.raises(KernelGoneError) as caught,
        Kernel(box, Limits(120, 30, 3 * 2**30)),
    ):
        pass
    assert "this system has no" in caught.value.why
    return None


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_code_is_bound(
    isolated: Kernel | None, secret: Path, other: subprocess.Popen[bytes], name: str
) -> None:
    if isolated is not None:
        clone = 56 if platform.machine() == "x86_64" else 220
        code = COMPILED[name].replace("SECRET", repr(bytes(secret))).replace("CLONE", str(clone))
        code = code.replace("OTHER", str(other.pid)).replace("PIPE", "os.pipe()[0]")
        code = code.replace("SOCKET", A_SOCKET)
        # A regression leaves no second kernel behind.
        code = f"code = {code}\nif os.getpid() != own:\n    os._exit(0)\ncode"
        ran = isolated.run(
            f"import ctypes, os, socket\nlibc, own = ctypes.CDLL(None), os.getpid()\n{code}"
        )
        assert ran.outputs[-1]["data"]["text/plain"] == "-1"
    assert secret.read_text() == "42"
    assert other.poll() is None


# Landlock lets them pass, and libraries that copy files do them: done in appearance.
MODES = {
    "chmod": "libc.chmod(SECRET, 0)",
    "fchmodat": "libc.fchmodat(-100, SECRET, 0, 0)",
    "utimensat": "libc.utimensat(-100, SECRET, None, 0)",
    "utime": "libc.utime(SECRET, None)",
}


@pytest.mark.parametrize("name", MODES)
def test_modes_and_times_of_others_stay(isolated: Kernel | None, secret: Path, name: str) -> None:
    before = secret.stat()
    if isolated is not None:
        code = MODES[name].replace("SECRET", repr(bytes(secret)))
        assert isolated.run(f"import ctypes\nctypes.CDLL(None).{code[5:]}").status == "ok"
        copied = "import shutil\nopen('a', 'w').close()\nshutil.copy2('a', 'b')"
        assert isolated.run(copied).status == "ok"
    after = secret.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_the_superuser_has_no_privileges(kernel: Kernel) -> None:
    if sys.platform == "linux":
        said = kernel.run("print(open('/proc/self/status').read())").outputs[0]["text"]
        assert "CapEff:\t0000000000000000" in said
        assert "CapPrm:\t0000000000000000" in said


def test_others_are_not_slowed_down(
    isolated: Kernel | None, other: subprocess.Popen[bytes]
) -> None:
    if isolated is not None:
        code = (
            "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.sched_setscheduler("
            f"{other.pid}, 3, ctypes.byref(ctypes.c_int(0)))"
        )
        assert isolated.run(code).outputs[-1]["data"]["text/plain"] == "0"
        assert os.sched_getscheduler(other.pid) == os.SCHED_OTHER
        # Threads that libraries start are scheduled by their own numbers.
        assert isolated.run("import zmq; zmq.Context(1).socket(zmq.PAIR)").status == "ok"


def test_nothing_names_where_the_others_lie(kernel: Kernel, secret: Path) -> None:
    seen = (
        "import os, sys\n"
        "places = [*sys.argv, open('/proc/self/cmdline').read(), *os.environ.values()]\n"
        f"any({str(secret.parent)!r} in place for place in places)"
    )
    assert kernel.run(seen).outputs[-1]["data"]["text/plain"] == "False"


def test_threads_and_signals_to_oneself_are_allowed(kernel: Kernel) -> None:
    ran = kernel.run(
        "import os, threading\nseen = []\n"
        "thread = threading.Thread(target=seen.append, args=[1])\n"
        "thread.start()\nthread.join()\n"
        "__import__('ctypes').CDLL(None).kill(os.getpid(), 0), seen"
    )
    assert ran.outputs[-1]["data"]["text/plain"] == "(0, [1])"


def test_a_folder_that_fills_up_is_the_end(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 50)
    code = "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'w').close()\n    sleep(0.01)"
    with (
        Kernel(box, Limits(60, 30, weak=True)) as kernel,
        pytest.raises(KernelGoneError, match="wrote too much"),
    ):
        kernel.run(f"from time import sleep\n{code}")


def test_files_that_were_removed_and_are_open_count(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WRITTEN", 32 * 2**20)
    code = (
        "import os, time\nkept = []\nfor n in range(64):\n"
        "    kept.append(open('a', 'wb'))\n    kept[-1].write(bytes(2**20))\n"
        "    kept[-1].flush()\n    os.remove('a')\ntime.sleep(20)"
    )
    if sys.platform == "linux":
        with (
            Kernel(box, Limits(60, 30, weak=True)) as kernel,
            pytest.raises(KernelGoneError, match="wrote too much"),
        ):
            kernel.run(code)


def test_a_folder_that_cannot_be_listed_holds_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[OSError] = [PermissionError(), FileNotFoundError()]

    def walk(folder: Path, onerror: Callable[[OSError], None]) -> Iterator[object]:
        onerror(errors.pop())
        return iter(())

    monkeypatch.setattr(module.os, "walk", walk)
    assert not module._Written(tmp_path).is_too_much()
    assert module._Written(tmp_path).is_too_much()


def test_feedback_of_a_notebook_has_an_end(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_room", module._Room(1000, 1000))
    kinds = "from IPython.display import display\nfor _ in range(9):\n    "
    picture = "display({'image/png': 'x' * 300}, raw=True)"
    shown = [kernel.run(f"{kinds}{picture}\nprint('y' * 300)") for _ in range(3)]
    assert 0 < str([one.outputs for one in shown]).count("x") <= 1000
    assert 0 < str([one.outputs for one in shown]).count("y") <= 1000 + 100
    assert kernel.evaluate("'z' * 2000", "") == '"' + "z" * 2000 + '"'


def test_code_that_never_began_is_told_from_code_that_did(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(Path("box"), Limits())
    monkeypatch.setattr(kernel, "_kill", lambda: None)
    for ended, status in ((1, "crashed"), (None, "timed out")):
        kernel._process = SimpleNamespace(pid=os.getpid(), poll=lambda code=ended: code)
        kernel._clock = SimpleNamespace(is_over=lambda seconds: True)
        with pytest.raises(KernelGoneError, match=status) as caught:
            kernel.run("pass")
        assert not caught.value.began


def test_replies_to_nothing_do_not_hold_up(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(Path("box"), Limits())
    now = [0.0]

    def reply(timeout: float) -> object:
        now[0] += 0.1
        return {"parent_header": {"msg_id": "another"}}

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    kernel._process = SimpleNamespace(pid=os.getpid())
    kernel._client = SimpleNamespace(get_shell_msg=reply)
    monkeypatch.setattr(kernel, "_kill", lambda: None)
    with pytest.raises(KernelGoneError, match="timed out"):
        kernel._reply("own")


def test_folders_in_each_other_are_the_end(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(module.MOST_DEPTH):
            os.mkdir("d", dir_fd=top)
            inner = os.open("d", os.O_RDONLY, dir_fd=top)
            os.close(top)
            top = inner
        assert not module._Written(tmp_path).is_too_much()
        os.mkdir("d", dir_fd=top)
        assert module._Written(tmp_path).is_too_much()
    finally:
        os.close(top)


def test_what_is_no_message_is_the_end(box: Path) -> None:
    with (
        Kernel(box, Limits(60, 30, weak=True)) as kernel,
        pytest.raises(KernelGoneError, match="crashed"),
    ):
        kernel.run("get_ipython().kernel.session.pack = lambda _: b'[1]'\n1")


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
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/schedstat")
    if own.is_file():  # a line of numbers: nanoseconds of work, then of waiting
        waited = int(own.read_text().split()[1]) / 1e9
        assert module._Clock(os.getpid())._waiting() >= waited
    assert module._Clock(None)._waiting() == 0


def test_another_folder_in_place_of_its_own_is_none(box: Path, secret: Path) -> None:
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nos.chdir('..')\n"
        f"libc.rename(b'work', b'gone'), libc.symlink({bytes(secret.parent)!r}, b'work')"
    )
    with Kernel(box, Limits(60, 30, weak=True)) as kernel:
        assert kernel.run(code).outputs[-1]["data"]["text/plain"] == "(0, 0)"
        assert (kernel.folder / "secret.txt").read_text() == "42"
        with asking(kernel), pytest.raises(Wrong, match="no link"):
            handed_in("secret.txt")


def test_it_may_write_in_its_own_folder(kernel: Kernel) -> None:
    ran = kernel.run("import pathlib; pathlib.Path('a.txt').write_text('mine')")
    assert ran.status == "ok"
    assert (kernel.folder / "a.txt").read_text() == "mine"


def test_secrets_of_the_caller_stay_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    assert "SOME_TOKEN" not in Kernel(Path("box"), Limits())._environment()


def test_the_end_is_noticed(box: Path) -> None:
    with Kernel(box, Limits(60, 30, weak=True)) as kernel:
        with pytest.raises(KernelGoneError, match="crashed"):
            kernel.run("import os; os._exit(3)")
        with pytest.raises(KernelGoneError, match="crashed"):
            kernel.run("1")
