# SPDX-License-Identifier: Apache-2.0
"""What the predictors that turn a picture into a picture share: sizes, folders, which generator."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from paddle import nn

from ppzoo import registry
from ppzoo.apps.folders import say_others, stopped_at
from ppzoo.apps.inference import BACKENDS, Runner, make_runner
from ppzoo.config import Component, TrainConfig, load_config
from ppzoo.data.folder import IMAGE_SUFFIXES, find_images
from ppzoo.data.transforms import resize
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.media.image import load_image, to_uint8_images, write_image
from ppzoo.networks.latent import LatentGenerator
from ppzoo.runtime import select_device
from ppzoo.weights import load_state, read, select_net
from ppzoo.weights.torch_names import TorchArrays

_LOG = logging.getLogger(__name__)

Source = str | os.PathLike[str]
OnError = Literal["raise", "skip"]

MAX_SIZE = 1024  # pixels; a residual generator needs some 2 GB for a picture of this side
_MIN_SIDE = 16  # pixels; below, the deepest maps are smaller than their reflected borders
_WORTH_MEASURING = 8  # pictures, whose translation takes longer than finding the fastest way
_WRITABLE = (".png", ".jpg", ".jpeg")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclasses.dataclass(frozen=True)
class Folded:
    """What became of a folder of pictures.

    Args:
        written: files that were written.
        existing: results that were there already, and left.
        problems: one sentence for each picture that was left out.
    """

    written: list[Path]
    existing: list[Path]
    problems: list[str]


class ImageToImagePredictor:
    """Translates pictures of any size by a trained generator.

    A picture is continued by its mirror image up to the next size that the network takes, and the
    result is cut back. A generator that takes a single size only, as U-GAT-IT's full one, gets the
    picture scaled into that size, and its result is scaled back. The backend is the fastest that is
    known for the network; it is searched for before a folder of 8 or more pictures, or at the 8th
    single one (see `ppzoo.apps.inference.make_runner`).

    Args:
        weight_path: weights or a checkpoint, ours or PaddleGAN's; averages are preferred.
        net: the generator's name in that file, such as `netG`.
        config: the YAML that it was trained with. By default the `config.yaml` beside the weights,
            as in a run folder; without one the generator is recognised by its weights.
        size: resize the shorter side to this many pixels for the network. By default pictures are
            taken as they are, which for a network trained at 256 pixels means finer strokes.
        max_size: pictures whose longer side exceeds this are translated at this size, and the
            result is enlarged, with a warning.
        backend: how the network is run: one of dynamic, static, inference, onnx.
        device: `cpu`, `gpu` or `gpu:N`.

    Raises:
        WeightsError: the weights cannot be read or do not fit.
        UserError: an option is out of range, the backend cannot run the network.
    """

    def __init__(
        self,
        weight_path: Source,
        net: str,
        config: Source | None = None,
        *,
        size: int | None = None,
        max_size: int = MAX_SIZE,
        backend: str | None = None,
        device: str | None = None,
    ) -> None:
        for name, value in (("size", size), ("max_size", max_size)):
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}, expected at least 1 pixel")
        if backend is not None and backend not in BACKENDS:
            raise UserError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        self.device = select_device(device)
        arrays = select_net(read(weight_path), net, weight_path, prefer_ema=True)
        loaded = config_of(weight_path, config)
        if loaded is not None:
            spec: Any = loaded.model.kwargs.get("generator")
            if not isinstance(spec, Component):
                raise WeightsError(f"the config of {weight_path} has no model.generator")
        else:
            spec = infer_generator(arrays, weight_path)
        self.generator: nn.Layer = registry.build(registry.GENERATORS, spec)
        if isinstance(self.generator, LatentGenerator):
            raise WeightsError(
                f"{weight_path} belongs to a {type(self.generator).__name__}, which draws pictures "
                "of random numbers and translates none: draw with `ppzoo predict dcgan`"
            )
        load_state(self.generator, arrays, weight_path)
        self.generator.eval()
        options = spec.kwargs if isinstance(spec, Component) else spec
        self.channels = int(options.get("input_nc", 3))
        if self.channels not in (1, 3):
            raise WeightsError(
                f"{weight_path}: the generator takes {self.channels} channels, pictures have 1 or 3"
            )
        self.size, self.max_size, self.backend = size, max_size, backend
        self._multiple = int(getattr(self.generator, "size_multiple", 1))
        self._min_side = int(getattr(self.generator, "min_size", _MIN_SIDE))
        # Pixels of the only size that the network takes, None if it takes several.
        is_bound = getattr(self.generator, "light", True) is False
        self._only_size = int(self.generator.img_size) if is_bound else None
        self._runner: Runner | None = None
        self._seen = 0

    def run(self, image: Any) -> np.ndarray:
        """Translate a picture.

        Args:
            image: a path, a Pillow image or an array; see `ppzoo.media.image.load_image` for what
                becomes of grey, alpha, 16 bits and a camera's orientation.

        Returns:
            uint8 RGB [H, W, 3] of the picture's size.

        Raises:
            DataError: it is no picture, or cannot be read.
        """
        return self._translate(load_image(image))[0]

    def describe(self) -> str:
        """Return one line on the backend in use; before the first picture, that there is none."""
        return "no picture yet" if self._runner is None else self._runner.describe()

    def run_folder(
        self,
        source: Source,
        output: Source,
        *,
        on_error: OnError = "raise",
        skip_existing: bool = False,
        compare: bool = False,
    ) -> Folded:
        """Translate a picture, or all of a folder and its subfolders, with a progress bar.

        Args:
            source: a picture file or a folder.
            output: a folder, which gets the same subfolders and names; of a single picture, also
                the result's name. Formats other than PNG and JPEG become PNG.
            on_error: `raise` stops at a picture that cannot be read, `skip` leaves it out.
            skip_existing: leave results that are there, so that an interrupted call can go on.
            compare: write input and result side by side.

        Raises:
            DataError: there are no pictures, one cannot be read, or, with `skip`, none can.
            UserError: a result would replace its picture, or cannot be written.
        """
        from tqdm import tqdm

        pairs = planned(source, output)
        existing = [target for _, target in pairs if skip_existing and target.exists()]
        left = [(path, target) for path, target in pairs if target not in set(existing)]
        if len(left) >= _WORTH_MEASURING:
            self._seen = _WORTH_MEASURING
        done = Folded([], existing, [])
        for path, target in tqdm(left, unit="image", disable=len(left) < 2 or None):
            try:
                picture = load_image(path)
            except DataError as error:
                if on_error == "raise":
                    raise stopped_at(error, len(done.written), len(left)) from error.__cause__
                done.problems.append(str(error))
                continue
            panels = self._translate(picture)
            result = np.concatenate([picture, *panels], axis=1) if compare else panels[0]
            write_image(target, result)
            done.written.append(target)
        if done.problems and not done.written:
            raise DataError(
                f"none of {len(left)} pictures can be used, such as: {done.problems[0]}"
            )
        return done

    def _translate(self, picture: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the result of a picture, uint8 [H, W, 3], and what else a family shows of it."""
        return (self._to_picture(self._outputs(picture)[0], picture.shape[:2]),)

    def _outputs(self, picture: np.ndarray) -> list[np.ndarray]:
        """Return the network's outputs, float32 [C, H', W'], without what sizes made of them.

        Maps of a lower resolution are cut to the same part of the picture.
        """
        height, width = picture.shape[:2]
        scaled = resize_to(picture, self._scaled_size(height, width))
        rows, columns = scaled.shape[:2]
        padded, top, left = _padded(scaled, *self._padded_size(rows, columns))
        x = padded.astype(np.float32) / np.float32(127.5) - np.float32(1)
        if self.channels == 1:
            x = (x @ _LUMA)[..., np.newaxis]
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[np.newaxis])
        outputs = []
        for output in self._runner_for(x).run(x):
            if output.ndim == 4:
                step = padded.shape[0] / output.shape[2]
                y, bottom = round(top / step), round((top + rows) / step)
                z, right = round(left / step), round((left + columns) / step)
                output = output[:, :, y : max(bottom, y + 1), z : max(right, z + 1)]
            outputs.append(output[0])
        return outputs

    def _to_picture(self, output: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return resize_to(to_uint8_images(output[np.newaxis])[0], size)

    def _scaled_size(self, height: int, width: int) -> tuple[int, int]:
        if self._only_size is not None:
            factor = self._only_size / max(height, width)
        else:
            factor = 1.0 if self.size is None else self.size / min(height, width)
            if factor * max(height, width) > self.max_size:
                factor = self.max_size / max(height, width)
                _LOG.warning(
                    "a picture of %d x %d pixels is translated at %d x %d and enlarged (max_size "
                    "is %d)",
                    width,
                    height,
                    *(max(1, round(factor * side)) for side in (width, height)),
                    self.max_size,
                )
        return max(1, round(factor * height)), max(1, round(factor * width))

    def _padded_size(self, height: int, width: int) -> tuple[int, int]:
        if self._only_size is not None:
            return self._only_size, self._only_size
        sides = (max(side, self._min_side) for side in (height, width))
        padded_height, padded_width = (-(-s // self._multiple) * self._multiple for s in sides)
        return padded_height, padded_width

    def _runner_for(self, x: np.ndarray) -> Runner:
        self._seen += 1
        worth_it = self._seen >= _WORTH_MEASURING
        if self._runner is None or (worth_it and not self._runner.results):
            self._runner = make_runner(
                self.generator,
                x,
                self.backend,
                measured=worth_it,
                multiple=None if self._only_size is not None else self._multiple,
            )
            if worth_it and not self._runner.results:
                self._seen = -sys.maxsize  # on a GPU, or where one backend was asked for
            _LOG.debug("backend: %s", self._runner.describe())
        return self._runner


def config_given(config: Source | None) -> TrainConfig | None:
    """Return the config given, which is read before weights are looked for, or even downloaded.

    Raises:
        ConfigError: it cannot be used.
    """
    return None if config is None else load_config(config)


def config_of(weight_path: Source, config: Source | TrainConfig | None) -> TrainConfig | None:
    """Return the config given, else the `config.yaml` beside the weights, else None.

    Raises:
        ConfigError: it cannot be used.
    """
    if isinstance(config, TrainConfig):
        return config
    beside = Path(weight_path).with_name("config.yaml")
    if config is None and beside.is_file():
        config = beside
    return None if config is None else load_config(config)


def net_of_direction(
    names: tuple[str, str],
    direction: str | None,
    weight_path: Source,
    config: Source | None,
) -> str:
    """Return which of two generators translates in a direction.

    Args:
        names: the generators from the model's first domain to its second, and back.
        direction: `a2b` or `b2a` of the dataset; None for the first generator.
        weight_path: the weights, beside which a config may be: if that trained with `b2a`, the
            model's first domain is the dataset's B.
        config: see `ImageToImagePredictor`.

    Raises:
        UserError: another direction.
    """
    if direction not in (None, "a2b", "b2a"):
        raise UserError(f"direction is {direction!r}, expected 'a2b' or 'b2a'")
    loaded = config_of(weight_path, config)
    trained = "a2b" if loaded is None else loaded.model.kwargs.get("direction", "a2b")
    is_first_a = trained in ("a2b", "AtoB")
    return names[direction is not None and (direction == "a2b") != is_first_a]


def resize_to(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture [H, W, C] in another size, (height, width)."""
    # Averaging keeps a shrunken picture free of aliasing; it cannot enlarge.
    is_smaller = size[0] <= picture.shape[0] and size[1] <= picture.shape[1]
    return resize(picture, size, "area" if is_smaller else "bicubic")


def _padded(picture: np.ndarray, height: int, width: int) -> tuple[np.ndarray, int, int]:
    """Return a picture [H, W, C] in the middle of a larger one, and its top left corner there."""
    missing = height - picture.shape[0], width - picture.shape[1]
    top, left = missing[0] // 2, missing[1] // 2
    around = ((top, missing[0] - top), (left, missing[1] - left), (0, 0))
    # Mirrored with the border itself, which goes on however small the picture is.
    return np.pad(picture, around, mode="symmetric"), top, left


def planned(
    source: Source,
    output: Source,
    suffix: str | None = None,
    writable: Sequence[str] = _WRITABLE,
) -> list[tuple[Path, Path]]:
    """Return the pictures at `source`, and where the result of each belongs.

    Args:
        source: a picture file or a folder.
        output: a folder, or the result's name.
        suffix: of results in a folder; by default the picture's own if it is writable, else .png.
        writable: suffixes that results can have.

    Raises:
        DataError: there are none.
        UserError: a result would replace a picture, or has the name of another format.
    """
    path, target = Path(source).expanduser(), Path(output).expanduser()
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"there is no file or folder {path} (--input)")
        is_picture = target.suffix.lower() in {*IMAGE_SUFFIXES, ".gif"}
        if is_picture and target.suffix.lower() not in writable and not target.is_dir():
            raise UserError(
                f"--output is {target}, but results are written as {', '.join(writable)} only"
            )
        is_name = target.suffix.lower() in writable and not target.is_dir()
        pairs = [(path, target if is_name else target / _result_name(path, suffix).name)]
    else:
        results = os.path.realpath(target)
        found = [
            picture
            for picture in find_images(path, option="--input")
            # Results of an earlier call, in a folder inside the input's.
            if results == os.path.realpath(path)
            or not Path(os.path.realpath(picture)).is_relative_to(results)
        ]
        if not found:
            raise DataError(f"all pictures in {path} (--input) are results in {target} (--output)")
        inside = [picture.relative_to(path) for picture in found]
        count = collections.Counter(_result_name(name, suffix) for name in inside)
        pairs = []
        for picture, name in zip(found, inside, strict=True):
            result = _result_name(name, suffix)
            # c.bmp and c.png are two pictures: their results must not be one.
            if count[result] > 1 and result != name:
                result = name.with_name(f"{name.name}{result.suffix}")
            pairs.append((picture, target / result))
    pictures = {os.path.realpath(picture) for picture, _ in pairs}
    for picture, result in pairs:
        if os.path.realpath(result) in pictures:
            raise UserError(
                f"the result of {picture} would replace the picture {result}: choose another "
                "--output"
            )
    return pairs


def _result_name(path: Path, suffix: str | None) -> Path:
    if suffix is None and path.suffix.lower() in _WRITABLE:
        return path
    return path.with_suffix(suffix or ".png")


def infer_generator(arrays: Mapping[str, np.ndarray], source: Source = "weights") -> dict[str, Any]:
    """Return the generator that weights belong to, as a config would name it.

    The light generator of U-GAT-IT does not tell the size that it was trained at; 256 is assumed.

    Args:
        arrays: the weights by parameter.
        source: the file's name, for the error.

    Raises:
        WeightsError: the names are of no generator of these families.
    """
    shapes = {key: array.shape for key, array in arrays.items()}
    kernels = {key: shape for key, shape in shapes.items() if len(shape) == 4}
    norm_type = "none"
    if any(key.endswith("._mean") for key in shapes):
        norm_type = "batch"
    elif isinstance(arrays, TorchArrays) or any(key.endswith(".scale") for key in shapes):
        norm_type = "instance"  # which in PyTorch has no weights
    first, last = kernels.get("model.model.0.weight"), kernels.get("model.model.3.weight")
    if first and last and first[2:] == (4, 4):
        return {
            "name": "UnetGenerator",
            "input_nc": first[1],
            "output_nc": last[1],
            "num_downs": sum(shape[2:] == (4, 4) for shape in kernels.values()) // 2,
            "ngf": first[0],
            "norm_type": norm_type,
        }
    first, last = kernels.get("DownBlock.1.weight"), kernels.get("UpBlock2.11.weight")
    style = shapes.get("FC.0.weight")
    if first and last and style:
        places = style[0] // style[1]
        return {
            "name": "ResnetUGATITGenerator",
            "input_nc": first[1],
            "output_nc": last[0],
            "ngf": first[0],
            "n_blocks": sum(bool(re.fullmatch(r"UpBlock1_\d+\.conv1\.weight", k)) for k in kernels),
            "img_size": 256 if places == 1 else 4 * round(places**0.5),
            "light": places == 1,
            "norm_type": norm_type,
        }
    first = kernels.get("model.1.weight")
    large = {k: s for k, s in kernels.items() if re.fullmatch(r"model\.\d+\.weight", k)}
    large = {key: shape for key, shape in large.items() if shape[2:] == (7, 7)}
    if first and len(large) == 2:
        blocks = [
            m for k in kernels if (m := re.fullmatch(r"model\.(\d+)\.conv_block\.(\d+)\..*", k))
        ]
        places = sorted({int(match[2]) for match in blocks})
        padded = not places or places[0] == 1
        return {
            "name": "ResnetGenerator",
            "input_nc": first[1],
            "output_nc": next(shape[0] for key, shape in large.items() if key != "model.1.weight"),
            "ngf": first[0],
            "norm_type": norm_type,
            "use_dropout": places[1:2] == [6 if padded else 4],
            "n_blocks": len({match[1] for match in blocks}),
            "padding_type": "reflect" if padded else "zero",
        }
    raise WeightsError(
        f"{source} holds no generator that is known by its shapes (its weights begin with "
        f"{', '.join(list(arrays)[:3])}): give its config with --config"
    )


def add_arguments(parser: argparse.ArgumentParser, directions: Sequence[str] = ()) -> None:
    """Add the options that these predictors have in common.

    Args:
        parser: of the subcommand.
        directions: what `--direction` takes, if the family has it.
    """
    add = parser.add_argument
    add("--weights", required=True, metavar="FILE", help="weights or checkpoint")
    add("-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights")
    add("--input", required=True, metavar="FILE|DIR", help="picture, or folder of pictures")
    add("--output", required=True, metavar="FILE|DIR", help="where results go, under their names")
    if directions:
        add("--direction", choices=directions, help="of the dataset (the first generator's)")
    add("--size", type=int, metavar="N", help="resize the shorter side to N pixels first")
    add(
        "--max-size",
        type=int,
        default=MAX_SIZE,
        metavar="N",
        help=f"translate larger pictures at N pixels and enlarge the result ({MAX_SIZE})",
    )
    add("--compare", action="store_true", help="write input and result side by side")
    add("--skip-existing", action="store_true", help="leave results that are there already")
    add(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="stop at a picture that cannot be read, or leave it out and count it (raise)",
    )
    add("--backend", choices=BACKENDS, help="how to run the network (the fastest)")
    add("--device", help="cpu, gpu or gpu:N")


def run_with(predictor: ImageToImagePredictor, args: argparse.Namespace) -> dict[str, Path]:
    """Translate what the command line names, say what was done, and return where it is, by kind.

    Raises:
        UserError: a picture cannot be read, a result not be written.
    """
    done = predictor.run_folder(
        args.input,
        args.output,
        on_error=args.on_error,
        skip_existing=args.skip_existing,
        compare=args.compare,
    )
    return report(done, args.input, args.output, predictor.describe())


def report(done: Folded, source: Source, output: Source, how: str) -> dict[str, Path]:
    """Say on the command line what became of pictures, and return where they are, by kind.

    Args:
        done: what became of them.
        source: the picture or the folder that they came from.
        output: the folder that they are in.
        how: by which backend, and what else to say.
    """
    say_others(source, output)
    for problem in done.problems[:5]:
        sys.stderr.write(f"left out: {problem}\n")
    facts = [f"{len(done.written)} written"]
    facts += [f"{len(done.existing)} there already"] if done.existing else []
    facts += [f"{len(done.problems)} left out"] if done.problems else []
    sys.stderr.write(f"pictures: {', '.join(facts)}; {how}\n")
    results = [*done.written, *done.existing]
    return {"picture": results[0]} if len(results) == 1 else {"pictures": Path(output)}


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the constructor's options that the command line gives."""
    return {
        "config": args.config,
        "size": args.size,
        "max_size": args.max_size,
        "backend": args.backend,
        "device": args.device,
    }
