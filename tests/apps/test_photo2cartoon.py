# SPDX-License-Identifier: Apache-2.0
"""Photo2Cartoon from a photograph to a cartoon: weights, faces, masks, what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as imageio
import numpy as np
import paddle
import pytest
from PIL import Image
from skimage import data

from ppzoo import cli, registry
from ppzoo.apps import photo2cartoon
from ppzoo.apps.photo2cartoon import Photo2CartoonPredictor, moved
from ppzoo.errors import ConfigError, DataError, WeightsError
from ppzoo.faces.detector import Face
from ppzoo.media.image import write_image
from ppzoo.weights import write_pdparams

from ..runs import SMOKE, checkpoint_in, trained
from .face_pieces import RED, RedDetector, check_one_sentence, lying_picture, picture_with_faces

ONE = picture_with_faces((100, 80, 140, 130))
TINY = {
    "name": "ResnetUGATITP2CGenerator",
    "input_nc": 3,
    "output_nc": 3,
    "ngf": 4,
    "img_size": 64,  # which shapes tell of the full version alone
    "n_blocks": 1,
    "light": False,
}


def random_state(spec: dict[str, Any]) -> dict[str, np.ndarray]:
    paddle.seed(1)
    net = registry.build(registry.GENERATORS, spec)
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "photo2cartoon.pdparams"
    write_pdparams(path, random_state(TINY))
    return path


@pytest.fixture(autouse=True)
def red_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo2cartoon, "build_detector", lambda *args: RedDetector())


@pytest.fixture
def predictor(weights: Path, tmp_path: Path) -> Photo2CartoonPredictor:
    return Photo2CartoonPredictor(tmp_path / "out", weights, mask="grabcut", backend="dynamic")


def test_run_returns_and_writes_what_paddlegan_does(
    predictor: Photo2CartoonPredictor, tmp_path: Path
) -> None:
    result = predictor.run(ONE)
    assert result.shape == (64, 64, 3)
    assert result.dtype == np.uint8
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["p2c_cartoon.png", "p2c_photo.png"]
    np.testing.assert_array_equal(imageio.imread(tmp_path / "out/p2c_cartoon.png"), result)
    photo = imageio.imread(tmp_path / "out/p2c_photo.png")
    assert photo.shape == (64, 64, 3)
    assert (photo[30:34, 30:34] == RED).all()
    np.testing.assert_array_equal(predictor.run(ONE), result)
    assert predictor.backends == {"detector": "red", "mask": "grabcut", "generator": "dynamic"}


def test_the_background_is_white_before_and_after_the_generator(
    predictor: Photo2CartoonPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def invert(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return -x

    alpha = np.zeros((64, 64), np.float32)
    alpha[16:48], alpha[25:30, 25:30] = 1, 0.5
    monkeypatch.setattr(predictor, "_run", invert)
    monkeypatch.setattr(predictor.segmenter, "_alpha", lambda image, face: alpha)
    (cartoon,) = predictor.cartoonise(ONE)
    (x,) = seen
    assert x.shape == (1, 3, 64, 64)
    assert x.dtype == np.float32
    white = cartoon.photo * alpha[..., None] + 255 * (1 - alpha[..., None])
    np.testing.assert_allclose(x[0].transpose(1, 2, 0), white / 127.5 - 1, atol=1e-6)
    assert (cartoon.cartoon[:16] == 255).all()
    assert (cartoon.cartoon[48:] == 255).all()
    solid = alpha == 1
    np.testing.assert_allclose(cartoon.cartoon[solid], 255.0 - cartoon.photo[solid], atol=1)
    half = cartoon.cartoon[25:30, 25:30]
    expected = 127.5 + (255 - white[25:30, 25:30]) / 2
    np.testing.assert_allclose(half, expected, atol=1)
    np.testing.assert_array_equal(cartoon.alpha, alpha)


def test_mask_knows_where_the_face_went(predictor: Photo2CartoonPredictor) -> None:
    seen = []
    segment = predictor.segmenter.segment
    predictor.segmenter.segment = lambda image, face: (
        seen.append((image, face)) or segment(image, face)
    )
    predictor.cartoonise(ONE)
    ((image, face),) = seen
    red = np.argwhere((image == RED).all(-1))
    (y1, x1), (y2, x2) = red.min(0), red.max(0) + 1
    np.testing.assert_allclose(face.box, (x1, y1, x2, y2), atol=3)
    assert face.roll == pytest.approx(0)


def test_moved_face_with_landmarks() -> None:
    face = Face((10, 20, 30, 60), 0.5, np.array([[15.0, 30.0], [25.0, 30.0]]), roll=30.0)
    # Twice as large, a quarter turn clockwise, and 100 to the right.
    result = moved(face, np.array([[0, -2, 100], [2, 0, 0]]))
    # Edges of pixels lie half a pixel before their middles: (39.5, 19.5) goes to (21, 39).
    x, y = 21.5, 39.5
    np.testing.assert_allclose(result.box, (x - 20, y - 40, x + 20, y + 40))
    np.testing.assert_allclose(result.landmarks, [[41.5, 29.5], [41.5, 49.5]])
    assert result.roll == pytest.approx(120)


def test_beyond_the_picture_is_white(predictor: Photo2CartoonPredictor) -> None:
    (cartoon,) = predictor.cartoonise(picture_with_faces((0, 0, 60, 70)))
    for picture in (cartoon.photo, cartoon.cartoon):
        assert (picture[:5] == 255).all()
        assert (picture[:, :5] == 255).all()
    assert (cartoon.alpha[:5] == 0).all()


class TestFaces:
    BOTH = picture_with_faces((10, 20, 60, 80), (150, 60, 240, 160))

    def test_largest_or_which_one_or_all(
        self, predictor: Photo2CartoonPredictor, tmp_path: Path
    ) -> None:
        both = predictor.run(self.BOTH, face="all")
        assert both.shape == (2, 64, 64, 3)
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names == [
            *("p2c_cartoon.png", "p2c_cartoon_1.png", "p2c_photo.png", "p2c_photo_1.png"),
        ]
        np.testing.assert_array_equal(imageio.imread(tmp_path / "out/p2c_cartoon_1.png"), both[1])
        np.testing.assert_array_equal(predictor.run(self.BOTH), both[0])
        np.testing.assert_array_equal(predictor.run(self.BOTH, face=1), both[1])
        first, second = predictor.cartoonise(self.BOTH, "all")
        assert first.face.box == (150, 60, 240, 160)
        assert second.face.box == (10, 20, 60, 80)

    def test_none(self, predictor: Photo2CartoonPredictor, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no face in the picture \(300 x 200 pixels"):
            predictor.run(picture_with_faces())
        with pytest.raises(DataError, match="no face 2 in the picture: it shows 2 faces"):
            predictor.run(self.BOTH, face=2)
        with pytest.raises(ConfigError, match="face is 'both'"):
            predictor.run(self.BOTH, face="both")
        assert not (tmp_path / "out").exists()


class TestPictures:
    def test_kinds(self, predictor: Photo2CartoonPredictor, tmp_path: Path) -> None:
        expected = predictor.run(ONE)
        lying_picture(ONE, tmp_path / "turned.png")
        alpha = np.dstack([ONE, np.full(ONE.shape[:2], 255, np.uint8)])
        write_image(tmp_path / "alpha.png", alpha)
        for image in (
            Image.fromarray(ONE),
            alpha,
            tmp_path / "alpha.png",
            str(tmp_path / "turned.png"),
            ONE.astype(np.uint16) << 8,
        ):
            np.testing.assert_array_equal(predictor.run(image), expected)

    def test_transparent_parts_are_white(self, predictor: Photo2CartoonPredictor) -> None:
        alpha = np.dstack([ONE, 255 * (ONE == RED).all(-1).astype(np.uint8)])
        (cartoon,) = predictor.cartoonise(alpha)
        assert {tuple(colour) for colour in cartoon.photo[::50, ::50].reshape(-1, 3)} <= {
            (255, 0, 0),
            (255, 255, 255),
        }

    def test_grey_and_16_bit(self, weights: Path, tmp_path: Path) -> None:
        predictor = Photo2CartoonPredictor(None, weights, mask="grabcut", backend="dynamic")
        grey = data.astronaut()[:256, 100:356].mean(-1).astype(np.uint8)
        Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
        predictor.detector._detect = lambda images: [[Face((74, 65, 175, 166), 1.0)]]
        first, second = predictor.run(grey), predictor.run(tmp_path / "deep.png")
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("size", [(1, 1), (8, 5), (3000, 4000)])
    def test_tiny_and_huge(self, predictor: Photo2CartoonPredictor, size: tuple[int, int]) -> None:
        with pytest.raises(DataError, match=f"no face in the picture .{size[1]} x {size[0]}"):
            predictor.run(np.zeros((*size, 3), np.uint8))
        height, width = size
        box = (width // 3, height // 3, max(1, width // 2), max(1, height // 2))
        picture = picture_with_faces(box, size=size)
        assert predictor.run(picture).shape == (64, 64, 3)

    def test_files_that_cannot_be_read(
        self, predictor: Photo2CartoonPredictor, tmp_path: Path
    ) -> None:
        (tmp_path / "text.png").write_text("hello")
        with pytest.raises(DataError, match=r"text\.png is not an image file"):
            predictor.run(tmp_path / "text.png")
        with pytest.raises(DataError, match="there is no image file"):
            predictor.run("nope.png")


class TestWeights:
    def test_generator_is_recognised_by_its_shapes(self, tmp_path: Path) -> None:
        for change in ({}, {"ngf": 8, "n_blocks": 2}, {"light": True, "img_size": 256}):
            spec = TINY | change
            write_pdparams(tmp_path / "w.pdparams", random_state(spec))
            predictor = Photo2CartoonPredictor(None, tmp_path / "w.pdparams", backend="dynamic")
            assert predictor.size == spec["img_size"]
            assert predictor.run(ONE).shape == (spec["img_size"], spec["img_size"], 3)

    def test_checkpoint_of_a_training_and_its_averaged_weights(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("run")
        run = trained("ugatit_photo2cartoon", folder, "total_iters=1").run_dir
        path = checkpoint_in(run)
        predictor = Photo2CartoonPredictor(None, path, backend="dynamic")
        assert predictor.size == 32  # what the config beside it says
        assert predictor.run(ONE).shape == (32, 32, 3)

        averaged = {name: 2 * value for name, value in random_state(TINY).items()}
        nets = {"genA2B": random_state(TINY), "genA2B_ema": averaged, "genB2A": {}}
        file = path.with_name("other") / "x.pdparams"
        write_pdparams(file, nets)
        predictor = Photo2CartoonPredictor(None, file, backend="dynamic")
        loaded = predictor.generator.state_dict()["conv1x1.weight"].numpy()
        np.testing.assert_array_equal(loaded, averaged["conv1x1.weight"])

    def test_weights_of_something_else(self, tmp_path: Path, weights: Path) -> None:
        write_pdparams(tmp_path / "w.pdparams", {"a": np.zeros(3, np.float32)})
        with pytest.raises(WeightsError, match=r"holds no generator of Photo2Cartoon.*--config"):
            Photo2CartoonPredictor(None, tmp_path / "w.pdparams")
        config = SMOKE / "dcgan.yaml"
        with pytest.raises(WeightsError, match="does not fit the network"):
            Photo2CartoonPredictor(None, weights, config=config)
        with pytest.raises(WeightsError, match="there is no weights file"):
            Photo2CartoonPredictor(None, tmp_path / "nope.pdparams")

    def test_official_weights_are_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
        monkeypatch.setattr("ppzoo.download._PAUSE", 0)
        with pytest.raises(WeightsError, match=r"photo2cartoon_genA2B_weight\.pdparams"):
            Photo2CartoonPredictor(None)


def test_a_real_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    weights = tmp_path / "w.pdparams"
    write_pdparams(weights, random_state(TINY | {"light": True}))
    predictor = Photo2CartoonPredictor(
        None, weights, detector="cascade", mask="grabcut", backend="dynamic"
    )
    monkeypatch.setattr(predictor, "_run", lambda x: x)  # a generator that changes nothing
    astronaut = data.astronaut()
    # Leaning by 20 degrees, she is turned upright again.
    turn = cv2.getRotationMatrix2D((124, 115), -20, 1)
    head = astronaut[:250, 100:350]
    leaning = cv2.warpAffine(head, turn, (250, 250), borderMode=cv2.BORDER_REPLICATE)
    for picture, tolerance in ((astronaut, 4), (leaning, 9)):
        (cartoon,) = predictor.cartoonise(picture)
        assert abs(cartoon.face.roll - (0 if picture is astronaut else 20)) < tolerance
        assert cartoon.backends["detector"] == "cascade"
        # The face is in the middle and solid, the upper corners are white.
        assert cartoon.alpha[90:180, 90:166].mean() > 0.97
        assert (cartoon.cartoon[:20, :20] > 250).all()
        assert (cartoon.cartoon[:20, -20:] > 250).all()
        assert 0.25 < cartoon.alpha.mean() < 0.8
        solid = cartoon.alpha == 1
        np.testing.assert_allclose(cartoon.cartoon[solid], cartoon.photo[solid], atol=1)


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_image("in/a.png", ONE)
        write_image("in/sub/b.png", TestFaces.BOTH)
        write_image("none.png", picture_with_faces())

    def predict(self, weights: Path, *arguments: str) -> int:
        options = ["--weights", str(weights), "--mask", "grabcut", "--backend", "dynamic"]
        return cli.main(["predict", "photo2cartoon", *options, *arguments])

    def test_file(self, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.predict(weights, "--input", "in/a.png") == 0
        out, err = capsys.readouterr()
        assert out == f"cartoon: {Path('output/p2c_cartoon.png')}\n"
        assert err == "detector: red, mask: grabcut, generator: dynamic\n"
        assert imageio.imread("output/p2c_photo.png").shape == (64, 64, 3)

    def test_folder(self, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_image("in/none.png", picture_with_faces())
        capsys.readouterr()
        arguments = ("--input", "in", "--output", "out", "--face", "all")
        assert self.predict(weights, *arguments) == 2
        assert "no face in in/none.png" in capsys.readouterr().err
        assert self.predict(weights, *arguments, "--on-error", "skip") == 0
        assert capsys.readouterr().out == "3 cartoons: out\n"
        found = sorted(path.as_posix() for path in Path("out").rglob("*cartoon*.png"))
        assert found == ["out/a_cartoon.png", "out/sub/b_cartoon.png", "out/sub/b_cartoon_1.png"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--input", "none.png"], r"no face in none\.png"),
            (["--input", "in/a.png", "--face", "1"], "it shows one face"),
            (["--input", "nope"], "no file or folder nope"),
            (["--input", "in/a.png", "--output", "blocked"], "cannot write blocked"),
            (["--input", "in/a.png", "--mask-weights", "x"], "'grabcut' has no network"),
            (["--input", "p2c_photo.png", "--output", "."], "would replace the picture p2c_photo"),
            (["--input", "in/a.png", "--device", "gpu"], "built for CPUs only"),
        ],
    )
    def test_mistake_is_one_sentence(
        self,
        weights: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ) -> None:
        Path("blocked").write_text("mine")
        write_image("p2c_photo.png", ONE)
        before = Path("p2c_photo.png").read_bytes()
        assert self.predict(weights, *arguments) == 2
        check_one_sentence(capsys, message)
        assert not Path("output").exists()
        assert not Path("p2c_cartoon.png").exists()
        assert Path("p2c_photo.png").read_bytes() == before
