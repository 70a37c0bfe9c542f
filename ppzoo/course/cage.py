# SPDX-License-Identifier: Apache-2.0
"""The process in which a student's notebook runs: a Jupyter kernel that gave up what it can.

Limits of memory, processor time and file sizes; by Landlock, no files but Python's own and its
folder's; by seccomp, no new processes, no sockets, no signals to others; none of the superuser's
privileges; and by an audit hook of Python's, which works everywhere but binds Python code only, the
same with messages that say why. Not a sandbox against somebody who attacks the machine: see
docs/course/grading.md.
"""

from __future__ import annotations

import collections
import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ppzoo.course import landlock, seccomp
from ppzoo.errors import UserError

_PR_SET_PDEATHSIG = 1
_CAPABILITIES_OF_64_BITS = 0x20080522  # version of capset's header
_LARGEST_FILE = 512 * 2**20
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/opt", "/nix/store")
# What libraries look up; /etc as a whole holds secrets.
_SETTINGS = tuple(
    f"/etc/{name}"
    for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "passwd",
                 "group", "nsswitch.conf", "fonts", "mime.types", "os-release", "alternatives",
                 "ssl/openssl.cnf", "OpenCL")
)  # fmt: skip
# Of other processes, /proc shows what they were told, in their environment, and what they read.
_STATISTICS = tuple(
    f"/proc/{name}"
    for name in ("cgroups", "cpuinfo", "devices", "driver", "filesystems", "loadavg", "meminfo",
                 "modules", "stat", "sys", "uptime", "version", "vmstat")
)  # fmt: skip
_SYSTEM_LISTS = ("/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_MOST_PRINTED = 4 * 2**20  # characters of a cell; the judge stops those that get round this
_TOO_MUCH = "a cell may print at most four million characters · 单元格最多输出四百万字符"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NO_PROCESSES = "a submission may not start or end other processes · 作业代码不能启动或结束其他进程"
_NO_NETWORK = "a submission may not use the network · 作业代码不能访问网络"
_NO_FILE = "a submission may not open this file · 作业代码不能打开此文件"
_PROCESSES = {
    "os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.posix_spawn", "os.spawn",
    "os.system", "pty.spawn", "signal.pthread_kill", "subprocess.Popen",
}  # fmt: skip
_NETWORK = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"}
_PATHS = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink",
          "os.chmod", "os.chown", "shutil.rmtree", "os.utime"}  # fmt: skip


def main() -> None:
    """Become a kernel, confined by what standard input says.

    Not by arguments, which the student's code could read: they name the folder of submissions.
    """
    _confined(json.loads(sys.stdin.read())).start()


def _confined(task: dict[str, Any]) -> Any:
    """Confine this process, and return its kernel.

    Args:
        task: `box`, the folder that may be written to, with `work` in it; `denied`, folders
            that hold what is nobody's business; `memory` in bytes, `seconds`, `connection_file`;
            `preload`, modules to import first, since their import starts processes, as Paddle's;
            `weak`, whether to go on where the system has no Landlock or no seccomp.
    """
    lacking = missing_isolation()
    if lacking and not task["weak"]:
        raise SystemExit(f"{lacking}: this must be allowed")
    box = Path(task["box"]).resolve()
    end_with_parent()
    _limit(task["memory"], task["seconds"])
    # Imported before anything is forbidden, and before the student's folder is on the path.
    from ipykernel.kernelapp import IPKernelApp

    check_unreadable(task["denied"], sys.path)
    # Before there are threads, each of which would keep its own.
    drop_capabilities()
    own = {box: landlock.EVERYTHING, Path(f"/proc/{os.getpid()}"): landlock.READ}
    confined = bool(landlock.confine(_allowed(sys.path) | own))
    for module in task["preload"]:
        importlib.import_module(module)
    _limit_output()
    os.chdir(box / "work")
    kernel = IPKernelApp.instance()
    kernel.initialize(
        [
            "-f",
            task["connection_file"],
            "--HistoryManager.enabled=False",
            "--IPKernelApp.parent_handle=0",
        ]
    )
    # Last, since no socket can be made after it.
    confined = seccomp.confine() and confined
    # Where the system forbids to read them, their names are nobody's business either.
    sys.addaudithook(_guard(str(box), () if confined else tuple(task["denied"])))
    return kernel


def missing_isolation() -> str:
    """Return what this system lacks of what keeps compiled code in bounds, empty for nothing."""
    lacks = []
    if not landlock.version():
        lacks.append("Landlock (Linux 5.13 and later)")
    if not seccomp.available():
        lacks.append("seccomp (Linux on x86_64 and aarch64)")
    return f"this system has no {' and no '.join(lacks)}" if lacks else ""


def check_unreadable(places: Iterable[str], paths: Iterable[str]) -> None:
    """Make sure that submissions cannot read some folders: Landlock cannot take them out of others.

    Args:
        places: the folders.
        paths: where the submissions' Python finds modules.

    Raises:
        UserError: one lies in a folder that Python needs, such as /usr.
    """
    for folder, rights in _allowed(paths).items():
        for place in places:
            if rights & landlock.READ_FILE and Path(place).is_relative_to(folder):
                raise UserError(
                    f"{place} lies in {folder}, which every submission may read: put homework, "
                    "submissions and output elsewhere, as in your home"
                )


def _allowed(paths: Iterable[str]) -> dict[Path, int]:
    allowed = {
        Path(name): landlock.READ for name in (*_SYSTEM, *_SETTINGS, *_STATISTICS, *_SYSTEM_LISTS)
    }
    allowed |= {Path(name): landlock.READ | landlock.WRITE_FILE for name in _DEVICES}
    package = Path(__file__).resolve().parents[1]
    for name in {sys.prefix, sys.base_prefix, sys.exec_prefix, *filter(None, paths)}:
        place = Path(name).resolve()
        # A clone of the repository holds the homework's solutions beside the package.
        is_clone = place == package.parent and not place.name.endswith("-packages")
        allowed[place] = landlock.LIST if is_clone else landlock.READ
    allowed[package] = landlock.READ
    return allowed


def _guard(box: str, denied: tuple[str, ...]) -> Callable[[str, tuple], None]:
    """Return an audit hook; what it refuses raises `PermissionError` in the student's code."""
    writable = (box + os.sep, *(_DEVICES))

    def within(path: Any, folders: tuple[str, ...]) -> bool:
        real = os.path.realpath(os.fsdecode(path))
        return any(real == folder.rstrip(os.sep) or real.startswith(folder) for folder in folders)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if not isinstance(path, str | bytes):
                return
            writes = isinstance(flags, int) and flags & _WRITING
            if (writes and not within(path, writable)) or (denied and within(path, denied)):
                raise PermissionError(f"{_NO_FILE}: {os.fsdecode(path)}")
        elif event in _PROCESSES:
            raise PermissionError(_NO_PROCESSES)
        elif event in _NETWORK:
            raise PermissionError(_NO_NETWORK)
        elif event in _PATHS:
            for path in args:
                if isinstance(path, str | bytes) and not within(path, writable):
                    raise PermissionError(f"{_NO_FILE}: {os.fsdecode(path)}")

    return hook


def _limit_output() -> None:
    """Let a cell that prints without end fail at once, rather than drown the judge."""
    from ipykernel.iostream import OutStream

    write = OutStream.write
    printed: collections.Counter[str] = collections.Counter()

    def limited(self: Any, text: str) -> int | None:
        message = str((self.parent_header or {}).get("msg_id"))
        if isinstance(text, str):
            printed[message] += len(text)
        if printed[message] > _MOST_PRINTED:
            raise RuntimeError(_TOO_MUCH)
        return write(self, text)

    OutStream.write = limited


def _limit(memory: int, seconds: float) -> None:
    import resource  # Windows has none

    cores = os.cpu_count() or 1
    # The judge measures the time; this is for the case that the judge is gone.
    cpu = int(seconds * cores) + 30
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        limit(kind, value, for_good=True)
    # A file that grows too large is an error in the student's code, and not the kernel's end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def limit(kind: int, value: int, for_good: bool = False) -> None:
    """Set a limit of this process, no higher than it may be.

    Args:
        kind: one of `resource.RLIMIT_...`.
        value: in the limit's unit.
        for_good: forbid to raise it again.

    Raises:
        OSError: Linux refuses; of other systems, some do not have every limit.
    """
    import resource  # Windows has none

    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    try:
        resource.setrlimit(kind, (value, value if for_good else most))
    except (OSError, ValueError):
        if sys.platform == "linux":
            raise


def drop_capabilities() -> None:
    """Give up what the superuser may do beyond others, as one is in containers; this thread only.

    Raises:
        OSError: the system refuses.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_OF_64_BITS, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")


def end_with_parent() -> None:
    """Have the system end this process when the one that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
