# SPDX-License-Identifier: Apache-2.0
"""What the golden checks ask of ppzoo, see README.md beside the cases.

Where ppzoo trains differently on purpose, DEVIATIONS.md has a row; each row brings PaddleGAN's
behaviour back here, so that the recorded numbers still hold.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import paddle

from ppzoo import registry
from ppzoo.gan.adversarial import AdversarialModel
from ppzoo.gan.gan import GANModel
from ppzoo.lipsync.wav2lip import Wav2LipModel
from ppzoo.losses.gan import GradientPenalty
from ppzoo.losses.perceptual import PerceptualLoss
from ppzoo.model import Model
from ppzoo.nn import random
from ppzoo.nn.norm import SpectralNorm
from ppzoo.translation.pix2pix import Pix2PixModel
from ppzoo.weights import manifest, write_pdparams

_ROW = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)
DEVIATIONS = frozenset(_ROW.findall(Path(__file__).with_name("DEVIATIONS.md").read_text("utf-8")))

REGISTRIES = {
    "GENERATORS": registry.GENERATORS,
    "DISCRIMINATORS": registry.DISCRIMINATORS,
}
# Networks that no config can name, and where they are.
MODULES = {
    "AntiAliasInterpolation2d": "ppzoo.motion.firstorder",
    "BiSeNet": "ppzoo.faces.bisenet",
    "BlazeFace": "ppzoo.faces.blazeface",
    "DenseMotionNetwork": "ppzoo.motion.firstorder",
    "FaceSegFCN": "ppzoo.faces.faceseg",
    "ImagePyramide": "ppzoo.motion.firstorder",
    "InceptionV3": "ppzoo.networks.inception",
    "KPDetector": "ppzoo.motion.firstorder",
    "MultiScaleDiscriminator": "ppzoo.motion.firstorder",
    "OcclusionAwareGenerator": "ppzoo.motion.firstorder",
    "S3FD": "ppzoo.faces.sfd",
}
# Weights that networks start from, and the official files that hold them.
PRETRAINED = {"lpips_lin": "lpips_lin_vgg", "vgg16": "lpips_vgg16", "vgg19": "vgg19"}
# Functions that the cases name otherwise than ppzoo does, or that stand elsewhere than one expects.
HELPERS = {
    "FirstOrderTransform": ("ppzoo.motion.warp", "RandomWarp"),
    "audio_config": ("ppzoo.media.mel", "audio_config"),
    "calculate_psnr": ("ppzoo.metrics.psnr", "calculate_psnr"),
    "calculate_ssim": ("ppzoo.metrics.ssim", "calculate_ssim"),
    "fid_from_features": ("ppzoo.metrics.fid", "fid_from_features"),
    "frechet_distance": ("ppzoo.metrics.features", "frechet_distance"),
    "kp2gaussian": ("ppzoo.motion.firstorder", "kp2gaussian"),
    "linearspectrogram": ("ppzoo.media.mel", "linearspectrogram"),
    "make_coordinate_grid": ("ppzoo.motion.warp", "make_coordinate_grid"),
    "melspectrogram": ("ppzoo.media.mel", "melspectrogram"),
    "make_grid": ("ppzoo.media.image", "make_grid"),
    "normalize_kp": ("ppzoo.motion.firstorder", "normalize_kp"),
    "sfd_batch_decode": ("ppzoo.faces.sfd", "decode"),
    "sfd_decode": ("ppzoo.faces.sfd", "decode"),
    "sfd_nms": ("ppzoo.faces.boxes", "non_maximum_suppression"),
    "tensor2img": ("ppzoo.media.image", "tensor2img"),
    "wav2lip_cosine_loss": ("ppzoo.lipsync.losses", "cosine_loss"),
}
# Networks that PaddleGAN builds with their weights, and what does so here.
LOADED = {"LPIPS": ("ppzoo.metrics.lpips", "load_lpips")}


def build_network(registry_name: str, name: str, kwargs: dict[str, Any]) -> paddle.nn.Layer:
    """Build a network by its registered name, or by its class's in MODULES."""
    if name in LOADED:
        module, function = LOADED[name]
        return getattr(importlib.import_module(module), function)(**kwargs)
    if registry_name == "MODULES":
        return getattr(importlib.import_module(MODULES[name]), name)(**kwargs)
    return registry.build(REGISTRIES[registry_name], {"name": name, **kwargs})


def build_criterion(name: str, kwargs: dict[str, Any]) -> Callable[..., Any]:
    """Build a loss by its registered name."""
    criterion = registry.build(registry.CRITERIONS, {"name": name, **kwargs})
    _prepare(criterion)
    if isinstance(criterion, GradientPenalty) and "penalty-over-channels" in DEVIATIONS:
        return lambda net, real, fake: _channel_penalty(net, real, fake) * criterion.loss_weight
    return criterion


def build_lr_scheduler(name: str, kwargs: dict[str, Any]) -> Any:
    """Build a learning-rate schedule by its registered name."""
    return registry.build(registry.LRSCHEDULERS, {"name": name, **kwargs})


def build_metric(name: str, kwargs: dict[str, Any]) -> Any:
    """Build a metric by its registered name."""
    return registry.build(registry.METRICS, {"name": name, **kwargs})


def build_transform(name: str, kwargs: dict[str, Any]) -> Callable[..., Any]:
    """Build a transform by its registered name."""
    return registry.build(registry.TRANSFORMS, {"name": name, **kwargs})


def build_preprocess(stages: list[dict[str, Any]]) -> Callable[[dict], dict]:
    """Build a chain of preprocess steps."""
    steps = [registry.build(registry.PREPROCESS, stage) for stage in stages]

    def run(sample: dict) -> dict:
        for step in steps:
            sample = step(sample)
        return sample

    return run


def build_model(cfg: Mapping[str, Any]) -> Model:
    """Build a model from the `model` section of a config, with PaddleGAN's deviations."""
    model = registry.build(registry.MODELS, _without_files(cfg))
    _prepare(*vars(model).values())
    model.train()
    _restore_networks_and_losses(model)
    if isinstance(model, AdversarialModel):
        _restore_adversarial(model, cfg)
    if hasattr(model, "a_to_b") and "direction-by-letter" in DEVIATIONS:
        straight = "AtoB" if isinstance(model, Pix2PixModel) else "a2b"
        model.a_to_b = cfg.get("direction", "a2b") == straight
    if isinstance(model, Wav2LipModel) and "expert-in-eval-mode" in DEVIATIONS:
        model.expert_mode = contextlib.nullcontext
    return model


def setup_training(
    model: Model, lr_cfg: Mapping[str, Any], optim_cfg: Mapping[str, Mapping[str, Any]]
) -> None:
    """Build schedules and optimizers."""
    model.setup_lr_schedulers(lr_cfg)
    groups = {"optim": optim_cfg} if isinstance(optim_cfg.get("name"), str) else optim_cfg
    model.setup_optimizers(
        {
            name: ({k: v for k, v in group.items() if k != "net_names"}, group.get("net_names"))
            for name, group in groups.items()
        }
    )


def train_step(model: Model, batch: Mapping[str, Any]) -> dict[str, float]:
    """Take one training step, advance the schedules, return the losses."""
    logs = model.train_step(batch)
    model.step_lr_schedulers()
    model.iteration += 1
    return {name: float(value) for name, value in logs.items()}


def helper(name: str) -> Callable[..., Any]:
    """Return a function that the cases name."""
    module, function = HELPERS[name]
    return getattr(importlib.import_module(module), function)


@contextlib.contextmanager
def pretrained(weights: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Use `weights` instead of downloads: as files, where downloads would be kept.

    Args:
        weights: arrays by parameter, by the tags of PRETRAINED.
    """
    with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, PPZOO_HOME=home):
        for tag, arrays in weights.items():
            path = manifest.cached_path(PRETRAINED[tag])
            path.parent.mkdir(parents=True, exist_ok=True)
            write_pdparams(path, dict(arrays))
        yield


def noise(source: Any) -> contextlib.AbstractContextManager[None]:
    """Take every random draw from `source`."""
    return random.source(source)


def _without_files(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    # The cases set the sync expert's weights themselves.
    is_lipsync = cfg["name"].startswith("Wav2Lip")
    return {**cfg, "pretrained_syncnet": None} if is_lipsync else cfg


def _prepare(*criterions: Any) -> None:
    # Pretrained weights are there while a model is built, and no longer at its first step.
    for criterion in criterions:
        if isinstance(criterion, PerceptualLoss):
            criterion.prepare()


def _channel_penalty(net: Callable, real: paddle.Tensor, fake: paddle.Tensor) -> paddle.Tensor:
    alpha = random.uniform([real.shape[0]]).reshape([-1] + [1] * (real.ndim - 1))
    points = alpha * real + (1 - alpha) * fake
    points.stop_gradient = False
    (slope,) = paddle.grad(net(points).sum(), points, create_graph=True)
    return ((slope.norm(2, 1) - 1) ** 2).mean()


def _restore_networks_and_losses(model: Model) -> None:
    criterion = getattr(model, "gan_criterion", None)
    if criterion is not None and "hinge-without-margin" in DEVIATIONS:
        plain = criterion.forward
        criterion.forward = lambda *args, is_updating_D=None, **kw: plain(*args, **kw)
    if "power-iteration-kept" in DEVIATIONS:
        for net in model.nets.values():
            for layer in net.sublayers(include_self=True):
                if isinstance(layer, SpectralNorm):
                    _forget_power_iteration(layer)


def _restore_adversarial(model: AdversarialModel, cfg: Mapping[str, Any]) -> None:
    if "sigmoid-twice" in DEVIATIONS:
        model.score = lambda images, classes: model.nets.netD(images, *classes)
    if isinstance(model, GANModel):
        if "no-penalty-in-wgangp" in DEVIATIONS and "gp_criterion" not in cfg:
            model.gp_criterion = None
        if "clip-frozen-scales" in DEVIATIONS:
            model.clip_weights = lambda: _clip_everything(model)
        if "pictures-move-statistics" in DEVIATIONS:
            _draw_pictures_in_training(model, cfg.get("params") or {})


@paddle.no_grad()
def _clip_everything(model: GANModel) -> None:
    # PaddleGAN's spectral-norm vectors are parameters, so it clips them as well.
    for array in model.nets.netD.state_dict().values():
        array.set_value(array.clip(-model.clip_limit, model.clip_limit))


def _forget_power_iteration(layer: SpectralNorm) -> None:
    inner, vectors = layer.layer, layer.spectral_norm
    # Paddle's layer, whose gradient differs from that of the quotient that it computes.
    paddles = paddle.nn.SpectralNorm(layer.weight_orig.shape, dim=0, power_iters=1, eps=1e-12)

    def run(x: paddle.Tensor) -> paddle.Tensor:
        paddles.set_state_dict(vectors.state_dict())
        inner.weight = paddles(layer.weight_orig)
        return inner(x)

    layer.forward = run


def _draw_pictures_in_training(model: GANModel, params: Mapping[str, Any]) -> None:
    interval, row = params.get("visual_interval", 500), params.get("samples_every_row", 8)
    step, draw, generator = model.train_step, model.nets.netG.random_inputs, model.nets.netG
    fixed: list[paddle.Tensor] = []

    def remember_first(batch_size: int) -> list[paddle.Tensor]:
        inputs = draw(batch_size)
        if not fixed:
            fixed.extend(inputs)
            if generator.n_class:
                rows = random.randint(0, generator.n_class, [(batch_size - 1) // row + 1, 1])
                fixed[1] = rows.tile([1, row]).reshape([-1])[:batch_size]
        return inputs

    def train_step(batch: Mapping[str, Any]) -> dict[str, paddle.Tensor]:
        logs = step(batch)
        if model.iteration % interval == 0:
            with paddle.no_grad():
                generator(*fixed)
        return logs

    generator.random_inputs = remember_first
    model.train_step = train_step
