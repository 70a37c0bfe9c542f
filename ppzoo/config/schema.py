# SPDX-License-Identifier: Apache-2.0
"""The typed objects that a config becomes: PaddleGAN's schema, frozen.

Sections of the trainer are closed: `load_config` refuses keys that they do not have. Everything
that a registry builds is a `Component`, which takes any keyword arguments; `check_config` compares
them with the signature of the class.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PrivateAttr,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from ppzoo.config.problems import Origin
from ppzoo.config.tree import literal


@dataclasses.dataclass(frozen=True)
class Component:
    """Something that a registry builds: a mapping of the YAML that has a `name`.

    Two components are equal when they say the same, wherever they stand.

    Args:
        name: the registered name.
        kwargs: the other keys; mappings in them that have a name are components too.
        where: the dotted path, such as `model.generator`.
        line: the line of the name, 0 if an override gave it.
    """

    name: str
    kwargs: Mapping[str, Any]
    where: str = dataclasses.field(default="", compare=False)
    line: int = dataclasses.field(default=0, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kwargs", MappingProxyType(dict(self.kwargs)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Component, (self.name, dict(self.kwargs), self.where, self.line)

    def without(self, *keys: str) -> Component:
        """Return the component without some of its keyword arguments."""
        kept = {key: value for key, value in self.kwargs.items() if key not in keys}
        return dataclasses.replace(self, kwargs=kept)

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping that it was in the YAML, a copy."""
        return {"name": self.name, **plain(self.kwargs)}


def plain(value: Any) -> Any:
    """Return a copy of `value` in which components are mappings again."""
    if isinstance(value, Component):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _whole(value: Any) -> Any:
    """Let `1e5` stand for 100000."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any) -> Any:
    """Let a folder be called 2024."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _items(value: Any) -> Any:
    """Let one name stand for a list of one."""
    return (value,) if isinstance(value, str) else value


Whole = Annotated[StrictInt, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1)]
Names = Annotated[tuple[StrictStr, ...], BeforeValidator(_items)]


class Section(BaseModel):
    """A closed mapping: unknown keys are errors, values cannot be assigned."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class DataConfig(Section):
    """A dataset and how its samples become batches.

    Args:
        component: the dataset.
        batch_size: samples of a batch, for each process.
        num_workers: processes that load samples, 0 for none.
        use_shared_memory: how these hand over batches.
    """

    component: InstanceOf[Component]
    batch_size: Count = 1
    num_workers: Annotated[Whole, Field(ge=0)] = 0
    use_shared_memory: StrictBool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping of the YAML."""
        loader = {key: getattr(self, key) for key in LOADER_KEYS}
        return {**self.component.to_dict(), **loader}


LOADER_KEYS = tuple(key for key in DataConfig.model_fields if key != "component")


class DatasetConfig(Section):
    """The data to train and to evaluate on, of which one may be missing."""

    train: DataConfig | None = None
    test: DataConfig | None = None


class OptimizerConfig(Section):
    """An optimizer and the networks that it trains.

    Args:
        component: the optimizer.
        net_names: names of networks, None where the family decides.
    """

    component: InstanceOf[Component]
    net_names: Names | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping of the YAML."""
        nets = {} if self.net_names is None else {"net_names": list(self.net_names)}
        return {**self.component.to_dict(), **nets}


class ValidateConfig(Section):
    """When and how to evaluate.

    Args:
        interval: iterations between two evaluations, -1 for none.
        save_img: whether to write the pictures.
        metrics: by the name that logs use.
    """

    interval: Whole = -1
    save_img: StrictBool = True
    metrics: dict[str, InstanceOf[Component]] = Field(default_factory=dict)

    @property
    def has_results(self) -> bool:
        """Whether an evaluation would leave anything: figures or pictures."""
        return self.save_img or bool(self.metrics)

    @field_validator("interval")
    @classmethod
    def _positive_or_never(cls, value: int) -> int:
        if value < 1 and value != -1:
            raise ValueError(f"should be at least 1, or -1 for never, got {value}")
        return value


class LogConfig(Section):
    """How often to report, in iterations: losses, and pictures (PaddleGAN's spelling)."""

    interval: Count = 100
    visiual_interval: Count = 500


class SnapshotConfig(Section):
    """How often to save, in epochs or iterations as the run is counted."""

    interval: Count = 1


class ExportItem(Section):
    """A network to export and the number of its inputs."""

    name: StrictStr
    inputs_num: Count = 1


class EMAConfig(Section):
    """An exponential moving average of weights.

    Args:
        decay: share that the average keeps at each iteration.
        nets: networks to average, None for the family's choice.
        start: the iteration at which averaging starts.
    """

    decay: Annotated[float, Field(strict=True, ge=0.0, lt=1.0)]
    nets: Names | None = None
    start: Annotated[Whole, Field(ge=0)] = 0


class TrainConfig(Section):
    """A whole config. Two are equal when they say the same, whatever files they came from.

    Args:
        path: the file.
        name: the file's stem, which names the run.
        epochs: length of the run in epochs; exactly one of this and `total_iters` is set.
        total_iters: length of the run in iterations.
        model: the family and its networks and losses.
        dataset: the data.
        lr_scheduler: a component, or a mapping without a name that the family reads.
        optimizer: by name; a single one is called `optim`.
        optimizer_lr: a bare `lr` among the optimizers, which the family may read.
        validation: the section `validate`.
        export_model: networks to export.
        min_max: the range of pictures' values, for saving them.
        sync_batch_norm: whether batch norms see the batches of all processes, not only their own.
        image_num: how many pictures of a batch to show.
        seed: None for a new one in each run.
        device: `cpu`, `gpu` or `gpu:N`, None for the best there is.
        max_eval_steps: batches of an evaluation, None for all.
        warnings: what was doubtful, one sentence each.
    """

    path: Path
    name: str
    epochs: Count | None = None
    total_iters: Count | None = None
    output_dir: Annotated[StrictStr, BeforeValidator(_text), Field(min_length=1)] = "output_dir"
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None
    device: StrictStr | None = None
    model: InstanceOf[Component]
    dataset: DatasetConfig
    lr_scheduler: InstanceOf[Component] | dict[str, Any] | None = None
    optimizer: dict[str, OptimizerConfig] = Field(default_factory=dict)
    optimizer_lr: Annotated[float, Field(strict=True, gt=0.0)] | None = None
    ema: EMAConfig | None = None
    # pydantic's models have a method `validate` already
    validation: ValidateConfig | None = Field(default=None, alias="validate")
    log_config: LogConfig = LogConfig()
    snapshot_config: SnapshotConfig = SnapshotConfig()
    export_model: tuple[ExportItem, ...] = ()
    enable_visualdl: StrictBool = True
    min_max: tuple[Annotated[float, Field(strict=True)], Annotated[float, Field(strict=True)]] = (
        -1.0,
        1.0,
    )
    find_unused_parameters: StrictBool = False
    sync_batch_norm: StrictBool = False
    image_num: Count | None = None
    max_eval_steps: Count | None = None
    warnings: tuple[str, ...] = ()

    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=dict)

    @field_validator("device")
    @classmethod
    def _cpu_or_gpu(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"cpu|gpu(:\d+)?", value, re.ASCII):
            raise ValueError(f"should be cpu, gpu or gpu:N, got {value!r}")
        return value

    @field_validator("min_max")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not value[0] < value[1]:
            raise ValueError(f"should be two numbers, the smaller one first, got {value}")
        return value

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainConfig:
        if (self.epochs is None) == (self.total_iters is None):
            raise ValueError("one of 'epochs' and 'total_iters' is needed")
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrainConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # components hold lists

    def origin(self, where: str) -> Origin:
        """Return where the value at a dotted path was written, or the nearest one around it."""
        while where and where not in self._origins:
            where = where.rpartition(".")[0]
        return self._origins.get(where, Origin(str(self.path)))

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping of the YAML with all defaults filled in; unset options are left out.

        `load_config` reads it back as an equal config.
        """
        optimizers = {name: item.to_dict() for name, item in self.optimizer.items()}
        if list(optimizers) == ["optim"]:
            optimizers = optimizers["optim"]
        if self.optimizer_lr is not None:
            optimizers["lr"] = self.optimizer_lr
        splits = {"train": self.dataset.train, "test": self.dataset.test}
        special = {
            "model": self.model.to_dict(),
            "dataset": {name: data.to_dict() for name, data in splits.items() if data is not None},
            "lr_scheduler": plain(self.lr_scheduler),
            "optimizer": optimizers,
        }
        values: dict[str, Any] = {}
        for key, field in type(self).model_fields.items():
            if key not in _NOT_IN_YAML:
                name = field.alias or key
                values[name] = special[name] if name in special else _section(getattr(self, key))
        return {key: value for key, value in values.items() if value is not None}

    def to_yaml(self) -> str:
        """Return `to_dict` as YAML."""
        writer = YAML()
        writer.Representer = _Representer
        writer.width = 100
        stream = io.StringIO()
        writer.dump(_yaml(self.to_dict()), stream)
        return stream.getvalue()


class _Representer(RoundTripRepresenter):
    """Writes `null` where ruamel leaves a gap."""


_Representer.add_representer(
    type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
)

_NOT_IN_YAML = ("path", "name", "optimizer_lr", "warnings")
# The keys of each closed mapping by its dotted path; "" is the top.
CLOSED: Mapping[str, tuple[str, ...]] = {
    "": tuple(
        field.alias or key
        for key, field in TrainConfig.model_fields.items()
        if key not in _NOT_IN_YAML
    ),
    "dataset": tuple(DatasetConfig.model_fields),
    "validate": tuple(ValidateConfig.model_fields),
    "log_config": tuple(LogConfig.model_fields),
    "snapshot_config": tuple(SnapshotConfig.model_fields),
    "ema": tuple(EMAConfig.model_fields),
}

# Other spellings that a closed section takes; PaddleGAN's is the second.
SYNONYMS = {("log_config", "visual_interval"): ("log_config", "visiual_interval")}
# The two ways to say how long to train.
LENGTHS = ("epochs", "total_iters")


def _section(value: Any) -> Any:
    """Return a closed section, or a value of the top level, as plain YAML types."""
    if isinstance(value, Section):
        items = {key: _section(item) for key, item in value}
        return {key: item for key, item in items.items() if item is not None}
    if isinstance(value, tuple):
        return [_section(item) for item in value]
    return plain(value)


def _yaml(value: Any) -> Any:
    """Return `value` so that reading it back undoes what the rule about literals does.

    The rule applies to texts that are values of a mapping, so those that spell something else are
    quoted once more, and tuples are written as texts.
    """
    if isinstance(value, dict):
        return {key: _yaml(item) for key, item in value.items()}
    if isinstance(value, list):
        if _has_tuple(value):
            return repr(value)
        items = CommentedSeq(item if isinstance(item, str) else _yaml(item) for item in value)
        if not any(isinstance(item, (dict, list)) for item in value):
            items.fa.set_flow_style()
        return items
    if isinstance(value, tuple) or (isinstance(value, str) and literal(value) is not value):
        return repr(value)
    return value


def _has_tuple(items: list[Any]) -> bool:
    return any(
        isinstance(item, tuple) or (isinstance(item, list) and _has_tuple(item)) for item in items
    )
