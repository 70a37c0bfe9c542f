# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all, and failures are explained."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap

import pytest

from ppzoo.atomic import atomic_write
from ppzoo.errors import UserError


def write(path, data, then=None):
    with atomic_write(path) as file:
        file.write(data)
        if then is not None:
            raise then


def test_new_file_folders_and_nothing_else(tmp_path):
    target = tmp_path / "a" / "b" / "file.bin"
    with atomic_write(target) as file:
        file.write(b"12345")
        file.seek(0)
        assert file.read(2) == b"12"
        assert not target.exists()
    assert target.read_bytes() == b"12345"
    assert os.listdir(target.parent) == ["file.bin"]


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("plain", b"x")
    assert (tmp_path / "plain").read_bytes() == b"x"


def test_exception_keeps_the_old_file_and_removes_the_temporary_one(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(KeyError):
        write(target, b"half of the new", then=KeyError("stop"))
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_keyboard_interrupt_removes_the_temporary_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file", b"half", then=KeyboardInterrupt())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_full_or_failing_disk(tmp_path, code):
    target = tmp_path / "checkpoint"
    target.write_bytes(b"old")
    with pytest.raises(UserError, match="checkpoint") as caught:
        write(target, b"new", then=OSError(code, os.strerror(code)))
    assert os.strerror(code) in str(caught.value)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_file_size_limit_of_the_system(tmp_path):
    script = """
        import resource, signal, sys
        from ppzoo.atomic import atomic_write
        from ppzoo.errors import UserError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with atomic_write(sys.argv[1]) as file:
                file.write(bytes(5000))
        except UserError as error:
            sys.exit(f"told: {error}")
    """
    target = tmp_path / "big"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(target)], capture_output=True, text=True
    )
    assert done.stderr.startswith(f"told: cannot write {target}: ")
    assert os.listdir(tmp_path) == []


def test_fsync_failure_is_told(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(UserError, match="free some space"):
        write(tmp_path / "file", b"x")
    assert os.listdir(tmp_path) == []


def test_unwritable_folder(tmp_path, monkeypatch):
    real_open = os.open

    def refuse(path, flags, *rest):
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)  # root may write anywhere, so a chmod proves nothing
    with pytest.raises(UserError, match=r"cannot write .*report: Permission denied; choose"):
        write(tmp_path / "report", b"x")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(UserError, match="a part of this path is a file"):
        write(tmp_path / "taken" / "file", b"x")
    with pytest.raises(UserError, match="a part of this path is a file"):
        write(tmp_path / "taken" / "deeper" / "file", b"x")


def test_a_folder_or_pipe_in_the_way(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: it is a folder"):
        write(tmp_path / "folder", b"x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: it is a device or pipe"):
        write(tmp_path / "pipe", b"x")


def test_errors_about_other_files_keep_their_meaning(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file") as file:
        file.write((tmp_path / "elsewhere" / "source").read_bytes())


def test_permissions_follow_umask_and_then_stay(tmp_path):
    target = tmp_path / "file"
    previous = os.umask(0o027)
    try:
        write(target, b"1")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    target.chmod(0o600)
    write(target, b"2")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes() == b"2"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"2"


def test_longest_legal_name(tmp_path):
    name = "n" * 255
    write(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(UserError, match="choose a shorter name"):
        write(tmp_path / ("n" * 256), b"x")


def test_sigkill_in_the_middle_leaves_the_old_file(tmp_path):
    script = """
        import os, signal, sys
        from ppzoo.atomic import atomic_write
        with atomic_write(sys.argv[1]) as file:
            file.write(b"new" * 100000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    target = tmp_path / "file"
    target.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(target)])
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    write(target, b"after")
    assert target.read_bytes() == b"after"
