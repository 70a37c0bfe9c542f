# SPDX-License-Identifier: Apache-2.0
"""How First Order Motion is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import paddle
from paddle import nn
from paddle.optimizer.lr import MultiStepDecay

from ppzoo.config.schema import plain
from ppzoo.errors import ConfigError, DataError
from ppzoo.losses.perceptual import OFFICIAL_URL
from ppzoo.model import Batch, Logs, Model
from ppzoo.motion.firstorder import losses
from ppzoo.motion.firstorder.films import remake
from ppzoo.motion.firstorder.generator import FirstOrderGenerator
from ppzoo.motion.firstorder.transfer import animate_batch
from ppzoo.motion.warp import RandomWarp
from ppzoo.registry import DISCRIMINATORS, GENERATORS, MODELS, Supplied

# The model adds these to what the config says of a network.
Generator = Annotated[
    Callable[..., nn.Layer],
    GENERATORS,
    Supplied("common_params", "train_params", "dis_scales"),
]
Discriminator = Annotated[
    Callable[..., nn.Layer], DISCRIMINATORS, Supplied("common_params", "train_params")
]
Params = Mapping[str, Any]

_LOSS_WEIGHTS = {
    "generator_gan": 0,
    "discriminator_gan": 1,
    "feature_matching": [0, 0, 0, 0],
    "perceptual": [0, 0, 0, 0, 0],
    "reconstruction": 0,
    "equivariance_value": 0,
    "equivariance_jacobian": 0,
}
# The options of the schedule, by optimizer.
_RATES = {
    "optimizer_KP": ("kp_lr", "lr_kp_detector"),
    "optimizer_Gen": ("gen_lr", "lr_generator"),
    "optimizer_Dis": ("dis_lr", "lr_discriminator"),
}


@MODELS.register()
class FirstOrderModel(Model):
    """Detector and generator, which remake a frame of a video from another one.

    A batch holds `source` and `driving`, two frames [N, C, H, W] of a video with values in [0, 1];
    one to evaluate on holds `video` [N, C, T, H, W], of which the first frame is the source, or
    `source` and `driving` too.

    Args:
        common_params: `num_kp`, `num_channels` and `estimate_jacobian`, of all networks.
        train_params: `scales`, sizes in which pictures are compared; `transform_params`, see
            `RandomWarp`; `loss_weights`: `perceptual`, of VGG19's five layers, `generator_gan`,
            `discriminator_gan`, `feature_matching`, of the discriminator's blocks,
            `equivariance_value`, `equivariance_jacobian`; beyond the paper, for short trainings,
            `reconstruction`, of the pixels. A weight of 0 leaves a loss out.
        generator: a `FirstOrderGenerator`.
        discriminator: a `FirstOrderDiscriminator`.
        pretrained: weights of the perceptual loss's VGG19; see `PerceptualLoss`.
        eval_animation: in evaluation let a picture of each video move as the next video of the
            batch, too, see `transfer.animate_next`: `KeypointMotion` says whether it does.

    Raises:
        ValueError: loss weights that there are not, or too few of them.
    """

    NETS = ("kp_detector", "generator", "discriminator")
    OPTIMIZERS = ("optimizer_KP", "optimizer_Gen", "optimizer_Dis")
    LR_SCHEDULER_ARGS = ("epoch_milestones", "lr_generator", "lr_discriminator", "lr_kp_detector")
    ONE_OPTIMIZER_SECTION = True

    def __init__(
        self,
        common_params: Params,
        train_params: Params,
        generator: Generator,
        discriminator: Discriminator | None = None,
        pretrained: str | None = OFFICIAL_URL,
        eval_animation: bool = False,
    ) -> None:
        super().__init__()
        if discriminator is None:
            raise ValueError("FirstOrderModel needs the argument 'discriminator'")
        common, training = plain(common_params), plain(train_params)
        unknown = set(training.get("loss_weights", ())) - set(_LOSS_WEIGHTS)
        if unknown:
            raise ValueError(
                f"train_params.loss_weights has {', '.join(sorted(unknown))}, known are "
                f"{', '.join(_LOSS_WEIGHTS)}"
            )
        self.weights: dict[str, Any] = _LOSS_WEIGHTS | training.get("loss_weights", {})
        self.eval_animation = eval_animation
        self.transform_params = training.get("transform_params", {})
        self.judge = discriminator(common_params=common, train_params=training)
        self.dis_scales = self.judge.discriminator.scales
        options = {"common_params": common, "train_params": training, "dis_scales": self.dis_scales}
        self.animator: FirstOrderGenerator = generator(**options)
        self.nets["kp_detector"] = self.animator.kp_extractor
        self.nets["generator"] = self.animator.generator
        self.nets["discriminator"] = self.judge.discriminator
        self.perceptual = losses.perceptual_criterion(self.weights["perceptual"], pretrained)

    def setup_lr_schedulers(self, spec: Any, **supplied: Any) -> dict[str, Any]:
        """Build a schedule for each network: a rate that falls to a tenth at each milestone.

        Args:
            spec: `epoch_milestones`, in iterations, and `lr_kp_detector`, `lr_generator`,
                `lr_discriminator`; the name is `MultiStepDecay` or absent.
            supplied: unused.

        Raises:
            ConfigError: another name, or an option is missing.
        """
        section = plain(spec)
        if section.get("name", "MultiStepDecay") != "MultiStepDecay":
            raise ConfigError(
                f"lr_scheduler.name is {section['name']!r}, FirstOrderModel has MultiStepDecay"
            )
        missing = [key for key in self.LR_SCHEDULER_ARGS if key not in section]
        if missing:
            raise ConfigError(f"lr_scheduler needs {', '.join(missing)} for FirstOrderModel")
        self.lr_schedulers = {
            name: MultiStepDecay(section[rate], section["epoch_milestones"], gamma=0.1)
            for name, rate in _RATES.values()
        }
        return self.lr_schedulers

    def schedule_of(self, optimizer: str) -> Any:
        """Return the learning-rate schedule of an optimizer."""
        return self.lr_schedulers[_RATES[optimizer][0]]

    def setup_optimizers(self, specs: Mapping[str, tuple[Any, Sequence[str] | None]]) -> None:
        """Build an optimizer for each network, of one section for all or of one for each."""
        nets = dict(zip(self.OPTIMIZERS, self.NETS, strict=True))
        super().setup_optimizers(
            {name: (specs.get(name, specs.get("optim"))[0], [net]) for name, net in nets.items()}
        )

    def train_step(self, batch: Batch) -> Logs:
        """Update detector and generator, then the discriminator if the generator has to fool it."""
        return self.part_step(batch, ("optimizer_KP", "optimizer_Gen"))

    def part_step(self, batch: Batch, optimizers: Sequence[str]) -> Logs:
        """Update what `optimizers` train, then the discriminator as `train_step` does."""
        source, driving = _frames_of(batch)
        with self.precision.autocast():
            made = self.animator(source, driving)
        logs = self.update(optimizers, self.g_loss, driving, made, frozen=["discriminator"])
        if not self.weights["generator_gan"]:
            return logs
        return logs | self.update("optimizer_Dis", self.d_loss, driving, made)

    def g_loss(self, driving: paddle.Tensor, made: Mapping[str, Any]) -> tuple[paddle.Tensor, Logs]:
        """Return how far what was made is from the driving frame, and keypoints from their law."""
        logs = self.picture_losses(driving, made) | self.keypoint_losses(driving, made)
        if not logs:
            raise ConfigError("model.train_params.loss_weights are all 0: nothing would be learned")
        return sum(logs.values()), logs

    def picture_losses(self, driving: paddle.Tensor, made: Mapping[str, Any]) -> Logs:
        """Return the losses of the picture that was made."""
        logs = {}
        pyramid, weights = self.animator.pyramid, self.weights
        result, truth = pyramid(made["prediction"]), pyramid(driving)
        if self.perceptual is not None:
            logs["perceptual"] = losses.pyramid_distance(self.perceptual, result, truth)
        if weights["reconstruction"]:
            distance = losses.pixel_distance(result, truth)
            logs["reconstruction"] = weights["reconstruction"] * distance
        if weights["generator_gan"]:
            judge, kp = self.nets.discriminator, _detached(made["kp_driving"])
            judged = judge(result, kp)
            with paddle.no_grad():
                expected = judge(truth, kp)
            fooled = losses.adversarial(judged, self.dis_scales, 1.0)
            logs["gen_gan"] = weights["generator_gan"] * fooled
            if any(weights["feature_matching"]):
                logs["feature_matching"] = losses.feature_matching(
                    judged, expected, self.dis_scales, weights["feature_matching"]
                )
        return logs

    def keypoint_losses(self, driving: paddle.Tensor, made: Mapping[str, Any]) -> Logs:
        """Return the losses of the driving frame's keypoints."""
        wanted = self.weights["equivariance_value"], self.weights["equivariance_jacobian"]
        if not any(wanted):
            return {}
        warp = RandomWarp(driving.shape[0], **self.transform_params)
        detect, kp = self.nets.kp_detector, made["kp_driving"]
        return losses.equivariance(detect, driving, kp, warp, *wanted)

    def d_loss(self, driving: paddle.Tensor, made: Mapping[str, Any]) -> tuple[paddle.Tensor, Logs]:
        """Return the loss of a discriminator that tells the driving frame from what was made."""
        kp = _detached(made["kp_driving"])
        on_made = self.judge(made["prediction"].detach(), kp)
        on_true = self.judge(driving, kp)
        loss = losses.adversarial(on_true, self.dis_scales, 1.0)
        loss = loss + losses.adversarial(on_made, self.dis_scales, 0.0)
        loss = self.weights["discriminator_gan"] * loss
        return loss, {"disc_gan": loss}

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return pictures [N * T, C, H, W] in [-1, 1], and keypoints.

        `fake`, all frames of the videos remade from their first; `real`, the frames; `source`, the
        first frame, as often as there are frames; `deformed`, the source moved; `kp_driving`,
        `kp_source` and `kp_fake`, the places of keypoints [N * T, K, 2], of which the last take
        another pass of the detector: `AKD` compares them. With `eval_animation`, also what
        `transfer.animate_batch` returns.
        """
        source, driving = _frames_of(batch)
        detector, generator = self.nets.kp_detector, self.nets.generator
        others = {}
        with self.evaluating():
            if "video" in batch:
                made = remake(detector, generator, batch["video"])
                if self.eval_animation:
                    others = animate_batch(detector, generator, batch)
            else:
                made = self.animator(source, driving)
                made |= {key: made[key]["value"] for key in ("kp_driving", "kp_source")}
                made["kp_fake"] = detector(made["prediction"])["value"]
        pictures = {
            "fake": made["prediction"],
            "real": driving,
            "source": source,
            "deformed": made.get("deformed", source),
        }
        found = {name: picture * 2 - 1 for name, picture in pictures.items()}
        keypoints = {key: made[key] for key in ("kp_driving", "kp_source", "kp_fake")}
        return found | keypoints | others

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        """Return driving frame, source and what was made of both, side by side in one picture."""
        three = [outputs[name] for name in ("real", "source", "fake")]
        shown = {"driving_source_gen": paddle.concat(three, axis=3)}
        return shown | {name: outputs[name] for name in ("animated",) if name in outputs}

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return source, driving frame, what was made of both, and the source moved."""
        outputs = self.eval_step(batch)
        labels = {"source": "source", "real": "driving", "fake": "made", "deformed": "moved"}
        return {label: outputs[name] for name, label in labels.items()}


def _frames_of(batch: Batch) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Return sources and driving frames, [N, C, H, W] each."""
    if "video" in batch:
        video = batch["video"]  # [N, C, T, H, W]
        n, c, frames, h, w = video.shape
        driving = video.transpose([0, 2, 1, 3, 4]).reshape([n * frames, c, h, w])
        source = video[:, :, :1].expand([n, c, frames, h, w])
        return source.transpose([0, 2, 1, 3, 4]).reshape([n * frames, c, h, w]), driving
    if "source" not in batch or "driving" not in batch:
        raise DataError(
            f"the dataset gives {', '.join(sorted(batch))}; First Order Motion needs 'source' and "
            "'driving', or 'video'"
        )
    return batch["source"], batch["driving"]


def _detached(kp: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
    return {key: value.detach() for key, value in kp.items()}
