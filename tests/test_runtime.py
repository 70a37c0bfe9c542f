# SPDX-License-Identifier: Apache-2.0
"""Threads, code path, device and seed: set before Paddle is imported, and never over the user."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import paddle
import pytest

import ppzoo
from ppzoo import runtime
from ppzoo.errors import UserError

LOG_LEVEL = "GLOG_minloglevel"
SETTINGS = (
    *("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PADDLE_TRAINERS_NUM"),
    *("KMP_BLOCKTIME", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "PPZOO_RUNTIME"),
    *(LOG_LEVEL, "GLOG_v", "GLOG_vmodule"),
    *("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"),
)


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings, on an AMD machine of 8 cores, before Paddle's import."""
    for name in SETTINGS:
        # Set first, so that what the code under test sets is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "paddle")
    monkeypatch.setattr(runtime, "_is_amd_with_avx2", lambda: True)
    monkeypatch.setattr(runtime, "physical_cores", lambda: 8)
    monkeypatch.setattr(runtime, "_report", None)
    return monkeypatch


def run(code: str, **environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    ).stdout.strip()


def test_threads_and_code_path_are_set(unset: pytest.MonkeyPatch) -> None:
    report = runtime.configure()
    assert os.environ["MKL_NUM_THREADS"] == "8"
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "5"
    assert os.environ["KMP_BLOCKTIME"] == "0"
    assert report.threads == 8
    assert report.fast_amd_path
    assert runtime.configure() is report
    assert runtime.describe().startswith("CPU: ")
    assert ", 8 threads, MKL AVX2 path" in runtime.describe()


def test_paddle_keeps_its_notes_to_itself(unset: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        runtime.configure()
        warnings.warn("No ccache found. Please be aware", stacklevel=1)
        warnings.warn("When training, we now always track global mean and variance.", stacklevel=1)
        warnings.warn("something is wrong", stacklevel=1)
    assert [str(warning.message) for warning in heard] == ["something is wrong"]
    assert os.environ[LOG_LEVEL] == "1"


@pytest.mark.parametrize(("name", "value"), [("GLOG_v", "3"), (LOG_LEVEL, "0")])
def test_who_asks_for_notes_gets_them(unset: pytest.MonkeyPatch, name: str, value: str) -> None:
    unset.setenv(name, value)
    runtime.configure()
    assert os.environ.get(LOG_LEVEL, "0") == "0"


@pytest.mark.parametrize("name", ["MKL_NUM_THREADS", "OMP_NUM_THREADS"])
def test_threads_of_the_user_win(unset: pytest.MonkeyPatch, name: str) -> None:
    unset.setenv(name, "3")
    assert runtime.configure().threads is None
    assert os.environ[name] == "3"
    assert ("MKL_NUM_THREADS" in os.environ) == (name == "MKL_NUM_THREADS")
    assert ", 3 threads" in runtime.describe()


@pytest.mark.parametrize("name", ["MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS"])
def test_code_path_of_the_user_wins(unset: pytest.MonkeyPatch, name: str) -> None:
    unset.setenv(name, "4")
    assert not runtime.configure().fast_amd_path
    assert os.environ[name] == "4"
    assert "MKL AVX2" not in runtime.describe()


def test_other_processors_keep_their_code_path(unset: pytest.MonkeyPatch) -> None:
    unset.setattr(runtime, "_is_amd_with_avx2", lambda: False)
    assert not runtime.configure().fast_amd_path
    assert "MKL_DEBUG_CPU_TYPE" not in os.environ


def test_processes_share_the_cores(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("PADDLE_TRAINERS_NUM", "3")
    assert runtime.configure().threads == 2


def test_more_processes_than_cores_have_one_each(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("PADDLE_TRAINERS_NUM", "9")
    assert runtime.configure().threads == 1


def test_paddle_imported_first_is_told(unset: pytest.MonkeyPatch) -> None:
    unset.setitem(sys.modules, "paddle", paddle)
    report = runtime.configure()
    assert "paddle was imported before ppzoo" in report.notes[0]
    assert "MKL_NUM_THREADS" not in os.environ
    assert report.notes[0] in runtime.describe()


def test_it_can_be_switched_off(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("PPZOO_RUNTIME", "off")
    report = runtime.configure()
    assert (report.threads, report.fast_amd_path, report.keeps_memory) == (None, False, False)
    assert "MKL_NUM_THREADS" not in os.environ
    assert "PPZOO_RUNTIME=off" in runtime.describe()


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_memory_tuned_by_the_user_is_left_alone(unset: pytest.MonkeyPatch, name: str) -> None:
    unset.setenv(name, "1")
    assert not runtime.configure().keeps_memory


def test_without_glibc_memory_is_left_alone(unset: pytest.MonkeyPatch) -> None:
    unset.setattr(runtime.platform, "libc_ver", lambda: ("", ""))
    assert not runtime.configure().keeps_memory


def test_freed_memory_is_used_again_without_page_faults() -> None:
    code = (
        "import {module}, resource\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(4): b'x' * 2**26\n"
        "before = faults()\n"
        "for _ in range(4): b'x' * 2**26\n"
        "print(faults() - before)"
    )
    every_page = 4 * 2**26 // 4096
    untouched = int(run(code.format(module="zlib")))
    configured = int(run(code.format(module="ppzoo")))
    if runtime.platform.libc_ver()[0] == "glibc":
        assert (configured, untouched) == (
            pytest.approx(0, abs=500),
            pytest.approx(every_page, 0.1),
        )
    else:
        assert configured <= untouched + 500


def test_import_of_the_package_sets_what_paddle_will_see() -> None:
    code = "import ppzoo, os, sys; print(os.environ['MKL_NUM_THREADS'], 'paddle' in sys.modules)"
    assert run(code) == f"{runtime.physical_cores()} False"


def test_names_of_the_package() -> None:
    assert "DCGANModel" in ppzoo.list_models()
    assert {"Trainer", "load_config", "build_model", "list_models"} <= set(dir(ppzoo))
    assert ppzoo.load_config.__module__.startswith("ppzoo.config")
    with pytest.raises(AttributeError, match="no attribute 'Trainerr'"):
        ppzoo.Trainerr  # noqa: B018


def test_cores_are_counted_once_and_within_the_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(runtime, "_core_of", lambda cpu: cpu // 2)
    monkeypatch.setattr(runtime, "_container_quota", lambda: None)
    assert runtime.physical_cores() == 4
    monkeypatch.setattr(runtime, "_container_quota", lambda: 2.5)
    assert runtime.physical_cores() == 3
    monkeypatch.setattr(runtime, "_container_quota", lambda: 0.2)
    assert runtime.physical_cores() == 1


def test_container_quota(tmp_path: Path) -> None:
    assert runtime._container_quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert runtime._container_quota(tmp_path) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    assert runtime._container_quota(tmp_path) == 3.0
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert runtime._container_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert runtime._container_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("AuthenticAMD", "sse avx2 fma", True),
        ("AuthenticAMD", "sse avx", False),
        ("GenuineIntel", "sse avx2 fma avx512f", False),
    ],
)
def test_fast_path_is_for_amd_processors_with_the_instructions(
    monkeypatch: pytest.MonkeyPatch, vendor: str, flags: str, fast: bool
) -> None:
    monkeypatch.setattr(runtime.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(runtime.sys, "platform", "linux")
    monkeypatch.setattr(runtime, "_cpuinfo", lambda: {"vendor_id": vendor, "flags": flags})
    assert runtime._is_amd_with_avx2() is fast


def test_other_architectures_have_no_mkl_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.platform, "machine", lambda: "arm64")
    assert not runtime._is_amd_with_avx2()


def test_cpuinfo_is_that_of_the_first_processor(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: A: b\n\nprocessor\t: 1\nmodel name\t: C\n")
    assert runtime._cpuinfo(path) == {"processor": "0", "model name": "A: b"}
    assert runtime._cpuinfo(tmp_path / "missing") == {}


def test_cpu_can_be_chosen() -> None:
    assert runtime.select_device("cpu") == "cpu"
    assert paddle.device.get_device() == "cpu"


@pytest.mark.parametrize("name", ["tpu", "gpu:", "gpu:one", "gpu:-1", "", "cuda"])
def test_unknown_device(name: str) -> None:
    with pytest.raises(UserError, match=f"device is '{name}', expected 'cpu', 'gpu' or 'gpu:N'"):
        runtime.select_device(name)


def test_gpu_without_support_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: False)
    assert runtime.select_device(None) == "cpu"
    with pytest.raises(UserError, match="'gpu' was asked for, but this Paddle is built for CPUs"):
        runtime.select_device("gpu")


def test_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle, "set_device", chosen.append)
    monkeypatch.setattr(paddle.device, "get_device", lambda: "gpu:0")
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 2)
    assert runtime.select_device("gpu:1") == "gpu:1"
    assert runtime.select_device(None) == "gpu:0"
    monkeypatch.setenv("FLAGS_selected_gpus", "1")
    assert runtime.select_device(None) == "gpu:1"
    with pytest.raises(UserError, match=r"'gpu:2' was asked for, but Paddle sees 2 GPU\(s\)"):
        runtime.select_device("gpu:2")
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 0)
    assert runtime.select_device(None) == "cpu"
    assert chosen == ["gpu:1", "gpu:0", "gpu:1", "cpu"]


@pytest.mark.parametrize("device", ["cpu", "gpu:1"])
def test_what_paddle_was_told_stands(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """Scripts for PaddleGAN call `paddle.set_device` before they build a predictor."""
    now = ["gpu:0"]
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle, "set_device", lambda name: now.__setitem__(0, name))
    monkeypatch.setattr(paddle.device, "get_device", lambda: now[0])
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 2)
    assert runtime.select_device(None) == "gpu:0"
    paddle.set_device(device)
    assert runtime.select_device(None) == device
    assert now == [device]


@pytest.mark.parametrize(
    ("version", "order", "file", "warned"),
    [
        ("2.6.2", ["paddle", "paddle.base.libpaddle", "zlib"], "zlib.so", True),
        ("2.6.2", ["zlib", "paddle", "paddle.base.libpaddle"], "zlib.so", False),
        ("2.6.2", ["paddle", "paddle.base.libpaddle", "zlib"], None, False),
        ("3.3.1", ["paddle", "paddle.base.libpaddle", "zlib"], "zlib.so", False),
        ("2.6.2", ["zlib"], "zlib.so", False),
    ],
)
def test_paddle_before_zlib(
    monkeypatch: pytest.MonkeyPatch, version: str, order: list[str], file: str | None, warned: bool
) -> None:
    contents = {
        "paddle": types.SimpleNamespace(__version__=version),
        "zlib": types.SimpleNamespace(__file__=file),
    }
    fake = types.SimpleNamespace(modules={name: contents.get(name) for name in order})
    monkeypatch.setattr(runtime, "sys", fake)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        runtime.warn_of_late_zlib()
    assert ["above `import paddle`" in str(each.message) for each in found] == [True] * warned


def test_a_seed_repeats_all_draws() -> None:
    def draws() -> tuple[float, float, float]:
        runtime.seed_everything(2**32 + 7)
        return random.random(), float(np.random.rand()), paddle.rand([1]).item()

    state = random.getstate(), np.random.get_state()
    assert draws() == draws()
    random.setstate(state[0])
    np.random.set_state(state[1])


@pytest.mark.parametrize("number", ["1", "3"])
def test_threads_are_the_users_where_there_is_a_setting(number: str) -> None:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MKL_", "OMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", "from ppzoo import runtime; print(runtime.threads())"],
        env=plain | {"OMP_NUM_THREADS": number},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == number


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="pytest runs without workers")
def test_workers_of_pytest_compute_on_one_thread_each() -> None:
    # In processes started by them, too: results are compared with theirs bit for bit.
    assert runtime.threads() == 1
    assert os.environ["MKL_NUM_THREADS"] == os.environ["OMP_NUM_THREADS"] == "1"


def test_threads_can_be_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(runtime, "_thread_setters", lambda: (given.append,))
    runtime.restore_threads()
    assert given == [runtime.threads()]


def test_paddle_out_of_memory_is_recognised() -> None:
    # 4 PB: more than any machine has.
    with pytest.raises(Exception, match=r".") as caught:
        paddle.ones([1 << 25, 1 << 25]).numpy()
    assert runtime.is_out_of_memory(caught.value)
    assert runtime.is_out_of_memory(
        RuntimeError("[ONNXRuntimeError] : Failed to allocate memory for 8")
    )
    assert not runtime.is_out_of_memory(RuntimeError("another shape"))


def test_as_many_items_are_taken_as_memory_suffices_for(caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def work(count: int) -> str:
        tried.append(count)
        if count > 2:
            raise MemoryError
        return "done"

    assert runtime.as_many_as_fit(work, 11, "pictures") == ("done", 2)
    assert tried == [11, 5, 2]
    assert "for 11 pictures at once, going on with 5" in caplog.text
    with pytest.raises(MemoryError):
        runtime.as_many_as_fit(lambda count: work(3), 4, "pictures")
    with pytest.raises(ZeroDivisionError):
        runtime.as_many_as_fit(lambda count: count // 0, 4, "pictures")


def test_the_phrases_are_lower_case() -> None:
    assert all(phrase == phrase.lower() for phrase in runtime._NO_MEMORY)
