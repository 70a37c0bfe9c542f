# SPDX-License-Identifier: Apache-2.0
"""Files that PyTorch wrote, read without it: the same weights make the same pictures.

The files in `torch` are of random weights; tools/benchmark/torch_weights.py writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo import registry
from ppzoo.engine import checkpoint
from ppzoo.errors import WeightsError
from ppzoo.lipsync.syncnet import SyncNetColor
from ppzoo.lipsync.wav2lip import Wav2Lip
from ppzoo.model import Model
from ppzoo.motion.firstorder.discriminator import Discriminator, MultiScaleDiscriminator
from ppzoo.motion.firstorder.generator import OcclusionAwareGenerator
from ppzoo.motion.firstorder.keypoints import KPDetector
from ppzoo.networks.patch_discriminator import NLayerDiscriminator
from ppzoo.networks.resnet import ResnetGenerator
from ppzoo.networks.rrdb import RRDBNet
from ppzoo.networks.unet import UnetGenerator
from ppzoo.weights import load_state, load_weights, read, select_net
from ppzoo.weights.torch_names import TorchArrays, unwrapped

FILES = Path(__file__).with_name("torch")


def drawn(seed: int, *shape: int) -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(seed).random(shape, np.float32))


def expected(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(FILES / f"{name.partition('.')[0]}.npz"))


def assert_equal(ours: paddle.Tensor, theirs: np.ndarray) -> None:
    assert theirs.std() > 0.01
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def joined(net: SyncNetColor, mels: paddle.Tensor, faces: paddle.Tensor) -> paddle.Tensor:
    return paddle.concat(net(mels, faces), axis=1)


RRDB = lambda: RRDBNet(3, 3, 4, 1, 2)  # noqa: E731
# The network, its inputs, and whether batch norms look at the batch.
NETWORKS: dict[str, tuple[Callable[[], nn.Layer], list[tuple[int, ...]]]] = {
    "wav2lip.pth": (lambda: Wav2Lip(1), [(1, 1, 80, 16), (1, 6, 96, 96)]),
    "syncnet.pt": (lambda: SyncNetColor(1), [(2, 1, 80, 16), (2, 15, 48, 96)]),
    "esrgan.pth": (RRDB, [(1, 3, 10, 12)]),
    "esrgan_basicsr.pth": (RRDB, [(1, 3, 10, 12)]),
    "esrgan_at_first.pth": (RRDB, [(1, 3, 10, 12)]),
    "cyclegan_G_A.pth": (lambda: ResnetGenerator(3, 3, 2, n_blocks=2), [(1, 3, 32, 32)]),
    "cyclegan_D_A.ckpt": (lambda: NLayerDiscriminator(3, 2), [(1, 3, 32, 32)]),
    "pix2pix_G.pth": (lambda: UnetGenerator(3, 3, 5, 2), [(2, 3, 32, 32)]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_pictures_are_pytorchs(name: str) -> None:
    make, shapes = NETWORKS[name]
    net = make()
    load_weights(net, FILES / name, "generator")
    net.eval()
    inputs = [drawn(seed, *shape) for seed, shape in enumerate(shapes)]
    out = joined(net, *inputs) if isinstance(net, SyncNetColor) else net(*inputs)
    assert_equal(out, expected(name)["made"])


def first_order() -> tuple[KPDetector, OcclusionAwareGenerator, MultiScaleDiscriminator]:
    blocks = {"block_expansion": 2, "max_features": 1024, "num_blocks": 2, "scale_factor": 0.25}
    detector = KPDetector(
        num_kp=2, num_channels=3, temperature=0.1, estimate_jacobian=True, **blocks
    )
    generator = OcclusionAwareGenerator(
        num_channels=3,
        num_kp=2,
        block_expansion=2,
        max_features=1024,
        num_down_blocks=2,
        num_bottleneck_blocks=1,
        estimate_occlusion_map=True,
        dense_motion_params=blocks,
    )
    judges = MultiScaleDiscriminator(
        [1], block_expansion=2, num_blocks=2, max_features=1024, sn=True, use_kp=True, num_kp=2
    )
    return detector, generator, judges


def test_first_order_motion() -> None:
    content = read(FILES / "first_order.pth.tar")
    assert content["epoch"] == 99
    nets = first_order()
    for name, net in zip(("kp_detector", "generator", "discriminator"), nets, strict=True):
        load_state(net, select_net(content, name, "first_order.pth.tar"), name)
        net.eval()
    detector, generator, judges = nets
    source, driving = drawn(0, 1, 3, 64, 64), drawn(1, 1, 3, 64, 64)
    wanted = expected("first_order")
    still, moved = detector(source), detector(driving)
    assert_equal(moved["value"], wanted["value"])
    assert_equal(moved["jacobian"], wanted["jacobian"])
    assert_equal(generator(source, moved, still)["prediction"], wanted["made"])
    judge: Discriminator = judges.discs["1"]
    judge.use_kp = False  # the spots of keypoints are drawn numbers, too
    assert_equal(judge(drawn(2, 1, 5, 32, 32))[1], wanted["judged"])


def test_training_starts_from_a_file_of_pytorchs(tmp_path: Path) -> None:
    model = Model()
    model.nets |= zip(("kp_detector", "generator", "other"), first_order(), strict=True)
    assert checkpoint.load_weights(FILES / "first_order.pth.tar", model) == ["other"]
    wanted = read(FILES / "first_order.pth.tar")["generator"]["final.weight"]
    np.testing.assert_array_equal(model.nets.generator.final.weight.numpy(), wanted)

    model = Model()
    model.nets["netG"] = ResnetGenerator(3, 3, 2, n_blocks=2)
    assert checkpoint.load_weights(FILES / "cyclegan_G_A.pth", model) == []
    wanted = read(FILES / "cyclegan_G_A.pth")["model.1.weight"]
    np.testing.assert_array_equal(model.nets.netG.model[1].weight.numpy(), wanted)


def test_averaged_weights_come_first() -> None:
    """The others are larger by 1."""
    arrays = read(FILES / "esrgan_basicsr.pth")
    assert arrays["conv_first.bias"].dtype == np.uint16  # bits of bfloat16
    assert abs(arrays["conv_first.weight"].astype(np.uint32) << 16).max() > 0
    net = RRDB()
    load_state(net, arrays, "esrgan_basicsr.pth")
    assert float(net.conv_first.weight.abs().max()) < 1


def test_all_that_is_beside_networks_is_read() -> None:
    content = read(FILES / "first_order.pth.tar")
    state = content["optimizer_kp_detector"]
    assert float(state["state"][0]["step"]) == 1
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)
    first = content["kp_detector"]["predictor.encoder.down_blocks.0.conv.weight"]
    assert state["state"][0]["exp_avg"].shape == first.shape


@pytest.mark.parametrize(
    ("name", "make", "net", "message"),
    [
        ("esrgan.pth", lambda: RRDBNet(3, 3, 8, 1, 2), "generator", "of another shape"),
        ("esrgan.pth", lambda: RRDBNet(3, 3, 4, 2, 2), "generator", "weights are missing"),
        ("esrgan.pth", lambda: ResnetGenerator(3, 3, 2), "netG", "of another network"),
        ("wav2lip.pth", lambda: Wav2Lip(2), "netG", "width or image size"),
        (
            "first_order.pth.tar",
            lambda: RRDBNet(3, 3, 4, 1, 2),
            "netG",
            r"no network 'netG': it holds 'generator', 'discriminator', 'kp_detector'",
        ),
        # PaddleGAN's has no bias there, so that these are not its weights.
        ("cyclegan_D_A.ckpt", lambda: NLayerDiscriminator(3, 2, norm_type="batch"), "x", "missing"),
    ],
)
def test_other_networks_are_refused(
    name: str, make: Callable[[], nn.Layer], net: str, message: str
) -> None:
    layer = make()
    before = {key: value.numpy() for key, value in layer.state_dict().items()}
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(layer, FILES / name, net)
    assert name in str(caught.value)
    assert all(np.array_equal(v.numpy(), before[k]) for k, v in layer.state_dict().items())


class Mixed(nn.Layer):
    """A layer of each kind that PyTorch stores in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.affine = nn.InstanceNorm2D(2)
        self.plain = nn.InstanceNorm2D(2)
        self.norm = nn.BatchNorm1D(3)


def test_safetensors_that_pytorch_wrote(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    theirs = {"linear.weight": rng.random((2, 3), np.float32), "norm.running_var": np.ones(3, "f4")}
    save_file(theirs, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = read(tmp_path / "x.safetensors")
    assert found.pop("norm._variance").shape == (3,)
    layer = nn.Sequential(("linear", nn.Linear(3, 2, bias_attr=False)))
    load_state(layer, found, "x.safetensors")
    np.testing.assert_array_equal(layer.linear.weight.numpy(), theirs["linear.weight"].T)


def test_networks_beside_a_wrapped_one_are_not_dropped() -> None:
    net = {"module.fc.weight": np.arange(4.0).reshape(2, 2), "module.fc.bias": np.ones(2)}
    averages = unwrapped({"params": {"w": np.zeros(1)}, "params_ema": net, "epoch": 3}, "x.pth")
    assert isinstance(averages, TorchArrays)
    assert list(averages) == ["fc.weight", "fc.bias"]
    # A stray array beside networks, too: each is known as PyTorch's, and keeps its name.
    others = {"state_dict": net, "generator": net, "loss": np.ones(3), "epoch": 3}
    found = unwrapped(others, "x.pth")
    assert list(found) == list(others)
    for name in ("state_dict", "generator"):
        assert isinstance(found[name], TorchArrays)
        assert list(found[name]) == ["fc.weight", "fc.bias"]
    linear = nn.Sequential(("fc", nn.Linear(2, 2)))
    load_state(linear, select_net(found, "generator", "x.pth"), "x.pth")
    np.testing.assert_array_equal(linear.fc.weight.numpy(), [[0, 2], [1, 3]])
    with pytest.raises(WeightsError, match="no network 'netG': it holds 'state_dict', 'generator'"):
        select_net({k: v for k, v in found.items() if k != "loss"}, "netG", "x.pth")


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("module.a", "a", "a"),
        ("n.running_mean", "n._mean", "n._mean"),
        ("body.0.rdb1.conv1.weight", "RRDB_trunk.0.RDB1.conv1.weight", "RRDB_trunk.0.RDB1.conv1.w"),
    ],
)
def test_two_weights_of_one_name_are_refused(first: str, second: str, name: str) -> None:
    with pytest.raises(
        WeightsError, match=f"x.pth has two weights, .* of one name .{name}"
    ) as info:
        unwrapped({first: np.ones(1), second: np.zeros(1)}, "x.pth")
    assert f"{first} and {second}" in str(info.value)
    assert len(unwrapped({"module.a": np.ones(1), "module.b": np.ones(1)}, "x.pth")) == 2


def test_layers_that_pytorch_stores_in_another_way() -> None:
    rng = np.random.default_rng(0)
    theirs: dict[str, Any] = {
        "linear.weight": rng.random((3, 3), np.float32),
        "linear.bias": rng.random(3, np.float32),
        "affine.weight": rng.random(2, np.float32),
        "affine.bias": rng.random(2, np.float32),
        "plain.running_mean": rng.random(2, np.float32),
        "plain.running_var": rng.random(2, np.float32),
        "norm.weight": rng.random(3, np.float32),
        "norm.bias": rng.random(3, np.float32),
        "norm.running_mean": rng.random(3, np.float32),
        "norm.running_var": rng.random(3, np.float32),
        "norm.num_batches_tracked": np.int64(7),
    }
    net = Mixed()
    load_state(net, unwrapped({"model": theirs, "epoch": 3}, "x.pth"), "x.pth")
    found = {key: value.numpy() for key, value in net.state_dict().items()}
    np.testing.assert_array_equal(found["linear.weight"], theirs["linear.weight"].T)
    np.testing.assert_array_equal(found["affine.scale"], theirs["affine.weight"])
    np.testing.assert_array_equal(found["plain.scale"], [1, 1])
    np.testing.assert_array_equal(found["plain.bias"], [0, 0])
    np.testing.assert_array_equal(found["norm._mean"], theirs["norm.running_mean"])
    np.testing.assert_array_equal(found["norm._variance"], theirs["norm.running_var"])


def test_predictors_know_the_networks_of_the_originals() -> None:
    from ppzoo.apps.animation import infer_firstorder
    from ppzoo.apps.image_to_image import infer_generator
    from ppzoo.apps.super_resolution import infer_network
    from ppzoo.apps.wav2lip import infer_wav2lip

    infer: dict[str, Callable[..., Any]] = {"cyclegan_G_A.pth": infer_generator}
    infer |= {"pix2pix_G.pth": infer_generator, "wav2lip.pth": infer_wav2lip}
    infer |= dict.fromkeys(("esrgan.pth", "esrgan_basicsr.pth"), infer_network)
    for name, infer_from in infer.items():
        arrays = select_net(read(FILES / name), "generator", name)
        spec = dict(infer_from(arrays, name))
        net = registry.build(registry.GENERATORS, spec)
        assert type(net) is type(NETWORKS[name][0]())
        load_state(net, arrays, name)

    content = read(FILES / "first_order.pth.tar")
    spec = infer_firstorder(content, "first_order.pth.tar")
    parts = spec["generator"]
    load_state(
        KPDetector(**spec["common_params"], **parts["kp_detector_cfg"]), content["kp_detector"], ""
    )
    load_state(
        OcclusionAwareGenerator(**spec["common_params"], **parts["generator_cfg"]),
        content["generator"],
        "",
    )


def test_predictor_of_an_original_file() -> None:
    from ppzoo.apps.cyclegan import CycleGANPredictor

    predictor = CycleGANPredictor(weight_path=FILES / "cyclegan_G_A.pth")
    picture = (drawn(0, 1, 3, 32, 32).numpy()[0].transpose(1, 2, 0) * 127.5 + 127.5).round()
    made = predictor.run(picture.astype(np.uint8))
    theirs = (expected("cyclegan_G_A")["made"][0].transpose(1, 2, 0) + 1) * 127.5
    assert made.shape == (32, 32, 3)
    assert np.abs(made - theirs).mean() < 1  # of 255: the input had been rounded
