# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

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


def test_smoothing_is_a_mean_over_the_past() -> None:
    figures.draw_curves({"loss": {"": (range(4), [2.0, 4.0, 6.0, 8.0])}}, smooth=2)
    np.testing.assert_allclose(current().axes[0].lines[0].get_ydata(), [2.0, 3.0, 5.0, 7.0])


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
