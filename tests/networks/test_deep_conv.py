# SPDX-License-Identifier: Apache-2.0
"""Generators of upsampling and convolution."""

import numpy as np
import paddle
import pytest

from ppzoo.networks.deep_conv import ConditionalDeepConvGenerator, DeepConvGenerator


@pytest.mark.parametrize("size", [4, 8, 28, 64])
def test_pictures_have_the_size_asked_for(size):
    generator = DeepConvGenerator(6, 3, size=size, ngf=4)
    pictures = generator(paddle.randn([2, 6]))
    assert pictures.shape == [2, 3, size, size]
    assert np.abs(pictures.numpy()).max() <= 1.0


@pytest.mark.parametrize("size", [30, 2, 0, -4])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(ValueError, match=f"size is {size}, expected a multiple of 4"):
        DeepConvGenerator(6, 3, size=size)


def test_inner_norms_keep_a_fifth_of_their_statistics():
    generator = DeepConvGenerator(6, 1, size=8, ngf=4)
    norms = [layer for layer in generator.conv_blocks if isinstance(layer, paddle.nn.BatchNorm2D)]
    assert [norm._momentum for norm in norms] == [0.9, 0.2, 0.2]


def test_the_class_is_a_one_hot_vector_behind_the_latent():
    paddle.seed(1)
    conditional = ConditionalDeepConvGenerator(6, 1, n_class=3, size=8, ngf=4)
    plain = DeepConvGenerator(9, 1, size=8, ngf=4)
    plain.set_state_dict(conditional.state_dict())
    z = paddle.randn([2, 6])
    one_hot = paddle.to_tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = plain(paddle.concat([z, one_hot], axis=1)).numpy()
    for classes in ([1, 2], [4, 5], [[1], [2]]):
        assert np.array_equal(conditional(z, paddle.to_tensor(classes)).numpy(), expected)


def test_latents_leave_the_class_out():
    generator = ConditionalDeepConvGenerator(6, 1, n_class=3, size=8, ngf=4)
    z, classes = generator.random_inputs(5)
    assert z.shape == [5, 6]
    assert classes.shape == [5]
    assert generator(z, classes).shape == [5, 1, 8, 8]


def test_samples_depend_on_the_class():
    generator = ConditionalDeepConvGenerator(6, 1, n_class=3, size=8, ngf=4)
    zero, one = (generator.sample(2, class_id=c).numpy() for c in (0, 1))
    assert not np.allclose(zero, one)


def test_sampling_does_not_depend_on_the_batch():
    """Running statistics, so that a picture is a function of its latent alone."""
    generator = DeepConvGenerator(6, 1, size=8, ngf=4)
    generator(paddle.randn([16, 6]))
    np.testing.assert_allclose(
        generator.sample(3, seed=1).numpy(), generator.sample(66, seed=1).numpy()[:3], atol=1e-6
    )


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"latent_dim": 0}, "latent_dim"),
        ({"output_nc": -1}, "output_nc"),
        ({"ngf": 0}, "ngf"),
        ({"n_class": 0}, "n_class"),
    ],
)
def test_there_is_something_of_everything(wrong, name):
    with pytest.raises(ValueError, match=f"{name} is {wrong[name]}, expected at least 1"):
        ConditionalDeepConvGenerator(**{"latent_dim": 6, "output_nc": 1, "size": 8} | wrong)
