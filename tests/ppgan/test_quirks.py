# SPDX-License-Identifier: Apache-2.0
"""What became of PaddleGAN's quirks, docs/migrating.md: those that no other test shows."""

from __future__ import annotations

import os
import weakref

import numpy as np
import pytest

from ppgan.models.generators.builder import build_generator
from ppzoo import cli
from ppzoo.apps import firstorder
from ppzoo.apps.firstorder import FirstOrderPredictor
from ppzoo.apps.wav2lip import Wav2LipPredictor
from ppzoo.config import load_config
from ppzoo.errors import ConfigError, NotHereYetError, UserError
from ppzoo.weights import manifest, write_pdparams

from ..apps.motion_pieces import SIZE, driver, pattern, saved
from ..apps.test_wav2lip import arrays_of, network, picture
from ..media.video.clips import make_film, make_sound, tone
from ..runs import SMOKE, make_trainer, trained


class TestPredictors:
    def test_the_driving_film_is_not_held(self, tmp_path, monkeypatch):
        film = tmp_path / "driver.mp4"
        make_film(film, fps=25, pictures=driver(24))
        alive, most = weakref.WeakSet(), []

        class Frame(np.ndarray):
            """An array that can be counted."""

            __hash__ = object.__hash__

        frames = firstorder._Clip.frames

        def counted(clip):
            for frame in frames(clip):
                made = frame.copy().view(Frame)
                alive.add(made)
                yield made
                del made, frame
                most.append(len(alive))

        monkeypatch.setattr(firstorder._Clip, "frames", counted)
        predictor = FirstOrderPredictor(
            tmp_path,
            saved(tmp_path / "tiny.pdparams"),
            relative=True,
            find_best_frame=True,
            image_size=SIZE,
            batch_size=2,
            slice_size=1000,
            whole=True,
            backend="dynamic",
            progress=False,
        )
        predictor.run(pattern(40, 40), film)
        assert len(most) == 48  # once for the best frame, once for the result
        assert max(most) <= 6  # three batches

    def test_nothing_is_written_beside_the_result(self, tmp_path, monkeypatch):
        weights, film, sound = (tmp_path / name for name in ("w.pdparams", "f.mp4", "s.wav"))
        write_pdparams(weights, arrays_of(network()))
        box = (8, 24, 10, 34)
        make_film(film, pictures=[picture(box)] * 4, fps=25)
        make_sound(sound, tone(0.16, 440.0))
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        Wav2LipPredictor(weights, box=box, backend="dynamic", progress=False).run(
            film, sound, "out/talks.mp4"
        )
        assert [path.name for path in here.rglob("*") if path.is_file()] == ["talks.mp4"]

    def test_a_predictor_that_is_not_here_says_so_on_import(self):
        with pytest.raises(
            NotHereYetError, match=r"AnimeGANPredictor of PaddleGAN yet: \w+"
        ) as caught:
            from ppgan.apps import AnimeGANPredictor  # noqa: F401
        assert isinstance(caught.value, ImportError)
        assert isinstance(caught.value, UserError)


class TestScripts:
    def test_overrides_are_never_run(self, tmp_path):
        proof = tmp_path / "proof"
        for value in (f"__import__('os').mkdir({os.fspath(proof)!r})", "10*2"):
            with pytest.raises(ConfigError, match="total_iters: should be a valid integer"):
                load_config(SMOKE / "lsgan.yaml", [f"total_iters={value}"])
        assert not proof.exists()

    def test_evaluating_needs_weights(self, tmp_path, capsys):
        output = f"output_dir={tmp_path}"
        arguments = ["-c", str(SMOKE / "lsgan.yaml"), "--evaluate-only", "-o", output]
        assert cli.main_tool(arguments) == 2
        assert "evaluating needs weights: give them with --load FILE" in capsys.readouterr().err

    def test_flags_that_did_nothing_do_something(self, tmp_path, capsys):
        flags = ["--no-cuda", "--val-interval", "7", "--dry-run"]
        assert cli.main_tool(["-c", str(SMOKE / "lsgan.yaml"), *flags]) == 0
        printed = capsys.readouterr().out
        assert "\ndevice: cpu\n" in printed
        assert "\nvalidate:\n  interval: 7\n" in printed


def test_a_resumed_run_has_its_own_folder(tmp_path):
    first = trained("lsgan", tmp_path, "total_iters=1")
    (checkpoint,) = first.run_dir.glob("*_checkpoint.pdparams")
    second = make_trainer("lsgan", tmp_path, "total_iters=2")
    second.resume(checkpoint)
    second.fit()
    assert second.run_dir != first.run_dir
    assert checkpoint.exists()
    assert [path.name for path in second.run_dir.glob("*_weight.pdparams")] == [
        "iter_2_weight.pdparams"
    ]


def test_builders_leave_their_mapping_alone():
    cfg = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1}
    before = dict(cfg)
    assert type(build_generator(cfg)).__name__ == "RRDBNet"
    assert cfg == before


def test_no_weights_in_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
    places = [manifest.cached_path(name) for name in manifest.OFFICIAL]
    assert len(places) > 60
    assert {place.parent for place in places} == {tmp_path / "weights"}
