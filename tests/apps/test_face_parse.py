# SPDX-License-Identifier: Apache-2.0
"""Face parsing from a picture to colours: the face, the crop, what is returned and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image
from skimage import data

from ppzoo import cli
from ppzoo.apps import face_parse
from ppzoo.apps.face_parse import FaceParsePredictor, cut_out
from ppzoo.errors import DataError, WeightsError
from ppzoo.faces import parsing
from ppzoo.faces.detector import Face
from ppzoo.faces.parsing import COLOURS, FaceParser, colourise
from ppzoo.media.image import write_image

from ..faces.pieces import write_bisenet
from .face_pieces import RedDetector, check_one_sentence, lying_picture, picture_with_faces

ONE = picture_with_faces((100, 80, 140, 130))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bisenet(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def parser(weights: Path) -> FaceParser:
    return FaceParser(weights)


@pytest.fixture(autouse=True)
def quick(weights: Path, parser: FaceParser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build the network once, and let it look at small pictures; test_parsing.py has the truth."""

    def built(*args: Any) -> FaceParser:
        is_known = [str(arg) for arg in args] == [str(weights), "paddlegan", "None", "paddlegan"]
        return parser if is_known else FaceParser(*args)

    monkeypatch.setattr(parsing, "_SIZE", 64)
    monkeypatch.setattr(face_parse, "FaceParser", built)
    monkeypatch.setattr(face_parse, "build_detector", lambda *args: RedDetector())


@pytest.fixture
def predictor(weights: Path, tmp_path: Path) -> FaceParsePredictor:
    return FaceParsePredictor(tmp_path / "out", weight_path=weights)


def test_run_returns_and_writes_the_colours(predictor: FaceParsePredictor, tmp_path: Path) -> None:
    result = predictor.run(ONE)
    assert result.shape == (256, 256, 3)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(imageio.imread(tmp_path / "out/face_parse.png"), result)
    classes = predictor.parse(ONE)
    assert classes.shape == (256, 256)
    np.testing.assert_array_equal(colourise(classes), result)
    np.testing.assert_array_equal(predictor.run(ONE), result)  # the same each time
    assert predictor.backends == {"detector": "red", "parser": "paddlegan: BiSeNet"}


def test_classes_are_those_of_the_crop(
    predictor: FaceParsePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def parse(image: np.ndarray) -> np.ndarray:
        seen.append(image)
        classes = np.zeros(image.shape[:2], np.uint8)
        classes[(image[..., 0] > 128)] = 10
        classes[:256, :256][image[:256, :256, 0] <= 128] = 17
        return classes

    monkeypatch.setattr(predictor.parser, "parse", parse)
    classes = predictor.parse(ONE)
    assert seen[0].shape == (512, 512, 3)
    # No class between two others: 17 and 0 side by side do not make 8 or 9.
    assert set(np.unique(classes)) == {0, 10, 17}
    # The box is 40 x 50 pixels, the crop 50 + 0.706 * 50 + 0.235 * 50 = 97.
    assert np.isclose((classes == 10).mean(), 40 * 50 / 97**2, rtol=0.05)


def test_no_face_is_none_and_nothing_is_written(
    predictor: FaceParsePredictor, tmp_path: Path
) -> None:
    assert predictor.run(picture_with_faces()) is None
    assert predictor.parse(picture_with_faces()) is None
    assert predictor.run(ONE, face=1) is None
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="there is no image file"):
        predictor.run(tmp_path / "nope.png")


def test_many_faces(predictor: FaceParsePredictor) -> None:
    both = picture_with_faces((10, 20, 60, 80), (150, 60, 240, 160))
    faces = predictor.parse_all(both)
    assert len(faces) == 2
    for index, (photo, classes) in enumerate(faces):
        assert photo.shape == (256, 256, 3)
        np.testing.assert_array_equal(predictor.parse(both, face=index), classes)
    assert faces[0][0][128, 128].tolist() == [255, 0, 0]
    with pytest.raises(DataError, match="no face in the picture"):
        predictor.parse_all(picture_with_faces())


def test_kinds_of_pictures(predictor: FaceParsePredictor, tmp_path: Path) -> None:
    expected = predictor.parse(ONE)
    alpha = np.dstack([ONE, np.full(ONE.shape[:2], 255, np.uint8)])
    lying_picture(ONE, tmp_path / "turned.png")
    for image in (
        Image.fromarray(ONE),
        ONE.astype(np.uint16) << 8 | 255,
        alpha,
        tmp_path / "turned.png",
    ):
        np.testing.assert_array_equal(predictor.parse(image), expected)


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 1, 1), (1, 1)),
        ((-50, -50, 400, 300), (200, 300)),
        ((250, 150, 299, 199), (200, 300)),
        ((0, 300, 40, 380), (400, 40)),
        ((900, 900, 950, 950), (200, 300)),
    ],
)
def test_crops_at_the_border(box: tuple[float, float, float, float], size: tuple[int, int]) -> None:
    crop = cut_out(np.zeros((*size, 3), np.uint8), Face(box, 1.0))
    assert crop.shape[0] == crop.shape[1]
    assert 1 <= crop.shape[0] <= min(size)


def test_crop_leaves_paddlegans_room() -> None:
    image = np.zeros((1000, 1000, 3), np.uint8)
    image[..., 0], image[..., 1] = np.mgrid[:1000, :1000] // 4
    crop = cut_out(image, Face((400, 500, 480, 600), 1.0))
    top, bottom = 500 - 100 * 0.6 / 0.85, 600 + 100 * 0.2 / 0.85
    assert crop.shape[0] == pytest.approx(bottom - top, abs=1)
    assert 4 * int(crop[0, 0, 0]) == pytest.approx(top, abs=4)
    assert 4 * int(crop[0, :, 1].mean()) == pytest.approx(440, abs=6)


def test_legend_beside_the_picture(weights: Path, tmp_path: Path) -> None:
    predictor = FaceParsePredictor(tmp_path, weight_path=weights, with_legend=True)
    result = predictor.run(ONE)
    assert result.shape == (256, 256, 3)
    written = imageio.imread(tmp_path / "face_parse.png")
    assert written.shape[0] >= 256
    assert written.shape[1] > 3 * 256
    np.testing.assert_array_equal(written[:256, 256:512], result)
    classes = np.unique(predictor.parse(ONE))
    names = {tuple(colour) for colour in written[:, 768:].reshape(-1, 3)}
    assert {tuple(COLOURS[index]) for index in classes} <= names


def test_nothing_is_written_without_a_folder(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert FaceParsePredictor(None, weight_path=weights).run(ONE) is not None
    assert list(tmp_path.iterdir()) == []


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_image("in/a.png", ONE)
        write_image("in/b.png", picture_with_faces((10, 20, 60, 80), (150, 60, 240, 160)))

    def test_file(self, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["--input", "in/a.png", "--weights", str(weights), "--legend"]
        assert cli.main(["predict", "faceparse", *arguments]) == 0
        out, err = capsys.readouterr()
        assert out == f"parts: {Path('output/face_parse.png')}\n"
        assert err == "detector: red, parser: paddlegan: BiSeNet\n"
        assert imageio.imread("output/face_parse.png").shape[1] > 768

    def test_folder(self, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["--input", "in", "--weights", str(weights), "--face", "all"]
        assert cli.main(["predict", "faceparse", *arguments, "--output", "out"]) == 0
        assert capsys.readouterr().out == "3 faces: out\n"
        names = sorted(path.name for path in Path("out").iterdir())
        assert names == ["a_parse.png", "b_parse.png", "b_parse_1.png"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--input", "nope"], "no file or folder nope"),
            (["--input", "in/none.png"], r"no face in in/none\.png"),
            (["--input", "in", "--face", "1"], r"no face 1 in in/a\.png: it shows one face"),
            (["--input", "in/a.png", "--model", "bisenetv2"], "for the face parser 'paddleseg'"),
            (["--input", "in/a.png", "--output", "blocked"], "cannot write blocked"),
            (["--input", "in/face_parse.png", "--output", "in"], "would replace the picture in"),
            (["--input", "in/a.png", "--weights", "nope"], "there is no weights file nope"),
        ],
    )
    def test_mistake_is_one_sentence(
        self,
        weights: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ) -> None:
        write_image("in/none.png", picture_with_faces())
        write_image("in/face_parse.png", ONE)
        Path("blocked").write_text("mine")
        assert cli.main(["predict", "faceparse", "--weights", str(weights), *arguments]) == 2
        check_one_sentence(capsys, message)
        assert not Path("output").exists()
        assert Path("blocked").read_text() == "mine"


def test_a_real_face(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(parsing, "_SIZE", 64)
    predictor = FaceParsePredictor(None, weight_path=weights, detector="cascade")
    ((photo, _),) = predictor.parse_all(data.astronaut())
    # The astronaut's face, at rows 65 to 166 and columns 174 to 275, with room above.
    expected = data.astronaut()[0:190, 130:320].mean((0, 1))
    np.testing.assert_allclose(photo.mean((0, 1)), expected, atol=15)


def test_official_weights_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
    monkeypatch.setattr("ppzoo.download._PAUSE", 0)
    with pytest.raises(WeightsError, match=r"bisenet\.pdparams"):
        FaceParsePredictor(None)
