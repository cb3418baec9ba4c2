"""What all figures share: light and dark, quiet axes, the log-odds axis of confidences, PNGs."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evofool.report.theme import DARK, LIGHT, Colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST, MOST_NINES = 1e-5, 10
"""Ends of the log-odds axis: 10 nines, as `evofool.text.percent` shows, and five digits below. What
lies beyond is drawn at the end, whose tick is then marked as "or more" or "or less"."""
_ROOM = 0.45
"""Between the last tick and the edge, in log-odds, so that a line along it can be seen."""
_MOST_TICKS = 10

_STEPS = (
    *(10.0**-k for k in range(5, 0, -1)), 0.5, *(1 - 10.0**-k for k in range(1, MOST_NINES + 1))
)  # fmt: skip
_HIGHEST = _STEPS[-1]
_HUES_LIGHT = ("#0072b2", "#d55e00", "#00846a", "#c05f9a", "#6b5510")
_HUES_DARK = ("#56b4e9", "#f28e5c", "#4cc9a0", "#e08fc0", "#e3c562")


def light_and_dark(
    name: str,
    draw: Callable[[Colours], bytes | None],
    light: Colours = LIGHT,
    dark: Colours = DARK,
) -> dict[str, bytes]:
    """A figure drawn twice, for light and for dark pages.

    Args:
        name: of the figure, as the macro ``figure`` of ``parts.html`` takes it.
        draw: to PNG bytes in the colours it is given; None where there is nothing to be drawn.
        light: colours on light paper.
        dark: colours on dark paper.

    Returns:
        ``NAME.png`` and ``NAME-dark.png``; neither where there is nothing to be drawn.
    """
    pair = {f"{name}.png": draw(light), f"{name}-dark.png": draw(dark)}
    return {file: data for file, data in pair.items() if data is not None}


def panels(
    count: int,
    size: tuple[float, float],
    colours: Colours,
    *,
    dpi: int = 130,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """An empty figure of `count` axes side by side; `size` of all of it in inches."""
    figure = new_figure(size, colours, dpi)
    return figure, list(figure.subplots(1, count, squeeze=False, sharey=sharey)[0])


def banded_line(
    axes: Axes,
    x: ArrayLike,
    middle: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    colour: str,
    band: str | None = None,
    alpha: float = 0.2,
    dash: Any = "-",
    label: str | None = None,
) -> None:
    """A line of confidences for an `odds_axis`, with its interval as a band around it.

    Args:
        axes: to be drawn on.
        x: (N,), int64 or float64 places.
        middle: (N,), confidences on [0, 1].
        low: (N,), lower bounds.
        high: (N,), upper bounds.
        colour: of the line.
        band: its colour, by default the line's.
        alpha: how opaque the band is, on [0, 1].
        dash: line style, as matplotlib takes it.
        label: in the legend.
    """
    axes.fill_between(
        x, inside(low), inside(high), color=band or colour, alpha=alpha, linewidth=0
    )  # fmt: skip
    axes.plot(x, inside(middle), color=colour, linewidth=2, linestyle=dash, label=label)


def name_axes(axes: Axes, colours: Colours, x: str = "", y: str = "") -> None:
    """Names of the axes, where they are given."""
    if x:
        axes.set_xlabel(x, color=colours["soft"], fontsize=9)
    if y:
        axes.set_ylabel(y, color=colours["soft"], fontsize=9)


def grid_lines(axes: Axes, colours: Colours) -> None:
    """Thin horizontal lines at the ticks."""
    axes.grid(axis="y", color=colours["line"], linewidth=0.8)


def tones(count: int, colours: Colours) -> list[str]:
    """`count` colours that can be told apart on the paper of `colours`, also by the colour-blind.

    Up to five have different hues (after Okabe and Ito); more are taken in order from a scale that
    runs through hues and lightness.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex, to_rgb

    dark = sum(to_rgb(colours["paper"])) < 1.5
    hues = _HUES_DARK if dark else _HUES_LIGHT
    if count <= len(hues):
        return list(hues[:count])
    places = np.linspace(0.2, 1.0, count) if dark else np.linspace(0.0, 0.8, count)
    return [to_hex(colormaps["viridis"](place)) for place in places]


def odds_axis(axes: Axes, values: Sequence[NDArray[np.float64]], colours: Colours) -> None:
    """Stretch the y axis of confidences as log-odds, with ticks at .9, .99, .999 and so on.

    On a linear axis everything above .99 is one line along the top, and everything below .01 one
    along the bottom. Draw what `inside` gives: the axis has no ends.

    Args:
        axes: to be stretched.
        values: the confidences of every curve drawn on it, arrays of any shape; the axis reaches
            from the tick below the least to the tick above the largest.
        colours: of the grid.
    """
    finite = np.concatenate([np.ravel(np.asarray(one, np.float64)) for one in values])
    finite = finite[np.isfinite(finite)]
    low, high = _reach(inside(finite))
    ticks = _ticks(low, high)
    names = [_name(tick) for tick in ticks]
    if finite.size and finite.min() < LOWEST:
        names[0] = f"≤ {names[0]}"
    if finite.size and finite.max() > _HIGHEST:
        names[-1] = f"≥ {names[-1]}"
    axes.set_yscale("logit")
    axes.set_ylim(_confidence(_odds(low) - _ROOM), _confidence(_odds(high) + _ROOM))
    axes.set_yticks(ticks, names)
    axes.minorticks_off()
    grid_lines(axes, colours)


def inside(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Confidences of any shape, cut to what the log-odds axis can show; the same shape."""
    return np.clip(values, LOWEST, _HIGHEST)


def legend_beside(axes: Axes, colours: Colours, title: str | None = None) -> None:
    """A legend to the right of `axes`, where it covers no curve."""
    handles, names = axes.get_legend_handles_labels()
    legend = axes.legend(
        handles, names, title=title, frameon=False, fontsize=8.5, labelcolor=colours["ink"],
        loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0,
    )  # fmt: skip
    legend.get_title().set(color=colours["soft"], fontsize=8.5)


def evaluations_axis(axes: Axes, colours: Colours, *, log: bool = False) -> None:
    """An x axis of numbers of images scored; with `log` stretched, ticks at 1, 2, 5, 10, ..."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(LogLocator(subs=()))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    name_axes(axes, colours, x="evaluations")


def new_figure(size: tuple[float, float], colours: Colours, dpi: int = 130) -> Figure:
    """An empty figure; `size` in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi, facecolor=colours["paper"])
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    return figure


def dress(axes: Axes, colours: Colours, title: str, about: str = "") -> None:
    """Quiet axes with a title, and below it what is to be seen."""
    axes.set_facecolor(colours["paper"])
    axes.set_title(title, loc="left", fontsize=11, color=colours["ink"], pad=20 if about else 6)
    if about:
        axes.text(0, 1.03, about, transform=axes.transAxes, fontsize=8.5, color=colours["soft"])
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(colours["line"])
    axes.tick_params(colors=colours["soft"], labelsize=8.5, length=0)


def to_png(figure: Figure, colours: Colours) -> bytes:
    """The figure as PNG bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(
        buffer, format="png", facecolor=colours["paper"], metadata={"Software": "evofool"}
    )
    return buffer.getvalue()


def _reach(values: NDArray[np.float64]) -> tuple[float, float]:
    """The steps just below and just above all values; from .5 to .9 at least."""
    if not values.size:
        return 0.1, 0.9
    low = max(tick for tick in _STEPS if tick <= values.min() * (1 + 1e-9))
    high = min(tick for tick in _STEPS if 1 - tick <= (1 - values.max()) * (1 + 1e-4))
    return min(low, 0.5), max(high, 0.9)


def _ticks(low: float, high: float) -> list[float]:
    """All steps from `low` to `high`; where these are many, of the far ones every second."""
    inner = [tick for tick in _STEPS if low <= tick <= high]
    if len(inner) <= _MOST_TICKS:
        return inner
    near = (0.1, 0.5, 0.9)
    return [tick for tick in inner if tick in (*near, low, high) or (
        _decade(tick) % 2 == 0 and _decade(high) - _decade(tick) != 1)]  # fmt: skip


def _decade(tick: float) -> int:
    return round(-math.log10(min(tick, 1 - tick)))


def _name(tick: float) -> str:
    if tick == 0.5:
        return "0.5"
    return f"{tick:.{_decade(tick)}f}"


def _odds(p: float) -> float:
    return float(np.log(p) - np.log1p(-p))


def _confidence(odds: float) -> float:
    return float(1 / (1 + np.exp(-odds)))
