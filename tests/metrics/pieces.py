# SPDX-License-Identifier: Apache-2.0
"""What tests of several metrics use."""

import paddle

from ppzoo.networks.inception import InceptionV3
from ppzoo.weights import write_pdparams


def write_inception(path):
    """Write random weights of InceptionV3's first block, beside some that belong behind it."""
    paddle.seed(3)
    network = InceptionV3([0], normalize_input=False)
    network.eval()
    write_pdparams(path, {**network.state_dict(), "fc.weight": paddle.zeros([4, 2])})
    return network
