"""Plots of a comparison: confidence and success over cost, large enough for a phone."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evofool.experiments.compare.leading import FAMILIES, of_each_kind
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


def best_plot(outcomes: Sequence[MethodResults], seed: int, colours: Colours) -> bytes:
    """Median confidence over cost of the methods that stand for all, as PNG."""
    return to_png(_best(outcomes, seed, colours), colours)


def medians_plot(outcomes: Sequence[MethodResults], seed: int, colours: Colours) -> bytes:
    """Median confidence over cost, a panel a family and a line per method, as PNG."""
    return to_png(_medians(outcomes, seed, colours), colours)


def shares_plot(outcomes: Sequence[MethodResults], seed: int, colours: Colours) -> bytes:
    """Share of the classes at the highest of `BARS` over cost, likewise."""
    return to_png(_shares(outcomes, seed, colours), colours)


def svgs(outcomes: Sequence[MethodResults], seed: int, name: str) -> dict[str, bytes]:
    """The same plots in light colours as SVG files, by their name."""
    return {
        f"{name}-best.svg": to_svg(_best(outcomes, seed, LIGHT)),
        f"{name}-medians.svg": to_svg(_medians(outcomes, seed, LIGHT)),
        f"{name}-share.svg": to_svg(_shares(outcomes, seed, LIGHT)),
    }


def best_lines(
    axes: Axes, outcomes: Sequence[MethodResults], seed: int, colours: Colours, text: float = TEXT
) -> None:
    """Draw the confidence over cost of the methods that stand for all, intervals as bands.

    Args:
        axes: to be drawn on.
        outcomes: of all methods of a net.
        seed: of the bootstrap.
        colours: of the page.
        text: size of all letters, in points.
    """
    chosen = of_each_kind(outcomes)
    hues = tones(HUES, colours)
    ends = []
    colour_of = dict(zip(FAMILIES, (hues[0], *hues[2:], colours["soft"]), strict=True))
    for k, one in enumerate(chosen):
        middle, low, high = interval(one.medians, seed)
        some = np.isfinite(middle)
        ends += [value[some] for value in (middle, low, high)]
        family = one.arm.family
        second = family == "evolution" and k > 0
        banded_line(
            axes, one.costs[some], middle[some], low[some], high[some],
            colour=hues[1] if second else colour_of[family],
            alpha=0.18 if len(one.seeds) > 1 else 0.0,
            # dashed where a line may lie upon another: evolution begins with random pictures
            dash={"chance": DASHES[1], "natural": DASHES[2]}.get(family, "-"),
            label=one.arm.title,
        )  # fmt: skip
    cost_axis(axes, colours, text)
    odds_axis(axes, ends, colours)
    axes.tick_params(labelsize=text)
    legend_below(axes, colours, text)


def cost_axis(axes: Axes, colours: Colours, text: float = TEXT) -> None:
    """A logarithmic x axis of forward-equivalents."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_minor_locator(LogLocator(subs=()))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(labelsize=text, labelbottom=True)
    name_axes(axes, colours, x="forward-equivalents, all classes together")
    axes.xaxis.label.set_fontsize(text - 1)


def legend_below(axes: Axes, colours: Colours, text: float = TEXT) -> None:
    """A legend below `axes`, in one column where a name is long."""
    names = axes.get_legend_handles_labels()[1]
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.19), frameon=False, fontsize=text - 1,
        ncols=1 if max(map(len, names), default=0) > LONG else 2, labelcolor=colours["ink"],
    )  # fmt: skip


def _best(outcomes: Sequence[MethodResults], seed: int, colours: Colours) -> Figure:
    figure = new_figure((WIDTH, 1.25 * PANEL), colours)
    axes = figure.subplots()
    best_lines(axes, outcomes, seed, colours)
    dress(axes, colours, "median confidence over the classes")
    axes.tick_params(labelsize=TEXT)
    axes.title.set_fontsize(TEXT)
    return figure


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


def _shares(outcomes: Sequence[MethodResults], seed: int, colours: Colours) -> Figure:
    bar = len(BARS) - 1
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
        cost_axis(axes, colours)
        axes.title.set_fontsize(TEXT)
        legend_below(axes, colours)
    return figure, axes_of


def to_svg(figure: Figure) -> bytes:
    """A figure as SVG, the same bytes each time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    FigureCanvasSVG(figure)
    with matplotlib.rc_context({"svg.hashsalt": "evofool", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "evofool"})
    return buffer.getvalue()
