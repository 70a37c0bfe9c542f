# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's predictors, each imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from ppgan.compat import NotHereYetError

_HERE = {
    "EDVRPredictor": "ppzoo.apps.edvr",
    "FaceParsePredictor": "ppzoo.apps.face_parse",
    "FirstOrderPredictor": "ppzoo.apps.firstorder",
    "Photo2CartoonPredictor": "ppzoo.apps.photo2cartoon",
    "RealSRPredictor": "ppzoo.apps.realsr",
    "Wav2LipPredictor": "ppzoo.apps.wav2lip",
}
# Those that are not here yet, and what does something alike.
_INSTEAD = {
    "AnimeGANPredictor": "`ppzoo predict photo2cartoon` or `ppzoo predict ugatit` draw faces",
    "AOTGANPredictor": "",
    "BasicVSRPredictor": "EDVRPredictor enlarges films four times, too",
    "BasiVSRPlusPlusPredictor": "EDVRPredictor enlarges films four times, too",
    "DAINPredictor": "",
    "DeOldifyPredictor": "",
    "DeepRemasterPredictor": "",
    "GPENPredictor": "RealSRPredictor enlarges photographs",
    "IconVSRPredictor": "EDVRPredictor enlarges films four times, too",
    "InvDNPredictor": "",
    "LapStylePredictor": "",
    "MiDaSPredictor": "",
    "MPRPredictor": "",
    "NAFNetPredictor": "",
    "PPMSVSRLargePredictor": "EDVRPredictor enlarges films four times, too",
    "PPMSVSRPredictor": "EDVRPredictor enlarges films four times, too",
    "PSGANPredictor": "",
    "PhotoPenPredictor": "",
    "Pixel2Style2PixelPredictor": "",
    "SinGANPredictor": "",
    "StyleGANv2ClipPredictor": "",
    "StyleGANv2EditingPredictor": "",
    "StyleGANv2FittingPredictor": "",
    "StyleGANv2MixingPredictor": "",
    "StyleGANv2Predictor": "",
    "SwinIRPredictor": "",
}
__all__ = sorted(_HERE)


def __getattr__(name: str) -> Any:
    if name in _HERE:
        return getattr(importlib.import_module(_HERE[name]), name)
    if name in _INSTEAD:
        raise NotHereYetError(f"the {name}", _INSTEAD[name])
    raise AttributeError(f"module {__name__!r} has no {name!r}: it has {', '.join(__all__)}")
