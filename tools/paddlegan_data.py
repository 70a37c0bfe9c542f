# SPDX-License-Identifier: Apache-2.0
"""Small data sets in the layouts that PaddleGAN's configs expect, drawn, and random weights.

For `tools/paddlegan_configs.py`: what a config's datasets name is drawn into a folder, and
overrides lead there.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.config import Component, TrainConfig, load_config
from ppzoo.media.image import write_image
from ppzoo.registry import MODELS, build

# Arguments of datasets and transforms that are files or folders.
PATH_KEYS = (
    "dataroot",
    "dataroot_a",
    "dataroot_b",
    "lq_folder",
    "gt_folder",
    "ann_file",
    "noise_path",
)
# The official weights that models, losses and metrics take.
WEIGHTS: Mapping[str, Sequence[str]] = {
    "FID": ("inception_v3",),
    "FirstOrderModel": ("vgg19",),
    "FirstOrderModelMobile": ("first_order_vox", "vgg19"),
    "LPIPSMetric": ("lpips_lin_vgg", "lpips_vgg16"),
    "PerceptualLoss": ("vgg19",),
    "Wav2LipModel": ("syncnet",),
    "Wav2LipModelHq": ("syncnet",),
}
# Samples of each set that is drawn, but for digits and frames.
SAMPLES = 4
SECONDS = 1
FPS = 25
_SOUND_RATE = 16000
_DISTINCT = 6
_FIRST_ORDER = Path(__file__).resolve().parent.parent / "configs" / "firstorder_vox_256.yaml"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A dataset of a config whose files are to be drawn.

    Args:
        component: the dataset, with paths inside the folder.
        where: its dotted path in the config.
        is_train: whether it is trained on.
    """

    component: Component
    where: str
    is_train: bool

    def path(self, key: str) -> Path:
        """Return a path that the dataset names."""
        return Path(self.component.kwargs[key])

    @property
    def crop(self) -> int:
        """Side of the crops of large pictures, in pixels; without crops a small number."""
        found = [c.kwargs for _, c in _components(self.component) if "gt_patch_size" in c.kwargs]
        return int(found[0]["gt_patch_size"]) if found else 64


def overrides(config: TrainConfig, folder: Path) -> list[str]:
    """Return overrides that lead every path of a config's datasets into a folder."""
    changes = []
    for wanted in datasets(config):
        for where, component in _components(wanted.component):
            place = f"{wanted.where}.{where}".rstrip(".")
            for key in PATH_KEYS:
                if key in component.kwargs:
                    path = folder / str(component.kwargs[key]).lstrip("/")
                    changes.append(f"{place}.{key}={path}")
        if wanted.component.name == "CommonVisionDataset":
            params = dict(wanted.component.kwargs.get("params") or {})
            changes.append(f"{wanted.where}.params={params | {'data_dir': str(folder / 'idx')}}")
    return changes


def draw(config: TrainConfig) -> None:
    """Draw what the datasets of a config name.

    Args:
        config: with the overrides of `overrides`.

    Raises:
        KeyError: a dataset whose layout is not known here.
    """
    for wanted in datasets(config):
        DRAWN[wanted.component.name](wanted)


def datasets(config: TrainConfig) -> Iterator[Wanted]:
    """Yield the datasets of a config, those inside others in their place."""
    for split in ("train", "test"):
        data = getattr(config.dataset, split)
        if data is None:
            continue
        component, where = data.component, f"dataset.{split}"
        while isinstance(component.kwargs.get("dataset"), Component):
            component, where = component.kwargs["dataset"], f"{where}.dataset"
        yield Wanted(component, where, split == "train")


def _components(value: Any, where: str = "") -> Iterator[tuple[str, Component]]:
    if isinstance(value, Component):
        yield where, value
        value = value.kwargs
    if isinstance(value, (Mapping, list, tuple)):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _components(item, f"{where}.{key}".lstrip("."))


def picture(number: int, height: int, width: int) -> np.ndarray:
    """Return a picture of waves and a disc, uint8 [H, W, 3]; each number has one of its own."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / (5 + c + number % 7) + y / (9 - c)) for c in range(3)]
    channels = np.stack(waves, axis=-1) * 60 + 128
    cy, cx = (number * 37) % height, (number * 53) % width
    channels[(y - cy) ** 2 + (x - cx) ** 2 < (min(height, width) / 4) ** 2] += 60
    return np.clip(channels, 0, 255).astype(np.uint8)


def _pictures(folder: Path, count: int, height: int, width: int, first: int = 0) -> None:
    for number in range(count):
        write_image(folder / f"{number:04d}.png", picture(first + number, height, width))


def _film(folder: Path, name: str, frames: int, side: int, first: int = 0) -> None:
    """Draw frames; after a few they repeat."""
    for number in range(frames):
        path = folder / name.format(number)
        if number < _DISTINCT:
            write_image(path, picture(first + number, side, side))
        else:
            shutil.copyfile(folder / name.format(number % _DISTINCT), path)


def _pairs_side_by_side(wanted: Wanted) -> None:
    _pictures(wanted.path("dataroot"), SAMPLES, 256, 512)


def _two_folders(wanted: Wanted) -> None:
    _pictures(wanted.path("dataroot_a"), SAMPLES, 256, 256)
    _pictures(wanted.path("dataroot_b"), SAMPLES, 256, 256, first=100)


def _small_and_large(wanted: Wanted) -> None:
    scale, side = int(wanted.component.kwargs["scale"]), wanted.crop + 16
    for key, divisor in (("gt_folder", 1), ("lq_folder", scale)):
        _pictures(wanted.path(key), SAMPLES, side // divisor, side // divisor)
    for _, component in _components(wanted.component):
        if "noise_path" in component.kwargs:
            _pictures(Path(component.kwargs["noise_path"]), 2, 64, 64)


def _clips(wanted: Wanted) -> None:
    crops = [c.kwargs for _, c in _components(wanted.component) if "gt_patch_size" in c.kwargs]
    ends = [c.kwargs for _, c in _components(wanted.component) if "frames_per_clip" in c.kwargs]
    # Configs whose films keep their size crop neither; the names of their folders say so.
    is_enlarged = crops[0]["scale"] > 1 if crops else "blur" not in str(wanted.path("lq_folder"))
    frames = (
        int(ends[0]["frames_per_clip"]) + 1 if ends else int(wanted.component.kwargs["num_frames"])
    )
    # REDS4, which is left out of the training, is tested on.
    names = ("001",) if wanted.is_train else ("000", "011")
    for clip in names:
        for key, divisor in (("gt_folder", 1), ("lq_folder", 4 if is_enlarged else 1)):
            _film(wanted.path(key) / clip, "{:08d}.png", frames, wanted.crop // divisor)
    listed = wanted.path("ann_file")
    lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    lines += [f"{clip} {frames} ({wanted.crop},{wanted.crop},3)" for clip in names]
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _videos(wanted: Wanted) -> None:
    folder = wanted.path("dataroot") / ("train" if wanted.is_train else "test")
    for clip in range(2):
        _film(folder / f"{clip}.mp4", "{}.png", 3, 64, first=clip)


def _talking_faces(wanted: Wanted) -> None:
    import scipy.io.wavfile

    root, split = wanted.path("dataroot"), wanted.component.kwargs["split"]
    names = [f"{split}/{number:05d}" for number in range(2)]
    time = np.arange(SECONDS * _SOUND_RATE) / _SOUND_RATE
    for number, name in enumerate(names):
        _film(root / name, "{}.jpg", SECONDS * FPS, 96, first=number)
        sound = np.sin(2 * np.pi * (200 + 60 * number) * time) * np.sin(9 * time)
        samples = (sound * 20000).astype(np.int16)
        scipy.io.wavfile.write(root / name / "audio.wav", _SOUND_RATE, samples)
    (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")


def _digits(wanted: Wanted) -> None:
    folder = Path(wanted.component.kwargs["params"]["data_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    images = np.stack([picture(number, 28, 28)[..., 0] for number in range(64)])
    labels = (np.arange(len(images)) % 10).astype(np.uint8)
    for part in ("train", "t10k"):
        for name, array in (("images", images), ("labels", labels)):
            header = [8 << 8 | array.ndim, *array.shape]
            data = b"".join(int(value).to_bytes(4, "big") for value in header) + array.tobytes()
            (folder / f"{part}-{name}-idx{array.ndim}-ubyte").write_bytes(data)


DRAWN: Mapping[str, Callable[[Wanted], None]] = {
    "CommonVisionDataset": _digits,
    "FirstOrderDataset": _videos,
    "PairedDataset": _pairs_side_by_side,
    "SRDataset": _small_and_large,
    "UnpairedDataset": _two_folders,
    "VSRREDSDataset": _clips,
    "Wav2LipDataset": _talking_faces,
}


def write_weights(config: TrainConfig) -> None:
    """Write random weights in the place of the official ones that a config's parts take.

    They go where `PPZOO_HOME` says.
    """
    from ppzoo.weights import write_pdparams
    from ppzoo.weights.manifest import cached_path

    metrics = config.validation.metrics if config.validation else {}
    parts = [component.name for _, component in _components([config.model, *metrics.values()])]
    for name in sorted({name for part in parts for name in WEIGHTS.get(part, ())}):
        path = cached_path(name)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_pdparams(path, _random_weights(name))


def _random_weights(name: str) -> Mapping[str, Any]:
    import paddle

    from ppzoo.lipsync.syncnet import SyncNetColor
    from ppzoo.networks.inception import InceptionV3
    from ppzoo.networks.vgg import VGGFeatures

    paddle.seed(0)
    if name == "first_order_vox":
        model = build(MODELS, load_config(_FIRST_ORDER).model)
        return {part: model.nets[part].state_dict() for part in ("kp_detector", "generator")}
    if name == "inception_v3":
        return InceptionV3([3], normalize_input=False).state_dict()
    if name == "syncnet":
        return SyncNetColor().state_dict()
    if name == "lpips_lin_vgg":
        return _heads((64, 128, 256, 512, 512))
    last, kind = (36, "vgg19") if name == "vgg19" else (30, "vgg16")
    return _classifier(VGGFeatures([last], kind).state_dict())


def _heads(channels: Sequence[int]) -> dict[str, np.ndarray]:
    draws = np.random.RandomState(0)
    return {
        f"{number}.model.1.weight": draws.rand(1, count, 1, 1).astype(np.float32)
        for number, count in enumerate(channels)
    }


def _classifier(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return weights that keep the answers' size, by the names that classifiers have."""
    draws, found = np.random.RandomState(0), {}
    for name, value in state.items():
        spread = 0.01 if len(value.shape) == 1 else np.sqrt(2 / np.prod(value.shape[1:]))
        array = (draws.randn(*value.shape) * spread).astype(np.float32)
        found["features." + name.removeprefix("vgg_layers.")] = array
    return found
