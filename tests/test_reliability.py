# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on real machines: kills, signals, full disks, damaged files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ppzoo import cli
from ppzoo.media.image import write_image
from ppzoo.weights import read

from .runs import (
    PLAIN,
    ROOT,
    SMOKE,
    assert_same,
    checkpoint_in,
    clean_environment,
    resumed,
    run_tool,
    state_of,
    tool_command,
    trained,
)

# Stands still in the middle of the second checkpoint: half of it written, or all of it but not
# renamed.
BLOCKING_TOOL = """
import os, sys, time
where = sys.argv.pop(1)
fsync, replace = os.fsync, os.replace
def block(name):
    if "iter_4_checkpoint" in name:
        print("BLOCKED", flush=True)
        time.sleep(600)
def slow_fsync(descriptor):
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    if where == "write" and "iter_4_checkpoint" in name:
        os.truncate(name, os.path.getsize(name) // 2)
        block(name)
    fsync(descriptor)
def slow_replace(source, target):
    if where == "rename":
        block(str(target))
    replace(source, target)
os.fsync, os.replace = slow_fsync, slow_replace
from ppzoo.cli import main_tool
sys.exit(main_tool(sys.argv[1:]))
"""
LIMITED_TOOL = """
import resource, sys
limit = int(sys.argv.pop(1))
from ppzoo.cli import main_tool
import ppzoo.engine.trainer
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(main_tool(sys.argv[1:]))
"""


def options(folder: Path, *more: str) -> list[str]:
    return ["-c", str(SMOKE / "dcgan.yaml"), "-o", *PLAIN, f"output_dir={folder}", *more]


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process in a group of its own, and leave nothing of it behind."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the process ended without {text!r}: {process.stderr.read()}")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("where", ["write", "rename"])
def test_kill_during_the_write_of_a_checkpoint(tmp_path: Path, where: str) -> None:
    command = tool_command(where, *options(tmp_path / "killed"), script=BLOCKING_TOOL)
    with started(command) as process:
        wait_for(process, "BLOCKED")
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    # The weights come first and are whole, too.
    checkpoint = checkpoint_in(tmp_path / "killed")
    assert checkpoint.name == "iter_2_checkpoint.pdparams"
    assert read(checkpoint.with_name("iter_4_weight.pdparams")).keys() == {"netG", "netD"}
    whole = trained("dcgan", tmp_path / "whole")
    second = resumed(checkpoint, "dcgan", tmp_path / "second")
    assert_same(state_of(second), state_of(whole))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, 2), (signal.SIGINT, 0)], ids=["term", "int"]
)
def test_signal_to_all_processes_of_a_run(tmp_path: Path, number: int, workers: int) -> None:
    # As Ctrl-C in a terminal and batch systems send it: the workers that read data get it, too.
    more = ["total_iters=100000", f"dataset.train.num_workers={workers}"]
    with started(tool_command(*options(tmp_path / "first", *more))) as process:
        wait_for(process, "Iter: 2/")
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert "finishing this step, then saving; ask again to stop at once" in err
    assert "Traceback" not in err
    checkpoint = checkpoint_in(tmp_path / "first")
    iteration = read(checkpoint)["epoch"]
    assert checkpoint.name == f"iter_{iteration}_checkpoint.pdparams"
    assert f"stopped at iteration {iteration}; go on with --resume {checkpoint}" in out
    # Only the last steps: it may have come far.
    total = f"total_iters={iteration + 1}"
    second = resumed(checkpoint, "dcgan", tmp_path / "second", total)
    whole = trained("dcgan", tmp_path / "whole", total)
    assert_same(state_of(second), state_of(whole))


@pytest.mark.slow
def test_second_signal_stops_at_once(tmp_path: Path) -> None:
    with started(tool_command(*options(tmp_path, "total_iters=100000"))) as process:
        wait_for(process, "Iter: 2/")
        # Held up between the two, so that no step can end in between.
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGCONT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.endswith("interrupted\n")
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_full_disk(tmp_path: Path) -> None:
    run = trained("dcgan", tmp_path / "whole")
    weights, checkpoint = (
        (run.run_dir / f"iter_4_{kind}.pdparams").stat().st_size
        for kind in ("weight", "checkpoint")
    )
    # The weights fit, the checkpoint does not.
    limit = str((weights + checkpoint) // 2)
    done = run_tool(limit, *options(tmp_path / "full"), script=LIMITED_TOOL)
    (folder,) = (tmp_path / "full").iterdir()
    names = sorted(path.name for path in folder.iterdir())
    assert done.returncode == 2
    assert done.stderr == (
        f"error: cannot write {folder}/iter_2_checkpoint.pdparams: File too large; the file is "
        "larger than this disk or user may have\n"
    )
    assert names == ["config.yaml", "iter_2_weight.pdparams", "log.txt"]
    assert "cannot write" in (folder / "log.txt").read_text()
    read(folder / "iter_2_weight.pdparams")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_log_that_cannot_grow_is_told_once(tmp_path: Path) -> None:
    more = ["log_config.interval=1", "snapshot_config.interval=1000", "total_iters=12"]
    log = (trained("dcgan", tmp_path / "whole").run_dir / "log.txt").stat().st_size
    done = run_tool(str(log), *options(tmp_path / "full", *more), script=LIMITED_TOOL)
    assert done.returncode == 2  # the last snapshot cannot be written either
    assert done.stderr.count("File too large") == 2
    assert done.stderr.count("\n") == 2
    assert "Iter: 12/12" in done.stdout


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for i in range(6):
        write_image(folder / f"{i}.png", np.full([8, 8, 3], 40 * i, np.uint8))
    return folder


def command_with_pictures(tmp_path: Path, folder: Path, workers: int) -> list[str]:
    data = f"dataroot: {folder}, size: 64, batch_size: 2, num_workers: {workers}"
    return [
        *("-c", str(SMOKE / "dcgan.yaml"), "-o", *PLAIN, f"output_dir={tmp_path / 'runs'}"),
        *("model.generator.output_nc=3", "model.discriminator.input_nc=3"),
        f"dataset.train={{name: ImageFolderDataset, {data}}}",
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_picture_ends_the_run_and_leaves_its_snapshots(
    tmp_path: Path,
    pictures: Path,
    capfd: pytest.CaptureFixture[str],
    workers: int,
) -> None:
    command = command_with_pictures(tmp_path, pictures, workers)
    assert cli.main_tool([*command, "total_iters=2"]) == 0
    capfd.readouterr()
    data = (pictures / "3.png").read_bytes()
    (pictures / "3.png").write_bytes(data[: len(data) // 2])
    checkpoint = checkpoint_in(tmp_path / "runs")
    before = checkpoint.read_bytes()
    resume = ["--resume", str(checkpoint)]
    code = cli.main_tool([*command, "total_iters=6", *resume])
    err = capfd.readouterr().err
    assert code == 2
    assert err.count("\n") == 1
    assert str(pictures / "3.png") in err
    assert checkpoint.read_bytes() == before
    # Taken away, as one would: the run goes on.
    (pictures / "3.png").unlink()
    assert cli.main_tool([*command, "total_iters=6", *resume]) == 0
    assert "there are 5 training samples now and there were 6" in capfd.readouterr().out


def test_folders_of_pictures_that_are_not_there(
    tmp_path: Path, pictures: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in (
        (tmp_path / "empty", "is empty"),
        (tmp_path / "missing", "does not exist"),
        (pictures / "0.png", "is a file, not a folder"),
    ):
        assert cli.main_tool(command_with_pictures(tmp_path, folder, 0)) == 2
        err = capfd.readouterr().err
        assert message in err
        assert str(folder) in err
        assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_pictures_of_another_size_than_the_network_makes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main_tool(options(tmp_path / "runs", "dataset.train.size=28")) == 2
    err = capfd.readouterr().err
    assert "[1, 64, 64]" in err
    assert "[1, 28, 28]" in err
    assert err.count("\n") == 1


def test_file_in_the_way_of_the_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert cli.main_tool(options(tmp_path / "file")) == 2
    err = capfd.readouterr().err
    assert f"run folder {tmp_path / 'file'}" in err
    assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_runs_started_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    command = tool_command(*options(tmp_path, "total_iters=1"))
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(started(command)) for _ in range(2)]
        for process in processes:
            _, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
    folders = list(tmp_path.iterdir())
    assert len(folders) == 2
    assert all((folder / "iter_1_checkpoint.pdparams").is_file() for folder in folders)
