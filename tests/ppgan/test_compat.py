# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's import paths."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ppgan import compat
from ppzoo import registry
from ppzoo.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
# What PaddleGAN's scripts, notebooks and documents import, and where it is.
NAMES = {
    "ppgan.apps:EDVRPredictor": "ppzoo.apps.edvr",
    "ppgan.apps:FaceParsePredictor": "ppzoo.apps.face_parse",
    "ppgan.apps:Photo2CartoonPredictor": "ppzoo.apps.photo2cartoon",
    "ppgan.apps:RealSRPredictor": "ppzoo.apps.realsr",
    "ppgan.apps.edvr_predictor:EDVRPredictor": "ppzoo.apps.edvr",
    "ppgan.apps.first_order_predictor:FirstOrderPredictor": "ppzoo.apps.firstorder",
    "ppgan.apps.wav2lip_predictor:Wav2LipPredictor": "ppzoo.apps.wav2lip",
    "ppgan.datasets.paired_dataset:PairedDataset": "ppzoo.data.pairs",
    "ppgan.datasets.preprocess.transforms:PairedRandomCrop": "ppzoo.data.paired",
    "ppgan.metrics:PSNR": "ppzoo.metrics.psnr",
    "ppgan.models.criterions.gan_loss:GANLoss": "ppzoo.losses",
    "ppgan.models.discriminators.nlayers:NLayerDiscriminator": "ppzoo.networks",
    "ppgan.models.esrgan_model:ESRGAN": "ppzoo.restoration.esrgan",
    "ppgan.models.generators.occlusion_aware:OcclusionAwareGenerator": "ppzoo.motion.firstorder",
    "ppgan.models.generators.rrdb_net:RRDBNet": "ppzoo.networks.rrdb",
    "ppgan.models.generators.wav2lip:Wav2Lip": "ppzoo.lipsync.wav2lip",
    "ppgan.models.generators:UnetGenerator": "ppzoo.networks",
    "ppgan.modules.keypoint_detector:KPDetector": "ppzoo.motion.firstorder.keypoints",
    "ppgan.utils.animate:normalize_kp": "ppzoo.motion.firstorder.keypoints",
    "ppgan.utils.registry:Registry": "ppzoo.registry",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_to_ppzoo(name):
    module, _, attribute = name.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert found.__name__ == attribute
    assert found.__module__.startswith(NAMES[name])


@pytest.mark.parametrize("package", compat.IN_PACKAGES)
def test_modules_have_the_names_of_their_package(package):
    for name in compat.IN_PACKAGES[package].split():
        module = importlib.import_module(f"{package}.{name}")
        with pytest.raises(AttributeError, match="nonsense"):
            module.nonsense  # noqa: B018


@pytest.mark.parametrize("module", compat.ELSEWHERE)
def test_modules_elsewhere_exist(module):
    importlib.import_module(module)
    for place in compat.ELSEWHERE[module]:
        importlib.import_module(place)


@pytest.mark.parametrize(
    ("package", "table"),
    [
        ("ppgan.models", registry.MODELS),
        ("ppgan.models.generators", registry.GENERATORS),
        ("ppgan.models.discriminators", registry.DISCRIMINATORS),
        ("ppgan.models.criterions", registry.CRITERIONS),
        ("ppgan.datasets", registry.DATASETS),
    ],
)
def test_what_is_missing_is_missing(package, table):
    missing = importlib.import_module(package)._MISSING
    assert not set(missing) & set(table.names())
    for name in missing:
        with pytest.raises(compat.NotHereYetError, match=name):
            getattr(importlib.import_module(package), name)


def test_a_missing_predictor_is_one_sentence():
    with pytest.raises(UserError, match=r"the IconVSRPredictor of PaddleGAN yet: EDVRPredictor"):
        from ppgan.apps import IconVSRPredictor  # noqa: F401


def test_predictors_are_imported_when_asked_for():
    """One predictor's missing packages do not break the others."""
    loaded = "sorted(name for name in sys.modules if name.startswith('ppzoo.apps.'))"
    code = f"import sys, ppgan.apps; print({loaded})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_builders_leave_their_mapping_alone():
    from ppgan.metrics.builder import build_metric
    from ppgan.models.generators.builder import build_generator

    cfg = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1}
    assert type(build_generator(cfg)).__name__ == "RRDBNet"
    assert cfg["name"] == "RRDBNet"
    metric = build_metric({"name": "PSNR", "crop_border": 0})
    metric.update(np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8))
    assert metric.accumulate() == pytest.approx(0.0, abs=1e-6)


def test_paddlegan_beside_it_is_refused(monkeypatch, tmp_path):
    class Other:
        version = "2.1.0"

        def locate_file(self, name):
            return tmp_path / name

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Other())
    with pytest.raises(
        ImportError, match=r"PaddleGAN 2\.1\.0 is installed in .*pip uninstall ppgan"
    ):
        compat.refuse_a_mixture()
