# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's official weights files: where they are, how they are laid out, and getting them.

Their publisher gives no checksums. The SHA-256 of a file is therefore noted beside it when it is
first used (`NAME.sha256`, as `sha256sum -c` reads it), and a file that changes later is refused.
Files that PaddleGAN has fetched are used where they are, and nothing is written beside them.
"""

from __future__ import annotations

import difflib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ppzoo.atomic import atomic_write
from ppzoo.download import cache_dir, download, file_sha256
from ppzoo.errors import UserError, WeightsError

_LOG = logging.getLogger(__name__)

BASE_URL = "https://paddlegan.bj.bcebos.com"
# Where PaddleGAN, and Paddle for it, keep what they fetch.
PADDLEGAN_FOLDERS = ("~/.cache/ppgan", "~/.cache/paddle/hapi/weights")
_told: set[Path] = set()
_UNSTATED = "not stated"


@dataclass(frozen=True)
class WeightsFile:
    """A weights file that its authors publish.

    Attributes:
        name: what `find_weights` knows it by.
        path: its address below `BASE_URL`.
        layout: "flat" (`{param: array}`), the names of the networks in it, or what else it is, as
            far as PaddleGAN's code shows; `select_net` goes by the content.
        licence: of the weights, where their authors state one.
        sha256: hexadecimal, None where it is only noted at the first use.
    """

    name: str
    path: str
    layout: str = _UNSTATED
    licence: str = _UNSTATED
    sha256: str | None = None

    @property
    def url(self) -> str:
        """Return the whole address."""
        return BASE_URL + self.path

    @property
    def filename(self) -> str:
        """Return the name of the file on disk."""
        return unquote(self.path.rpartition("/")[2])


def _models(*rows: tuple[str, ...]) -> list[WeightsFile]:
    """Return files whose names in the folder `models` follow from their names here."""
    return [WeightsFile(row[0], f"/models/{row[1]}.pdparams", *row[2:]) for row in rows]


_VGG = "CC BY 4.0"
_STYLEGAN2 = "Nvidia Source Code License-NC (not for commerce)"
_FILES = [
    # Metrics and losses.
    WeightsFile("inception_v3", "/InceptionV3.pdparams", "flat", licence="Apache-2.0"),
    WeightsFile("vggface", "/vggface.pdparams", "flat"),
    WeightsFile("vgg19_caffe", "/models/vgg19_no_fc.npy", "NumPy dictionary", _VGG),
    *_models(
        ("lpips_vgg16", "vgg16_official", "flat", _VGG),
        ("lpips_lin_vgg", "lins_0.1_vgg", "flat", "BSD-2-Clause"),
        ("vgg19", "vgg19", "flat", _VGG),
        ("vgg19_pretrained", "vgg19pretrain", "flat", _VGG),
        ("vgg_normalised", "vgg_normalised", "flat", _VGG),
    ),
    # Faces.
    WeightsFile("blazeface_anchors", "/models/anchors.npy", "NumPy array", "Apache-2.0"),
    WeightsFile("face_landmarks", "/models/lms.dat", "dlib", "research only (iBUG 300-W)"),
    *_models(
        ("s3fd", "s3fd_paddle", "flat"),
        ("blazeface", "blazeface", "flat", "Apache-2.0"),
        ("bisenet", "bisenet", "flat"),
        ("faceseg", "faceseg_FCN-HRNetW18", "flat"),
        ("wing", "wing"),
        ("arcface_ir_se50", "model_ir_se50", "flat", "MIT"),
    ),
    # Image translation and style.
    *_models(
        ("photo2cartoon", "photo2cartoon_genA2B_weight", "flat", "MIT"),
        ("animegan_v2_hayao", "animeganv2_hayao", "netG"),
        ("psgan", "psgan_weight"),
        *(
            (f"lapstyle_{s}", f"lapstyle_{s}", "net_enc, net_dec, net_rev, net_rev_2")
            for s in ("circuit", "ocean", "starrynew", "stars")
        ),
    ),
    # Motion and speech.
    *(
        WeightsFile(
            f"first_order_{name}",
            f"/applications/first_order_model/{stem}.pdparams",
            "generator, kp_detector",
        )
        for name, stem in (
            ("vox", "vox-cpk"),
            ("vox_512", "vox-cpk-512"),
            ("vox_mobile", "vox-mobile"),
        )
    ),
    *_models(("wav2lip", "wav2lip_hq", "flat"), ("syncnet", "syncnet", "flat")),
    # StyleGAN2 and what builds on it.
    *_models(
        ("stylegan2_ffhq", "stylegan2-ffhq-config-f", "flat", _STYLEGAN2),
        ("stylegan2_animeface", "stylegan2-animeface-512", "flat"),
        ("stylegan2_ffhq_directions", "stylegan2-ffhq-config-f-directions", "directions"),
        (
            "styleclip_directions",
            "stylegan2-ffhq-config-f-styleclip-global-directions",
            "directions",
        ),
        ("styleclip_stats", "stylegan2-ffhq-config-f-styleclip-stats", "statistics"),
        ("psp_inversion", "pSp-ffhq-inversion", "flat, opts"),
        ("psp_toonify", "pSp-ffhq-toonify", "flat, opts"),
        ("gpen_256", "gpen-ffhq-256-generator", "flat"),
        ("gpen_512", "GPEN-512"),
        ("gfpgan", "GFPGAN", "net_g, net_g_ema"),
    ),
    # Restoration of pictures and videos.
    WeightsFile("realsr", "/applications/DF2K_JPEG.pdparams", "flat"),
    *_models(
        ("realsr_df2k", "realsr_df2k"),
        ("realsr_dped", "realsr_dped"),
        ("realsr_merge", "realsr_merge"),
        ("esrgan", "esrgan_x4"),
        ("esrgan_psnr", "esrgan_psnr_x4"),
    ),
    WeightsFile("deoldify_stable", "/applications/DeOldify_stable.pdparams", "flat"),
    WeightsFile("deoldify_artistic", "/applications/DeOldify_art.pdparams", "flat"),
    WeightsFile("deep_remaster", "/applications/deep_remaster.pdparams", "modelR, modelC"),
    WeightsFile("midas", "/applications/midas.pdparams", licence="MIT"),
    WeightsFile("dain", "/applications/DAIN_weight.tar", "archive"),
    *_models(
        ("edvr", "EDVR_L_w_tsa_SRx4", "generator"),
        ("edvr_m", "edvrm", "flat"),
        ("basicvsr", "BasicVSR_reds_x4", "generator"),
        ("iconvsr", "IconVSR_reds_x4", "generator"),
        ("basicvsr_plusplus", "BasicVSR%2B%2B_reds_x4", "generator"),
        ("ppmsvsr_reds", "PP-MSVSR_reds_x4", "generator"),
        ("ppmsvsr_vimeo", "PP-MSVSR_vimeo90k_x4", "generator"),
        ("ppmsvsr_large", "PP-MSVSR-L_reds_x4", "generator"),
        ("spynet", "spynet", "flat"),
        ("modified_spynet", "modified_spynet", "flat"),
        ("modified_spynet_tiny", "modified_spynet_tiny", "flat"),
        *(
            (f"mpr_{t.lower()}", f"MPR_{t}", "flat")
            for t in ("Deblurring", "Denoising", "Deraining")
        ),
        ("swinir_denoising", "SwinIR_Denoising", "generator"),
        ("nafnet_denoising", "NAFNet_Denoising", "generator"),
        ("invdn_denoising", "InvDN_Denoising", "generator"),
        *(
            (f"singan_{s}", f"singan_universal_{s}", "flat")
            for s in ("trees", "stone", "mountains", "birds", "lightning")
        ),
    ),
]
OFFICIAL: dict[str, WeightsFile] = {file.name: file for file in _FILES}


def official_weights(name: str) -> WeightsFile:
    """Return the entry of an official file.

    Raises:
        WeightsError: the name is unknown; says which one may have been meant.
    """
    if name not in OFFICIAL:
        near = difflib.get_close_matches(name, OFFICIAL, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(OFFICIAL))}"
        raise WeightsError(f"there are no official weights {name!r}: {hint}")
    return OFFICIAL[name]


def cached_path(name: str) -> Path:
    """Return where the official file `name` is kept, whether it is there or not.

    Raises:
        WeightsError: the name is unknown.
    """
    return cache_dir() / "weights" / official_weights(name).filename


def local_weights(name: str) -> Path | None:
    """Return where the official file `name` is on this computer, None if it is not.

    That is in ppzoo's folder, else in those of `PADDLEGAN_FOLDERS`.

    Raises:
        WeightsError: the name is unknown.
    """
    path = cached_path(name)
    return path if path.is_file() else _of_paddlegan(official_weights(name))


def find_weights(name: str, weight_path: str | os.PathLike[str] | None = None) -> Path:
    """Return a weights file: the given one, else the official one, downloaded if need be.

    Where PaddleGAN has fetched the official file already, that one is used, and said once.

    Args:
        name: of an official file, such as "inception_v3"; `OFFICIAL` lists them.
        weight_path: a file of one's own that is to be used instead.

    Raises:
        WeightsError: the given file is missing, or the official one is neither here nor to be had
            (names its address and its place), or has changed since it was first used.
    """
    if weight_path is not None:
        return _given(name, Path(weight_path))
    entry, path = official_weights(name), cached_path(name)
    try:
        if not path.is_file():
            theirs = _of_paddlegan(entry)
            if theirs is not None and entry.sha256 in (None, file_sha256(theirs)):
                return _used(theirs, entry)
        download(entry.url, path, entry.sha256)
        _check_unchanged(path)
    except WeightsError:
        raise
    except UserError as error:
        # One sentence, without the chain of what the network said: scripts show tracebacks whole.
        raise WeightsError(
            f"the weights {name!r} are missing: {error}; files that PaddleGAN keeps in "
            f"{' or '.join(PADDLEGAN_FOLDERS)} are found as well, and a file of your own is named "
            "by --weights (in scripts, weight_path=)"
        ) from None
    return path


def _of_paddlegan(entry: WeightsFile) -> Path | None:
    """Return where PaddleGAN has a file, by its official name or as its address writes that."""
    for folder in PADDLEGAN_FOLDERS:
        for filename in dict.fromkeys((entry.filename, entry.path.rpartition("/")[2])):
            try:
                path = Path(folder).expanduser() / filename
            except RuntimeError:  # there is no home folder
                continue
            if path.is_file():
                return path
    return None


def _used(path: Path, entry: WeightsFile) -> Path:
    """Return a file of PaddleGAN's, and tell once that it is what is used."""
    if path not in _told:
        _told.add(path)
        _LOG.warning("the weights %r are PaddleGAN's file %s", entry.name, path)
    return path


def _given(name: str, path: Path) -> Path:
    if path.is_file():
        return path
    problem = f"{path} is not a file" if path.exists() else f"there is no weights file {path}"
    advice = "check the path"
    if name in OFFICIAL:
        advice += f", or give none to use {official_weights(name).url}"
    raise WeightsError(f"{problem}: {advice}")


def _check_unchanged(path: Path) -> None:
    note = path.with_name(f"{path.name}.sha256")
    found = file_sha256(path)
    if not note.is_file():
        with atomic_write(note) as file:
            file.write(f"{found}  {path.name}\n".encode())
        return
    noted = note.read_text("utf-8", errors="replace").split()
    if noted[:1] != [found]:
        raise WeightsError(
            f"{path} is not what it was at its first use (its SHA-256 is {found}, {note.name} has "
            f"{' '.join(noted[:1]) or 'none'}): remove both to download it again, or {note.name} "
            "alone if you have replaced it yourself"
        )
