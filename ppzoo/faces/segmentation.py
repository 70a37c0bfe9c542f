# SPDX-License-Identifier: Apache-2.0
"""PaddleSeg's networks, built through its public API, on pictures of any size.

What is built comes from a model section in PaddleSeg's own vocabulary (`type`, `backbone`, ...): of
a preset, a mapping, or one of PaddleSeg's YAML files. Its `pretrained` entries are left out, since
all weights come from one file, which ppzoo's restricted reader reads and which must fit.

Needs `pip install 'ppzoo[seg]'`.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from ppzoo.atomic import atomic_write
from ppzoo.download import cache_dir, download
from ppzoo.errors import ConfigError, MissingExtraError, UserError, WeightsError
from ppzoo.weights import load_weights

_ADDRESS = "https://paddleseg.bj.bcebos.com/dygraph/pp_humanseg_v2"
# Weights hardly compress, and Python unpacks in other ways than these without bounds.
_MOST_GROWTH, _METHODS = 20, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOBILE_NET = {"type": "MobileNetV3_large_x1_0"}


@dataclass(frozen=True)
class Preset:
    """A network of PaddleSeg, and how it wants its pictures.

    Args:
        model: PaddleSeg's model section.
        size: (width, height) in pixels that pictures are brought to.
        url: the archive of its official weights, None where there are none.
        mean: per channel or for all, of pictures in [0, 1].
        std: per channel or for all.
    """

    model: Mapping[str, Any]
    size: tuple[int, int] = (512, 512)
    url: str | None = None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)


PRESETS: dict[str, Preset] = {
    # People in any position, trained on square pictures: what an aligned face is, too.
    "human_pp_humansegv2_lite": Preset(
        {
            "type": "MobileSeg",
            "num_classes": 2,
            "backbone": _MOBILE_NET,
            "cm_bin_sizes": [1, 2, 4],
            "backbone_indices": [0, 1, 2, 3],
            "cm_out_ch": 128,
            "arm_out_chs": [32, 64, 96, 128],
            "seg_head_inter_chs": [16, 32, 32, 32],
            "use_last_fuse": True,
        },
        (192, 192),
        f"{_ADDRESS}/human_pp_humansegv2_lite_192x192_pretrained.zip",
    ),
    # People before a camera, in wide pictures.
    "portrait_pp_humansegv2_lite": Preset(
        {
            "type": "MobileSeg",
            "num_classes": 2,
            "backbone": _MOBILE_NET,
            "cm_bin_sizes": [1, 2, 4],
            "backbone_indices": [0, 1, 2],
            "cm_out_ch": 128,
            "arm_out_chs": [32, 64, 128],
            "seg_head_inter_chs": [16, 32, 32],
            "use_last_fuse": True,
        },
        (256, 144),
        f"{_ADDRESS}/portrait_pp_humansegv2_lite_256x144_pretrained.zip",
    ),
    "portrait_pp_humansegv1_lite": Preset(
        {"type": "PPHumanSegLite", "num_classes": 2, "align_corners": False},
        (398, 224),
        f"{_ADDRESS}/portrait_pp_humansegv1_lite_398x224_pretrained.zip",
    ),
    "pp_liteseg": Preset(
        {"type": "PPLiteSeg", "num_classes": 2, "backbone": {"type": "STDC1"}},
    ),
    # For the parts of faces; PaddleSeg publishes no weights of it.
    "bisenetv1": Preset(
        {
            "type": "BiseNetV1",
            "num_classes": 19,
            "backbone": {"type": "ResNet18_vd", "output_stride": 32},
        },
    ),
    "bisenetv2": Preset({"type": "BiSeNetV2", "num_classes": 19}),
}

Model = str | os.PathLike[str] | Mapping[str, Any] | Preset


def is_installed() -> bool:
    """Tell whether the package `paddleseg` can be imported."""
    try:
        _manager()
    except MissingExtraError:
        return False
    return True


class PaddleSegNetwork:
    """A network of PaddleSeg with its weights.

    Args:
        model: a name in `PRESETS`, one of PaddleSeg's YAML files, a model section as a mapping, or
            a `Preset`.
        weight_path: its weights. By default the preset's official ones, downloaded once.
        size: (width, height) that pictures are brought to, instead of the preset's or the YAML's.

    Raises:
        MissingExtraError: `paddleseg` is not installed.
        ConfigError: PaddleSeg cannot build the model.
        WeightsError: the weights are missing, not to be had, or do not fit.
    """

    def __init__(
        self,
        model: Model,
        weight_path: str | os.PathLike[str] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._preset = _preset(model)
        self.size = tuple(size or self._preset.size)
        self.name = str(self._preset.model["type"])
        self._net = _built(self._preset.model)
        load_weights(self._net, weight_path or _official_weights(model, self._preset), self.name)
        self._net.eval()

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes at the network's size, float32 [C, h, w].

        Args:
            image: uint8 RGB [H, W, 3] of any size.
        """
        import cv2

        height, width = image.shape[:2]
        smaller = self.size[0] <= width and self.size[1] <= height
        resized = cv2.resize(
            image, self.size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        )
        x = (resized.astype(np.float32) / 255 - np.float32(self._preset.mean)) / np.float32(
            self._preset.std
        )
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[np.newaxis], dtype=np.float32)
        with paddle.no_grad():
            scores = self._net(paddle.to_tensor(x))[0]
            return paddle.nn.functional.softmax(scores, axis=1)[0].numpy()


def _manager() -> Any:
    try:
        from paddleseg import models  # noqa: F401  (registers the networks)
        from paddleseg.cvlibs import manager
    except ImportError as error:
        raise MissingExtraError("paddleseg", "seg", "segmenting with PaddleSeg") from error
    return manager


def _preset(model: Model) -> Preset:
    if isinstance(model, Preset):
        return model
    if isinstance(model, Mapping):
        preset = Preset(model)
    elif str(model) in PRESETS:
        return PRESETS[str(model)]
    elif str(model).endswith((".yml", ".yaml")):
        preset = _preset_of_file(Path(model))
    else:
        raise ConfigError(
            f"{str(model)!r} is no segmentation network: give one of {', '.join(PRESETS)}, or a "
            "YAML file of PaddleSeg (.yml)"
        )
    if not isinstance(preset.model.get("type"), str):
        raise ConfigError(f"the segmentation network {str(model)!r} has no `type`")
    return preset


def _preset_of_file(path: Path) -> Preset:
    _manager()
    from paddleseg.cvlibs import Config

    if not path.is_file():
        raise ConfigError(f"there is no config {path}")
    try:
        config = Config(str(path))
    # PaddleSeg's checks of a config end in assertions and RuntimeErrors, YAML's in its own.
    except Exception as error:
        raise ConfigError(f"PaddleSeg cannot use the config {path}: {error}") from error
    options: dict[str, Any] = {}
    # How pictures are prepared stands with the data that the network was tested on.
    for transform in config.val_dataset_cfg.get("transforms", []):
        if transform.get("type") == "Resize" and "target_size" in transform:
            options["size"] = tuple(transform["target_size"])
        elif transform.get("type") == "Normalize":
            for key in ("mean", "std"):
                if key in transform:
                    options[key] = tuple(transform[key])
    return Preset(config.model_cfg, **options)


def _built(section: Mapping[str, Any]) -> paddle.nn.Layer:
    manager = _manager()
    try:
        return _component(section, (manager.MODELS, manager.BACKBONES))
    except UserError:
        raise
    # What PaddleSeg's constructors raise on wrong options is of every kind.
    except Exception as error:
        raise ConfigError(f"PaddleSeg cannot build {section['type']!r}: {error}") from error


def _component(section: Mapping[str, Any], registries: Sequence[Any]) -> Any:
    options = {
        key: _component(value, registries) if _is_section(value) else value
        for key, value in section.items()
        if key not in ("type", "pretrained")
    }
    for registry in registries:
        if section["type"] in registry.components_dict:
            return registry[section["type"]](**options)
    known = sorted(name for registry in registries for name in registry.components_dict)
    raise ConfigError(
        f"PaddleSeg has no model {section['type']!r}: it has {', '.join(known[:8])}, ..."
    )


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) and "type" in value


def _official_weights(model: Model, preset: Preset) -> Path:
    if preset.url is None:
        raise WeightsError(
            f"PaddleSeg publishes no weights of {model if isinstance(model, str) else 'this'!r}: "
            "give a weight_path"
        )
    archive = cache_dir() / "weights" / preset.url.rpartition("/")[2]
    path = archive.with_suffix(".pdparams")
    if path.is_file():
        return path
    try:
        download(preset.url, archive)
    except UserError as error:
        raise WeightsError(f"the weights of {model!r} are missing: {error}") from error
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if name.endswith(".pdparams")]
            if len(names) != 1:
                raise WeightsError(f"{archive} holds {len(names)} files *.pdparams, expected one")
            most = _MOST_GROWTH * archive.stat().st_size
            info = file.getinfo(names[0])
            if info.compress_type not in _METHODS or info.file_size > most:
                raise WeightsError(f"{archive} holds far more than its size suggests, remove it")
            with file.open(info) as source:
                content = source.read(most)
    except WeightsError:
        raise
    # Damaged bytes give a dozen kinds of exceptions: zlib's, an end too early, a wrong password...
    except Exception as error:
        raise WeightsError(f"{archive} is damaged, remove it: {error}") from error
    with atomic_write(path) as target:
        target.write(content)
    return path
