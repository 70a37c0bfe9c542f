# SPDX-License-Identifier: Apache-2.0
"""Weights fit a network wholly, or nothing of it changes and the message says why."""

import collections

import numpy as np
import paddle
import pytest

from ppzoo.errors import WeightsError
from ppzoo.weights import load_state, load_weights, match_state, select_net, write_pdparams
from ppzoo.weights.load import is_network
from ppzoo.weights.optimizers import ENTRY, KINDS


class Net(paddle.nn.Layer):
    def __init__(self, width=3):
        super().__init__()
        self.linear = paddle.nn.Linear(2, width)
        self.norm = paddle.nn.BatchNorm1D(width)
        self.register_buffer("steps", paddle.to_tensor(0))
        self.register_buffer("scale", paddle.to_tensor(1.0))


def arrays_of(layer):
    return {name: value.numpy() for name, value in layer.state_dict().items()}


@pytest.fixture
def net():
    paddle.seed(1)
    return Net()


@pytest.fixture
def weights():
    paddle.seed(2)
    other = Net()
    other.steps.set_value(paddle.to_tensor(7))
    return arrays_of(other)


def assert_equal(layer, arrays):
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), arrays[name], name)


def assert_refused(net, arrays, *parts):
    before = arrays_of(net)
    with pytest.raises(WeightsError) as caught:
        load_state(net, arrays, "some.pdparams")
    assert_equal(net, before)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("some.pdparams", *parts):
        assert part in message
    return message


# Fitting


def test_loads_all(net, weights):
    assert not np.array_equal(net.linear.weight.numpy(), weights["linear.weight"])
    loaded = load_state(net, weights, "some.pdparams")
    assert_equal(net, weights)
    assert int(net.steps) == 7
    assert loaded.keys() == weights.keys()


def test_the_network_has_its_own_memory(net, weights):
    copy = {name: value.copy() for name, value in weights.items()}
    load_state(net, weights, "some.pdparams")
    for value in weights.values():
        value[...] = 9
    assert_equal(net, copy)


def test_missing_weights(net, weights):
    del weights["norm._mean"], weights["norm._variance"]
    assert_refused(
        net, weights, "2 weights are missing: norm._mean, norm._variance", "kind of norm"
    )


def test_unexpected_weights_are_cut_to_the_first(net, weights):
    weights |= {f"extra.{index}": np.zeros(1) for index in range(9)}
    message = assert_refused(
        net, weights, "9 weights are too many: extra.0, extra.1, extra.2 and 6"
    )
    assert "extra.3" not in message


def test_other_shapes(net):
    wider = arrays_of(Net(width=5))
    assert_refused(
        net, wider, "linear.weight is (2, 5) in the file and (2, 3) in the network", "other options"
    )


def test_several_problems_in_one_sentence(net, weights):
    weights["norm.gamma"] = weights.pop("norm.weight")
    weights["linear.bias"] = np.zeros(4, np.float32)
    assert_refused(
        net,
        weights,
        "1 weight is missing: norm.weight; 1 weight is too many: norm.gamma; "
        "1 weight is of another shape: linear.bias is (4,)",
    )


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda w: {f"module.{k}": v for k, v in w.items()}, "begin with 'module.'"),
        (lambda w: {"conv.weight": np.zeros(3)}, "another network"),
        (lambda w: {"netG": w, "netD": w}, "several networks"),
        (lambda w: w | {"linear.weight": w["linear.weight"].T}, "transposed"),
        (lambda w: w | {"norm.running_mean": np.zeros(3)}, "names are PyTorch's"),
    ],
)
def test_likely_causes(net, weights, change, cause):
    assert_refused(net, change(weights), cause)


# Types


@pytest.mark.parametrize("dtype", ["float64", "float16", "float32", "int64", "bool"])
def test_types_that_become_float32(net, weights, dtype):
    weights["linear.bias"] = np.array([0, 1, 1], dtype)
    load_state(net, weights, "some.pdparams")
    assert net.linear.bias.dtype == paddle.float32
    np.testing.assert_array_equal(net.linear.bias.numpy(), [0, 1, 1])


def test_bfloat16_bits_become_float32(net, weights):
    values = paddle.to_tensor([1.0, -2.5, 3e38])
    weights["linear.bias"] = values.astype("bfloat16").numpy()
    weights["scale"] = paddle.to_tensor(0.5).astype("bfloat16").numpy()
    assert weights["linear.bias"].dtype == np.uint16
    load_state(net, weights, "some.pdparams")
    np.testing.assert_allclose(net.linear.bias.numpy(), values.numpy(), rtol=2**-8)
    assert float(net.scale) == 0.5


def test_float32_becomes_the_nearest_bfloat16():
    net = paddle.nn.Linear(50, 40)
    net.to(dtype="bfloat16")
    values = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    values[0, :4] = [np.nan, np.inf, 1 + 2**-8, 1 + 3 * 2**-8]
    load_state(net, {"weight": values, "bias": np.zeros(40)}, "some.pdparams")
    got = net.weight.astype("float32").numpy()
    np.testing.assert_array_equal(got[0, :4], [np.nan, np.inf, 1, 1 + 2**-6])  # ties to even
    np.testing.assert_allclose(got, values, rtol=2**-8, atol=0)


def test_bfloat16_stays(weights):
    net = paddle.nn.Linear(1, 1)
    net.to(dtype="bfloat16")
    bits = {"weight": np.array([[0x3FC0]], np.uint16), "bias": np.array([0xBF80], np.uint16)}
    load_state(net, bits, "some.pdparams")
    assert net.weight.astype("float32").tolist() == [[1.5]]
    assert net.bias.astype("float32").tolist() == [-1.0]


def test_values_beyond_the_type(net, weights):
    weights["linear.bias"] = np.array([1e39, 0, 0])
    assert_refused(net, weights, "linear.bias holds values that are too large for float32")


def test_infinity_is_a_value(net, weights):
    weights["linear.bias"] = np.array([np.inf, np.nan, 0])
    load_state(net, weights, "some.pdparams")
    assert np.isinf(net.linear.bias.numpy()[0])


@pytest.mark.parametrize("array", [np.array(1.5), np.array(1j), np.array("a")])
def test_types_that_lose_values(net, weights, array):
    weights["steps"] = array
    assert_refused(net, weights, f"steps is {array.dtype} in the file and int64 in the network")


def test_one_element_with_or_without_axis(net, weights):
    weights["scale"] = np.array([3.0])  # as Paddle before 2.5 wrote a scalar
    load_state(net, weights, "some.pdparams")
    assert net.scale.shape == []
    assert float(net.scale) == 3.0


def test_shapes_without_a_network():
    expected = {"w": np.zeros((2, 3), np.float32)}
    matched = match_state(expected, {"w": np.ones((2, 3))}, "some.pdparams")
    assert matched["w"].dtype == np.float32
    with pytest.raises(WeightsError, match="w is"):
        match_state(expected, {"w": np.ones((3, 3))}, "some.pdparams")


# Layouts

W = {"w": np.ones(2)}
V = {"w": np.zeros(2)}
ADAM = {"w_moment1_0": np.zeros(2), "w_beta1_pow_acc_0": np.ones(1)}
CHECKPOINT = {
    "netG": W,
    "netG_ema": V,
    "netD": V,
    "epoch": 3,
    "optimizer_G": ADAM,
    "optim": {"LR_Scheduler": {"last_epoch": 3}},
    "ppzoo": {"seed": 1},
}


@pytest.mark.parametrize(
    "content",
    [W, W | {"opts": {"size": 3}}, {"netG": W, "netD": V}, CHECKPOINT],
    ids=["flat", "flat with options", "nested", "checkpoint"],
)
def test_layouts(content):
    np.testing.assert_array_equal(select_net(content, "netG", "x")["w"], W["w"])


def test_name_table_is_no_weight():
    table = {"StructuredToParameterName@@": {"w": "linear_0.w_0"}}
    assert select_net({"netG": collections.OrderedDict(W | table)}, "netG", "x") == W


def test_averaged_weights_where_there_are_any():
    assert select_net(CHECKPOINT, "netG", "x", prefer_ema=True) == V
    assert select_net(CHECKPOINT, "netG", "x") == W
    assert select_net({"netG": W}, "netG", "x", prefer_ema=True) == W


def test_unknown_network_names_those_there_are():
    with pytest.raises(WeightsError) as caught:
        select_net(CHECKPOINT, "generator", "x.pdparams")
    assert str(caught.value) == (
        "x.pdparams has no network 'generator': it holds 'netG', 'netG_ema', 'netD'"
    )


def test_no_network_at_all():
    with pytest.raises(WeightsError, match="holds no network"):
        select_net({"epoch": 1}, "netG", "x.pdparams")


def test_an_entry_that_is_no_network():
    with pytest.raises(WeightsError, match="x: optim holds no weights of a network: 'LR_Sch"):
        select_net(CHECKPOINT, "optim", "x")


# Files


def test_load_weights(tmp_path, net, weights):
    path = tmp_path / "iter_1_weight.pdparams"
    write_pdparams(path, {"netG": weights, "netD": V})
    load_weights(net, path, "netG")
    assert_equal(net, weights)
    with pytest.raises(WeightsError, match=r"iter_1_weight.* does not fit"):
        load_weights(net, path, "netD")
    assert_equal(net, weights)


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "Momentum", "RMSProp"])
def test_states_of_optimizers_are_no_networks(kind):
    layer = paddle.nn.Linear(2, 3)
    options = {"learning_rate": 0.1, "parameters": layer.parameters()}
    optimizer = getattr(paddle.optimizer, kind)(**options)
    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()
    state = {name: value.numpy() for name, value in optimizer.state_dict().items() if value.shape}
    assert len(state) >= 2
    assert not is_network(state)
    assert {found["kind"] for found in map(ENTRY.fullmatch, state)} <= KINDS[kind]
    assert is_network({name: value.numpy() for name, value in layer.state_dict().items()})
