# SPDX-License-Identifier: Apache-2.0
"""SyncNet: do lips and sound belong together?

Paper: Prajwal, Mukhopadhyay, Namboodiri & Jawahar 2020, A Lip Sync Expert Is All You Need
(arXiv:2008.10010), after Chung & Zisserman 2016, Out of Time.
The network's state-dict keys equal PaddleGAN's, which has no training for it.

Five frames of the lower half of a face and a fifth of a second of sound become one embedding each;
the cosine between them is the chance that they are of the same moment.
"""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import DataError
from ppzoo.lipsync.around import sync_outputs
from ppzoo.lipsync.blocks import audio_encoder, stack
from ppzoo.lipsync.losses import FRAMES, cosine_loss, mouths_of
from ppzoo.model import Batch, Discriminator, Logs, Model
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import DISCRIMINATORS, MODELS


@DISCRIMINATORS.register()
class SyncNetColor(nn.Layer):
    """Embeds lips and sound in one space.

    Args:
        ngf: channels of the first layers; embeddings have 16 times as many numbers.
    """

    def __init__(self, ngf: int = 32) -> None:
        super().__init__()
        check_at_least(1, ngf=ngf)
        self.face_encoder = stack(
            3 * FRAMES,
            [
                (ngf, 7, 1, 3),
                *((2 * ngf, 5, (1, 2), 1), 2),
                *((4 * ngf, 3, 2, 1), 3),
                *((8 * ngf, 3, 2, 1), 2),
                *((16 * ngf, 3, 2, 1), 2),
                (16 * ngf, 3, 2, 1),
                (16 * ngf, 3, 1, 0),
                (16 * ngf, 1, 1, 0),
            ],
        )
        self.audio_encoder = audio_encoder(ngf, last_residuals=2)

    def forward(
        self, audio_sequences: paddle.Tensor, face_sequences: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Return embeddings [N, 16 ngf] of length 1 of sound and lips; no number is negative.

        Args:
            audio_sequences: mel spectrograms [N, 1, 80, 16].
            face_sequences: [N, 15, 48, 96] with values in [0, 1]; see `mouths_of`.
        """
        return self.hear(audio_sequences), self.see(face_sequences)

    def hear(self, audio_sequences: paddle.Tensor) -> paddle.Tensor:
        """Return the embeddings of sounds, see `forward`."""
        return F.normalize(self.audio_encoder(audio_sequences).flatten(1), p=2, axis=1)

    def see(self, face_sequences: paddle.Tensor) -> paddle.Tensor:
        """Return the embeddings of lips, see `forward`."""
        return F.normalize(self.face_encoder(face_sequences).flatten(1), p=2, axis=1)


@MODELS.register()
class SyncNetModel(Model):
    """Learns to tell lips in sync with a sound from others of the same face.

    A batch is one of Wav2Lip's: `y`, five frames of a face [N, 3, 5, 96, 96] with values in [0, 1];
    `mel`, their sound [N, 1, 80, 16]; `x`, [N, 6, 5, 96, 96], of which the last three channels are
    five frames of another moment.

    Args:
        syncnet: a `SyncNetColor`.
    """

    NETS = ("syncnet",)
    OPTIMIZERS = ("optim",)

    def __init__(self, syncnet: Discriminator) -> None:
        super().__init__()
        self.nets["syncnet"] = syncnet

    def train_step(self, batch: Batch) -> Logs:
        """Update the network from as many pairs in sync as others."""
        return self.update("optim", self.loss, *_pairs_of(batch))

    def loss(
        self, mel: paddle.Tensor, faces: paddle.Tensor, target: paddle.Tensor
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the cross entropy, and the share of pairs on the right side of one half."""
        audio, video = self.nets.syncnet(mel, faces)
        loss = cosine_loss(audio, video, target)
        with paddle.no_grad():
            right = (F.cosine_similarity(audio, video) > 0.5) == (target[:, 0] > 0.5)
            accuracy = right.astype("float32").mean()
        return loss, {"sync_loss": loss, "accuracy": accuracy}

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return the `cosine` of each pair [2 N] and its `in_sync`, 1 or 0 [2 N].

        And what `sync_outputs` returns.
        """
        mel, faces, target = _pairs_of(batch)
        with self.evaluating():
            cosine = F.cosine_similarity(*self.nets.syncnet(mel, faces))
            around = sync_outputs(self.nets.syncnet, batch, {"real": batch["y"]})
        return {"cosine": cosine, "in_sync": target[:, 0]} | around

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        """Return what was judged, as `visuals` does."""
        return self.visuals(batch)

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return the middle frames of what is in sync and of the other moment."""
        y, x = batch["y"], batch["x"]
        shown = {"in_sync": y, "other": x[:, 3:]}
        return {name: clip[:, :, FRAMES // 2].flip(1) * 2 - 1 for name, clip in shown.items()}


def _pairs_of(batch: Batch) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """Return sounds, lips and targets of pairs in sync, then of the same sounds and other lips."""
    missing = [key for key in ("x", "mel", "y") if key not in batch]
    if missing:
        raise DataError(f"the dataset gives no {', '.join(missing)}, which SyncNet learns from")
    mel, n = batch["mel"], batch["mel"].shape[0]
    faces = paddle.concat([mouths_of(batch["y"]), mouths_of(batch["x"][:, 3:])])
    target = paddle.concat([paddle.ones([n, 1]), paddle.zeros([n, 1])])
    return paddle.concat([mel, mel]), faces, target
