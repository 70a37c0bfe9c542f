# SPDX-License-Identifier: Apache-2.0
"""The world that the commands on our pages find: all that differs from a reader's is in its tables.

A page is executed in a folder of its own. In it are configs that are as large as patience allows
(`SMALLER`), data in the layout of the public sets, the files that pages name (`FILES`), and weights
of tiny networks in place of the official ones (`OFFICIAL`). What a page's own commands make is not
there beforehand.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ppzoo import cli
from ppzoo.apps import inference, measure, prepare_talking
from ppzoo.data.sources import SOURCES
from ppzoo.faces import detector, parsing
from ppzoo.weights import read, write_pdparams
from ppzoo.weights.manifest import official_weights

from ..apps.talking_films import Here
from ..faces.pieces import write_bisenet
from ..runs import ROOT
from . import files

TORCH = ROOT / "tests" / "weights" / "torch"
# What of this repository is in a page's folder: copies, since commands may write there, and as it
# is what none writes to.
COPIED = ("constraints", "docs", "homework", "notebooks", "tools")
COPIED += ("Makefile", "pyproject.toml", "requirements.txt")
LINKED = ("ppgan", "ppzoo", "tests")
# Options of configs/ and configs/demo/ as they are here, wherever their keys stand; numbers that
# are smaller already stay.
SMALLER: dict[str, int | str] = {
    "epochs": 2,
    "total_iters": 1,
    "max_eval_steps": 2,
    "batch_size": 2,
    "num_workers": 0,
    "samples": 2,
    "clips": 2,
    "times": 1,
    "num_repeats": 1,
    "frames_per_clip": 9,
    "ngf": 4,
    "ndf": 4,
    "nf": 8,
    "nb": 1,
    "n_blocks": 1,
    "n_feats": 8,
    "num_feat": 4,
    "front_RBs": 1,
    "back_RBs": 1,
    "block_expansion": 4,
    "max_features": 16,
    "num_bottleneck_blocks": 1,
    "frame_shape": "[128, 128, 3]",
}
# Options that they have besides, after the lines that these expressions match: less to evaluate,
# VGG with random weights, a SyncNet that is not as wide.
ADDED = {
    r"^output_dir:": "max_eval_steps: 2",
    r"name: (PerceptualLoss|FirstOrderModel)$": "pretrained: null",
    r"name: (SyncNetColor|Wav2Lip)$": "ngf: 2",
    r"name: FID$": "feature_extractor: digits",
}
# A metric that has to have its weights, and one that stands in.
REPLACED = {"name: LPIPSMetric": "name: GMSD"}
# Whose weights `RUN/iter_N_weight.pdparams` are: those of a training by the config of the first
# row that is found in the command, of one step.
RUNS = {
    r"restore .*--weights edvr=": "configs/smoke/edvr.yaml",
    r"pretrained_syncnet=": "configs/demo/syncnet.yaml",
    r"measure sync|LSE": "configs/smoke/syncnet.yaml",
    r"measure motion|load_animator": "configs/smoke/firstorder.yaml",
    r"(?:predict|serve) (\w+)": r"configs/smoke/\1.yaml",
    r"ppzoo (?:weights|export)": "configs/smoke/pix2pix.yaml",
    # Second stages begin with what the first one has learned.
    r"edvr_m_w_tsa.yaml --load": "configs/edvr_m_wo_tsa.yaml",
    r"(?:realsr_\w+|esrgan_x4_div2k).yaml --load": "configs/esrgan_psnr_x4_div2k.yaml",
    r"demo/srgan_photographs.yaml --load": "configs/demo/srgan_psnr_photographs.yaml",
    r"-c (\S+\.yaml).* --(?:load|resume)": r"\1",
}
# The official files that pages use without naming weights, and runs whose networks stand in.
OFFICIAL = {
    "wav2lip": ("configs/smoke/wav2lip.yaml", "netG"),
    "realsr": ("configs/smoke/realsr.yaml", "generator"),
    "edvr": ("configs/smoke/edvr.yaml", None),
    "first_order_vox": ("configs/smoke/firstorder.yaml", None),
    "syncnet": ("configs/smoke/syncnet.yaml", "syncnet"),
    "photo2cartoon": ("configs/smoke/ugatit_photo2cartoon.yaml", "genA2B"),
}
# What needs the cache folder.
HOME = re.compile(
    r"ppzoo (predict|measure|weights|data)|Predictor|tools/(first|video|wav2lip|face)"
)
# Official files that take time to make, and the commands that they are made for.
ON_DEMAND: dict[str, tuple[str, Callable[[Path], object]]] = {
    r"face_?parse": ("bisenet", lambda path: write_bisenet(path.parent)),
    r"weights download .*s3fd": ("s3fd", lambda path: write_pdparams(path, {"a": np.zeros(1)})),
}
# What other placeholders stand for, in commands in which the first expression is found.
PLACEHOLDERS = (
    (r"ppzoo export", r"\bFILE\b", "configs/smoke/pix2pix.yaml"),
    (r"", r"\bFILE\b", "configs/dcgan_mnist.yaml"),
)

Maker = Callable[[Path, "Store"], None]


def _made(make: Callable[[Path], None]) -> Maker:
    return lambda path, store: make(path)


def _without_ending(make: Callable[[Path], None], ending: str) -> Maker:
    def named(path: Path, store: Store) -> None:
        make(path.with_suffix(ending))
        path.with_suffix(ending).rename(path)

    return named


def _of_run(config: str, kind: str) -> Maker:
    return lambda path, store: _copied(store.run(config, kind), path)


def _of_torch(name: str) -> Maker:
    return lambda path, store: _copied(TORCH / name, path)


def _handed_in(day: str) -> Maker:
    source = ROOT / "homework" / "release" / day / f"{day}.ipynb"
    return lambda path, store: _copied(source, path)


def _config(name: str, *changes: tuple[str, str]) -> Maker:
    def make(path: Path, store: Store) -> None:
        text = (store.folder / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    return make


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


# Files and folders of one's own that pages name, as they are here.
FACADES = "configs/pix2pix_facades.yaml"
_PADDLEGANS_RUN = "output_dir/pix2pix-2024-03-11-10-00"
_SAME: dict[Maker, tuple[str, ...]] = {
    _made(files.photo): ("me.jpg", "photo.jpg", "face.png", "portrait.png", "sprite.png"),
    _without_ending(files.photo, ".png"): ("S",),
    _without_ending(files.film, ".mp4"): ("F", "D"),
    _without_ending(files.sound, ".wav"): ("A",),
    _made(files.small_photo): ("photo.png", "old.jpg"),
    _made(files.group): ("group.jpg",),
    _made(files.album): (
        *("photos", "zebras", "horses", "maps", "selfies", "GENERATED_DIR", "REAL_DIR"),
    ),
    _made(files.huge_album): ("HR",),
    _made(files.large_album): ("my_photos",),
    _made(files.film): ("film.mp4", "face.mp4", "sprites.mp4"),
    _made(files.long_film): ("result.mp4", "interview.mp4"),
    _made(files.small_film): ("old.mp4",),
    _made(files.sound): ("speech.wav", "speech.flac"),
    _made(files.films): ("my_films",),
    _made(files.short_films): ("my_videos", "others", "made", "true"),
    _made(files.pairs): ("my/facades/train",),
    _config(FACADES): ("pix2pix_facades.yaml", "pix2pix.yaml"),
    _of_run(FACADES, "checkpoint"): (
        "epoch_100_checkpoint.pdparams",
        "epoch_150_checkpoint.pdparams",
        f"{_PADDLEGANS_RUN}/epoch_5_checkpoint.pdparams",
    ),
    _of_run(FACADES, "weight"): (
        "epoch_200_weight.pdparams",
        f"{_PADDLEGANS_RUN}/epoch_5_weight.pdparams",
    ),
    _handed_in("day2"): ("day2/day2.ipynb",),
    _made(files.nothing_handed_in): ("SUBMISSIONS",),
    _made(files.repository): ("my-gan-course",),
    _of_torch("first_order.pth.tar"): ("vox-cpk.pth.tar",),
    _of_torch("wav2lip.pth"): ("wav2lip_gan.pth",),
    _of_torch("esrgan.pth"): ("RRDB_ESRGAN_x4.pth",),
    _of_torch("cyclegan_G_A.pth"): ("latest_net_G_A.pth", "latest_net_G.pth"),
    _of_torch("pix2pix_G.pth"): ("my.pth", "netG.pth"),
    # Of the size of that network of PyTorch's.
    _config("configs/smoke/cyclegan.yaml", ("ngf: 4", "ngf: 2"), ("n_blocks: 1", "n_blocks: 2")): (
        "cyclegan.yaml",
    ),
}
FILES: dict[str, Maker] = {name: make for make, names in _SAME.items() for name in names}


def smaller(text: str) -> str:
    """Return a config's text with the options of `SMALLER`, `ADDED` and `REPLACED`."""
    for old, new in REPLACED.items():
        text = text.replace(old, new)
    lines = []
    for line in text.splitlines():
        match = re.match(r"^([\s-]*)(\w+):\s+([^\s&#]\S*)", line)
        if match and match[2] in SMALLER:
            value = SMALLER[match[2]]
            if isinstance(value, int) and match[3].isdigit():
                value = min(value, int(match[3]))
            line = f"{match[1]}{match[2]}: {value}"
        lines.append(line)
        for pattern, option in ADDED.items():
            indent = " " * len(match[1]) if match else ""
            has_it = re.search(rf"^{indent}{option.partition(':')[0]}:", text, re.MULTILINE)
            if match and not has_it and re.search(pattern, line.partition(" #")[0].rstrip()):
                lines.append(indent + option)
    return "\n".join(lines) + "\n"


class Store:
    """What is made once for all pages of a process: configs, data, weights, trained networks.

    Args:
        folder: where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                left_out = shutil.ignore_patterns("__pycache__", "output_dir", "_build")
                shutil.copytree(source, folder / name, ignore=left_out)
            else:
                shutil.copy(source, folder / name)
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        for path in (ROOT / "configs").rglob("*.yaml"):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8")
            target.write_text(text if path.parent.name == "smoke" else smaller(text), "utf-8")
        self._runs: dict[str, Path] = {}

    def run(self, config: str, kind: str = "weight") -> Path:
        """Return the weights or the checkpoint of a training's end, which is done if need be."""
        if config not in self._runs:
            output = self.folder / "runs" / config
            options = [f"output_dir={output}", "enable_visualdl=false", "validate=null"]
            options += ["total_iters=1"] if "/smoke/" in config else []
            text = (self.folder / config).read_text(encoding="utf-8")
            # One that is resumed has not come to its end.
            options += ["epochs=1"] if re.search("^epochs:", text, re.MULTILINE) else []
            options += ["model.pretrained_syncnet=null"] if "demo/wav2lip" in config else []
            with inside(self.folder):
                self.data  # noqa: B018  (makes it)
                assert cli.main(["train", "-c", config, "-o", *options]) == 0, config
            (self._runs[config],) = output.iterdir()
        return max(self._runs[config].glob(f"*_{kind}.pdparams"))

    @functools.cached_property
    def data(self) -> Path:
        """Return a folder with the data that full-size configs are trained on."""
        files.training_data(self.folder / "data")
        return self.folder / "data"

    @functools.cached_property
    def home(self) -> Path:
        """Return a cache folder, in which lie official weights and archives of public sets."""
        home = self.folder / "home"
        for name, (config, net) in OFFICIAL.items():
            content = read(self.run(config))
            path = home / "weights" / official_weights(name).filename
            path.parent.mkdir(parents=True, exist_ok=True)
            write_pdparams(path, content[net] if net else content)
        (home / "datasets").mkdir()
        for name in ("facades", "horse2zebra", "div2k"):
            source = SOURCES[name]
            folder = self.folder / "sets" / name
            files.public_set(folder / name, name)
            archive = home / "datasets" / source.file
            if archive.suffix == ".zip":
                with zipfile.ZipFile(archive, "w") as packed:
                    for path in sorted(folder.rglob("*.png")):
                        packed.write(path, path.relative_to(folder))
            else:
                with tarfile.open(archive, "w:gz") as packed:
                    packed.add(folder / name, name)
        return home


class World:
    """A page's folder.

    Args:
        folder: it, empty.
        store: where what is in it comes from.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        shutil.copytree(store.folder / "configs", folder / "configs")
        for name in (*COPIED, *LINKED):
            (folder / name).symlink_to(store.folder / name)
        (folder / "data").mkdir()

    def prepare(self, text: str) -> str:
        """Return a block's text, or a command, without placeholders, once its files are there."""
        for pattern, placeholder, value in PLACEHOLDERS:
            if re.search(pattern, text):
                text = re.sub(placeholder, value, text)
        text = re.sub(
            r"[\w./-]*RUN/[\w.]*_(weight|checkpoint)\.pdparams",
            lambda match: str(self.store.run(self._config_of_run(text), match[1])),
            text,
        )
        for name, make in FILES.items():
            named = re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", text)
            if named and not (self.folder / name).exists():
                make(self.folder / name, self.store)
        for path in self.store.data.iterdir():
            # What is not in the page's folder yet: pages may make such data themselves.
            if path.name in self._data_of(text) and not (self.folder / "data" / path.name).exists():
                shutil.copytree(path, self.folder / "data" / path.name)
        if HOME.search(text) and not (self.folder / "home").exists():
            shutil.copytree(self.store.home, self.folder / "home")
        for pattern, (name, make) in ON_DEMAND.items():
            path = self.folder / "home" / "weights" / official_weights(name).filename
            if re.search(pattern, text) and not path.exists():
                make(path)
        if re.match(r"git (remote get-url|rev-parse)", text):
            files.clone(self.folder)
        if re.search(r"\.venv/|^make ", text) and not (self.folder / ".venv").exists():
            # As `make setup` leaves it; packages are found in this interpreter's own folders.
            venv.create(self.folder / ".venv", with_pip=False)
            (self.folder / ".venv" / ".installed").touch()
        return text

    @staticmethod
    def _config_of_run(text: str) -> str:
        for pattern, config in RUNS.items():
            if match := re.search(pattern, text):
                return match.expand(config)
        raise AssertionError(f"whose RUN is it? Say so in RUNS: {text}")

    def _data_of(self, text: str) -> set[str]:
        """Return the names of the data that a command's config reads, where it trains."""
        match = re.search(r"-c (\S+\.yaml)", text)
        path = self.folder / match[1] if match else None
        content = ""
        while path is not None and path.is_file():
            content += path.read_text(encoding="utf-8")
            base = re.search(r"^_base_: (\S+)", content.rpartition("\0")[2], re.MULTILINE)
            content += "\0"
            path = path.parent / base[1] if base else None
        # What is prepared is not there yet, unless it has to be fetched by hand.
        is_there = "data prepare" not in text or "selfie2anime" in text
        names = set(re.findall(r"data/(\w+)", content + text * is_there))
        return names | ({"mnist"} if "MNIST" in content else set())


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def stand_ins(patch: pytest.MonkeyPatch, world: World) -> None:
    """Put in place what a reader's computer has, and a test has not."""
    patch.chdir(world.folder)
    patch.setenv("PPZOO_HOME", str(world.folder / "home"))
    patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    packages = [path for path in sys.path if Path(path).name == "site-packages"]
    patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *packages]))
    for name in ("MAKEFLAGS", "MAKELEVEL", "VENV", "PYTHON"):  # of a `make` that runs the tests
        patch.delenv(name, raising=False)
    # What the user of this computer has told git, such as to sign, is not the reader's.
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        patch.setenv(f"GIT_{role}_NAME", "A student")
        patch.setenv(f"GIT_{role}_EMAIL", "student@localhost")
    # Three networks that are published in one size only.
    for name in ("sfd", "cascade"):
        patch.setitem(detector._CLASSES, name, (files.__name__, "FaceDetector"))
    digits = measure.load_features("digits")
    patch.setattr(measure, "load_features", lambda *args, **options: digits)
    # Exporting the networks and timing the backends takes longer than all they do here.
    patch.setattr(inference, "_wanted", lambda backends: ["dynamic"])
    patch.setattr(parsing, "_SIZE", 64)
    # Processes of their own would each import Paddle, and know nothing of the above.
    patch.setattr(prepare_talking, "run_apart", Here())
    for name, counts in files.COUNTS.items():
        patch.setitem(SOURCES, name, replace(SOURCES[name], pictures=counts, sha256=None))
