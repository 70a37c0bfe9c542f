# SPDX-License-Identifier: Apache-2.0
"""Official weights from a server to the disk, as predictors ask for them."""

import hashlib
import os
import subprocess
import sys

import pytest

from ppzoo import download as downloads
from ppzoo.errors import WeightsError
from ppzoo.weights import manifest
from ppzoo.weights.manifest import OFFICIAL, WeightsFile, find_weights

from ..server import DATA, SUM, serving

NAME = "s3fd_paddle.pdparams"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
    return tmp_path / "weights"


@pytest.fixture
def server(home, monkeypatch):
    monkeypatch.setattr(downloads, "_PAUSE", 0.001)
    monkeypatch.setattr(downloads, "_CHUNK", 100)
    with serving() as running:
        monkeypatch.setattr(manifest, "BASE_URL", running.url(""))
        yield running


def test_fetched_once_and_noted(server, home):
    assert find_weights("s3fd") == home / NAME
    assert find_weights("s3fd").read_bytes() == DATA
    assert [path for path, _ in server.asked] == [f"/models/{NAME}"]
    assert sorted(os.listdir(home)) == [NAME, f"{NAME}.sha256"]
    assert (home / f"{NAME}.sha256").read_text() == f"{SUM}  {NAME}\n"


def test_goes_on_after_a_cut(server, home):
    server.cuts = [1000, 500_000]
    assert find_weights("s3fd").read_bytes() == DATA
    assert [asked for _, asked in server.asked] == [None, "bytes=1000-", "bytes=501000-"]


def test_the_next_call_goes_on(server, home):
    server.cuts = [300_000] + [0] * 10
    with pytest.raises(WeightsError, match="breaks off after 300000 bytes"):
        find_weights("s3fd")
    assert not (home / f"{NAME}.sha256").exists()
    server.cuts, server.asked = [], []
    assert find_weights("s3fd").read_bytes() == DATA
    assert server.asked == [(f"/models/{NAME}", "bytes=300000-")]


def test_not_there(server, home):
    server.status = {f"/models/{NAME}": 404}
    with pytest.raises(WeightsError) as caught:
        find_weights("s3fd")
    text = str(caught.value)
    assert "404 Not Found" in text
    assert f"put it to {home / NAME}" in text
    assert "\n" not in text


def test_a_login_page_is_no_weights(server, home):
    server.kind = "text/html"
    with pytest.raises(WeightsError, match="does the network ask for a login"):
        find_weights("s3fd")
    assert not (home / NAME).exists()


def test_another_file_than_known(server, home, monkeypatch):
    known = hashlib.sha256(b"the right one").hexdigest()
    entry = WeightsFile("known", "/models/known.pdparams", sha256=known)
    monkeypatch.setitem(OFFICIAL, "known", entry)
    with pytest.raises(WeightsError, match=f"gives another file .SHA-256 {SUM}, not {known}"):
        find_weights("known")
    assert os.listdir(home) == [".known.pdparams.lock"]
    server.data = b"the right one"
    assert find_weights("known").read_bytes() == b"the right one"


def test_changed_on_the_disk_after_the_download(server, home):
    path = find_weights("s3fd")
    path.write_bytes(DATA[::-1])
    with pytest.raises(WeightsError, match="not what it was at its first use"):
        find_weights("s3fd")
    assert len(server.asked) == 1


def test_full_disk(server, home, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match=r"the disk of .* has 0\.0 MB left; free some space"):
        find_weights("s3fd")
    assert not (home / NAME).exists()


def test_a_proxy_that_is_not_there(home, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="through the proxy that the environment"):
        find_weights("s3fd")


def test_a_cache_that_cannot_be_written(server, home):
    home.write_bytes(b"a file in the way")
    with pytest.raises(WeightsError, match=r"choose another folder \(PPZOO_HOME"):
        find_weights("s3fd")
    assert home.read_bytes() == b"a file in the way"


def test_two_processes_fetch_once(server, home):
    server.delay = 0.5
    script = (
        "from ppzoo.weights import manifest\n"
        f"manifest.BASE_URL = {server.url('')!r}\n"
        "print(manifest.find_weights('s3fd'))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in processes] == [str(home / NAME)] * 2
    assert [process.returncode for process in processes] == [0, 0]
    assert len(server.asked) == 1
    assert sorted(os.listdir(home)) == [NAME, f"{NAME}.sha256"]
