"""The log-odds axis of confidences, colours and legends of plots."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from evofool.images import decode_png
from evofool.report.figures import (
    banded_line,
    dress,
    inside,
    legend_beside,
    light_and_dark,
    new_figure,
    odds_axis,
    panels,
    to_png,
    tones,
)
from evofool.report.theme import DARK, LIGHT, Colours


def axes() -> Axes:
    return new_figure((4, 3), LIGHT).subplots()


def ticks(*values: float) -> list[str]:
    found = axes()
    odds_axis(found, [np.array(values)], LIGHT)
    return [label.get_text() for label in found.get_yticklabels()]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.3, 0.7), ["0.1", "0.5", "0.9"]),
        ((0.6,), ["0.5", "0.9"]),
        ((0.95, 0.9995), ["0.5", "0.9", "0.99", "0.999", "0.9999"]),
        ((0.001, 0.9), ["0.001", "0.01", "0.1", "0.5", "0.9"]),
        ((0.0, 0.2), ["≤ 0.00001", "0.0001", "0.001", "0.01", "0.1", "0.5", "0.9"]),
        (
            (0.99, 1.0),
            ["0.5", "0.9", "0.99", "0.9999", "0.999999", "0.99999999", "≥ 0.9999999999"],
        ),
        ((), ["0.1", "0.5", "0.9"]),
        ((float("nan"),), ["0.1", "0.5", "0.9"]),
    ],
)
def test_ticks_are_nines_around_the_values(values: tuple[float, ...], expected: list[str]) -> None:
    assert ticks(*values) == expected


@pytest.mark.parametrize(
    "values", [(1e-5, 0.3), (0.1, 0.9), (0.5, 0.99), (0.9, 1 - 1e-10), (1e-9, 1.0), (0.01, 0.99)]
)
def test_all_values_lie_within_the_axis(values: tuple[float, float]) -> None:
    found = axes()
    odds_axis(found, [np.array(values)], LIGHT)
    low, high = found.get_ylim()
    assert 0 < low < inside(np.array(values)).min()
    assert inside(np.array(values)).max() < high < 1


def test_steps_of_nines_are_equally_far() -> None:
    found = axes()
    nines = np.array([0.99, 0.999, 0.9999, 0.99999, 0.999999])
    odds_axis(found, [nines], LIGHT)
    heights = found.transData.transform([(0, p) for p in nines])[:, 1]
    assert np.diff(heights) == pytest.approx(np.diff(heights).mean(), rel=0.03)


def _distance(one: str, other: str, see: NDArray[np.float64]) -> float:
    return float(np.abs(see @ (np.array(to_rgb(one)) - np.array(to_rgb(other)))).sum())


# Machado et al. 2009: linear maps of what people without one kind of cone see, severity 1
DEUTERANOPIA = np.array([
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
])  # fmt: skip


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("count", [1, 2, 5, 6, 9])
def test_every_curve_has_a_colour_of_its_own(colours: dict[str, str], count: int) -> None:
    found = tones(count, colours)
    assert len(set(found)) == count
    for see in (np.eye(3), DEUTERANOPIA):
        for one, other in itertools.combinations(found, 2):
            assert _distance(one, other, see) > 0.12
        for one in found:
            assert _distance(one, colours["paper"], see) > 0.5


def test_a_legend_covers_no_curve() -> None:
    figure = new_figure((5, 3), LIGHT)
    found = figure.subplots()
    for k in range(5):
        found.plot([0, 1], [k, k], label=f"curve {k}")
    legend_beside(found, LIGHT, "confidence")
    figure.draw_without_rendering()
    legend = found.get_legend()
    assert legend is not None
    assert legend.get_window_extent().x0 >= found.get_window_extent().x1
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_a_plot_is_a_png_on_its_paper() -> None:
    figure = new_figure((3, 2), DARK)
    dress(figure.subplots(), DARK, "Title", "what is seen")
    pixels = decode_png(to_png(figure, DARK))
    assert pixels[:, 0, 0].tolist() == [round(255 * level) for level in to_rgb(DARK["paper"])]


def test_a_figure_is_drawn_for_light_and_for_dark_pages() -> None:
    def draw(colours: Colours) -> bytes:
        figure, (left, right) = panels(2, (4, 2), colours, sharey=True)
        for panel in (left, right):
            dress(panel, colours, "Title")
            values = np.array([0.5, 0.9, 0.99])
            banded_line(
                panel, [1, 2, 3], values, values - 0.1, values + 0.005, colour=colours["main"]
            )
            odds_axis(panel, [values], colours)
        return to_png(figure, colours)

    files = light_and_dark("curves", draw)
    assert list(files) == ["curves.png", "curves-dark.png"]
    for data, colours in zip(files.values(), (LIGHT, DARK), strict=True):
        pixels = decode_png(data)
        paper = [round(255 * level) for level in to_rgb(colours["paper"])]
        line = np.array([round(255 * level) for level in to_rgb(colours["main"])])
        assert pixels[:, 0, 0].tolist() == paper
        near = (np.abs(pixels.astype(int) - line[:, None, None]) <= 2).all(axis=0)
        for half in np.array_split(near, 2, axis=1):
            assert half.sum() > 50


def test_nothing_to_draw_is_no_file() -> None:
    assert light_and_dark("curves", lambda _: None) == {}


def test_a_band_is_of_the_colour_that_it_is_given() -> None:
    drawn = axes()
    values = np.array([0.5, 1.0])
    banded_line(drawn, [1, 2], values, values, values, colour="#010203", band="#040506", label="x")
    (band,), (line,) = drawn.collections, drawn.lines
    assert np.asarray(band.get_facecolor())[0].tolist() == pytest.approx([*to_rgb("#040506"), 0.2])
    assert line.get_color() == "#010203"
    assert line.get_label() == "x"
    assert np.asarray(line.get_ydata()).max() < 1  # an axis of log-odds has no ends
