# SPDX-License-Identifier: Apache-2.0
"""A student's kernel as the judge sees it: code goes in, outputs come back cut to size.

Not nbclient, which keeps all that a cell prints and cannot ask a kernel for values in between; the
messages are jupyter_client's.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import os
import queue
import site
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppzoo.course.checks import LONGEST_ANSWER, as_json, failed

KEPT = 64 * 1024  # characters of a cell's texts that its feedback shows
KEPT_PICTURE = 4 * 2**20
KEPT_IN_ALL, KEPT_PICTURES_IN_ALL = 2**20, 64 * 2**20  # of a notebook
MOST_PRINTED = 32 * 2**20  # characters after which a cell is stopped
MOST_WRITTEN, MOST_FILES = 2 * 2**30, 10_000  # bytes and files in a kernel's folder
MOST_DEPTH = 100  # of folders in each other: where paths grow too long, nothing can be counted
# Time that a kernel waits for a processor is not its own, up to so many times its limit.
PATIENCE = 4.0
_START = 180.0  # seconds, on a machine that does much else
_AFTER_INTERRUPT = 5.0
_PICTURES = ("image/png", "image/jpeg", "image/gif")
_VARIABLES = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "LD_LIBRARY_PATH")


class KernelGoneError(Exception):
    """The kernel ended, or was ended.

    Args:
        status: `crashed`, `timed out`, `printed too much` or `wrote too much`.
        why: what the kernel said last, where it did not even start.
        began: whether the code that it was asked to run had begun.
    """

    def __init__(self, status: str, why: str = "", began: bool = True) -> None:
        super().__init__(status)
        self.why, self.began = why, began


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Args:
        seconds: of a notebook in all.
        cell_seconds: of one cell.
        memory: bytes of address space.
        weak: whether to run it also where the system has no Landlock or no seccomp.
    """

    seconds: float = 600.0
    cell_seconds: float = 300.0
    memory: int = 8 * 2**30
    weak: bool = False


@dataclasses.dataclass
class Ran:
    """What came of one cell.

    Args:
        outputs: as in a notebook, cut to size.
        status: `ok`, `error`, `timed out` or `printed too much`.
        values: JSON texts by name, or (name, text) of an error.
    """

    outputs: list[Any]
    status: str = "ok"
    values: dict[str, str | tuple[str, str]] = dataclasses.field(default_factory=dict)


class Kernel:
    """A kernel in a cage of its own; a context manager.

    Args:
        box: a folder for it alone; `work` in it is where the code runs.
        limits: what it may use.
        denied: folders that it must not read, also where Landlock is missing; end with a slash.
        preload: modules to import before new processes are forbidden.
    """

    def __init__(
        self,
        box: Path,
        limits: Limits,
        denied: tuple[str, ...] = (),
        preload: tuple[str, ...] = (),
    ) -> None:
        self.box, self.limits = box, limits
        self.folder = box / "work"
        self._denied, self._preload = denied, preload
        self._clock = _Clock(None)
        self._written = _Written(box)
        self._room = _Room()

    def __enter__(self) -> Kernel:
        from jupyter_client import BlockingKernelClient
        from jupyter_client.connect import write_connection_file

        run = self.box / "run"
        for folder in (run, self.box / "home", self.box / "tmp", self.folder):
            folder.mkdir(exist_ok=True)
        # Sockets of the file system: their names are short, and TCP can be forbidden as a whole.
        file, info = write_connection_file(
            str(run / "kernel.json"),
            transport="ipc",
            ip=str(run / "k"),
            key=os.urandom(32).hex().encode(),
        )
        task = {
            "box": str(self.box),
            "denied": self._denied,
            "preload": self._preload,
            "weak": self.limits.weak,
            "memory": self.limits.memory,
            "seconds": self.limits.seconds,
            "connection_file": file,
        }
        self._errors = run / "errors.txt"
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ppzoo.course.cage"],
                cwd=run,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        with contextlib.suppress(BrokenPipeError), self._process.stdin as said:
            said.write(json.dumps(task).encode())
        self._client = BlockingKernelClient()
        self._client.load_connection_info(info)
        self._client.start_channels(hb=False)
        try:
            self._wait_for_start()
        except KernelGoneError:
            self.__exit__()
            raise
        # What it took to start is not the student's.
        self._clock = _Clock(self._process.pid)
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._client.stop_channels()

    def run(self, code: str, values: dict[str, str] | None = None, silent: bool = False) -> Ran:
        """Run a cell, and return what came of it, with the values of some expressions.

        Raises:
            KernelGoneError: it ended, or had to be ended.
        """
        if self._process.poll() is not None:
            raise KernelGoneError("crashed", began=False)
        if self._clock.is_over(self.limits.seconds):
            self._kill()
            raise KernelGoneError("timed out", began=False)
        cell = _Clock(self._process.pid)
        message = self._client.execute(
            code, store_history=not silent, allow_stdin=False, user_expressions=values or {}
        )
        collected = _Collected(_Room() if silent else self._room)
        ran = Ran(collected.outputs)
        stopped = ""
        last = cell
        while not collected.idle:
            self._collect(message, collected)
            if stopped:
                if last.is_over(_AFTER_INTERRUPT):
                    self._kill()
                    raise KernelGoneError(stopped)
                continue
            late = cell.is_over(self.limits.cell_seconds) or self._clock.is_over(
                self.limits.seconds
            )
            if late or collected.excess:
                # A second chance to go on with the next cell, points already made are kept.
                stopped = collected.excess or "timed out"
                last = _Clock(self._process.pid)
                self._interrupt()
            elif self._written.is_too_much(self._process.pid):
                self._kill()
                raise KernelGoneError("wrote too much")
        with self._understood():
            content = self._reply(message)["content"]
            ran.status = stopped or ("ok" if content.get("status") == "ok" else "error")
            answers = content.get("user_expressions") or {}
            ran.values = {name: _value(entry) for name, entry in answers.items()}
        return ran

    def evaluate(self, expression: str, before: str) -> str:
        """Return the value of an expression as JSON; see `ppzoo.course.checks.Notebook`."""
        ran = self.run(before or "pass", {"value": as_json(expression)}, silent=True)
        for output in ran.outputs:
            if output.get("output_type") == "error":
                raise failed(expression, str(output["ename"]), str(output["evalue"]))
        if ran.status != "ok":
            raise failed(expression, "Error", ran.status)
        value = ran.values.get("value", ("Error", "no answer"))
        if isinstance(value, tuple):
            raise failed(expression, *value)
        return value

    def _environment(self) -> dict[str, str]:
        package = Path(__file__).resolve().parents[2]
        paths = [str(package), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        home, temporary = str(self.box / "home"), str(self.box / "tmp")
        kept = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        return kept | {
            "HOME": home,
            "IPYTHONDIR": home,
            "JUPYTER_CONFIG_DIR": home,
            "MPLCONFIGDIR": home,
            "PPZOO_HOME": home,
            "PYTHONDONTWRITEBYTECODE": "1",
            # What is installed for this user only, whose home the kernel does not have.
            "PYTHONUSERBASE": site.getuserbase(),
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": temporary,
            "JOBLIB_MULTIPROCESSING": "0",  # which scikit-learn would try, and warn
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }

    def _wait_for_start(self) -> None:
        """Wait until both channels speak: jupyter_client's wait takes a slow start for death."""
        end = time.monotonic() + _START
        while time.monotonic() < end:
            self._client.kernel_info()
            with contextlib.suppress(queue.Empty):
                self._client.get_iopub_msg(timeout=0.5)
                self._client.get_shell_msg(timeout=5.0)
                return
            if self._process.poll() is not None:
                break
        text = self._errors.read_bytes()[-300:].decode("utf-8", "replace")
        raise KernelGoneError("crashed", f"the kernel did not start: {text.strip()}")

    def _collect(self, message: str, collected: _Collected) -> None:
        with self._understood():
            try:
                found = self._client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                if self._process.poll() is not None:
                    raise KernelGoneError(self._how_it_ended()) from None
                return
            own = found["parent_header"].get("msg_id") == message
            collected.add(found, own)

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Take a kernel that sends what is no message for one that is gone."""
        try:
            yield
        except KernelGoneError:
            raise
        except Exception as error:  # whatever comes of reading what may be anything
            self._kill()
            raise KernelGoneError("crashed", "the kernel sent what is no message") from error

    def _reply(self, message: str) -> dict[str, Any]:
        clock = _Clock(self._process.pid)
        while True:
            # Also where replies to nothing come without end.
            if clock.is_over(2 * _AFTER_INTERRUPT):
                self._kill()
                raise KernelGoneError("timed out")
            try:
                reply = self._client.get_shell_msg(timeout=0.5)
            except queue.Empty:
                if self._process.poll() is not None:
                    raise KernelGoneError(self._how_it_ended()) from None
                continue
            if reply["parent_header"].get("msg_id") == message:
                return reply

    def _how_it_ended(self) -> str:
        import signal

        return "timed out" if self._process.returncode == -signal.SIGXCPU else "crashed"

    def _interrupt(self) -> None:
        import signal

        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def _kill(self) -> None:
        """End the kernel and all that it may have started."""
        import psutil

        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        self._process.kill()
        self._process.wait()


class _Clock:
    """The time since this was made, without what a process waited for a processor."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._began, self._waited = time.monotonic(), self._waiting()

    def is_over(self, seconds: float) -> bool:
        passed = time.monotonic() - self._began
        if passed <= seconds:
            return False
        # A thread that sleeps does not wait for a processor: only a crowded machine gives time.
        return passed - (self._waiting() - self._waited) > seconds or passed > PATIENCE * seconds

    def _waiting(self) -> float:
        """Return the longest that a thread has waited, in seconds; 0 where the system is silent."""
        longest = 0
        for path in Path(f"/proc/{self._pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                longest = max(longest, int(path.read_text().split()[1]))
        return longest / 1e9


class _Written:
    """Whether a folder holds too much; looked at now and then."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._next = folder, 0.0

    def is_too_much(self, pid: int | None = None) -> bool:
        """Tell whether it does, with the files that a process has open and has removed."""
        if time.monotonic() < self._next:
            return False
        failed: list[OSError] = []
        files, size = _removed(pid, failed)
        for root, _, names in os.walk(self._folder, onerror=failed.append):
            files += 1 + len(names)
            if root.count(os.sep) - str(self._folder).count(os.sep) > MOST_DEPTH:
                return True
            for name in names:
                with contextlib.suppress(OSError):
                    size += os.lstat(os.path.join(root, name)).st_blocks * 512
            if files > MOST_FILES or size > MOST_WRITTEN:
                return True
        # What cannot be looked at may be anything; what is gone meanwhile is fine.
        if any(isinstance(error, PermissionError) for error in failed):
            return True
        self._next = time.monotonic() + 1.0
        return files > MOST_FILES or size > MOST_WRITTEN


def _removed(pid: int | None, failed: list[OSError]) -> tuple[int, int]:
    """Return number and bytes of the files that only a process's descriptors still hold."""
    sizes = {}
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                    sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    except OSError as error:  # of a process that has ended, or of a system without /proc
        failed.append(error)
    return len(sizes), sum(sizes.values())


@dataclasses.dataclass
class _Room:
    """What feedback still has room for."""

    characters: int = KEPT_IN_ALL
    pictures: int = KEPT_PICTURES_IN_ALL


class _Collected:
    """What a cell sends, as outputs of a notebook, no more than feedback needs."""

    def __init__(self, room: _Room) -> None:
        self.outputs: list[Any] = []
        self.idle = False
        self.excess = ""
        self._room, self._seen = room, 0
        self._left = min(KEPT, room.characters)
        self._left_pictures = min(KEPT_PICTURE, room.pictures)

    def add(self, message: dict[str, Any], own: bool) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "status":
            self.idle |= own and content.get("execution_state") == "idle"
            return
        self._seen += _length(content)
        if self._seen > MOST_PRINTED:
            self.excess = "printed too much"
        if own and kind in ("stream", "error", "display_data", "execute_result"):
            self._keep(kind, content)

    def _keep(self, kind: str, content: dict[str, Any]) -> None:
        from nbformat.v4 import new_output

        if kind == "stream":
            text = self._cut(str(content.get("text", "")))
            last = self.outputs[-1] if self.outputs else None
            if last and last["output_type"] == "stream" and last["name"] == content.get("name"):
                last["text"] += text
            elif text:
                self.outputs.append(new_output("stream", name=str(content.get("name")), text=text))
        elif kind == "error":
            lines = self._cut("\n".join(map(str, content.get("traceback", []))))
            self.outputs.append(
                new_output(
                    "error",
                    ename=str(content.get("ename"))[:200],
                    evalue=str(content.get("evalue"))[:2000],
                    traceback=lines.split("\n"),
                )
            )
        else:
            data = self._bundle(content.get("data", {}))
            if data:
                self.outputs.append(new_output("display_data", data=data))

    def _bundle(self, data: dict[str, Any]) -> dict[str, str]:
        """Keep pictures and texts: no HTML and no scripts, which feedback would run."""
        kept = {}
        for kind in _PICTURES:
            value = data.get(kind)
            if isinstance(value, str) and len(value) <= self._left_pictures:
                self._left_pictures -= len(value)
                self._room.pictures -= len(value)
                kept[kind] = value
        if isinstance(data.get("text/plain"), str):
            kept["text/plain"] = self._cut(data["text/plain"])
        return kept

    def _cut(self, text: str) -> str:
        left = self._left
        self._left = max(0, left - len(text))
        self._room.characters -= left - self._left
        if len(text) <= left:
            return text
        return text[:left] + ("\n… cut here · 此后从略 …\n" if left > 0 else "")


def _length(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, dict):
        return sum(_length(value) for value in content.values())
    if isinstance(content, list):
        return sum(_length(value) for value in content)
    return 8


def _value(entry: Any) -> str | tuple[str, str]:
    if not isinstance(entry, dict) or entry.get("status") != "ok":
        entry = entry if isinstance(entry, dict) else {}
        return str(entry.get("ename", "Error"))[:200], str(entry.get("evalue", ""))[:500]
    text = entry.get("data", {}).get("text/plain")
    if not isinstance(text, str) or len(text) > 2 * LONGEST_ANSWER:
        return "ValueError", "the value is too long"
    try:
        # The text is what Python shows for the JSON text.
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return "ValueError", "the value is none that can be judged"
    return value if isinstance(value, str) else ("ValueError", "the value is none")
