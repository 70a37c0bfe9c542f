# SPDX-License-Identifier: Apache-2.0
"""PyTorch's weights under the names, and in the layout, of Paddle's layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ppzoo.errors import WeightsError
from ppzoo.weights.pickles import shown

if TYPE_CHECKING:
    from paddle import nn

# What trainings put around a network, the best one first: the others are the same network's.
_WRAPPERS = ("params_ema", "state_dict", "params", "model")
_COUNTER = "num_batches_tracked"
_ENDINGS = {"running_mean": "_mean", "running_var": "_variance"}
# Networks whose authors have renamed layers: a name by which to know each, and what is called how
# here. Others have the names of Paddle's ports.
_RENAMED = (
    # ESRGAN in BasicSR, Real-ESRGAN...
    (
        r"body\.\d+\.rdb\d\.",
        (
            (r"body\.(\d+)\.rdb(\d)\.", r"RRDB_trunk.\1.RDB\2."),
            (r"conv_body\.", "trunk_conv."),
            (r"conv_up(\d)\.", r"upconv\1."),
            (r"conv_hr\.", "HRconv."),
        ),
    ),
    # ESRGAN's first files, and RealSR's.
    (
        r"model\.1\.sub\.\d+\.RDB\d\.",
        (
            (r"model\.0\.", "conv_first."),
            (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"RRDB_trunk.\1.RDB\2.conv\3."),
            (r"model\.1\.sub\.\d+\.(?=weight|bias)", "trunk_conv."),
            (r"model\.3\.", "upconv1."),
            (r"model\.6\.", "upconv2."),
            (r"model\.8\.", "HRconv."),
            (r"model\.10\.", "conv_last."),
        ),
    ),
)


class TorchArrays(dict):
    """Weights that PyTorch wrote, by names that have been made Paddle's."""


def unwrapped(content: Mapping[Any, Any], source: object) -> dict[Any, Any]:
    """Return what a file of PyTorch holds, each network as `TorchArrays`.

    What trainings put around a single network is left out (`state_dict`, `params`..., and the
    prefix `module.` of trainings on several GPUs), as are the counters of batch norms. Where there
    are further networks, all keep their names.

    Args:
        content: what the file holds.
        source: the file's name, for error messages.

    Raises:
        WeightsError: two weights of a network would have one name.
    """
    nets = [key for key, value in content.items() if _is_network(value)]
    wrappers = [key for key in _WRAPPERS if key in nets]
    if wrappers and len(wrappers) == len(nets):
        return _renamed(content[wrappers[0]], source)
    if not nets and _is_network(content):
        return _renamed(content, source)
    return {key: _renamed(v, source) if key in nets else v for key, v in content.items()}


def fitted(layer: nn.Layer, arrays: TorchArrays) -> dict[str, np.ndarray]:
    """Return PyTorch's weights as a network of Paddle's takes them.

    The matrices of linear layers are transposed; scales and shifts of instance norms are called
    `scale` and `bias`, and are 1 and 0 where PyTorch has none. Whether all of them fit is for the
    caller to see.
    """
    from paddle import nn

    found = dict(arrays)
    if not arrays.keys() & layer.state_dict().keys():
        return found  # another network's
    for name, part in layer.named_sublayers():
        weight = f"{name}.weight"
        if isinstance(part, nn.Linear) and weight in found:
            found[weight] = np.ascontiguousarray(found[weight].T)
        elif isinstance(part, nn.InstanceNorm2D) and getattr(part, "scale", None) is not None:
            channels = int(part.scale.shape[0])
            found[f"{name}.scale"] = found.pop(weight, np.ones(channels, np.float32))
            found.setdefault(f"{name}.bias", np.zeros(channels, np.float32))
            for ending in _ENDINGS.values():
                found.pop(f"{name}.{ending}", None)
    return found


def _is_network(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, np.ndarray) for v in value.values())


def _renamed(network: Mapping[Any, Any], source: object) -> TorchArrays:
    stems = {key: str(key).removeprefix("module.") for key in network}
    rules = next(
        (
            rules
            for known_by, rules in _RENAMED
            if any(re.match(known_by, name) for name in stems.values())
        ),
        (),
    )
    names = TorchArrays()
    origins: dict[str, Any] = {}
    for key, value in network.items():
        stem, dot, last = stems[key].rpartition(".")
        if last == _COUNTER:
            continue
        name = stem + dot + _ENDINGS.get(last, last)
        for pattern, text in rules:
            name, found = re.subn(f"^{pattern}", text, name)
            if found:
                break
        if name in names:
            both = " and ".join(shown(str(k)) for k in (origins[name], key))
            raise WeightsError(
                f"{source} has two weights, {both}, of one name ({shown(name)}): leave one out"
            )
        names[name], origins[name] = value, key
    return names
