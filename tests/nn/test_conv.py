# SPDX-License-Identifier: Apache-2.0
"""Fast convolutions equal Paddle's: values, gradients of any order, state dicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn import conv, conv_plans
from ppzoo.nn.conv import Conv2D, Conv2DTranspose, UpsampleConv2D
from ppzoo.nn.conv_plans import Geometry

PLANS = ("paddle", "flat", "minimal")

# Arguments of Conv2D after the channels, and the size of the input.
CONVOLUTIONS = [
    ({"kernel_size": 3, "padding": 1}, (6, 7)),
    ({"kernel_size": 3, "padding": 1, "stride": 2}, (7, 8)),
    ({"kernel_size": 4, "padding": 1, "stride": 2}, (8, 8)),
    ({"kernel_size": 4, "padding": 1, "stride": 2}, (7, 5)),
    ({"kernel_size": 4, "padding": 1, "stride": 2}, (2, 2)),
    ({"kernel_size": 4}, (4, 4)),
    ({"kernel_size": 4, "padding": 1}, (6, 5)),
    ({"kernel_size": 1}, (5, 4)),
    ({"kernel_size": 1, "stride": 2}, (5, 4)),
    ({"kernel_size": 2, "stride": 2}, (6, 6)),
    ({"kernel_size": 2, "stride": 3}, (8, 8)),
    ({"kernel_size": 5, "padding": 2, "stride": 2}, (9, 8)),
    ({"kernel_size": 7, "padding": 3}, (8, 8)),
    ({"kernel_size": (3, 4), "padding": (0, 2), "stride": (1, 2)}, (6, 9)),
    ({"kernel_size": 3, "padding": 2, "dilation": 2}, (7, 7)),
    ({"kernel_size": (1, 3), "padding": (0, 1)}, (4, 6)),
]
TRANSPOSED = [
    ({"kernel_size": 4, "stride": 2, "padding": 1}, (4, 5)),
    ({"kernel_size": 4}, (1, 1)),
    ({"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}, (4, 3)),
    ({"kernel_size": 3, "padding": 1}, (5, 5)),
    ({"kernel_size": 2, "stride": 2}, (3, 4)),
    ({"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}, (4, 4)),
]


def normal(*shape: int, seed: int = 0) -> paddle.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape)
    tensor = paddle.to_tensor(values.astype("float32"), place=paddle.CPUPlace())
    tensor.stop_gradient = False
    return tensor


def pair(ours: type, theirs: type, *args: Any, **kwargs: Any) -> tuple[nn.Layer, nn.Layer]:
    """Return one layer of each class with the same weights."""
    fast, native = ours(*args, **kwargs), theirs(*args, **kwargs)
    for i, parameter in enumerate(native.parameters()):
        parameter.set_value(normal(*parameter.shape, seed=100 + i).detach())
    fast.set_state_dict(native.state_dict())
    return fast, native


def results(layer: nn.Layer, x: paddle.Tensor) -> list[np.ndarray]:
    """Return the output and the gradients with respect to the input and the parameters."""
    x = x.detach()
    x.stop_gradient = False
    y = layer(x)
    layer.clear_gradients()
    y.backward(normal(*y.shape, seed=7))
    return [y.numpy(), x.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())]


def assert_close(got: list[np.ndarray], want: list[np.ndarray], tol: float = 1e-5) -> None:
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol * float(np.abs(b).max()))


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes every convolution use one plan, where that plan can be used."""

    def use(name: str) -> None:
        def plan_for(geometry: Geometry, size: tuple[int, int], *_: int) -> Any:
            return conv_plans.plans(geometry, size).get(name)

        monkeypatch.setattr(conv, "plan_for", plan_for)

    return use


def count_native_calls(monkeypatch: pytest.MonkeyPatch, cls: type = nn.Conv2D) -> list[int]:
    calls: list[int] = []
    forward = cls.forward

    def counted(self: nn.Layer, *args: Any, **kwargs: Any) -> paddle.Tensor:
        calls.append(1)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(cls, "forward", counted)
    return calls


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(("options", "size"), CONVOLUTIONS)
def test_convolution_equals_paddles(only: Any, options: dict, size: Any, plan: str) -> None:
    fast, native = pair(Conv2D, nn.Conv2D, 3, 5, **options)
    only(plan)
    x = normal(2, 3, *size, seed=1)
    assert_close(results(fast, x), results(native, x))


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(("options", "size"), TRANSPOSED)
def test_transposed_convolution_equals_paddles(
    only: Any, options: dict, size: Any, plan: str
) -> None:
    fast, native = pair(Conv2DTranspose, nn.Conv2DTranspose, 4, 3, **options)
    only(plan)
    x = normal(2, 4, *size, seed=1)
    assert_close(results(fast, x), results(native, x))


@pytest.mark.parametrize(("kernel", "padding"), [(4, 1), (7, 0), (3, 1), (7, 3)])
def test_few_channels_out_are_computed_by_transposing(
    monkeypatch: pytest.MonkeyPatch, kernel: int, padding: int
) -> None:
    used: list[Any] = []
    choose = conv_plans.transposing_plan_for
    monkeypatch.setattr(conv, "plan_for", lambda *_: None)
    monkeypatch.setattr(conv_plans, "_cost_of_paddles", lambda *_: float("inf"))
    monkeypatch.setattr(
        conv, "transposing_plan_for", lambda *args: used.append(choose(*args)) or used[-1]
    )
    fast, native = pair(Conv2D, nn.Conv2D, 32, 1, kernel, padding=padding)
    x = normal(2, 32, 12, 11, seed=1)
    assert_close(results(fast, x), results(native, x))
    with paddle.no_grad():
        assert_close([fast(x).numpy()], [native(x).numpy()])
    assert used[0] is not None
    assert used[1] is not None


def test_transposing_can_be_differentiated_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    slopes = []
    for layer in pair(Conv2D, nn.Conv2D, 32, 1, 4, padding=1):
        x = normal(2, 32, 8, 8, seed=1)
        (slope,) = paddle.grad((layer(x) ** 2).sum(), x, create_graph=True)
        (slope**2).sum().backward()
        slopes.append([layer.weight.grad.numpy(), x.grad.numpy()])
    assert_close(*slopes, tol=1e-4)


def test_transposing_is_for_few_channels_and_stride_one() -> None:
    plan = conv_plans.transposing_plan_for
    seven = Geometry((7, 7), (1, 1), (0, 0), (1, 1))
    assert plan(seven, (70, 70), 1, 64, 3) is not None
    assert plan(seven, (70, 70), 1, 3, 64) is None
    assert plan(Geometry((4, 4), (2, 2), (1, 1), (1, 1)), (64, 64), 1, 64, 1) is None
    assert plan(Geometry((3, 3), (1, 1), (3, 3), (1, 1)), (64, 64), 1, 64, 1) is None


def test_large_pictures_are_transposed_where_nothing_is_trained() -> None:
    plan, three = conv_plans.transposing_plan_for, Geometry((3, 3), (1, 1), (1, 1), (1, 1))
    assert plan(three, (64, 64), 1, 64, 64, False) is not None
    assert plan(three, (64, 64), 1, 64, 64) is None
    assert plan(three, (64, 64), 1, 64, 216, False) is None  # more would be copied
    assert plan(three, (16, 16), 1, 64, 64, False) is None  # the cache holds it
    fast, native = pair(Conv2D, nn.Conv2D, 64, 64, 3, padding=1)
    with paddle.no_grad():
        x = normal(1, 64, 48, 47, seed=1)
        assert_close([fast(x).numpy()], [native(x).numpy()])


def test_which_plans_there_are() -> None:
    size = (8, 8)
    for kernel, stride, dilation, names in [
        ((4, 4), (2, 2), (1, 1), {"flat", "minimal"}),
        ((3, 3), (1, 1), (1, 1), {"flat", "minimal"}),
        ((4, 4), (1, 1), (1, 1), {"flat"}),
        ((3, 3), (1, 1), (2, 2), {"flat"}),
        ((1, 1), (1, 1), (1, 1), {"flat"}),
    ]:
        geometry = Geometry(kernel, stride, (0, 0), dilation)
        assert set(conv_plans.plans(geometry, size)) == names


@pytest.mark.parametrize("size", [8, 64])
def test_what_is_kept_of_filters_does_not_grow_with_the_picture(size: int) -> None:
    plans = conv_plans.plans(Geometry((3, 3), (1, 1), (1, 1), (1, 1)), (size, size))
    assert plans["minimal"].filters(normal(5, 7, 3, 3)).shape == [16, 5, 7]


def test_minimal_filtering_is_as_exact_as_paddle(only: Any) -> None:
    only("minimal")
    fast, native = pair(Conv2D, nn.Conv2D, 64, 32, 3, padding=1)
    x = normal(2, 64, 12, 12)
    truth = nn.functional.conv2d(
        x.astype("float64"),
        native.weight.astype("float64"),
        native.bias.astype("float64"),
        padding=1,
    ).numpy()
    errors = [np.sqrt(np.mean((layer(x).numpy() - truth) ** 2)) for layer in (fast, native)]
    assert errors[0] < 2 * errors[1]


@pytest.mark.parametrize("plan", ["flat", "minimal"])
def test_gradients_of_gradients(only: Any, plan: str) -> None:
    """The gradient penalty of WGAN-GP equals its finite differences.

    Paddle cannot differentiate the gradient of its own transposed convolution.
    """
    only(plan)
    net = nn.Sequential(
        Conv2D(2, 4, 4, stride=2, padding=1),
        nn.Tanh(),
        Conv2DTranspose(4, 3, 4, stride=2, padding=1),
        nn.Tanh(),
        Conv2D(3, 1, 3, padding=1),
    )
    x = normal(2, 2, 8, 8)
    for i, parameter in enumerate(net.parameters()):
        parameter.set_value(normal(*parameter.shape, seed=i).detach() * 0.2)

    def penalty() -> paddle.Tensor:
        (slope,) = paddle.grad(net(x).sum(), x, create_graph=True)
        return (slope.square().sum([1, 2, 3]).sqrt() - 1).square().mean() + net(x).mean()

    penalty().backward()
    for i, variable in enumerate([x, *net.parameters()]):
        start = variable.detach().clone()
        step = normal(*variable.shape, seed=50 + i).detach() * 1e-3
        ends = []
        for end in (start + step, start - step):
            variable.set_value(end)
            ends.append(penalty().item())
        variable.set_value(start)
        slope = (variable.grad * step).sum().item()
        assert slope == pytest.approx((ends[0] - ends[1]) / 2, rel=0.01, abs=2e-6)


@pytest.mark.parametrize("bias", [None, False])
def test_frozen_weights_get_no_gradient(bias: bool | None) -> None:
    fast = Conv2D(2, 3, 3, padding=1, bias_attr=bias)
    x = normal(2, 2, 6, 6)
    for parameter in fast.parameters():
        parameter.stop_gradient = True
    fast(x).sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in fast.parameters())


def test_pictures_that_need_no_gradient_get_none() -> None:
    fast = Conv2D(2, 3, 4, stride=2, padding=1)
    x = normal(2, 2, 8, 8).detach()
    fast(x).sum().backward()
    assert x.grad is None
    assert fast.weight.grad is not None


@pytest.mark.parametrize(
    ("ours", "theirs", "args"),
    [
        (Conv2D, nn.Conv2D, (2, 5, 3)),
        (Conv2DTranspose, nn.Conv2DTranspose, (2, 5, 4, 2, 1)),
        (UpsampleConv2D, lambda i, o: nn.Conv2D(i, o, 3), (2, 5)),
    ],
)
def test_state_dict_is_paddles(ours: type, theirs: Any, args: tuple) -> None:
    shapes = [{k: v.shape for k, v in cls(*args).state_dict().items()} for cls in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert list(shapes[0]) == list(shapes[1])


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({"groups": 2}, "float32"),
        ({"padding_mode": "reflect", "padding": 1}, "float32"),
        ({"padding": "same"}, "float32"),
        ({"padding": [0, 1, 2, 1]}, "float32"),
        ({"padding": 1}, "float64"),
    ],
)
def test_what_is_not_supported_goes_to_paddle(
    monkeypatch: pytest.MonkeyPatch, options: dict, dtype: str
) -> None:
    fast, native = pair(Conv2D, nn.Conv2D, 2, 4, 3, **options)
    fast.to(dtype=dtype)
    native.to(dtype=dtype)
    x = normal(2, 2, 6, 6).astype(dtype)
    want = native(x).numpy()
    calls = count_native_calls(monkeypatch)
    np.testing.assert_array_equal(fast(x).numpy(), want)
    assert len(calls) == 1


def test_supported_convolutions_stay_away_from_paddles(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_native_calls(monkeypatch)
    Conv2D(2, 4, 3, padding=1)(normal(2, 2, 6, 6))
    assert calls == []


def test_output_size_goes_to_paddle() -> None:
    fast, native = pair(Conv2DTranspose, nn.Conv2DTranspose, 2, 3, 3, stride=2, padding=1)
    x = normal(1, 2, 4, 4)
    np.testing.assert_array_equal(fast(x, [8, 7]).numpy(), native(x, [8, 7]).numpy())


def test_which_plan_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(kernel: int, stride: int, padding: int, size: int, *n_c_o: int) -> str | None:
        geometry = Geometry((kernel,) * 2, (stride,) * 2, (padding,) * 2, (1, 1))
        conv_plans.plan_for.cache_clear()
        plan = conv_plans.plan_for(geometry, (size, size), *n_c_o)
        names = {id(plan): name for name, plan in conv_plans.plans(geometry, (size,) * 2).items()}
        return names.get(id(plan))

    assert chosen(4, 2, 1, 32, 128, 64, 128) == "minimal"
    assert chosen(3, 1, 1, 64, 1, 256, 256) == "minimal"
    assert chosen(4, 1, 0, 4, 128, 512, 1) == "flat"
    assert chosen(4, 2, 1, 64, 128, 1, 64) is None  # one channel
    assert chosen(4, 2, 1, 256, 1, 3, 64) is None  # one large picture
    assert chosen(4, 1, 0, 3, 1, 1, 1) is None  # the kernel does not fit
    monkeypatch.setattr(conv_plans, "_MOST_VALUES", 2**24)
    assert chosen(4, 2, 1, 32, 128, 64, 128) is None  # not enough memory
    conv_plans.plan_for.cache_clear()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 7)])
def test_upsampling_and_convolution_in_one(size: tuple[int, int]) -> None:
    fast = UpsampleConv2D(3, 5)
    native = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2D(3, 5, 3, padding=1))
    fast.weight.set_value(native[1].weight)
    fast.bias.set_value(normal(5).detach())
    native[1].bias.set_value(fast.bias)
    x = normal(2, 3, *size)
    assert_close(results(fast, x), results(native, x))
    with paddle.no_grad():
        assert_close([fast(x).numpy()], [native(x).numpy()])


@pytest.mark.parametrize("has_bias", [True, False])
def test_upsampling_in_use_and_in_static_graphs(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, has_bias: bool
) -> None:
    fast = UpsampleConv2D(2, 3, bias_attr=None if has_bias else False)
    if has_bias:
        fast.bias.set_value(normal(3).detach())
    x = normal(2, 2, 5, 4).detach()
    enlarged = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    want = nn.functional.conv2d(enlarged, fast.weight, fast.bias, padding=1).numpy()
    monkeypatch.setattr(conv, "plan_for", lambda *_: None)
    monkeypatch.setattr(conv.F, "interpolate", None)  # no larger picture is made
    with paddle.no_grad():
        assert_close([fast(x).numpy()], [want])
    spec = paddle.static.InputSpec([None, 2, None, None], "float32")
    fast.eval()
    paddle.jit.save(fast, str(tmp_path / "net"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "net"))
    assert_close([loaded(x).numpy()], [want])


def test_results_are_reproducible_bit_for_bit() -> None:
    fast = nn.Sequential(
        Conv2D(8, 16, 4, stride=2, padding=1), Conv2DTranspose(16, 8, 4, stride=2, padding=1)
    )
    x = normal(16, 8, 16, 16)
    first = results(fast, x)
    junk = [paddle.rand([n]) for n in range(1, 50)]  # so that other addresses are used
    for got, want in zip(results(fast, x), first, strict=True):
        np.testing.assert_array_equal(got, want)
    assert len(junk) == 49


def test_static_graphs_hold_paddles_convolution(tmp_path: Any) -> None:
    fast = Conv2D(2, 4, 3, padding=1)
    fast.eval()
    x = normal(1, 2, 6, 6).detach()
    spec = paddle.static.InputSpec([None, 2, None, None], "float32")
    paddle.jit.save(fast, str(tmp_path / "net"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "net"))
    assert_close([loaded(x).numpy()], [fast(x).numpy()])


def test_other_channels_are_refused_in_words() -> None:
    for layer in (Conv2D(2, 4, 3), Conv2DTranspose(2, 4, 3), UpsampleConv2D(2, 4)):
        with pytest.raises(ConfigError, match=r"for 2 channels got 3: .*input_nc"):
            layer(normal(1, 3, 6, 6))


@pytest.mark.parametrize("size", [(3, 9), (9, 2)])
def test_input_smaller_than_the_kernel_is_refused(size: tuple[int, int]) -> None:
    # Paddle itself writes beyond its memory here, and crashes or hangs some time later.
    layer = Conv2D(2, 1, 4)
    with pytest.raises(ConfigError, match=r"kernel of 4 x 4 got .* needs larger pictures"):
        layer(normal(1, 2, *size))
    assert Conv2D(2, 1, 4, padding=1)(normal(1, 2, 2, 2)).shape == [1, 1, 1, 1]
