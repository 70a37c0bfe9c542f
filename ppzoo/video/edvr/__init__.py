# SPDX-License-Identifier: Apache-2.0
"""EDVR: super-resolution and deblurring of video from five frames at a time.

Paper: Wang, Chan, Yu, Dong & Loy 2019, EDVR: Video Restoration with Enhanced Deformable
Convolutional Networks (arXiv:1905.02716).
State-dict keys, networks and training equal PaddleGAN's. Unlike there, training begins as in the
paper: deformable convolutions sample where ordinary ones do, residual blocks change little.

Neighbouring frames are aligned to the middle one by deformable convolutions whose offsets are found
from coarse to fine (PCD: pyramid, cascading and deformable), then weighted by how much they look
like it, pixel by pixel (TSA: temporal and spatial attention), and reconstructed at full size.
"""

from ppzoo.video.edvr.align import PCDAlign
from ppzoo.video.edvr.fusion import TSAFusion
from ppzoo.video.edvr.model import EDVRModel
from ppzoo.video.edvr.network import EDVRNet

__all__ = ["EDVRModel", "EDVRNet", "PCDAlign", "TSAFusion"]
