# SPDX-License-Identifier: Apache-2.0
"""Small lip-sync models for tests."""

import paddle

from ppzoo.config import load_config
from ppzoo.data.talking_head import TalkingHeadDataset
from ppzoo.registry import MODELS, build
from tests.runs import SMOKE


def model(name, **changes):
    """Return the model of a smoke config with other arguments."""
    paddle.seed(0)
    return build(MODELS, load_config(SMOKE / f"{name}.yaml").model, **changes)


def ready(made, rate=1e-3):
    """Return a model that can take steps."""
    made.setup_lr_schedulers({"name": "MultiStepDecay", "learning_rate": rate, "milestones": [999]})
    nets = dict(zip(made.OPTIMIZERS, made.NETS, strict=True))
    made.setup_optimizers({name: ({"name": "Adam"}, [net]) for name, net in nets.items()})
    made.train()
    return made


def batch(n=2, **options):
    """Return samples of talking heads as tensors."""
    options = {"clips": 4, "frames": 20} | options
    arrays = TalkingHeadDataset("train", **options).get_batch(range(n))
    return {key: paddle.to_tensor(value) for key, value in arrays.items()}


def state(net):
    """Return copies of all parameters and buffers."""
    return {key: value.numpy().copy() for key, value in net.state_dict().items()}
