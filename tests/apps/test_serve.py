# SPDX-License-Identifier: Apache-2.0
"""Serving: a picture for a picture over HTTP, sentences for mistakes, limits that hold."""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib
import io
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from starlette.applications import Starlette
from starlette.routing import Mount

from ppzoo import cli, registry
from ppzoo.apps import serve
from ppzoo.apps.image_to_image import ImageToImagePredictor
from ppzoo.apps.pix2pix import Pix2PixPredictor
from ppzoo.apps.serve import SERVED, make_app, serving
from ppzoo.apps.super_resolution import SuperResolutionPredictor
from ppzoo.errors import DataError, MissingExtraError, UserError, WeightsError
from ppzoo.weights import write_pdparams

UNET = {"name": "UnetGenerator", "input_nc": 3, "output_nc": 3, "num_downs": 5, "ngf": 2}


def bytes_of(picture: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.save(file, kind, **options)
    return file.getvalue()


def photo(height: int = 12, width: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [height, width, 3], "uint8")


def inverted(image: Image.Image) -> np.ndarray:
    return 255 - np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    app = make_app(inverted, "inverts <pictures>", max_bytes=20_000, max_pixels=4000)
    with serving(app) as address:
        yield address


def posted(address: str, body: object, **options: object) -> requests.Response:
    return requests.post(f"{address}/predict", data=body, timeout=30, **options)


def decoded(answer: requests.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_picture_is_answered_by_a_picture(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    np.testing.assert_array_equal(decoded(posted(address, bytes_of(photo()))), 255 - photo())


def test_the_page_can_be_opened_and_shows_the_title_as_text(address: str) -> None:
    answer = requests.get(address, timeout=30)
    assert answer.status_code == 200
    assert "<h1>inverts &lt;pictures&gt;</h1>" in answer.text


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "the request is empty"),
        (b"not a picture", 400, "no picture"),
        (bytes_of(photo())[:300], 400, "the picture is damaged"),
        (bytes_of(photo(80, 60)), 413, "60 x 80 pixels, more than 4000 in all"),
        (b"x" * 20_001, 413, "more than 20000 bytes"),
        ((b"x" * 15_000 for _ in range(2)), 413, "more than 20000 bytes"),
    ],
    ids=["empty", "text", "cut", "pixels", "bytes", "bytes without a length"],
)
def test_mistakes_are_sentences(address: str, body: object, status: int, sentence: str) -> None:
    answer = posted(address, body)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]
    # And the server goes on.
    decoded(posted(address, bytes_of(photo())))


@pytest.mark.parametrize("side", [3000, 60_000])
def test_a_bomb_is_refused_by_its_header(address: str, side: int) -> None:
    small = bytes_of(Image.new("1", (8, 8)))
    header = b"IHDR" + struct.pack(">II", side, side) + small[24:29]
    bomb = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    answer = posted(address, bomb)
    assert answer.status_code == 413
    assert "pixels" in answer.json()["error"]


def test_forms_are_told_how_it_goes(address: str) -> None:
    answer = posted(address, None, files={"file": bytes_of(photo())})
    assert answer.status_code == 415
    assert "--data-binary" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "place", "status"),
    [("GET", "predict", 405), ("PUT", "predict", 405), ("POST", "", 405), ("GET", "passwd", 404)],
)
def test_other_methods_and_places(address: str, method: str, place: str, status: int) -> None:
    answer = requests.request(method, f"{address}/{place}", timeout=30)
    assert answer.status_code == status
    assert "POST a picture to /predict" in answer.json()["error"]
    assert ("allow" in answer.headers) == (status == 405)


def test_a_page_of_the_internet_cannot_ask_through_a_name_of_its_own(address: str) -> None:
    answer = posted(address, bytes_of(photo()), headers={"Host": "evil.example"})
    assert answer.status_code == 400
    port = address.rpartition(":")[2]
    named = posted(address, bytes_of(photo()), headers={"Host": f"localhost:{port}"})
    assert named.status_code == 200


def test_a_picture_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_PATIENCE", 0.2)
    with serving(make_app(inverted)) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"
            )
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_one_picture_at_a_time_in_one_thread() -> None:
    threads, busy, most = set(), [], []

    def slow(image: Image.Image) -> np.ndarray:
        threads.add(threading.get_ident())
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.02)
        busy.pop()
        return inverted(image)

    with serving(make_app(slow)) as address, concurrent.futures.ThreadPoolExecutor(6) as callers:
        bodies = [bytes_of(photo(4, 4 + i)) for i in range(12)]
        answers = list(callers.map(lambda body: decoded(posted(address, body)), bodies))
    assert [answer.shape for answer in answers] == [(4, 4 + i, 3) for i in range(12)]
    assert max(most) == 1
    assert len(threads) == 1


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (DataError("too small to have a face"), 400, "too small to have a face"),
        (WeightsError("/secret/w.pdparams"), 500, "the server cannot compute this"),
        (MemoryError(), 503, "too little memory"),
    ],
)
def test_what_the_network_says(
    error: Exception, status: int, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(image: Image.Image) -> np.ndarray:
        raise error

    with serving(make_app(fail)) as address:
        answer = posted(address, bytes_of(photo()))
    assert answer.status_code == status
    assert sentence in answer.json()["error"]
    # What names files of the server is for its owner.
    assert "secret" not in answer.text
    assert ("/secret/w.pdparams" in caplog.text) == isinstance(error, WeightsError)


def test_only_formats_whose_decoders_start_nothing(address: str) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"):
        assert decoded(posted(address, bytes_of(photo(), kind))).shape == (12, 20, 3)
    for kind in ("EPS", "PPM", "PCX"):
        answer = posted(address, bytes_of(photo(), kind))
        assert answer.status_code == 400
        assert "no picture" in answer.json()["error"]


def test_a_size_that_only_decoding_finds(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load = PngImageFile.load

    def larger(self: PngImageFile) -> object:
        result = load(self)
        self._size = (100, 100)
        return result

    monkeypatch.setattr(PngImageFile, "load", larger)
    answer = posted(address, bytes_of(photo()))
    assert answer.status_code == 413
    assert "100 x 100 pixels" in answer.json()["error"]


def test_a_picture_that_memory_has_no_room_for_is_not_called_damaged(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: PngImageFile) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImageFile, "load", load)
    answer = posted(address, bytes_of(photo()))
    assert answer.status_code == 503
    assert "too little memory" in answer.json()["error"]


def test_a_caller_who_hangs_up_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(inverted)
    errors = []

    async def watched(scope: dict, receive: object, send: object) -> None:
        try:
            await app(scope, receive, send)
        except BaseException as error:
            errors.append(error)
            raise

    with serving(watched) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"
            )
            time.sleep(0.2)
        time.sleep(0.2)
        decoded(posted(address, bytes_of(photo())))
    assert errors == []
    assert "Traceback" not in caplog.text


def test_an_application_can_be_served_again() -> None:
    app = make_app(inverted)
    for _ in range(2):
        with serving(app) as address:
            np.testing.assert_array_equal(
                decoded(posted(address, bytes_of(photo()))), 255 - photo()
            )


@pytest.mark.parametrize(
    ("host", "is_checked"),
    [
        *((host, True) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.0.7", "my-computer")),
    ],
)
def test_hosts_that_only_this_computer_reaches(host: str, is_checked: bool) -> None:
    assert serve._is_loopback(host) == is_checked


def test_the_check_of_names_lets_an_ipv6_address_in() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # containers may have none: then by the header alone
        host = serve.HOST
    else:
        host = "::1"
    with serving(make_app(inverted), host) as address:
        port = address.rpartition(":")[2]
        for name, status in ((f"[::1]:{port}", 200), ("evil.example", 400)):
            answer = posted(address, bytes_of(photo()), headers={"Host": name})
            assert answer.status_code == status


def test_a_fault_of_the_code_is_not_blamed_on_the_picture() -> None:
    def fail(image: Image.Image) -> np.ndarray:
        raise ValueError("a secret of the server")

    with serving(make_app(fail)) as address:
        answer = posted(address, bytes_of(photo()))
    assert answer.status_code == 500
    assert "what is wrong stands in its log" in answer.json()["error"]
    assert "secret" not in answer.text


def test_it_ends_with_the_block() -> None:
    before = set(threading.enumerate())
    with serving(make_app(inverted)) as address:
        posted(address, bytes_of(photo()))
        assert set(threading.enumerate()) > before
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)
    assert set(threading.enumerate()) <= before


def test_it_can_be_part_of_another_application() -> None:
    whole = Starlette(routes=[Mount("/zoo", make_app(inverted, hosts=("*",)))])
    with serving(whole) as address:
        named = {"Host": "pictures.example"}
        answer = posted(f"{address}/zoo", bytes_of(photo()), headers=named)
        np.testing.assert_array_equal(decoded(answer), 255 - photo())
        assert posted(f"{address}/zoo", b"", headers=named).json()["error"]


def test_a_port_that_is_taken() -> None:
    with serving(make_app(inverted)) as address:
        port = int(address.rpartition(":")[2])
        with (
            pytest.raises(UserError, match=f"cannot listen on 127.0.0.1, port {port}: .*--port"),
            serving(make_app(inverted), port=port),
        ):
            pass


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"ppzoo\[serve\]"):
        make_app(inverted)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = registry.build(registry.GENERATORS, UNET)
    path = tmp_path_factory.mktemp("weights") / "w.pdparams"
    write_pdparams(path, {"netG": {k: v.numpy() * 8 for k, v in net.state_dict().items()}})
    return path


def test_a_trained_network_answers_as_its_predictor_does(weights: Path) -> None:
    predictor = Pix2PixPredictor(weights)
    grey = bytes_of(Image.fromarray(photo()).convert("LA"))
    with serving(make_app(predictor.run)) as address:
        answers = [decoded(posted(address, body)) for body in (bytes_of(photo()), grey)]
    np.testing.assert_array_equal(answers[0], Pix2PixPredictor(weights).run(photo()))
    assert answers[1].shape == (12, 20, 3)
    assert answers[0].std() > 5


def test_the_command_serves_until_it_is_interrupted(weights: Path) -> None:
    command = [sys.executable, "-m", "ppzoo", "serve", "pix2pix", "--weights", str(weights)]
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("serving: http://127.0.0.1:")
        where = line.split()[1]
        assert process.stdout.readline() == f"pictures: POST {where}/predict\n"
        assert decoded(posted(where, bytes_of(photo()))).shape == (12, 20, 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()


def test_every_predictor_that_is_served_exists_and_takes_a_picture() -> None:
    for module, name in SERVED.values():
        kind = getattr(importlib.import_module(module), name)
        assert issubclass(kind, (ImageToImagePredictor, SuperResolutionPredictor))


def test_an_enlarging_network_is_served_with_a_limit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"name": "SRResNet", "in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1}
    net = registry.build(registry.GENERATORS, spec)
    path = tmp_path / "w.pdparams"
    write_pdparams(path, {"generator": {k: v.numpy() for k, v in net.state_dict().items()}})
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    translate, most = serve._predictor(parser.parse_args(["srgan", "--weights", str(path)]))
    assert most < serve.MAX_PIXELS
    with serving(make_app(translate, max_pixels=most)) as address:
        assert decoded(posted(address, bytes_of(photo()))).shape == (48, 80, 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--max-pixels", "0"], "--max-pixels is 0"),
        (["--max-bytes", "-1"], "--max-bytes is -1"),
        (["--port", "70000"], "--port is 70000"),
        (["--direction", "b2a"], "--direction is for cyclegan and ugatit"),
        (["--host", "203.0.113.1", "--port", "0"], "cannot listen on 203.0.113.1"),
    ],
)
def test_options_out_of_range(
    weights: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert cli.main(["serve", "pix2pix", "--weights", str(weights), *options]) == 2
    assert f"error: {sentence}" in capsys.readouterr().err
