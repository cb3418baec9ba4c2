"""Plots of a comparison: confidence and success over cost, large enough for a phone."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evofool.experiments.compare.measures import MethodResults, Values, interval
from evofool.experiments.compare.works import BARS
from evofool.report.figures import (
    banded_line,
    dress,
    grid_lines,
    name_axes,
    new_figure,
    odds_axis,
    to_png,
    tones,
)
from evofool.report.theme import LIGHT, Colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Lines: TypeAlias = tuple[Values, ...]
"""The middle of a line, then the ends of its interval."""
WIDTH, PANEL = 6.0, 4.0
"""Inches: of a plot, and how high the panel of a family is."""
TEXT = 12.5
"""Points: of a plot 6 inches wide, about 11 pixels on a phone."""
LONG = 18
"""Letters of a name above which a legend has one column, lest it be wider than the plot."""
HUES = 5
"""Hues that are told apart; further lines have them again, dashed."""
DASHES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1, 1.5)))
FAMILIES = ("evolution", "gradients", "queries", "chance", "natural")
"""In the order of their panels; what a method is after."""


def medians_plot(outcomes: Sequence[MethodResults], seed: int, colours: Colours) -> bytes:
    """Median confidence over cost, a panel a family and a line a method, as PNG."""
    return to_png(_medians(outcomes, seed, colours), colours)


def shares_plot(outcomes: Sequence[MethodResults], bar: int, seed: int, colours: Colours) -> bytes:
    """Share of the classes at bar `bar` of `BARS` over cost, as PNG."""
    return to_png(_shares(outcomes, bar, seed, colours), colours)


def svgs(outcomes: Sequence[MethodResults], seed: int, name: str) -> dict[str, bytes]:
    """The same plots in light colours as SVG files, by their name."""
    drawn = {f"{name}-medians.svg": _to_svg(_medians(outcomes, seed, LIGHT))}
    for bar, value in enumerate(BARS):
        drawn[f"{name}-share-{value}.svg"] = _to_svg(_shares(outcomes, bar, seed, LIGHT))
    return drawn


def _medians(outcomes: Sequence[MethodResults], seed: int, colours: Colours) -> Figure:
    lines = [(one, *interval(one.medians, seed)) for one in outcomes]
    ends = [value[np.isfinite(value)] for _, *values in lines for value in values]

    def draw(axes: Axes, one: MethodResults, values: Lines, colour: str, dash: Any) -> None:
        own = dash is not None
        middle, low, high = values
        whole = np.isfinite(middle)
        banded_line(
            axes, one.costs[whole], middle[whole], low[whole], high[whole], colour=colour,
            alpha=0.18 if own and len(one.seeds) > 1 else 0.0,
            dash=dash or "-", label=one.arm.title if own else None,
        )  # fmt: skip

    figure, axes_of = _panels(lines, colours, draw, "median confidence over the classes")
    for axes in axes_of:
        odds_axis(axes, ends, colours)
        axes.tick_params(labelsize=TEXT)
    return figure


def _shares(outcomes: Sequence[MethodResults], bar: int, seed: int, colours: Colours) -> Figure:
    lines = [(one, *interval(one.shares(bar), seed, np.mean)) for one in outcomes]

    def draw(axes: Axes, one: MethodResults, values: Lines, colour: str, dash: Any) -> None:
        own = dash is not None
        middle, low, high = (100 * value for value in values)
        if own and len(one.seeds) > 1:
            axes.fill_between(one.costs, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(
            one.costs,
            middle,
            color=colour,
            linewidth=2,
            linestyle=dash or "-",
            label=one.arm.title if own else None,
        )

    title = f"classes with confidence {BARS[bar]} or more, per cent"
    figure, axes_of = _panels(lines, colours, draw, title)
    for axes in axes_of:
        axes.set_ylim(-3, 103)
        grid_lines(axes, colours)
    return figure


def _panels(
    lines: Sequence[tuple[MethodResults, Values, Values, Values]],
    colours: Colours,
    draw: Callable[[Axes, MethodResults, Lines, str, Any], None],
    title: str,
) -> tuple[Figure, list[Axes]]:
    """A panel a family, in which the methods of the others are quiet lines behind its own."""
    from matplotlib.ticker import LogLocator

    families = [name for name in FAMILIES if any(one.arm.family == name for one, *_ in lines)]
    figure = new_figure((WIDTH, PANEL * len(families)), colours)
    axes_of = list(figure.subplots(len(families), 1, squeeze=False, sharex=True)[:, 0])
    for axes, family in zip(axes_of, families, strict=True):
        own = [line for line in lines if line[0].arm.family == family]
        for one, *values in lines:
            if one.arm.family != family:
                draw(axes, one, tuple(values), colours["line"], None)
        hues = tones(min(len(own), HUES), colours)
        for k, (one, *values) in enumerate(own):
            dash = DASHES[k // HUES % len(DASHES)]
            draw(axes, one, tuple(values), hues[k % HUES], dash)
        dress(axes, colours, f"{family}: {title}")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_locator(LogLocator(subs=()))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.tick_params(labelsize=TEXT, labelbottom=True)
        axes.title.set_fontsize(TEXT)
        name_axes(axes, colours, x="forward-equivalents, all classes together")
        axes.xaxis.label.set_fontsize(TEXT - 1)
        long = max(len(one.arm.title) for one, *_ in own) > LONG
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.02, -0.19), ncols=1 if long else 2,
            frameon=False, fontsize=TEXT - 1, labelcolor=colours["ink"],
        )  # fmt: skip
    return figure, axes_of


def _to_svg(figure: Figure) -> bytes:
    """A figure as SVG, the same bytes each time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    FigureCanvasSVG(figure)
    with matplotlib.rc_context({"svg.hashsalt": "evofool", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "evofool"})
    return buffer.getvalue()
