# SPDX-License-Identifier: Apache-2.0
"""Normalisation: batch norm as PaddleGAN has it, frozen instance norm, spectral norm."""

import copy

import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.nn.norm import BatchNormOfBatch, Identity, SpectralNorm, build_norm_layer


def normalised(x):
    """Return `x` [N, C, H, W] with mean 0 and variance 1 over N, H and W."""
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


def largest_singular_value(layer):
    """Return that of the weight that a spectrally normalised layer applies, by SVD."""
    weight = layer.weight_orig.numpy().astype("float64")
    rows = np.moveaxis(weight, layer._dim, 0).reshape(weight.shape[layer._dim], -1)
    u, v = (getattr(layer.spectral_norm, name).numpy() for name in ("weight_u", "weight_v"))
    return np.linalg.svd(rows / (u @ rows @ v), compute_uv=False)[0]


class TestBatchNormOfBatch:
    def test_uses_the_batch_in_evaluation_too(self):
        norm = BatchNormOfBatch(3)
        x = np.random.default_rng(0).normal(3.0, 2.0, (4, 3, 5, 5)).astype("float32")
        for mode in (norm.train, norm.eval):
            mode()
            np.testing.assert_allclose(norm(paddle.to_tensor(x)).numpy(), normalised(x), atol=1e-4)

    def test_running_statistics_move_in_training_only(self):
        norm = BatchNormOfBatch(1)
        x = paddle.full([2, 1, 4, 4], 10.0)
        norm(x)
        assert norm._mean.item() == pytest.approx(1.0)
        before = [norm._mean.numpy(), norm._variance.numpy()]
        norm.eval()
        norm(x)
        assert np.array_equal(before, [norm._mean.numpy(), norm._variance.numpy()])

    def test_has_the_keys_of_batch_norm(self):
        keys = ["weight", "bias", "_mean", "_variance"]
        assert (
            list(BatchNormOfBatch(2).state_dict()) == keys == list(nn.BatchNorm2D(2).state_dict())
        )


class TestBuildNormLayer:
    def test_batch(self):
        norm = build_norm_layer("batch")(512)
        assert isinstance(norm, BatchNormOfBatch)
        assert norm.weight.numpy().std() == pytest.approx(0.02, rel=0.2)
        assert not norm.bias.numpy().any()

    def test_instance_is_frozen_and_has_keys(self):
        norm = build_norm_layer("instance")(2)
        assert list(norm.state_dict()) == ["scale", "bias"]
        assert norm.scale.stop_gradient
        assert norm.bias.stop_gradient
        assert norm.scale.numpy().tolist() == [1.0, 1.0]
        assert norm.bias.numpy().tolist() == [0.0, 0.0]

    def test_none_changes_nothing(self):
        norm = build_norm_layer("none")(2)
        assert isinstance(norm, Identity)
        x = paddle.randn([1, 2, 3, 3])
        assert norm(x) is x
        assert not norm.state_dict()

    def test_spectral_wraps_a_layer(self):
        assert build_norm_layer("spectral") is SpectralNorm

    def test_the_default_is_paddlegans(self):
        assert isinstance(build_norm_layer()(2), nn.InstanceNorm2D)

    def test_an_unknown_name_is_refused(self):
        with pytest.raises(ValueError, match="norm_type is 'layer', expected 'batch', 'instance'"):
            build_norm_layer("layer")


class TestSpectralNorm:
    @pytest.fixture
    def layer(self):
        layer = SpectralNorm(nn.Conv2D(5, 7, 3, padding=1))
        layer.weight_orig.set_value(paddle.randn([7, 5, 3, 3]))
        return layer

    @pytest.fixture
    def x(self):
        return paddle.randn([2, 5, 6, 6])

    def test_has_paddlegans_keys(self, layer, x):
        keys = ["weight_orig", "spectral_norm.weight_u", "spectral_norm.weight_v", "layer.bias"]
        assert list(layer.state_dict()) == keys
        layer(x)
        assert list(layer.state_dict()) == keys
        assert [name for name, _ in layer.named_parameters()] == ["weight_orig", "layer.bias"]
        assert [name for name, _ in layer.named_buffers()] == keys[1:3]

    def test_keeps_the_weight_of_the_layer(self):
        conv = nn.Conv2D(2, 3, 3)
        weight = conv.weight.numpy()
        assert np.array_equal(SpectralNorm(conv).weight_orig.numpy(), weight)

    def test_spectral_norm_finds_the_largest_singular_value(self, layer, x):
        assert largest_singular_value(layer) > 3
        for _ in range(200):
            layer(x)
        assert largest_singular_value(layer) == pytest.approx(1.0, abs=1e-3)

    def test_of_a_linear_layer(self):
        layer = SpectralNorm(nn.Linear(6, 4), dim=1)
        layer.weight_orig.set_value(paddle.randn([6, 4]))
        assert layer.spectral_norm.weight_u.shape == [4]
        assert layer.spectral_norm.weight_v.shape == [6]
        x = paddle.randn([3, 6])
        for _ in range(100):
            y = layer(x)
        assert largest_singular_value(layer) == pytest.approx(1.0, abs=1e-3)
        weight = layer.weight_orig.numpy()
        expected = x.numpy() @ weight / np.linalg.svd(weight, compute_uv=False)[0]
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-3, atol=1e-4)

    def test_more_iterations_a_step_get_there_sooner(self, x):
        estimates = []
        for iterations in (1, 8):
            paddle.seed(1)
            layer = SpectralNorm(nn.Conv2D(5, 7, 3), power_iterations=iterations)
            layer.weight_orig.set_value(paddle.randn([7, 5, 3, 3]))
            layer(x)
            estimates.append(largest_singular_value(layer))
        assert 1.0 <= estimates[1] < estimates[0]

    def test_evaluation_repeats_itself(self, layer, x):
        layer(x)
        layer.eval()
        before = {key: value.numpy() for key, value in layer.state_dict().items()}
        first, second = layer(x).numpy(), layer(x).numpy()
        assert np.array_equal(first, second)
        for key, value in layer.state_dict().items():
            assert np.array_equal(value.numpy(), before[key]), key

    def test_a_step_without_gradients_moves_the_vectors_too(self, layer, x):
        before = layer.spectral_norm.weight_u.numpy()
        with paddle.no_grad():
            layer(x)
        assert not np.array_equal(layer.spectral_norm.weight_u.numpy(), before)

    def test_gradient_equals_finite_differences(self, layer, x):
        layer(x)
        layer.eval()  # the vectors stand still, and a gradient goes through the quotient only
        target = paddle.randn([2, 7, 6, 6])
        (layer(x) * target).sum().backward()
        gradient = layer.weight_orig.grad.numpy()
        weight, direction = (
            layer.weight_orig.numpy(),
            np.random.default_rng(0).normal(size=[7, 5, 3, 3]),
        )
        values = []
        for sign in (1, -1):
            layer.weight_orig.set_value((weight + sign * 1e-2 * direction).astype("float32"))
            values.append(float((layer(x) * target).sum()))
        assert (values[0] - values[1]) / 2e-2 == pytest.approx(
            (gradient * direction).sum(), rel=1e-2
        )

    def test_later_steps_leave_an_earlier_graph_alone(self, layer, x):
        """A GAN's step runs the network several times before it goes backwards."""
        start = {key: value.numpy() for key, value in layer.state_dict().items()}
        target = paddle.randn([2, 7, 6, 6])
        (layer(x) * target).sum().backward()
        alone = layer.weight_orig.grad.numpy()

        layer.clear_gradients()
        layer.set_state_dict(start)
        loss = (layer(x) * target).sum()
        for _ in range(3):
            layer(x)
        loss.backward()
        np.testing.assert_allclose(layer.weight_orig.grad.numpy(), alone, rtol=1e-5, atol=1e-6)

    def test_state_dict_moves_everything(self, layer, x):
        for _ in range(3):
            layer(x)
        other = SpectralNorm(nn.Conv2D(5, 7, 3, padding=1))
        other.set_state_dict(layer.state_dict())
        layer.eval()
        other.eval()
        assert np.array_equal(other(x).numpy(), layer(x).numpy())

    def test_can_be_copied_after_a_step(self, layer, x):
        layer(x)
        twin = copy.deepcopy(layer)
        assert np.array_equal(twin(x).numpy(), layer(x).numpy())
        twin.weight_orig.set_value(paddle.zeros([7, 5, 3, 3]))
        assert layer.weight_orig.numpy().any()

    def test_can_be_exported(self, layer, x, tmp_path):
        layer(x)
        layer.eval()
        expected = layer(x).numpy()
        spec = [paddle.static.InputSpec([None, 5, 6, 6], "float32")]
        static = paddle.jit.to_static(layer, input_spec=spec, full_graph=True)
        paddle.jit.save(static, str(tmp_path / "layer"))
        exported = paddle.jit.load(str(tmp_path / "layer"))
        np.testing.assert_allclose(exported(x).numpy(), expected, rtol=1e-5, atol=1e-6)
