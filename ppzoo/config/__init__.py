# SPDX-License-Identifier: Apache-2.0
"""Configs: YAML files as frozen, typed objects, checked before anything is built."""

from ppzoo.config.check import check_config
from ppzoo.config.load import config_from, load_config
from ppzoo.config.schema import (
    Component,
    DataConfig,
    DatasetConfig,
    EMAConfig,
    ExportItem,
    LogConfig,
    OptimizerConfig,
    SnapshotConfig,
    TrainConfig,
    ValidateConfig,
)

__all__ = [
    "Component",
    "DataConfig",
    "DatasetConfig",
    "EMAConfig",
    "ExportItem",
    "LogConfig",
    "OptimizerConfig",
    "SnapshotConfig",
    "TrainConfig",
    "ValidateConfig",
    "check_config",
    "config_from",
    "load_config",
]
