# SPDX-License-Identifier: Apache-2.0
"""Downloads go on where they broke off, are verified, and never damage a file."""

import contextlib
import errno
import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from ppzoo import download as module
from ppzoo.download import cache_dir, download, file_sha256
from ppzoo.errors import DataError, UserError

DATA = bytes(range(256)) * 4000  # about a megabyte
SUM = hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `data` at every address; faults are attributes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.etag, self.ranges = DATA, '"v1"', True
        self.status, self.kind, self.extra = {}, "application/octet-stream", {}
        self.cuts = []  # bytes after which the next answers break off
        self.chunked = False
        self.delay = 0.0
        self.stall_at, self.go_on = None, threading.Event()
        self.asked = []  # (path, Range) of every request

    def url(self, path="/file.bin"):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        s, wanted = self.server, self.headers.get("Range")
        s.asked.append((self.path, wanted))
        if self.path in s.status:
            self.send_error(s.status[self.path])
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and s.ranges else None
        if start is not None and start >= len(s.data):
            self.send_error(416)
            return
        self.send_response(200 if start is None else 206)
        body = s.data[start or 0 :]
        if start is not None:
            total = len(s.data)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if s.etag:
            self.send_header("ETag", s.etag)
        if not s.chunked:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", s.kind)
        for name, value in s.extra.items():
            self.send_header(name, value)
        self.end_headers()
        time.sleep(s.delay)
        if s.stall_at:
            self.wfile.write(body[: s.stall_at])
            s.go_on.wait(30)
            return
        self.wfile.write(body[: s.cuts.pop(0)] if s.cuts else body)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.001)
    # What is lost where a connection breaks; the cuts below are multiples of it.
    monkeypatch.setattr(module, "_CHUNK", 100)


def only(path):
    return os.listdir(path.parent) == [path.name]


def break_off(server, path, at=300_000, again=0):
    """Fetch the beginning of the file; each further attempt brings `again` bytes."""
    server.cuts = [at] + [again] * 10
    with pytest.raises(UserError):
        download(server.url(), path)
    server.cuts, server.asked = [], []
    assert Path(f"{path}.part").stat().st_size == at


def test_fetches_once(server, tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    assert download(server.url(), str(path), sha256=SUM.upper()) == path
    assert path.read_bytes() == DATA
    assert only(path)
    download(server.url(), path, sha256=SUM)
    assert len(server.asked) == 1


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("PPZOO_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "ppzoo"


def test_hash(tmp_path):
    (tmp_path / "f").write_bytes(DATA)
    assert file_sha256(tmp_path / "f") == SUM
    with pytest.raises(DataError, match="nothing"):
        file_sha256(tmp_path / "nothing")


class TestResuming:
    def test_a_broken_connection_is_tried_again_from_there(self, server, tmp_path):
        server.cuts = [1000, 500_000, 100]
        path = download(server.url(), tmp_path / "f")
        assert path.read_bytes() == DATA
        assert [asked for _, asked in server.asked] == [
            None,
            "bytes=1000-",
            "bytes=501000-",
            "bytes=501100-",
        ]

    def test_the_next_call_goes_on(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        download(server.url(), path)
        assert path.read_bytes() == DATA
        assert server.asked == [("/file.bin", "bytes=300000-")]
        assert only(path)

    def test_a_changed_file_is_not_glued_together(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        server.data, server.etag = DATA[::-1], '"v2"'
        download(server.url(), path)
        assert path.read_bytes() == DATA[::-1]

    def test_a_file_that_has_become_shorter(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        server.data = DATA[:1000]
        download(server.url(), path)
        assert path.read_bytes() == DATA[:1000]
        assert len(server.asked) == 2

    def test_without_a_validator_it_starts_again(self, server, tmp_path):
        path = tmp_path / "f"
        server.etag = None
        break_off(server, path, again=300_000)
        server.data = DATA[::-1]
        download(server.url(), path)
        assert path.read_bytes() == DATA[::-1]
        assert server.asked == [("/file.bin", None)]

    def test_a_server_without_ranges(self, server, tmp_path):
        path = tmp_path / "f"
        server.ranges = False
        break_off(server, path, again=300_000)
        download(server.url(), path)
        assert path.read_bytes() == DATA

    def test_a_part_that_was_complete_already(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        Path(f"{path}.part").write_bytes(DATA)
        download(server.url(), path, sha256=SUM)
        assert path.read_bytes() == DATA
        assert server.asked == [("/file.bin", f"bytes={len(DATA) - 1}-")]

    def test_a_part_of_unknown_origin_is_not_used(self, server, tmp_path):
        path = tmp_path / "f"
        for note in (None, "{", '{"what": 1}', "[]"):
            Path(f"{path}.part").write_bytes(b"something else")
            if note is not None:
                Path(f"{path}.part.json").write_text(note)
            download(server.url(), path)
            assert path.read_bytes() == DATA
            path.unlink()

    def test_a_damaged_beginning_is_fetched_again(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        Path(f"{path}.part").write_bytes(bytes(300_000))
        download(server.url(), path, sha256=SUM)
        assert path.read_bytes() == DATA
        assert [asked for _, asked in server.asked] == ["bytes=300000-", None]

    def test_another_mirror_goes_on_with_a_verified_file(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        server.status = {"/file.bin": 404}
        mirrors = [server.url("/mirror")]
        download(server.url(), path, sha256=SUM, mirrors=mirrors)
        assert path.read_bytes() == DATA
        assert server.asked[1:] == [("/mirror", "bytes=300000-")]

    def test_another_mirror_starts_again_with_an_unverified_file(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        download(server.url("/mirror"), path)
        assert path.read_bytes() == DATA
        assert server.asked == [("/mirror", None)]

    def test_killed_in_the_middle(self, server, tmp_path):
        path, part = tmp_path / "f", tmp_path / "f.part"
        server.stall_at = 500_000
        script = f"from ppzoo.download import download; download({server.url()!r}, {str(path)!r})"
        process = subprocess.Popen([sys.executable, "-c", script])
        while not part.exists() or part.stat().st_size < 300_000:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        process.wait()
        server.go_on.set()
        server.stall_at, server.asked = None, []
        fetched = part.stat().st_size
        download(server.url(), path)
        assert server.asked == [("/file.bin", f"bytes={fetched}-")]
        assert path.read_bytes() == DATA


class TestFailures:
    """Each is one sentence with address, file and advice."""

    def fails(self, *args, kind=UserError, **kwargs):
        with pytest.raises(kind) as caught:
            download(*args, **kwargs)
        text = str(caught.value)
        assert "\n" not in text
        return text

    def test_not_found(self, server, tmp_path):
        server.status = {"/a": 404, "/b": 403}
        path = tmp_path / "f"
        text = self.fails(server.url("/a"), path, mirrors=[server.url("/b")])
        assert server.url("/a") in text
        assert "404 Not Found" in text
        assert "403 Forbidden" in text
        assert f"put it to {path}" in text
        assert len(server.asked) == 2
        assert not path.exists()

    def test_mirror_helps(self, server, tmp_path):
        server.status = {"/a": 404, "/b": 503}
        mirrors = [server.url("/b"), server.url("/c")]
        path = download(server.url("/a"), tmp_path / "f", mirrors=mirrors)
        assert path.read_bytes() == DATA

    def test_overload_is_tried_again(self, server, tmp_path, monkeypatch):
        server.status = {"/a": 503}
        monkeypatch.setattr(time, "sleep", lambda seconds: server.status.clear())
        assert download(server.url("/a"), tmp_path / "f").read_bytes() == DATA

    def test_silence(self, server, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "_TIMEOUTS", (0.2, 0.05))
        monkeypatch.setattr(module, "_ATTEMPTS", 2)
        server.delay = 0.5
        assert "cannot download f" in self.fails(server.url(), tmp_path / "f")

    def test_no_network(self, tmp_path):
        path = tmp_path / "f"
        text = self.fails("https://example.com/file", path)
        assert "https://example.com/file cannot be reached" in text
        assert "no network?" in text
        assert str(path) in text

    def test_nobody_listens(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        assert "refused" in self.fails(f"http://127.0.0.1:{port}/f", tmp_path / "f")

    def test_wrong_checksum(self, server, tmp_path):
        path = tmp_path / "f"
        other = "0" * 64
        text = self.fails(server.url(), path, sha256=other, kind=DataError)
        assert SUM in text
        assert other in text
        assert not path.exists()
        assert not Path(f"{path}.part").exists()

    def test_wrong_checksum_at_one_address_only(self, server, tmp_path):
        with Server() as second:
            thread = threading.Thread(target=second.serve_forever, args=(0.01,))
            thread.start()
            server.data = DATA[::-1]
            path = download(server.url(), tmp_path / "f", sha256=SUM, mirrors=[second.url()])
            second.shutdown()
            thread.join()
        assert path.read_bytes() == DATA

    def test_an_existing_file_is_never_replaced(self, server, tmp_path):
        path = tmp_path / "f"
        path.write_bytes(b"mine")
        assert download(server.url(), path).read_bytes() == b"mine"
        text = self.fails(server.url(), path, sha256=SUM, kind=DataError)
        assert "move it away" in text
        assert path.read_bytes() == b"mine"
        assert server.asked == []

    def test_login_page(self, server, tmp_path):
        server.kind = "text/html; charset=utf-8"
        assert "login" in self.fails(server.url(), tmp_path / "f")
        assert download(server.url(), tmp_path / "f.html").read_bytes() == DATA

    def test_cut_short_without_a_length(self, server, tmp_path):
        server.chunked, server.cuts = True, [1000]
        # HTTP/1.0 without a length cannot tell; the checksum can.
        path = tmp_path / "f"
        self.fails(server.url(), path, sha256=SUM, kind=DataError)
        assert not path.exists()

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "ftp://host/f", "f", "http://", "http://["]
    )
    def test_other_addresses(self, url, tmp_path):
        assert repr(url) in self.fails(url, tmp_path / "f")
        assert repr(url) in self.fails("http://127.0.0.1:9", tmp_path / "f", mirrors=[url])

    def test_redirected_to_a_file(self, server, tmp_path):
        server.status = {}
        server.extra = {"Location": "file:///etc/hostname"}
        original = Handler.send_response
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Handler, "send_response", lambda self, code: original(self, 302))
            assert "cannot be fetched" in self.fails(server.url(), tmp_path / "f")

    def test_folder_in_the_way(self, server, tmp_path):
        assert "it is a folder" in self.fails(server.url(), tmp_path)

    def test_file_in_the_way_of_the_folder(self, server, tmp_path):
        (tmp_path / "f").write_bytes(b"")
        assert "PPZOO_HOME" in self.fails(server.url(), tmp_path / "f" / "g")

    def test_full_disk_is_noticed_before(self, server, tmp_path, monkeypatch):
        usage = type("Usage", (), {"free": 1000})
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
        text = self.fails(server.url(), tmp_path / "f")
        assert "1.0 MB are to come" in text
        assert "free some space" in text

    def test_full_disk_in_the_middle(self, server, tmp_path):
        script = """
            import resource, signal, sys
            from ppzoo.download import download
            from ppzoo.errors import UserError
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
            try:
                download(sys.argv[1], sys.argv[2])
            except UserError as error:
                sys.exit(f"told: {error}")
        """
        path = tmp_path / "f"
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), server.url(), str(path)],
            capture_output=True,
            text=True,
        )
        assert f"told: cannot write {path}.part: {os.strerror(errno.EFBIG)}" in result.stderr
        assert not path.exists()
        server.asked = []
        download(server.url(), path)  # there is space again
        assert path.read_bytes() == DATA
        assert server.asked[0][1] == "bytes=500000-"


def test_threads_of_several_callers_fetch_once(server, tmp_path):
    server.delay = 0.05
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(download(server.url(), tmp_path / "f")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert (tmp_path / "f").read_bytes() == DATA
    assert len(server.asked) == 1
    assert os.listdir(tmp_path) == ["f"]


def test_processes_fetch_once(server, tmp_path):
    path = tmp_path / "f"
    server.delay = 0.5
    script = f"from ppzoo.download import download; download({server.url()!r}, {str(path)!r})"
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert path.read_bytes() == DATA
    assert len(server.asked) == 1
    assert all(text == "" or "waiting for another process" in text for text in outputs)
    assert os.listdir(tmp_path) == ["f"]


class TestProgress:
    def shown(self, server, tmp_path, monkeypatch, terminal, progress):
        stream = io.StringIO()
        stream.isatty = lambda: terminal
        with contextlib.redirect_stderr(stream):
            download(server.url(), tmp_path / "picture.bin", progress=progress)
        return stream.getvalue()

    def test_on_a_terminal(self, server, tmp_path, monkeypatch):
        text = self.shown(server, tmp_path, monkeypatch, terminal=True, progress=True)
        assert "picture.bin: 100%" in text
        assert "1.02M" in text or "0.98M" in text or "1000k" in text

    def test_elsewhere(self, server, tmp_path, monkeypatch):
        assert self.shown(server, tmp_path, monkeypatch, terminal=False, progress=True) == ""

    def test_not_wanted(self, server, tmp_path, monkeypatch):
        assert self.shown(server, tmp_path, monkeypatch, terminal=True, progress=False) == ""
