# SPDX-License-Identifier: Apache-2.0
"""Sampling from DCGAN, LSGAN, WGAN, WGAN-GP and conditional GANs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo import registry
from ppzoo.config import Component, load_config
from ppzoo.errors import UserError, WeightsError
from ppzoo.media.image import image_grid, to_uint8_images, write_gif, write_image
from ppzoo.networks.latent import LatentGenerator
from ppzoo.runtime import select_device
from ppzoo.weights import load_state, read, select_net

# Whose generators these are, of those that take pictures.
_TRANSLATORS = {
    "UnetGenerator": "pix2pix",
    "ResnetGenerator": "cyclegan",
    "ResnetUGATITGenerator": "ugatit",
}


class GANPredictor:
    """Draws pictures from a trained generator.

    Args:
        weight_path: weights or a checkpoint, ours or PaddleGAN's. Averaged weights are preferred
            where the file has them.
        config: the YAML that the generator was trained with. By default the `config.yaml` beside
            the weights, as in a run folder; without one the generator is recognised by the shapes
            of its weights.
        n_class: classes of a conditional generator that is recognised by its shapes, 0 for an
            unconditional one.
        device: `cpu`, `gpu` or `gpu:N`.

    Raises:
        WeightsError: the weights cannot be read or do not fit.
    """

    def __init__(
        self,
        weight_path: str | os.PathLike[str],
        config: str | os.PathLike[str] | None = None,
        n_class: int = 0,
        device: str | None = None,
    ) -> None:
        self.device = select_device(device)
        arrays = select_net(read(weight_path), "netG", weight_path, prefer_ema=True)
        beside = Path(weight_path).with_name("config.yaml")
        if config is None and beside.is_file():
            config = beside
        spec: Any
        if config is not None:
            spec = load_config(config).model.kwargs.get("generator")
            if not isinstance(spec, Component):
                raise WeightsError(f"{config} has no model.generator to load {weight_path} into")
        else:
            spec = infer_generator(arrays, n_class, weight_path)
        self.generator: LatentGenerator = registry.build(registry.GENERATORS, spec)
        if not isinstance(self.generator, LatentGenerator):
            kind = type(self.generator).__name__
            command = f"`ppzoo predict {_TRANSLATORS.get(kind, 'MODEL')}`"
            raise WeightsError(
                f"{weight_path} belongs to a {kind}, which does not draw pictures of random "
                f"numbers, but takes some: give them to {command}"
            )
        load_state(self.generator, arrays, weight_path)
        self.generator.eval()

    def sample(
        self,
        num: int = 64,
        seed: int = 0,
        truncation: float = 1.0,
        class_id: int | Sequence[int] | None = None,
    ) -> np.ndarray:
        """Return pictures, uint8 [num, H, W, 3] in RGB; see `LatentGenerator.sample`."""
        return to_uint8_images(self.generator.sample(num, seed, truncation, class_id))

    def interpolate(
        self,
        num: int = 8,
        steps: int = 8,
        seed: int = 0,
        truncation: float = 1.0,
        class_id: int | Sequence[int] | None = None,
    ) -> np.ndarray:
        """Return walks between latents, uint8 [num, steps, H, W, 3]."""
        walks = self.generator.interpolate(num, steps, seed, truncation, class_id)
        pictures = to_uint8_images(walks)
        return pictures.reshape([num, steps, *pictures.shape[1:]])


def infer_generator(
    arrays: Mapping[str, np.ndarray], n_class: int = 0, source: str | os.PathLike[str] = "weights"
) -> dict[str, Any]:
    """Return the generator that weights belong to, as a config would name it.

    Args:
        arrays: the weights by parameter.
        n_class: classes of a conditional generator; they cannot be told from the shapes.
        source: the file's name, for the error.

    Raises:
        WeightsError: the names are of no generator of this family.
    """
    shapes = {key: array.shape for key, array in arrays.items()}
    linear, conv = shapes.get("l1.0.weight", ()), shapes.get("conv_blocks.9.weight", ())
    if len(linear) == 2 and len(conv) == 4 and conv[1]:
        inputs, units = linear
        output_nc, ngf = conv[:2]
        if not 0 <= n_class < inputs:
            raise WeightsError(
                f"{source}: the generator takes {inputs} values, which cannot be a latent and one "
                f"of {n_class} classes"
            )
        spec: dict[str, Any] = {
            "name": "DeepConvGenerator",
            "latent_dim": inputs - n_class,
            "output_nc": output_nc,
            "size": 4 * round((units / (2 * ngf)) ** 0.5),
            "ngf": ngf,
        }
        if n_class:
            spec |= {"name": "ConditionalDeepConvGenerator", "n_class": n_class}
        return spec
    first, last = shapes.get("model.0.weight", ()), shapes.get("model.12.weight", ())
    if len(first) == len(last) == 4:
        norm_type = "none"
        if "model.1._mean" in arrays:
            norm_type = "batch"
        elif "model.1.scale" in arrays:
            norm_type = "instance"
        return {
            "name": "DCGenerator",
            "input_nz": first[0],
            "input_nc": last[1],
            "output_nc": last[1],
            "ngf": last[0],
            "norm_type": norm_type,
        }
    raise WeightsError(
        f"{source} holds no generator that is known by its shapes (its weights begin with "
        f"{', '.join(list(arrays)[:3])}): give its config with --config"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict dcgan` and its siblings."""
    parser.add_argument("--weights", required=True, metavar="FILE", help="weights or checkpoint")
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="YAML of the training, default: beside the weights"
    )
    parser.add_argument("--num", type=int, default=64, help="pictures to draw")
    parser.add_argument("--seed", type=int, default=0, help="which pictures")
    parser.add_argument(
        "--truncation", type=float, default=1.0, help="1 for variety, towards 0 for typical ones"
    )
    parser.add_argument(
        "--interpolate", action="store_true", help="walk from picture to picture, a walk a row"
    )
    parser.add_argument("--steps", type=int, default=8, help="pictures a walk, with --interpolate")
    parser.add_argument("--class-id", type=int, help="draw this class only (conditional GANs)")
    parser.add_argument(
        "--n-class", type=int, help="classes of a conditional GAN whose config is missing"
    )
    parser.add_argument("--output", default="samples.png", metavar="FILE", help="grid to write")
    parser.add_argument("--separate", metavar="DIR", help="also write each picture to a folder")
    parser.add_argument("--device", help="cpu, gpu or gpu:N")


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Draw a grid of samples, or walks and a film of them, and return where they are, by kind.

    Raises:
        UserError: an option is out of range, the weights cannot be used, a file not be written.
    """
    n_class = args.n_class if args.n_class is not None else 10 * (args.name == "cgan")
    output = Path(args.output)
    film = output.with_suffix(".gif")
    if args.seed < 0:
        raise UserError(f"--seed is {args.seed}, expected at least 0")
    if args.interpolate and output == film:
        raise UserError(
            f"--output is {output}, the film's name: name the grid's file, such as .png"
        )
    predictor = GANPredictor(args.weights, args.config, n_class, args.device)
    try:
        walks, pictures = _draw(predictor, args)
    except ValueError as error:  # what the generator says of an option, by the option's name
        raise UserError(str(error)) from error
    written: dict[str, Path] = {}
    upscale = max(1, 64 // pictures.shape[1])
    if walks is not None:
        # There and back again, all walks side by side, so that the film has no jump.
        there = [image_grid(s, nrow=len(walks), upscale=upscale) for s in walks.swapaxes(0, 1)]
        write_gif(film, [*there, *there[-2:0:-1]], fps=8)
        written["film"] = film
    nrow = 8 if walks is None else args.steps
    write_image(output, image_grid(pictures, nrow=nrow, upscale=upscale))
    written["grid"] = output
    if args.separate:
        written["pictures"] = Path(args.separate)
        for i, picture in enumerate(pictures):
            write_image(written["pictures"] / f"{i:05d}.png", picture)
    return written


def _draw(
    predictor: GANPredictor, args: argparse.Namespace
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return walks [num, steps, H, W, 3], if they are asked for, and all pictures [N, H, W, 3]."""
    options = {"seed": args.seed, "truncation": args.truncation, "class_id": args.class_id}
    if not args.interpolate:
        return None, predictor.sample(args.num, **options)
    num = args.num if args.num < 1 else max(1, args.num // max(1, args.steps))
    walks = predictor.interpolate(num, args.steps, **options)
    return walks, walks.reshape([-1, *walks.shape[2:]])
