# SPDX-License-Identifier: Apache-2.0
"""`ppzoo serve`: a trained network behind an address, which answers a picture with a picture.

POST a picture's bytes to `/predict` and get a PNG; `/` is a page to try it in the browser. Mistakes
of the caller are sentences, `{"error": ...}`, with a status from 400 on; only what never gets here
(bytes that are no HTTP, a wrong host, too many callers) the libraries below refuse in words of
theirs. One picture is computed at a time, others wait for their turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import html
import importlib
import importlib.util
import io
import ipaddress
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from ppzoo.apps.image_to_image import ImageToImagePredictor
from ppzoo.apps.inference import BACKENDS
from ppzoo.errors import DataError, MissingExtraError, UserError

if TYPE_CHECKING:
    from PIL import Image
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# Makes a picture, uint8 RGB [H, W, 3] or a Pillow image, of a Pillow image.
Translate = Callable[["Image.Image"], "np.ndarray | Image.Image"]

SERVED = {
    "pix2pix": ("ppzoo.apps.pix2pix", "Pix2PixPredictor"),
    "cyclegan": ("ppzoo.apps.cyclegan", "CycleGANPredictor"),
    "ugatit": ("ppzoo.apps.ugatit", "UGATITPredictor"),
    "esrgan": ("ppzoo.apps.esrgan", "ESRGANPredictor"),
    "realsr": ("ppzoo.apps.realsr", "RealSRPredictor"),
    "rcan": ("ppzoo.apps.rcan", "RCANPredictor"),
    "srgan": ("ppzoo.apps.srgan", "SRGANPredictor"),
}
_DIRECTED = ("cyclegan", "ugatit")

HOST, PORT = "127.0.0.1", 8000
MAX_BYTES = 10_000_000
MAX_PIXELS = 4_000_000
_MAX_ENLARGED = 250_000  # pixels; RRDBNet takes a minute or two for as many on a laptop's CPU
# Names of this computer; the last one is what Starlette before 1.0 takes for the host of
# "[::1]:8000", and of other numbers in brackets, which are no names that a page could claim.
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]", "[")
# What callers may send. Pillow has decoders for more, some of which start other programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_MOST_CALLERS = 32
_PATIENCE = 30  # seconds that a picture may take to arrive
_LOG = logging.getLogger(__name__)


class _RefusedError(Exception):
    """A request that gets no picture.

    Args:
        status: of HTTP.
        sentence: what is wrong.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def make_app(
    translate: Translate,
    title: str = "ppzoo",
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    hosts: tuple[str, ...] = _LOOPBACK,
) -> Starlette:
    """Return a web application that answers pictures by pictures.

    Args:
        translate: is called with one Pillow image at a time, always in the same thread; raises
            `DataError` if it cannot be used.
        title: what the page calls it.
        max_bytes: of a request; more is refused while it arrives.
        max_pixels: of a picture; more is refused before it is decoded.
        hosts: names that callers may call this computer by, `*` for any. Unless it is any, a page
            on the internet cannot reach a private server through a name of its own.

    Raises:
        MissingExtraError: Starlette is not installed.
    """
    _check_installed()
    import paddle
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    page = files("ppzoo.apps").joinpath("serve.html").read_text(encoding="utf-8")
    page = page.replace("TITLE", html.escape(title))
    device = paddle.device.get_device()
    # Made when it is needed: an application can be served again, and where it is a part of another
    # one nothing tells it when that begins.
    workers: list[ThreadPoolExecutor] = []

    async def predict(request: Request) -> Response:
        try:
            body = await _body(request, max_bytes)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        if not workers:
            # One thread: networks and backends are not made for two callers at once.
            workers.append(ThreadPoolExecutor(1, "predict", paddle.set_device, (device,)))
        answer = asyncio.get_running_loop().run_in_executor(
            workers[0], _answer, translate, body, max_pixels
        )
        return Response(await answer, media_type="image/png")

    async def show(request: Request) -> Response:
        return HTMLResponse(page)

    async def refuse(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, getattr(error, "status", 500))

    async def fail(request: Request, error: Exception) -> Response:
        # Neither leaves this computer, whose files it may name. Faults of the code the server logs.
        if isinstance(error, UserError):
            _LOG.error("%s", error)
        return JSONResponse(
            {"error": "the server cannot compute this; what is wrong stands in its log"}, 500
        )

    async def direct(request: Request, error: Any) -> Response:
        sentence = f"{error.detail}: POST a picture to /predict, or open / in a browser"
        return JSONResponse({"error": sentence}, error.status_code, error.headers)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        while workers:
            workers.pop().shutdown(cancel_futures=True)

    return Starlette(
        routes=[Route("/", show), Route("/predict", predict, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={
            _RefusedError: refuse,
            HTTPException: direct,
            UserError: fail,
            Exception: fail,
        },
        lifespan=lifespan,
    )


@contextlib.contextmanager
def serving(app: Starlette, host: str = HOST, port: int = 0) -> Iterator[str]:
    """Serve an application beside the block's own work, and give its address.

    Args:
        app: see `make_app`.
        host: the address to listen on.
        port: its port, 0 for a free one.

    Raises:
        UserError: the address cannot be listened on.
        MissingExtraError: Uvicorn is not installed.
    """
    server, listener, address = _prepared(app, host, port, "warning")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        yield address
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo serve`."""
    add = parser.add_argument
    add("model", choices=SERVED, metavar="MODEL", help=f"one of {', '.join(SERVED)}")
    add("--weights", required=True, metavar="FILE", help="weights or checkpoint")
    add("-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights")
    add("--direction", choices=("a2b", "b2a"), help=f"of the dataset ({', '.join(_DIRECTED)})")
    add("--host", default=HOST, help=f"address to listen on; 0.0.0.0 for others to call ({HOST})")
    add("--port", type=int, default=PORT, help=f"its port, 0 for a free one ({PORT})")
    add(
        "--max-bytes",
        type=int,
        default=MAX_BYTES,
        metavar="N",
        help=f"larger requests are refused ({MAX_BYTES})",
    )
    add(
        "--max-pixels",
        type=int,
        metavar="N",
        help=f"larger pictures are refused ({MAX_PIXELS}, {_MAX_ENLARGED} where they are enlarged)",
    )
    add("--backend", choices=BACKENDS, help="how to run the network (the fastest)")
    add("--device", help="cpu, gpu or gpu:N")


def run(args: argparse.Namespace) -> None:
    """Serve what the command line names until it is interrupted.

    Raises:
        UserError: an option is out of range, the weights cannot be used, the address is taken.
        MissingExtraError: Starlette or Uvicorn is not installed.
    """
    _check_installed()
    for name in ("max_bytes", "max_pixels"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} is {value}, expected at least 1")
    if not 0 <= args.port < 65536:
        raise UserError(f"--port is {args.port}, expected 0 to 65535")
    translate, most = _predictor(args)
    app = make_app(
        translate,
        f"ppzoo {args.model}",
        max_bytes=args.max_bytes,
        max_pixels=args.max_pixels or most,
        hosts=_LOOPBACK if _is_loopback(args.host) else ("*",),
    )
    server, listener, address = _prepared(app, args.host, args.port, "info")
    with listener:
        sys.stdout.write(
            f"serving: {address} (end with Ctrl-C)\npictures: POST {address}/predict\n"
        )
        sys.stdout.flush()
        server.run(sockets=[listener])


def _predictor(args: argparse.Namespace) -> tuple[Translate, int]:
    """Return what the command line wants to be served, and how many pixels it takes."""
    module, name = SERVED[args.model]
    kind = getattr(importlib.import_module(module), name)
    options: dict[str, Any] = {
        "config": args.config,
        "backend": args.backend,
        "device": args.device,
    }
    if args.model in _DIRECTED:
        options["direction"] = args.direction
    elif args.direction:
        raise UserError(f"--direction is for {' and '.join(_DIRECTED)}, {args.model} has only one")
    if issubclass(kind, ImageToImagePredictor):
        return kind(args.weights, **options).run, MAX_PIXELS
    predictor = kind(weight_path=args.weights, progress=False, **options)
    return predictor.run_image, _MAX_ENLARGED


def _is_loopback(host: str) -> bool:
    """Return whether only this computer can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK


async def _body(request: Request, max_bytes: int) -> bytes:
    """Return what a request brings.

    Raises:
        _RefusedError: it is too large, slow, empty, or a form.
    """
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise _RefusedError(
            415,
            "this is a form: send the bytes of a picture as they are, such as by "
            "curl --data-binary @photo.jpg",
        )
    parts: list[bytes] = []

    async def collect() -> None:
        size = int(request.headers.get("content-length", 0))
        if size <= max_bytes:
            async for part in request.stream():
                parts.append(part)
                size = sum(map(len, parts))
                if size > max_bytes:
                    break
        if size > max_bytes:
            raise _RefusedError(413, f"the request has more than {max_bytes} bytes")

    try:
        await asyncio.wait_for(collect(), _PATIENCE)
    except asyncio.TimeoutError:
        raise _RefusedError(408, f"the picture did not arrive in {_PATIENCE} s") from None
    if not any(parts):
        raise _RefusedError(400, "the request is empty: send the bytes of a picture")
    return b"".join(parts)


def _decoded(body: bytes, max_pixels: int) -> Image.Image:
    """Return the picture that bytes are.

    Raises:
        _RefusedError: they are none, or too large a one.
        MemoryError: there is not enough for it.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(body), formats=_FORMATS)
        _check_size(image, max_pixels)
        image.load()
        _check_size(image, max_pixels)  # decoders may find another one than the header's
    except (_RefusedError, MemoryError):
        raise
    except UnidentifiedImageError:
        kinds = ", ".join(_FORMATS)
        raise _RefusedError(
            400, f"these bytes are no picture, or a damaged one; it may be one of {kinds}"
        ) from None
    except Image.DecompressionBombError:
        raise _RefusedError(413, f"the picture has more than {max_pixels} pixels") from None
    except Exception as error:  # Pillow's decoders answer damaged bytes with a dozen kinds
        raise _RefusedError(400, f"the picture is damaged: {error}") from error
    return image


def _check_size(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height} pixels"
        raise _RefusedError(413, f"the picture has {size}, more than {max_pixels} in all")


def _answer(translate: Translate, body: bytes, max_pixels: int) -> bytes:
    """Return the PNG for the bytes of a picture.

    Raises:
        _RefusedError: they are none, or too large a one.
    """
    from PIL import Image

    try:
        result = translate(_decoded(body, max_pixels))
    except DataError as error:
        raise _RefusedError(400, str(error)) from error
    except MemoryError:
        raise _RefusedError(
            503, "the server has too little memory for this picture: send a smaller one"
        ) from None
    file = io.BytesIO()
    (Image.fromarray(result) if isinstance(result, np.ndarray) else result).save(file, "PNG")
    return file.getvalue()


def _prepared(
    app: Starlette, host: str, port: int, log_level: str
) -> tuple[Any, socket.socket, str]:
    """Return a server, the socket that it will listen on, and the address of that."""
    import uvicorn

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another "
            "--host or --port"
        ) from error
    config = uvicorn.Config(app, log_level=log_level, limit_concurrency=_MOST_CALLERS)
    shown = f"[{host}]" if ":" in host else host
    return uvicorn.Server(config), listener, f"http://{shown}:{listener.getsockname()[1]}"


def _check_installed() -> None:
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "serve", "serving a network")
