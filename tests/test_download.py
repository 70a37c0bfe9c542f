# SPDX-License-Identifier: Apache-2.0
"""Downloads go on where they broke off, are verified, and never damage a file."""

import contextlib
import errno
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from ppzoo import download as module
from ppzoo.download import cache_dir, download, file_sha256
from ppzoo.errors import DataError, UserError

from .server import DATA, SUM, answering, serving

COUNT = int(os.environ.get("PPZOO_FUZZ", "0"))


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def https(monkeypatch):
    """Answer for https, too, on the servers of these tests; its certificates are Requests' part."""
    send = HTTPAdapter.send

    def send_plainly(self, request, **options):
        address = request.url
        request.url = address.replace("https:", "http:")
        response = send(self, request, **options)
        request.url = response.url = address
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send_plainly)


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


def download_to_a_full_disk(server, path):
    """Fetch the file in a process that can write files of 500 000 bytes."""
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
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), server.url(), str(path)],
        capture_output=True,
        text=True,
    )
    assert f"told: cannot write {path}.part: {os.strerror(errno.EFBIG)}" in result.stderr


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
        for note in (
            None,
            "{",
            '{"what": 1}',
            "[]",
            "[" * 100_000,
            '{"url": "x", "size": "9", "etag": "v1", "modified": null}',
            '{"url": "x", "size": true, "etag": "v1", "modified": null}',
            '{"url": 5, "size": 9, "etag": "v1", "modified": null}',
            '{"url": "x", "size": 9, "etag": [], "modified": null}',
        ):
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
        with serving() as second:
            server.data = DATA[::-1]
            path = download(server.url(), tmp_path / "f", sha256=SUM, mirrors=[second.url()])
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

    @pytest.mark.parametrize(
        "place", ["file:///etc/hostname", "ftp://127.0.0.1/f", "http://[", "http://.a..b", "//:x"]
    )
    def test_redirected_to_what_is_no_address(self, server, tmp_path, place):
        server.elsewhere = {"/file.bin": place}
        assert "cannot be fetched" in self.fails(server.url(), tmp_path / "f")

    def test_redirected_in_circles(self, server, tmp_path):
        server.elsewhere = {"/file.bin": "/b", "/b": "/file.bin"}
        assert "Exceeded 30 redirects" in self.fails(server.url(), tmp_path / "f")
        server.elsewhere = {"/file.bin": "/b"}
        assert download(server.url(), tmp_path / "f").read_bytes() == DATA

    def test_redirected_from_https_to_http(self, server, tmp_path, https):
        address = server.url("/b").replace("http", "https")
        server.elsewhere = {"/file.bin": server.url("/plain"), "/c": address}
        start = server.url().replace("http", "https")
        assert "redirects from https to http" in self.fails(start, tmp_path / "f")
        assert os.listdir(tmp_path) == [".f.lock"]
        # Nothing is lost on the way from http to https.
        assert download(server.url("/c"), tmp_path / "f").read_bytes() == DATA

    def test_no_certificate(self, server, tmp_path):
        address = server.url().replace("http", "https")
        assert "has no valid certificate" in self.fails(address, tmp_path / "f")

    @pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
    def test_a_proxy_that_is_not_there(self, tmp_path, monkeypatch, variable):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        text = self.fails("http://example.com/f", tmp_path / "f")
        assert "through the proxy" in text
        assert "Connection refused" in text

    @pytest.mark.parametrize("proxy", ["http://[", "nonsense://x", "http://.a..b:1"])
    def test_a_proxy_that_is_no_address(self, tmp_path, monkeypatch, proxy):
        monkeypatch.setenv("http_proxy", proxy)
        assert "cannot be fetched" in self.fails("http://example.com/f", tmp_path / "f")

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
        path = tmp_path / "f"
        download_to_a_full_disk(server, path)
        assert not path.exists()
        server.asked = []
        download(server.url(), path)  # there is space again
        assert path.read_bytes() == DATA
        assert server.asked[0][1] == "bytes=500000-"


class TestLyingServers:
    """What a server says of itself is not believed without need."""

    def answered(self, tmp_path, head, body=b"abc"):
        """Return what is fetched, or the one sentence that says why nothing is."""
        data = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body
        with answering(data) as address:
            return self.fetched(tmp_path, address)

    def fetched(self, tmp_path, address):
        path = tmp_path / "f"
        path.unlink(missing_ok=True)
        try:
            return download(address, path).read_bytes()
        except UserError as error:
            text = str(error)
        assert not path.exists()
        assert text.isprintable()
        return text

    def test_more_than_announced(self, tmp_path):
        assert self.answered(tmp_path, b"Content-Length: 3", b"abcdef") == b"abc"

    def test_less_than_announced(self, tmp_path):
        assert "breaks off after" in self.answered(tmp_path, b"Content-Length: 9")

    def test_more_than_any_disk(self, tmp_path):
        text = self.answered(tmp_path, b"Content-Length: 99999999999999999999")
        assert "are to come and the disk of" in text

    @pytest.mark.parametrize("length", [b"\xb2", b"9" * 5000, b"-3", b"+3", b"three"])
    def test_lengths_that_are_no_numbers(self, tmp_path, length):
        assert self.answered(tmp_path, b"Content-Length: " + length) == b"abc"

    def test_two_lengths(self, tmp_path):
        assert "3, 5" in self.answered(tmp_path, b"Content-Length: 3\r\nContent-Length: 5")

    def test_damaged_pieces(self, tmp_path):
        for body in (b"zz\r\nabc", b"f" * 5000 + b"\r\nabc", b"-3\r\nabc", b"3\r\nabc"):
            text = self.answered(tmp_path, b"Transfer-Encoding: chunked", body)
            assert "breaks off" in text or "cannot be fetched" in text
            # What cannot be continued would fill the disk in vain.
            assert os.listdir(tmp_path) == [".f.lock"]

    def test_not_compressed_as_it_says(self, tmp_path):
        assert "cannot be fetched" in self.answered(tmp_path, b"Content-Encoding: gzip")

    def test_ranges_of_numbers_beyond_all_bounds(self, server, tmp_path):
        path = tmp_path / "f"
        break_off(server, path)
        server.ranges = False
        server.extra = {"Content-Range": "bytes 300000-" + "9" * 5000 + "/" + "9" * 5000}
        assert download(server.url(), path).read_bytes() == DATA

    def test_words_that_act_on_terminals(self, tmp_path):
        with answering(b"HTTP/1.1 404 \x1b[31mred\x1b]0;title\x07\r\n\r\n") as address:
            assert "404 ?[31mred" in self.fetched(tmp_path, address)
        with answering(b"HTTP/1.1 \x1b[31m\r\n") as address:
            assert "?[31m" in self.fetched(tmp_path, address)

    def test_pieces_that_arrive_slowly(self, server, tmp_path, monkeypatch):
        server.drip = (100_000, 0.01)
        assert download(server.url(), tmp_path / "f").read_bytes() == DATA
        # Slower than the patience between two pieces: it goes on from what has come.
        monkeypatch.setattr(module, "_TIMEOUTS", (1, 0.05))
        server.data, server.drip, server.asked = DATA[:5000], (1000, 0.15), []
        assert download(server.url(), tmp_path / "g").read_bytes() == DATA[:5000]
        assert len(server.asked) > 2

    def test_endless_files_leave_nothing_on_a_full_disk(self, server, tmp_path):
        server.chunked = True
        path = tmp_path / "f"
        download_to_a_full_disk(server, path)
        assert os.listdir(tmp_path) == [".f.lock"]

    @settings(
        max_examples=COUNT or 80,
        deadline=None,
        derandomize=not COUNT,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(data=st.data())
    def test_any_answer_gives_the_file_or_one_sentence(self, tmp_path, data):
        answer = bytearray(data.draw(st.sampled_from(ANSWERS)))
        for _ in range(data.draw(st.integers(0, 3))):
            start = data.draw(st.integers(0, len(answer)))
            end = start + data.draw(st.integers(0, 6))
            answer[start:end] = data.draw(st.binary(max_size=6) | st.sampled_from(WORDS))
        with answering(bytes(answer)) as address, pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_ATTEMPTS", 1)
            self.fetched(tmp_path, address)
        assert set(os.listdir(tmp_path)) <= {"f", "f.part", "f.part.json", ".f.lock"}


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/3\r\n\r\nbc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/f\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
]
WORDS = [
    *(b"\r\n", b"\r\n\r\n", b":", b"0", b"9" * 30, b"9" * 5000, b"-", b"\xff", b"\xb2", b"["),
    *(b"Content-Length: ", b"Content-Encoding: gzip\r\n", b"Content-Range: bytes ", b"\x1b[31m"),
    *(b"Location: http://[\r\n", b"Location: file:///etc/hostname\r\n", b"301", b"416", b"503"),
]


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
        assert "0.98M/0.98M" in text  # 1 024 000 bytes

    def test_elsewhere(self, server, tmp_path, monkeypatch):
        assert self.shown(server, tmp_path, monkeypatch, terminal=False, progress=True) == ""

    def test_not_wanted(self, server, tmp_path, monkeypatch):
        assert self.shown(server, tmp_path, monkeypatch, terminal=True, progress=False) == ""
