# SPDX-License-Identifier: Apache-2.0
"""What a run writes down so that it can go on as if it had never stopped.

Two files a snapshot, in PaddleGAN's layout and with its names:

    <stem>_weight.pdparams       {net: {parameter: array}}, with averaged weights as <net>_ema
    <stem>_checkpoint.pdparams   the same, plus `epoch` (an iteration count, as in PaddleGAN), the
                                 state of each optimizer under its name, and our own `ppzoo`

Checkpoints of PaddleGAN's own are read, too: see `paddlegan`.

Random states are not among it: they are set anew from (seed, iteration) before every step, so the
seed and the iteration are the whole state.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from ppzoo import __version__
from ppzoo.engine import paddlegan
from ppzoo.engine.ema import EMA
from ppzoo.errors import ConfigError, TrainingError, UserError, WeightsError
from ppzoo.model import Model
from ppzoo.weights import load_state, match_state, read, select_net, write_pdparams
from ppzoo.weights.load import listed
from ppzoo.weights.pickles import shown

_LOG = logging.getLogger(__name__)

FORMAT = 1
SUFFIX = "_checkpoint.pdparams"
KINDS = ("weight", "checkpoint")
DIVERGED = (
    "the run has diverged and stops; lower lr_scheduler.learning_rate and start again, perhaps "
    "from the last snapshot with --load"
)
# What a checkpoint says about a run, besides networks and optimizers.
_PROGRESS: dict[str, type] = {
    "iteration": int,
    "seed": int,
    "precision": str,
    "world_size": int,
    "samples": int,
    "unreported": dict,
    "config": dict,
    "parameter_names": dict,
    "schedules": dict,
    "scalers": dict,
    "extra": dict,
}
_OURS = re.compile(r"(epoch|iter)_\d+" + re.escape(SUFFIX))
# Options that a resumed run may change: where it runs and what it writes. Batch size, networks,
# losses, data, schedules and the seed may not.
_FREE_OPTIONS = re.compile(
    r"(output_dir|device|enable_visualdl|image_num|max_eval_steps|export_model|log_config|min_max"
    r"|snapshot_config|validate|find_unused_parameters|dataset\.test"
    r"|dataset\.train\.(num_workers|use_shared_memory))\b"
)


def save(
    folder: Path,
    stem: str,
    model: Model,
    ema: EMA | None,
    progress: Mapping[str, Any],
    kinds: Container[str] = KINDS,
    keep: int = 1,
) -> tuple[Path, Path]:
    """Write a snapshot and return the paths of its weights and of its checkpoint.

    Each file is written whole or not at all. Older checkpoints of the run are removed once the new
    one is on disk; weights stay.

    Args:
        folder: the run folder.
        stem: such as `epoch_5` or `iter_2000`.
        model: networks, optimizers, schedules and loss scalers are saved.
        ema: averaged weights, saved as `<net>_ema`.
        progress: what else a resumed run needs: iteration, seed, config...
        kinds: those of `KINDS` that are written.
        keep: how many checkpoints stay, the latest ones; 0 or less for all.

    Raises:
        TrainingError: a weight is not finite; nothing is written.
        UserError: the disk is full or the folder cannot be written.
    """
    weights = {name: _arrays(net.state_dict()) for name, net in model.nets.items()}
    _refuse_diverged(weights, progress["iteration"])
    if ema is not None:
        weights |= {f"{name}_ema": _arrays(state) for name, state in ema.shadow.items()}
    weight_path = folder / f"{stem}_weight.pdparams"
    checkpoint_path = folder / f"{stem}{SUFFIX}"
    if "weight" in kinds:
        write_pdparams(weight_path, weights)
    if "checkpoint" in kinds:
        write_pdparams(checkpoint_path, _content(weights, model, progress))
        _remove_others(checkpoint_path, keep)
    return weight_path, checkpoint_path


def _content(
    weights: Mapping[str, Any], model: Model, progress: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a checkpoint consists of."""
    content: dict[str, Any] = dict(weights)
    content["epoch"] = int(progress["iteration"])
    names = paddlegan.parameter_names(model)
    here = {p.name: names[key] for key, p in _parameters(model).items()}
    content |= {
        name: _renamed(_arrays(optim.state_dict()), here)
        for name, optim in model.optimizers.items()
    }
    content["ppzoo"] = {
        "format": FORMAT,
        "version": __version__,
        "parameter_names": names,
        "schedules": {name: _arrays(s.state_dict()) for name, s in model.lr_schedulers.items()},
        "scalers": {name: _arrays(scaler.state_dict()) for name, scaler in model.scalers.items()},
        "extra": model.extra_state(),
        **progress,
    }
    return content


def _remove_others(latest: Path, keep: int) -> None:
    """Remove the run's checkpoints but the latest ones."""
    others = [
        path
        for path in latest.parent.glob(f"*{SUFFIX}")
        if path != latest and _OURS.fullmatch(path.name)
    ]
    others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in others[keep - 1 :] if keep > 0 else ():
        old.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours or PaddleGAN's, running none of what is in it.

    Raises:
        WeightsError: no such file, a damaged or unsafe one, or one that is no checkpoint.
    """
    content = read(path)
    if paddlegan.is_paddlegans(content):
        return content
    ours = content.get("ppzoo") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or "iteration" not in ours:
        raise WeightsError(
            f"{path} holds weights but no training state, so a run cannot go on from it: "
            "resume from a *_checkpoint.pdparams, or start from these weights with --load"
        )
    written, version = shown(ours.get("format")), shown(ours.get("version"))
    if written != str(FORMAT):
        raise WeightsError(
            f"{path} has checkpoint format {written}, this ppzoo ({__version__}) reads "
            f"format {FORMAT}: use the version that wrote it, {version}"
        )
    for key, kind in _PROGRESS.items():
        if type(ours.get(key)) is not kind or (key == "config" and not _is_plain(ours[key])):
            raise WeightsError(f"{path} is damaged: its training state has no valid {key!r}")
    return content


def restore(content: Mapping[str, Any], model: Model, ema: EMA | None, source: Path) -> None:
    """Put the state of a checkpoint into a model that is set up for training.

    Raises:
        WeightsError: networks or optimizers differ from those of the checkpoint; then nothing of
            the model has changed.
    """
    ours = content["ppzoo"]
    averages = {} if ema is None else {f"{name}_ema": state for name, state in ema.shadow.items()}
    for known, names in (
        (content, (*model.nets, *model.optimizers, *averages)),
        (ours["schedules"], model.lr_schedulers),
        (ours["scalers"], model.scalers),
    ):
        for name in names:
            if not isinstance(known.get(name), Mapping):
                raise WeightsError(f"{source} has no entry {name!r}: it belongs to another model")
    expected = [(name, net.state_dict()) for name, net in model.nets.items()]
    matched = [
        (state, match_state(state, content[name], f"{source} ({name})"))
        for name, state in (*expected, *averages.items())
    ]
    parameters = _parameters(model)
    here = {
        old: parameters[key].name
        for key, old in ours["parameter_names"].items()
        if key in parameters and isinstance(old, str)
    }
    for name in model.optimizers:
        _check_kinds(content[name], f"{source} ({name})")
    optimizers = {name: _renamed(content[name], here) for name in model.optimizers}
    for name, state in optimizers.items():
        _check_shapes(state, parameters.values(), f"{source} ({name})")
    for name, scheduler in model.lr_schedulers.items():
        _check_like(ours["schedules"][name], scheduler.state_dict(), f"{source} ({name})")
    with _explained(source), _taken_back_on_failure(model):
        for name, optim in model.optimizers.items():
            optim.set_state_dict(optimizers[name])
        for name, scheduler in model.lr_schedulers.items():
            scheduler.set_state_dict(ours["schedules"][name])
        for name, scaler in model.scalers.items():
            scaler.load_state_dict(ours["scalers"][name])
        model.load_extra_state(ours["extra"])
    for state, arrays in matched:
        for key, value in state.items():
            value.set_value(arrays[key])


def restore_paddlegans(
    content: Mapping[str, Any], model: Model, ema: EMA | None, source: Path
) -> tuple[int, list[str]]:
    """Put PaddleGAN's checkpoint into a model that is set up for training.

    Returns:
        The number of finished iterations, and what the user should know.

    Raises:
        WeightsError: networks or optimizers do not fit; then nothing of the model has changed.
    """
    with _explained(source):
        state = paddlegan.match(content, model, source)
        for name, entries in state.optimizers.items():
            _check_kinds(entries, f"{source} ({name})")
        with _taken_back_on_failure(model):
            paddlegan.put(state, model)
    notes = state.notes
    if ema is not None:
        ema.restart()
        notes.append("averages of weights begin with these weights: PaddleGAN keeps none")
    return state.iteration, notes


def load_weights(path: Path, model: Model, *, prefer_ema: bool = False) -> list[str]:
    """Start a model from the weights in a file, ours or PaddleGAN's.

    Args:
        path: `{net: {parameter: array}}`, or `{parameter: array}` for a model of one network.
        model: its networks are changed.
        prefer_ema: take the averaged weights, where the file has them.

    Returns:
        The networks that the file does not have; they keep their weights.

    Raises:
        WeightsError: no network of the model is in the file, or one does not fit; then none has
            changed.
    """
    content = read(path)
    present = [name for name in model.nets if isinstance(content.get(name), Mapping)]
    if len(model.nets) == 1:
        present = list(model.nets)  # a file of one network need not name it
    if not present and any(isinstance(value, np.ndarray) for value in content.values()):
        present = [_only_fitting(content, model, path)]
    if not present:
        raise WeightsError(
            f"{path} has none of the networks {', '.join(model.nets)} of this model; its entries "
            f"are {listed(list(content))}"
        )
    found = {
        name: model.weights_to_start_from(
            name, select_net(content, name, path, prefer_ema=prefer_ema)
        )
        for name in present
    }
    for name, arrays in found.items():
        match_state(model.nets[name], arrays, f"{path} ({name})")
    for name, arrays in found.items():
        load_state(model.nets[name], arrays, f"{path} ({name})")
    return [name for name in model.nets if name not in found]


def _only_fitting(content: Mapping[Any, Any], model: Model, path: Path) -> str:
    """Return the one network of a model that weights without a name of a network fit.

    Raises:
        WeightsError: they fit none, or several.
    """
    fitting = []
    for name, net in model.nets.items():
        with contextlib.suppress(WeightsError):
            match_state(net, select_net(content, name, path), path)
            fitting.append(name)
    if len(fitting) == 1:
        _LOG.warning("%s names no network, and is taken for %s, which it fits", path, fitting[0])
        return fitting[0]
    if fitting:
        reason = f"{' and '.join(fitting)} alike: save it as {{'{fitting[0]}': weights}}"
    else:
        reason = f"none of {', '.join(model.nets)}: give the config that it was trained with"
    raise WeightsError(f"{path} holds one network without a name, which fits {reason}")


def differing_options(old: Any, new: Any, where: str = "") -> list[str]:
    """Return what makes two configs different runs, such as `model.generator.ngf: 64 -> 32`.

    Args:
        old: a config as a mapping, or a part of one.
        new: what is compared with it.
        where: the dotted path of that part.
    """
    if old == new or _FREE_OPTIONS.match(where):
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = {key: (old.get(key), new.get(key)) for key in (*old, *new)}
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = dict(enumerate(zip(old, new, strict=True)))
    else:
        return [f"{shown(where, 200)}: {shown(old)} -> {shown(new)}"]
    prefix = f"{where}." if where else ""
    return [
        line
        for key, (before, after) in pairs.items()
        for line in differing_options(before, after, f"{prefix}{key}")
    ]


def refuse_changes(content: Mapping[str, Any], progress: Mapping[str, Any], source: Path) -> None:
    """Check that a run which resumes is the same run.

    Raises:
        ConfigError: options that matter differ; lists them.
    """
    ours = content["ppzoo"]
    old, new = dict(ours["config"]), dict(progress["config"])
    for config in (old, new):
        config.pop("seed", None)  # the seed itself is compared below, wherever it came from
        # A run may become longer, but schedules depend on what it is counted in.
        config["counted in"] = "epochs" if config.pop("epochs", None) else "iterations"
        config.pop("total_iters", None)
    changes = differing_options(old, new)
    for key, label in (
        ("seed", "--seed"),
        ("precision", "--amp, --amp_level"),
        ("world_size", "number of processes"),
    ):
        if ours[key] != progress[key]:
            changes.append(f"{label}: {shown(ours[key])} -> {progress[key]}")
    if changes:
        raise ConfigError(
            f"{source} cannot be resumed with changed options ({'; '.join(changes)}): undo them, "
            "or start a new run from these weights with --load"
        )


def _refuse_diverged(weights: Mapping[str, Mapping[str, np.ndarray]], iteration: int) -> None:
    for net, state in weights.items():
        for key, array in state.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingError(
                    f"the weight {net}.{key} is not finite at iteration {iteration}: {DIVERGED}"
                )


def _arrays(value: Any) -> Any:
    if isinstance(value, paddle.Tensor):
        return value.numpy()
    if isinstance(value, Mapping):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(item) for item in value)
    return value


def _parameters(model: Model) -> dict[str, paddle.Tensor]:
    """Return all parameters by names that are the same in every process.

    Paddle numbers parameters in the order of their making in a process, and optimizers use these
    numbers as keys; so a second model in the same notebook has other ones.
    """
    return {
        f"{net_name}.{key}": parameter
        for net_name, net in model.nets.items()
        for key, parameter in net.named_parameters()
    }


@contextlib.contextmanager
def _explained(source: Path) -> Iterator[None]:
    """Say what is wrong with a state that Paddle, or a model, cannot use."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = shown(str(error) or type(error).__name__, 200)
        raise WeightsError(
            f"{source} is damaged, its training state cannot be used ({reason}): resume from "
            "another checkpoint, or start from its weights with --load"
        ) from error


@contextlib.contextmanager
def _taken_back_on_failure(model: Model) -> Iterator[None]:
    """Give optimizers, schedules, loss scalers and the family's own state back what they had.

    Some of what is wrong with a state only Paddle finds, when others have been set. Networks are
    not among it: theirs have been compared, and are set last.
    """
    optimizers = {name: _arrays(optim.state_dict()) for name, optim in model.optimizers.items()}
    schedules = {name: copy.copy(vars(s)) for name, s in model.lr_schedulers.items()}
    scalers = {name: _arrays(scaler.state_dict()) for name, scaler in model.scalers.items()}
    extra = copy.deepcopy(model.extra_state())
    try:
        yield
    except Exception:
        for name, state in optimizers.items():
            model.optimizers[name].set_state_dict(state)
        for name, attributes in schedules.items():
            vars(model.lr_schedulers[name]).update(attributes)
        for name, state in scalers.items():
            model.scalers[name].load_state_dict(state)
        model.load_extra_state(extra)
        raise


def _check_kinds(state: Mapping[Any, Any], source: str) -> None:
    """Refuse what no optimizer keeps: on some of it, Paddle ends the process."""
    for key, value in state.items():
        if key == "LR_Scheduler" and isinstance(value, Mapping):
            continue
        entries = value if key == "master_weights" and isinstance(value, Mapping) else {key: value}
        for name, entry in entries.items():
            is_array = isinstance(entry, np.ndarray) and entry.dtype.kind in "fiu" and entry.size
            if not isinstance(name, str) or not (is_array or type(entry) in (int, float)):
                raise WeightsError(
                    f"{source} is no state of an optimizer: its entry '{shown(name)}' is not an "
                    "array of numbers"
                )


def _is_plain(value: Any) -> bool:
    """Tell whether a value can be part of a config."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str, type(None)))


def _check_like(saved: Mapping[Any, Any], current: Mapping[str, Any], source: str) -> None:
    """Refuse a schedule's state in which a number stands for a list, or the like."""
    kinds = ((int, float, np.number), (list, tuple), Mapping, str)
    for key, value in current.items():
        kind = next((kind for kind in kinds if isinstance(value, kind)), None)
        if key in saved and kind is not None and not isinstance(saved[key], kind):
            raise WeightsError(
                f"{source} is no state of this schedule: '{shown(key)}' is a "
                f"{type(saved[key]).__name__} in it"
            )


def _renamed(state: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return an optimizer's state with other names of parameters."""
    renamed = {}
    for key, value in state.items():
        if key == "master_weights":
            renamed[key] = {names.get(name, name): item for name, item in value.items()}
            continue
        old = _owner(key, names)
        renamed[key if old is None else names[old] + key[len(old) :]] = value
    return renamed


def _owner(key: str, names: Container[str]) -> str | None:
    """Return the longest of `names` with which a key such as `conv2d_0.w_0_moment1_0` begins."""
    end = key.rfind("_")
    while end > 0 and key[:end] not in names:
        end = key.rfind("_", 0, end)
    return key[:end] if end > 0 else None


def _check_shapes(
    state: Mapping[str, Any], parameters: Iterable[paddle.Tensor], source: str
) -> None:
    shapes = {p.name: tuple(p.shape) for p in parameters}
    for key, value in state.items():
        owner = _owner(key, shapes)
        if owner and np.shape(value) != shapes[owner] and np.size(value) != 1:
            raise WeightsError(
                f"{source} does not fit the optimizer: {shown(key)} is {np.shape(value)}, its "
                f"parameter {shapes[owner]}"
            )
