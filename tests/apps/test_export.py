# SPDX-License-Identifier: Apache-2.0
"""Inference models: names, sizes, what they compute, and what is refused."""

from __future__ import annotations

import functools
import re
import types

import numpy as np
import paddle
import pytest
from paddle import nn

import ppzoo
from ppzoo import cli
from ppzoo.apps import export
from ppzoo.apps.animation import load_animator
from ppzoo.apps.export import export_networks, parse_sizes
from ppzoo.config import load_config
from ppzoo.errors import ConfigError, UserError, WeightsError
from ppzoo.nn.modes import evaluating
from ppzoo.weights import write_pdparams

from ..runs import SMOKE
from .face_pieces import check_one_sentence
from .motion_pieces import driver, networks, pattern, saved

GRAPH = "json" if paddle.__version__.startswith("3") else "pdmodel"


@pytest.fixture
def trained(tmp_path):
    """Return a function that gives a smoke config, its model, and the model's weights as a file."""

    def build(name, *overrides):
        config = load_config(SMOKE / f"{name}.yaml", overrides)
        paddle.seed(3)
        model = ppzoo.build_model(config.model)
        path = tmp_path / f"{name}.pdparams"
        nets = model.nets.items()
        write_pdparams(
            path, {n: {k: v.numpy() for k, v in net.state_dict().items()} for n, net in nets}
        )
        return config, model, path

    return build


@functools.lru_cache(maxsize=2)
def loaded(path):
    return paddle.jit.load(str(path.with_suffix("")))


def ran(path, *arrays):
    """What a file of a graph computes, by Paddle alone."""
    layer = loaded(path)
    with paddle.no_grad():
        made = layer(*(paddle.to_tensor(array) for array in arrays))
    return [each.numpy() for each in (made if isinstance(made, (list, tuple)) else [made])]


def noise(*shape):
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


class TestSizes:
    def test_they_are_written_as_in_paddlegan(self):
        assert parse_sizes("1,3,256,256") == [(1, 3, 256, 256)]
        assert parse_sizes("-1,1,80,16; 2,6,96,-1;") == [(None, 1, 80, 16), (2, 6, 96, None)]

    @pytest.mark.parametrize("text", ["", ";", "1,x", "1,,3", "1,0,3", "1,-2", "1.5,3"])
    def test_others_are_refused(self, text):
        with pytest.raises(UserError, match=re.escape(f"sizes are {text!r}, expected numbers")):
            parse_sizes(text)


class TestNetworks:
    def test_each_has_paddlegans_name_and_computes_the_same(self, tmp_path, trained):
        config, model, weights = trained("cyclegan")
        sizes = parse_sizes("-1,3,32,32;1,3,32,32")
        made = export_networks(config, weights, sizes, tmp_path / "out")
        names = [f"cycleganmodel_{net}" for net in ("netG_A", "netG_B")]
        assert made == {name: tmp_path / "out" / f"{name}.{GRAPH}" for name in names}
        for name, count in zip(names, (3, 1), strict=True):
            x = noise(count, 3, 32, 32)
            net = model.nets[name.partition("_")[2]]
            with evaluating(net):
                expected = net(paddle.to_tensor(x)).numpy()
            np.testing.assert_allclose(ran(made[name], x)[0], expected, atol=2e-5)
        left = {path.name for path in (tmp_path / "out").iterdir()}
        assert {name.partition(".")[0] for name in left} == set(names)

    def test_the_config_says_which(self, tmp_path, trained):
        item = "export_model=[{name: netG_B, inputs_num: 1}]"
        config, _, weights = trained("cyclegan", item)
        sizes = parse_sizes("1,3,32,32")
        made = export_networks(config, weights, sizes, tmp_path, "mine")
        assert made == {"mine": tmp_path / f"mine.{GRAPH}"}

    def test_inputs_are_shared_out_in_turn(self, tmp_path, monkeypatch):
        class Sum(nn.Layer):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(3, 2)

            def forward(self, x, y):
                return self.linear(x), y.sum()

        nets = {"netG_A": nn.Linear(4, 2), "netD": nn.Linear(2, 1), "netG_B": Sum()}
        model = types.SimpleNamespace(nets=nets)
        monkeypatch.setattr(ppzoo, "build_model", lambda spec: model)
        states = {n: {k: v.numpy() for k, v in net.state_dict().items()} for n, net in nets.items()}
        write_pdparams(tmp_path / "w.pdparams", states)
        config = load_config(SMOKE / "cyclegan.yaml")
        sizes = parse_sizes("-1,4;1,3;5,-1")
        made = export_networks(config, tmp_path / "w.pdparams", sizes, tmp_path)
        first, second = made.values()
        x, y = noise(1, 3), noise(5, 6)
        outputs = ran(second, x, y)
        np.testing.assert_allclose(outputs[0], nets["netG_B"].linear(paddle.to_tensor(x)).numpy())
        assert outputs[1] == pytest.approx(y.sum(), rel=1e-4)
        assert ran(first, noise(7, 4))[0].shape == (7, 2)

    def test_what_is_written_is_checked(self, tmp_path, trained, monkeypatch):
        config, _, weights = trained("cyclegan")
        (tmp_path / "out").mkdir()
        old = tmp_path / "out" / f"cycleganmodel_netG_A.{GRAPH}"
        old.write_text("old")
        monkeypatch.setattr(export, "_MOST", -1.0)
        with pytest.raises(UserError, match=r"netG_A as an inference model makes something else"):
            export_networks(config, weights, parse_sizes("1,3,8,8;1,3,8,8"), tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == [old.name]
        assert old.read_text() == "old"


class TestMotion:
    def test_both_parts_move_a_picture_as_the_predictor_does(self, tmp_path):
        # As long as their keypoints differ, their order matters.
        detector, generator = networks()
        weights = saved(tmp_path / "fom.pdparams", detector, generator)
        config = load_config(SMOKE / "firstorder.yaml")
        made = export_networks(config, weights, [(1, 3, 32, 32)], tmp_path)
        folder = tmp_path / "fom_dy2st"
        assert made == {n: folder / f"{n}.{GRAPH}" for n in ("kp_detector", "generator")}
        frames, source = [frame[:32, :32] for frame in driver(3)], pattern(32, 32)
        animator = load_animator(weights, config=SMOKE / "firstorder.yaml", image_size=32)
        options = {"relative": True, "adapt_scale": False}
        expected = list(animator.animate(source, frames, **options))

        def prepared(picture):
            return (picture.astype(np.float32) / 255).transpose(2, 0, 1)[np.newaxis]

        first = ran(made["kp_detector"], prepared(frames[0]))
        assert [points.shape for points in first] == [(1, 3, 2, 2), (1, 3, 2)]
        still = ran(made["kp_detector"], prepared(source))
        for frame, wanted in zip(frames, expected, strict=True):
            now = ran(made["kp_detector"], prepared(frame))
            (drawn,) = ran(made["generator"], prepared(source), *still, *now, *first)
            drawn = np.rint(drawn[0].transpose(1, 2, 0) * 255)
            assert np.abs(drawn - wanted).max() <= 1
        assert any((one != expected[0]).any() for one in expected)

    def test_paddlegans_four_sizes(self):
        model = ppzoo.build_model(load_config(SMOKE / "firstorder_mobile.yaml").model)
        sizes = parse_sizes("1,3,32,32;1,3,32,32;1,3,2;1,3,2,2")
        parts = export._motion(model.nets, sizes)
        assert [parts[name][1] for name in ("kp_detector", "generator")] == [
            sizes[:1],
            [sizes[0], *[sizes[3], sizes[2]] * 3],
        ]
        with pytest.raises(UserError, match=r"should be 1,3,32,32;1,3,32,32;1,3,2;1,3,2,2 for"):
            export._motion(model.nets, [*sizes[:2], (1, 10, 2)])


class TestRefusals:
    def test_numbers_of_inputs(self, tmp_path, trained):
        config, _, weights = trained("cyclegan")
        with pytest.raises(ConfigError, match=r"1 inputs' sizes .* 2 are needed .*netG_B 1"):
            export_networks(config, weights, [(1, 3, 8, 8)], tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_networks_that_are_not_there(self, tmp_path, trained):
        config, _, weights = trained("pix2pix", "export_model=[{name: netH, inputs_num: 1}]")
        with pytest.raises(ConfigError, match=r"no network 'netH', only netG, netD"):
            export_networks(config, weights, [(1, 3, 8, 8)], tmp_path)

    def test_weights_of_another_model(self, tmp_path, trained):
        config = trained("cyclegan")[0]
        _, _, other = trained("wav2lip")
        with pytest.raises(WeightsError, match="no network 'netG_A'"):
            export_networks(config, other, [(1, 3, 8, 8)] * 2, tmp_path)

    def test_sizes_that_the_network_does_not_take(self, tmp_path, trained):
        config, _, weights = trained("cyclegan")
        with pytest.raises(UserError, match=r"netG_A cannot be exported with inputs of 1 x 4 x 8"):
            export_networks(config, weights, [(1, 4, 8, 8)] * 2, tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())

    def test_a_model_without_a_generator(self, tmp_path, trained):
        config, _, weights = trained("syncnet")
        with pytest.raises(ConfigError, match=r"export_model names no network: .*syncnet"):
            export_networks(config, weights, [(1, 4, 8, 8)] * 2, tmp_path)


def test_the_command(tmp_path, trained, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, _, weights = trained("pix2pix")
    arguments = ["export", "-c", SMOKE / "pix2pix.yaml", "--weights", weights, "-s", "1,3,64,64"]
    assert cli.main([str(each) for each in arguments]) == 0
    path = f"inference_model/pix2pixmodel_netG.{GRAPH}"
    assert capsys.readouterr().out == f"pix2pixmodel_netG: {path}\n"
    assert cli.main([str(each) for each in [*arguments[:-1], "1,3"]]) == 2
    check_one_sentence(capsys, "cannot be exported with inputs of 1 x 3")


def test_sizes_that_are_not_of_pictures(tmp_path, trained):
    config, _, weights = trained("cyclegan")
    with pytest.raises(UserError, match="pictures have four sizes, such as 1,3,256,256") as caught:
        export_networks(config, weights, parse_sizes("1,3;1,3"), tmp_path / "out")
    assert "ValueError" not in str(caught.value)


@pytest.mark.parametrize("flag", ["-s", "--sizes"])
def test_sizes_may_begin_with_a_minus(flag, monkeypatch):
    found = []
    monkeypatch.setattr(export, "run", lambda args: found.append(args.sizes))
    command = ["export", "-c", "x.yaml", "--weights", "w", flag, "-1,3,64,64;1,2"]
    assert cli.main(command) == 0
    assert found == ["-1,3,64,64;1,2"]
