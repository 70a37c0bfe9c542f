# SPDX-License-Identifier: Apache-2.0
"""First Order Motion's networks on arrays: a still picture, and the frames that drive it.

What the networks need of the still picture is computed once, the keypoints of a driving frame once
for all pictures that it drives.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import paddle
from paddle import nn

from ppzoo.apps.image_to_image import config_given, config_of
from ppzoo.apps.inference import BACKENDS, Runner, check_finite, make_runner, repeated
from ppzoo.config.schema import plain
from ppzoo.errors import ConfigError, UserError, WeightsError
from ppzoo.faces.blend import resize
from ppzoo.motion.firstorder import KPDetector, OcclusionAwareGenerator, normalize_kp
from ppzoo.nn.modes import evaluating
from ppzoo.runtime import as_many_as_fit
from ppzoo.weights import load_state, read, select_net
from ppzoo.weights.manifest import find_weights

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

Source = str | os.PathLike[str]
# `value`: places (x, y) from -1 to 1, float32 [N, K, 2]; `jacobian`: float32 [N, K, 2, 2], of
# networks that find them.
Points = Mapping[str, np.ndarray]

_WORTH_MEASURING = 100  # frames, from which on it is worth to find the fastest backend
_LARGE = 256  # pixels a side, from which on the generator can keep a picture's edges still
# The part that is the full network's, by the `mode` of `FirstOrderModelMobile`.
_FULL = {"generator": "kp_detector_cfg", "kp_detector": "generator_cfg"}


@dataclass(frozen=True, eq=False)
class Still:
    """A picture that is to move, and what the networks need of it.

    Args:
        picture: float32 [1, C, S, S] with values in [0, 1].
        maps: the generator's features of it, float32 [1, F, s, s].
        points: its keypoints.
    """

    picture: np.ndarray
    maps: np.ndarray
    points: Points


class Animator:
    """Gives a still picture the motion of other pictures.

    Args:
        detector: finds keypoints.
        generator: draws the picture in another pose.
        size: S, the side in pixels that pictures have for the networks.
        batch_size: frames that go through the networks at once. It is halved where memory does not
            suffice.
        backend: how the networks are run, see `make_runner`; by default the fastest.
        name: of the weights, for errors.
        keep_edges: let the edges of a picture stay where they are, for a part of a larger picture
            that is put back there; from 256 pixels a side on.
        trained_size: the side that the networks were trained at, None if that is not known.

    Raises:
        UserError: an option is out of range.
    """

    def __init__(
        self,
        detector: KPDetector,
        generator: OcclusionAwareGenerator,
        size: int = 256,
        *,
        batch_size: int = 1,
        backend: str | None = None,
        name: Source = "First Order Motion",
        keep_edges: bool = False,
        trained_size: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}, expected at least 1 frame")
        if backend is not None and backend not in BACKENDS:
            raise UserError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        # The two networks halve it a different number of times.
        multiple = math.lcm(detector.multiple, _multiple(generator))
        if size < 1 or size % multiple:
            least = max(1, round(size / multiple)) * multiple
            raise UserError(
                f"image_size is {size}, but these networks take multiples of {multiple} pixels "
                f"only, such as {least}"
            )
        self.detector, self.generator, self.size = detector, generator, size
        self.batch_size = self.used_batch = batch_size
        self.backend, self.name, self.trained_size = backend, name, trained_size
        self.has_jacobians = detector.jacobian is not None
        generator.inference = keep_edges and size >= _LARGE
        detector.eval()
        generator.eval()
        self._nets: dict[str, nn.Layer] = {
            "keypoints": _Keypoints(detector),
            "pictures": _Pictures(generator),
        }
        self._runners: dict[str, Runner] = {}
        self._is_long = False

    def expect(self, frames: int | None) -> None:
        """Say how many frames are to come, None if that is not known.

        For few, the fastest backend is taken only if an earlier run has found it.
        """
        if not self._is_long and (frames is None or frames >= _WORTH_MEASURING):
            self._is_long = True
            self._runners.clear()

    def still(self, picture: np.ndarray) -> Still:
        """Return what is needed to move a picture.

        Args:
            picture: uint8 RGB [H, W, 3]; what is no square is squeezed into one.
        """
        x = self._prepared([picture])
        with evaluating(self.generator):
            maps = self.generator.encode(paddle.to_tensor(x)).numpy()
        # As it is, whatever the backend: its keypoints do not depend on the size of batches.
        found = Runner(self._nets["keypoints"]).run(x)
        return Still(x, maps, self._named(found))

    def keypoints(self, frames: Sequence[np.ndarray]) -> Points:
        """Return the keypoints of frames uint8 RGB [H, W, 3], squeezed as a still picture is."""
        x = self._prepared(frames)
        return self._named(self._in_batches("keypoints", lambda part: [part], x))

    def moved(
        self,
        still: Still,
        points: Points,
        initial: Points,
        *,
        relative: bool = True,
        adapt_scale: bool = True,
    ) -> Points:
        """Return the keypoints that a still picture shall have; see `normalize_kp`.

        Args:
            still: the picture.
            points: of N driving frames.
            initial: of the frame in which the driver is posed as the picture is; for relative
                motion.
            relative: move the picture as the driver has moved since then. Otherwise the picture
                takes the driver's keypoints themselves.
            adapt_scale: make relative motion as much larger as the picture's keypoints span more.
        """
        result = normalize_kp(
            *(_tensors(each) for each in (still.points, points, initial)),
            adapt_movement_scale=adapt_scale,
            use_relative_movement=relative,
            use_relative_jacobian=relative and self.has_jacobians,
        )
        return {key: value.numpy() for key, value in result.items()}

    def draw(self, still: Still, points: Points) -> np.ndarray:
        """Return a still picture with other keypoints, uint8 RGB [N, S, S, 3].

        Args:
            still: the picture.
            points: its new keypoints, of N pictures.

        Raises:
            WeightsError: the networks make values that are no numbers.
        """
        keys = ("value", "jacobian") if self.has_jacobians else ("value",)
        fixed = [still.picture, still.maps, *(still.points[key] for key in keys)]
        moving = [points[key] for key in keys]
        (made,) = self._in_batches("pictures", lambda *parts: [*fixed, *parts], *moving)
        levels = check_finite(made, self.name) * np.float32(255)
        return np.rint(levels).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)

    def animate(
        self,
        picture: np.ndarray,
        frames: Iterable[np.ndarray],
        *,
        relative: bool = True,
        adapt_scale: bool = True,
        initial: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield a picture moved by each of many frames, uint8 RGB [S, S, 3].

        Args:
            picture: uint8 RGB [H, W, 3].
            frames: uint8 RGB [H, W, 3], taken a batch at a time.
            relative: see `moved`.
            adapt_scale: see `moved`.
            initial: the frame in which the driver is posed as the picture is, for relative motion;
                by default the first.
        """
        still = self.still(picture)
        start = None if initial is None else self.keypoints([initial])
        for group in grouped(frames, self.batch_size):
            points = self.keypoints(group)
            if start is None:
                start = {key: value[:1] for key, value in points.items()}
            points = self.moved(still, points, start, relative=relative, adapt_scale=adapt_scale)
            yield from self.draw(still, points)

    def describe(self) -> list[str]:
        """Return a line on the backend of each network in use."""
        return [f"{name}: {runner.describe()}" for name, runner in self._runners.items()]

    def _prepared(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        sized = np.stack([resize(frame, (self.size, self.size)) for frame in frames])
        x = sized.astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def _named(self, found: Sequence[np.ndarray]) -> Points:
        keys = ("value", "jacobian")[: len(found)]
        for values in found:
            check_finite(values, self.name)
        return dict(zip(keys, found, strict=True))

    def _in_batches(
        self, name: str, inputs: Callable[..., list[np.ndarray]], *arrays: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Return a network's outputs for arrays of any number of items.

        Args:
            name: of the network.
            inputs: returns the network's inputs for a batch of the arrays.
            arrays: [N, ...].
        """
        done: list[tuple[np.ndarray, ...]] = []
        start, total = 0, len(arrays[0])
        while start < total:
            rest = [array[start:] for array in arrays]
            made, _ = as_many_as_fit(
                functools.partial(self._first, name, inputs, rest), self.used_batch, "frames"
            )
            done.append(made)
            start += len(made[0])
        return tuple(np.concatenate(outputs) for outputs in zip(*done, strict=True))

    def _first(
        self,
        name: str,
        inputs: Callable[..., list[np.ndarray]],
        arrays: Sequence[np.ndarray],
        count: int,
    ) -> tuple[np.ndarray, ...]:
        if count < self.used_batch:
            self.used_batch = count
            self._runners.clear()
        parts = [array[:count] for array in arrays]
        whole = [repeated(part, count) for part in parts]
        runner = self._runner_for(name, inputs(*whole))
        used = parts if runner.backend == "dynamic" else whole
        return tuple(output[: len(parts[0])] for output in runner.run(*inputs(*used)))

    def _runner_for(self, name: str, example: Sequence[np.ndarray]) -> Runner:
        if name not in self._runners:
            self._runners[name] = make_runner(
                self._nets[name], example, self.backend, measured=self._is_long
            )
            _LOG.debug("%s: %s", name, self._runners[name].describe())
        return self._runners[name]


class _Keypoints(nn.Layer):
    """The detector with outputs that have an order and no names."""

    def __init__(self, detector: KPDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        return tuple(self.detector(x).values())


class _Pictures(nn.Layer):
    """The part of the generator that differs from frame to frame."""

    def __init__(self, generator: OcclusionAwareGenerator) -> None:
        super().__init__()
        self.generator = generator

    # Tracing takes no `*points`.
    def forward(
        self,
        picture: paddle.Tensor,
        maps: paddle.Tensor,
        first: paddle.Tensor,
        second: paddle.Tensor,
        third: paddle.Tensor | None = None,
        fourth: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Draw `picture`: its keypoints come first, then those that it shall have."""
        if third is None or fourth is None:
            return self.generator.animate(picture, maps, {"value": second}, {"value": first})
        still = {"value": first, "jacobian": second}
        return self.generator.animate(picture, maps, {"value": third, "jacobian": fourth}, still)


def load_animator(
    weight_path: Source | None = None,
    config: Source | Mapping[str, Any] | None = None,
    *,
    image_size: int | None = None,
    mobile_net: bool = False,
    batch_size: int = 1,
    backend: str | None = None,
    keep_edges: bool = False,
) -> Animator:
    """Return what animates pictures, from a weights file.

    Args:
        weight_path: a checkpoint of ours or PaddleGAN's. By default PaddleGAN's official ones for
            `image_size` and `mobile_net`.
        config: the YAML of the training, or a mapping like it, as in PaddleGAN. By default the
            `config.yaml` beside the weights, as in a run folder; without one, the networks are
            recognised by their weights.
        image_size: see `Animator`. By default what the config says, or 256.
        mobile_net: the networks for phones.
        batch_size: see `Animator`.
        backend: see `Animator`.
        keep_edges: see `Animator`.

    Raises:
        WeightsError: the weights cannot be had or read, or do not fit.
        ConfigError: the config cannot be used, or is of another model.
        UserError: an option is out of range.
    """
    spec = None if config is None else _spec_of(Path(), config)
    official = "first_order_vox_512" if image_size == 512 else "first_order_vox"
    path = find_weights("first_order_vox_mobile" if mobile_net else official, weight_path)
    content = read(path)
    arrays = {net: _arrays_of(content, net, path) for net in ("kp_detector", "generator")}
    if spec is None:
        spec = _spec_of(path, None)
    networks = infer_firstorder(arrays, path) if spec is None else spec["model"]
    if mobile_net and not networks["generator"]["generator_cfg"].get("mobile_net"):
        raise WeightsError(f"{path} holds the full networks, not those for phones (mobile_net)")
    common, parts = networks["common_params"], networks["generator"]
    detector = KPDetector(**parts["kp_detector_cfg"], **common)
    generator = OcclusionAwareGenerator(**parts["generator_cfg"], **common)
    load_state(detector, arrays["kp_detector"], f"{path}: kp_detector")
    load_state(generator, arrays["generator"], f"{path}: generator")
    trained = _trained_size(spec)
    return Animator(
        detector,
        generator,
        image_size or trained or 256,
        batch_size=batch_size,
        backend=backend,
        name=path,
        keep_edges=keep_edges,
        trained_size=trained,
    )


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of `size`, the last one shorter."""
    rest = iter(items)
    while group := list(itertools.islice(rest, size)):
        yield group


def _trained_size(spec: Mapping[str, Any] | None) -> int | None:
    data = ((spec or {}).get("dataset") or {}).get("train") or {}
    shape = data.get("frame_shape")
    return int(shape[0]) if shape else data.get("size")


def _spec_of(path: Path, config: Source | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return `model` and `dataset` of a config as mappings; None without a config.

    Raises:
        ConfigError: it cannot be used, or is of another model.
    """
    if isinstance(config, Mapping):
        spec, name = plain(config), "the config"
    else:
        loaded = config_of(path, config_given(config))
        if loaded is None:
            return None
        name = str(loaded.path)
        train = loaded.dataset.train
        spec = {
            "model": plain(dict(loaded.model.kwargs)),
            "dataset": {} if train is None else {"train": plain(dict(train.component.kwargs))},
        }
    try:
        parts = spec["model"]["generator"]
        found = spec["model"]["common_params"], parts["kp_detector_cfg"], parts["generator_cfg"]
    except (KeyError, TypeError):
        found = ()
    if not found or not all(isinstance(part, Mapping) for part in found):
        raise ConfigError(
            f"{name} describes no First Order Motion: it needs model.common_params, "
            "model.generator.kp_detector_cfg and model.generator.generator_cfg"
        )
    # Networks for phones are trained beside a full one, which is then in the checkpoint.
    full = _FULL.get(spec["model"].get("mode"))
    if full is not None:
        parts[full] = spec["model"]["generator_ori"][full]
    return spec


def _arrays_of(content: Mapping[Any, Any], net: str, path: Path) -> dict[str, np.ndarray]:
    """Return a network's weights; PaddleGAN's trainer keeps both networks as one, `Gen_Full`."""
    if "Gen_Full" in content and net not in content:
        both = select_net(content, "Gen_Full", path)
        prefix = {"kp_detector": "kp_extractor.", "generator": "generator."}[net]
        return {k.removeprefix(prefix): v for k, v in both.items() if k.startswith(prefix)}
    return select_net(content, net, path, prefer_ema=True)


def infer_firstorder(
    arrays: Mapping[str, Mapping[str, np.ndarray]], source: Source = "weights"
) -> dict[str, Any]:
    """Return the networks that weights belong to, as `model` of a config would describe them.

    What no weight tells is PaddleGAN's: the temperature is 0.1, and networks for phones see a
    quarter of the picture's size.

    Args:
        arrays: the weights of `kp_detector` and of `generator`, by parameter.
        source: the file's name, for the error.

    Raises:
        WeightsError: they are not First Order Motion's.
    """
    points, generator = (
        {key: tuple(value.shape) for key, value in arrays[net].items()}
        for net in ("kp_detector", "generator")
    )
    is_mobile = "kp.0.weight" in points
    try:
        kp = points["kp.2.weight" if is_mobile else "kp.weight"]
        kp_features = points["kp.0.weight" if is_mobile else "kp.weight"][1]
        channels = generator["final.4.weight" if is_mobile else "final.weight"][0]
        first = generator["first.2.conv.weight" if is_mobile else "first.conv.weight"]
        common = {"num_kp": kp[0], "num_channels": channels}
        jacobian = points.get("jacobian.2.weight" if is_mobile else "jacobian.weight")
        common["estimate_jacobian"] = jacobian is not None
        detector = {
            "temperature": 0.1,
            "block_expansion": kp_features - channels,
            "scale_factor": _scale(points, "down.weight"),
            **_hourglass(points, "predictor."),
            **({"single_jacobian_map": True} if jacobian and jacobian[0] < 4 * kp[0] else {}),
        }
        dense = None
        if any(key.startswith("dense_motion_network.") for key in generator):
            mask = "dense_motion_network.mask." + ("0.weight" if is_mobile else "weight")
            dense = {
                "block_expansion": generator[mask][1] - (kp[0] + 1) * (channels + 1),
                "scale_factor": _scale(generator, "dense_motion_network.down.weight"),
                **_hourglass(generator, "dense_motion_network.hourglass."),
            }
        downs = _blocks(generator, r"down_blocks\.(\d+)\.")
        body = {
            "block_expansion": first[0],
            "max_features": _widest(generator, "down_blocks.", downs),
            "num_down_blocks": downs,
            "num_bottleneck_blocks": _blocks(generator, r"bottleneck\.r(\d+)\."),
            "estimate_occlusion_map": any("dense_motion_network.occlusion" in k for k in generator),
            "dense_motion_params": dense,
        }
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{source} holds no weights of First Order Motion (its generator begins with "
            f"{', '.join(list(generator)[:3])}): give the config of its training"
        ) from error
    if is_mobile:
        detector["mobile_net"] = body["mobile_net"] = True
    return {
        "common_params": common,
        "generator": {"kp_detector_cfg": detector, "generator_cfg": body},
    }


def _hourglass(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, int]:
    blocks = f"{prefix}encoder.down_blocks."
    count = _blocks(shapes, re.escape(blocks) + r"(\d+)\.")
    return {"num_blocks": count, "max_features": _widest(shapes, blocks, count)}


def _widest(shapes: Mapping[str, tuple[int, ...]], blocks: str, count: int) -> int:
    last = f"{blocks}{count - 1}."
    # Those for phones have two convolutions.
    return shapes.get(f"{last}conv1.weight", shapes.get(f"{last}conv.weight", (1,)))[0]


def _blocks(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    return len({match[1] for key in shapes if (match := re.match(pattern, key))})


def _scale(shapes: Mapping[str, tuple[int, ...]], key: str) -> float:
    """Return the scale that pictures are reduced to by a blur, as the size of its kernel tells."""
    if key not in shapes:
        return 1
    size = shapes[key][2]
    # The small kernel of networks for phones is the same for all scales.
    return 0.25 if size == 3 else 1 / (round((size - 1) / 4) + 1)


def _multiple(generator: OcclusionAwareGenerator) -> int:
    """Return what the generator's sides must be multiples of."""
    multiple = 2 ** len(generator.down_blocks)
    dense = generator.dense_motion_network
    if dense is None:
        return multiple
    halvings = len(dense.hourglass.encoder.down_blocks)
    step = dense.down.step if hasattr(dense, "down") else 1
    return math.lcm(multiple, step * 2**halvings)


def _tensors(points: Points) -> dict[str, paddle.Tensor]:
    return {key: paddle.to_tensor(value) for key, value in points.items()}
