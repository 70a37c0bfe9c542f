# SPDX-License-Identifier: Apache-2.0
"""What runs an exported network, and a program that tries it out in a process of its own.

`python -m ppzoo.apps.backends FOLDER EXAMPLES THREADS NAME...` answers one line of JSON when it
begins with a backend and one when it has checked and measured it. A backend that ends the process,
as a wrong instruction or a failed assertion in a library does, is found out that way without harm
to the process that asks.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.apps.onnx_convs import rewrite

Arrays = tuple[np.ndarray, ...]
Run = Callable[[Sequence[np.ndarray]], Arrays]

# Backends that run an exported network, and what `describe` calls them.
TITLES = {
    "static": "Paddle's static graph",
    "inference": "Paddle Inference with oneDNN",
    "onnx": "ONNX Runtime",
}
STEM = "model"
TOLERANCE = 1e-3
# Opset 17 has all that the generators use; Paddle's converter knows it since 1.0.
_OPSET = 17
_ENOUGH_SECONDS, _ENOUGH_RUNS = 0.6, 10


class RefusedError(Exception):
    """A backend that cannot run the network, or not right; the message says why."""


def is_installed(name: str) -> bool:
    """Tell whether the packages of a backend are installed."""
    packages = ("paddle2onnx", "onnxruntime") if name == "onnx" else ()
    return all(importlib.util.find_spec(package) is not None for package in packages)


def load(name: str, folder: Path, threads: int) -> Run:
    """Load an exported network into a backend.

    Args:
        name: a key of TITLES.
        folder: holds what `paddle.jit.save` wrote under the name `model`.
        threads: threads to compute on.

    Returns:
        What maps a sequence of input arrays to the tuple of all outputs.
    """
    return {"static": _load_static, "inference": _load_inference, "onnx": _load_onnx}[name](
        folder, threads
    )


def flat_outputs(outputs: Any) -> tuple[Any, ...]:
    """Return a network's output or outputs as a tuple, nested ones in their order."""
    if isinstance(outputs, (list, tuple)):
        return tuple(leaf for item in outputs for leaf in flat_outputs(item))
    return (outputs,)


def deviation(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the largest difference, in units of the largest value where that is above 1.

    Infinity if numbers or shapes of the outputs differ or a value is not a number.
    """
    if [array.shape for array in outputs] != [array.shape for array in expected]:
        return float("inf")
    worst = 0.0
    for array, wanted in zip(outputs, expected, strict=True):
        if wanted.size:
            difference = np.abs(array.astype(np.float64) - wanted).max()
            difference /= max(1.0, float(np.abs(wanted).max()))
            worst = max(worst, float("inf") if np.isnan(difference) else float(difference))
    return worst


def program_file(folder: Path) -> Path:
    """Return the graph's file: Paddle 3 writes JSON, Paddle 2 its own format."""
    path = folder / f"{STEM}.json"
    return path if path.exists() else folder / f"{STEM}.pdmodel"


def measure(run: Run, arrays: Sequence[np.ndarray]) -> float:
    """Return the seconds of one run: the least of a few, at most about a second's worth.

    The least, because other processes only ever add to it.
    """
    times: list[float] = []
    while not times or (sum(times) < _ENOUGH_SECONDS and len(times) < _ENOUGH_RUNS):
        start = time.perf_counter()
        run(arrays)
        times.append(time.perf_counter() - start)
    return min(times)


def _load_static(folder: Path, threads: int) -> Run:
    import paddle

    layer = paddle.jit.load(str(folder / STEM))
    layer.eval()

    def run(arrays: Sequence[np.ndarray]) -> Arrays:
        with paddle.no_grad():
            outputs = layer(*(paddle.to_tensor(array) for array in arrays))
        return tuple(output.numpy() for output in flat_outputs(outputs))

    return run


def _load_inference(folder: Path, threads: int) -> Run:
    from paddle import inference

    from ppzoo import runtime

    config = inference.Config(str(program_file(folder)), str(folder / f"{STEM}.pdiparams"))
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(threads)
    config.enable_mkldnn()
    config.switch_ir_optim(True)
    predictor = inference.create_predictor(config)
    inputs = [predictor.get_input_handle(name) for name in predictor.get_input_names()]
    outputs = [predictor.get_output_handle(name) for name in predictor.get_output_names()]

    def run(arrays: Sequence[np.ndarray]) -> Arrays:
        for handle, array in zip(inputs, arrays, strict=True):
            handle.reshape(array.shape)
            handle.copy_from_cpu(np.ascontiguousarray(array))
        predictor.run()
        runtime.restore_threads()
        return tuple(handle.copy_to_cpu() for handle in outputs)

    return run


def _load_onnx(folder: Path, threads: int) -> Run:
    path = _onnx_path(folder)
    if not path.exists():
        _convert(folder, path, threads)
    session = _session(path, threads)
    names = [entry.name for entry in session.get_inputs()]

    def run(arrays: Sequence[np.ndarray]) -> Arrays:
        return tuple(session.run(None, dict(zip(names, arrays, strict=True))))

    return run


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # only what is fatal; the rest goes to the exception
    # Threads that spin between two pictures keep those who read and write pictures off the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _onnx_path(folder: Path) -> Path:
    from importlib.metadata import version

    return folder / f"{STEM}-{version('paddle2onnx')}.onnx"


def _convert(folder: Path, path: Path, threads: int) -> None:
    import paddle2onnx

    temporary = path.with_name(f".{secrets.token_hex(6)}.onnx")
    try:
        paddle2onnx.export(
            str(program_file(folder)),
            str(folder / f"{STEM}.pdiparams"),
            str(temporary),
            opset_version=_OPSET,
        )
        # The converter answers some networks by a line on the terminal and no file.
        if not temporary.exists():
            raise RefusedError("it cannot be converted to ONNX")
        _complete(temporary)
        _hasten(temporary, threads)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _hasten(path: Path, threads: int) -> None:
    """Rewrite the graph's convolutions, if it is faster then."""
    new = path.with_name(f"{path.stem}.new.onnx")
    try:
        if rewrite(path, new) and _seconds(new, threads) < _seconds(path, threads):
            os.replace(new, path)
    # Without that it runs, too.
    except Exception as error:
        sys.stderr.write(f"convolutions are left as they are: {error}\n")
    finally:
        new.unlink(missing_ok=True)


def _seconds(path: Path, threads: int) -> float:
    session = _session(path, threads)
    inputs = {entry.name: np.ones(entry.shape, np.float32) for entry in session.get_inputs()}
    return measure(lambda _: tuple(session.run(None, inputs)), ())


def _complete(path: Path) -> None:
    """Say of deformable convolutions in how many groups they move, which the converter leaves out.

    That is told by how many offsets they get for each tap of the kernel.
    """
    import onnx

    model = onnx.load(str(path))
    nodes = [node for node in model.graph.node if node.op_type == "DeformConv"]
    nodes = [node for node in nodes if all(a.name != "offset_group" for a in node.attribute)]
    if not nodes:
        return
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    channels = {value.name: value.type.tensor_type.shape.dim[1:2] for value in known}
    kernels = {value.name: value.dims[2:] for value in model.graph.initializer}
    for node in nodes:
        _, kernel, offset, *_ = node.input
        if kernel not in kernels or not channels.get(offset):
            raise RefusedError("it has a deformable convolution whose groups cannot be told")
        groups = channels[offset][0].dim_value // (2 * math.prod(kernels[kernel]))
        node.attribute.append(onnx.helper.make_attribute("offset_group", groups))
    onnx.save(model, str(path))


def _try(name: str, folder: Path, examples: Path, threads: int) -> dict[str, Any]:
    """Return what is to be reported of one backend: seconds, or why it is refused."""
    with np.load(examples) as file:
        arrays = dict(file)
    try:
        run = load(name, folder, threads)
        # From the last to the first, which is the one to be measured.
        for case in reversed(range(int(arrays["cases"]))):
            inputs = _numbered(arrays, f"input{case}.")
            start = time.perf_counter()
            outputs = run(inputs)
            seconds = time.perf_counter() - start
            error = deviation(outputs, _numbered(arrays, f"output{case}."))
            if error > TOLERANCE:
                return {"refused": f"its results differ by {error:.2g}"}
        # A first run is slower than others, but not by as much as this.
        if seconds <= arrays["limit"]:
            seconds = measure(run, inputs)
        return {"seconds": seconds, "deviation": error}
    # Whatever a backend says, it cannot run this network.
    except Exception as error:
        reason = str(error).strip().splitlines()
        return {"refused": reason[-1][:200] if reason else type(error).__name__}


def _numbered(arrays: dict[str, np.ndarray], prefix: str) -> Arrays:
    count = sum(name.startswith(prefix) for name in arrays)
    return tuple(arrays[f"{prefix}{i}"] for i in range(count))


def main(argv: Sequence[str]) -> None:
    """Try backends as the command line says."""
    folder, examples, threads, *names = argv
    for name in names:
        sys.stdout.write(json.dumps({"backend": name}) + "\n")
        sys.stdout.flush()
        result = _try(name, Path(folder), Path(examples), int(threads))
        sys.stdout.write(json.dumps({"backend": name, **result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
