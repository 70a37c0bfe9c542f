# SPDX-License-Identifier: Apache-2.0
"""The small sets that Paddle knows by name: MNIST, Fashion-MNIST, CIFAR, Flowers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import paddle

from ppzoo.data import mnist
from ppzoo.data.pictures import ArrayDataset, Finish
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import DATASETS, TRANSFORMS, suggest

_NAMES = ("MNIST", "FashionMNIST", "Cifar10", "Cifar100", "Flowers")
_IDX_FOLDERS = {"MNIST": "mnist", "FashionMNIST": "fashion-mnist"}
_IDX_PARAMS = ("mode", "data_dir", "image_path", "label_path", "download", "backend")


@DATASETS.register()
class CommonVisionDataset(paddle.io.Dataset):
    """A set of `paddle.vision.datasets` as samples for GANs.

    A sample is `img`, float32 [C, H, W], and `class_id`, int64 []. The sets MNIST and FashionMNIST
    are looked for in this order: `params.image_path` and `params.label_path`; the folder
    `params.data_dir`; the folders `mnist` (`fashion-mnist`) in $PPZOO_DATA and in ./data; Paddle's
    cache and download server.

    Args:
        dataset_name: MNIST, FashionMNIST, Cifar10, Cifar100 or Flowers.
        transforms: transforms of uint8 pictures [H, W, C]; the channel axis is put first after
            them, and what is still uint8 is scaled to [-1, 1].
        return_label: whether samples have a `class_id`.
        params: `mode` (train or test), `data_dir`, and what Paddle's class takes.

    Raises:
        ConfigError: an unknown set, parameter or mode.
        DataError: the files are damaged, or neither there nor to be had.
    """

    def __init__(
        self,
        dataset_name: str,
        transforms: list[Annotated[Any, TRANSFORMS]] | None = None,
        return_label: bool = True,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if dataset_name not in _NAMES:
            raise ConfigError(
                f"CommonVisionDataset: no set is named {dataset_name!r}"
                f"{suggest(dataset_name, _NAMES)}; there are {', '.join(_NAMES)}"
            )
        params = dict(params or {})
        if dataset_name in _IDX_FOLDERS:
            images, labels = _read_idx_set(dataset_name, params)
            self.dataset: Any = ArrayDataset(images, labels, transforms, return_label)
            # The loader's fast path, which the sets of other formats do not have.
            self.get_batch = self.dataset.get_batch
        else:
            self.dataset = _PaddleSamples(dataset_name, params, transforms, return_label)

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return self.dataset.is_random

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)


class _PaddleSamples:
    """Samples of a dataset class of Paddle's that needs no special treatment."""

    def __init__(
        self, name: str, params: dict[str, Any], transforms: list[Any] | None, return_label: bool
    ) -> None:
        # Paddle unpickles CIFAR's archives. Its own download is safe, as it checks the MD5 sum; a
        # file that the user names would not be checked.
        refused = {"transform", "data_file"} if name.startswith("Cifar") else {"transform"}
        known = [key for key in _parameters(name) if key not in refused]
        _check_params(name, params, known)
        # As PIL pictures all sets agree: uint8, channels last.
        params = {**params, "backend": "pil"} if "backend" in known else params
        self.dataset = _with_download(name, params)
        self.return_label = return_label
        self.finish = Finish(transforms)

    @property
    def is_random(self) -> bool:
        return self.finish.is_random

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        image, label = self.dataset[index]
        sample = {"img": self.finish(np.asarray(image))}
        if self.return_label:
            sample["class_id"] = np.asarray(label, np.int64).reshape(())
        return sample

    def __len__(self) -> int:
        return len(self.dataset)


def _read_idx_set(name: str, params: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    _check_params(name, params, _IDX_PARAMS)
    mode = str(params.get("mode", "train")).lower()
    if mode not in ("train", "test"):
        raise ConfigError(f"{name}: 'params.mode' must be train or test, got {params['mode']!r}")
    paths = params.get("image_path"), params.get("label_path")
    if all(paths):
        return mnist.read_pair(*paths)
    if any(paths):
        raise ConfigError(f"{name}: 'params' needs image_path and label_path together")
    if params.get("data_dir"):
        found = mnist.find_files(params["data_dir"], mode)
        if found is None:
            raise DataError(
                f"{name}: the folder {Path(params['data_dir']).absolute()} of 'params.data_dir' "
                f"does not hold {mnist.expected_files(mode)}"
            )
        return mnist.read_pair(*found)
    folder = _IDX_FOLDERS[name]
    places = [Path("data", folder)]
    if os.environ.get("PPZOO_DATA"):
        places.insert(0, Path(os.environ["PPZOO_DATA"], folder))
    for place in places:
        found = mnist.find_files(place, mode)
        if found is not None:
            return mnist.read_pair(*found)
    if not params.get("download", True):
        raise DataError(_missing(name, mode, places[0], "downloading is switched off"))
    downloaded = _with_download(name, {"mode": mode}, _missing(name, mode, places[0]))
    return mnist.read_pair(downloaded.image_path, downloaded.label_path)


def _missing(name: str, mode: str, place: Path, reason: str = "it cannot be downloaded") -> str:
    return (
        f"{name} is not in the folder {place.absolute()} and {reason}: put "
        f"{mnist.expected_files(mode)} there, or name their folder by 'params.data_dir', or train "
        "on scikit-learn's digits, which need no download (dataset name: DigitsDataset)"
    )


def _with_download(name: str, params: dict[str, Any], message: str | None = None) -> Any:
    """Return Paddle's dataset, which fetches its files if they are not in its cache."""
    try:
        return getattr(paddle.vision.datasets, name)(**params)
    # Paddle's downloader raises RuntimeError when it gives up and OSError (which covers the
    # errors of its HTTP library) when it cannot write.
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"{message} ({reason})"
            if message
            else f"{name} cannot be downloaded ({reason}); without a network, train on "
            "scikit-learn's digits (dataset name: DigitsDataset)"
        ) from error


def _parameters(name: str) -> list[str]:
    return list(inspect.signature(getattr(paddle.vision.datasets, name)).parameters)


def _check_params(name: str, params: dict[str, Any], known: Any) -> None:
    for key in params:
        if key not in known:
            raise ConfigError(
                f"{name}: 'params' has no {key!r}{suggest(key, known)}; it takes {', '.join(known)}"
            )
