# SPDX-License-Identifier: Apache-2.0
"""`ppzoo export`: trained networks as Paddle's inference models, for programs without ppzoo.

What is written is compared with the network itself. As PaddleGAN does, First Order Motion becomes
`fom_dy2st/kp_detector` and `fom_dy2st/generator`, which moves a picture as a driver has moved.
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

import ppzoo
from ppzoo.apps import add_overrides
from ppzoo.apps.backends import deviation, flat_outputs
from ppzoo.apps.inference import save_traced
from ppzoo.config import TrainConfig, load_config
from ppzoo.config.schema import ExportItem
from ppzoo.errors import ConfigError, UserError
from ppzoo.model import Model
from ppzoo.motion.firstorder.keypoints import normalize_kp
from ppzoo.nn.modes import evaluating
from ppzoo.weights import load_state, read, select_net

Shape = tuple[int | None, ...]

OUTPUT_DIR = "inference_model"
_MOTION = ("kp_detector", "generator")  # First Order Motion has them, both are exported
_GENERATORS = ("gen", "netG")  # what names of generators begin with
_MOST = 1e-3  # that a result may differ by, of the largest value


def parse_sizes(text: str) -> list[Shape]:
    """Return shapes that are written as PaddleGAN does: `1,3,256,256;-1,80`, -1 for any.

    Raises:
        UserError: it is written in another way.
    """
    try:
        sizes = [[int(side) for side in part.split(",")] for part in text.strip(" ;").split(";")]
    except ValueError:
        sizes = []
    if not sizes or any(side < 1 and side != -1 for size in sizes for side in size):
        raise UserError(
            f"the inputs' sizes are {text!r}, expected numbers such as 1,3,256,256 with -1 for any "
            "size, and ';' between several inputs"
        )
    return [tuple(None if side == -1 else side for side in size) for size in sizes]


def export_networks(
    config: TrainConfig,
    weights: str | os.PathLike[str],
    sizes: Sequence[Shape],
    output_dir: str | os.PathLike[str] = OUTPUT_DIR,
    model_name: str | None = None,
) -> dict[str, Path]:
    """Write networks as inference models, and return their graphs' files by name.

    Args:
        config: of their training; `export_model` names them, by default the generators.
        weights: weights or a checkpoint; averages are preferred.
        sizes: of all inputs of all networks in turn, None for any size.
        output_dir: where `<model>_<network>` goes, with PaddleGAN's names.
        model_name: instead of that name; of several networks, its beginning.

    Raises:
        ConfigError: there is no such network, or another number of inputs.
        WeightsError: the weights cannot be read or do not fit.
        UserError: a network cannot be traced or written.
    """
    model = ppzoo.build_model(config.model)
    content = read(weights)
    items = config.export_model
    for name in _MOTION if _is_motion(model) else [item.name for item in _items(model, items)]:
        load_state(model.nets[name], select_net(content, name, weights, prefer_ema=True), name)
    return export_model(model, sizes, items, output_dir, model_name)


def export_model(
    model: Model,
    sizes: Sequence[Shape],
    items: Sequence[ExportItem] = (),
    output_dir: str | os.PathLike[str] = OUTPUT_DIR,
    model_name: str | None = None,
) -> dict[str, Path]:
    """Write networks of a model as they are; see `export_networks`.

    Args:
        model: has the networks.
        sizes: of all inputs of all networks in turn, None for any size.
        items: names the networks, by default the generators.
        output_dir: where `<model>_<network>` goes, with PaddleGAN's names.
        model_name: instead of that name; of several networks, its beginning.

    Raises:
        ConfigError: there is no such network, or another number of inputs.
        UserError: a network cannot be traced or written.
    """
    folder = Path(output_dir)
    if _is_motion(model) and sizes:
        return _write_all(_motion(model.nets, sizes), folder / "fom_dy2st")
    items = _items(model, items)
    needed = sum(item.inputs_num for item in items)
    if needed != len(sizes):
        parts = ", ".join(f"{item.name} {item.inputs_num}" for item in items)
        raise ConfigError(
            f"{len(sizes)} inputs' sizes are given, but {needed} are needed (inputs: {parts})"
        )
    left, parts = iter(sizes), {}
    for item in items:
        name = f"{model_name or type(model).__name__.lower()}_{item.name}"
        if model_name is not None and len(items) == 1:
            name = model_name
        parts[name] = (model.nets[item.name], [next(left) for _ in range(item.inputs_num)])
    return _write_all(parts, folder)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo export`."""
    add = parser.add_argument
    add("-c", "--config-file", required=True, metavar="FILE", help="YAML of the training")
    add("--weights", required=True, metavar="FILE", help="weights or checkpoint")
    add(
        "-s",
        "--sizes",
        required=True,
        metavar="N,C,H,W;...",
        help="of the inputs, -1 for any: -s=-1,3,256,256",
    )
    add("--output", default=OUTPUT_DIR, metavar="DIR", help=f"folder for the files ({OUTPUT_DIR})")
    add("--name", help="of the files, instead of MODEL_NETWORK")
    add_overrides(parser)


def run(args: argparse.Namespace) -> None:
    """Export what the command line names, and say where it is.

    Raises:
        UserError: the config, the weights or the sizes cannot be used.
    """
    sizes = parse_sizes(args.sizes)
    config = load_config(args.config_file, args.opt, check=True)
    for name, path in export_networks(config, args.weights, sizes, args.output, args.name).items():
        sys.stdout.write(f"{name}: {path}\n")


class _Points(nn.Layer):
    """The detector of keypoints, Jacobians first: PaddleGAN's outputs are sorted by name."""

    def __init__(self, detector: nn.Layer) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, picture: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        points = self.detector(picture)
        return points["jacobian"], points["value"]


class _Motion(nn.Layer):
    """Moves a picture as a driver has moved since a first frame."""

    def __init__(self, generator: nn.Layer) -> None:
        super().__init__()
        self.generator = generator

    # Tracing takes no `*points`.
    def forward(
        self,
        picture: paddle.Tensor,
        jacobian: paddle.Tensor,
        value: paddle.Tensor,
        driver_jacobian: paddle.Tensor,
        driver_value: paddle.Tensor,
        first_jacobian: paddle.Tensor,
        first_value: paddle.Tensor,
    ) -> paddle.Tensor:
        """Draw the picture: its keypoints come first, then the driver's now and at first."""
        still = {"jacobian": jacobian, "value": value}
        moved = normalize_kp(
            still,
            {"jacobian": driver_jacobian, "value": driver_value},
            {"jacobian": first_jacobian, "value": first_value},
            use_relative_movement=True,
            use_relative_jacobian=True,
        )
        return self.generator(picture, kp_source=still, kp_driving=moved)["prediction"]


def _motion(
    nets: Mapping[str, nn.Layer], sizes: Sequence[Shape]
) -> dict[str, tuple[nn.Layer, list[Shape]]]:
    """Return what First Order Motion consists of, and the shapes of its inputs.

    PaddleGAN asks for the sizes of source, driver, keypoints and Jacobians, of which the first one
    tells all.
    """
    detector: Any = nets["kp_detector"]
    if detector.jacobian is None:
        raise UserError("networks without Jacobians (estimate_jacobian) cannot be exported")
    picture = sizes[0]
    *_, bias = detector.kp.parameters()
    points = bias.shape[0]
    value: Shape = (picture[0], points, 2)
    wanted = [picture, picture, value, (*value, 2)]
    if list(sizes) != wanted[: len(sizes)]:
        shown = ";".join(",".join(str(side or -1) for side in size) for size in wanted)
        raise UserError(f"the inputs' sizes should be {shown} for this network")
    motion = [picture, *[(*value, 2), value] * 3]
    return {
        "kp_detector": (_Points(detector), [picture]),
        "generator": (_Motion(nets["generator"]), motion),
    }


def _is_motion(model: Model) -> bool:
    return set(_MOTION) <= set(model.nets)


def _items(model: Model, items: Sequence[ExportItem]) -> list[ExportItem]:
    """Return the networks that are exported, the generators if none are named."""
    for item in items:
        if item.name not in model.nets:
            raise ConfigError(
                f"export_model: {type(model).__name__} has no network {item.name!r}, only "
                f"{', '.join(model.nets)}"
            )
    return list(items) or _generators(model.nets)


def _generators(nets: Mapping[str, nn.Layer]) -> list[ExportItem]:
    """Return the networks that are exported if the config names none."""
    found = []
    for name, net in nets.items():
        parameters = inspect.signature(net.forward).parameters.values()
        needed = sum(parameter.default is parameter.empty for parameter in parameters)
        if name.startswith(_GENERATORS):
            found.append(ExportItem(name=name, inputs_num=needed))
    if not found:
        raise ConfigError(
            f"export_model names no network: give it one of {', '.join(nets)}, such as -o "
            f"'export_model=[{{name: {next(iter(nets))}, inputs_num: 1}}]'"
        )
    return found


def _write_all(
    parts: Mapping[str, tuple[nn.Layer, Sequence[Shape]]], folder: Path
) -> dict[str, Path]:
    """Write all networks or none, and return their graphs' files by name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as temporary:
            for name, (net, shapes) in parts.items():
                _write(net, shapes, Path(temporary) / name)
            written = sorted(Path(temporary).iterdir())
            for path in written:
                os.replace(path, folder / path.name)
    except OSError as error:
        raise UserError(f"cannot write networks into {folder}: {error.strerror}") from error
    graphs = [path.name for path in written if path.suffix in (".json", ".pdmodel")]
    return {Path(name).stem: folder / name for name in graphs}


def _write(net: nn.Layer, shapes: Sequence[Shape], prefix: Path) -> None:
    """Write a network, and compare what is written with it.

    Raises:
        UserError: it cannot be traced with these sizes, or what is written does something else.
    """
    random = np.random.default_rng(0)
    # A batch of two where any is wanted; other sides are not guessed.
    known = [(shape[0] or 2, *shape[1:]) for shape in shapes]
    try:
        save_traced(net, shapes, prefix)
        if any(side is None for shape in known for side in shape):
            return
        arrays = [random.uniform(0, 1, shape).astype(np.float32) for shape in known]
        with evaluating(net):
            expected = _run(net, arrays)
            found = _run(paddle.jit.load(str(prefix)), arrays)
    except OSError:
        raise
    except Exception as error:  # the network's own code runs, with sizes that it may not take
        line = next(iter(reversed(str(error).strip().splitlines())), type(error).__name__)
        reason = line.strip().removeprefix("ValueError: ")
        if any(len(shape) != 4 for shape in shapes):
            reason = f"pictures have four sizes, such as 1,3,256,256 ({reason})"
        raise UserError(
            f"{prefix.name} cannot be exported with inputs of {_shown(shapes)}: {reason}"
        ) from error
    apart = deviation(found, expected)
    if not apart <= _MOST:
        raise UserError(
            f"{prefix.name} as an inference model makes something else (apart by {apart:.2g}): it "
            "is not written"
        )


def _run(net: Any, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    outputs = net(*(paddle.to_tensor(array) for array in arrays))
    return [output.numpy() for output in flat_outputs(outputs)]


def _shown(shapes: Sequence[Shape]) -> str:
    return "; ".join(" x ".join("any" if s is None else str(s) for s in shape) for shape in shapes)
