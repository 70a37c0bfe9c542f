# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's configs: dictionaries whose keys are attributes, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppzoo.config import load_config


class AttrDict(dict):
    """A dictionary whose keys are attributes, too."""

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(key) from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __delattr__(self, key: str) -> None:
        del self[key]

    def __deepcopy__(self, memo: Any) -> AttrDict:
        return _attributes(plain(self))


def get_config(fname: str, overrides: Sequence[str] | None = None, show: bool = True) -> AttrDict:
    """Return what a YAML file and overrides say, with defaults filled in.

    Args:
        fname: the file.
        overrides: changes such as `dataset.train.batch_size=4`.
        show: accepted as PaddleGAN's; the training logs its config.

    Raises:
        ConfigError: the file, or what it says, is wrong; lists all problems with their lines.
    """
    config = _attributes(load_config(fname, list(overrides or ())).to_dict())
    config.config_file = fname
    return config


def plain(value: Any) -> Any:
    """Return nested dictionaries without attributes."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return AttrDict({key: _attributes(item) for key, item in value.items()})
    return [_attributes(item) for item in value] if isinstance(value, list) else value
