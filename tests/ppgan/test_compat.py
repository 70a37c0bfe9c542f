# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's import paths."""

from __future__ import annotations

import copy
import doctest
import importlib
import importlib.metadata
import importlib.util
import inspect
import pickle
import pkgutil
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

import ppgan
from ppgan import compat, tables
from ppzoo import registry
from ppzoo.errors import NotHereYetError, UnknownNameError, UserError
from ppzoo.paddlegan_names import REGISTERED

ROOT = Path(__file__).resolve().parent.parent.parent
# What is missing: the names that PaddleGAN registers and no class of ppzoo's has, and others.
MISSING = sorted(
    {f"{module}.{name}" for module, names in tables.MISSING.items() for name in names}
    | {
        f"{module}.{name}"
        for module, held in tables.REGISTRIES.items()
        for table in held
        for name in REGISTERED[table.label] - set(table)
    }
)
# Imports that public scripts, notebooks and documents for PaddleGAN have, and whose they are here.
MET = {
    "from ppgan.apps import EDVRPredictor": "ppzoo.apps.edvr",
    "from ppgan.apps import FaceParsePredictor": "ppzoo.apps.face_parse",
    "from ppgan.apps import FirstOrderPredictor": "ppzoo.apps.firstorder",
    "from ppgan.apps import Photo2CartoonPredictor": "ppzoo.apps.photo2cartoon",
    "from ppgan.apps import RealSRPredictor": "ppzoo.apps.realsr",
    "from ppgan.apps import Wav2LipPredictor": "ppzoo.apps.wav2lip",
    "from ppgan.apps.first_order_predictor import FirstOrderPredictor": "ppzoo.apps.firstorder",
    "from ppgan.apps.wav2lip_predictor import Wav2LipPredictor": "ppzoo.apps.wav2lip",
    "from ppgan.datasets.base_dataset import BaseDataset": "ppgan.datasets.base_dataset",
    "from ppgan.datasets.base_dataset import scandir": "ppgan.datasets.base_dataset",
    "from ppgan.datasets.builder import build_dataloader": "ppgan.datasets",
    "from ppgan.datasets.preprocess.io import LoadImageFromFile": "ppzoo.data.preprocess",
    "from ppgan.datasets.preprocess.transforms import ResizeToScale": "ppzoo.data",
    "from ppgan.engine.trainer import IterLoader": "ppgan.engine.trainer",
    "from ppgan.engine.trainer import Trainer": "ppgan.engine.trainer",
    "from ppgan.faceutils.face_detection import FaceAlignment": "ppgan.faceutils.face_detection",
    "from ppgan.faceutils.face_segmentation.face_seg import FaceSeg": "ppgan.faceutils",
    "from ppgan.faceutils.mask.face_parser import FaceParser": "ppgan.faceutils.mask",
    "from ppgan.metrics import build_metric": "ppgan.metrics",
    "from ppgan.metrics.fid import FID": "ppzoo.metrics.fid",
    "from ppgan.metrics.inception import InceptionV3": "ppzoo.networks.inception",
    "from ppgan.metrics.psnr_ssim import calculate_psnr": "ppzoo.metrics.psnr",
    "from ppgan.models.base_model import BaseModel": "ppgan.models.base_model",
    "from ppgan.models.builder import build_model": "ppgan.models",
    "from ppgan.models.criterions import PerceptualLoss": "ppzoo.losses.perceptual",
    "from ppgan.models.criterions.builder import build_criterion": "ppgan.models.criterions",
    "from ppgan.models.discriminators.nlayers import NLayerDiscriminator": "ppzoo.networks",
    "from ppgan.models.esrgan_model import ESRGAN": "ppzoo.restoration.esrgan",
    "from ppgan.models.generators import EDVRNet": "ppzoo.video.edvr",
    "from ppgan.models.generators import RRDBNet": "ppzoo.networks.rrdb",
    "from ppgan.models.generators import ResnetUGATITP2CGenerator": "ppzoo.translation.ugatit",
    "from ppgan.models.generators import Wav2Lip": "ppzoo.lipsync.wav2lip",
    "from ppgan.models.generators.builder import build_generator": "ppgan.models.generators",
    "from ppgan.models.generators.occlusion_aware import OcclusionAwareGenerator": "ppzoo.motion",
    "from ppgan.models.generators.unet import UnetGenerator": "ppzoo.networks.unet",
    "from ppgan.modules.first_order import AntiAliasInterpolation2d": "ppzoo.motion.firstorder",
    "from ppgan.modules.first_order import make_coordinate_grid": "ppzoo.motion.warp",
    "from ppgan.modules.init import init_weights": "ppgan.modules.init",
    "from ppgan.modules.init import kaiming_normal_": "ppgan.modules.init",
    "from ppgan.modules.keypoint_detector import KPDetector": "ppzoo.motion.firstorder.keypoints",
    "from ppgan.modules.norm import build_norm_layer": "ppzoo.nn.norm",
    "from ppgan.solver import build_lr_scheduler": "ppgan.solver",
    "from ppgan.solver.lr_scheduler import LinearDecay": "ppzoo.optim",
    "from ppgan.utils.animate import normalize_kp": "ppzoo.motion.firstorder.keypoints",
    "from ppgan.utils.audio import load_wav": "ppgan.utils.audio",
    "from ppgan.utils.audio import melspectrogram": "ppzoo.media.mel",
    "from ppgan.utils.audio_config import get_audio_config": "ppgan.utils.audio_config",
    "from ppgan.utils.config import get_config": "ppgan.utils.config",
    "from ppgan.utils.download import get_path_from_url": "ppgan.utils.download",
    "from ppgan.utils.filesystem import load": "ppgan.utils.filesystem",
    "from ppgan.utils.filesystem import makedirs": "ppgan.utils.filesystem",
    "from ppgan.utils.filesystem import save": "ppgan.utils.filesystem",
    "from ppgan.utils.image_pool import ImagePool": "ppzoo.translation.image_pool",
    "from ppgan.utils.logger import get_logger": "ppgan.utils.logger",
    "from ppgan.utils.logger import setup_logger": "ppgan.utils.logger",
    "from ppgan.utils.options import parse_args": "ppgan.utils.options",
    "from ppgan.utils.registry import Registry": "ppzoo.registry",
    "from ppgan.utils.registry import build_from_config": "ppgan.utils.registry",
    "from ppgan.utils.setup import setup": "ppgan.utils.setup",
    "from ppgan.utils.timer import TimeAverager": "ppgan.utils.timer",
    "from ppgan.utils.video import frames2video": "ppgan.utils.video",
    "from ppgan.utils.video import video2frames": "ppgan.utils.video",
    "from ppgan.utils.visual import make_grid": "ppzoo.media.image",
    "from ppgan.utils.visual import mask2image": "ppgan.utils.visual",
    "from ppgan.utils.visual import save_image": "ppgan.utils.visual",
    "from ppgan.utils.visual import tensor2img": "ppzoo.media.image",
}


def fresh(code):
    """Return what a program prints that runs in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def names_of(statement):
    """Return the names that a statement makes."""
    names = {}
    exec(statement, names)  # noqa: S102
    return names


@pytest.mark.parametrize("statement", MET)
def test_imports_of_public_scripts(statement):
    name = statement.rpartition(" ")[2]
    found = names_of(statement)[name]
    assert found.__name__ == name
    assert found.__module__.startswith(MET[statement])


@pytest.mark.parametrize("package", tables.REGISTRIES)
def test_what_paddlegan_registers_is_here_or_missing(package):
    module = importlib.import_module(package)
    for table in tables.REGISTRIES[package]:
        theirs = REGISTERED[table.label]
        assert len(theirs) > 3
        for name in theirs & set(table):
            assert getattr(module, name) is table.get(name)


def test_a_class_that_comes_is_no_longer_missing(monkeypatch):
    module = importlib.import_module("ppgan.models.generators")
    for name in ("StarGANv2Style", "SwinIR"):  # without and with a hint
        assert not hasattr(module, name)
        monkeypatch.setitem(registry.GENERATORS._entries, name, dict)
        assert getattr(module, name) is dict
        assert name in module.__all__


@pytest.mark.parametrize("path", MISSING)
def test_names_that_are_missing_are_refused_in_one_sentence(path):
    module, _, name = path.rpartition(".")
    sentence = rf"^ppzoo does not have {path} of PaddleGAN yet: \S[^\n]*[^.\n]$"
    loaded = importlib.import_module(module)
    assert not hasattr(loaded, name)
    assert name not in dir(loaded)
    with pytest.raises(NotHereYetError, match=sentence) as caught:
        getattr(loaded, name)
    assert isinstance(caught.value, AttributeError)
    assert isinstance(caught.value, UnknownNameError)
    assert caught.value.names == (path,)
    with pytest.raises(NotHereYetError, match=sentence) as caught:
        names_of(f"from {module} import {name}")
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize("module", tables.MISSING_MODULES)
def test_modules_that_are_missing_are_refused_in_one_sentence(module):
    sentence = rf"^ppzoo does not have {module} of PaddleGAN yet: \S[^\n]*[^.\n]$"
    with pytest.raises(NotHereYetError, match=sentence) as caught:
        importlib.import_module(module)
    assert isinstance(caught.value, ImportError)
    package, _, name = module.rpartition(".")
    with pytest.raises(NotHereYetError, match=sentence):
        names_of(f"from {module} import anything")
    assert not hasattr(importlib.import_module(package), name)


def test_nothing_is_both_here_and_missing():
    for module, names in tables.MISSING.items():
        held = {name for table in tables.REGISTRIES.get(module, ()) for name in table}
        assert not set(names) & (set(tables.HOMES.get(module, ())) | held)
    here = {*tables.ALIASES, *tables.HOMES}
    assert not here & set(tables.MISSING_MODULES)
    assert not [name for name in tables.MISSING if name in tables.MISSING_MODULES]


@pytest.mark.parametrize("module", tables.HOMES)
def test_names_are_where_the_table_says(module):
    loaded = importlib.import_module(module)
    for name in tables.HOMES[module]:
        found = getattr(loaded, name)
        assert found is not None
        assert name in dir(loaded)


@pytest.mark.parametrize("alias", tables.ALIASES)
def test_modules_have_the_names_of_their_package(alias):
    module = importlib.import_module(alias)
    package = importlib.import_module(tables.ALIASES[alias])
    for name in package.__all__:
        assert getattr(module, name) is getattr(package, name)
    assert module.__all__ == package.__all__
    assert dir(module) == dir(package)
    with pytest.raises(AttributeError, match=r"'nonsense': docs/migrating\.md"):
        module.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match=r"'_nonsense'$"):
        module._nonsense  # noqa: B018
    assert importlib.util.find_spec(f"{alias}.nonsense") is None


def test_scripts_that_look_whether_modules_are_there():
    for name in ("face_detection.api", "face_detection.detection.sfd"):
        assert importlib.util.find_spec(f"ppgan.faceutils.{name}") is not None
    assert importlib.util.find_spec("ppgan.faceutils.face_detection.detection.dlib") is None


def test_missing_names_say_what_to_use_where_there_is_something():
    with pytest.raises(UserError, match=r"\.IconVSRPredictor of PaddleGAN yet: EDVRPredictor"):
        from ppgan.apps import IconVSRPredictor  # noqa: F401
    with pytest.raises(UserError, match=r"\.DAINPredictor of PaddleGAN yet: `ppzoo list`"):
        from ppgan.apps import DAINPredictor  # noqa: F401


def test_packages_are_found_as_attributes():
    printed = fresh(
        "import ppgan\n"
        "print(ppgan.models.builder.build_model.__name__, ppgan.utils.filesystem.load.__name__)\n"
        "print(ppgan.faceutils.dlib.__name__, ppgan.apps.EDVRPredictor.__name__)"
    )
    assert printed.split() == ["build_model", "load", "ppgan.faceutils.dlibutils", "EDVRPredictor"]
    with pytest.raises(AttributeError, match="nonsense"):
        ppgan.nonsense  # noqa: B018


class TestLazily:
    def test_importing_is_light(self):
        heavy = ["paddle", "cv2", "av", "scipy", "skimage", "ppzoo.networks", "ppgan.models"]
        code = f"import sys, ppgan; print([m for m in {heavy} if m in sys.modules])"
        assert fresh(code) == "[]"

    def test_predictors_are_imported_when_asked_for(self):
        loaded = "[name for name in sys.modules if name.startswith('ppzoo.apps.')]"
        before, after = fresh(
            f"import sys, ppgan.apps; dir(ppgan.apps); print({loaded})\n"
            f"from ppgan.apps import RealSRPredictor; print({loaded})"
        ).splitlines()
        assert before == "[]"
        assert "ppzoo.apps.realsr" in after
        assert "ppzoo.apps.wav2lip" not in after

    def test_a_missing_package_breaks_its_own_predictor_only(self):
        printed = fresh(
            "import sys\n"
            "sys.modules['ppzoo.apps.wav2lip'] = None\n"
            "from ppgan.apps import EDVRPredictor, FaceParsePredictor\n"
            "try:\n"
            "    from ppgan.apps import Wav2LipPredictor\n"
            "except ImportError as error:\n"
            "    print(EDVRPredictor.__name__, error.name)"
        )
        assert printed == "EDVRPredictor ppzoo.apps.wav2lip"


class TestTools:
    """What looks into modules: completion, help, documentation, pickles."""

    def walked(self):
        infos = pkgutil.walk_packages(ppgan.__path__, "ppgan.", onerror=pytest.fail)
        return [importlib.import_module(info.name) for info in infos]

    def test_packages_can_be_walked(self):
        names = {module.__name__ for module in self.walked()}
        assert {"ppgan.apps", "ppgan.models.generators", "ppgan.utils.visual"} < names

    def test_all_that_dir_lists_is_there(self):
        for module in self.walked():
            for name, value in inspect.getmembers(module):
                assert getattr(module, name) is value

    def test_everything_can_be_taken_at_once(self):
        for package in ("ppgan.apps", "ppgan.models", "ppgan.models.generators", "ppgan.metrics"):
            names = names_of(f"from {package} import *")
            assert set(importlib.import_module(package).__all__) <= set(names)
        assert "Wav2Lip" in importlib.import_module("ppgan.models.generators").__all__
        assert "annotations" not in names
        assert "hooks" not in names

    @pytest.mark.parametrize("name", ["__wrapped__", "__path_hooks__", "__test__", "__bases__"])
    def test_names_of_pythons_own_are_plainly_absent(self, name):
        for module in (ppgan, ppgan.apps, importlib.import_module("ppgan.apps.edvr_predictor")):
            with pytest.raises(AttributeError, match=f"{name}'$") as caught:
                getattr(module, name)
            assert type(caught.value) is AttributeError

    def test_help_and_examples(self):
        from ppgan import apps

        assert "RealSRPredictor" in pydoc.render_doc(apps, renderer=pydoc.plaintext)
        assert inspect.unwrap(apps) is apps
        for module in (apps, ppgan.metrics):
            found = doctest.DocTestFinder(exclude_empty=False).find(module, module.__name__)
            assert module.__name__ in [test.name for test in found]

    def test_classes_are_pickled_as_ppzoos(self):
        from ppgan.metrics import PSNR
        from ppgan.models.generators.rrdb_net import RRDBNet

        assert pickle.loads(pickle.dumps(RRDBNet)) is RRDBNet  # noqa: S301
        metric = copy.deepcopy(PSNR(crop_border=2))
        assert metric.crop_border == 2


def test_version():
    assert Version(ppgan.__version__).release == (2, 1, 0)
    assert Version(ppgan.__version__) >= Version("2.1.0")
    assert importlib.import_module("ppgan.version").ppgan_version == ppgan.__version__


class TestPaddleGANBeside:
    def other(self, monkeypatch, files, origin=None):
        class Other:
            version = "2.1.0"

            def locate_file(self, name):
                return files / name

            def read_text(self, name):
                return origin

        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Other())

    def test_in_a_folder_of_its_own(self, monkeypatch, tmp_path):
        self.other(monkeypatch, tmp_path)
        with pytest.raises(ImportError, match=r"PaddleGAN 2\.1\.0 is .* in .*/ppgan, and both .*"):
            compat.refuse_a_mixture()

    def test_in_the_same_folder(self, monkeypatch):
        self.other(monkeypatch, ROOT)
        with pytest.raises(ImportError, match=r"in the same folder, .*`pip uninstall ppgan`"):
            compat.refuse_a_mixture()

    def test_made_of_a_folder(self, monkeypatch, tmp_path):
        origin = '{"url": "file:///srv/PaddleGAN", "dir_info": {"editable": true}}'
        self.other(monkeypatch, tmp_path, origin)
        with pytest.raises(ImportError, match=r"in /srv/PaddleGAN, and both"):
            compat.refuse_a_mixture()

    @pytest.mark.parametrize("kind", ["dist-info", "egg-info"])
    def test_the_first_import_says_so(self, tmp_path, kind):
        """The metadata that `pip install` or `setup.py develop` leave are what is looked for."""
        folder = tmp_path / f"ppgan-2.1.0.{kind}"
        folder.mkdir()
        name = "METADATA" if kind == "dist-info" else "PKG-INFO"
        (folder / name).write_text("Metadata-Version: 2.1\nName: ppgan\nVersion: 2.1.0\n")
        code = f"import sys; sys.path.append({str(tmp_path)!r}); import ppgan.apps"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("ImportError: PaddleGAN 2.1.0 is installed")


def test_names_that_are_misspelt_are_suggested():
    with pytest.raises(ImportError, match="did you mean 'FirstOrderPredictor'") as caught:
        names_of("from ppgan.apps import FirstOrderPredictr")
    assert not isinstance(caught.value, NotHereYetError)
    apps = importlib.import_module("ppgan.apps")
    assert not hasattr(apps, "FirstOrderPredictr")
    with pytest.raises(AttributeError, match="did you mean 'FirstOrderPredictor'"):
        apps.FirstOrderPredictr  # noqa: B018
    with pytest.raises(ImportError, match="did you mean 'RRDBNet'"):
        names_of("from ppgan.models.generators.rrdb_net import RRDBNett")
    with pytest.raises(ImportError, match=r"docs/migrating|cannot import name 'Nonsense'"):
        names_of("from ppgan.apps import Nonsense")


@pytest.mark.parametrize("module", ["ppgan", "ppgan.apps", "ppgan.models", "ppgan.datasets"])
def test_dir_has_no_more_than_paddlegans_names(module):
    shown = dir(importlib.import_module(module))
    assert not {"sys", "annotations", "tables", "compat", "ppzoo", "hooks"} & set(shown)
    assert "__file__" in shown
