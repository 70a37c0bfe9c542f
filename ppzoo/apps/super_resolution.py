# SPDX-License-Identifier: Apache-2.0
"""What the predictors that enlarge pictures share: tiles, kinds of pictures, which network."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from paddle import nn

from ppzoo import registry
from ppzoo.apps.films import EachFrame, Film, restore_film, stem_of
from ppzoo.apps.folders import stopped_at
from ppzoo.apps.image_to_image import (
    Folded,
    OnError,
    Source,
    config_given,
    config_of,
    planned,
    report,
)
from ppzoo.apps.inference import BACKENDS, Runner, check_finite, make_runner
from ppzoo.apps.tiles import Tile, count_tiles, walk
from ppzoo.config import Component
from ppzoo.data.folder import IMAGE_SUFFIXES
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.media.bicubic import resize_bicubic
from ppzoo.media.picture import (
    FORMATS,
    Canvas,
    Picture,
    as_picture,
    check_writable,
    picture_file,
    read_picture,
)
from ppzoo.runtime import select_device
from ppzoo.weights import load_state, read, select_net
from ppzoo.weights.manifest import OFFICIAL, find_weights

if TYPE_CHECKING:
    from PIL import Image

_LOG = logging.getLogger(__name__)

# RRDBNet at its full size needs 0.8 GB for a tile of this side, RCAN and SRResNet half of it.
TILE, OVERLAP = 112, 12
_NET = "generator"
_WORTH_MEASURING = 16  # tiles, which take longer than finding the fastest backend
_MEASURED = 64  # pixels a side that it is found with: what is fastest there is so for larger tiles
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MEAN_RED = 0.4488  # that RCAN subtracts, in parts of white

Put = Callable[[slice, slice, np.ndarray], None]


class SuperResolutionPredictor:
    """Enlarges pictures of any size by a trained network, tile by tile.

    Memory is bounded by the tile: a PNG is written while it is made. What the network does not
    change survives: grey stays grey (the network sees it as colours, and the result's luma is
    taken), 16 bits stay 16, EXIF, the ICC profile and dots per inch are kept. Transparency is
    enlarged bicubically, since a network that invents texture would invent holes; under fully
    transparent parts the network sees the nearest visible colour, not what the file has there, so
    that nothing shines through at the edge.

    Subclasses say which networks they take and which official weights there are.

    Args:
        output: folder for results.
        weight_path: weights or a checkpoint, ours or PaddleGAN's, of which averages are preferred;
            or the name of official ones, one of `OFFICIAL`. By default the first of those.
        config: the YAML that it was trained with. By default the `config.yaml` beside the weights,
            as in a run folder; without one the network is recognised by its weights.
        tile: side in pixels of what the network is given at once. It is halved where memory does
            not suffice.
        overlap: pixels on each side of a tile that are there for the network to see.
        backend: how the network is run: one of dynamic, static, inference, onnx; by default the
            fastest.
        device: `cpu`, `gpu` or `gpu:N`.
        progress: show a bar for pictures of several tiles.

    Attributes:
        scale: pixels of the result per pixel of the picture, along a side.

    Raises:
        WeightsError: the weights cannot be had or read, or do not fit.
        UserError: an option is out of range.
    """

    name: ClassVar[str]
    folder: ClassVar[str]
    networks: ClassVar[tuple[str, ...]]
    official: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        output: Source = "output",
        weight_path: Source | None = None,
        *,
        config: Source | None = None,
        tile: int = TILE,
        overlap: int = OVERLAP,
        backend: str | None = None,
        device: str | None = None,
        progress: bool = True,
    ) -> None:
        if overlap < 0 or tile <= 2 * overlap:
            raise UserError(
                f"tile is {tile} and overlap {overlap}: a tile must be larger than its overlap on "
                "both sides"
            )
        if backend is not None and backend not in BACKENDS:
            raise UserError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        given = config_given(config)
        self.weight_path = path = self._weights(weight_path)
        self.device = select_device(device)
        arrays = select_net(read(path), _NET, path, prefer_ema=True)
        loaded = config_of(path, given)
        if loaded is None:
            spec: Any = infer_network(arrays, path)
            self._black, self._white = 0.0, float(spec.get("rgb_range", 1.0))
            name = spec["name"]
        else:
            spec = loaded.model.kwargs.get(_NET)
            self._black, self._white = loaded.min_max
            if not isinstance(spec, Component):
                raise WeightsError(f"the config of {path} has no model.generator")
            name = spec.name
        if name not in self.networks:
            raise WeightsError(
                f"{path} belongs to {name}, `ppzoo predict {self.name}` takes "
                f"{' or '.join(self.networks)}"
            )
        self.generator: nn.Layer = registry.build(registry.GENERATORS, spec)
        load_state(self.generator, arrays, path)
        self.generator.eval()
        options = spec.kwargs if isinstance(spec, Component) else spec
        self.channels = int(options.get("in_nc", 3))
        if self.channels not in (1, 3) or int(options.get("out_nc", 3)) != self.channels:
            raise WeightsError(
                f"{path}: the network makes {options.get('out_nc', 3)} channels of "
                f"{self.channels}, pictures have 1 or 3"
            )
        self.scale = int(self.generator.scale)
        self.output = Path(output) / self.folder
        self.tile, self.overlap, self.backend, self.progress = tile, overlap, backend, progress
        self._multiple = int(getattr(self.generator, "size_multiple", 1))
        self._tile = tile
        self._runner: Runner | None = None
        self._seen = 0

    def run(self, input: Any) -> tuple[Any, str]:
        """Enlarge a picture, or a film frame by frame, and write the result.

        Args:
            input: a path, a Pillow image or an array [H, W], [H, W, 3] or [H, W, 4] of uint8 or
                uint16, RGB.

        Returns:
            the result as a Pillow image and its file: `<output>/<folder>/<stem>.png`, or
            `result.png` of what has no name. A large image is read from its file when it is used;
            of 16 bits it has the upper 8, as Pillow has no more. Of a film, see `run_video`.

        Raises:
            DataError: it is neither, or cannot be read.
            UserError: the result cannot be written.
        """
        is_file = isinstance(input, (str, os.PathLike))
        if is_file and _is_film(input):
            return self.run_video(input)
        name = stem_of(input) if is_file else "result"
        target = self.output / f"{name}.png"
        if is_file and os.path.realpath(input) == os.path.realpath(target):
            raise UserError(f"the result would replace the picture {input}: choose another output")
        self._write(as_picture(input), target, target.name)
        return _opened(target), str(target)

    def run_image(self, img: Any) -> Image.Image:
        """Return a picture enlarged, as a Pillow image, and write nothing.

        Args:
            img: see `run`.

        Raises:
            DataError: it is no picture, or cannot be read.
        """
        picture = as_picture(img)
        canvas = Canvas(*(side * self.scale for side in picture.size), picture)
        self._enlarge(picture, canvas.put)
        return canvas.image()

    def run_video(self, video: Source, *, frames: bool = True) -> tuple[str | None, str]:
        """Enlarge each frame of a film by itself.

        Args:
            video: the film.
            frames: also write its frames as PNG files, as PaddleGAN does.

        Returns:
            the pattern of its frames' files, `<output>/<folder>/<stem>/frames_pred/%08d.png` (None
            without `frames`), and the film, `<stem>_<name>_out.mp4` beside them.

        Raises:
            DataError: it is missing or no video.
            UserError: the results cannot be written.
        """
        stem = stem_of(video)
        film: Film = restore_film(
            video,
            self.output / stem / f"{stem}_{self.name}_out.mp4",
            [EachFrame(self.name, self.scale, self.upscale)],
            frames_folder=self.output / stem / "frames_pred" if frames else None,
            progress=self.progress,
        )
        return film.pattern, os.fspath(film.path)

    def run_folder(
        self,
        source: Source,
        output: Source,
        *,
        suffix: str = ".png",
        on_error: OnError = "raise",
        skip_existing: bool = False,
    ) -> Folded:
        """Enlarge a picture, or all of a folder and its subfolders.

        Args:
            source: a picture file or a folder.
            output: a folder, which gets the same subfolders and names; of a single picture, also
                the result's name.
            suffix: of results in a folder: .png, .tif, .webp (lossless) or .jpg.
            on_error: `raise` stops at a picture that cannot be read, `skip` leaves it out.
            skip_existing: leave results that are there, so that an interrupted call can go on.

        Raises:
            DataError: there are no pictures, one cannot be read, or, with `skip`, none can.
            UserError: a result would replace its picture, or cannot be written.
        """
        pairs = planned(source, output, suffix=suffix, writable=tuple(FORMATS))
        done = Folded([], [], [])
        for number, (path, target) in enumerate(pairs, 1):
            if skip_existing and target.exists():
                done.existing.append(target)
                continue
            try:
                picture = read_picture(path)
            except DataError as error:
                if on_error == "raise":
                    finished = len(done.written) + len(done.existing)
                    raise stopped_at(error, finished, len(pairs)) from error.__cause__
                done.problems.append(str(error))
                continue
            self._write(picture, target, f"{path.name} ({number}/{len(pairs)})")
            done.written.append(target)
        if done.problems and not (done.written or done.existing):
            raise DataError(
                f"none of {len(pairs)} pictures can be used, such as: {done.problems[0]}"
            )
        return done

    def upscale(self, frame: np.ndarray) -> np.ndarray:
        """Return a frame uint8 RGB [H, W, 3] enlarged, uint8 RGB [s H, s W, 3]."""
        picture = Picture(frame)
        result = np.empty((*(side * self.scale for side in picture.size), 3), np.uint8)

        def put(rows: slice, columns: slice, part: np.ndarray) -> None:
            result[rows, columns] = part

        self._enlarge(picture, put, bar=False)
        return result

    def describe(self) -> str:
        """Return one line on the backend in use; before the first picture, that there is none."""
        if self._runner is None:
            return "no picture yet"
        return f"{self._runner.describe()}; tiles of {self._tile} pixels"

    def _weights(self, weight_path: Source | None) -> Path:
        if weight_path is None and not self.official:
            raise WeightsError(
                f"there are no official weights of {self.folder}: name yours with weight_path "
                "(--weights)"
            )
        name = self.official[0] if weight_path is None else str(weight_path)
        if weight_path is None or (name in self.official and not Path(name).exists()):
            return find_weights(name)
        return find_weights(self.name, weight_path)

    def _write(self, picture: Picture, target: Path, title: str) -> None:
        height, width = (side * self.scale for side in picture.size)
        # Before the network runs for minutes.
        check_writable(target, (height, width), picture.alpha is not None)
        with picture_file(target, height, width, picture) as file:
            self._enlarge(picture, file.put, title)

    def _enlarge(self, picture: Picture, put: Put, title: str = "", bar: bool = True) -> None:
        """Hand the parts of an enlarged picture over, from the top to the bottom."""
        seen = picture.without_fringes()
        total = count_tiles(picture.size, self._tile, self.overlap, self._multiple)
        self._expect(total)

        def process(tile: Tile) -> None:
            part = tile.inner(self._run(tile.cut(seen.samples, -3), picture), self.scale, -3)
            if picture.alpha is not None:
                alpha = resize_bicubic(tile.cut(picture.alpha), self.scale)
                alpha = tile.inner(alpha, self.scale)[..., np.newaxis]
                part = np.concatenate([part, alpha], axis=2)
            put(*tile.place(self.scale), part)

        with _bar(title, total, bar and self.progress) as show:
            used = walk(
                process,
                picture.size,
                self._tile,
                self.overlap,
                multiple=self._multiple,
                progress=show,
            )
        self._tile = min(self._tile, used)

    def _run(self, part: np.ndarray, picture: Picture) -> np.ndarray:
        """Return a part [h, w, C] of a picture enlarged, of its type."""
        step = np.float32((self._white - self._black) / picture.white)
        values = part.astype(np.float32) * step + np.float32(self._black)
        channels = values.shape[2]
        if channels < self.channels:
            values = values.repeat(3, axis=2)
        # A network for grey pictures sees three of them in a colour picture.
        count = 1 if channels <= self.channels else channels
        x = values.transpose(2, 0, 1).reshape(count, self.channels, *part.shape[:2])
        y = check_finite(self._runner_for(x)(x), self.weight_path)
        y = y.reshape(-1, *y.shape[2:]).transpose(1, 2, 0)
        if channels < self.channels:
            y = (y @ _LUMA)[..., np.newaxis]
        y = np.rint((y - np.float32(self._black)) / step).clip(0, picture.white)
        return y.astype(picture.samples.dtype)

    def _expect(self, tiles: int) -> None:
        was_short = self._seen < _WORTH_MEASURING
        self._seen += tiles
        # What was made for a few tiles has not looked for the fastest backend.
        if was_short and self._seen >= _WORTH_MEASURING and self._runner is not None:
            self._runner = None

    def _runner_for(self, x: np.ndarray) -> Runner:
        if self._runner is None:
            self._runner = make_runner(
                self.generator,
                x[..., :_MEASURED, :_MEASURED],
                self.backend,
                measured=self._seen >= _WORTH_MEASURING,
                multiple=self._multiple,
            )
            _LOG.debug("backend: %s", self._runner.describe())
        return self._runner


def infer_network(arrays: Mapping[str, np.ndarray], source: Source = "weights") -> dict[str, Any]:
    """Return the network that weights belong to, as a config would name it.

    Args:
        arrays: the weights by parameter.
        source: the file's name, for the error.

    Raises:
        WeightsError: the names are of no network that enlarges pictures.
    """
    shapes = {key: array.shape for key, array in arrays.items()}
    if {"conv_first.weight", "conv_last.weight", "RRDB_trunk.0.RDB1.conv1.weight"} <= set(shapes):
        nf, inputs = shapes["conv_first.weight"][:2]
        outputs = shapes["conv_last.weight"][0]
        # For scales 2 and 1, squares of 4 and 16 pixels are channels.
        packed = round((inputs / outputs) ** 0.5)
        return {
            "name": "RRDBNet",
            "in_nc": inputs // packed**2,
            "out_nc": outputs,
            "nf": nf,
            "nb": _count(r"RRDB_trunk\.(\d+)\.", shapes),
            "gc": shapes["RRDB_trunk.0.RDB1.conv1.weight"][0],
            "scale": 4 // packed,
        }
    if {"head.0.weight", "add_mean.bias", "body.0.body.0.body.3.conv_du.0.weight"} <= set(shapes):
        features = shapes["head.0.weight"][0]
        tail = [
            shape for key, shape in shapes.items() if re.fullmatch(r"tail\.0\.\d+\.weight", key)
        ]
        range_ = float(np.ravel(arrays["add_mean.bias"])[0]) / _MEAN_RED
        return {
            "name": "RCAN",
            "scale": round(float(np.prod([(shape[0] / features) ** 0.5 for shape in tail]))),
            # The last layer of the body is a convolution of its own.
            "n_resgroups": _count(r"body\.(\d+)\.body\.", shapes),
            "n_resblocks": _count(r"body\.0\.body\.(\d+)\.body\.", shapes),
            "n_feats": features,
            "kernel_size": shapes["head.0.weight"][2],
            "reduction": features // shapes["body.0.body.0.body.3.conv_du.0.weight"][0],
            "rgb_range": round(range_, 3),
        }
    first = shapes.get("head.0.weight")
    if first and first[2:] == (9, 9) and "body.0.body.0.weight" in shapes:
        tail = [shape for key, shape in shapes.items() if re.fullmatch(r"tail\.\d+\.weight", key)]
        last = [shape for shape in tail if shape[2:] == (9, 9)]
        if len(last) == 1:
            return {
                "name": "SRResNet",
                "in_nc": first[1],
                "out_nc": last[0][0],
                "nf": first[0],
                "nb": _count(r"body\.(\d+)\.body\.", shapes),
                "scale": 2 ** (len(tail) - 1),
                "norm_type": "batch" if any(k.endswith("._mean") for k in shapes) else "none",
            }
    raise WeightsError(
        f"{source} holds no network that enlarges pictures and is known by its shapes (its weights "
        f"begin with {', '.join(list(arrays)[:3])}): give its config with --config"
    )


def add_arguments(
    parser: argparse.ArgumentParser, predictor: type[SuperResolutionPredictor]
) -> None:
    """Add the options of a predictor that enlarges pictures.

    Args:
        parser: of the subcommand.
        predictor: what it runs.
    """
    add = parser.add_argument
    official = [name for name in predictor.official if name in OFFICIAL]
    hint = f", or official ones: {', '.join(official)}" if official else ""
    add(
        "--weights",
        required=not official,
        metavar="FILE" + ("|NAME" if official else ""),
        help=f"weights or checkpoint{hint}",
    )
    add("-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights")
    add("--input", required=True, metavar="FILE|DIR", help="picture, or folder of pictures")
    add("--output", required=True, metavar="FILE|DIR", help="where results go, under their names")
    add(
        "--format",
        choices=("png", "tif", "webp", "jpg"),
        default="png",
        help="of results in a folder; all but jpg are lossless (png)",
    )
    add("--tile", type=int, default=TILE, metavar="N", help=f"side of tiles in pixels ({TILE})")
    add("--overlap", type=int, default=OVERLAP, metavar="N", help=f"of tiles ({OVERLAP})")
    add("--skip-existing", action="store_true", help="leave results that are there already")
    add(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="stop at a picture that cannot be read, or leave it out and count it (raise)",
    )
    add("--backend", choices=BACKENDS, help="how to run the network (the fastest)")
    add("--device", help="cpu, gpu or gpu:N")


def run_with(
    predictor_type: type[SuperResolutionPredictor], args: argparse.Namespace
) -> dict[str, Path]:
    """Enlarge what the command line names, say what was done, and return where it is, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    start = time.perf_counter()
    if os.path.isfile(args.input) and _is_film(args.input):
        raise UserError(
            f"{args.input} is no picture; films are for: ppzoo predict restore --input "
            f"{args.input} --steps realsr (or esrgan)"
        )
    # Before weights are read, or even downloaded.
    planned(args.input, args.output, f".{args.format}", tuple(FORMATS))
    predictor = predictor_type(
        weight_path=args.weights,
        config=args.config,
        tile=args.tile,
        overlap=args.overlap,
        backend=args.backend,
        device=args.device,
    )
    done = predictor.run_folder(
        args.input,
        args.output,
        suffix=f".{args.format}",
        on_error=args.on_error,
        skip_existing=args.skip_existing,
    )
    seconds = time.perf_counter() - start
    return report(done, args.input, args.output, f"{predictor.describe()}; {seconds:.1f} s")


def _count(pattern: str, names: Mapping[str, Any]) -> int:
    """Return how many values the group of a pattern has at the beginning of names."""
    return len({match[1] for name in names if (match := re.match(pattern, name))})


def _is_film(path: Source) -> bool:
    """Tell whether a file is something else than a picture: it is left to the films to say what."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path):
            return False
    except UnidentifiedImageError:
        return Path(path).suffix.lower() not in IMAGE_SUFFIXES
    except Exception:  # missing, or a picture that is damaged or too large, which reading it says
        return False


def _opened(path: Path) -> Image.Image:
    """Return a picture file as a Pillow image, of more than its limit of pixels not decoded yet."""
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        image = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if limit is None or image.width * image.height <= limit:
        image.load()
    return image


@contextlib.contextmanager
def _bar(title: str, total: int, is_shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Give what shows how many tiles are done, in a bar if they are several."""
    from tqdm import tqdm

    with tqdm(
        desc=title or None, total=total, unit="tile", disable=not (is_shown and total > 1) or None
    ) as bar:

        def show(done: int, tiles: int) -> None:
            bar.total = tiles
            bar.update(done - bar.n)

        yield show
