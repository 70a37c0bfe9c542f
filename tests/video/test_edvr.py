# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppzoo.config import load_config
from ppzoo.errors import ConfigError, DataError, WeightsError
from ppzoo.nn.deform_conv import OffsetDeformConv2D
from ppzoo.registry import GENERATORS, MODELS, build
from ppzoo.video.edvr import EDVRNet
from ppzoo.video.edvr.blocks import ResidualBlock, double
from tests.runs import assert_same, make_trainer, resumed, state_of, stopped, trained

TINY = {"nf": 8, "groups": 2, "front_RBs": 1, "back_RBs": 1}
BLUR = {"predeblur": True, "HR_in": True, "scale_factor": 1}


def network(**changes):
    paddle.seed(0)
    return EDVRNet(**TINY | changes)


def stirred(**changes):
    """Return a network whose offsets are not 0."""
    net = network(**changes)
    for layer in net.sublayers():
        if isinstance(layer, OffsetDeformConv2D):
            paddle.nn.initializer.Normal(0.0, 0.1)(layer.conv_offset_mask.weight)
    return net


def frames(n=1, t=5, h=8, w=12, seed=0):
    values = np.random.RandomState(seed).uniform(size=[n, t, 3, h, w])
    return paddle.to_tensor(values.astype("float32"))


def model(tsa_iter=0, lr=1e-3, optimizer="Adam", **changes):
    paddle.seed(0)
    spec = {
        "name": "EDVRModel",
        "tsa_iter": tsa_iter,
        "generator": {"name": "EDVRNet", **TINY},
        "pixel_criterion": {"name": "CharbonnierLoss"},
    }
    made = build(MODELS, spec | changes)
    made.setup_lr_schedulers({"name": "NonLinearDecay", "learning_rate": lr, "lr_decay": 0.0})
    made.setup_optimizers({"optim": ({"name": optimizer}, ["generator"])})
    made.train()
    return made


def batch(n=1, **options):
    x = frames(n, **options)
    middle = x[:, x.shape[1] // 2]
    true = paddle.nn.functional.interpolate(middle, scale_factor=4, mode="nearest")
    return {"lq": x, "gt": true.unsqueeze(1), "lq_path": ["x"] * n}


def weights(made):
    return {key: value.numpy() for key, value in made.nets.generator.named_parameters()}


@pytest.mark.parametrize(
    ("changes", "shape", "expected"),
    [
        ({}, [2, 5, 3, 8, 12], [2, 3, 32, 48]),
        ({"w_TSA": False}, [1, 5, 3, 8, 4], [1, 3, 32, 16]),
        ({"nframes": 3, "center": 0}, [1, 3, 3, 4, 8], [1, 3, 16, 32]),
        ({"predeblur": True}, [1, 5, 3, 8, 8], [1, 3, 32, 32]),
        (BLUR, [1, 5, 3, 16, 32], [1, 3, 16, 32]),
        ({"in_nf": 1, "out_nf": 1}, [1, 5, 1, 8, 8], [1, 1, 32, 32]),
    ],
)
def test_shapes_and_gradients(changes, shape, expected):
    net = stirred(**changes)
    y = net(paddle.rand(shape))
    assert y.shape == expected
    (y * paddle.rand(y.shape)).sum().backward()
    idle = [k for k, p in net.named_parameters() if p.grad is None or not p.grad.numpy().any()]
    assert idle == []


def test_adds_to_the_middle_frame_enlarged_bilinearly():
    net, x = network(center=1), frames()
    for parameter in net.conv_last.parameters():
        parameter.set_value(paddle.zeros_like(parameter))
    y = net(x).numpy()
    # A pixel of the large frame, 1/8 and 3/8 away from the centres of small ones.
    a, b = x.numpy()[0, 1, :, 2, 4:6].T
    c, d = x.numpy()[0, 1, :, 3, 4:6].T
    between = (0.875 * a + 0.125 * b) * 0.625 + (0.875 * c + 0.125 * d) * 0.375
    np.testing.assert_allclose(y[0, :, 4 * 2 + 3, 4 * 4 + 2], between, atol=1e-6)


def test_a_sharpening_network_adds_to_the_middle_frame_itself():
    net, x = network(**BLUR), frames(h=16, w=16)
    for parameter in net.conv_last.parameters():
        parameter.set_value(paddle.zeros_like(parameter))
    assert np.array_equal(net(x).numpy(), x.numpy()[:, 2])


def test_windows_of_a_batch_do_not_mix():
    net = stirred()
    net.eval()
    first, second = frames(seed=1), frames(seed=2)
    both = net(paddle.concat([first, second])).numpy()
    np.testing.assert_allclose(both[:1], net(first).numpy(), atol=1e-5)
    np.testing.assert_allclose(both[1:], net(second).numpy(), atol=1e-5)


def test_features_of_frames_can_be_shared_by_windows():
    """A video of six frames: two windows, of which four frames are the same."""
    net, video = stirred(), frames(t=6)
    levels = net.extract(video[0])
    for start in range(2):
        ours = net.fuse([level[start : start + 5] for level in levels], video[:, start + 2])
        whole = net(video[:, start : start + 5])
        np.testing.assert_allclose(ours.numpy(), whole.numpy(), atol=1e-5)


def test_every_frame_counts():
    net, x = stirred(), frames()
    y = net(x).numpy()
    for number in range(5):
        other = x.clone()
        other[:, number] = 1 - other[:, number]
        assert np.abs(net(other).numpy() - y).max() > 1e-5


def test_training_begins_near_the_identity():
    net = network(nf=64, groups=8)
    for layer in net.sublayers():
        if isinstance(layer, OffsetDeformConv2D):
            assert not layer.conv_offset_mask.weight.numpy().any()
            assert not layer.conv_offset_mask.bias.numpy().any()
        if isinstance(layer, ResidualBlock):
            expected = 0.1 * (2 / (64 * 9)) ** 0.5
            assert layer.conv1.weight.numpy().std() == pytest.approx(expected, rel=0.05)
            assert layer.conv2.weight.numpy().std() == pytest.approx(expected, rel=0.05)
    # As in the paper's code, the others are uniform within 1 / sqrt(inputs).
    for conv in (net.fea_L2_conv1, net.upconv1, net.PCDModule.PCD_Align_L1_dcn.dcn):
        assert np.abs(conv.weight.numpy()).max() == pytest.approx((64 * 9) ** -0.5, rel=0.01)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([1, 3, 3, 8, 8], r"windows of 5 frames .* got \[1, 3, 3, 8, 8\].*num_frames"),
        ([1, 5, 1, 8, 8], r"\[N, 5, 3, H, W\], got \[1, 5, 1, 8, 8\]"),
        ([5, 3, 8, 8], r"windows of 5 frames"),
        ([1, 5, 3, 10, 8], r"multiples of 4, got 8 x 10 pixels: crop or pad"),
    ],
)
def test_frames_that_do_not_fit_are_named(shape, message):
    with pytest.raises(ConfigError, match=message):
        network()(paddle.rand(shape))


def test_a_sharpening_network_needs_larger_multiples():
    with pytest.raises(ConfigError, match="multiples of 16, got 24 x 32"):
        network(**BLUR)(paddle.rand([1, 5, 3, 32, 24]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_factor": 2}, "scale_factor is 2, expected 4 where HR_in is False"),
        ({"HR_in": True}, "HR_in needs predeblur"),
        (BLUR | {"scale_factor": 2}, "expected 1 or 4"),
        ({"nf": 9}, "nf is 9, expected a multiple of groups, 2"),
        ({"center": 5}, "center is 5, expected 0 to 4"),
        ({"out_nf": 1}, "out_nf is 1, expected 3"),
        ({"nframes": 0}, "nframes is 0"),
    ],
)
def test_arguments_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        network(**changes)


def test_exported_graphs_take_other_sizes(tmp_path):
    net = stirred()
    net.eval()
    sizes = (frames(), frames(n=2, h=16, w=8))
    with paddle.no_grad():
        # Before, because Paddle 2 leaves a network that it has exported changed.
        expected = [net(x).numpy() for x in sizes]
    spec = [paddle.static.InputSpec([None, 5, 3, None, None], "float32")]
    paddle.jit.save(net, str(tmp_path / "net"), input_spec=spec)
    loaded = paddle.jit.load(str(tmp_path / "net"))
    for x, right in zip(sizes, expected, strict=True):
        with paddle.no_grad():
            np.testing.assert_allclose(loaded(x).numpy(), right, atol=1e-5)


def test_the_loss_is_charbonniers_summed():
    made, sample = model(), batch(n=2)
    total, logs = made.loss(sample["lq"], sample["gt"][:, 0])
    difference = made.nets.generator(sample["lq"]).numpy() - sample["gt"].numpy()[:, 0]
    assert float(total) == pytest.approx(np.sqrt(difference**2 + 1e-12).sum(), rel=1e-4)
    assert list(logs) == ["loss_pixel"]


def test_true_frames_may_come_with_or_without_an_axis_of_time():
    with_axis, without = batch(), batch()
    without["gt"] = without["gt"][:, 0]
    losses = [float(model().train_step(sample)["loss_pixel"]) for sample in (with_axis, without)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_fusion_learns_alone_at_first(optimizer):
    made = model(tsa_iter=2, optimizer=optimizer)
    for made.iteration in range(3):
        before = weights(made)
        made.train_step(batch(seed=made.iteration))
        after = weights(made)
        moved = {key for key in after if not np.array_equal(before[key], after[key])}
        fusion = {key for key in after if key.startswith("TSAModule")}
        if made.iteration < 2:
            assert moved <= fusion
            assert len(moved) > len(fusion) / 2
        else:
            assert moved - fusion
    assert not any(p.stop_gradient for p in made.nets.generator.parameters())


def test_fusion_learns_alone_only_where_other_weights_are_loaded():
    seen = {}
    for path in sorted((Path(__file__).parents[2] / "configs").glob("edvr_*.yaml")):
        alone = load_config(path, check=True).model.kwargs["tsa_iter"]
        seen[path.stem] = alone
        assert not alone or "--load" in path.read_text("utf-8"), path.name
    assert (seen["edvr_m_w_tsa"], seen["edvr_m_frames"]) == (50000, 0)


def test_what_a_user_has_frozen_stays_frozen():
    made = model(tsa_iter=1)
    made.nets.generator.conv_last.weight.stop_gradient = True
    before = weights(made)["conv_last.weight"]
    for made.iteration in range(3):
        made.train_step(batch())
    assert made.nets.generator.conv_last.weight.stop_gradient
    assert np.array_equal(weights(made)["conv_last.weight"], before)


def test_a_step_that_fails_leaves_nothing_frozen():
    made, sample = model(tsa_iter=5), batch()
    with pytest.raises(ConfigError):
        made.train_step(sample | {"lq": sample["lq"][:, :3]})
    assert not any(p.stop_gradient for p in made.nets.generator.parameters())


@pytest.mark.parametrize("stop", [1, 3])
def test_resumes_before_and_after_the_others_begin_to_learn(stop, tmp_path):
    """The step at which they begin is tested for all families, in tests/test_families.py."""
    options = ["total_iters=4", "model.tsa_iter=2", "snapshot_config.interval=1"]
    whole = trained("edvr", tmp_path / "whole", *options)
    checkpoint = stopped("edvr", tmp_path / "first", stop, *options)
    second = resumed(checkpoint, "edvr", tmp_path / "second", *options)
    assert_same(state_of(second), state_of(whole))


def test_attention_starts_from_weights_without_it(tmp_path):
    """As PaddleGAN's configs have it: `edvr_m_w_tsa` from the weights of `edvr_m_wo_tsa`."""
    first = make_trainer("edvr", tmp_path / "first", "model.generator.w_TSA=false", "seed=1")
    second = make_trainer("edvr", tmp_path / "second", "seed=2")
    before, plain = weights(second.model), weights(first.model)
    second.load(first.save("end"))
    for key, value in weights(second.model).items():
        assert np.array_equal(value, (before if "TSAModule" in key else plain)[key]), key
    with pytest.raises(WeightsError, match=r"conv_first\.weight"):
        make_trainer("edvr", tmp_path / "third", "model.generator.nf=4").load(first.save("end"))


@pytest.mark.parametrize("attends", [True, False])
def test_can_begin_as_bilinear_enlargement(attends):
    made = model(start_as_bilinear=True, generator={"name": "EDVRNet", **TINY, "w_TSA": attends})
    net, x, found = made.nets.generator, frames(n=2), []
    made.eval()
    hook = net.HRconv.register_forward_post_hook(lambda layer, given, out: found.append(out))
    output = net(x)
    hook.remove()
    enlarged = paddle.nn.functional.interpolate(x[:, 2], scale_factor=4, mode="bilinear").numpy()
    np.testing.assert_allclose(output.numpy(), enlarged, atol=1e-6)
    # The last layer has the frame itself to work with, changed a little by residual blocks.
    difference = (found[0][:, :3] - double(double(x[:, 2]))).abs().numpy()[..., 8:-8, 8:-8]
    assert difference.mean() < 0.02


def test_beginning_as_bilinear_enlargement_has_bounds():
    for changes in (BLUR, {"in_nf": 3, "nf": 2}):
        with pytest.raises(ConfigError, match="start_as_bilinear: EDVRNet begins"):
            network(**changes).start_as_bilinear()
    net = {"name": "UnetGenerator", "input_nc": 3, "output_nc": 3, "num_downs": 5, "ngf": 2}
    with pytest.raises(ConfigError, match="UnetGenerator cannot begin so"):
        model(start_as_bilinear=True, generator=net)


def test_learns_to_darken_a_clip():
    made, sample = model(lr=5e-3), batch(h=4, w=4)
    sample["gt"] *= 0.5
    losses = [float(made.train_step(sample)["loss_pixel"]) for made.iteration in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_evaluation_shows_the_middle_frame_and_the_true_one():
    made, sample = model(), batch(n=2)
    outputs = made.eval_step(sample)
    assert sorted(outputs) == ["gt", "lq", "output"]
    assert np.array_equal(outputs["lq"].numpy(), sample["lq"].numpy()[:, 2])
    assert np.array_equal(outputs["gt"].numpy(), sample["gt"].numpy()[:, 0])
    assert outputs["output"].shape == outputs["gt"].shape
    assert sorted(made.visuals(sample)) == ["gt", "lq", "output"]
    sample.pop("gt")
    assert sorted(made.eval_step(sample)) == ["lq", "output"]


@pytest.mark.parametrize(("changes", "multiple"), [({}, 4), (BLUR, 16)])
def test_evaluation_takes_frames_of_any_size(changes, multiple):
    made = model(eval_still=True, generator={"name": "EDVRNet", **TINY, **changes})
    scale = made.nets.generator.scale
    x = frames(h=multiple + 2, w=2 * multiple - 1)
    outputs = made.eval_step({"lq": x})
    around = [(0, 0)] * 3 + [(0, multiple - 2), (0, 1)]
    made.eval()
    whole = made.nets.generator(paddle.to_tensor(np.pad(x.numpy(), around, mode="symmetric")))
    height, width = (side * scale for side in x.shape[-2:])
    expected = whole.numpy()[..., :height, :width]
    np.testing.assert_allclose(outputs["output"].numpy(), expected, atol=1e-6)
    assert outputs["still"].shape == outputs["output"].shape == [1, 3, height, width]


def test_evaluation_of_copies_of_the_middle_frame():
    made, sample = model(eval_still=True), batch()
    outputs = made.eval_step(sample)
    copies = sample["lq"].clone()
    for number in range(5):
        copies[:, number] = sample["lq"][:, 2]
    made.eval()
    expected = made.nets.generator(copies).numpy()
    np.testing.assert_allclose(outputs["still"].numpy(), expected, atol=1e-6)
    assert np.abs(outputs["output"].numpy() - expected).max() > 1e-4


def test_what_is_missing_is_named():
    sample = batch()
    with pytest.raises(DataError, match="no gt"):
        model().train_step({"lq": sample["lq"]})
    with pytest.raises(DataError, match=r"lq is \[5, 3, 8, 12\], expected frames"):
        model().train_step(sample | {"lq": sample["lq"][0]})
    with pytest.raises(ConfigError, match=r"model\.pixel_criterion is missing"):
        model(pixel_criterion=None).train_step(sample)
    with pytest.raises(ConfigError, match=r"\[3, 32, 48\] and gt has \[3, 16, 24\]"):
        model().train_step(sample | {"gt": sample["gt"][..., ::2, ::2]})
    with pytest.raises(ValueError, match="tsa_iter is -1"):
        model(tsa_iter=-1)


def test_paddlegans_config_says_no_by_false():
    assert model(tsa_iter=False).tsa_iter == 0


def test_is_found_by_its_name():
    assert GENERATORS.get("EDVRNet") is EDVRNet
