# SPDX-License-Identifier: Apache-2.0
"""A small stand-in for the package paddleseg: those parts of its public API that ppzoo uses."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import paddle
import pytest

# Where the real package is installed, the tests run with it as well.
IMPLEMENTATIONS = ["fake", *(["real"] if importlib.util.find_spec("paddleseg") else [])]


class Components:
    def __init__(self, *classes: type) -> None:
        self.components_dict = {each.__name__: each for each in classes}

    def __getitem__(self, name: str) -> type:
        return self.components_dict[name]


class STDC1(paddle.nn.Layer):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, width, 3, padding=1)
        self.width = width

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.conv(x)


class PPLiteSeg(paddle.nn.Layer):
    def __init__(self, num_classes: int, backbone: STDC1, pretrained: str | None = None) -> None:
        super().__init__()
        assert pretrained is None, "ppzoo loads the weights itself"
        self.backbone = backbone
        self.head = paddle.nn.Conv2D(backbone.width, num_classes, 1)

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        return [self.head(self.backbone(x))]


class BiSeNetV2(paddle.nn.Layer):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, num_classes, 1)

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        return [self.conv(x)]


class Config:
    def __init__(self, path: str) -> None:
        from ruamel.yaml import YAML

        content = YAML(typ="safe").load(Path(path))
        assert "train_dataset" in content, "a config has a train_dataset"
        self.model_cfg = content["model"]
        self.val_dataset_cfg = content["val_dataset"]


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import paddleseg` find the stand-in."""
    package = types.ModuleType("paddleseg")
    package.models = types.ModuleType("paddleseg.models")
    package.cvlibs = types.ModuleType("paddleseg.cvlibs")
    package.cvlibs.Config = Config
    package.cvlibs.manager = types.SimpleNamespace(
        MODELS=Components(PPLiteSeg, BiSeNetV2), BACKBONES=Components(STDC1)
    )
    for name in ("paddleseg", "paddleseg.models", "paddleseg.cvlibs"):
        module = package if name == "paddleseg" else getattr(package, name.partition(".")[2])
        monkeypatch.setitem(sys.modules, name, module)


def remove(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import paddleseg` fail, as where it is not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "paddleseg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "paddleseg", None)
