# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's `get_path_from_url`, from a server to the disk."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ppgan.utils.download import get_path_from_url
from ppgan.utils.filesystem import load
from ppzoo import download as downloads
from ppzoo.errors import DataError, UserError
from ppzoo.weights import write_pdparams

from ..server import DATA, serving
from ..weights.mutants import zipped


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "_PAUSE", 0.001)
    monkeypatch.setattr(downloads, "_CHUNK", 100)
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("PPZOO_HOME", str(home))
    return home


def test_goes_on_after_a_cut(server, home):
    server.cuts = [1000, 500_000]
    path = Path(get_path_from_url(server.url("/a/file.bin?x=1")))
    assert (path.name, path.parent.parent) == ("file.bin", home / "files")
    assert path.read_bytes() == DATA
    assert [asked for _, asked in server.asked] == [None, "bytes=1000-", "bytes=501000-"]
    assert get_path_from_url(server.url("/a/file.bin?x=1"), None, False) == str(path)
    assert len(server.asked) == 3


def test_checks_the_md5(server, home):
    right = hashlib.md5(DATA).hexdigest()
    with pytest.raises(DataError, match="is not the file with the MD5 0123"):
        get_path_from_url(server.url(), md5sum="0123")
    assert Path(get_path_from_url(server.url(), md5sum=right.upper())).read_bytes() == DATA


def test_not_there(server, home):
    server.status = {"/file.bin": 404}
    with pytest.raises(UserError, match=r"404 Not Found.*put it to .*file\.bin"):
        get_path_from_url(server.url())
    assert not list(home.rglob("file.bin"))


@pytest.mark.parametrize("address", ["/..", "/.", "/", "", "/a/?b/file.bin", "#file.bin"])
def test_addresses_without_a_name_are_refused(server, home, address):
    with pytest.raises(UserError, match=r"address .* names no file$"):
        get_path_from_url(server.url(address))
    assert os.listdir(home) == []
    assert server.asked == []


def test_files_of_one_name_are_kept_apart(server):
    addresses = [server.url(f"/{where}") for where in ("a/w.bin", "b/w.bin", "a/w.bin?v=2")]
    paths = []
    for index, address in enumerate(addresses):
        server.data = bytes([index]) * 10
        paths.append(Path(get_path_from_url(address)))
    assert [path.read_bytes()[0] for path in paths] == [0, 1, 2]
    assert {path.name for path in paths} == {"w.bin"}
    assert [get_path_from_url(address) for address in addresses] == list(map(str, paths))


def test_an_archive_that_was_fetched_anew_is_unpacked_anew(server, home):
    server.data = zipped({"set/a.txt": b"old", "set/gone.txt": b""})
    folder = Path(get_path_from_url(server.url("/set.zip")))
    server.data = zipped({"set/a.txt": b"new"})
    (archive,) = home.rglob("set.zip")
    archive.unlink()
    md5 = hashlib.md5(server.data).hexdigest()
    assert Path(get_path_from_url(server.url("/set.zip"), md5)) == folder
    assert os.listdir(folder) == ["a.txt"]
    assert (folder / "a.txt").read_bytes() == b"new"
    (folder / "a.txt").write_bytes(b"mine")
    assert get_path_from_url(server.url("/set.zip")) == str(folder)
    assert (folder / "a.txt").read_bytes() == b"mine"


def test_what_is_unpacked_stays_where_its_successor_cannot_be(server, home):
    server.data = zipped({"set/a.txt": b"old"})
    folder = Path(get_path_from_url(server.url("/set.zip")))
    (archive,) = home.rglob("set.zip")
    archive.write_bytes(zipped({"../out.txt": b""}))
    with pytest.raises(DataError, match="leads out"):
        get_path_from_url(server.url("/set.zip"))
    assert (folder / "a.txt").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["net.pth", "net.pth.tar", "net.pdparams"])
def test_weights_stay_files(server, name):
    server.data = zipped({"net/data.pkl": b""})
    path = Path(get_path_from_url(server.url(f"/{name}")))
    assert path.name == name
    assert path.read_bytes() == server.data


def tarred(members, mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
def test_archives_become_folders(server, name):
    members = {"set/a.txt": b"a", "set/b/c.txt": b"c"}
    mode = "w:gz" if name.endswith("gz") else "w"
    server.data = zipped(members) if name == "set.zip" else tarred(members, mode)
    for _ in range(2):
        folder = Path(get_path_from_url(server.url(f"/{name}")))
        assert folder.name == "set"
        assert sorted(os.listdir(folder)) == ["a.txt", "b"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", ["bad.zip", "bad.tar", "bad.tar.gz"])
def test_archives_that_lead_out_are_refused(server, home, name):
    server.data = zipped({"good.txt": b"", "../../evil": b"evil"})
    if name != "bad.zip":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz" if name.endswith("gz") else "w") as archive:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "../.."
            archive.addfile(link)
            archive.addfile(tarfile.TarInfo("link/evil"))
        server.data = buffer.getvalue()
    with pytest.raises(DataError, match="nothing is kept"):
        get_path_from_url(server.url(f"/{name}"))
    (folder,) = (home / "files").iterdir()
    assert set(os.listdir(folder)) <= {name, f".{name}.unpacking"}
    assert os.listdir(home) == ["files"]
    assert "evil" not in os.listdir(home.parent)


def test_two_processes_fetch_and_unpack_once(server, home):
    server.data = zipped({f"set/{index}.txt": b"x" * 1000 for index in range(200)})
    server.delay = 0.5
    script = (
        f"from ppgan.utils.download import *; print(get_path_from_url({server.url('/s.zip')!r}))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (process.communicate()[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert first == second
    assert len(os.listdir(first)) == 200
    assert len(server.asked) == 1


def test_weights_over_http_are_read_without_running_code(server, home, monkeypatch):
    monkeypatch.chdir(home)
    write_pdparams(home / "w", {"net": {}})
    server.data = (home / "w").read_bytes()
    assert load(server.url("/w.pdparams"), allow_http=True) == {"net": {}}
    server.data = b"\x80\x04cos\nsystem\nX\x0f\0\0\0echo > executed\x85R."
    with pytest.raises(UserError, match=r"os\.system"):
        load(server.url("/v.pdparams"), allow_http=True)
    assert not (home / "executed").exists()
