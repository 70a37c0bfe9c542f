# SPDX-License-Identifier: Apache-2.0
"""Films made piece by piece: the same as at once, and never many frames in a network."""

import numpy as np
import paddle
import pytest

from ppzoo.motion.firstorder.films import AT_ONCE, animate, keypoints_of, remake

from .pieces import model

FRAMES = 2 * AT_ONCE + 3


@pytest.fixture(scope="module")
def made():
    paddle.seed(1)
    made = model(eval_animation=True)
    detector = made.nets.kp_detector
    for parameter in detector.parameters():  # Jacobians are no identities, places differ
        parameter.set_value(parameter + 0.02 * paddle.randn(parameter.shape))
    made.eval()
    return made


@pytest.fixture(scope="module")
def video():
    paddle.seed(2)
    return paddle.rand([2, 3, FRAMES, 32, 32])


def close(a, b):
    assert a.shape == b.shape
    np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-5, rtol=1e-4)


@paddle.no_grad()
def test_pieces_are_what_the_whole_is(made, video):
    detector, generator = made.nets.kp_detector, made.nets.generator
    clip = video[1].transpose([1, 0, 2, 3])
    expected = detector(clip)
    kp = keypoints_of(detector, clip)
    assert set(kp) == {"value", "jacobian"}
    for key, value in kp.items():
        close(value, expected[key])
    sources = clip[2:3].expand(clip.shape)
    whole = generator(sources, kp_driving=expected, kp_source=detector(sources))
    pieces = animate(generator, clip[2:3], kp, detector(clip[2:3]))
    assert set(pieces) == {"prediction", "deformed"}
    for key, value in pieces.items():
        close(value, whole[key])
    assert (pieces["deformed"] - sources).abs().max() > 0.1


@paddle.no_grad()
def test_videos_are_remade_as_by_the_animator(made, video):
    frames = video.transpose([0, 2, 1, 3, 4])
    sources = frames[:, :1].expand(frames.shape).flatten(0, 1)
    expected = made.animator(sources, frames.flatten(0, 1))
    found = remake(made.nets.kp_detector, made.nets.generator, video)
    for key in ("prediction", "deformed"):
        close(found[key], expected[key])
    for key in ("kp_driving", "kp_source"):
        close(found[key], expected[key]["value"])
    close(found["kp_fake"], made.nets.kp_detector(found["prediction"])["value"])


@paddle.no_grad()
def test_a_generator_without_motion_shows_the_source(video):
    still = model()
    generator = still.nets.generator
    generator.dense_motion_network = None
    clip = video[0].transpose([1, 0, 2, 3])[:3]
    kp = still.nets.kp_detector(clip)
    made = animate(generator, clip[:1], kp, {key: value[:1] for key, value in kp.items()})
    assert np.array_equal(made["deformed"].numpy(), clip[:1].expand(clip.shape).numpy())


def test_an_evaluation_never_holds_all_frames_in_a_network(made, video):
    sizes = {"detector": [], "encoder": [], "bottleneck": []}
    layers = {
        "detector": made.nets.kp_detector.predictor,
        "encoder": made.nets.generator.first,
        "bottleneck": made.nets.generator.bottleneck,
    }
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, inputs, name=name: sizes[name].append(inputs[0].shape[0])
        )
        for name, layer in layers.items()
    ]
    try:
        outputs = made.eval_step({"video": video})
    finally:
        for hook in hooks:
            hook.remove()
    assert max(max(each) for each in sizes.values()) == AT_ONCE
    # Each video is remade once and moves once as the other does.
    assert sizes["encoder"] == [1] * 4
    assert sum(sizes["bottleneck"]) == 4 * FRAMES
    assert outputs["animated"].shape == outputs["fake"].shape == [2 * FRAMES, 3, 32, 32]
