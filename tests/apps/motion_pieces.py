# SPDX-License-Identifier: Apache-2.0
"""Small networks, detectors and films for tests of First Order Motion's predictor."""

from __future__ import annotations

import numpy as np
import paddle

from ppzoo.config import load_config
from ppzoo.config.schema import plain
from ppzoo.faces.detector import Face, FaceDetector
from ppzoo.motion.firstorder import KPDetector, OcclusionAwareGenerator
from ppzoo.weights import write_pdparams

from ..runs import SMOKE

SIZE = 32


def networks(name="firstorder", **common):
    """Return a detector and a generator of a smoke config, whose weights make something happen."""
    model = load_config(SMOKE / f"{name}.yaml").model.kwargs
    parts, options = plain(model["generator"]), plain(model["common_params"]) | common
    paddle.seed(7)
    detector = KPDetector(**parts["kp_detector_cfg"], **options)
    generator = OcclusionAwareGenerator(**parts["generator_cfg"], **options)
    # Initial weights find all keypoints in the middle and draw grey.
    for net, scale in ((detector.kp, 30.0), (generator.final, 20.0)):
        for key, parameter in net.named_parameters():
            if key.endswith("weight"):
                parameter.set_value(parameter * scale)
    return detector, generator


def arrays_of(net):
    return {key: value.numpy() for key, value in net.state_dict().items()}


def saved(path, detector=None, generator=None):
    """Write weights as PaddleGAN's official files hold them."""
    if detector is None:
        detector, generator = networks()
    nets = {"kp_detector": arrays_of(detector), "generator": arrays_of(generator)}
    write_pdparams(path, nets)
    return path


def pattern(height, width, seed=0):
    """A picture of soft blots."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]


def driver(count, size=(48, 48)):
    """Frames of a pattern that moves by two pixels a frame."""
    wide = pattern(size[0], size[1] + 2 * count, seed=1)
    return [np.ascontiguousarray(wide[:, 2 * i : 2 * i + size[1]]) for i in range(count)]


class FakeDetector(FaceDetector):
    """Finds faces where it is told that they are, by the size (height, width) of pictures."""

    def __init__(self, boxes):
        self.boxes, self.seen = boxes, 0

    def _detect(self, images):
        self.seen += len(images)
        return [[Face(box, 1.0) for box in self.boxes.get(i.shape[:2], ())] for i in images]
