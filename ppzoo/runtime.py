# SPDX-License-Identifier: Apache-2.0
"""The computer that ppzoo runs on: threads, CPU code path, memory, device, seed.

Paddle's CPU build computes on one thread unless told otherwise before it is imported, its bundled
MKL takes a slow path on AMD processors, and glibc hands every large tensor back to the kernel as
soon as it is freed, only to fault it in again page by page. `configure`, which `import ppzoo`
calls, mends all three without touching anything that the user has set, and silences what Paddle
says where nothing is wrong; the environment variable `PPZOO_RUNTIME=off` keeps it from setting
anything. docs/benchmarks.md has the measurements.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import logging
import math
import multiprocessing
import os
import platform
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ppzoo.errors import UserError

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

# Settings of this kind made by the user decide the number of threads; ppzoo then adds none.
_THREAD_VARIABLES = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MKL_PATH_VARIABLES = ("MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS")
_MALLOC_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")

# glibc's names for what mallopt sets, see mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEEP_BLOCKS_BELOW = 1 << 30  # bytes
_OLD_GLIBC_LIMIT = 32 << 20  # bytes; more is refused before glibc 2.35
_HEAP_STEP = 64 << 20  # bytes

# What Paddle warns of where nothing is wrong: Paddle 3 at every import, that compiling C++
# extensions could be faster; Paddle 2 and 3 at the first batch norm that is trained.
_NOISE = ("No ccache found", "When training, we now always track global mean")
_LOG_LEVEL = "GLOG_minloglevel"
_LOG_VARIABLES = (_LOG_LEVEL, "GLOG_v", "GLOG_vmodule")

# How Paddle, Paddle Inference, ONNX Runtime and C++ itself say that there is no memory left, where
# they do not raise a MemoryError.
_NO_MEMORY = ("resourceexhausted", "out of memory", "bad_alloc", "failed to allocate", "bad alloc")


@dataclasses.dataclass(frozen=True)
class RuntimeReport:
    """What `configure` found and did.

    Args:
        processor: the processor's name, "AMD EPYC".
        threads: threads that matrix products will use; None if the user's settings decide.
        fast_amd_path: whether MKL was told to take its AVX2 path on an AMD processor.
        keeps_memory: whether freed tensors stay with the process for the next ones.
        notes: sentences about settings that were left alone, and why.
    """

    processor: str
    threads: int | None = None
    fast_amd_path: bool = False
    keeps_memory: bool = False
    notes: tuple[str, ...] = ()


_report: RuntimeReport | None = None


def configure() -> RuntimeReport:
    """Choose threads, MKL's code path and malloc's manners; call it before Paddle is imported.

    The first call counts, later ones return its report. Environment variables of the user win.
    """
    global _report
    if _report is None:
        _report = _configure()
    return _report


def warn_of_late_zlib() -> None:
    """Warn where Paddle 2 was imported before Python's zlib, which may crash on the first PNG."""
    modules = list(sys.modules)
    zlib, library = sys.modules.get("zlib"), "paddle.base.libpaddle"
    # A zlib that is part of the interpreter has no file, and is not in danger.
    if getattr(zlib, "__file__", None) is None or library not in modules:
        return
    version = getattr(sys.modules.get("paddle"), "__version__", "")
    if version.startswith("2.") and modules.index("zlib") > modules.index(library):
        warnings.warn(
            f"paddlepaddle {version} was imported before ppzoo, and its own zlib stands in for "
            "Python's: pictures and archives may end in a segmentation fault. Write `import ppzoo` "
            "(or ppgan) above `import paddle`",
            RuntimeWarning,
            stacklevel=3,
        )


def describe() -> str:
    """Return one line on the device and the CPU code path: "CPU: AMD EPYC, 2 threads, ..."."""
    report = configure()
    number = threads()
    parts = [report.processor, f"{number} thread{'' if number == 1 else 's'}"]
    if report.fast_amd_path or os.environ.get("MKL_DEBUG_CPU_TYPE") == "5":
        parts.append("MKL AVX2 path")
    if report.keeps_memory:
        parts.append("freed memory kept")
    cpu = "CPU: " + ", ".join(parts)
    if report.notes:
        cpu += f" ({'; '.join(report.notes)})"
    gpu = _gpu_in_use()
    return f"GPU: {gpu}; {cpu}" if gpu else cpu


def select_device(name: str | None = None) -> str:
    """Make Paddle use a device, and return its name as Paddle writes it: `cpu` or `gpu:0`.

    Args:
        name: `cpu`, `gpu`, `gpu:N`, or None for what `paddle.set_device` was told; without that, a
            GPU if there is one, else the CPU.

    Raises:
        UserError: the name is none of these, or there is no such GPU, or this Paddle has no GPU
            support.
    """
    import paddle

    index = _gpu_index(name)
    if index is not None:
        gpus = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
        if name is None:
            index = _index_by_default() if gpus else None
        elif not paddle.is_compiled_with_cuda():
            raise UserError(
                f"device {name!r} was asked for, but this Paddle is built for CPUs only: pip "
                "uninstall paddlepaddle, then install paddlepaddle-gpu (see README.md), or take "
                "--device cpu"
            )
        elif index >= gpus:
            raise UserError(
                f"device {name!r} was asked for, but Paddle sees {gpus} GPU(s), numbered from 0: "
                "check nvidia-smi and CUDA_VISIBLE_DEVICES, or take --device cpu"
            )
    device = "cpu" if index is None else f"gpu:{index}"
    paddle.set_device(device)
    return device


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and Paddle.

    Args:
        seed: any integer from 0; NumPy sees its lowest 32 bits.
    """
    import numpy as np
    import paddle

    random.seed(seed)
    np.random.seed(seed % 2**32)
    paddle.seed(seed)


def end_with_parent() -> None:
    """Wait until the process that started this one is gone, however it ended, and end this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that there is not enough memory, on the CPU or a GPU."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return any(phrase in text for phrase in _NO_MEMORY)


def as_many_as_fit(work: Callable[[int], T], count: int, items: str) -> tuple[T, int]:
    """Return what `work` makes with many items at once, and how many they were in the end.

    They are halved as often as memory does not suffice, down to one.

    Args:
        work: called with how many to take at once.
        count: how many to begin with.
        items: what they are called in the log, "frames".
    """
    while True:
        try:
            return work(count), count
        # Backends have exceptions of their own for this.
        except Exception as error:
            if count == 1 or not is_out_of_memory(error):
                raise
        _LOG.warning(
            "memory does not suffice for %d %s at once, going on with %d", count, items, count // 2
        )
        count //= 2


def threads() -> int:
    """Return the number of threads of matrix products: the user's setting, or what was chosen."""
    return configure().threads or _threads_of_user()


def restore_threads() -> None:
    """Give matrix products their threads back: Paddle Inference leaves a process with one."""
    for function in _thread_setters():
        function(threads())


@functools.cache
def _thread_setters() -> tuple[Callable[[int], Any], ...]:
    """Return the functions of Paddle's own MKL and OpenMP that set the number of threads."""
    import paddle

    found: list[Callable[[int], Any]] = []
    folder = Path(paddle.sysconfig.get_lib())
    for library, name in (
        ("libmklml_intel.so", "MKL_Set_Num_Threads"),
        ("libiomp5.so", "omp_set_num_threads"),
    ):
        with contextlib.suppress(OSError, AttributeError):  # another system, another build
            found.append(getattr(ctypes.CDLL(str(folder / library)), name))
    return tuple(found)


def physical_cores() -> int:
    """Return the number of cores that this process may use, hyper-threads counted once.

    Affinity masks and the CPU quota of a container are respected.
    """
    if hasattr(os, "sched_getaffinity"):
        cpus = os.sched_getaffinity(0)
    else:
        cpus = set(range(os.cpu_count() or 1))
    cores = {_core_of(cpu) for cpu in cpus}
    quota = _container_quota()
    return max(1, len(cores) if quota is None else min(len(cores), math.ceil(quota)))


def _configure() -> RuntimeReport:
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=message)
    processor = _processor_name()
    if os.environ.get("PPZOO_RUNTIME", "").lower() in ("off", "0"):
        return RuntimeReport(processor, notes=("PPZOO_RUNTIME=off: nothing was set",))
    keeps_memory, notes = _keep_freed_memory(), []
    threads, fast_amd_path = None, False
    if "paddle" in sys.modules:
        notes.append("paddle was imported before ppzoo, so threads and MKL path were not set")
    else:
        # Paddle's C++ notes on what it does; warnings and errors stay.
        if not any(os.environ.get(name) for name in _LOG_VARIABLES):
            os.environ[_LOG_LEVEL] = "1"
        user_set = [name for name in _THREAD_VARIABLES if os.environ.get(name)]
        if not user_set:
            processes = max(1, _integer(os.environ.get("PADDLE_TRAINERS_NUM"), 1))
            threads = max(1, physical_cores() // processes)
            # Not OMP_NUM_THREADS: Paddle prints two lines of warning at any value above 1.
            os.environ["MKL_NUM_THREADS"] = str(threads)
            # Threads sleep between products rather than spin, which would keep loaders and other
            # processes off the cores, and then wait for them at the next product.
            os.environ.setdefault("KMP_BLOCKTIME", "0")
        if _is_amd_with_avx2() and not any(os.environ.get(name) for name in _MKL_PATH_VARIABLES):
            os.environ["MKL_DEBUG_CPU_TYPE"] = "5"
            fast_amd_path = True
    return RuntimeReport(processor, threads, fast_amd_path, keeps_memory, tuple(notes))


def _keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks; elsewhere, or where the user has tuned malloc, do nothing.

    A training step frees and allocates the same hundreds of megabytes again. By default each block
    above 32 MiB (or 128 KiB, at first) is unmapped at once, and touching it anew costs more than
    the arithmetic of an activation or a batch norm.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get("LD_PRELOAD"):
        return False
    if any(os.environ.get(name) for name in _MALLOC_VARIABLES):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = mallopt(_M_MMAP_THRESHOLD, _KEEP_BLOCKS_BELOW) or mallopt(
        _M_MMAP_THRESHOLD, _OLD_GLIBC_LIMIT
    )
    return bool(kept and mallopt(_M_TRIM_THRESHOLD, -1) and mallopt(_M_TOP_PAD, _HEAP_STEP))


def _is_amd_with_avx2() -> bool:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if sys.platform == "win32":
        has_avx2 = ctypes.windll.kernel32.IsProcessorFeaturePresent(40)  # PF_AVX2_INSTRUCTIONS
        return "AuthenticAMD" in os.environ.get("PROCESSOR_IDENTIFIER", "") and bool(has_avx2)
    info = _cpuinfo()
    flags = set(info.get("flags", "").split())
    return info.get("vendor_id") == "AuthenticAMD" and {"avx2", "fma"} <= flags


def _cpuinfo(path: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Return the first processor's entries, empty where there is no such file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    entries: dict[str, str] = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        entries[key.strip()] = value.strip()
    return entries


def _processor_name() -> str:
    if sys.platform == "win32":
        import winreg

        try:
            path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
        except OSError:
            return platform.processor() or "unknown processor"
    name = _cpuinfo().get("model name")
    return name or platform.processor() or platform.machine() or "unknown processor"


def _core_of(cpu: int) -> Any:
    """Return what identifies the physical core of a logical processor; itself if unknown."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return path.read_text(encoding="ascii").strip() or cpu
    except OSError:
        return cpu


def _container_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return how many processors' worth of time the container may use, None if unlimited."""
    try:  # version 2
        quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:  # version 1
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        except OSError:
            return None
    if _integer(quota, 0) <= 0 or _integer(period, 0) <= 0:
        return None
    return int(quota) / int(period)


def _threads_of_user() -> int:
    values = (_integer(os.environ.get(name), 0) for name in _THREAD_VARIABLES)
    return next((value for value in values if value > 0), 1)


def _integer(text: str | None, default: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return default


def _gpu_index(name: str | None) -> int | None:
    """Return the GPU that a device name stands for, 0 if it leaves it open, None for the CPU."""
    if name is None or name == "gpu":
        return _index_of_launcher()
    if name == "cpu":
        return None
    kind, _, number = name.partition(":")
    if kind == "gpu" and number.isdecimal():
        return int(number)
    raise UserError(f"device is {name!r}, expected 'cpu', 'gpu' or 'gpu:N', such as 'gpu:0'")


def _index_of_launcher() -> int:
    """Return the GPU that `paddle.distributed.launch` gave this process, else 0."""
    name = "FLAGS_selected_gpus"
    return _integer(os.environ.get(name, "").split(",")[0], 0)


def _index_by_default() -> int | None:
    """Return the GPU that `paddle.set_device` was told, None for the CPU; else the launcher's."""
    import paddle

    kind, _, number = paddle.device.get_device().partition(":")
    # Where there are GPUs, Paddle begins with gpu:0: anything else was chosen.
    return None if kind == "cpu" else _integer(number, 0) or _index_of_launcher()


def _gpu_in_use() -> str | None:
    paddle = sys.modules.get("paddle")
    if paddle is None or not paddle.is_compiled_with_cuda():
        return None
    device = paddle.device.get_device()
    if not device.startswith("gpu"):
        return None
    index = int(device.partition(":")[2] or 0)
    return f"{paddle.device.cuda.get_device_name(index)} ({device})"
