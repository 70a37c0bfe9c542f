# SPDX-License-Identifier: Apache-2.0
"""Small networks of First Order Motion for tests."""

import paddle

from ppzoo.config import load_config
from ppzoo.registry import MODELS, build
from tests.runs import SMOKE

COMMON = {"num_kp": 3, "num_channels": 3, "estimate_jacobian": True}
DETECTOR = {
    "temperature": 0.1,
    "block_expansion": 4,
    "max_features": 16,
    "scale_factor": 0.5,
    "num_blocks": 2,
}
MOTION = {"block_expansion": 4, "max_features": 16, "num_blocks": 2, "scale_factor": 0.5}
GENERATOR = {
    "block_expansion": 4,
    "max_features": 16,
    "num_down_blocks": 1,
    "num_bottleneck_blocks": 1,
    "estimate_occlusion_map": True,
    "dense_motion_params": MOTION,
}


def keypoints(n=2, number=3, shift=0.0):
    """Return keypoints at even places with identities as Jacobians."""
    places = paddle.linspace(-0.5, 0.5, number).reshape([1, number, 1]).expand([n, number, 2])
    return {"value": places + shift, "jacobian": paddle.eye(2).expand([n, number, 2, 2])}


def model(name="firstorder", **changes):
    """Return the model of a smoke config with other arguments."""
    return build(MODELS, load_config(SMOKE / f"{name}.yaml").model, **changes)


def ready(made, rate=1e-3):
    """Return a model that can take steps."""
    rates = dict.fromkeys(made.LR_SCHEDULER_ARGS[1:], rate)
    made.setup_lr_schedulers({"epoch_milestones": [1000], **rates})
    made.setup_optimizers({"optim": ({"name": "Adam"}, None)})
    made.train()
    return made


def batch(n=2, size=32, seed=0):
    """Return two frames of each of `n` clips."""
    paddle.seed(seed)
    return {"source": paddle.rand([n, 3, size, size]), "driving": paddle.rand([n, 3, size, size])}
