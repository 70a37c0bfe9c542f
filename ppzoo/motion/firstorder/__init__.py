# SPDX-License-Identifier: Apache-2.0
"""First Order Motion: a picture moves as a video does.

Paper: Siarohin, Lathuilière, Tulyakov, Ricci & Sebe 2019, First Order Motion Model for Image
Animation (arXiv:2003.00196).
State-dict keys, networks and training equal PaddleGAN's. Unlike there, Jacobians begin as
identities, as in the paper; networks that do not learn (`FirstOrderModelMobile`) stay in evaluation
mode; a checkpoint holds `kp_detector`, `generator` and `discriminator`, of which PaddleGAN's
`Gen_Full` and `Dis` consist.

A detector, trained without labels, finds keypoints and how the picture is stretched around each of
them (a Jacobian). Between two frames each keypoint thus tells an affine motion of its surroundings.
A second network blends these into one motion of all pixels, and says what it hides; a generator
moves the features of the source picture accordingly and paints what is missing.
"""

from ppzoo.motion.firstorder.antialias import AntiAliasInterpolation2d, ImagePyramide
from ppzoo.motion.firstorder.dense_motion import DenseMotionNetwork
from ppzoo.motion.firstorder.discriminator import FirstOrderDiscriminator, MultiScaleDiscriminator
from ppzoo.motion.firstorder.generator import FirstOrderGenerator, OcclusionAwareGenerator
from ppzoo.motion.firstorder.keypoints import Keypoints, KPDetector, kp2gaussian, normalize_kp
from ppzoo.motion.firstorder.mobile import FirstOrderModelMobile
from ppzoo.motion.firstorder.model import FirstOrderModel

__all__ = [
    "AntiAliasInterpolation2d",
    "DenseMotionNetwork",
    "FirstOrderDiscriminator",
    "FirstOrderGenerator",
    "FirstOrderModel",
    "FirstOrderModelMobile",
    "ImagePyramide",
    "KPDetector",
    "Keypoints",
    "MultiScaleDiscriminator",
    "OcclusionAwareGenerator",
    "kp2gaussian",
    "normalize_kp",
]
