# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's datasets, and what makes loaders of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppgan.compat import hooks
from ppzoo import registry

_LOADER_KEYS = ("batch_size", "num_workers", "use_shared_memory")

__getattr__, __dir__ = hooks(__name__)


def build_dataset(cfg: Mapping[str, Any]) -> Any:
    """Return the dataset that a mapping describes; options of its loader are left out."""
    return registry.build(
        registry.DATASETS, {k: v for k, v in cfg.items() if k not in _LOADER_KEYS}
    )


def build_dataloader(
    cfg: Mapping[str, Any], is_train: bool = True, distributed: bool = True
) -> Any:
    """Return a loader of batches, each a dict of tensors, in an order that NumPy's seed decides.

    Args:
        cfg: of the dataset, with `batch_size`, `num_workers` and `use_shared_memory`.
        is_train: shuffle, and leave out the last batch if it is not full.
        distributed: share the samples among processes, if there are several.
    """
    import numpy as np

    from ppzoo.data import Loader
    from ppzoo.engine.distributed import join_world

    world = join_world()
    seed = int(np.random.randint(2**31 - 1))
    rank, size = 0, 1
    if distributed:
        rank, size, seed = world.rank, world.size, world.gather(seed)[0]
    options = {"batch_size": 1} | {key: cfg[key] for key in _LOADER_KEYS if key in cfg}
    loader = Loader(
        build_dataset(cfg), train=is_train, seed=seed, rank=rank, world_size=size, **options
    )
    return Epochs(loader)


class Epochs:
    """A loader that can be gone through as often as one likes, each time in another order."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.dataset, self.epoch = loader, loader.dataset, 0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Any:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return iter(self.loader.epoch(epoch))
