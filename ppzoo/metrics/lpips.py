# SPDX-License-Identifier: Apache-2.0
"""LPIPS as a metric: what `ppzoo.networks.lpips` says of pairs of pictures, and its weights."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppzoo.errors import WeightsError
from ppzoo.media.image import as_array
from ppzoo.metrics.paired import PairedMetric
from ppzoo.registry import METRICS

_Source = str | os.PathLike[str] | None


def load_lpips(
    net: Literal["vgg", "vgg16"] = "vgg",
    version: Literal["0.1"] = "0.1",
    vgg_path: _Source = None,
    lin_path: _Source = None,
) -> Any:
    """Return the network `LPIPS` with its weights, in evaluation mode.

    Args:
        net: see `LPIPS`.
        version: see `LPIPS`.
        vgg_path: VGG16's weights, `features.N.weight`; the official ones by default, downloaded if
            need be.
        lin_path: weights of the channels, named `0.model.1.weight` as PaddleGAN has them or
            `lin0.model.1.weight` as the authors have them; the official ones by default.

    Raises:
        ValueError: another classifier or version.
        WeightsError: a file is missing, or holds other weights.
    """
    from ppzoo.networks.lpips import check_variant
    from ppzoo.weights.manifest import find_weights

    check_variant(net, version)
    try:
        paths = [
            find_weights(name, path).resolve()
            for name, path in (("lpips_vgg16", vgg_path), ("lpips_lin_vgg", lin_path))
        ]
    except WeightsError as error:
        raise WeightsError(
            f"LPIPS: {error}; its options 'vgg_path' and 'lin_path' take the paths of files"
        ) from error
    return _loaded(net, version, *paths, tuple(path.stat().st_mtime_ns for path in paths))


@functools.lru_cache(maxsize=1)
def _loaded(net: str, version: str, vgg: Path, lin: Path, changed: tuple[int, ...]) -> Any:
    """Return the network with the weights of two files, which two metrics may share."""
    from ppzoo.networks.lpips import LPIPS
    from ppzoo.weights import load_state, read, select_net

    network = LPIPS(net, version)
    features = network.net["vgg16"]
    load_state(features, features.arrays_of(select_net(read(vgg), "vgg16", vgg)), vgg)
    heads = select_net(read(lin), "lins", lin)
    load_state(network.lins, {key.removeprefix("lin"): heads[key] for key in heads}, lin)
    network.eval()
    for parameter in network.parameters():
        parameter.stop_gradient = True
    return network


@METRICS.register()
class LPIPSMetric(PairedMetric):
    """Mean learned perceptual image patch similarity; 0 for equal pictures, lower is better.

    Args:
        net: the classifier that looks at the pictures; both names mean VGG16.
        version: of the method.
        mean: of each channel in [0, 1]; 0.5 by default.
        std: what each channel in [0, 1], less its mean, is divided by; 0.5 by default, which makes
            the values in [-1, 1] that the method wants.
        vgg_path: VGG16's weights; the official ones by default, downloaded if need be.
        lin_path: weights of the channels, likewise.

    Raises:
        WeightsError: weights are missing, or are those of another network.
    """

    def __init__(
        self,
        net: Literal["vgg", "vgg16"] = "vgg",
        version: Literal["0.1"] = "0.1",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        vgg_path: str | os.PathLike[str] | None = None,
        lin_path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(crop_border=0)
        self._mean, self._std = (
            np.array((0.5,) * 3 if values is None else values, np.float32) for values in (mean, std)
        )
        if self._mean.shape != (3,) or self._std.shape != (3,) or not self._std.all():
            raise ValueError("mean and std are three numbers each, those of std not 0")
        self._network = load_lpips(net, version, vgg_path, lin_path)

    def compare(self, img1: Any, img2: Any) -> float:
        """Return the distance of two RGB pictures [H, W, 3], values 0..255.

        Raises:
            ValueError: shapes that differ, or are no RGB pictures.
            ConfigError: pictures of less than 16 x 16 pixels.
        """
        import paddle

        first, second = as_array(img1), as_array(img2)
        if first.shape != second.shape or first.ndim != 3 or first.shape[-1] != 3:
            raise ValueError(
                "LPIPS compares RGB pictures [H, W, 3] of one size, got "
                f"{list(first.shape)} and {list(second.shape)}"
            )
        with paddle.no_grad():
            return self._network(self._tensor(first), self._tensor(second)).item()

    def _tensor(self, picture: np.ndarray) -> Any:
        import paddle

        scaled = (picture.astype(np.float32) / 255 - self._mean) / self._std
        return paddle.to_tensor(np.ascontiguousarray(scaled.transpose(2, 0, 1)[np.newaxis]))
