# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageSequence

from ppzoo import figures
from ppzoo.errors import MissingExtraError


@pytest.fixture(autouse=True)
def _no_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    yield
    plt.close("all")


def current() -> object:
    import matplotlib.pyplot as plt

    return plt.gcf()


def test_curves_have_their_points_labels_and_scale() -> None:
    x, y = [1, 2, 3], [10.0, 100.0, 1000.0]
    figures.draw_curves(
        {"loss": {"a": (x, y), "b": (x, y[::-1])}, "psnr": {"": (x, y)}}, log=["loss"]
    )
    left, right = current().axes
    assert [line.get_label() for line in left.lines] == ["a", "b"]
    np.testing.assert_array_equal(left.lines[1].get_ydata(), y[::-1])
    assert (left.get_yscale(), right.get_yscale()) == ("log", "linear")
    assert left.lines[0].get_color() != left.lines[1].get_color()
    assert left.lines[0].get_linestyle() != left.lines[1].get_linestyle()
    assert left.get_legend() is not None
    assert right.get_legend() is None


def test_fonts_of_chinese_stand_behind_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import font_manager, rcParams

    usual = list(rcParams["font.family"])
    known = font_manager.fontManager.ttflist
    other = next(font for font in known if font.name == "STIXGeneral")
    monkeypatch.setattr(figures, "CHINESE_FONTS", ("No Such Font", other.name))
    figures.draw_curves({"loss": {"a": ([1, 2], [1, 2]), "b": ([1, 2], [2, 1])}})
    axis = current().axes[0]
    texts = [axis.title, axis.xaxis.label, *axis.get_legend().get_texts()]
    figures.draw_pictures({"row": [np.zeros((8, 8), np.uint8)]}, ["column"])
    texts += [current().axes[0].title, *current().texts]
    assert len(texts) == 6
    for text in texts:
        assert text.get_fontfamily() == [*usual, other.name]
    assert list(rcParams["font.family"]) == usual


def test_smoothing_is_a_mean_over_the_past() -> None:
    figures.draw_curves({"loss": {"": (range(4), [2.0, 4.0, 6.0, 8.0])}}, smooth=2)
    np.testing.assert_allclose(current().axes[0].lines[0].get_ydata(), [2.0, 3.0, 5.0, 7.0])


def drawn(values: list[float], smooth: int) -> np.ndarray:
    figures.draw_curves({"loss": {"": (range(len(values)), values)}}, smooth=smooth)
    return np.asarray(current().axes[0].lines[0].get_ydata())


def test_a_curve_goes_on_after_a_step_without_a_number() -> None:
    values = [1.0, np.nan, 3.0, 5.0, np.inf, 7.0, 9.0]
    np.testing.assert_array_equal(drawn(values, 1), values)
    np.testing.assert_array_equal(drawn(values, 2), [1, np.nan, np.nan, 4, np.inf, np.inf, 8])


def test_small_values_survive_beside_large_ones() -> None:
    np.testing.assert_array_equal(drawn([1e9, 1e-9, 3.0], 1), [1e9, 1e-9, 3.0])
    np.testing.assert_allclose(drawn([1e9, 1e-9, 3e-9], 2)[2], 2e-9, rtol=1e-12)


@pytest.mark.parametrize("smooth", [2, 5, 50])
def test_windows_are_shorter_at_the_beginning(smooth: int) -> None:
    values = np.random.default_rng(0).normal(size=20)
    expected = [values[max(0, i + 1 - smooth) : i + 1].mean() for i in range(20)]
    np.testing.assert_allclose(drawn(values.tolist(), smooth), expected, rtol=1e-12, atol=1e-15)


def test_an_empty_curve_is_drawn() -> None:
    assert drawn([], 3).shape == (0,)


def test_pictures_stand_in_rows_with_titles() -> None:
    grey = np.full((8, 8), 7, np.uint8)
    colour = np.zeros((16, 32, 3), np.uint8)
    figures.draw_pictures({"real": [grey, grey[..., np.newaxis]], "fake": [colour]}, ["one", "two"])
    figure = current()
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert [picture.shape for picture in shown] == [(8, 8), (8, 8), (16, 32, 3)]
    assert int(shown[0][0, 0]) == 7
    assert [text.get_text() for text in figure.texts] == ["real", "fake"]
    assert [axis.get_title() for axis in figure.axes[:2]] == ["one", "two"]
    # 7 of 255 is nearly black: levels are not stretched.
    assert figure.axes[0].images[0].get_clim() == (0, 255)


@pytest.mark.parametrize(
    ("rows", "titles"),
    [
        ({}, []),
        ({"a": []}, []),
        ({"a": [np.zeros((4, 4), np.uint8)]}, ["one", "two"]),
        ({"a": [np.zeros((4, 4), np.float32)]}, []),
        ({"a": [np.zeros((4, 4, 2), np.uint8)]}, []),
    ],
)
def test_what_cannot_be_drawn_is_refused(rows: dict, titles: list) -> None:
    with pytest.raises(ValueError, match=r"columns|expected uint8"):
        figures.draw_pictures(rows, titles)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtraError, match=r"ppzoo\[course\]"):
        figures.draw_curves({"loss": {"": ([1], [1.0])}})


# -- films


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list:
    import IPython.display

    shown: list = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    return shown


def film_of(*levels: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.stack([np.full((*size, 3), level, np.uint8) for level in levels])


def shown_frames(displayed: list) -> np.ndarray:
    (shown,) = displayed
    data, _ = shown._repr_mimebundle_()
    # The type that repository pages show; IPython may hand out bytes or base64.
    assert list(data) == ["image/png"]
    with Image.open(io.BytesIO(shown.data)) as picture:
        return np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(picture)])


def test_a_film_plays_its_frames_for_ever_at_its_rate(displayed: list) -> None:
    figures.draw_film({"": [film_of(0, 100, 200)]}, fps=20, height=8)
    with Image.open(io.BytesIO(displayed[0].data)) as picture:
        assert picture.is_animated
        assert picture.info["loop"] == 0
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(picture)]
    assert durations == [50, 50, 50]
    frames = shown_frames(displayed)
    assert [sorted(np.unique(f[f < 250])) for f in frames] == [[0], [100], [200]]


def test_films_stand_in_rows_beside_pictures_that_stay(displayed: list) -> None:
    red, green, blue = np.eye(3, dtype=np.uint8) * 200
    still = np.broadcast_to(red, (8, 16, 3))  # half as high: it will be 16 x 32
    film = np.stack([np.broadcast_to(colour, (8, 8, 3)) for colour in (green, blue)])
    figures.draw_film({"one": [still, film], "two": [film[::-1]]}, ["source", "result"], height=16)
    first, second = shown_frames(displayed)

    def places(frame: np.ndarray, colour: np.ndarray) -> tuple[int, int, int, int]:
        """Return (top, bottom, left, right) of where a colour, or one of the palette, is."""
        ys, xs = np.nonzero((np.abs(frame.astype(int) - colour) < 12).all(-1))
        return int(ys.min()), int(ys.max()) + 1, int(xs.min()), int(xs.max()) + 1

    top, bottom, left, right = places(first, red)
    assert (bottom - top, right - left) == (16, 32)
    assert places(second, red) == (top, bottom, left, right)
    moved = {"above": places(first, green), "below": places(first, blue)}
    assert {"above": places(second, blue), "below": places(second, green)} == moved
    above, below = moved["above"], moved["below"]
    assert above[:2] == (top, bottom)
    assert above[2] > right
    assert below[0] > bottom
    assert sum(below[2:]) == left + right  # under the middle of the picture
    # Titles are there, and take no part in the film.
    written = (first < 30).all(-1) & (second < 30).all(-1)
    assert written[:top].any()
    assert written[:, :left].any()


def test_enlarged_pixels_stay_sharp_and_others_are_smoothed(displayed: list) -> None:
    edge = np.zeros((2, 8, 8, 3), np.uint8)
    edge[1, :, 4:] = edge[0, :, :4] = 200
    figures.draw_film({"": [edge]}, height=24)
    assert set(np.unique(shown_frames(displayed))) == {0, 200, 255}
    displayed.clear()
    figures.draw_film({"": [edge]}, height=20)
    assert len(np.unique(shown_frames(displayed))) > 3


def test_fewer_colours_make_a_smaller_film(displayed: list) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)
    figures.draw_film({"": [noise]}, height=32)
    figures.draw_film({"": [noise]}, height=32, colours=8)
    many, few = (image.data for image in displayed)
    assert len(few) < 0.6 * len(many)
    assert len(np.unique(shown_frames([displayed[1]]).reshape(-1, 3), axis=0)) <= 8


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ({}, {}),
        ({"a": []}, {}),
        ({"a": [film_of(1)[0]]}, {}),  # nothing moves
        ({"a": [film_of(1, 2), film_of(1, 2, 3)]}, {}),
        ({"a": [film_of(1, 2)]}, {"titles": ["one", "two"]}),
        ({"a": [film_of(1, 2)[..., 0]]}, {}),
        ({"a": [film_of(1, 2).astype(np.float32)]}, {}),
        ({"a": [film_of(1, 2)]}, {"fps": 0}),
        ({"a": [film_of(1, 2)]}, {"height": 0}),
        ({"a": [film_of(1, 2)]}, {"colours": 1}),
        ({"a": [film_of(1, 2)]}, {"colours": 257}),
    ],
)
def test_films_that_cannot_be_shown_are_refused(rows: dict, options: dict) -> None:
    with pytest.raises(ValueError, match=r"expected films|must be positive|colours must lie"):
        figures.draw_film(rows, **options)


def test_pictures_alone_are_no_film() -> None:
    with pytest.raises(ValueError, match="two frames or more, got pictures only"):
        figures.draw_film({"a": [film_of(1)]})


def test_without_ipython_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(MissingExtraError, match=r"ppzoo\[course\]"):
        figures.draw_film({"": [film_of(1, 2)]})
