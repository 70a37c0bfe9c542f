# SPDX-License-Identifier: Apache-2.0
"""Chains on the command line: which steps, whose weights, films and pictures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from ppzoo import cli, registry
from ppzoo.apps.edvr import EDVRPredictor
from ppzoo.apps.films import EachFrame
from ppzoo.apps.realsr import RealSRPredictor
from ppzoo.apps.restore import STEPS, StepOptions, build_step, files_of_steps, step_names
from ppzoo.errors import UserError
from ppzoo.media.image import read_image, write_image
from ppzoo.media.video import VideoReader, probe, read_audio
from ppzoo.weights import write_pdparams

from ..media.video.clips import make_film, tone
from .test_edvr import saved, scene

RRDB = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1, "gc": 2}
NTSC = Fraction(30000, 1001)


@pytest.fixture
def weights(tmp_path):
    """Weights of both steps, as the command line is given them."""
    import ppzoo.networks.rrdb  # noqa: F401  (registers the network)

    net = registry.build(registry.GENERATORS, RRDB)
    for parameter in net.parameters():
        parameter.set_value(parameter * 3)
    path = tmp_path / "weights" / "realsr.pdparams"
    path.parent.mkdir()
    write_pdparams(path, {key: value.numpy() for key, value in net.state_dict().items()})
    return {"edvr": saved(path.parent / "edvr.pdparams"), "realsr": path}


def predict(source, target, steps, weights=(), *more):
    arguments = ["--input", source, "--output", target, "--steps", *steps]
    given = [f"{name}={path}" for name, path in dict(weights).items()]
    arguments += ["--weights", *given] if given else []
    arguments += ["--backend", "dynamic", *more]
    return cli.main(["predict", "restore", *map(str, arguments)])


class TestChain:
    def test_a_film_goes_through_both_networks_in_one_pass(self, tmp_path, weights, capsys):
        frames = scene(0, 6, (12, 16))
        make_film(tmp_path / "old.mp4", pictures=frames, fps=NTSC, sound=(tone(0.2), 0))
        assert predict(tmp_path / "old.mp4", tmp_path / "new.mp4", ["edvr,realsr"], weights) == 0
        said = capsys.readouterr()
        assert said.out == f"film: {tmp_path / 'new.mp4'}\n"
        assert "16 x 12 became 256 x 192 pixels; 6 frames at 30000/1001 a second" in said.err
        assert "network: edvr: ppzoo's layers (dynamic)" in said.err
        assert "network: realsr: ppzoo's layers (dynamic)" in said.err
        info = probe(tmp_path / "new.mp4")
        assert (info.width, info.height, info.fps, info.frame_count) == (256, 192, NTSC, 6)
        assert np.abs(read_audio(tmp_path / "new.mp4")).max() > 0.3
        assert sorted(p.name for p in tmp_path.iterdir()) == ["new.mp4", "old.mp4", "weights"]

    def test_it_is_what_the_predictors_make_one_after_the_other(self, tmp_path, weights):
        make_film(tmp_path / "old.mp4", pictures=scene(0, 4, (12, 16)))
        more = ["--frames", tmp_path / "frames"]
        predict(tmp_path / "old.mp4", tmp_path / "new.mp4", ["EDVR", "RealSR"], weights, *more)
        first = EDVRPredictor(weight_path=weights["edvr"], backend="dynamic")
        second = RealSRPredictor(weight_path=weights["realsr"], backend="dynamic")
        with VideoReader(tmp_path / "old.mp4") as reader:
            right = [second.upscale(frame) for frame in first.stream(iter(reader))]
        found = [read_image(path) for path in sorted((tmp_path / "frames").iterdir())]
        np.testing.assert_array_equal(found, right)

    def test_the_order_counts(self, tmp_path, weights):
        make_film(tmp_path / "old.mp4", pictures=scene(0, 2, (4, 8)))
        for name, steps in (("a", "edvr,realsr"), ("b", "realsr,edvr")):
            more = ["--frames", tmp_path / name]
            assert predict(tmp_path / "old.mp4", tmp_path, [steps], weights, *more) == 0
        first, second = (read_image(tmp_path / name / "00000000.png") for name in "ab")
        assert first.shape == second.shape == (64, 128, 3)
        assert not np.array_equal(first, second)
        assert (tmp_path / "old_restored.mp4").exists()

    def test_scenes_are_told(self, tmp_path, weights, capsys):
        dark = [frame // 4 for frame in scene(1, 5, (12, 16))]
        make_film(tmp_path / "old.mp4", pictures=scene(0, 5, (12, 16)) + dark, fps=10)
        assert (
            predict(tmp_path / "old.mp4", tmp_path / "new.mp4", ["edvr"], weights_of(weights)) == 0
        )
        assert "2 scenes, which begin also at 0:00.50" in capsys.readouterr().err
        more = ["--ignore-cuts"]
        predict(tmp_path / "old.mp4", tmp_path / "new.mp4", ["edvr"], weights_of(weights), *more)
        assert "scenes" not in capsys.readouterr().err

    def test_a_damaged_film_is_told(self, tmp_path, weights, capsys):
        random = np.random.default_rng(0)
        pictures = list(random.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8))
        make_film(tmp_path / "old.mkv", pictures=pictures)
        data = (tmp_path / "old.mkv").read_bytes()
        (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
        only = {"realsr": weights["realsr"]}
        assert predict(tmp_path / "cut.mkv", tmp_path / "new.mkv", ["realsr"], only) == 0
        said = capsys.readouterr().err
        assert "note: " in said
        assert "cut.mkv" in said
        assert 3 < probe(tmp_path / "new.mkv").frame_count < 30


def weights_of(weights, name="edvr"):
    return {name: weights[name]}


class TestPictures:
    def test_transparency_survives_two_steps(self, tmp_path, weights):
        picture = np.random.default_rng(0).integers(0, 256, (6, 9, 4), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "old.png")
        only = weights_of(weights, "realsr")
        assert predict(tmp_path / "old.png", tmp_path / "new.png", ["realsr,realsr"], only) == 0
        made = Image.open(tmp_path / "new.png")
        assert (made.mode, made.size) == ("RGBA", (144, 96))
        predictor = RealSRPredictor(weight_path=weights["realsr"], backend="dynamic")
        right = predictor.run_image(predictor.run_image(tmp_path / "old.png"))
        np.testing.assert_array_equal(np.array(made), np.array(right))
        assert sorted(p.name for p in tmp_path.iterdir()) == ["new.png", "old.png", "weights"]

    def test_into_a_folder(self, tmp_path, weights, capsys):
        write_image(tmp_path / "old.jpg", np.zeros((5, 7, 3), np.uint8))
        only = weights_of(weights, "realsr")
        assert predict(tmp_path / "old.jpg", tmp_path / "new", ["RealSR"], only) == 0
        path = tmp_path / "new" / "old_restored.png"
        assert capsys.readouterr().out == f"picture: {path}\n"
        assert read_image(path).shape == (20, 28, 3)

    def test_edvr_needs_a_film(self, tmp_path, capsys):
        write_image(tmp_path / "old.png", np.zeros((5, 7, 3), np.uint8))
        # Before it looks for weights, which are not there.
        assert predict(tmp_path / "old.png", tmp_path / "new.png", ["realsr,edvr"]) == 2
        error = capsys.readouterr().err
        assert "old.png is a picture, and edvr needs a film" in error
        assert "realsr, esrgan take pictures" in error

    def test_the_picture_itself_is_not_replaced(self, tmp_path, capsys):
        write_image(tmp_path / "old.png", np.zeros((5, 7, 3), np.uint8))
        before = (tmp_path / "old.png").read_bytes()
        # Before it looks for weights, which are not there.
        assert predict(tmp_path / "old.png", tmp_path / "old.png", ["realsr,esrgan"]) == 2
        assert "would replace the picture" in capsys.readouterr().err
        assert (tmp_path / "old.png").read_bytes() == before

    def test_what_is_for_films_only(self, tmp_path, weights, capsys):
        write_image(tmp_path / "old.png", np.zeros((5, 7, 3), np.uint8))
        only = weights_of(weights, "realsr")
        more = ["--seconds", "1"]
        assert predict(tmp_path / "old.png", tmp_path / "b.png", ["realsr"], only, *more) == 2
        assert "--seconds is for films" in capsys.readouterr().err
        assert predict(tmp_path / "old.png", tmp_path / "b.mp4", ["realsr"], only) == 2
        assert "b.mp4: end its name in .png" in capsys.readouterr().err

    def test_an_animated_gif_is_a_film(self, tmp_path, weights):
        pages = [Image.fromarray(frame) for frame in scene(0, 4, (12, 16))]
        pages[0].save(
            tmp_path / "old.gif", save_all=True, append_images=pages[1:], duration=100, loop=0
        )
        only = weights_of(weights, "realsr")
        assert predict(tmp_path / "old.gif", tmp_path / "new.mp4", ["realsr"], only) == 0
        assert probe(tmp_path / "new.mp4").frame_count == 4


class TestSteps:
    def test_names(self):
        assert step_names(["edvr,realsr"]) == ["edvr", "realsr"]
        assert step_names(["EDVR", "RealSR"]) == ["edvr", "realsr"]
        assert step_names(["edvr, realsr,", "esrgan"]) == ["edvr", "realsr", "esrgan"]

    def test_unknown_names(self):
        with pytest.raises(UserError, match="no step 'sharpen': steps are edvr, realsr, esrgan"):
            step_names(["edvr,sharpen"])
        with pytest.raises(UserError, match="PaddleGAN has the step DAIN, ppzoo does not"):
            step_names(["DAIN", "EDVR"])
        with pytest.raises(UserError, match="names no step"):
            step_names([","])

    def test_files(self):
        names = ["edvr", "realsr"]
        texts = ["edvr=a=b.pdparams", "RealSR=c"]
        assert files_of_steps("--weights", texts, names) == {
            "edvr": "a=b.pdparams",
            "realsr": "c",
        }
        assert files_of_steps("--weights", ["c"], ["realsr"]) == {"realsr": "c"}
        assert files_of_steps("--weights", ["x=c"], ["realsr", "realsr"]) == {"realsr": "x=c"}
        assert files_of_steps("--weights", [], names) == {}

    @pytest.mark.parametrize("text", ["a.pdparams", "esrgan=a", "edvr="])
    def test_files_of_no_step(self, text):
        with pytest.raises(UserError, match=r"write --weights edvr=FILE"):
            files_of_steps("--weights", [text], ["edvr", "realsr"])

    def test_two_files_of_a_step(self):
        with pytest.raises(UserError, match="gives the step edvr two files, a and b"):
            files_of_steps("--weights", ["edvr=a", "edvr=b"], ["edvr", "realsr"])

    def test_all_steps_can_be_chained(self, weights):
        for name in STEPS:
            path = weights["edvr" if name == "edvr" else "realsr"]
            options = StepOptions(weights=path, tile=80, backend="dynamic", bs=2, find_cuts=False)
            step = build_step(name, options)
            assert (step.name, step.scale, step.tile) == (name, 4, 80)
            if not STEPS[name][2]:
                assert (step.bs, step.find_cuts) == (2, False)
            frames = list(map(np.ascontiguousarray, scene(0, 2, (8, 8))))
            stream = getattr(step, "stream", None)
            stream = stream or EachFrame(name, step.scale, step.upscale).stream
            assert np.array(list(stream(iter(frames)))).shape == (2, 32, 32, 3)


def test_errors_come_before_any_weights(tmp_path, capsys):
    assert predict(tmp_path / "gone.mp4", tmp_path / "new.mp4", ["edvr"]) == 2
    assert "there is no video file" in capsys.readouterr().err
    make_film(tmp_path / "old.mp4", count=2)
    assert predict(tmp_path / "old.mp4", tmp_path / "old.mp4", ["edvr"]) == 2
    assert "would replace the film" in capsys.readouterr().err
    assert predict(tmp_path / "old.mp4", tmp_path / "new.png", ["edvr"]) == 2
    assert "end its name in .mp4" in capsys.readouterr().err
