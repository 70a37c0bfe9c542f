# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppzoo.data import sources
from ppzoo.data.sources import SOURCES, Source, fetch_dataset, missing_pictures
from ppzoo.errors import ConfigError, DataError


def png(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 8, 3), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(counts: dict[str, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for folder, count in counts.items():
            for index in range(count):
                file.writestr(f"tiny/{folder}/{index}.png", png(index))
    return buffer.getvalue()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder that is served, its address, and a cache of its own."""
    folder = tmp_path / "web"
    folder.mkdir()
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    QuietHandler.asked.clear()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with contextlib.ExitStack() as stack:
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            yield folder, f"http://127.0.0.1:{server.server_port}"


def offer(
    monkeypatch: pytest.MonkeyPatch, web: tuple[Path, str], data: bytes, **changes: object
) -> None:
    folder, address = web
    (folder / "tiny.zip").write_bytes(data)
    values = {
        "about": "tiny pictures",
        "terms": "none",
        "pictures": {"train": 3, "test": 1},
        "file": "tiny.zip",
        "urls": (f"{address}/tiny.zip",),
        **changes,
    }
    monkeypatch.setitem(SOURCES, "tiny", Source(**values))


def test_fetched_checked_and_not_fetched_again(
    web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive({"train": 3, "test": 1})
    offer(monkeypatch, web, data, sha256=hashlib.sha256(data).hexdigest())
    out = tmp_path / "data" / "tiny"
    assert fetch_dataset("tiny", out) == 4
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == [
        "test/0.png",
        "train/0.png",
        "train/1.png",
        "train/2.png",
    ]
    assert QuietHandler.asked == ["/tiny.zip"]
    assert fetch_dataset("tiny", out) == 4
    assert fetch_dataset("tiny", tmp_path / "again") == 4
    assert QuietHandler.asked == ["/tiny.zip"]


def test_a_mirror_helps_out(
    web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = (f"{web[1]}/gone.zip", f"{web[1]}/tiny.zip")
    offer(monkeypatch, web, archive({"train": 3, "test": 1}), urls=urls)
    assert fetch_dataset("tiny", tmp_path / "out") == 4


def test_another_file_than_the_published_one_is_refused(
    web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, web, archive({"train": 3, "test": 1}), sha256="0" * 64)
    with pytest.raises(DataError):
        fetch_dataset("tiny", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_pictures_are_counted_and_nothing_is_put_in_place(
    web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, web, archive({"train": 2}))
    with pytest.raises(
        DataError, match=r"not the whole of tiny.*train has 2 of 3 pictures, test has 0 of 1"
    ):
        fetch_dataset("tiny", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_way_is_told_before_the_download(
    web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, web, archive({"train": 3, "test": 1}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="out is there already but is not tiny: train has 0 of 3"):
        fetch_dataset("tiny", tmp_path / "out")
    assert QuietHandler.asked == []
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_an_archive_fetched_by_hand(
    web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, web, b"", urls=(), by_hand="ask its makers")
    with pytest.raises(DataError, match=r"ask its makers\. Put the pictures into .*train \(3\)"):
        fetch_dataset("tiny", tmp_path / "out")
    (tmp_path / "mine.zip").write_bytes(archive({"train": 3, "test": 1}))
    assert fetch_dataset("tiny", tmp_path / "out", tmp_path / "mine.zip") == 4
    assert fetch_dataset("tiny", tmp_path / "out") == 4


def test_an_archive_may_be_a_part_of_the_dataset(
    web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {"HR/train": 3, "HR/test": 1}
    offer(monkeypatch, web, archive({"train": 3}), pictures=pictures, into="HR")
    (tmp_path / "out" / "mine").mkdir(parents=True)
    with pytest.raises(DataError, match="test has 0 of 1 pictures"):
        fetch_dataset("tiny", tmp_path / "out")
    (tmp_path / "whole.zip").write_bytes(archive({"train": 3, "test": 1}))
    assert fetch_dataset("tiny", tmp_path / "out", tmp_path / "whole.zip") == 4
    assert len(list((tmp_path / "out" / "HR" / "train").iterdir())) == 3
    assert (tmp_path / "out" / "mine").is_dir()
    assert fetch_dataset("tiny", tmp_path / "out") == 4


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="no dataset 'zebra2horse' to fetch, only facades"):
        fetch_dataset("zebra2horse", "nowhere")


@pytest.mark.parametrize("name", SOURCES)
def test_the_table_is_complete(name: str, tmp_path: Path) -> None:
    source = SOURCES[name]
    assert source.about
    assert source.terms
    assert bool(source.urls) == bool(source.file) == (not source.by_hand)
    assert all(url.startswith(("https://", "http://")) for url in source.urls)
    assert source.urls == () or source.urls[0].startswith("https://")
    assert source.sha256 is None or len(bytes.fromhex(source.sha256)) == 32
    for folder, count in source.pictures.items():
        assert f"{folder} has 0 of {count} pictures" in missing_pictures(source, tmp_path)


def test_datasets_that_may_not_be_fetched_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "download", None)
    for name, hint in (("selfie2anime", "drive.google.com"), ("cityscapes", "register")):
        with pytest.raises(DataError, match=hint):
            fetch_dataset(name, tmp_path / name)
        assert not (tmp_path / name).exists()
