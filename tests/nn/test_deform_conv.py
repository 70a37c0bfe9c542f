# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest
from paddle.vision.ops import deform_conv2d

from ppzoo.nn import deform_conv
from ppzoo.nn.deform_conv import DeformConv2D, OffsetDeformConv2D


@pytest.fixture(autouse=True)
def always_ours(monkeypatch):
    """Take the fast way for small pictures too."""
    monkeypatch.setattr(deform_conv, "_FEW_SAMPLED", 0)
    monkeypatch.setattr(deform_conv, "_FEW_CHANNELS", 0)


def case(n=2, channels=8, size=(6, 7), groups=2, spread=2.0, seed=0, **layer):
    """Return a layer and its arguments; many samples are outside of the picture."""
    paddle.seed(seed)
    conv = DeformConv2D(
        channels, 12, layer.pop("kernel_size", 3), deformable_groups=groups, **layer
    )
    geometry = conv._geometry
    h, w = geometry.output_size(size)
    samples = groups * geometry.kernel[0] * geometry.kernel[1]
    x = paddle.randn([n, channels, *size])
    offset = paddle.randn([n, 2 * samples, h, w]) * spread
    return conv, x, offset, paddle.rand([n, samples, h, w])


def theirs(conv, x, offset, mask):
    g = conv._geometry
    options = (g.stride, g.padding, g.dilation, conv._sampled_groups, 1, mask)
    return deform_conv2d(x, offset, conv.weight, conv.bias, *options)


def gradients(run, conv, *inputs):
    """Return the result, and the gradients of a function of it."""
    tensors = [tensor for tensor in (*inputs, conv.weight, conv.bias) if tensor is not None]
    for tensor in inputs:
        if tensor is not None:
            tensor.stop_gradient = False
    y = run(*inputs)
    (y * paddle.arange(y.size, dtype="float32").reshape(y.shape).cos()).sum().backward()
    results = [y.numpy(), *(tensor.grad.numpy() for tensor in tensors)]
    for tensor in tensors:
        tensor.clear_gradient()
    return results


def assert_close(got, wanted):
    for ours, paddles in zip(got, wanted, strict=True):
        scale = np.abs(paddles).max()
        np.testing.assert_allclose(ours, paddles, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize(
    "layer",
    [
        {"padding": 1},
        {"padding": (0, 2), "stride": (2, 1), "kernel_size": (2, 3)},
        {"padding": 2, "dilation": 2, "groups_of": 4},
        {"padding": 1, "groups_of": 1, "size": (1, 5)},
        {"padding": 1, "spread": 30.0},
        {"padding": 1, "spread": 0.0},
    ],
)
def test_results_and_gradients_are_those_of_paddles_operator(layer):
    layer = dict(layer)
    conv, *inputs = case(groups=layer.pop("groups_of", 2), **layer)
    ours = gradients(conv, conv, *inputs)
    assert_close(ours, gradients(lambda *a: theirs(conv, *a), conv, *inputs))


@pytest.mark.parametrize("most", [1, 4 * 9 * 8 * 10, 4 * 9 * 8 * 42 * 2])
def test_chunks_change_nothing(monkeypatch, most):
    """One output at a time, a few outputs, and two pictures of three at a time."""
    conv, *inputs = case(n=3, padding=1)
    whole = gradients(conv, conv, *inputs)
    monkeypatch.setattr(deform_conv, "_MOST_GATHERED", most)
    assert_close(gradients(conv, conv, *inputs), whole)


def test_without_a_mask_samples_count_fully():
    conv, x, offset, mask = case(padding=1)
    assert_close(
        gradients(conv, conv, x, offset, None),
        gradients(lambda *a: conv(*a, paddle.ones_like(mask)), conv, x, offset),
    )


def test_shifts_by_whole_pixels():
    """An offset of one row down and two columns left, with a kernel that takes the middle only."""
    conv = DeformConv2D(4, 4, 3, padding=1, deformable_groups=2, bias_attr=False)
    kernel = np.zeros([4, 4, 3, 3], "float32")
    kernel[range(4), range(4), 1, 1] = 1
    conv.weight.set_value(kernel)
    x = paddle.arange(4 * 5 * 6, dtype="float32").reshape([1, 4, 5, 6])
    offset = paddle.to_tensor([1.0, -2.0]).tile([18]).reshape([1, 36, 1, 1]).expand([1, 36, 5, 6])
    shifted = np.zeros([1, 4, 5, 6], "float32")
    shifted[:, :, :4, 2:] = x.numpy()[:, :, 1:, :4]
    np.testing.assert_allclose(conv(x, offset).numpy(), shifted, atol=1e-5)


def test_frozen_inputs_get_no_gradient():
    conv, x, offset, mask = case(padding=1)
    conv.weight.stop_gradient = True
    mask.stop_gradient = False
    conv(x, offset, mask).sum().backward()
    assert mask.grad is not None
    assert conv.weight.grad is None
    assert x.grad is None


def test_offsets_that_are_no_numbers_come_out_as_such():
    """A training that diverges must not read memory that is not its own."""
    conv, x, offset, mask = case(padding=1)
    offset[0, 0, 0, 0] = float("nan")
    offset[0, 1, 2, 2] = float("inf")
    y = conv(x, offset, mask).numpy()
    assert np.isnan(y[0, :, 0, 0]).all()
    assert np.isfinite(y[1]).all()


def test_few_samples_go_to_paddles_operator(monkeypatch):
    conv, *inputs = case(padding=1)
    ours = conv(*inputs).numpy()
    monkeypatch.setattr(deform_conv, "_FEW_SAMPLED", 10**9)
    monkeypatch.setattr(deform_conv, "_DeformConvolve", None)
    assert_close([conv(*inputs).numpy()], [ours])


def test_few_channels_sample_by_paddles_operator_forward(monkeypatch):
    conv, *inputs = case(padding=1)
    ours = gradients(conv, conv, *inputs)
    monkeypatch.setattr(deform_conv, "_FEW_CHANNELS", 5)
    assert_close(gradients(conv, conv, *inputs), ours)
    assert np.array_equal(conv(*inputs).numpy(), theirs(conv, *inputs).numpy())


def test_a_guide_that_says_nothing_leaves_half_an_ordinary_convolution():
    layer = OffsetDeformConv2D(8, groups=4)
    x, guide = paddle.randn([2, 8, 5, 6]), paddle.randn([2, 8, 5, 6])
    plain = paddle.nn.functional.conv2d(x, layer.dcn.weight, padding=1)
    expected = 0.5 * plain + layer.dcn.bias.reshape([1, 8, 1, 1])
    np.testing.assert_allclose(layer(x, guide).numpy(), expected.numpy(), atol=1e-5)
