# SPDX-License-Identifier: Apache-2.0
import paddle
import pytest

from ppzoo.lipsync.blocks import ConvBlock, PlainBlock, TransposedBlock, audio_encoder, stack


def test_a_residual_block_adds_its_input():
    block, x = ConvBlock(4, 4, 3, 1, 1, residual=True), paddle.rand([2, 4, 6, 6])
    norm = block.conv_block[1]
    norm.weight.set_value(paddle.zeros_like(norm.weight))
    assert (block(x) - x).abs().max() < 1e-6


@pytest.mark.parametrize(("stride", "size"), [(1, 3), (2, 2)])
def test_transposed_blocks_grow(stride, size):
    assert TransposedBlock(4, 2, stride)(paddle.rand([2, 4, 1, 1])).shape == [2, 2, size, size]


def test_a_stack_counts_residual_blocks():
    net = stack(3, [(8, 3, 2, 1), 2])
    assert [layer.residual for layer in net] == [False, True, True]
    assert net(paddle.rand([2, 3, 8, 8])).shape == [2, 8, 4, 4]


def test_sound_becomes_one_pixel():
    assert audio_encoder(2, last_residuals=1)(paddle.rand([2, 1, 80, 16])).shape == [2, 32, 1, 1]


def test_a_plain_block_leaks():
    block = PlainBlock(1, 1, 1)
    block.conv_block[0].weight.set_value(-paddle.ones([1, 1, 1, 1]))
    block.conv_block[0].bias.set_value(paddle.zeros([1]))
    assert abs(block(paddle.ones([1, 1, 1, 1])).item() + 0.01) < 1e-6
