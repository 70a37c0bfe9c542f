# SPDX-License-Identifier: Apache-2.0
"""Where PaddleGAN's modules and names are in ppzoo."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import types
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from ppzoo.errors import UnknownNameError, UserError
from ppzoo.registry import Registry

# Modules of PaddleGAN's whose names their package has here.
IN_PACKAGES = {
    "ppgan.apps": """
        animegan_predictor aotgan_predictor base_predictor dain_predictor deepremaster_predictor
        deoldify_predictor edvr_predictor face_parse_predictor first_order_predictor gpen_predictor
        invdn_predictor lapstyle_predictor midas_predictor mpr_predictor nafnet_predictor
        photo2cartoon_predictor photopen_predictor pixel2style2pixel_predictor psgan_predictor
        realsr_predictor recurrent_vsr_predictor singan_predictor styleganv2_predictor
        styleganv2clip_predictor styleganv2editing_predictor styleganv2fitting_predictor
        styleganv2mixing_predictor swinir_predictor wav2lip_predictor
    """,
    "ppgan.datasets": """
        animeganv2_dataset aotgan_dataset base_dataset base_sr_dataset builder
        common_vision_dataset empty_dataset firstorder_dataset gfpgan_datasets gpen_dataset
        image_folder invdn_dataset lapstyle_dataset makeup_dataset mpr_dataset nafnet_dataset
        paired_dataset paired_image_datasets photopen_dataset repeat_dataset single_dataset
        starganv2_dataset swinir_dataset unpaired_dataset vsr_folder_dataset vsr_reds_dataset
        vsr_reds_multiple_gt_dataset vsr_vimeo90k_dataset wav2lip_dataset
    """,
    "ppgan.datasets.preprocess": "builder io transforms",
    "ppgan.metrics": "builder fid lpips psnr_ssim",
    "ppgan.models": """
        animeganv2_model aotgan_model base_model base_sr_model basicvsr_model builder
        cycle_gan_model dc_gan_model drn_model edvr_model esrgan_model firstorder_model gan_model
        gfpgan_model gpen_model invdn_model lapstyle_model makeup_model mpr_model msvsr_model
        nafnet_model photopen_model pix2pix_model prenet_model rcan_model singan_model sr_model
        starganv2_model styleganv2_model swinir_model ugatit_model wav2lip_hq_model wav2lip_model
    """,
    "ppgan.models.criterions": """
        aotgan_perceptual_loss builder gan_loss gfpgan_loss gradient_penalty id_loss
        perceptual_loss photopen_perceptual_loss pixel_loss ssim
    """,
    "ppgan.models.discriminators": """
        arcface_arch_paddle builder dcdiscriminator discriminator_animegan discriminator_aotgan
        discriminator_firstorder discriminator_lapstyle discriminator_photopen
        discriminator_singan discriminator_starganv2 discriminator_styleganv2
        discriminator_ugatit nlayers syncnet vgg_discriminator wav2lip_disc_qual
    """,
    "ppgan.models.generators": """
        basicvsr basicvsr_plus_plus builder dcgenerator deep_conv deoldify drn edvr
        generater_animegan generater_aotgan generater_lapstyle generater_photopen
        generator_firstorder generator_gpen generator_pixel2style2pixel generator_singan
        generator_starganv2 generator_styleganv2 gfpganv1_arch gfpganv1_clean_arch gpen iconvsr
        invdn lesrcnn makeup mobile_resnet mpr msvsr nafnet pan prenet rcan remaster resnet
        resnet_ugatit resnet_ugatit_p2c rrdb_net swinir unet wav2lip
    """,
    "ppgan.solver": "builder lr_scheduler optimizer",
}
# Modules of PaddleGAN's whose names are in modules of ppzoo.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "ppgan.models.generators.occlusion_aware": ("ppzoo.motion.firstorder.generator",),
    "ppgan.modules": (),
    "ppgan.modules.dense_motion": ("ppzoo.motion.firstorder.dense_motion",),
    "ppgan.modules.first_order": (
        "ppzoo.motion.firstorder.antialias",
        "ppzoo.motion.firstorder.blocks",
        "ppzoo.motion.firstorder.keypoints",
        "ppzoo.motion.warp",
    ),
    "ppgan.modules.init": ("ppzoo.nn.init",),
    "ppgan.modules.keypoint_detector": ("ppzoo.motion.firstorder.keypoints",),
    "ppgan.utils.animate": ("ppzoo.motion.firstorder.keypoints",),
    "ppgan.utils.image_pool": ("ppzoo.translation.image_pool",),
}
_LISTED = {
    f"{package}.{name}": (package,)
    for package, names in IN_PACKAGES.items()
    for name in names.split()
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes the modules of the tables above when they are imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to make a module of PaddleGAN's, None for others."""
        if name not in _LISTED and name not in ELSEWHERE:
            return None
        is_package = any(other.startswith(f"{name}.") for other in ELSEWHERE)
        return importlib.machinery.ModuleSpec(name, self, is_package=is_package)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Let the module look its names up where they are in ppzoo."""
        places = _LISTED.get(module.__name__) or ELSEWHERE[module.__name__]
        module.__doc__ = f"PaddleGAN's names, from {', '.join(places) or 'modules below'}."
        module.__getattr__ = lookup(module.__name__, places)  # type: ignore[method-assign]


def lookup(module: str, places: Iterable[str]) -> Callable[[str], Any]:
    """Return a `__getattr__` that finds names in modules of ppzoo when they are asked for."""

    def get(name: str) -> Any:
        if not name.startswith("__"):
            for place in places:
                try:
                    return getattr(importlib.import_module(place), name)
                except AttributeError:
                    continue
        raise AttributeError(f"module {module!r} has no {name!r}: {_ADVICE}")

    return get


def registered(
    module: str, registry: Registry, missing: Collection[str], others: dict[str, str] | None = None
) -> Callable[[str], Any]:
    """Return a `__getattr__` that finds registered classes.

    Args:
        module: the module's name, for messages.
        registry: where they are.
        missing: PaddleGAN's names that ppzoo does not have.
        others: names of other things, and where they are: `package.module:name`.
    """

    def get(name: str) -> Any:
        if others is not None and name in others:
            place, _, attribute = others[name].partition(":")
            return getattr(importlib.import_module(place), attribute or name)
        if not name.startswith("_"):
            try:
                return registry.get(name)
            except UnknownNameError:
                if name in missing:
                    raise NotHereYetError(f"{module}.{name}") from None
        raise AttributeError(f"module {module!r} has no {name!r}: {_ADVICE}")

    return get


class NotHereYetError(UserError, ImportError):
    """PaddleGAN has it and ppzoo does not."""

    def __init__(self, what: str, instead: str = "") -> None:
        hint = instead or "`ppzoo list` shows what it has"
        super().__init__(f"ppzoo does not have {what} of PaddleGAN yet: {hint}")


_ADVICE = "docs/migrating.md of ppzoo says where PaddleGAN's names are"


def refuse_a_mixture() -> None:
    """Refuse to run where PaddleGAN is installed too, whose files have the same names.

    Raises:
        ImportError: it is.
    """
    try:
        other = importlib.metadata.distribution("ppgan")
    except importlib.metadata.PackageNotFoundError:
        return
    ours = Path(__file__).resolve().parent
    theirs = Path(str(other.locate_file("ppgan"))).resolve()
    where = "in the same folder" if ours == theirs else f"in {theirs}"
    raise ImportError(
        f"PaddleGAN {other.version} is installed {where} beside ppzoo, and both are called ppgan: "
        "remove one of them, `pip uninstall ppgan`, then `pip install --force-reinstall ppzoo`"
    )
