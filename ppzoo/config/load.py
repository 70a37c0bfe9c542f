# SPDX-License-Identifier: Apache-2.0
"""From YAML files to a `TrainConfig`, without importing paddle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ppzoo.config.check import find_problems
from ppzoo.config.inherit import read_inherited
from ppzoo.config.overrides import apply_overrides
from ppzoo.config.problems import Origin, Problem, raise_problems, shown, suggest_or_list
from ppzoo.config.schema import (
    CLOSED,
    LOADER_KEYS,
    Component,
    OptimizerConfig,
    TrainConfig,
    plain,
)
from ppzoo.config.tree import Node, from_python

# Keys of PaddleGAN's files that none of its code reads in training.
DEAD_KEYS = (
    "checkpoints_dir",
    "use_dataset",
    "animate_params",
    "reconstruction_params",
    "visualizer_params",
    "predict",
)
# A misspelling in one of PaddleGAN's files, which it ignores.
MISSPELT = {"save_imig": "save_img"}
# A component that one version of PaddleGAN's ugatit_selfie2anime_light.yaml names wrongly.
MISSPELT_NAMES = {"Transfroms": "Transforms"}


def load_config(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), *, check: bool = False
) -> TrainConfig:
    """Read a config file, its `_base_` files and overrides.

    Args:
        path: the YAML file.
        overrides: changes such as `dataset.train.batch_size=4`, see `apply_overrides`.
        check: compare the components with their classes, too, which imports paddle; problems of
            both kinds are then reported together. `check_config` does it later.

    Raises:
        ConfigError: lists all problems, one a line, each with its file and line.
    """
    path = Path(path)
    root, notes = apply_overrides(read_inherited(path), overrides)
    builder = _Builder(path, notes)
    config = builder.build(root)
    if check and config is not None:
        builder.problems += find_problems(config)
    raise_problems(builder.problems)
    return config


def config_from(values: Mapping[str, Any], path: str | os.PathLike[str]) -> TrainConfig:
    """Return the config that nested dictionaries describe, as a YAML file would.

    Args:
        values: what the file would hold; unchanged.
        path: the file that they are from: its name names the run, and stands in messages.

    Raises:
        ConfigError: lists all problems, one a line.
    """
    builder = _Builder(Path(path), ())
    config = builder.build(from_python(dict(values), Origin(str(path))))
    raise_problems(builder.problems)
    return config


class _Builder:
    """Makes a `TrainConfig` of a tree and collects problems on the way."""

    def __init__(self, path: Path, notes: Sequence[str]) -> None:
        self.path = path
        self.warnings = list(notes)
        self.problems: list[Problem] = []
        self.origins: dict[str, Origin] = {}

    def build(self, root: Node) -> TrainConfig | None:
        """Return the config; where there are problems, what is left of it, None if nothing is."""
        self.origins[""] = Origin(str(self.path))
        # A null means "as if it were not there" for every option of the trainer.
        data = {
            key: value
            for key, item in root.value.items()
            if (value := self._value(item, str(key))) is not None
        }
        self._drop_dead(data)
        self._choose_length(data)
        data["model"] = self._model(data)
        data["dataset"] = self._dataset(data.get("dataset"))
        data["lr_scheduler"] = self._lr_scheduler(data.get("lr_scheduler"))
        data["optimizer"], data["optimizer_lr"] = self._optimizers(data.get("optimizer"))
        data["validate"] = self._validate(data.get("validate"))
        data["export_model"] = self._export_model(data.get("export_model"))
        data |= {"path": self.path, "name": self.path.stem, "warnings": tuple(self.warnings)}
        return self._typed({key: value for key, value in data.items() if value is not None})

    def _value(self, node: Node, where: str) -> Any:
        """Return the plain value of a tree with its components, noting all origins."""
        self.origins[where] = node.origin
        if isinstance(node.value, list):
            return [self._value(item, f"{where}.{i}") for i, item in enumerate(node.value)]
        if not isinstance(node.value, dict):
            return node.value
        items = {key: self._value(item, f"{where}.{key}") for key, item in node.value.items()}
        if not isinstance(items.get("name"), str):
            return items
        for key in items:
            if not isinstance(key, str):
                self._problem(f"{where}.{key}", f"names of arguments are texts, got {key!r}")
        kwargs = {str(key): value for key, value in items.items() if key != "name"}
        name = MISSPELT_NAMES.get(items["name"], items["name"])
        if name != items["name"]:
            self._warn(f"{where}.name", f"is {items['name']!r}, taken for {name!r}")
        return Component(name, kwargs, where, node.value["name"].origin.line)

    def _drop_dead(self, data: dict[Any, Any]) -> None:
        for key in [key for key in data if key not in CLOSED[""]]:
            if key in DEAD_KEYS:
                self._warn(str(key), "is ignored, training does not use it")
            else:
                self._problem(str(key), f"unknown key{suggest_or_list(key, CLOSED[''])}")
            del data[key]

    def _choose_length(self, data: dict[str, Any]) -> None:
        if "epochs" not in data and "total_iters" not in data:
            self._problem("", "one of 'epochs' and 'total_iters' is needed")
            data["total_iters"] = 1  # to find other problems, too
        elif "epochs" in data and "total_iters" in data:
            self._warn("total_iters", "is ignored, because 'epochs' is given too and wins")
            del data["total_iters"]

    def _model(self, data: dict[str, Any]) -> Component | None:
        model = data.get("model")
        if not isinstance(model, Component):
            self._needs_name("model", model, "a model")
            return None
        # PaddleGAN's models cap the batches of an evaluation; here the trainer does.
        if "max_eval_steps" in model.kwargs and "max_eval_steps" in data:
            self._warn("model.max_eval_steps", "is ignored, because 'max_eval_steps' is given too")
        elif "max_eval_steps" in model.kwargs:
            data["max_eval_steps"] = model.kwargs["max_eval_steps"]
            self.origins["max_eval_steps"] = self._origin("model.max_eval_steps")
        return model.without("max_eval_steps")

    def _dataset(self, section: Any) -> Any:
        if section is None:
            self._problem("dataset", "is missing; it holds 'train' and 'test'")
            return {}
        if not isinstance(section, dict):
            return section
        splits: dict[str, Any] = {}
        for split, data in section.items():
            where = f"dataset.{split}"
            if split not in CLOSED["dataset"]:
                splits[split] = data  # an error to come
            elif isinstance(data, Component):
                loader = {key: data.kwargs[key] for key in LOADER_KEYS if key in data.kwargs}
                given = {key: value for key, value in loader.items() if value is not None}
                splits[split] = {"component": data.without(*LOADER_KEYS), **given}
            elif data is not None:
                self._needs_name(where, data, "a dataset")
        return splits

    def _lr_scheduler(self, section: Any) -> Any:
        if isinstance(section, (Component, dict, type(None))):
            return section
        self._needs_name("lr_scheduler", section, "a scheduler")
        return None

    def _optimizers(self, section: Any) -> tuple[dict[str, OptimizerConfig], Any]:
        """Return the optimizers by name, and the bare `lr` among them."""
        if section is None:
            return {}, None
        if isinstance(section, Component):
            rate = section.kwargs.get("lr")
            groups: Mapping[str, Any] = {"optim": section.without("lr")}
        elif isinstance(section, dict):
            rate = section.get("lr")
            groups = {str(key): item for key, item in section.items() if key != "lr"}
        else:
            self._needs_name("optimizer", section, "an optimizer")
            return {}, None
        if rate is not None:
            self._warn(
                "optimizer.lr",
                "is for the families that read it; others take their rate from lr_scheduler",
            )
        optimizers: dict[str, OptimizerConfig] = {}
        for name, group in groups.items():
            if not isinstance(group, Component):
                self._needs_name(f"optimizer.{name}", group, "an optimizer")
                continue
            nets = group.kwargs.get("net_names")
            if not _are_names(nets):
                self._problem(
                    f"{group.where}.net_names",
                    f"should be a list of names of networks, got {shown(nets)}",
                )
                nets = None
            optimizers[name] = OptimizerConfig(component=group.without("net_names"), net_names=nets)
        return optimizers, rate

    def _validate(self, section: Any) -> Any:
        if not isinstance(section, dict):
            return plain(section)
        section = dict(section)
        for key, meant in MISSPELT.items():
            if section.pop(key, None) is not None:
                self._warn(f"validate.{key}", f"is ignored; did you mean {meant!r}?")
        metrics = section.get("metrics")
        if isinstance(metrics, Component):
            section["metrics"] = {metrics.name.lower(): metrics}
        elif isinstance(metrics, dict):
            for name, metric in metrics.items():
                # Null is how one of several is left out on the command line.
                if metric is not None and not isinstance(metric, Component):
                    self._needs_name(f"validate.metrics.{name}", metric, "a metric")
            section["metrics"] = {
                str(name): metric
                for name, metric in metrics.items()
                if isinstance(metric, Component)
            }
        # So it is in PaddleGAN's wav2lip.yaml; that family reports its own figures there.
        has_results = section.get("metrics") or section.get("save_img") is not False
        if section.get("interval", -1) != -1 and not has_results:
            text = "has neither metrics nor save_img: nothing is evaluated in training"
            self._warn("validate", text)
        return section

    def _export_model(self, section: Any) -> Any:
        # `export_model: [{}]` means none, as in PaddleGAN's firstorder_vox_mobile_256.yaml.
        return plain(section) if section != [{}] else None

    def _typed(self, data: dict[str, Any]) -> TrainConfig | None:
        for section in CLOSED:
            if section and isinstance(data.get(section), Mapping):
                items = data[section].items()
                data[section] = {key: value for key, value in items if value is not None}
            elif section and isinstance(data.get(section), Component):
                data[section] = plain(data[section])
        try:
            config = TrainConfig.model_validate(data)
        except ValidationError as error:
            found = error.errors()
            self.problems += [self._translated(item) for item in found if item["loc"] != ("model",)]
            wrong = {item["loc"][0] for item in found if item["loc"]}
            if "model" in wrong:
                return None
            kept = {key: value for key, value in data.items() if key not in wrong}
            length = {} if "epochs" in kept else {"total_iters": 1}
            config = TrainConfig.model_validate({"dataset": {}} | length | kept)
        config._origins.update(self.origins)
        return config

    def _translated(self, error: Mapping[str, Any]) -> Problem:
        """Return pydantic's error in our words."""
        where = ".".join(str(key) for key in error["loc"]).replace("optimizer_lr", "optimizer.lr")
        if error["type"] == "extra_forbidden":
            section, _, key = where.rpartition(".")
            text = f"unknown key{suggest_or_list(key, CLOSED.get(section, ()))}"
        elif error["type"] == "missing":
            text = "is missing"
        elif error["type"] == "value_error":
            text = str(error["ctx"]["error"])
        elif error["type"] in ("model_type", "dict_type"):
            text = f"should be a mapping, got {shown(error['input'])}"
        else:
            message = error["msg"].replace("Input should", "should").replace("tuple", "list")
            text = f"{message}, got {shown(error['input'])}"
        return Problem(self._origin(where), where, text)

    def _needs_name(self, where: str, value: Any, what: str) -> None:
        if value is None:
            text = f"is missing; it is {what}: a mapping with a 'name'"
        elif isinstance(value, dict):
            text = f"needs a 'name' to be {what}"
        else:
            text = f"should be {what}: a mapping with a 'name', got {shown(value)}"
        self._problem(where, text)

    def _problem(self, where: str, text: str) -> None:
        self.problems.append(Problem(self._origin(where), where, text))

    def _warn(self, where: str, text: str) -> None:
        self.warnings.append(str(Problem(self._origin(where), where, text)))

    def _origin(self, where: str) -> Origin:
        while where not in self.origins:
            where = where.rpartition(".")[0]
        return self.origins[where]


def _are_names(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str)
