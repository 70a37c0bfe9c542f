# SPDX-License-Identifier: Apache-2.0
"""What the states of Paddle's optimizers look like in a file: `conv2d_4.w_0_moment1_0`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# What each optimizer keeps for a parameter.
KINDS = {
    "Adam": {"moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc"},
    "AdamW": {"moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc"},
    "Momentum": {"velocity"},
    "RMSProp": {"momentum", "mean_square", "mean_grad"},
    "SGD": set(),
}
POWERS = ("beta1_pow_acc", "beta2_pow_acc")
MORE_KINDS = {"moment2_max"}  # of Adam with `amsgrad`
ENTRY = re.compile(
    rf"(?P<parameter>.+?)_(?P<kind>{'|'.join(sorted(MORE_KINDS.union(*KINDS.values())))})_\d+",
    re.DOTALL,
)
SCHEDULE, MASTERS = "LR_Scheduler", "master_weights"


def is_optimizer_state(entry: Mapping[Any, Any]) -> bool:
    """Tell whether a part of a file is the state of an optimizer, and not a network."""
    return any(key in (SCHEDULE, MASTERS) or ENTRY.fullmatch(str(key)) for key in entry)
