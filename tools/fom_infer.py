# SPDX-License-Identifier: Apache-2.0
"""Animate whole pictures by exported networks and Paddle Inference, with PaddleGAN's flags.

python tools/fom_infer.py --model_path inference_model/fom_dy2st --source_path face.png \
    --driving_path film.mp4

`ppzoo predict firstorder --whole` needs no export, and keeps the picture's size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from ppzoo import cli
from ppzoo.errors import UserError, WeightsError
from ppzoo.runtime import is_out_of_memory, restore_threads
from tools.paddlegan_scripts import check_files

SUFFIXES = (".mp4", ".mov", ".mkv", ".m4v", ".avi", ".webm", ".gif")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Animate pictures by exported networks.")
    add = parser.add_argument
    add("--model_path", metavar="DIR", help="folder fom_dy2st that export_model.py wrote")
    add("--batch_size", type=int, default=1, metavar="N", help="accepted: frames go one by one")
    add("--source_path", metavar="FILE", help="the picture (the film's first frame)")
    add("--driving_path", metavar="FILE|DIR", help="the film, or a folder of films")
    add("--output_path", default="infer_output/fom/", metavar="DIR", help="for result_0.mp4, ...")
    add("--device", default="gpu", metavar="gpu|cpu", help="gpu (the default; else cpu) or cpu")
    add("--image_size", type=int, default=256, metavar="N", help="ppzoo's own: as exported (256)")
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Animate the picture by each film, and return where the results are, by kind.

    Raises:
        UserError: an option is missing, a file cannot be read or written, a result would replace a
            film that is read.
    """
    from ppzoo.apps.films import check_targets
    from ppzoo.faces.blend import resize
    from ppzoo.media.image import read_image
    from ppzoo.media.video import VideoReader, VideoWriter

    films = films_of(args)
    if args.source_path is not None:
        check_files(args, "source_path")
    targets = [Path(args.output_path, f"result_{number}.mp4") for number in range(len(films))]
    for target in targets:  # all of them: the first result may be the second film
        check_targets(films, target)
    networks = [
        Network(args.model_path, name, args.device) for name in ("kp_detector", "generator")
    ]
    size = (args.image_size, args.image_size)
    source = None if args.source_path is None else read_image(args.source_path)
    places = {}
    for number, (film, target) in enumerate(zip(films, targets, strict=True)):
        with (
            VideoReader(film) as reader,
            VideoWriter(target, reader.info.fps, film if reader.info.has_audio else None) as writer,
        ):
            frames = (resize(frame, size) for frame in reader)
            still = None if source is None else resize(source, size)
            for frame in animated(networks, frames, still):
                writer.write(frame)
        places[f"film {number}"] = target
    return places


def films_of(args: argparse.Namespace) -> list[Path]:
    """Return the films that --driving_path names, in the order of their names.

    Raises:
        UserError: there is none.
    """
    if args.model_path is None:
        raise UserError("--model_path DIR is missing: what tools/export_model.py wrote")
    if args.driving_path is None or not Path(args.driving_path).is_dir():
        check_files(args, "driving_path")
        return [Path(args.driving_path)]
    folder = Path(args.driving_path)
    films = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not films:
        raise UserError(f"there is no film in {folder} (--driving_path)")
    return films


class Network:
    """An exported network in Paddle Inference.

    Args:
        folder: of its files.
        name: which they begin with.
        device: `cpu`, or another one for a GPU if Paddle has one.

    Raises:
        WeightsError: the files are missing.
    """

    def __init__(self, folder: str, name: str, device: str) -> None:
        import paddle
        from paddle import inference

        inner = Path(folder, "fom_dy2st")
        if inner.is_dir() and not Path(folder, f"{name}.pdiparams").is_file():
            folder = str(inner)  # the folder above was given
        graphs = [Path(folder, name + suffix) for suffix in (".json", ".pdmodel")]
        graph = next((path for path in graphs if path.is_file()), None)
        arrays = Path(folder, f"{name}.pdiparams")
        if graph is None or not arrays.is_file():
            raise WeightsError(f"{folder} holds no network {name}: tools/export_model.py writes it")
        config = inference.Config(str(graph), str(arrays))
        if device == "cpu" or not paddle.is_compiled_with_cuda():
            config.disable_gpu()
        else:
            config.enable_use_gpu(100, 0)
        config.disable_glog_info()
        self._name = graph
        self._predictor: Any = inference.create_predictor(config)
        names = self._predictor.get_input_names()
        self._inputs = [self._predictor.get_input_handle(name) for name in names]

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Return its outputs for inputs.

        Raises:
            UserError: it does not take them, or memory does not suffice.
        """
        for handle, array in zip(self._inputs, arrays, strict=True):
            handle.reshape(array.shape)
            handle.copy_from_cpu(np.ascontiguousarray(array))
        try:
            self._predictor.run()
        except Exception as error:  # Paddle's, which are of many classes
            raise UserError(self._why(error, arrays[0].shape)) from error
        restore_threads()
        names = self._predictor.get_output_names()
        return [self._predictor.get_output_handle(name).copy_to_cpu() for name in names]

    def _why(self, error: Exception, shape: tuple[int, ...]) -> str:
        shown = " x ".join(map(str, shape))
        if is_out_of_memory(error):
            return f"memory does not suffice to run {self._name} on pictures of {shown}"
        if isinstance(error, ValueError):  # Paddle's InvalidArgument: shapes do not fit
            return (
                f"{self._name} was exported for pictures of another size than {shown}: give the "
                "side by --image_size"
            )
        line = str(error).strip().rpartition("\n")[2].strip() or type(error).__name__
        return f"{self._name} cannot be run on pictures of {shown}: {line}"


def animated(
    networks: list[Any], frames: Iterator[np.ndarray], source: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield a picture moved as a film has moved since its first frame, uint8 RGB [H, W, 3].

    Args:
        networks: the detector of keypoints and the generator.
        frames: of the film, uint8 RGB [H, W, 3].
        source: the picture, of their size; None for the first frame.
    """
    detector, generator = networks
    picture, still, first = None, [], []
    for frame in frames:
        x = prepared(frame)
        points = detector(x)
        if picture is None:
            picture = x if source is None else prepared(source)
            still, first = detector(picture), points
        (drawn,) = generator(picture, *still, *points, *first)
        levels = np.rint(drawn[0] * np.float32(255)).clip(0, 255)
        yield np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))


def prepared(frame: np.ndarray) -> np.ndarray:
    """Return a frame uint8 RGB [H, W, 3] as the networks take it, [1, 3, H, W] in [0, 1]."""
    return frame.astype(np.float32).transpose(2, 0, 1)[np.newaxis] / np.float32(255)


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
