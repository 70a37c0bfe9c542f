# SPDX-License-Identifier: Apache-2.0
"""What a run writes down so that it can go on as if it had never stopped.

Two files a snapshot, in PaddleGAN's layout and with its names:

    <stem>_weight.pdparams       {net: {parameter: array}}, with averaged weights as <net>_ema
    <stem>_checkpoint.pdparams   the same, plus `epoch` (an iteration count, as in PaddleGAN), the
                                 state of each optimizer under its name, and our own `ppzoo`

Random states are not among it: they are set anew from (seed, iteration) before every step, so the
seed and the iteration are the whole state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from ppzoo import __version__
from ppzoo.engine.ema import EMA
from ppzoo.errors import ConfigError, WeightsError
from ppzoo.model import Model
from ppzoo.weights import load_state, read, write_pdparams

FORMAT = 1
# Options that a resumed run may change: where it runs, how long, and what it writes. Batch size,
# networks, losses, data, schedules and the seed may not.
_FREE_OPTIONS = re.compile(
    r"^(epochs|total_iters|output_dir|device|enable_visualdl|image_num|max_eval_steps|export_model"
    r"|log_config|snapshot_config|validate|validation|dataset\.test|min_max|find_unused_parameters"
    r"|dataset\.train\.(num_workers|use_shared_memory)|path|name|warnings)\b"
)


def save(
    folder: Path, stem: str, model: Model, ema: EMA | None, progress: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Write a snapshot and return the paths of its weights and of its checkpoint.

    Each file is written whole or not at all. Older checkpoints in the folder are removed once the
    new one is on disk; weights stay.

    Args:
        folder: the run folder.
        stem: such as `epoch_5` or `iter_2000`.
        model: networks, optimizers, schedules and loss scalers are saved.
        ema: averaged weights, saved as `<net>_ema`.
        progress: what else a resumed run needs: iteration, seed, config...

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    weights = {name: _arrays(net.state_dict()) for name, net in model.nets.items()}
    if ema is not None:
        weights |= {f"{name}_ema": _arrays(state) for name, state in ema.shadow.items()}
    content: dict[str, Any] = dict(weights)
    content["epoch"] = int(progress["iteration"])
    content |= {name: _arrays(optim.state_dict()) for name, optim in model.optimizers.items()}
    content["ppzoo"] = {
        "format": FORMAT,
        "version": __version__,
        "parameter_names": _parameter_names(model),
        "schedules": {name: _arrays(s.state_dict()) for name, s in model.lr_schedulers.items()},
        "scalers": {name: _arrays(scaler.state_dict()) for name, scaler in model.scalers.items()},
        "extra": model.extra_state(),
        **progress,
    }
    weight_path = folder / f"{stem}_weight.pdparams"
    checkpoint_path = folder / f"{stem}_checkpoint.pdparams"
    write_pdparams(weight_path, weights)
    write_pdparams(checkpoint_path, content)
    for old in folder.glob("*_checkpoint.pdparams"):
        if old != checkpoint_path:
            old.unlink()
    return weight_path, checkpoint_path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, running none of what is in it.

    Raises:
        WeightsError: no such file, a damaged or unsafe one, or one that is no checkpoint of ours.
    """
    content = read(path)
    ours = content.get("ppzoo") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or "iteration" not in ours:
        raise WeightsError(
            f"{path} holds weights but no training state of ppzoo, so a run cannot go on from it: "
            "resume from a *_checkpoint.pdparams, or start from these weights with --load"
        )
    if ours.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has checkpoint format {ours.get('format')}, this ppzoo ({__version__}) reads "
            f"format {FORMAT}: use the version that wrote it, {ours.get('version')}"
        )
    return content


def restore(content: Mapping[str, Any], model: Model, ema: EMA | None, source: Path) -> None:
    """Put the state of a checkpoint into a model that is set up for training.

    Raises:
        WeightsError: networks or optimizers differ from those of the checkpoint; then nothing of
            the model has changed.
    """
    for name in (*model.nets, *model.optimizers):
        if name not in content:
            raise WeightsError(f"{source} has no entry {name!r}: it belongs to another model")
    for name, net in model.nets.items():
        load_state(net, content[name], f"{source} ({name})")
    ours = content["ppzoo"]
    for name, scheduler in model.lr_schedulers.items():
        scheduler.set_state_dict(ours["schedules"][name])
    for name, optim in model.optimizers.items():
        optim.set_state_dict(_renamed(content[name], ours["parameter_names"], model))
    for name, scaler in model.scalers.items():
        scaler.load_state_dict(ours["scalers"][name])
    model.load_extra_state(ours["extra"])
    if ema is not None:
        for name, state in ema.shadow.items():
            for key, value in state.items():
                value.set_value(content[f"{name}_ema"][key])


def load_weights(path: Path, model: Model) -> list[str]:
    """Start a model from the weights in a file, ours or PaddleGAN's.

    Args:
        path: `{net: {parameter: array}}`, or `{parameter: array}` for a model of one network.
        model: its networks are changed.

    Returns:
        The networks that the file does not have; they keep their weights.

    Raises:
        WeightsError: no network of the model is in the file, or one does not fit.
    """
    content = read(path)
    found = [name for name in model.nets if isinstance(content.get(name), dict)]
    flat = content and all(isinstance(value, np.ndarray) for value in content.values())
    if flat and len(model.nets) == 1:
        found, content = list(model.nets), dict.fromkeys(model.nets, content)
    if not found:
        raise WeightsError(
            f"{path} has none of the networks {', '.join(model.nets)} of this model; its entries "
            f"are {', '.join(map(str, list(content)[:6]))}"
        )
    for name in found:
        load_state(model.nets[name], content[name], f"{path} ({name})")
    return [name for name in model.nets if name not in found]


def differing_options(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "") -> list[str]:
    """Return what makes two configs different runs, such as `model.generator.ngf: 64 -> 32`."""
    lines = []
    for key in dict.fromkeys([*old, *new]):
        path = f"{where}{key}"
        before, after = old.get(key), new.get(key)
        if _FREE_OPTIONS.match(path) or before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differing_options(before, after, f"{path}.")
        else:
            lines.append(f"{path}: {before} -> {after}")
    return lines


def refuse_changes(content: Mapping[str, Any], progress: Mapping[str, Any], source: Path) -> None:
    """Check that a run which resumes is the same run.

    Raises:
        ConfigError: options that matter differ; lists them.
    """
    ours = content["ppzoo"]
    changes = differing_options(ours["config"], progress["config"])
    for key, label in (
        ("seed", "--seed"),
        ("precision", "--amp / --amp_level"),
        ("world_size", "number of processes"),
    ):
        if ours[key] != progress[key]:
            changes.append(f"{label}: {ours[key]} -> {progress[key]}")
    if changes:
        raise ConfigError(
            f"{source} cannot be resumed with changed options ({'; '.join(changes)}): undo them, or "
            "start a new run from these weights with --load"
        )


def _arrays(value: Any) -> Any:
    if isinstance(value, paddle.Tensor):
        return value.numpy()
    if isinstance(value, Mapping):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(item) for item in value)
    return value


def _parameter_names(model: Model) -> dict[str, str]:
    """Return Paddle's name of each parameter, which optimizers use as keys, by ours.

    Paddle numbers parameters in the order of their making in a process, so a second model in the
    same notebook has other names.
    """
    return {
        f"{net_name}.{key}": parameter.name
        for net_name, net in model.nets.items()
        for key, parameter in net.named_parameters()
    }


def _renamed(
    state: Mapping[str, Any], old_names: Mapping[str, str], model: Model
) -> dict[str, Any]:
    names = {
        old_names[key]: new for key, new in _parameter_names(model).items() if key in old_names
    }
    renamed = {}
    for key, value in state.items():
        if key == "master_weights":
            renamed[key] = {names.get(name, name): item for name, item in value.items()}
            continue
        owner = max((name for name in names if key.startswith(f"{name}_")), key=len, default=None)
        renamed[key if owner is None else names[owner] + key[len(owner) :]] = value
    return renamed
