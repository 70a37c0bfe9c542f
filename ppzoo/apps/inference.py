# SPDX-License-Identifier: Apache-2.0
"""Networks run as fast as this machine can.

Paddle has several ways to run one network, and none is the fastest for all: a U-Net is, on CPUs,
with Paddle Inference, a residual generator with ONNX Runtime. `make_runner` exports the network
once, checks each way against the network itself, measures them and takes the fastest. What it found
is kept in the cache folder, so that the next start takes it from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import logging
import math
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

import ppzoo
from ppzoo import runtime
from ppzoo.apps.backends import (
    STEM,
    TITLES,
    Arrays,
    Run,
    flat_outputs,
    is_installed,
    load,
    measure,
    program_file,
)
from ppzoo.atomic import atomic_write
from ppzoo.download import cache_dir
from ppzoo.errors import MissingExtraError, UserError, WeightsError
from ppzoo.nn.init import bilinear_kernels
from ppzoo.nn.modes import evaluating
from ppzoo.nn.norm import BatchNormOfBatch

_LOG = logging.getLogger(__name__)

BACKENDS = ("dynamic", *TITLES)
_TITLES = {"dynamic": "ppzoo's layers", **TITLES}
_SMALL = 32  # pixels; the side of the second picture that an export is checked with
_KEPT = 8  # exported networks in the cache
_STALE = 24 * 3600  # seconds after which an unfinished export is nobody's any more
_PATIENCE = 300  # seconds after which a backend hangs
_GAIN = 0.95  # of the time of ppzoo's layers, below which another backend is worth its memory


class Runner:
    """A network in the backend that was chosen for it; call it with arrays.

    Args:
        net: the network, for what the backend cannot take.
        backend: a name of BACKENDS.
        run: maps input arrays to output arrays in that backend.
        shapes: of the inputs that the backend takes, None for any size.
        results: what was found out about each backend: `seconds` or why it is `refused`.
    """

    def __init__(
        self,
        net: nn.Layer,
        backend: str = "dynamic",
        run: Run | None = None,
        shapes: tuple[tuple[int, ...], ...] | None = None,
        results: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.backend = backend
        self.results = dict(results or {})
        self._net, self._shapes = net, shapes
        self._run = run or self._run_net

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """Return the network's first output for input arrays, float32 [N, C, H, W]."""
        return self.run(*arrays)[0]

    def run(self, *arrays: np.ndarray) -> Arrays:
        """Return all outputs of the network for input arrays, nested outputs in their order."""
        inputs = [np.ascontiguousarray(array, dtype=np.float32) for array in arrays]
        if self._shapes is not None and tuple(array.shape for array in inputs) != self._shapes:
            return self._run_net(inputs)
        return self._run(inputs)

    def describe(self) -> str:
        """Return one line on the backend in use, with the times of all that were measured."""
        device = paddle.device.get_device()
        where = "" if device == "cpu" else f" on {device}"
        parts = [f"{_TITLES[self.backend]} ({self.backend}{where})"]
        measured = {k: v["seconds"] for k, v in self.results.items() if "seconds" in v}
        refused = {k: v["refused"] for k, v in self.results.items() if "refused" in v}
        if measured:
            ordered = sorted(measured, key=measured.__getitem__)
            parts.append(", ".join(f"{k} {1000 * measured[k]:.0f} ms" for k in ordered))
        elif not refused:
            parts.append("other backends not measured")
        parts += [f"{name} refused: {reason}" for name, reason in refused.items()]
        return "; ".join(parts)

    def _run_net(self, arrays: Sequence[np.ndarray]) -> Arrays:
        with evaluating(self._net):
            outputs = self._net(*(paddle.to_tensor(array) for array in arrays))
        return tuple(output.numpy() for output in flat_outputs(outputs))


def check_finite(values: np.ndarray, weight_path: str | os.PathLike[str]) -> np.ndarray:
    """Return what a network made, unless it holds values that are no numbers.

    Raises:
        WeightsError: it does; names the file of the weights.
    """
    if not np.isfinite(values).all():
        raise WeightsError(
            f"the network of {weight_path} makes values that are no numbers: the file is damaged, "
            "or its training had diverged"
        )
    return values


def repeated(array: np.ndarray, count: int) -> np.ndarray:
    """Return a batch of `count` items, the last one repeated where there are fewer.

    Exported networks take one size of batches only.
    """
    missing = count - len(array)
    return np.concatenate([array, array[-1:].repeat(missing, axis=0)]) if missing > 0 else array


def make_runner(
    net: nn.Layer,
    example: np.ndarray | Sequence[np.ndarray],
    backends: str | Sequence[str] | None = None,
    *,
    cache: bool = True,
    measured: bool = True,
    multiple: int | None = None,
) -> Runner:
    """Return what runs a network in the fastest backend.

    Backends are `dynamic` (the network as it is), `static` (a static graph of it; unless it is
    named, only where the next one fails), `inference` (Paddle Inference with oneDNN) and `onnx`
    (ONNX Runtime, where the extra `export` is installed).
    All but the first need the network exported, which takes a few seconds the first time, and are
    tried in a process of their own, each for about a second, with the example and, where sizes may
    vary, with a second one. One whose results differ from the network's by more than 1e-3 is
    refused, as is one that fails; the log says so. Where the cache folder cannot be written, that
    is done anew each time. On a GPU, the network runs as it is.

    The export holds the weights as they are now: make a new runner after changing them.

    Args:
        net: the network; its mode is left alone, it runs in evaluation mode.
        example: an input, or a sequence of all inputs, float32 [N, C, H, W], or windows of frames
            [N, T, C, H, W]. Times are measured for this size, or taken from an earlier measurement
            within a factor of 1.4 of its pixels.
        backends: a name to insist on one, names to choose from, None for all that are installed.
        cache: keep the exported network and the times, and use those of earlier processes.
        measured: False to export and measure nothing that the cache does not have, which is right
            for a single picture: a U-Net translates it in the time that the export takes.
        multiple: the network takes any height and width that are multiples of this. None if it
            takes only the example's size: others run as they are, unexported.

    Raises:
        UserError: an unknown name, or the backend insisted on cannot run this network.
        MissingExtraError: it is not installed.
    """
    names = _wanted(backends)
    inputs = _inputs(example)
    if names == ["dynamic"] or not paddle.device.get_device().startswith("cpu"):
        return Runner(net)
    insists = isinstance(backends, str)
    threads = runtime.threads()
    with _workplace(net, inputs, multiple, cache) as place:
        known = {name: result for name, result in place.known().items() if name in names}
        chooses = backends is None and "inference" in names
        missing = [name for name in names if name not in known]
        if chooses and "static" in missing:
            missing.remove("static")  # for lack of oneDNN it would be the slower of the two
        if missing and (measured or insists):
            known |= place.examine(missing, threads)
            if chooses and "refused" in known["inference"]:
                known |= place.examine(["static"], threads)
            place.remember(known)
        ranking = sorted(
            (name for name in known if "seconds" in known[name]),
            key=lambda name: known[name]["seconds"] * (_GAIN if name == "dynamic" else 1.0),
        )
        for name in ranking:
            if name == "dynamic":
                break
            try:
                run = load(name, place.folder, threads)
                return Runner(net, name, run, place.shapes, known)
            # Such as an export that another process has just cleared away.
            except Exception as error:
                _LOG.warning("%s cannot be used: %s", _TITLES[name], error)
                known[name] = {"refused": str(error)}
    if insists:
        reason = known.get(backends, {}).get("refused", "it was not tried")
        raise UserError(f"backend {backends!r} cannot run this network: {reason}")
    return Runner(net, results=known)


def _wanted(backends: str | Sequence[str] | None) -> list[str]:
    if backends is None:
        return [name for name in BACKENDS if is_installed(name)]
    if isinstance(backends, str):
        names = [backends]
    else:  # the network itself is what others are compared with, and the way out
        names = list(dict.fromkeys(["dynamic", *backends]))
    for name in names:
        if name not in BACKENDS:
            raise UserError(f"backend is {name!r}, expected one of {', '.join(BACKENDS)}")
        if not is_installed(name):
            raise MissingExtraError("paddle2onnx", "export", f"the backend {name!r}")
    return names


def _inputs(example: np.ndarray | Sequence[np.ndarray]) -> Arrays:
    arrays = (example,) if isinstance(example, np.ndarray) else tuple(example)
    return tuple(np.ascontiguousarray(array, dtype=np.float32) for array in arrays)


def save_traced(net: nn.Layer, shapes: Sequence[Sequence[int | None]], prefix: Path) -> None:
    """Write a network as Paddle's inference model, in evaluation mode.

    Args:
        net: the network.
        shapes: of its inputs, float32; None for any size.
        prefix: of the files' names: the graph, `.json` by Paddle 3 and `.pdmodel` by Paddle 2, and
            `.pdiparams`.
    """
    specs = [
        paddle.static.InputSpec(list(shape), "float32", f"input{i}")
        for i, shape in enumerate(shapes)
    ]
    # What Paddle's tracing says to its own developers, such as a deprecated option.
    with evaluating(net), warnings.catch_warnings(), _plain_operators(net):
        warnings.simplefilter("ignore")
        paddle.jit.save(net, str(prefix), input_spec=specs)


class _Workplace:
    """A folder with an exported network and what is known about the backends that run it.

    Args:
        net: the network.
        inputs: the example.
        multiple: see `make_runner`.
        folder: where the export is or goes.
    """

    def __init__(self, net: nn.Layer, inputs: Arrays, multiple: int | None, folder: Path) -> None:
        self.folder = folder
        self._net, self._inputs, self._multiple = net, inputs, multiple
        self._notes = folder / f"times-{_machine(inputs)}.json"

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...] | None:
        return None if self._multiple else tuple(array.shape for array in self._inputs)

    def known(self) -> dict[str, dict[str, Any]]:
        """Return what an earlier process has found out, by backend."""
        try:
            known = json.loads(self._notes.read_text(encoding="utf-8"))["backends"]
            os.utime(self.folder)  # used last by this process
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        is_sound = isinstance(known, dict) and all(isinstance(v, dict) for v in known.values())
        return known if is_sound else {}

    def remember(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what was found out for the next process."""
        note = {"processor": runtime.configure().processor, "backends": known}
        try:
            with atomic_write(self._notes) as file:
                file.write(json.dumps(note, indent=2).encode())
        except UserError as error:
            _LOG.info("times are not kept: %s", error)

    def examine(self, names: Sequence[str], threads: int) -> dict[str, dict[str, Any]]:
        """Check and measure backends, and return `seconds` or why it is `refused` for each."""
        runner = Runner(self._net)
        found: dict[str, dict[str, Any]] = {}
        if "dynamic" in names:
            runner.run(*self._inputs)  # plans and buffers
            found["dynamic"] = {
                "seconds": measure(lambda arrays: runner.run(*arrays), self._inputs)
            }
        others = [name for name in names if name != "dynamic"]
        if others:
            try:
                self._export()
            # Tracing runs the network's own code, which may not be made for it.
            except Exception as error:
                reason = f"the network cannot be exported: {_first_line(error)}"
                found |= {name: {"refused": reason} for name in others}
            else:
                limit = 2 * found["dynamic"]["seconds"] if "dynamic" in found else math.inf
                found |= self._try_apart(others, threads, runner, limit)
        for name, result in found.items():
            if "refused" in result:
                _LOG.warning("%s is not used: %s", _TITLES[name], result["refused"])
        return found

    def _export(self) -> None:
        if program_file(self.folder).exists():
            return
        parent = self.folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        _tidy(parent)
        temporary = parent / f".{secrets.token_hex(8)}"
        try:
            shapes = [self._spec(array.shape) for array in self._inputs]
            save_traced(self._net, shapes, temporary / STEM)
            try:
                os.rename(temporary, self.folder)
            except OSError:
                # Another process was first, with the same network: its export will do.
                if not program_file(self.folder).exists():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _spec(self, shape: tuple[int, ...]) -> list[int | None]:
        if not self._multiple:
            return list(shape)
        return [None, *shape[1:-2], None, None]

    def _try_apart(
        self, names: Sequence[str], threads: int, runner: Runner, limit: float
    ) -> dict[str, dict[str, Any]]:
        cases = [self._inputs]
        if self._multiple:
            cases.append(_of_other_size(self._inputs, self._multiple))
        arrays: dict[str, Any] = {"cases": len(cases), "limit": limit}
        for k, inputs in enumerate(cases):
            arrays |= {f"input{k}.{i}": array for i, array in enumerate(inputs)}
            arrays |= {f"output{k}.{i}": array for i, array in enumerate(runner.run(*inputs))}
        found: dict[str, dict[str, Any]] = {}
        with tempfile.TemporaryDirectory(prefix="ppzoo-") as folder:
            examples = Path(folder) / "examples.npz"
            np.savez(examples, **arrays)
            # One that takes the process down with it is left out of the next attempt.
            while len(found) < len(names):
                left = [name for name in names if name not in found]
                found |= _child(self.folder, examples, threads, left)
        return found


def _child(folder: Path, examples: Path, threads: int, names: Sequence[str]) -> dict[str, Any]:
    """Try backends in a process of its own, and return what it says of at least one of them."""
    home = str(Path(ppzoo.__file__).resolve().parents[1])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "ppzoo.apps.backends", folder, examples, threads, *names]
    begun, found, reason = names[0], {}, ""
    try:
        process = subprocess.run(
            [str(part) for part in command],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
        output, reason = process.stdout, f"it ended its process (code {process.returncode})"
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        reason = f"it gave no answer within {_PATIENCE} s"
    except OSError as error:
        output, reason = "", f"no process could be started to try it: {error}"
    for line in output.splitlines():
        if not line.startswith('{"backend"'):
            continue
        result = json.loads(line)
        begun = result.pop("backend")
        if result:
            found[begun] = result
    if len(found) < len(names):
        culprit = begun if begun not in found else next(n for n in names if n not in found)
        found[culprit] = {"refused": reason}
    return found


@contextlib.contextmanager
def _workplace(
    net: nn.Layer, inputs: Arrays, multiple: int | None, cache: bool
) -> Iterator[_Workplace]:
    """Give the network's place in the cache, or a passing one."""
    if cache:
        try:
            parent = cache_dir() / "inference"
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(parent)
            with tempfile.TemporaryFile(dir=parent):
                pass
        except (OSError, UserError) as error:
            _LOG.info("exported networks are not kept: %s", error)
        else:
            yield _Workplace(net, inputs, multiple, parent / _fingerprint(net, inputs, multiple))
            return
    with tempfile.TemporaryDirectory(prefix="ppzoo-") as folder:
        yield _Workplace(net, inputs, multiple, Path(folder) / "export")


def _make_private(folder: Path) -> None:
    """Make sure that nobody else can put a program here, which would be run as the user.

    Whatever the user's umask, the folder is open to the user alone. What others could write to
    before that is removed.

    Raises:
        PermissionError: the folder, or something in it, is another user's.
    """
    if os.name == "nt":
        return
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is another user's")
    if not status.st_mode & 0o077:
        return
    folder.chmod(0o700)
    for path in folder.iterdir():
        for part in (path, *path.rglob("*")):
            if part.lstat().st_uid != os.geteuid():
                # As it was, so that the next call finds this, too.
                folder.chmod(stat.S_IMODE(status.st_mode))
                raise PermissionError(f"{part} is another user's")
    if status.st_mode & 0o011:  # through which others reach what is in it
        for path in folder.iterdir():
            if any(part.lstat().st_mode & 0o022 for part in (path, *path.rglob("*"))):
                _LOG.info("%s is made anew: others could write to it", path)
                is_folder = path.is_dir() and not path.is_symlink()
                shutil.rmtree(path) if is_folder else path.unlink()


def _fingerprint(net: nn.Layer, inputs: Arrays, multiple: int | None) -> str:
    """Return a name that changes with the network's code, options and weights, and with Paddle."""
    digest = hashlib.sha256()
    shapes = [(*array.shape[1:-2], multiple) if multiple else array.shape for array in inputs]
    digest.update(repr((paddle.__version__, ppzoo.__version__, shapes)).encode())
    modules = {type(layer).__module__ for layer in net.sublayers(include_self=True)}
    for name in sorted(modules):
        if not name.startswith("paddle."):
            digest.update(_source(name))
    # Running statistics that go on changing, and are never used.
    idle = {
        f"{name}.{buffer}" if name else buffer
        for name, layer in net.named_sublayers(include_self=True)
        if isinstance(layer, BatchNormOfBatch)
        for buffer in ("_mean", "_variance")
    }
    for name, value in net.state_dict().items():
        if name in idle:
            continue
        array = np.ascontiguousarray(value.numpy())
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(array.data if array.size else b"")
    # What every layer has is Paddle's bookkeeping, and an upsampling finds its layout when it runs.
    ignored = {*vars(nn.Layer()), "data_format"}
    for name, layer in net.named_sublayers(include_self=True):
        options = {k: v for k, v in vars(layer).items() if k not in ignored and _is_plain(v)}
        digest.update(repr((name, type(layer), sorted(options.items()))).encode())
    return digest.hexdigest()[:32]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _source(module: str) -> bytes:
    try:
        return inspect.getsource(sys.modules[module]).encode()
    except (OSError, TypeError, KeyError):
        return module.encode()


def _machine(inputs: Arrays) -> str:
    """Return a name for what times depend on beside the network: the machine, the size."""
    report = runtime.configure()
    pixels = sum(array.size // max(1, array.shape[1]) for array in inputs)
    facts = (report.processor, report.threads, runtime.physical_cores(), round(np.log2(pixels)))
    tools = tuple(_version(name) for name in ("paddle2onnx", "onnxruntime"))
    return hashlib.sha256(repr((facts, tools)).encode()).hexdigest()[:16]


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _of_other_size(inputs: Arrays, multiple: int) -> Arrays:
    """Return inputs of another size, small and no squares if the multiple allows it."""
    side = -(-_SMALL // multiple) * multiple
    random = np.random.default_rng(0)
    others = []
    for array in inputs:
        *front, h, _ = array.shape
        height = side if h != side else side + multiple
        width = side if height != side else side + multiple
        low, high = float(array.min()), float(array.max())
        others.append(random.uniform(low, high, (*front, height, width)).astype(np.float32))
    return tuple(others)


@contextlib.contextmanager
def _plain_operators(net: nn.Layer) -> Iterator[None]:
    """Spell operators out while a network is traced, and leave the network as it was.

    Paddle 3 writes the slope of a leaky ReLU and the scale of an upsampling as doubles, which its
    converter to ONNX reads as floats (any slope comes out, or it gives up) and oneDNN's upsampling
    cannot read at all. Moving pixels into channels it refuses unless sides are known.
    """
    layers = net.sublayers(include_self=True)
    own = {layer: vars(layer)["forward"] for layer in layers if "forward" in vars(layer)}
    leaky_relu, interpolate = F.leaky_relu, F.interpolate
    pixel_unshuffle = F.pixel_unshuffle

    def plain_leaky_relu(
        x: paddle.Tensor, negative_slope: float = 0.01, name: str | None = None
    ) -> paddle.Tensor:
        if not 0 <= negative_slope <= 1:
            return leaky_relu(x, negative_slope)
        return paddle.maximum(x, x * negative_slope)

    def plain_interpolate(x: paddle.Tensor, *args: Any, **kwargs: Any) -> paddle.Tensor:
        given = {key: value for key, value in kwargs.items() if value is not None}
        scale, mode = given.pop("scale_factor", None), given.pop("mode", "nearest")
        usual = {"align_corners": False, "align_mode": 0, "data_format": "NCHW"}
        is_usual = not args and all(usual.get(key) == value for key, value in given.items())
        scale = scale[0] if scale in ([2, 2], (2, 2)) else scale
        if not is_usual or not isinstance(scale, int) or x.ndim != 4:
            return interpolate(x, *args, **kwargs)
        if mode == "nearest" and scale == 2:
            # Four of each channel, which then become the four pixels of a square.
            order = paddle.to_tensor(np.arange(x.shape[1]).repeat(4))
            return F.pixel_shuffle(paddle.gather(x, order, axis=1), 2)
        if mode == "bilinear":
            # All pixels of a square are means of the same nine.
            around = F.pad(x, [1, 1, 1, 1], mode="replicate")
            filters = np.tile(bilinear_kernels(scale)[:, np.newaxis], (x.shape[1], 1, 1, 1))
            enlarged = F.conv2d(around, paddle.to_tensor(filters), groups=x.shape[1])
            return F.pixel_shuffle(enlarged, scale)
        return interpolate(x, *args, **kwargs)

    def plain_pixel_unshuffle(
        x: paddle.Tensor,
        downscale_factor: int,
        data_format: str = "NCHW",
        name: str | None = None,
    ) -> paddle.Tensor:
        if data_format != "NCHW":
            return pixel_unshuffle(x, downscale_factor, data_format)
        # Each filter takes one pixel of a square.
        pixels = np.eye(downscale_factor**2, dtype=np.float32)
        pixels = pixels.reshape(-1, 1, downscale_factor, downscale_factor)
        weight = paddle.to_tensor(np.tile(pixels, (x.shape[1], 1, 1, 1)))
        return F.conv2d(x, weight, stride=downscale_factor, groups=x.shape[1])

    F.leaky_relu, F.interpolate = plain_leaky_relu, plain_interpolate
    F.pixel_unshuffle = plain_pixel_unshuffle
    try:
        yield
    finally:
        F.leaky_relu, F.interpolate = leaky_relu, interpolate
        F.pixel_unshuffle = pixel_unshuffle
        # Paddle 2.6 leaves its translation of `forward` in every layer.
        for layer in layers:
            vars(layer).pop("forward", None)
            if layer in own:
                layer.forward = own[layer]


def _tidy(parent: Path) -> None:
    """Remove exports that were left unfinished long ago, and those that were not used lately."""
    whole: list[tuple[float, Path]] = []
    for path in parent.iterdir():
        with contextlib.suppress(OSError):
            age = time.time() - path.stat().st_mtime
            if not path.name.startswith("."):
                whole.append((age, path))
            elif age > _STALE:
                shutil.rmtree(path, ignore_errors=True)
    for _, path in sorted(whole)[_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
