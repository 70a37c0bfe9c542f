# SPDX-License-Identifier: Apache-2.0
"""Steps from the path of a file to the arrays of a sample, under PaddleGAN's names.

A step takes a sample, a dict, and returns it with more entries. A folder dataset begins with
`{"A_path": ...}`; `LoadImageFromFile` adds the picture `A`; `Transforms` changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np

from ppzoo.data.lmdb_pictures import read_picture
from ppzoo.data.transforms import Grayscale
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import PREPROCESS, TRANSFORMS

Sample = dict[str, Any]
Step = Callable[[Sample], Sample]


@PREPROCESS.register()
class LoadImageFromFile:
    """Read the picture that `<key>_path` names, as `key`: uint8 [H, W, 3], RGB.

    It is a file, or `NAME.lmdb/picture.png` in an LMDB database. The camera's orientation is
    applied and grey becomes three equal channels. Adds the shape of the file's picture, [height,
    width, channels], as `<key>_ori_shape`.

    Args:
        key: name of the entry.
        flag: 0 reads grey, [H, W, 1]; other values (OpenCV's flags) read colour.
        to_rgb: False gives the channels as BGR.
        save_original_img: keep an untouched copy as `ori_<key>`.
        backend: accepted for PaddleGAN's configs, which leave it empty.

    Raises:
        DataError: when called, if the file cannot be read; names it.
    """

    is_random = False

    def __init__(
        self,
        key: str = "image",
        flag: int = -1,
        to_rgb: bool = True,
        save_original_img: bool = False,
        backend: str | None = None,
    ) -> None:
        self.key = key
        self.grey = flag == 0
        self.to_rgb = to_rgb
        self.save_original_img = save_original_img

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample with the picture."""
        path = str(sample[f"{self.key}_path"])
        image = read_picture(path)
        if self.grey:
            image = Grayscale()(image)
        elif not self.to_rgb:
            image = np.ascontiguousarray(image[..., ::-1])
        sample[self.key] = image
        sample[f"{self.key}_path"] = path
        sample[f"{self.key}_ori_shape"] = np.asarray(image.shape, np.int64)
        if self.save_original_img:
            sample[f"ori_{self.key}"] = image.copy()
        return sample


@PREPROCESS.register()
class SplitPairedImage:
    """Replace the picture `key`, two of the same size side by side, by its left and right half.

    Args:
        key: the entry that holds both, [H, 2W, C]; `<key>_path` is passed on to both halves.
        paired_keys: names of the left and the right half, each [H, W, C].

    Raises:
        DataError: when called, if the picture is too narrow to be cut.
    """

    is_random = False

    def __init__(self, key: str, paired_keys: Sequence[str] = ("A", "B")) -> None:
        if len(paired_keys) != 2:
            raise ConfigError(
                f"SplitPairedImage: 'paired_keys' must be two names, got {list(paired_keys)}"
            )
        self.key = key
        self.paired_keys = tuple(paired_keys)

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample with both halves."""
        # The whole is of no more use, and would cost memory in every batch.
        image, path = sample.pop(self.key), sample.get(f"{self.key}_path", "")
        middle = image.shape[1] // 2
        if middle == 0:
            raise DataError(f"{path} is one pixel wide, so it is no pair of pictures side by side")
        left, right = self.paired_keys
        sample[left], sample[right] = image[:, :middle], image[:, middle:]
        sample[f"{left}_path"] = sample[f"{right}_path"] = path
        return sample


@PREPROCESS.register()
class Transforms:
    """Apply transforms, one after the other, to pictures of the sample.

    Args:
        pipeline: the transforms; each takes the tuple of pictures that the one before returned.
        input_keys: the entries that hold the pictures.
        output_keys: the entries to write, the same by default. More than `input_keys` where a
            transform returns more pictures than it takes.

    Raises:
        DataError: when called, if an entry is absent or the number of results does not fit.
    """

    def __init__(
        self,
        pipeline: list[Annotated[Any, TRANSFORMS]],
        input_keys: Sequence[str],
        output_keys: Sequence[str] | None = None,
    ) -> None:
        self.pipeline = list(pipeline)
        self.input_keys = [input_keys] if isinstance(input_keys, str) else list(input_keys)
        self.output_keys = self.input_keys if output_keys is None else list(output_keys)
        self.is_random = any(getattr(step, "is_random", True) for step in self.pipeline)

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample with the transformed pictures."""
        absent = [key for key in self.input_keys if key not in sample]
        if absent:
            raise DataError(
                f"Transforms: the sample has no entry {absent[0]!r} to transform, only "
                f"{', '.join(sample)}"
            )
        images: Any = tuple(sample[key] for key in self.input_keys)
        for transform in self.pipeline:
            images = transform(images)
        results = images if isinstance(images, tuple) else (images,)
        if len(results) != len(self.output_keys):
            raise DataError(
                f"Transforms: the pipeline returns {len(results)} pictures for the "
                f"{len(self.output_keys)} keys {self.output_keys}"
            )
        sample.update(zip(self.output_keys, results, strict=True))
        return sample


def is_random(steps: Sequence[Any]) -> bool:
    """Return whether any step draws random numbers; a step that does not say is taken to."""
    return any(getattr(step, "is_random", True) for step in steps)


def run(steps: Sequence[Step], sample: Sample) -> Sample:
    """Return `sample` after all steps."""
    for step in steps:
        sample = step(sample)
    return sample
