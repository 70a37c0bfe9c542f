# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's predictors as its notebooks use them: arguments, results, files."""

from __future__ import annotations

import inspect
import io
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import paddle
import pytest
from PIL import Image

from ppgan import apps
from ppzoo import registry
from ppzoo.errors import UserError
from ppzoo.faces import parsing
from ppzoo.media.image import write_image
from ppzoo.media.video import probe
from ppzoo.weights import manifest, write_pdparams

from ..apps import motion_pieces
from ..apps.face_pieces import RedDetector, picture_with_faces
from ..faces.pieces import write_bisenet
from ..media.video.clips import make_film, make_sound, tone

# What PaddleGAN's constructors take, in this order, and its defaults; what `run` takes.
SIGNATURES = {
    "FirstOrderPredictor": (
        {
            "output": "output",
            "weight_path": None,
            "config": None,
            "relative": False,
            "adapt_scale": False,
            "find_best_frame": False,
            "best_frame": None,
            "ratio": 1.0,
            "filename": "result.mp4",
            "face_detector": "sfd",
            "multi_person": False,
            "image_size": 256,
            "face_enhancement": False,
            "batch_size": 1,
            "mobile_net": False,
            "slice_size": 0,
        },
        {"run": ["source_image", "driving_video"]},
    ),
    "Wav2LipPredictor": (
        {
            "checkpoint_path": None,
            "static": False,
            "fps": 25,
            "pads": [0, 10, 0, 0],
            "face_det_batch_size": 16,
            "wav2lip_batch_size": 128,
            "resize_factor": 1,
            "crop": [0, -1, 0, -1],
            "box": [-1, -1, -1, -1],
            "rotate": False,
            "nosmooth": False,
            "face_detector": "sfd",
            "face_enhancement": False,
        },
        {"run": ["face", "audio_seq", "outfile"]},
    ),
    "EDVRPredictor": (
        {"output": "output", "weight_path": None, "bs": 1},
        {"run": ["video_path"]},
    ),
    "RealSRPredictor": (
        {"output": "output", "weight_path": None},
        {"run": ["input"], "run_image": ["img"], "run_video": ["video"]},
    ),
    "Photo2CartoonPredictor": (
        {"output_path": "output", "weight_path": None},
        {"run": ["image_path"]},
    ),
    "FaceParsePredictor": ({"output_path": "output"}, {"run": ["image"]}),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_paddlegans(name):
    predictor = getattr(apps, name)
    options, methods = SIGNATURES[name]
    parameters = list(inspect.signature(predictor).parameters.values())
    assert [p.name for p in parameters[: len(options)]] == list(options)
    for parameter, default in zip(parameters, options.values(), strict=False):
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        given = parameter.default
        assert (list(given) if isinstance(given, tuple) else given) == default
    more = parameters[len(options) :]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in more)
    for method, arguments in methods.items():
        found = list(inspect.signature(getattr(predictor, method)).parameters.values())[1:]
        assert [p.name for p in found[: len(arguments)]] == arguments
        assert all(p.default is not p.empty for p in found[len(arguments) :])


def test_every_predictor_is_compared():
    assert sorted(SIGNATURES) == apps.__all__


def state(spec):
    paddle.seed(3)
    net = registry.build(registry.GENERATORS, spec)
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, and an empty one for official weights."""
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def official(name, content):
    """Put weights where those that PaddleGAN publishes are kept."""
    path = manifest.cached_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pdparams(path, content)


def files(folder="output"):
    return sorted(path.as_posix() for path in Path(folder).rglob("*") if path.is_file())


class TestRealSR:
    @pytest.fixture(autouse=True)
    def weights(self, here):
        spec = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 8, "nb": 1, "gc": 4}
        official("realsr", state(spec))

    def test_pictures(self, here):
        photograph = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
        write_image("my.photo.png", photograph)
        sr = apps.RealSRPredictor()
        image, path = sr.run("my.photo.png")
        assert (image.mode, image.size) == ("RGB", (24, 32))
        assert path == "output/RealSR/my.png"
        np.testing.assert_array_equal(imageio.imread(path), np.asarray(image))
        for given in (photograph, Image.fromarray(photograph)):
            again, path = sr.run(given)
            assert path == "output/RealSR/result.png"
            np.testing.assert_array_equal(np.asarray(again), np.asarray(image))
            np.testing.assert_array_equal(np.asarray(sr.run_image(given)), np.asarray(image))
        assert files() == ["output/RealSR/my.png", "output/RealSR/result.png"]

    def test_films(self, here):
        make_film("old.mp4", pictures=[np.full((16, 24, 3), 90, np.uint8)] * 3, fps=25)
        frames, path = apps.RealSRPredictor(output="out").run("old.mp4")
        assert path == "out/RealSR/old/old_realsr_out.mp4"
        assert probe(path).frame_count == 3
        assert (probe(path).width, probe(path).height) == (96, 64)
        assert files("out") == sorted([path, *(frames % index for index in range(3))])


def test_edvr(here):
    spec = {"name": "EDVRNet", "nf": 8, "groups": 2, "front_RBs": 1, "back_RBs": 1}
    official("edvr", {"generator": state(spec)})
    make_film("old.mp4", pictures=[np.full((16, 24, 3), 90, np.uint8)] * 3, fps=25)
    frames, path = apps.EDVRPredictor(bs=2).run("old.mp4")
    assert frames == "output/EDVR/old/frames_pred/%08d.png"
    assert path == "output/EDVR/old_edvr_out.mp4"
    assert (probe(path).frame_count, probe(path).width) == (3, 96)
    assert [frames % index for index in range(3)] == [n for n in files() if n.endswith(".png")]


def test_photo2cartoon(here, monkeypatch):
    spec = {"name": "ResnetUGATITP2CGenerator", "input_nc": 3, "output_nc": 3, "ngf": 4}
    official("photo2cartoon", state(spec | {"img_size": 64, "n_blocks": 1, "light": False}))
    monkeypatch.setattr("ppzoo.apps.photo2cartoon.build_detector", lambda *args: RedDetector())
    write_image("me.png", picture_with_faces((100, 80, 140, 130)))
    predictor = apps.Photo2CartoonPredictor()
    cartoon = predictor.run(image_path="me.png")
    np.testing.assert_array_equal(predictor.run(io.BytesIO(Path("me.png").read_bytes())), cartoon)
    assert (cartoon.dtype, cartoon.ndim) == (np.uint8, 3)
    np.testing.assert_array_equal(imageio.imread("output/p2c_cartoon.png"), cartoon)
    assert files() == ["output/p2c_cartoon.png", "output/p2c_photo.png"]


def test_face_parse(here, monkeypatch):
    weights = manifest.cached_path("bisenet")
    weights.parent.mkdir(parents=True)
    write_bisenet(weights.parent)
    monkeypatch.setattr(parsing, "_SIZE", 64)
    monkeypatch.setattr("ppzoo.apps.face_parse.build_detector", lambda *args: RedDetector())
    write_image("me.png", picture_with_faces((100, 80, 140, 130)))
    write_image("none.png", picture_with_faces())
    predictor = apps.FaceParsePredictor()
    assert predictor.run("none.png") is None
    assert files() == []
    mask = predictor.run("me.png")
    assert (mask.shape, mask.dtype) == ((256, 256, 3), np.uint8)
    np.testing.assert_array_equal(imageio.imread("output/face_parse.png"), mask)


def test_first_order(here, monkeypatch):
    size = motion_pieces.SIZE
    weights = motion_pieces.saved(here / "vox.pdparams")
    found = motion_pieces.FakeDetector({(60, 44): [(14, 20, 30, 36)], (48, 64): [(20, 10, 40, 30)]})
    monkeypatch.setattr("ppzoo.apps.faces.build_detector", lambda name, weights: found)
    write_image("source.png", motion_pieces.pattern(60, 44))
    make_film("driving.mp4", pictures=motion_pieces.driver(4, (48, 64)), fps=25)
    animate = apps.FirstOrderPredictor(
        output="test_fom",
        filename="result.mp4",
        weight_path=str(weights),
        relative=True,
        adapt_scale=True,
        image_size=size,
    )
    animate.run("source.png", "driving.mp4")
    assert files("test_fom") == ["test_fom/result.mp4"]
    made = probe("test_fom/result.mp4")
    assert (made.frame_count, made.fps, made.width, made.height) == (4, 25, 44, 60)
    with pytest.raises(UserError, match="face_enhancement needs GFPGAN"):
        apps.FirstOrderPredictor(face_enhancement=True)


def test_wav2lip(here):
    official("wav2lip", state({"name": "Wav2Lip", "ngf": 2}))
    write_image("face.png", picture_with_faces(size=(48, 64)))
    make_sound(here / "speech.wav", tone(0.2, 440.0))
    predictor = apps.Wav2LipPredictor(fps=25, box=[8, 24, 10, 34], pads=[0, 0, 0, 0])
    predictor.run("face.png", "speech.wav", "results/talks.mp4")
    assert files("results") == ["results/talks.mp4"]
    made = probe("results/talks.mp4")
    assert (made.frame_count, made.width, made.height, made.has_audio) == (5, 64, 48, True)
