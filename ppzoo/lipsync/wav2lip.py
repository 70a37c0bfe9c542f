# SPDX-License-Identifier: Apache-2.0
"""Wav2Lip: any face says what any voice says.

Paper: Prajwal, Mukhopadhyay, Namboodiri & Jawahar 2020, A Lip Sync Expert Is All You Need
(arXiv:2008.10010).
State-dict keys, networks and training equal PaddleGAN's. Unlike there, the sync expert is frozen in
evaluation mode, as in the paper, and whether it takes part is decided in training, not by looking
(`syncnet_wt`).

The generator gets a face whose lower half is black, another picture of the same face, and the sound
of the moment. A sync expert, trained before (ppzoo/lipsync/syncnet.py), says whether lips and sound
match; in the variant Hq a discriminator says whether the lower half looks real.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import DataError
from ppzoo.lipsync.around import sync_outputs
from ppzoo.lipsync.blocks import ConvBlock, PlainBlock, TransposedBlock, audio_encoder, stack
from ppzoo.lipsync.losses import cosine_loss, mouths_of
from ppzoo.model import Batch, Discriminator, Generator, Logs, Model
from ppzoo.nn.checks import check_at_least
from ppzoo.nn.conv import Conv2D
from ppzoo.nn.modes import in_eval_mode
from ppzoo.registry import DISCRIMINATORS, GENERATORS, MODELS
from ppzoo.weights import load_weights
from ppzoo.weights.manifest import OFFICIAL, find_weights

# PaddleGAN's expert, by which the official file is meant.
SYNCNET_URL = OFFICIAL["syncnet"].url
# While the expert takes no part, its opinion is asked for every so many iterations; the latest
# count most: this is the weight of the mean of all before.
_ASK_EVERY, _MEMORY = 100, 0.9
# Of whole clips, what a dataset knows of their mouths.
_KNOWN = ("opening", "opening_other_sound", "clip")


@GENERATORS.register()
class Wav2Lip(nn.Layer):
    """Draws the lower half of a face to a sound.

    Args:
        ngf: channels of the first layer.
    """

    def __init__(self, ngf: int = 16) -> None:
        super().__init__()
        check_at_least(1, ngf=ngf)
        widths = [ngf * 2**i for i in range(6)]  # from 96 x 96 to 3 x 3 pixels
        wide = widths[-1]
        residuals = (2, 3, 2, 2, 1)
        halving = [stack(widths[i], [(widths[i + 1], 3, 2, 1), residuals[i]]) for i in range(5)]
        self.face_encoder_blocks = nn.LayerList(
            [
                stack(6, [(ngf, 7, 1, 3)]),
                *halving,
                stack(wide, [(wide, 3, 1, 0), (wide, 1, 1, 0)]),
            ]
        )
        self.audio_encoder = audio_encoder(2 * ngf, last_residuals=1)
        # What comes from below meets the encoder's map of the same size.
        above = [wide, wide, wide, 24 * ngf, 16 * ngf, 8 * ngf, 4 * ngf]
        skips = [wide, *reversed(widths)]
        blocks = [stack(wide, [(wide, 1, 1, 0)])]
        for i in range(1, 7):
            up = TransposedBlock(above[i - 1] + skips[i - 1], above[i], 1 if i == 1 else 2)
            number = 1 if i == 1 else 2
            after = [ConvBlock(above[i], above[i], 3, 1, 1, residual=True) for _ in range(number)]
            blocks.append(nn.Sequential(up, *after))
        self.face_decoder_blocks = nn.LayerList(blocks)
        self.output_block = nn.Sequential(
            ConvBlock(above[-1] + ngf, 2 * ngf, 3, 1, 1), Conv2D(2 * ngf, 3, 1), nn.Sigmoid()
        )

    def forward(
        self, audio_sequences: paddle.Tensor, face_sequences: paddle.Tensor
    ) -> paddle.Tensor:
        """Return faces with values in [0, 1], [N, 3, 96, 96] or [N, 3, T, 96, 96].

        Args:
            audio_sequences: mel spectrograms [N, 1, 80, 16], or [N, T, 1, 80, 16] for T frames.
            face_sequences: [N, 6, 96, 96], or [N, 6, T, 96, 96]: faces whose lower half is 0, and
                other pictures of them, with values in [0, 1].
        """
        batch, is_clip = face_sequences.shape[0], face_sequences.ndim == 5
        if is_clip:  # first frames of all clips, then second ones...
            audio_sequences = audio_sequences.transpose([1, 0, 2, 3, 4]).flatten(0, 1)
            face_sequences = face_sequences.transpose([2, 0, 1, 3, 4]).flatten(0, 1)
        maps, x = [], face_sequences
        for block in self.face_encoder_blocks:
            x = block(x)
            maps.append(x)
        x = self.audio_encoder(audio_sequences)
        for block in self.face_decoder_blocks:
            x = paddle.concat([block(x), maps.pop()], axis=1)
        x = self.output_block(x)
        if not is_clip:
            return x
        frames = x.shape[0] // batch
        return x.reshape([frames, batch, *x.shape[1:]]).transpose([1, 2, 0, 3, 4])


@DISCRIMINATORS.register()
class Wav2LipDiscQual(nn.Layer):
    """Judges whether the lower half of a face looks real.

    Args:
        ngf: channels of the first layer.
    """

    def __init__(self, ngf: int = 32) -> None:
        super().__init__()
        check_at_least(1, ngf=ngf)
        wide = 16 * ngf
        self.face_encoder_blocks = nn.LayerList(
            [
                nn.Sequential(PlainBlock(3, ngf, 7, 1, 3)),
                _pair(ngf, 2 * ngf, 5, (1, 2)),
                _pair(2 * ngf, 4 * ngf, 5, 2),
                _pair(4 * ngf, 8 * ngf, 5, 2),
                _pair(8 * ngf, wide, 3, 2),
                _pair(wide, wide, 3, 2),
                nn.Sequential(PlainBlock(wide, wide, 3), PlainBlock(wide, wide, 1)),
            ]
        )
        self.binary_pred = nn.Sequential(Conv2D(wide, 1, 1), nn.Sigmoid())

    def forward(self, face_sequences: paddle.Tensor) -> paddle.Tensor:
        """Return the chance [T * N, 1] that each frame of faces [N, 3, T, 96, 96] is real."""
        x = face_sequences.transpose([2, 0, 1, 3, 4]).flatten(0, 1)
        x = x[:, :, x.shape[2] // 2 :]
        for block in self.face_encoder_blocks:
            x = block(x)
        logits, to_chance = self.binary_pred
        with _in_float32():
            return to_chance(logits(x).astype("float32")).flatten(1)

    def perceptual_forward(self, false_face_sequences: paddle.Tensor) -> paddle.Tensor:
        """Return the loss of a generator whose faces [N, 3, T, 96, 96] shall look real."""
        return _chance_loss(self(false_face_sequences), 1.0)


@MODELS.register()
class Wav2LipModel(Model):
    """The generator, judged by its likeness to the truth and by the sync expert.

    A batch holds `x` [N, 6, 5, 96, 96], five frames of a face with values in [0, 1] whose lower
    half is 0, and five of another moment; `y` [N, 3, 5, 96, 96], the truth; `indiv_mels`
    [N, 5, 1, 80, 16], the sound of each frame; `mel` [N, 1, 80, 16], the sound of all five.
    Channels of faces are blue, green and red, as the official weights know them.

    Args:
        generator: a `Wav2Lip`.
        discriminator: a `SyncNetColor`, the expert.
        syncnet_wt: share of the expert's opinion in the loss. With 0 it takes no part at first;
            once its loss on what is generated falls below `sync_threshold`, its share becomes
            `late_syncnet_wt`, as PaddleGAN and the paper's authors do by hand.
        late_syncnet_wt: see there; 0 for never.
        sync_threshold: see there.
        pretrained_syncnet: the expert's weights: a file of a `SyncNetModel`'s training or
            PaddleGAN's, or its address, which means the official file, downloaded if need be. None
            keeps those that it has: random ones, or those of `--load`.
        is_train: accepted for PaddleGAN's configs.

    Raises:
        ValueError: a share outside of 0 to 1.
    """

    NETS: tuple[str, ...] = ("netG", "netD")
    OPTIMIZERS: tuple[str, ...] = ("optimizer_G", "optimizer_D")
    EXPERT = "netD"

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        syncnet_wt: float = 1.0,
        late_syncnet_wt: float = 0.01,
        sync_threshold: float = 0.75,
        pretrained_syncnet: str | None = SYNCNET_URL,
        is_train: bool = True,
    ) -> None:
        super().__init__()
        for name, share in (("syncnet_wt", syncnet_wt), ("late_syncnet_wt", late_syncnet_wt)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}, expected 0 to 1")
        self.nets["netG"] = generator
        self.nets[self.EXPERT] = discriminator
        for parameter in discriminator.parameters():
            parameter.stop_gradient = True
        self.syncnet_wt, self.late_syncnet_wt = float(syncnet_wt), float(late_syncnet_wt)
        self.sync_threshold, self.expert_loss = sync_threshold, float("inf")
        self.pretrained_syncnet = pretrained_syncnet

    def setup_optimizers(self, specs: Mapping[str, tuple[Any, Sequence[str] | None]]) -> None:
        """Load the expert's weights, then build the optimizers; the expert's never steps.

        Raises:
            WeightsError: the expert's weights are missing, or those of another network.
        """
        if self.pretrained_syncnet is not None:
            official = self.pretrained_syncnet == SYNCNET_URL
            path = find_weights("syncnet", None if official else self.pretrained_syncnet)
            load_weights(self.nets[self.EXPERT], path, "syncnet")
        super().setup_optimizers(specs)

    def train_step(self, batch: Batch) -> Logs:
        """Update the generator."""
        batch = _checked(batch)
        self.ask_the_expert(batch)
        return self.update("optimizer_G", self.g_loss, batch, self.generate(batch))

    def generate(self, batch: Batch) -> paddle.Tensor:
        """Return the faces [N, 3, T, H, W] that the generator draws."""
        with self.precision.autocast():
            return self.nets.netG(batch["indiv_mels"], batch["x"])

    def g_loss(self, batch: Batch, faces: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the distance to the truth, and what the expert says."""
        return self.weighted(self.opinions(batch, faces), {"sync_loss": self.syncnet_wt})

    def opinions(self, batch: Batch, faces: paddle.Tensor) -> Logs:
        """Return the losses before they are weighted; one without weight is 0."""
        sync = self.sync_loss(batch["mel"], faces) if self.syncnet_wt > 0 else paddle.zeros([])
        return {"sync_loss": sync, "l1_loss": F.l1_loss(faces, batch["y"])}

    def weighted(self, logs: Logs, shares: Mapping[str, float]) -> tuple[paddle.Tensor, Logs]:
        """Return the sum of losses by their shares, of which the truth has what others leave."""
        total = (1.0 - sum(shares.values())) * logs["l1_loss"]
        for name, share in shares.items():
            total = total + share * logs[name]
        return total, logs

    def sync_loss(self, mel: paddle.Tensor, faces: paddle.Tensor) -> paddle.Tensor:
        """Return the expert's doubt that faces [N, 3, T, H, W] say what `mel` [N, 1, 80, 16] is."""
        with self.expert_mode():
            audio, video = self.nets[self.EXPERT](mel, mouths_of(faces))
        return cosine_loss(audio, video, paddle.ones([mel.shape[0], 1]))

    def expert_mode(self) -> contextlib.AbstractContextManager[None]:
        """Return the context in which the expert is asked: it is not to learn, nor to drift."""
        return in_eval_mode(self.nets[self.EXPERT])

    def ask_the_expert(self, batch: Batch) -> None:
        """Let the expert take part from now on, if what is generated is good enough for it."""
        if self.syncnet_wt > 0 or not self.late_syncnet_wt:
            return
        if self.iteration % _ASK_EVERY != _ASK_EVERY - 1:
            return
        with self.evaluating():
            faces = self.nets.netG(batch["indiv_mels"], batch["x"])
            latest = float(self.sync_loss(batch["mel"], faces))
        before = latest if self.expert_loss == float("inf") else self.expert_loss
        self.expert_loss = _MEMORY * before + (1 - _MEMORY) * latest
        if self.expert_loss < self.sync_threshold:
            self.syncnet_wt = self.late_syncnet_wt

    def extra_state(self) -> dict[str, Any]:
        """Return whether the expert takes part, and what it thought lately."""
        return {"syncnet_wt": self.syncnet_wt, "expert_loss": self.expert_loss}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` returned."""
        self.syncnet_wt, self.expert_loss = state["syncnet_wt"], state["expert_loss"]

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return RGB faces [N * T, 3, H, W] in [-1, 1]: generated `fake`, true `real`, `source`.

        And the cosines [N] of the expert's embeddings: `sync_fake`, of generated faces and their
        sound, and `sync_real`, of true ones. And what `sync_outputs` returns. Where the batch has
        `other_sound` [N, T, 1, 80, 16], also faces made to that, `fake_other_sound`, and what the
        batch knows of mouths: `opening` and `opening_other_sound` [N, T], and `clip` [N].
        """
        batch = _checked(batch)
        with self.evaluating():
            faces = self.nets.netG(batch["indiv_mels"], batch["x"])
            cosines = {
                name: F.cosine_similarity(*self.nets[self.EXPERT](batch["mel"], mouths_of(shown)))
                for name, shown in (("sync_fake", faces), ("sync_real", batch["y"]))
            }
            kinds = {"fake": faces, "real": batch["y"]}
            known = sync_outputs(self.nets[self.EXPERT], batch, kinds)
            pictures = {}
            if "other_sound" in batch:
                pictures["fake_other_sound"] = self.nets.netG(batch["other_sound"], batch["x"])
                known |= {key: batch[key] for key in _KNOWN}
        pictures |= {"fake": faces, "real": batch["y"], "source": batch["x"][:, 3:]}
        found = {
            name: clip.flip(1).transpose([0, 2, 1, 3, 4]).flatten(0, 1) * 2 - 1
            for name, clip in pictures.items()
        }
        return found | cosines | known

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return middle frames: what the generator gets, what it draws, and the truth."""
        outputs, frames = self.eval_step(batch), batch["y"].shape[2]
        labels = {"source": "reference", "fake": "made", "real": "true"}
        return {label: outputs[name][frames // 2 :: frames] for name, label in labels.items()}


@MODELS.register()
class Wav2LipModelHq(Wav2LipModel):
    """`Wav2LipModel` with a discriminator of looks besides the sync expert.

    Args:
        generator: a `Wav2Lip`.
        discriminator_sync: a `SyncNetColor`, the expert.
        discriminator_hq: a `Wav2LipDiscQual`.
        syncnet_wt: see `Wav2LipModel`.
        disc_wt: share of the discriminator's opinion in the loss.
        late_syncnet_wt: see `Wav2LipModel`.
        sync_threshold: likewise.
        pretrained_syncnet: likewise.
        is_train: likewise.

    Raises:
        ValueError: a share outside of 0 to 1, or more than 1 together.
    """

    NETS = ("netG", "netDS", "netDH")
    OPTIMIZERS = ("optimizer_G", "optimizer_DS", "optimizer_DH")
    EXPERT = "netDS"

    def __init__(
        self,
        generator: Generator,
        discriminator_sync: Discriminator,
        discriminator_hq: Discriminator,
        syncnet_wt: float = 1.0,
        disc_wt: float = 0.07,
        late_syncnet_wt: float = 0.01,
        sync_threshold: float = 0.75,
        pretrained_syncnet: str | os.PathLike[str] | None = SYNCNET_URL,
        is_train: bool = True,
    ) -> None:
        super().__init__(
            generator,
            discriminator_sync,
            syncnet_wt,
            late_syncnet_wt,
            sync_threshold,
            pretrained_syncnet,
            is_train,
        )
        if not 0 <= disc_wt <= 1:
            raise ValueError(f"disc_wt is {disc_wt}, expected 0 to 1")
        self.nets["netDH"] = discriminator_hq
        self.disc_wt = float(disc_wt)

    def train_step(self, batch: Batch) -> Logs:
        """Update the generator, then the discriminator of looks."""
        batch = _checked(batch)
        self.ask_the_expert(batch)
        faces = self.generate(batch)
        logs = self.update("optimizer_G", self.g_loss, batch, faces, frozen=["netDH"])
        return logs | self.update("optimizer_DH", self.d_loss, batch["y"], faces.detach())

    def g_loss(self, batch: Batch, faces: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the distance to the truth, and what the expert and the discriminator say."""
        logs = self.opinions(batch, faces)
        logs["perceptual_loss"] = (
            self.nets.netDH.perceptual_forward(faces) if self.disc_wt > 0 else paddle.zeros([])
        )
        return self.weighted(logs, {"sync_loss": self.syncnet_wt, "perceptual_loss": self.disc_wt})

    def d_loss(self, real: paddle.Tensor, fake: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the loss of a discriminator that tells true faces from generated ones."""
        on_real = _chance_loss(self.nets.netDH(real), 1.0)
        on_fake = _chance_loss(self.nets.netDH(fake), 0.0)
        return on_real + on_fake, {"disc_real_loss": on_real, "disc_fake_loss": on_fake}


def _pair(c_in: int, c_out: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    margin = kernel // 2
    return nn.Sequential(
        PlainBlock(c_in, c_out, kernel, stride, margin),
        PlainBlock(c_out, c_out, kernel, 1, margin),
    )


def _chance_loss(chance: paddle.Tensor, target: float) -> paddle.Tensor:
    with _in_float32():
        return F.binary_cross_entropy(chance, paddle.full_like(chance, target))


def _in_float32() -> contextlib.AbstractContextManager[None]:
    """Return the context in which chances are computed: in float16 those above 0.9998 are 1."""
    return paddle.amp.auto_cast(enable=False)


def _checked(batch: Batch) -> Batch:
    missing = [key for key in ("x", "y", "mel", "indiv_mels") if key not in batch]
    if missing:
        raise DataError(f"the dataset gives no {', '.join(missing)}, which Wav2Lip learns from")
    return batch
