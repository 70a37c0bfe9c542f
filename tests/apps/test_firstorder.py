# SPDX-License-Identifier: Apache-2.0
"""First Order Motion on films: geometry, timing, sound, several faces, errors, the command line."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ppzoo import cli
from ppzoo.apps import firstorder
from ppzoo.apps.face_squares import cut, face_square
from ppzoo.apps.firstorder import FirstOrderPredictor, side_by_side
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.media.image import write_image
from ppzoo.media.video import VideoReader, probe, read_audio

from ..media.video.clips import make_film, tone
from ..runs import SMOKE
from .face_pieces import check_one_sentence
from .motion_pieces import SIZE, FakeDetector, driver, pattern, saved

SOURCE = (60, 44)  # height, width: upright
FACE = (14, 20, 30, 36)
PART = face_square(FACE, SOURCE)
FILM = (48, 64)
DRIVER = (20, 10, 40, 30)
BOXES = {SOURCE: [FACE], FILM: [DRIVER]}


@pytest.fixture
def weights(tmp_path):
    return saved(tmp_path / "tiny.pdparams")


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "driver 1.中文.mp4"
    make_film(path, fps=Fraction(30000, 1001), pictures=driver(7, FILM), sound=(tone(0.2), 0))
    return path


@pytest.fixture
def detector(monkeypatch):
    found = FakeDetector(dict(BOXES))
    monkeypatch.setattr("ppzoo.apps.faces.build_detector", lambda name, weights: found)
    return found


@pytest.fixture
def predictor(weights, detector):
    def build(**options):
        defaults = {"image_size": SIZE, "backend": "dynamic", "progress": False}
        return FirstOrderPredictor(weights.parent / "output", weights, **(defaults | options))

    return build


def frames_of(path):
    return np.stack(list(VideoReader(path)))


def made_frames(predictor, source, film):
    """The frames as they are given to the encoder."""
    frames = []

    class Writer(firstorder.VideoWriter):
        def write(self, frame):
            frames.append(frame.copy())
            super().write(frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(firstorder, "VideoWriter", Writer)
        predictor.run(source, film)
    return np.stack(frames)


class Painter:
    """Stands in for the generator: each source has a grey level of its own."""

    def __init__(self, animator):
        self.levels = {}
        animator.draw = self.draw

    def draw(self, still, points):
        level = self.levels.setdefault(id(still), 100 + 50 * len(self.levels))
        return np.full((len(points["value"]), SIZE, SIZE, 3), level, np.uint8)


class TestOptions:
    def test_options_are_checked(self, predictor):
        for options, message in (
            ({"face_enhancement": True}, "face_enhancement needs GFPGAN.*predict restore"),
            ({"best_frame": -1}, "best_frame is -1"),
            ({"ratio": 0}, "ratio is 0"),
            ({"detect_every": 0}, "detect_every is 0"),
            ({"batch_size": 0}, "batch_size is 0"),
            ({"image_size": 30}, "multiples of 8"),
        ):
            with pytest.raises(UserError, match=message):
                predictor(**options)
        predictor(slice_size=1000)


class TestFilm:
    def test_rate_length_size_and_sound(self, predictor, film):
        made = predictor()
        path = made.run(pattern(*SOURCE), film)
        assert path.endswith("result.mp4")
        info = probe(path)
        assert info.fps == Fraction(30000, 1001)
        assert info.frame_count == 7
        assert (info.width, info.height) == (44, 60)
        assert info.has_audio
        assert (made.film.frames, made.film.fps) == (7, Fraction(30000, 1001))
        assert np.abs(read_audio(path, 16000)).max() > 0.2

    def test_sound_can_be_left_out(self, predictor, film):
        assert not probe(predictor(keep_sound=False).run(pattern(*SOURCE), film)).has_audio

    def test_a_silent_film(self, predictor, tmp_path):
        make_film(tmp_path / "a.mp4", pictures=driver(2, FILM))
        assert not probe(predictor().run(pattern(*SOURCE), tmp_path / "a.mp4")).has_audio

    def test_odd_pictures_are_not_stretched(self, predictor, detector, film):
        detector.boxes[(61, 45)] = [FACE]
        made = predictor()
        frames = made_frames(made, pattern(61, 45), film)
        assert frames.shape == (7, 61, 45, 3)
        info = probe(made.film.path)
        assert (info.width, info.height) == made.film.size == (46, 62)

    @pytest.mark.parametrize("name", ["grey 16", "alpha", "turned"])
    def test_kinds_of_pictures(self, predictor, film, tmp_path, name):
        from PIL import Image

        picture = Image.fromarray(pattern(*SOURCE))
        path = tmp_path / f"{name}.中文.png"
        if name == "grey 16":
            Image.fromarray(np.full(SOURCE, 30000, np.uint16)).save(path)
        elif name == "alpha":
            picture.putalpha(128)
            picture.save(path)
        else:
            exif = Image.Exif()
            exif[0x0112] = 6  # to be turned by 90 degrees
            picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
        made = predictor()
        frames = made_frames(made, path, film)
        assert frames.shape == (7, *SOURCE, 3)

    @pytest.mark.parametrize("options", [{}, {"relative": True, "adapt_scale": True}])
    def test_batches_change_nothing(self, predictor, film, options):
        source = pattern(*SOURCE)
        one = made_frames(predictor(**options), source, film).astype(int)
        three = made_frames(predictor(batch_size=3, **options), source, film)
        assert np.abs(one - three).max() <= 1
        assert ((one - three) != 0).mean() < 1e-3
        assert (one[0] != one[6]).mean() > 0.01

    def test_only_the_face_changes_and_fades_into_the_picture(self, predictor, film):
        source = pattern(*SOURCE)
        made = predictor()
        Painter(made.animator)
        frame = made_frames(made, source, film)[0]
        outside = np.ones(SOURCE, bool)
        cut(outside, PART)[...] = False
        assert (frame[outside] == source[outside]).all()
        x1, y1, x2, y2 = PART
        assert (frame[y1 + 5 : y2 - 5, x1 + 5 : x2 - 5] == 100).all()

    def test_the_networks_see_both_faces_in_the_same_way(self, predictor, film):
        made, seen = predictor(), []
        still, keypoints = made.animator.still, made.animator.keypoints
        made.animator.still = lambda picture: seen.append(picture.copy()) or still(picture)
        made.animator.keypoints = lambda frames: seen.extend(frames) or keypoints(frames)
        source = pattern(*SOURCE)
        made.run(source, film)
        assert (seen[0] == cut(source, PART)).all()
        drivers = [cut(frame, face_square(DRIVER, FILM)) for frame in VideoReader(film)]
        assert len(seen) == 8
        assert all((one == other).all() for one, other in zip(seen[1:], drivers, strict=True))

    def test_the_models_are_loaded_once(self, predictor, film, monkeypatch):
        made = predictor()
        first = made_frames(made, pattern(*SOURCE), film)
        for name in ("load_animator", "detector_of_picture"):
            monkeypatch.setattr(firstorder, name, None)
        monkeypatch.setattr("ppzoo.apps.animation.read", None)
        assert (made_frames(made, pattern(*SOURCE), film) == first).all()

    def test_the_source_is_encoded_once(self, predictor, film):
        made, count = predictor(), []
        encode = made.animator.generator.encode
        made.animator.generator.encode = lambda x: count.append(x.shape) or encode(x)
        made.run(pattern(*SOURCE), film)
        assert count == [[1, 3, SIZE, SIZE]]

    def test_a_beginning(self, predictor, film, tmp_path):
        made = predictor().make(pattern(*SOURCE), film, tmp_path / "b.mp4", seconds=0.1)
        assert made.frames == probe(tmp_path / "b.mp4").frame_count == 3
        for seconds in (0, float("inf"), float("nan")):
            with pytest.raises(UserError, match=f"seconds is {seconds}"):
                predictor().make(pattern(*SOURCE), film, tmp_path / "c.mp4", seconds=seconds)


class TestPreview:
    def test_source_driver_and_result_are_side_by_side(self, predictor, film, tmp_path):
        preview = tmp_path / "preview.mp4"
        source = pattern(*SOURCE)
        made = predictor(preview=preview)
        Painter(made.animator)
        made.run(source, film)
        info = probe(preview)
        assert (info.frame_count, info.fps) == (7, Fraction(30000, 1001))
        assert (info.width, info.height) == (44 + 60 + 44, 60)
        assert info.has_audio
        frame = frames_of(preview)[0].astype(int)
        assert np.abs(frame[:, :44] - source).mean() < 25  # colours are stored coarsely
        assert (
            np.abs(frame[PART[1] + 8 : PART[3] - 8, 104 + PART[0] + 8 : 104 + 30] - 100).max() < 20
        )

    def test_it_is_no_higher_than_512_pixels(self):
        wide = np.zeros((1000, 500, 3), np.uint8)
        assert side_by_side(wide, wide[:300, :300], wide).shape == (512, 256 + 512 + 256, 3)

    def test_it_needs_a_name_of_its_own(self, predictor, film):
        made = predictor()
        made.preview = made.output / "result.mp4"
        with pytest.raises(UserError, match="give them two names"):
            made.run(pattern(*SOURCE), film)


class TestFaces:
    def test_the_largest_face_is_animated(self, predictor, detector, film):
        small, large = (4, 4, 12, 12), (20, 30, 36, 46)
        detector.boxes[SOURCE] = [small, large]
        made = predictor()
        Painter(made.animator)
        source = pattern(*SOURCE)
        changed = (made_frames(made, source, film)[0] != source).any(-1)
        assert changed[32:44, 22:34].all()
        assert not changed[:14].any()

    def test_only_the_film_is_looked_at_as_films_are(self, predictor, detector, film):
        frames = FakeDetector({FILM: [DRIVER]})
        detector.boxes = {SOURCE: [FACE]}
        detector.for_films = lambda: frames
        predictor().run(pattern(*SOURCE), film)
        assert (detector.seen, frames.seen) == (1, 2)

    def test_all_faces_each_in_front_of_its_own_background(self, predictor, detector, film):
        large, small = (10, 20, 26, 36), (26, 22, 38, 34)
        detector.boxes[SOURCE] = [small, large, (11, 21, 26, 35)]  # and one that is there twice
        made = predictor(multi_person=True, ratio=0.5)
        Painter(made.animator)
        source = pattern(*SOURCE)
        frame = made_frames(made, source, film)[0]
        assert (frame[26:30, 14:22] == 100).all()  # the larger one comes first
        assert (frame[26:30, 31:34] == 150).all()
        assert len(np.unique(frame[28])) > 3
        corner = cut(frame, face_square(large, SOURCE))[0, 0]
        assert (corner == cut(source, face_square(large, SOURCE))[0, 0]).all()
        assert made.film.problems == (
            "there are 2 faces in the picture, and all of them move (multi_person)",
        )

    def test_no_face_anywhere(self, predictor, detector, film, tmp_path):
        detector.boxes[SOURCE] = []
        write_image(tmp_path / "a tree.png", pattern(*SOURCE))
        made = predictor()
        with pytest.raises(DataError, match=r"no face in .*a tree\.png \(44 x 60.*--whole"):
            made.run(tmp_path / "a tree.png", film)
        assert not made.output.exists()

    def test_the_whole_picture(self, predictor, detector, film):
        made = predictor(whole=True)
        Painter(made.animator)
        assert (made_frames(made, pattern(50, 70), film) == 100).all()
        assert detector.seen == 0
        assert made.film.problems == (
            "the picture is 70 x 50 pixels: the networks see it squeezed into a square",
            "the middle of the driving film is taken, 48 x 48 of 64 x 48 pixels",
        )

    def test_a_driver_without_a_face(self, predictor, detector, film, tmp_path):
        detector.boxes[FILM] = []
        made = predictor()
        made.run(pattern(*SOURCE), film)
        assert made.film.problems == (
            "there is no face in the driving film: its middle is taken, 48 x 48 of 64 x 48 pixels",
        )
        make_film(tmp_path / "square.mp4", pictures=driver(2, (48, 48)))
        made.run(pattern(*SOURCE), tmp_path / "square.mp4")
        assert made.film.problems == ()

    def test_detection_every_nth_frame(self, predictor, detector, film):
        predictor(detect_every=3).run(pattern(*SOURCE), film)
        assert detector.seen == 1 + 3

    def test_looks_at_a_long_film_are_spread(self, predictor, detector, film, monkeypatch):
        monkeypatch.setattr(firstorder, "_MOST_LOOKS", 2)
        predictor(detect_every=1).run(pattern(*SOURCE), film)
        assert detector.seen == 1 + 2

    def test_missing_weights_say_what_to_do(self, weights, monkeypatch):
        def missing(name, weight_path):
            raise WeightsError("the weights 's3fd' are missing")

        monkeypatch.setattr("ppzoo.apps.faces.build_detector", missing)
        with pytest.raises(WeightsError, match=r"'s3fd' are missing. Or .*--face-detector cascade"):
            FirstOrderPredictor(weight_path=weights, image_size=SIZE)


class TestBestFrame:
    def test_it_is_the_one_posed_as_the_source(self, predictor, detector, film):
        # A source that is the driver's fifth frame.
        made = predictor(relative=True, find_best_frame=True, batch_size=2)
        frames = list(VideoReader(film))
        detector.boxes[FILM] = [DRIVER]
        starts = []
        moved = made.animator.moved
        made.animator.moved = lambda *args, **kw: starts.append(args[2]) or moved(*args, **kw)
        made.run(frames[4], film)
        expected = made.animator.keypoints([cut(frames[4], face_square(DRIVER, FILM))])
        assert starts[0]["value"] == pytest.approx(expected["value"], abs=1e-6)
        assert made.film.problems == ("motion starts from the best frame, 4, counted from 0",)

    def test_a_given_frame(self, predictor, film):
        source = pattern(*SOURCE)
        third = made_frames(predictor(relative=True, best_frame=3), source, film)
        made = predictor()
        crops = [cut(frame, face_square(DRIVER, FILM)) for frame in VideoReader(film)]
        expected = list(
            made.animator.animate(cut(source, PART), crops, adapt_scale=False, initial=crops[3])
        )
        inside = (slice(PART[1] + 4, PART[3] - 4), slice(PART[0] + 4, PART[2] - 4))
        assert PART[2] - PART[0] == SIZE
        for frame, patch in zip(third, expected, strict=True):
            assert np.abs(frame[inside].astype(int) - patch[4:-4, 4:-4]).max() <= 1
        first = made_frames(predictor(relative=True), source, film)
        assert (first != third).any()

    def test_it_must_be_in_the_film(self, predictor, film):
        with pytest.raises(
            UserError, match=r"best_frame is 7, but the driving film .*中文\.mp4 ends"
        ):
            predictor(relative=True, best_frame=7).run(pattern(*SOURCE), film)

    def test_absolute_motion_has_none(self, predictor, film):
        made = predictor(find_best_frame=True, adapt_scale=True)
        made.run(pattern(*SOURCE), film)
        assert [note.split(" is of account")[0] for note in made.film.problems] == [
            "the best frame",
            "adapt_scale",
        ]


class TestCommand:
    def arguments(self, tmp_path, weights, film, *more):
        source = tmp_path / "source 1.中文.png"
        write_image(source, pattern(*SOURCE))
        options = ["--source", source, "--driving", film, "--weights", weights, *more]
        options += ["--output", tmp_path / "results", "--image-size", SIZE, "--backend", "dynamic"]
        return ["predict", "firstorder", *map(str, options)]

    def test_it_makes_a_film(self, tmp_path, weights, film, detector, capsys):
        preview = tmp_path / "p.mp4"
        arguments = self.arguments(tmp_path, weights, film, "--preview", preview, "--batch-size", 4)
        assert cli.main(arguments) == 0
        result = tmp_path / "results" / "source 1.中文_firstorder.mp4"
        assert probe(result).frame_count == 7
        assert probe(result).has_audio
        assert probe(preview).frame_count == 7
        output, errors = capsys.readouterr()
        assert str(result) in output + errors
        assert "frames/s" in errors
        assert "adapt_scale" not in errors

    def test_options_reach_the_predictor(self, tmp_path, weights, film, detector, monkeypatch):
        given = {}

        class Noted(FirstOrderPredictor):
            def __init__(self, **options):
                given.update(options)
                super().__init__(**options)

        monkeypatch.setattr(firstorder, "FirstOrderPredictor", Noted)
        more = ["--absolute", "--whole", "--no-sound", "--seconds", "0.1", "--multi-person"]
        assert cli.main(self.arguments(tmp_path, weights, film, *more)) == 0
        assert not given["relative"]
        assert not given["adapt_scale"]
        assert given["whole"]
        assert given["multi_person"]
        assert given["ratio"] == 0.4
        info = probe(tmp_path / "results" / "source 1.中文_firstorder.mp4")
        assert info.frame_count == 3
        assert not info.has_audio
        assert cli.main(self.arguments(tmp_path, weights, film)) == 0
        assert given["relative"]
        assert given["adapt_scale"]

    def test_the_size_is_that_of_the_training(self, tmp_path, weights, film, detector, capsys):
        config = SMOKE / "firstorder.yaml"
        arguments = self.arguments(tmp_path, weights, film, "-c", config)
        arguments[arguments.index("--image-size") + 1] = "64"
        assert cli.main(arguments) == 0
        assert "trained at 32 pixels and are run at 64" in capsys.readouterr().err
        del arguments[arguments.index("--image-size") : arguments.index("--backend")]
        assert cli.main(arguments) == 0
        assert "trained at" not in capsys.readouterr().err

    @pytest.mark.parametrize("what", ["source", "driving", "weights", "same"])
    def test_mistakes_are_sentences(self, tmp_path, weights, film, detector, capsys, what):
        arguments = self.arguments(tmp_path, weights, film)
        if what == "same":
            arguments[arguments.index("--output") + 1] = str(film)
        else:
            arguments[arguments.index(f"--{what}") + 1] = str(tmp_path / "nothing here.mp4")
        before = film.read_bytes()
        assert cli.main(arguments) == 2
        errors = capsys.readouterr().err
        assert "Traceback" not in errors
        assert film.name in errors if what == "same" else "nothing here" in errors
        assert film.read_bytes() == before
        assert not (tmp_path / "results").exists()

    def test_options_are_looked_at_before_weights(self, tmp_path, film, capsys):
        result = tmp_path / "results" / "source 1.中文_firstorder.mp4"
        for more, message in (
            (["--preview", result], "give them two names"),
            (["--preview", tmp_path / "p.avi"], "cannot be written as"),
            (["--preview", film], "would replace"),
            (["--seconds", "inf"], "seconds is inf"),
        ):
            assert cli.main(self.arguments(tmp_path, "no such file", film, *more)) == 2
            check_one_sentence(capsys, message)

    def test_weights_are_looked_for_before_those_of_the_detector(self, tmp_path, monkeypatch):
        monkeypatch.setattr("ppzoo.apps.faces.build_detector", None)
        with pytest.raises(WeightsError, match="no such file"):
            FirstOrderPredictor(weight_path=tmp_path / "no such file.pdparams")
