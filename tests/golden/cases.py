# SPDX-License-Identifier: Apache-2.0
"""Reading, running and comparing recorded cases.

A case is an .npz file: `case` holds its description as JSON, `out/<i>` the numbers that PaddleGAN
gave, `in/<name>` some of the arguments. Arguments, weights and noise are functions of a text, a
shape and a recipe, so that they need not be stored.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle

FOLDER = Path(__file__).with_name("cases")
RELATIVE, ABSOLUTE = 1e-4, 1e-5
Results = dict[str, np.ndarray]


@dataclasses.dataclass
class Case:
    """A recorded case.

    Args:
        id: such as `net/dcgenerator_mnist_eval`.
        spec: what to run, with `kind` and `seed`.
        outputs: description of each output: `path`, `shape`, tolerances.
        loss_names: columns of a training case's losses.
        arrays: the entries of the file.
    """

    id: str
    spec: dict[str, Any]
    outputs: list[dict[str, Any]]
    loss_names: list[str]
    arrays: dict[str, np.ndarray]


def read(path: Path) -> Case:
    """Read a case from its file."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    text = json.loads(arrays.pop("case").tobytes().decode("utf-8"))
    return Case(text["id"], text["spec"], text["outputs"], text.get("loss_names", []), arrays)


# -- arrays as functions of a text


def stream(text: str) -> np.random.Generator:
    """Return the random numbers that belong to a text."""
    return np.random.default_rng(zlib.crc32(text.encode("utf-8")))


def make(recipe: Mapping[str, Any], text: str, shape: Sequence[int]) -> np.ndarray:
    """Return the array of a recipe, computed in float64 and rounded once.

    Raises:
        KeyError: no case here has such a recipe so far.
    """
    op, get = recipe["op"], recipe.get
    low, high = get("lo", 0), get("hi", 1)
    kind = {"ints": "int64", "smooth_u8": "uint8"}.get(op, "float32")
    values = {
        "normal": lambda: get("mean", 0) + get("std", 1) * stream(text).standard_normal(shape),
        "absnormal": lambda: (
            get("mean", 0) + get("std", 1) * abs(stream(text).standard_normal(shape))
        ),
        "unit": lambda: _unit(stream(text).standard_normal(shape)),
        "gate": lambda: np.clip(0.5 + 0.1 * stream(text).standard_normal(shape), 0, 1),
        "const": lambda: np.full(shape, recipe["value"]),
        "eyes": lambda: np.eye(*shape[-2:]) + get("std") * stream(text).standard_normal(shape),
        "eye2": lambda: (
            np.resize([1.0, 0.0, 0.0, 1.0], shape)
            + get("std") * stream(text).standard_normal(shape)
        ),
        "wave": lambda: _wave(recipe, text, shape),
        "uniform": lambda: low + (high - low) * stream(text).random(shape),
        "ints": lambda: stream(text).integers(low, high, shape),
        "pixels": lambda: low + (high - low) * (stream(text).integers(0, 256, shape) / 255.0),
        "smooth": lambda: low + (high - low) * (_levels(text, shape) / 255.0),
        "smooth_u8": lambda: _photograph(text, shape, get("jitter", 0)),
        "value": lambda: np.reshape(recipe["value"], shape),
    }[op]()
    return np.asarray(values).astype(get("dtype", kind))


def _wave(recipe: Mapping[str, Any], text: str, shape: Sequence[int]) -> np.ndarray:
    """Return a sound of sines, a chirp and noise."""
    times = np.arange(shape[0]) / recipe["rate"]
    wave = sum(a * np.sin(2 * np.pi * hertz * times + p) for a, hertz, p in recipe["sines"])
    amplitude, low, high = recipe["chirp"]
    bend = 0.5 * (high - low) * times**2 / (shape[0] / recipe["rate"])
    wave = wave + amplitude * np.sin(2 * np.pi * (low * times + bend))
    return wave + recipe["noise"] * stream(text).standard_normal(shape)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.sqrt((values * values).sum())


def _levels(text: str, shape: Sequence[int]) -> np.ndarray:
    """Return levels 0 to 255, [..., H, W]: four plane waves a channel; some lie outside."""
    *lead, height, width = shape
    waves = stream(text).random([int(np.prod(lead)), 4, 3, 1, 1])
    fy, fx, phase = -3 + 6 * waves[:, :, 0], -3 + 6 * waves[:, :, 1], 2 * np.pi * waves[:, :, 2]
    y, x = np.arange(height)[:, None] / height, np.arange(width)[None, :] / width
    total = np.zeros([len(waves), height, width])
    for wave in range(4):
        total += np.cos(2 * np.pi * (fy[:, wave] * y + fx[:, wave] * x) + phase[:, wave])
    return np.floor((0.5 + total / 8.0) * 255.0 + 0.5).reshape(shape)


def _photograph(text: str, shape: Sequence[int], jitter: int) -> np.ndarray:
    """Return levels [..., H, W, C], perhaps with noise."""
    *lead, height, width, channels = shape
    levels = np.moveaxis(_levels(text, [*lead, channels, height, width]), -3, -1)
    if jitter:
        levels = levels + stream(f"{text}/jitter").integers(-jitter, jitter + 1, shape)
    return np.clip(levels, 0, 255)


class Noise:
    """Random draws that belong to a seed: the k-th of a kind and a shape is always the same."""

    def __init__(self, seed: object) -> None:
        self.seed = seed
        self.drawn: dict[str, int] = {}

    def normal(self, shape: Sequence[int]) -> np.ndarray:
        """Return standard-normal values."""
        return self._draw("normal", shape, {"op": "normal"})

    def uniform(self, shape: Sequence[int]) -> np.ndarray:
        """Return values in [0, 1)."""
        return self._draw("uniform", shape, {"op": "uniform"})

    def randint(self, low: int, high: int, shape: Sequence[int]) -> np.ndarray:
        """Return integers, low <= i < high."""
        return self._draw("randint", shape, {"op": "ints", "lo": low, "hi": high})

    def _draw(self, kind: str, shape: Sequence[int], recipe: Mapping[str, Any]) -> np.ndarray:
        place = f"{self.seed}/noise/{kind}/{'x'.join(map(str, shape)) or 'scalar'}"
        number = self.drawn[place] = self.drawn.get(place, -1) + 1
        return make(recipe, f"{place}/{number}", shape)


def argument(spec: Mapping[str, Any], seed: object, name: str) -> Any:
    """Return the argument that a case describes; tensors unless it says numpy."""
    if "literal" in spec:
        return spec["literal"]
    for container, build in (("list", list), ("tuple", tuple)):
        if container in spec:
            return build(argument(s, seed, f"{name}.{i}") for i, s in enumerate(spec[container]))
    if "dict" in spec:
        return {key: argument(s, seed, f"{name}.{key}") for key, s in spec["dict"].items()}
    array = make(spec, f"{seed}/input/{spec.get('tag', name)}", spec["shape"])
    if spec.get("as") == "numpy":
        return array
    return paddle.to_tensor(array, stop_gradient=not spec.get("grad", False))


def arguments(
    call: Mapping[str, Any],
    seed: object,
    args: str = "args",
    kwargs: str = "kwargs",
    place: str = "",
) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the keyword arguments of a call."""
    positional = [argument(s, seed, f"{place}a{i}") for i, s in enumerate(call.get(args, []))]
    named = {key: argument(s, seed, f"{place}{key}") for key, s in call.get(kwargs, {}).items()}
    return positional, named


# -- running


def run(
    case: Case, adapter: Any, rounding: np.random.Generator | None = None
) -> tuple[Results, list[str]]:
    """Run a case and return its outputs by path, and what is wrong besides them.

    Args:
        case: the case.
        adapter: what gives access to ppzoo.
        rounding: if given, weights of training cases are moved by about one unit of rounding.
    """
    kind = "function" if "calls" in case.spec else case.spec["kind"]
    runner = {
        "keylist": _run_keylist,
        "network": _run_network,
        "function": _run_calls,
        "lr": _run_schedule,
        "metric": _run_metric,
        "train": _run_training,
    }[kind]
    options = {} if rounding is None else {"rounding": rounding}
    pretrained = {
        tag: weights(part["state"], part["seed"])
        for tag, part in (case.spec.get("pretrained") or {}).items()
    }
    with adapter.pretrained(pretrained), adapter.noise(Noise(case.spec["seed"])):
        return runner(case, adapter, **options)


def _run_keylist(case: Case, adapter: Any) -> tuple[Results, list[str]]:
    spec = case.spec
    net = adapter.build_network(spec["registry"], spec["name"], spec["kwargs"])
    return {}, layout_problems(net, spec["state"]) + _constant_problems(net, case)


def _run_network(case: Case, adapter: Any) -> tuple[Results, list[str]]:
    spec = case.spec
    net = adapter.build_network(spec["registry"], spec["name"], spec["kwargs"])
    problems = layout_problems(net, spec["state"]) + _constant_problems(net, case)
    stored = [e["key"] for e in spec["state"] if e["fill"]["op"] == "stored"]
    drawn = [e for e in spec["state"] if e["key"] not in stored]
    recorded = {key: case.arrays[f"buf/{key}"] for key in stored}
    net.set_state_dict(weights(drawn, spec["seed"]) | recorded)
    args, kwargs = arguments(spec, spec["seed"], kwargs="kwargs_call")
    mode = spec["mode"]
    net.eval() if mode == "eval" else net.train()
    call = getattr(net, spec.get("method") or "forward")
    with paddle.no_grad():
        if mode.startswith("warm"):
            for _ in range(int(mode.removeprefix("warm").removesuffix("_eval"))):
                call(*args, **kwargs)
            net.eval()
        results = flat(call(*args, **kwargs))
    buffers = [e["key"] for e in spec["state"] if e["buffer"] and e["key"] not in stored]
    if mode != "eval" and spec.get("post_buffers", True) and buffers:
        state = net.state_dict()
        results["/post_buffers"] = np.concatenate([state[k].numpy().ravel() for k in buffers])
    return results, problems


def _constant_problems(net: paddle.nn.Layer, case: Case) -> list[str]:
    """Compare what a network has after construction with the constants that were recorded."""
    state = net.state_dict()
    constants = {k.removeprefix("buf/"): v for k, v in case.arrays.items() if k[:4] == "buf/"}
    return [
        f"the constant {key} differs"
        for key, value in constants.items()
        if key not in state or not np.allclose(state[key].numpy(), value, rtol=1e-5, atol=1e-6)
    ]


def _run_calls(case: Case, adapter: Any) -> tuple[Results, list[str]]:
    spec, results = case.spec, {}
    name, kwargs = spec["name"], spec.get("kwargs", {})
    for number, call in enumerate(spec["calls"]):
        args, named = arguments(call, spec["seed"])
        function: Callable[..., Any] = {
            "criterion": lambda: adapter.build_criterion(name, kwargs),
            "transform": lambda: adapter.build_transform(name, kwargs),
            "pipeline": lambda: adapter.build_preprocess(spec["stages"]),
            "function": lambda: TOYS[name](adapter) if name in TOYS else adapter.helper(name),
        }[spec["kind"]]()
        returned = function(*args, **named)
        if "keep" in call:
            returned = {key: returned[key] for key in call["keep"]}
        results |= flat(returned, f"/call{number}")
        if "grad_of" in call:
            tensors = returned if isinstance(returned, tuple) else (returned,)
            sum(tensor.sum() for tensor in tensors if tensor is not None).backward()
            for i in call["grad_of"]:
                results[f"/call{number}/grad_a{i}"] = args[i].grad.numpy()
    return results, []


def _toy_penalty(adapter: Any) -> Callable[..., paddle.Tensor]:
    def penalise(real: Any, fake: Any, factors: Any, weight: float) -> paddle.Tensor:
        criterion = adapter.build_criterion("GradientPenalty", {"loss_weight": weight})
        return criterion(lambda x: (factors * x * x).sum(axis=[1, 2, 3]), real, fake)

    return penalise


def _toy_transform(adapter: Any) -> Callable[..., dict[str, paddle.Tensor]]:
    def warp(frame: Any, points: Any, options: Mapping[str, Any]) -> dict[str, paddle.Tensor]:
        transform = adapter.helper("FirstOrderTransform")(frame.shape[0], **options)
        return {
            "frame": transform.transform_frame(frame),
            "warp": transform.warp_coordinates(points),
            "jacobian": transform.jacobian(points),
        }

    return warp


TOYS = {"toy_gradient_penalty": _toy_penalty, "toy_fom_transform": _toy_transform}


def _run_schedule(case: Case, adapter: Any) -> tuple[Results, list[str]]:
    spec, rates = case.spec, []
    schedule = adapter.build_lr_scheduler(spec["name"], spec["kwargs"])
    if spec["how"] == "epochs":
        for epoch in spec["epochs"]:
            schedule.step(epoch)
            rates.append(schedule.get_lr())
    else:
        for _ in range(spec["steps"]):
            rates.append(schedule.get_lr())
            schedule.step()
    return {"/lr": np.array(rates, "float64")}, []


def _run_metric(case: Case, adapter: Any) -> tuple[Results, list[str]]:
    metric = adapter.build_metric(case.spec["name"], case.spec["kwargs"])
    for number, update in enumerate(case.spec["updates"]):
        args, kwargs = arguments(update, case.spec["seed"], place=f"u{number}.")
        metric.update(*args, **kwargs)
    return {"/value": np.array(metric.accumulate(), "float64")}, []


def _run_training(
    case: Case, adapter: Any, rounding: np.random.Generator | None = None
) -> tuple[Results, list[str]]:
    spec, problems, start = case.spec, [], {}
    model = adapter.build_model(spec["model"])
    adapter.setup_training(model, spec["lr_scheduler"], spec["optimizer"])
    for name, net in spec["nets"].items():
        problems += layout_problems(model.nets[name], net["state"])
        constants = {e["key"] for e in net["state"] if e["fill"]["op"] == "stored"}
        drawn = [entry for entry in net["state"] if entry["key"] not in constants]
        start[name] = weights(drawn, f"{spec['seed']}/{name}")
        start[name] |= {key: case.arrays[f"buf/{name}/{key}"] for key in constants}
        if rounding is not None:
            start[name] = {
                key: np.float32(value * (1 + 1.2e-7 * rounding.standard_normal(value.shape)))
                for key, value in start[name].items()
            }
        model.nets[name].set_state_dict(start[name])
    logs = []
    for i in range(spec["iters"]):
        batch = {key: argument(s, spec["seed"], f"{key}.{i}") for key, s in spec["batch"].items()}
        logs.append(adapter.train_step(model, batch))
    names = sorted(set().union(*logs))
    if names != case.loss_names:
        problems.append(f"losses are {names}, expected {case.loss_names}")
    losses = [[log.get(name, np.nan) for name in case.loss_names] for log in logs]
    results = {"/losses": np.array(losses)}
    for name in spec["nets"]:
        rows = []
        for key, value in model.nets[name].state_dict().items():
            end, moved = np.float64(value.numpy()), np.float64(value.numpy()) - start[name][key]
            rows.append([end.mean(), end.std(), moved.mean(), np.sqrt((moved**2).mean())])
        results[f"/params/{name}"] = np.array(rows)
    return results, problems


def weights(entries: Sequence[Mapping[str, Any]], seed: object) -> dict[str, np.ndarray]:
    """Return the state dict of a case's network."""
    return {e["key"]: make(e["fill"], f"{seed}/{e['key']}", e["shape"]) for e in entries}


def layout_problems(net: paddle.nn.Layer, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare keys, their order, shapes and types of a network with the recorded ones."""
    got = [
        (key, list(value.shape), str(value.dtype).removeprefix("paddle."))
        for key, value in net.state_dict().items()
    ]
    want = [(e["key"], e["shape"], e["dtype"]) for e in entries]
    if len(got) != len(want):
        return [f"the state dict has {len(got)} entries, expected {len(want)}"]
    pairs = zip(got, want, strict=True)
    return [f"entry {g} of the state dict, expected {w}" for g, w in pairs if g != w]


def flat(value: Any, path: str = "") -> Results:
    """Return the arrays in a nested result by their paths."""
    items: Iterator[tuple[Any, Any]]
    if value is None:
        return {}
    if isinstance(value, Mapping):
        items = ((key, value[key]) for key in sorted(value, key=str))
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        if isinstance(value, str):
            value = np.frombuffer(value.encode("utf-8"), "uint8")
        return {path or "/": value.numpy() if hasattr(value, "numpy") else np.asarray(value)}
    return {p: array for key, item in items for p, array in flat(item, f"{path}/{key}").items()}


# -- comparing


def differences(case: Case, results: Results) -> list[str]:
    """Return a line for each output that is not as recorded."""
    lines = []
    paths = [output["path"] for output in case.outputs]
    if sorted(paths) != sorted(results):
        lines.append(f"outputs {sorted(results)}, expected {sorted(paths)}")
    for number, output in enumerate(case.outputs):
        if output["path"] not in results:
            continue
        got, want = results[output["path"]], case.arrays[f"out/{number}"]
        if list(got.shape) != output["shape"]:
            lines.append(f"{output['path']}: shape {list(got.shape)}, expected {output['shape']}")
            continue
        if output.get("mode") == "sample":
            got = got.reshape(-1)[:: output["step"]]
        tolerance = _tolerance(output, want, case.arrays.get(f"atol/{number}"))
        with np.errstate(invalid="ignore"):
            apart = np.abs(np.float64(got) - np.float64(want))
        apart = np.where((np.isnan(got) & np.isnan(want)) | (got == want), 0.0, apart)
        if not (apart <= tolerance).all():
            worst = np.nanmax(apart / np.maximum(tolerance, 1e-30))
            lines.append(f"{output['path']}: up to {worst:.3g} tolerances apart")
    return lines


def _tolerance(output: Mapping[str, Any], want: np.ndarray, recorded: np.ndarray | None) -> Any:
    if recorded is not None:
        return np.float64(recorded)
    if want.dtype.kind in "iu":
        return output.get("int_tol", 0)
    if "abs_tol" in output:
        return output["abs_tol"]
    want = np.float64(want)
    finite = want[np.isfinite(want)]
    scale = output.get("scale", np.sqrt((finite**2).mean()) if finite.size else 0.0)
    return output.get("tol", 1.0) * (ABSOLUTE * max(scale, 1e-7) + RELATIVE * np.abs(want))
