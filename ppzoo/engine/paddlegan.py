# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's checkpoints: going on from them, and writing ours so that it can go on from them.

An optimizer's state is stored by the names that Paddle gave to parameters, such as
`conv2d_4.w_0_moment1_0`. They count layers in the order of their making, so they are other ones in
each program, and PaddleGAN does not store which parameter had which. But a file keeps two orders:
that of a network's weights, which is the order in which its optimizer got them, and that of the
optimizer's entries. Side by side they tell whose an entry is, and shapes prove it.
"""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle import nn

from ppzoo.errors import WeightsError
from ppzoo.model import Model
from ppzoo.weights import match_state, select_net
from ppzoo.weights.optimizers import ENTRY, KINDS, MASTERS, MORE_KINDS, POWERS, SCHEDULE
from ppzoo.weights.pickles import shown

_MOST_STEPS = 1 << 40
_COPY = re.compile(r"_deepcopy_\d+$")
# PaddleGAN's `norm_type: batch` is the older class of Paddle's two.
_OTHER_CLASSES = {"BatchNormOfBatch": "batch_norm"}


class State(NamedTuple):
    """What of a checkpoint goes into a model.

    Attributes:
        iteration: finished training steps.
        nets: arrays by parameter, by network.
        optimizers: what `set_state_dict` takes, by optimizer.
        notes: what the user should know.
    """

    iteration: int
    nets: dict[str, dict[str, np.ndarray]]
    optimizers: dict[str, dict[str, Any]]
    notes: list[str]


def is_paddlegans(content: Mapping[Any, Any]) -> bool:
    """Tell whether a file's content is a checkpoint that PaddleGAN wrote."""
    return "ppzoo" not in content and type(content.get("epoch")) is int


def match(content: Mapping[Any, Any], model: Model, source: object) -> State:
    """Return what of PaddleGAN's checkpoint belongs where in a model, which stays unchanged.

    Args:
        content: what the file holds.
        model: set up for training.
        source: the file's name, for messages.

    Raises:
        WeightsError: networks or optimizers are missing or do not fit.
    """
    if not 0 <= content["epoch"] < _MOST_STEPS:
        raise WeightsError(f"{source} is damaged: its 'epoch' is no number of iterations")
    for name in (*model.nets, *model.optimizers):
        if not isinstance(content.get(name), Mapping):
            raise WeightsError(
                f"{source} has no entry {name!r}: it belongs to another model, or names its "
                "optimizers in another way; --load starts from its networks"
            )
    nets = {
        name: match_state(net, select_net(content, name, source), f"{source} ({name})")
        for name, net in model.nets.items()
    }
    iteration, notes = _iteration(content, model)
    notes.insert(
        0,
        f"{source} is PaddleGAN's: it holds networks, optimizers and schedules, but neither seed "
        "nor options nor loss scales, so check that the config is the same; data are drawn anew",
    )
    optimizers = {}
    for name in model.optimizers:
        state, told = _optimizer(content, model, name, source)
        state[SCHEDULE] = _schedule(content[name], model.schedule_of(name), iteration, name, notes)
        optimizers[name] = state
        notes += told
    return State(iteration, nets, optimizers, notes)


def parameter_names(model: Model) -> dict[str, str]:
    """Return the names that PaddleGAN's optimizers have for parameters, by `net.parameter`.

    Layers of each kind are counted through all networks from 0, as if they were made in the order
    in which the networks hold them. That is how PaddleGAN makes most families; a network that it
    makes in another order tells so by `layers_as_made`.
    """
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for net_name, net in model.nets.items():
        layers = net.layers_as_made() if hasattr(net, "layers_as_made") else net.sublayers(True)
        numbers: dict[int, str] = {}
        found: dict[int, str] = {}
        for layer in layers:
            kind = _layer_kind(layer if isinstance(layer, type) else type(layer))
            number = counts.get(kind, 0)
            counts[kind] = number + 1
            numbers[id(layer)] = f"{kind}_{number}"
        for layer in net.sublayers(True):
            for _, parameter in layer.named_parameters(include_sublayers=False):
                last = _COPY.sub("", parameter.name).rpartition(".")[2]
                found.setdefault(id(parameter), f"{numbers[id(layer)]}.{last}")
        for key, parameter in net.named_parameters():
            names[f"{net_name}.{key}"] = found[id(parameter)]
    if len(set(names.values())) == len(names):
        return names
    return {
        f"{net_name}.{key}": parameter.name
        for net_name, net in model.nets.items()
        for key, parameter in net.named_parameters()
    }


def _layer_kind(layer: type[nn.Layer]) -> str:
    """Return what Paddle calls layers of a kind, or of the kind that is behind one of ours."""
    for cls in layer.__mro__:
        if cls is nn.Layer:
            break
        if cls.__name__ in _OTHER_CLASSES:
            return _OTHER_CLASSES[cls.__name__]
        if cls.__module__.startswith("paddle."):
            return _snake(cls.__name__)
    return _snake(layer.__name__)


def _snake(name: str) -> str:
    """Return a class's name as Paddle writes it in names of parameters: `batch_norm2d`."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def _iteration(content: Mapping[Any, Any], model: Model) -> tuple[int, list[str]]:
    """Return the number of finished steps, which PaddleGAN calls an epoch."""
    iteration = content["epoch"]
    states = [content[name].get(SCHEDULE) for name in model.optimizers]
    counted = [state.get("last_epoch") for state in states if isinstance(state, Mapping)]
    steps = max((step for step in counted if type(step) is int and step < _MOST_STEPS), default=0)
    if steps <= iteration:
        return iteration, []
    return steps, [
        f"its 'epoch' is {iteration} and its schedule stands at {steps}, as PaddleGAN writes when "
        f"it is stopped by Ctrl-C: the run goes on after iteration {steps}"
    ]


def _schedule(
    state: Mapping[str, Any], schedule: Any, iteration: int, name: str, notes: list[str]
) -> dict[str, Any]:
    """Return the state of a schedule, of a file or of a schedule that is as far."""
    probe = copy.copy(schedule)
    probe.step(iteration)
    here = probe.state_dict()
    found = state.get(SCHEDULE)
    before = found.get("last_lr") if isinstance(found, Mapping) else None
    if type(before) is not float:
        return here
    now = float(here["last_lr"])
    if abs(before - now) > 1e-6 * max(abs(before), abs(now)):
        notes.append(
            f"{name}: the learning rate was {before:g} in the file, the config's schedule has "
            f"{now:g} at iteration {iteration}, which is what is used"
        )
    return here


def _optimizer(
    content: Mapping[Any, Any], model: Model, name: str, source: object
) -> tuple[dict[str, Any], list[str]]:
    """Return an optimizer's state by the names that parameters have here, and what to tell."""
    label = f"{source} ({name})"
    entries = _entries(content[name], label)
    if not entries:
        return {}, []
    known = KINDS.get(type(model.optimizers[name]).__name__)
    kinds = {kind for entry in entries.values() for kind in entry}
    if known is not None and not known <= kinds <= known | MORE_KINDS:
        raise WeightsError(
            f"{label} does not fit the optimizer: it holds {', '.join(sorted(kinds))}, "
            f"{type(model.optimizers[name]).__name__} keeps {', '.join(sorted(known)) or 'nothing'}"
        )
    owners = _owners(entries, content, model, name, label)
    if owners is None:
        return {}, [
            f"{name} BEGINS ANEW: {len(entries)} of its parameters have a state in the file, and "
            "it cannot be told for certain which; networks and learning rate are restored"
        ]
    state = {
        f"{owner.name}_{kind}_0": _fitting(value, owner, kind, label)
        for owner, entry in zip(owners, entries.values(), strict=True)
        for kind, value in entry.items()
        if not owner.stop_gradient
    }
    masters = content[name].get(MASTERS)
    if isinstance(masters, Mapping):
        by_name = dict(zip(entries, owners, strict=True))
        state[MASTERS] = {
            by_name[key].name: _fitting(value, by_name[key], MASTERS, label)
            for key, value in masters.items()
            if key in by_name
        }
    return state | _unmoved(model, name, owners, next(iter(entries.values()))), []


def _entries(state: Mapping[Any, Any], label: str) -> dict[str, dict[str, np.ndarray]]:
    """Return arrays by kind, by Paddle's name of the parameter, in the order of the file."""
    entries: dict[str, dict[str, np.ndarray]] = {}
    for key, value in state.items():
        if key in (SCHEDULE, MASTERS):
            continue
        found = ENTRY.fullmatch(str(key))
        if found is None or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            raise WeightsError(f"{label} holds {shown(key)}, which is no optimizer's state")
        entries.setdefault(found["parameter"], {})[found["kind"]] = value
    if len({frozenset(entry) for entry in entries.values()}) > 1:
        raise WeightsError(f"{label} is damaged: its parameters have states of different kinds")
    return entries


def _owners(
    entries: Mapping[str, Mapping[str, np.ndarray]],
    content: Mapping[Any, Any],
    model: Model,
    name: str,
    label: str,
) -> list[paddle.Tensor] | None:
    """Return the parameter of each entry, or None if there are several ways to tell.

    Raises:
        WeightsError: there is none.
    """
    wanted = [(_kind_of(key), _shape_of(entry)) for key, entry in entries.items()]
    trained = [p for p in model.trained_parameters[name] if not p.stop_gradient]
    for parameters in (trained, _without_statistics(model, model.trained_parameters[name])):
        for order in _orders(content, model, parameters):
            ways = _ways_by_shape(wanted, order, _kinds_of(model))
            if ways:
                return ways[0] if len(ways) == 1 else None
    raise WeightsError(
        f"{label} does not fit the optimizer: its {len(entries)} entries have other shapes "
        "than the parameters that it trains; --load starts from the networks alone"
    )


def _ways_by_shape(
    wanted: Sequence[tuple[str, tuple[int, ...]]],
    order: Sequence[paddle.Tensor],
    kinds: Mapping[int, str],
) -> list[list[paddle.Tensor]]:
    """Return the ways to find entries among parameters by shape, and by kind if there are more."""
    own = [(kinds[id(p)], tuple(p.shape) or (1,)) for p in order]
    ways = _ways([shape for _, shape in wanted], [shape for _, shape in own])
    if len(ways) > 1:
        ways = _ways(wanted, own) or ways
    return [[order[i] for i in way] for way in ways]


def _kinds_of(model: Model) -> dict[int, str]:
    names = parameter_names(model)
    return {
        id(p): _kind_of(names[f"{net_name}.{key}"])
        for net_name, net in model.nets.items()
        for key, p in net.named_parameters()
    }


def _without_statistics(model: Model, parameters: list[paddle.Tensor]) -> list[paddle.Tensor]:
    """Return all parameters but running statistics, which Paddle counts among them.

    PaddleGAN keeps a state for the frozen scales of its discriminators' instance norms, which
    nothing changes.
    """
    statistics = {
        id(p)
        for net in model.nets.values()
        for key, p in net.named_parameters()
        if key.rpartition(".")[2] in ("_mean", "_variance")
    }
    return [p for p in parameters if id(p) not in statistics]


def _orders(
    content: Mapping[Any, Any], model: Model, parameters: list[paddle.Tensor]
) -> list[list[paddle.Tensor]]:
    """Return the orders in which an optimizer may have made its entries, the likely one first.

    That of the file's networks, and that in which the family says that parameters begin to learn.
    """
    place = {id(p): i for i, p in enumerate(parameters)}
    named = {
        net_name: {key: p for key, p in net.named_parameters() if id(p) in place}
        for net_name, net in model.nets.items()
    }
    nets = [net_name for net_name in named if named[net_name]]
    nets.sort(key=lambda net_name: min(place[id(p)] for p in named[net_name].values()))
    in_file = [
        named[net_name][key]
        for net_name in nets
        for key in content[net_name]
        if key in named[net_name]
    ]
    same = len(in_file) == len(parameters) and all(map(operator.is_, in_file, parameters))
    return [in_file] if same else [in_file, parameters]


def _ways(wanted: Sequence[Any], order: Sequence[Any]) -> list[list[int]]:
    """Return up to two ways to find a sequence, in its order, among a longer one."""
    if len(wanted) > len(order):
        return []

    def earliest(wanted: Sequence[Any], order: Sequence[Any]) -> list[int] | None:
        places: list[int] = []
        start = 0
        for item in wanted:
            while start < len(order) and order[start] != item:
                start += 1
            if start == len(order):
                return None
            places.append(start)
            start += 1
        return places

    first = earliest(wanted, order)
    if first is None:
        return []
    backwards = earliest(list(reversed(wanted)), list(reversed(order)))
    last = [len(order) - 1 - place for place in reversed(backwards or [])]
    # The only way is the one that is earliest and latest at once.
    return [first] if first == last else [first, last]


def _shape_of(entry: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    return next((value.shape for kind, value in entry.items() if kind not in POWERS), ()) or (1,)


def _kind_of(parameter_name: str) -> str:
    """Return a parameter's name without numbers of layers: `conv2d.w_0`."""
    layer, _, last = _COPY.sub("", parameter_name).partition(".")
    return f"{layer.rpartition('_')[0]}.{last}"


def _fitting(value: np.ndarray, owner: paddle.Tensor, kind: str, label: str) -> np.ndarray:
    if kind in POWERS:
        if value.size != 1:
            raise WeightsError(f"{label} is damaged: a power of beta has {value.size} numbers")
        return np.ascontiguousarray(value.reshape([1]), np.float32)
    if not isinstance(value, np.ndarray) or value.size != np.prod(owner.shape, dtype=int):
        raise WeightsError(f"{label} is damaged: its {kind} do not fit their parameters")
    return np.ascontiguousarray(value.reshape(owner.shape), np.float32)


def _unmoved(
    model: Model,
    name: str,
    owners: Sequence[paddle.Tensor],
    example: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return a state for parameters that have none, as if their gradients had been 0 so far.

    Paddle's optimizers raise an error for parameters without a state when others have one.
    """
    known = {id(owner) for owner in owners}
    missing = [
        p for p in model.trained_parameters[name] if id(p) not in known and not p.stop_gradient
    ]
    return {
        f"{p.name}_{kind}_0": value.reshape([1])
        if kind in POWERS
        else np.zeros(p.shape, value.dtype)
        for p in missing
        for kind, value in example.items()
    }


def put(state: State, model: Model) -> None:
    """Put what `match` returned into the model."""
    for name, optimizer in model.optimizers.items():
        optimizer.set_state_dict(state.optimizers[name])
    for name, arrays in state.nets.items():
        net: nn.Layer = model.nets[name]
        for key, value in net.state_dict().items():
            value.set_value(arrays[key])
