"""Plots of a run: how it went, and how sure the victim is of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evofool.gallery.reading.exhibits import Exhibit, Point
from evofool.report.figures import (
    banded_line,
    dress,
    evaluations_axis,
    grid_lines,
    inside,
    legend_beside,
    name_axes,
    odds_axis,
    panels,
    to_png,
    tones,
)
from evofool.report.theme import DARK, LIGHT, Colours

__all__ = ["DARK", "LIGHT", "by_class", "convergence"]

_SIZE = (11, 3.6)
_DPI = 144
_DASHES = ("-", (0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_FEW = 40
"""Exhibits up to which each one has a large mark."""


def convergence(points: Sequence[Point], colours: Colours = LIGHT) -> bytes | None:
    """Median and quartiles of the classes' confidences on a log-odds axis, and the share of classes
    at thresholds, over evaluations, as PNG bytes; None with fewer than two points."""
    if len(points) < 2:
        return None
    figure, (left, right) = panels(2, _SIZE, colours, dpi=_DPI)
    x = [point.evaluations for point in points]
    median = np.array([point.median for point in points])
    quartiles = [point.quartiles or (point.median, point.median) for point in points]
    low, high = (np.array(ends) for ends in zip(*quartiles, strict=True))
    banded_line(
        left, x, median, low, high, colour=colours["main"], band=colours["band"], alpha=0.45
    )
    dress(
        left, colours, "Confidence over the search", "median of the classes, with their middle half"
    )
    odds_axis(left, [median, low, high], colours)
    names = list(points[-1].shares)
    for index, (name, colour) in enumerate(zip(names, tones(len(names), colours), strict=True)):
        shares = [point.shares[name] for point in points]
        right.plot(
            x, shares, color=colour, linestyle=_DASHES[index % len(_DASHES)], linewidth=1.8,
            label=f"{name}",
        )  # fmt: skip
    dress(right, colours, "Share of the classes", "at this confidence or more")
    right.set_ylim(0, 1.03)  # a line at 1 is drawn whole
    grid_lines(right, colours)
    if names:
        legend_beside(right, colours, "confidence")
    for axes in (left, right):
        evaluations_axis(axes, colours)
        axes.set_xlim(0, x[-1])
    return to_png(figure, colours)


def by_class(exhibits: Sequence[Exhibit], colours: Colours = LIGHT) -> bytes | None:
    """The confidences in the order of the classes and ranked, both on a log-odds axis, as PNG
    bytes; None without any."""
    from matplotlib.ticker import MaxNLocator

    if not exhibits:
        return None
    figure, (left, right) = panels(2, _SIZE, colours, dpi=_DPI, sharey=True)
    index = np.array([exhibit.class_index for exhibit in exhibits])
    confidence = inside(np.array([exhibit.confidence or 0.0 for exhibit in exhibits]))
    won = np.array([exhibit.won for exhibit in exhibits])
    few = len(exhibits) <= _FEW
    odds_axis(left, [confidence], colours)
    bottom = left.get_ylim()[0]
    left.vlines(index, bottom, confidence, color=colours["line"], linewidth=2 if few else 0.4)
    for chosen, face in ((won, colours["main"]), (~won, "none")):
        if chosen.any():
            left.scatter(
                index[chosen], confidence[chosen], s=36 if few else 7, marker="o",
                facecolors=face, edgecolors=colours["main"], linewidths=0.6, zorder=3,
            )  # fmt: skip
    dress(left, colours, "Confidence by class", "filled: its own class is the first answer")
    name_axes(left, colours, x="class index")
    ranked = np.sort(confidence)[::-1]
    right.fill_between(
        np.arange(len(ranked) + 1), np.append(ranked, ranked[-1]), bottom, step="post",
        color=colours["main"], alpha=0.85, linewidth=0,
    )  # fmt: skip
    dress(right, colours, "Ranked", "from the surest class to the least sure")
    grid_lines(right, colours)
    right.tick_params(labelleft=True)
    name_axes(right, colours, x="rank")
    right.set_xlim(0, len(ranked))
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    return to_png(figure, colours)
