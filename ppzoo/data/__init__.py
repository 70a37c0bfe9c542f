# SPDX-License-Identifier: Apache-2.0
"""Datasets, transforms, and the loader that makes batches of them."""

from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.loader import Loader, build_dataloader, build_dataset

__all__ = ["Loader", "build_dataloader", "build_dataset", "resize_bicubic"]
