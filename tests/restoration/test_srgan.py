# SPDX-License-Identifier: Apache-2.0
"""SRGAN, which PaddleGAN lacks: the paper's shapes and losses, and the start as bilinear."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppzoo.errors import ConfigError
from ppzoo.restoration.srgan import SRGANDiscriminator, SRResNet
from tests.restoration.pieces import SMALL_D, VANILLA, batch, build, scores


def parameters(net):
    return sum(int(np.prod(p.shape)) for p in net.parameters() if not p.stop_gradient)


class TestSRResNet:
    def test_has_the_papers_size(self):
        # Counted by hand: 9x9 convolutions at both ends, 33 of 3x3 with 64 channels and batch norm,
        # two of 64 to 256 channels, a PReLU after the first, in each block, after each shuffle.
        ends = (3 * 64 * 81 + 64) + (64 * 3 * 81 + 3)
        body = 33 * (64 * 64 * 9 + 2 * 64)
        tail = 2 * (64 * 256 * 9 + 256)
        assert parameters(SRResNet()) == ends + body + tail + 1 + 16 + 2

    @pytest.mark.parametrize("scale", [2, 4])
    @pytest.mark.parametrize("norm_type", ["batch", "none"])
    def test_starts_as_bilinear_enlargement(self, scale, norm_type):
        net = SRResNet(nf=8, nb=1, scale=scale, norm_type=norm_type)
        net.start_as_bilinear()
        x = paddle.rand([1, 3, 10, 9])
        want = x
        for _ in range(scale // 2):
            want = F.interpolate(want, scale_factor=2, mode="bilinear")
        inside = (..., slice(8, -8), slice(8, -8))
        np.testing.assert_allclose(net(x)[inside].numpy(), want[inside].numpy(), atol=1e-5)

    def test_mistakes(self):
        with pytest.raises(ValueError, match="scale is 3"):
            SRResNet(scale=3)
        with pytest.raises(ValueError, match="norm_type is 'instance'"):
            SRResNet(norm_type="instance")
        with pytest.raises(ConfigError, match="out_nc equal to in_nc"):
            SRResNet(in_nc=1, nf=4, nb=1).start_as_bilinear()


class TestDiscriminator:
    def test_has_the_papers_layers(self):
        net = SRGANDiscriminator(ndf=4, size=32)
        convs = [layer for layer in net.features if hasattr(layer, "_stride")]
        assert [c.weight.shape[0] for c in convs] == [4, 4, 8, 8, 16, 16, 32, 32]
        assert net(paddle.rand([2, 3, 32, 32])).shape == [2, 1]

    def test_mistakes(self):
        with pytest.raises(ValueError, match="size is 40"):
            SRGANDiscriminator(size=40)
        with pytest.raises(ConfigError, match=r"got \[3, 48, 48\].*gt_patch_size"):
            SRGANDiscriminator(ndf=2, size=32)(paddle.rand([1, 3, 48, 48]))


def test_each_picture_is_scored_by_itself():
    model = build("SRGANModel", discriminator=SMALL_D, gan_criterion=VANILLA)
    truth = batch()["gt"]
    output = truth * 0.5
    real, fake = (scores(model, pictures) for pictures in (truth, output))
    total, logs = model.d_loss(truth, output)
    want = np.logaddexp(0, -real).mean() / 2 + np.logaddexp(0, fake).mean() / 2
    assert float(total) == pytest.approx(want, rel=1e-4)
    assert float(logs["out_d_real"]) == pytest.approx(real.mean(), rel=1e-4)
    got = float(model.g_adversarial(truth, output))
    assert got == pytest.approx(0.01 * np.logaddexp(0, -fake).mean(), rel=1e-4)
