# SPDX-License-Identifier: Apache-2.0
"""`ppzoo measure motion`: figures of films worked out by hand, pairs of folders, keypoints."""

import json

import numpy as np
import pytest

from ppzoo import cli
from ppzoo.apps.animation import load_animator
from ppzoo.apps.measure_motion import Comparison, load_finder, match_films
from ppzoo.errors import DataError
from ppzoo.media.video import VideoReader, VideoWriter

from .motion_pieces import driver, saved


def write(path, frames, fps=25):
    with VideoWriter(path, fps, crf=0, preset="ultrafast") as writer:
        for frame in frames:
            writer.write(frame)
    return path


def grey(*levels, size=(16, 24)):
    return [np.full((*size, 3), level, np.uint8) for level in levels]


def read(path):
    with VideoReader(path) as reader:
        return np.stack(list(reader)).astype(np.float64)


def test_figures_of_a_film(tmp_path):
    result = write(tmp_path / "a.mp4", grey(100, 110, 120, 130))
    truth = write(tmp_path / "b.mp4", grey(100, 120, 140, 160))
    comparison = Comparison()
    assert comparison.add(result, truth, progress=False) == []
    made, true = read(result), read(truth)
    l1 = np.abs(made - true).mean() / 255
    assert l1 == pytest.approx(15 / 255, rel=0.05)  # but for the film's own rounding
    figures = comparison.figures()
    assert figures["frames"] == 4
    assert figures["l1"] == pytest.approx(l1)
    assert figures["l1_over_first"] == pytest.approx(0.5, rel=0.05)
    expected = [10 * np.log10(255**2 / e) for e in ((made - true) ** 2).mean(axis=(1, 2, 3)) if e]
    if len(expected) == 4:
        assert figures["psnr"] == pytest.approx(np.mean(expected))
    else:
        assert figures["psnr"] == np.inf
    assert 0.9 < figures["ssim"] <= 1
    assert "akd" not in figures


def test_two_films_count_by_their_frames(tmp_path):
    truth = write(tmp_path / "truth.mp4", grey(100, 100, 100))
    near, far = Comparison(), Comparison()
    near.add(write(tmp_path / "near.mp4", grey(110, 110, 110)), truth, progress=False)
    far.add(write(tmp_path / "far.mp4", grey(160)), write(tmp_path / "one.mp4", grey(100)), False)
    total = Comparison()
    total.merge([near, far])
    figures = total.figures()
    assert figures["frames"] == 4
    parts = near.figures()["l1"], far.figures()["l1"]
    assert figures["l1"] == pytest.approx((3 * parts[0] + parts[1]) / 4)
    assert "l1_over_first" not in near.figures()  # nothing moves


def test_films_that_do_not_fit_are_refused(tmp_path):
    truth = write(tmp_path / "truth.mp4", grey(1, 2, 3, 4))
    with pytest.raises(DataError, match="25 frames a second"):
        Comparison().add(write(tmp_path / "slow.mp4", grey(1, 2), fps=10), truth, False)
    small = write(tmp_path / "small.mp4", grey(1, 2, 3, 4, size=(12, 12)))
    with pytest.raises(DataError, match=r"12 x 12 and 24 x 16 pixels.*--size"):
        Comparison().add(small, truth, False)
    comparison = Comparison(size=16)
    assert comparison.add(small, truth, False) == []
    assert comparison.figures()["l1"] < 0.02
    short = write(tmp_path / "short.mp4", grey(1, 2))
    comparison = Comparison()
    (problem,) = comparison.add(short, truth, False)
    assert problem.endswith("have 2 and 4 frames")
    assert comparison.figures()["frames"] == 2


def test_keypoints_are_measured_in_pixels(tmp_path):
    def finder(frames):
        """Two points that move right by one pixel a level of grey, and one frame without."""
        levels = np.array([frame.mean() for frame in frames])
        points = np.stack([[(level, 0.0), (2 * level, 5.0)] for level in levels])
        points[levels > 200] = np.nan
        return points

    truth = write(tmp_path / "truth.mp4", grey(60, 80, 220))
    result = write(tmp_path / "result.mp4", grey(64, 80, 100))
    comparison = Comparison(finder)
    comparison.add(result, truth, progress=False)
    apart = np.abs(read(result) - read(truth)).mean(axis=(1, 2, 3))[:2].mean()
    figures = comparison.figures()
    assert figures["akd"] == pytest.approx(1.5 * apart, abs=1e-6)
    assert figures["akd_per_coordinate"] == pytest.approx(0.75 * apart, abs=1e-6)
    assert figures["keypoints_missed"] == pytest.approx(1 / 3)
    nothing = Comparison(lambda frames: np.full((len(frames), 6, 2), np.nan))
    nothing.add(result, truth, progress=False)
    assert nothing.figures()["keypoints_missed"] == 1
    assert "akd" not in nothing.figures()


def test_a_models_detector_gives_places_in_the_frame(tmp_path):
    path = saved(tmp_path / "weights.pdparams")
    frames = driver(3, size=(48, 80))
    places = load_finder("firstorder", path)(frames)
    values = load_animator(path).keypoints(frames)["value"]
    assert places.shape == (3, *values.shape[1:])
    assert np.allclose(places, (values + 1) / 2 * (79, 47), atol=1e-3)


def test_faces_landmarks(monkeypatch):
    from ppzoo.faces import detector
    from ppzoo.faces.detector import Face, FaceDetector

    class Landmarks(FaceDetector):
        def _detect(self, images):
            points = np.arange(12.0).reshape(6, 2)
            large, small = Face((0, 0, 9, 9), 1.0, points), Face((0, 0, 3, 3), 1.0, points + 50)
            return [[small, large] if image.any() else [] for image in images]

    monkeypatch.setattr(detector, "build_detector", lambda name, weights: Landmarks())
    places = load_finder("blazeface")([np.ones((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)])
    assert np.array_equal(places[0], np.arange(12.0).reshape(6, 2))
    assert np.isnan(places[1]).all()


class TestPairs:
    def test_folders_pair_by_name(self, tmp_path):
        for name in ("made/a.mp4", "made/in/b.mp4", "true/a.mkv", "true/in/b.mp4", "true/c.mp4"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        pairs = match_films(tmp_path / "made", tmp_path / "true")
        names = [tuple(str(path.relative_to(tmp_path)) for path in pair) for pair in pairs]
        assert names == [("made/a.mp4", "true/a.mkv"), ("made/in/b.mp4", "true/in/b.mp4")]
        (tmp_path / "true/a.mp4").touch()
        with pytest.raises(DataError, match=r"has 2 films a to compare"):
            match_films(tmp_path / "made", tmp_path / "true")
        for suffix in ("mp4", "mkv"):
            (tmp_path / f"true/a.{suffix}").unlink()
        with pytest.raises(DataError, match=r"has no film a to compare"):
            match_films(tmp_path / "made", tmp_path / "true")
        with pytest.raises(DataError, match="a file and a folder"):
            match_films(tmp_path / "made/a.mp4", tmp_path / "true")
        with pytest.raises(DataError, match=r"nothere\.mp4 .* no file or folder of that name"):
            match_films(tmp_path / "made/a.mp4", tmp_path / "nothere.mp4")


def test_the_command(tmp_path, capsys):
    for folder, levels in (("made", (110, 120, 130)), ("true", (100, 120, 140))):
        for name in ("a", "b"):
            write(tmp_path / folder / f"{name}.mp4", grey(*levels))
    report = tmp_path / "report.json"
    arguments = ["--result", str(tmp_path / "made"), "--truth", str(tmp_path / "true")]
    assert cli.main(["measure", "motion", *arguments, "--json", str(report)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert out[2].startswith("all 2 films: l1 0.0")
    found = json.loads(report.read_text())
    assert found["keypoints"] is None
    assert found["total"]["frames"] == 6
    assert found["total"]["l1"] == pytest.approx(20 / 3 / 255, rel=0.1)
    assert len(found["films"]) == 2


def test_the_command_with_keypoints(tmp_path, capsys):
    weights = saved(tmp_path / "weights.pdparams")
    frames = driver(3)
    film = write(tmp_path / "true.mp4", frames)
    arguments = ["--truth", str(film), "--weights", str(weights)]
    report = tmp_path / "report.json"
    assert (
        cli.main(["measure", "motion", "--result", str(film), *arguments, "--json", str(report)])
        == 0
    )
    found = json.loads(report.read_text())
    assert found["keypoints"] == "firstorder"
    assert found["total"]["akd"] == 0
    assert found["total"]["psnr"] is None  # of equal films
    other = write(tmp_path / "made.mp4", frames[::-1])
    assert cli.main(["measure", "motion", "--result", str(other), *arguments]) == 0
    assert "akd 0.0000" not in capsys.readouterr().out.splitlines()[-1]
    assert cli.main(["measure", "motion", "--result", str(other), *arguments, "--size", "3"]) == 2
    assert "SSIM needs 11 pixels" in capsys.readouterr().err
