# SPDX-License-Identifier: Apache-2.0
"""Scripts with the flags of PaddleGAN's `applications/tools`: their parsers, results, refusals."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from skimage import data

import ppgan.apps
from ppzoo import cli, registry
from ppzoo.apps.edvr import EDVRPredictor
from ppzoo.apps.realsr import RealSRPredictor
from ppzoo.faces import parsing
from ppzoo.media.image import read_image, write_image
from ppzoo.media.video import VideoReader, probe
from ppzoo.weights import write_pdparams
from tools.paddlegan_scripts import truth

from ..apps.face_pieces import check_one_sentence
from ..apps.motion_pieces import networks
from ..apps.motion_pieces import saved as saved_motion
from ..apps.test_edvr import saved as saved_edvr
from ..apps.test_edvr import scene
from ..faces.pieces import write_bisenet
from ..media.video.clips import make_film, make_sound, tone
from ..runs import ROOT, script

# Of each flag its kind and default, as PaddleGAN has them.
YES, NO, SWITCH = "sets", "unsets", "may have a value"
FLAGS = {
    "first-order-demo": {
        "config": (str, None),
        "weight_path": (str, None),
        "source_image": (str, None),
        "driving_video": (str, None),
        "output": (str, "output"),
        "filename": (str, "result.mp4"),
        "relative": (YES, False),
        "adapt_scale": (YES, False),
        "find_best_frame": (YES, False),
        "best_frame": (int, None),
        "cpu": (YES, False),
        "xpu": (YES, False),
        "ratio": (float, 0.4),
        "face_detector": (str, "sfd"),
        "multi_person": (YES, False),
        "image_size": (int, 256),
        "batch_size": (int, 1),
        "face_enhancement": (YES, False),
        "mobile_net": (YES, False),
        "slice_size": (int, 0),
    },
    "wav2lip": {
        "checkpoint_path": (str, None),
        "audio": (str, None),
        "face": (str, None),
        "outfile": (str, "results/result_voice.mp4"),
        "static": (SWITCH, False),
        "fps": (float, 25.0),
        "pads": ([int], [0, 10, 0, 0]),
        "face_det_batch_size": (int, 16),
        "wav2lip_batch_size": (int, 128),
        "resize_factor": (int, 1),
        "crop": ([int], [0, -1, 0, -1]),
        "box": ([int], [-1, -1, -1, -1]),
        "rotate": (YES, False),
        "nosmooth": (YES, False),
        "cpu": (YES, False),
        "face_detector": (str, "sfd"),
        "face_enhancement": (YES, False),
    },
    "video-enhance": {
        "input": (str, None),
        "output": (str, "output"),
        "process_order": ([str], "none"),
        "DAIN_weight": (str, None),
        "DeepRemaster_weight": (str, None),
        "DeOldify_weight": (str, None),
        "RealSR_weight": (str, None),
        "EDVR_weight": (str, None),
        "PPMSVSR_weight": (str, None),
        "PPMSVSRLarge_weight": (str, None),
        "BasicVSR_weight": (str, None),
        "IconVSR_weight": (str, None),
        "BasiVSRPlusPlus_weight": (str, None),
        "time_step": (float, 0.5),
        "remove_duplicates": (SWITCH, False),
        "reference_dir": (str, None),
        "colorization": (YES, False),
        "mindim": (int, 360),
        "artistic": (YES, False),
        "render_factor": (int, 32),
        "num_frames": (int, 10),
        "cpu": (YES, False),
    },
    "face_parse": {"input_image": (str, None), "cpu": (YES, False)},
    "styleganv2": {
        "output_path": (str, "output_dir"),
        "weight_path": (str, None),
        "model_type": (str, None),
        "seed": (int, None),
        "size": (int, 1024),
        "style_dim": (int, 512),
        "n_mlp": (int, 8),
        "channel_multiplier": (int, 2),
        "n_row": (int, 3),
        "n_col": (int, 5),
        "cpu": (YES, False),
    },
    "animeganv2": {
        "input_image": (str, None),
        "output_path": (str, "output_dir"),
        "weight_path": (str, None),
        "use_adjust_brightness": (NO, True),
        "cpu": (YES, False),
    },
}
OURS = {"first-order-demo": {"whole"}}
REQUIRED = {"wav2lip": {"audio", "face"}}
NONE = ("--checkpoint_path", "none.pdparams")  # weights that are not there
VALUES = {str: "text", int: "7", float: "0.25"}


def run(name, *arguments):
    module = script(name)
    return cli.run_script(module.build_parser(), module.run, [str(each) for each in arguments])


def run_apart(name, *arguments, cwd):
    command = [sys.executable, ROOT / "tools" / f"{name}.py", *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in a folder of its own, with no official weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def portrait():
    """A picture of a face, 320 x 320; the face is in the upper half of it."""
    return np.ascontiguousarray(data.astronaut()[:320, 80:400])


class TestFlags:
    @pytest.mark.parametrize("name", FLAGS)
    def test_defaults_are_paddlegans(self, name):
        required = sorted(REQUIRED.get(name, ()))
        given = [part for flag in required for part in (f"--{flag}", "x")]
        found = vars(script(name).build_parser().parse_args(given))
        facts = FLAGS[name]
        assert found.keys() - OURS.get(name, set()) == facts.keys()
        defaults = {flag: default for flag, (_, default) in facts.items()}
        assert found == found | defaults | dict.fromkeys(required, "x")
        if required:
            with pytest.raises(SystemExit):
                script(name).build_parser().parse_args([])

    @pytest.mark.parametrize(
        ("name", "flag"), [(name, flag) for name, flags in FLAGS.items() for flag in flags]
    )
    def test_a_flag_takes_what_it_takes_in_paddlegan(self, name, flag):
        kind, default = FLAGS[name][flag]
        parser = script(name).build_parser()
        given = [part for each in REQUIRED.get(name, ()) for part in (f"--{each}", "x")]

        def parsed(*values):
            return getattr(parser.parse_args([*given, f"--{flag}", *values]), flag)

        if kind in (YES, NO, SWITCH):
            assert parsed() is (kind != NO)
            assert default is (kind == NO)
        elif isinstance(kind, list):
            assert parsed(*[VALUES[kind[0]]] * 4) == [kind[0](VALUES[kind[0]])] * 4
        else:
            value = parsed(VALUES[kind])
            assert type(value) is kind
            assert value == kind(VALUES[kind])

    def test_a_switch_means_what_it_says(self, capsys):
        parser = script("wav2lip").build_parser()

        def parsed(*values):
            return parser.parse_args(["--audio", "a", "--face", "f", *values]).static

        words = {"True": True, "1": True, "yes": True, "False": False, "0": False, "no": False}
        words |= {"true": True, "NO": False}
        assert {word: parsed("--static", word) for word in words} == words
        with pytest.raises(SystemExit):
            parsed("--static", "perhaps")
        assert "expected True or False, got 'perhaps'" in capsys.readouterr().err
        with pytest.raises(argparse.ArgumentTypeError):
            truth("")

    def test_the_misspelt_flag_of_the_first_releases(self):
        parser = script("video-enhance").build_parser()
        assert parser.parse_args(["--proccess_order", "EDVR"]).process_order == ["EDVR"]


class TestFirstOrder:
    @pytest.fixture
    def files(self, tmp_path, portrait):
        write_image(tmp_path / "source.png", portrait)
        frames = [np.roll(portrait, 2 * i, axis=1) for i in range(6)]
        rate = Fraction(30000, 1001)
        make_film(tmp_path / "driver.mp4", fps=rate, pictures=frames, sound=(tone(0.2), 0))
        saved_motion(tmp_path / "tiny.pdparams", *networks())
        return ("--source_image", "source.png", "--driving_video", "driver.mp4", "--cpu")

    def test_a_face_is_found_and_moves(self, tmp_path, files, portrait):
        options = ("--weight_path", "tiny.pdparams", "--image_size", 32, "--relative")
        more = ("--adapt_scale", "--face_detector", "cascade", "--batch_size", 4)
        done = run_apart("first-order-demo", *files, *options, *more, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "film: output/result.mp4\n"), done.stderr
        assert "faces: cascade" in done.stderr
        info = probe(tmp_path / "output" / "result.mp4")
        assert (info.frame_count, info.fps) == (6, Fraction(30000, 1001))
        assert (info.width, info.height, info.has_audio) == (320, 320, True)
        frame = next(iter(VideoReader(tmp_path / "output" / "result.mp4"))).astype(int)
        changed = np.abs(frame - portrait).mean(axis=2)
        # The face is drawn anew, at the bottom the picture is as it was.
        assert changed[70:160, 100:190].mean() > 20
        assert changed[-8:].mean() < 4

    def test_options_reach_the_predictor(self, files, monkeypatch, capsys):
        given = {}

        def noted(**options):
            given.update(options)
            raise KeyboardInterrupt

        monkeypatch.setitem(vars(ppgan.apps), "FirstOrderPredictor", noted)
        more = ("--config", "c.yaml", "--weight_path", "w", "--output", "o", "--filename", "f.mp4")
        more += ("--relative", "--adapt_scale", "--find_best_frame", "--best_frame", 3)
        more += ("--ratio", 0.7, "--face_detector", "blazeface", "--multi_person", "--whole")
        more += ("--image_size", 512, "--batch_size", 2, "--face_enhancement", "--mobile_net")
        assert run("first-order-demo", *files, *more, "--slice_size", 9) == 130
        assert given == {
            "config": "c.yaml",
            "weight_path": "w",
            "output": "o",
            "filename": "f.mp4",
            "relative": True,
            "adapt_scale": True,
            "find_best_frame": True,
            "best_frame": 3,
            "ratio": 0.7,
            "face_detector": "blazeface",
            "multi_person": True,
            "image_size": 512,
            "batch_size": 2,
            "face_enhancement": True,
            "mobile_net": True,
            "slice_size": 9,
            "whole": True,
            "device": "cpu",
        }

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ((), r"--source_image FILE is missing"),
            (("--source_image", "none.png"), r"there is no file none\.png \(--source_image\)"),
            (("--source_image", "source.png"), r"--driving_video FILE is missing"),
            (("--xpu",), r"--xpu is not available"),
            (("--source_image", "."), r"\. is a folder: give a file \(--source_image\)"),
        ],
    )
    def test_what_is_missing(self, files, options, message, capsys):
        assert run("first-order-demo", *options) == 2
        check_one_sentence(capsys, message)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--face_detector", "dlib"), r"no face detector 'dlib': choose one of"),
            (("--config", "nope.yaml"), r"nope\.yaml"),
            (("--config", "other.yaml"), r"other\.yaml describes no First Order Motion"),
            (("--source_image", "driver.mp4"), r"driver\.mp4"),
            (("--driving_video", "source.png"), r"source\.png"),
        ],
    )
    def test_mistakes_are_told_before_weights_are_looked_for(
        self, tmp_path, files, options, message, capsys
    ):
        (tmp_path / "other.yaml").write_bytes((ROOT / "configs/dcgan_mnist.yaml").read_bytes())
        assert run("first-order-demo", *files, *options) == 2
        check_one_sentence(capsys, message)

    def test_the_official_weights_are_not_to_be_had(self, files, capsys):
        assert run("first-order-demo", *files) == 2
        check_one_sentence(capsys, "first_order_vox")

    def test_no_face_says_what_to_do(self, tmp_path, files, capsys):
        write_image(tmp_path / "grey.png", np.full((64, 64, 3), 99, np.uint8))
        options = ("--weight_path", "tiny.pdparams", "--image_size", 32)
        more = ("--source_image", "grey.png", "--face-detector", "cascade")
        assert run("first-order-demo", *files, *options, *more) == 2
        check_one_sentence(capsys, r"no face in grey\.png .*--whole")
        assert not (tmp_path / "output").exists()
        assert run("first-order-demo", *files, *options, *more, "--whole") == 0
        assert probe("output/result.mp4").frame_count == 6


class TestWav2Lip:
    @pytest.fixture
    def files(self, tmp_path, portrait):
        import ppzoo.lipsync.wav2lip  # noqa: F401  (registers the network)

        net = registry.build(registry.GENERATORS, {"name": "Wav2Lip", "ngf": 2})
        write_pdparams("tiny.pdparams", {k: v.numpy() for k, v in net.state_dict().items()})
        make_film(tmp_path / "talk.mp4", fps=25, pictures=[portrait] * 4)
        make_sound(tmp_path / "speech.wav", tone(0.4))
        return ("--face", "talk.mp4", "--audio", "speech.wav", "--checkpoint_path", "tiny.pdparams")

    def test_the_folder_is_made_and_the_film_is_as_long_as_the_sound(self, tmp_path, files, capsys):
        detector = ("--face_detector", "cascade", "--cpu", "--nosmooth")
        assert run("wav2lip", *files, *detector) == 0
        outfile = "results/result_voice.mp4"
        assert capsys.readouterr().out == f"film: {outfile}\n"
        info = probe(tmp_path / outfile)
        assert (info.frame_count, info.fps, info.has_audio) == (10, 25, True)
        assert (info.width, info.height) == (320, 320)
        before = next(iter(VideoReader(tmp_path / "talk.mp4"))).astype(int)
        after = np.stack(list(VideoReader(tmp_path / outfile))).astype(int)
        changed = np.abs(after - before).mean(axis=(0, 3))
        assert changed[90:150, 110:180].mean() > 15
        assert changed[-8:].mean() < 4
        assert not (tmp_path / "temp").exists()  # where PaddleGAN leaves its scratch

    def test_options_reach_the_predictor(self, files, monkeypatch):
        given = {}

        def noted(**options):
            given.update(options)
            raise KeyboardInterrupt

        monkeypatch.setitem(vars(ppgan.apps), "Wav2LipPredictor", noted)
        more = ("--static", "--fps", 30, "--pads", 1, 2, 3, 4, "--face_det_batch_size", 2)
        more += ("--wav2lip_batch_size", 5, "--resize_factor", 2, "--crop", 0, 9, 0, 8)
        more += ("--box", 1, 5, 2, 6, "--rotate", "--nosmooth", "--face_detector", "blazeface")
        assert run("wav2lip", *files, *more, "--face_enhancement") == 130
        assert given == {
            "checkpoint_path": "tiny.pdparams",
            "static": True,
            "fps": 30.0,
            "pads": [1, 2, 3, 4],
            "face_det_batch_size": 2,
            "wav2lip_batch_size": 5,
            "resize_factor": 2,
            "crop": [0, 9, 0, 8],
            "box": [1, 5, 2, 6],
            "rotate": True,
            "nosmooth": True,
            "face_detector": "blazeface",
            "face_enhancement": True,
            "device": None,
        }

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--face", "none.mp4"), r"there is no file none\.mp4 \(--face\)"),
            (("--audio", "none.wav"), r"there is no file none\.wav \(--audio\)"),
            (("--outfile", "talk.mp4"), r"would replace the film talk\.mp4"),
            (("--outfile", "new.avi"), r"cannot be written as new\.avi"),
            (("--checkpoint_path", "none.pdparams"), r"no weights file none\.pdparams"),
            (("--pads", "1", "2"), r"pads is \[1, 2\], expected four numbers"),
            (("--face_enhancement",), r"face_enhancement needs GFPGAN.*predict restore"),
            (("--face", "speech.wav", *NONE), r"speech\.wav"),
            (("--audio", "tiny.pdparams", *NONE), r"tiny\.pdparams"),
            (("--face_detector", "dlib", *NONE), r"no face detector 'dlib': choose one of"),
        ],
    )
    def test_refusals_are_one_sentence(self, files, options, message, capsys):
        assert run("wav2lip", *files, *options) == 2
        check_one_sentence(capsys, message)


class TestVideoEnhance:
    @pytest.fixture
    def files(self, tmp_path):
        import ppzoo.networks.rrdb  # noqa: F401  (registers the network)

        spec = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1, "gc": 2}
        net = registry.build(registry.GENERATORS, spec)
        write_pdparams("sr.pdparams", {k: v.numpy() for k, v in net.state_dict().items()})
        saved_edvr(tmp_path / "edvr.pdparams")
        make_film(tmp_path / "old.mp4", fps=Fraction(30000, 1001), pictures=scene(0, 3))
        weights = ("--RealSR_weight", "sr.pdparams", "--EDVR_weight", "edvr.pdparams")
        return ("--input", "old.mp4", *weights, "--cpu")

    def test_a_film_goes_through_both_and_paths_are_told(self, files, capsys):
        assert run("video-enhance", *files, "--process_order", "RealSR", "EDVR") == 0
        first = "output/RealSR/old"
        assert capsys.readouterr().out.splitlines() == [
            "Model RealSR process start..",
            f"Model RealSR output frames path: {first}/frames_pred/%08d.png",
            f"Model RealSR output video path: {first}/old_realsr_out.mp4",
            "Model RealSR process done!",
            "Model EDVR process start..",
            "Model EDVR output frames path: output/EDVR/old_realsr_out/frames_pred/%08d.png",
            "Model EDVR output video path: output/EDVR/old_realsr_out_edvr_out.mp4",
            "Model EDVR process done!",
        ]
        info = probe("output/EDVR/old_realsr_out_edvr_out.mp4")
        assert (info.width, info.height, info.frame_count) == (24 * 16, 16 * 16, 3)
        assert info.fps == Fraction(30000, 1001)
        frame = read_image("output/EDVR/old_realsr_out/frames_pred/00000002.png")
        assert frame.shape == (16 * 16, 24 * 16, 3)

    def test_all_weights_are_found_before_the_first_network_runs(self, tmp_path, files, capsys):
        more = ("--process_order", "RealSR", "EDVR", "--EDVR_weight", "none.pdparams")
        assert run("video-enhance", *files, *more) == 2
        check_one_sentence(capsys, r"no weights file none\.pdparams")
        assert not (tmp_path / "output").exists()

    def test_a_picture_by_realsr(self, tmp_path, files, capsys):
        write_image(tmp_path / "old.png", scene(1, 1)[0])
        more = ("--input", "old.png", "--process_order", "RealSR", "--output", "new")
        assert run("video-enhance", *files, *more) == 0
        assert "output frames path: new/RealSR/old.png\n" in capsys.readouterr().out
        assert read_image("new/RealSR/old.png").shape == (64, 96, 3)

    @pytest.mark.parametrize(
        ("order", "message"),
        [
            ((), r"there is nothing to do: name networks by --process_order"),
            (
                ("--process_order", "EDVR", "edvr"),
                r"--process_order edvr: expected names out of RealSR, EDVR$",
            ),
        ],
    )
    def test_orders_that_cannot_be(self, tmp_path, files, order, message, capsys):
        assert run("video-enhance", *files, *order) == 2
        check_one_sentence(capsys, message)
        assert not (tmp_path / "output").exists()

    @pytest.mark.parametrize("name", script("video-enhance").STEPS)
    def test_the_whole_order_is_looked_at_first(self, tmp_path, files, name, capsys):
        here = {"EDVR": EDVRPredictor, "RealSR": RealSRPredictor}
        if name in here:
            assert script("video-enhance").chosen([name]) == [(name, here[name])]
            return
        assert run("video-enhance", *files, "--process_order", "EDVR", name) == 2
        check_one_sentence(capsys, rf"does not have .*{name}Predictor of PaddleGAN yet: ")
        assert not (tmp_path / "output").exists()


class TestFaceParse:
    def test_the_parts_of_a_face(self, tmp_path, portrait, capsys, monkeypatch):
        monkeypatch.setattr(parsing, "_SIZE", 64)
        write_bisenet(tmp_path / "home" / "weights")
        write_image(tmp_path / "face.png", portrait)
        write_image(tmp_path / "grey.png", portrait * 0 + 90)
        assert run("face_parse", "--input_image", "face.png", "--cpu") == 0
        assert capsys.readouterr().out == "parts: output/face_parse.png\n"
        assert read_image("output/face_parse.png").shape == (256, 256, 3)
        assert run("face_parse", "--input_image", "grey.png") == 2
        check_one_sentence(capsys, r"no face in grey\.png \(looked for by 'cascade'\)")

    def test_a_picture_is_read_before_weights(self, tmp_path, capsys):
        (tmp_path / "x.png").write_bytes(b"no picture")
        assert run("face_parse", "--input_image", "x.png") == 2
        check_one_sentence(capsys, r"x\.png")

    def test_no_picture(self, capsys):
        assert run("face_parse") == 2
        check_one_sentence(capsys, "--input_image FILE is missing")


class TestNotHereYet:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("styleganv2", r"does not have .*StyleGANv2Predictor of PaddleGAN yet: "),
            ("animeganv2", r"does not have .*AnimeGANPredictor of PaddleGAN yet: "),
        ],
    )
    def test_one_sentence_says_so(self, tmp_path, name, message, capsys):
        assert run(name) == 2
        check_one_sentence(capsys, message)
        assert not list(tmp_path.iterdir())
