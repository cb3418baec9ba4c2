"""Plots of a retraining loop as PNG bytes, in light or in dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evofool.experiments.curves import Curve
from evofool.experiments.defend_plots import dress, new_figure, to_png
from evofool.images import UInt8Images

EDGE = 1e-5
"""Confidences nearer to 0 or 1 are drawn there: the logit scale has no end."""
_TICKS = (0.0001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999)


def rounds_plot(
    curves: Sequence[tuple[int, Curve]], titles: Sequence[str], colours: Mapping[str, str]
) -> bytes:
    """Median confidence over evaluations, a panel a title, a line a round with its interval.

    Both axes are stretched (log, logit), so that it shows when a curve turns, and the way from
    .99 to .9999 as well as that from .0001 to .01.

    Args:
        curves: (round, curve); panels follow each other, each begins with round 0.
        titles: of the panels.
        colours: `LIGHT` or `DARK` of the plots of defenses.
    """
    from matplotlib.ticker import LogLocator

    panels: list[list[tuple[int, Curve]]] = []
    for round, curve in curves:
        if round == 0:
            panels.append([])
        panels[-1].append((round, curve))
    figure = new_figure((5.2 * len(panels), 4.0), colours)
    axes_row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, title, lines in zip(axes_row, titles, panels, strict=True):
        tones = _tones(len(lines), colours)
        for (round, curve), colour in zip(lines, tones, strict=True):
            low, high = curve.interval()
            axes.fill_between(
                curve.evaluations, _inside(low), _inside(high), color=colour, alpha=0.2,
                linewidth=0,
            )  # fmt: skip
            axes.plot(
                curve.evaluations, _inside(curve.median), color=colour, linewidth=2,
                linestyle=(0, (5, 2)) if round == 0 else "-",
                label="base" if round == 0 else f"round {round}",
            )  # fmt: skip
        dress(axes, colours, title)
        axes.set_xscale("log")
        axes.set_yscale("logit")
        axes.set_ylim(EDGE, 1 - EDGE)
        axes.set_yticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
        axes.grid(axis="y", color=colours["line"], linewidth=0.8)
        axes.set_xlabel("evaluations", color=colours["soft"], fontsize=9)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes_row[0].set_ylabel("median confidence", color=colours["soft"], fontsize=9)
    axes_row[-1].legend(frameon=False, fontsize=8.5, labelcolor=colours["ink"], loc="lower right")
    return to_png(figure, colours)


def strip(images: UInt8Images) -> UInt8Images:
    """N x C x H x W side by side with a line between, C x H x W' uint8."""
    between = np.full((*images.shape[1:3], 1), 127, np.uint8)
    pieces: list[UInt8Images] = []
    for image in images:
        pieces += [between, image]
    return np.concatenate(pieces[1:], axis=2)


def _inside(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(values, EDGE, 1 - EDGE)


def _tones(count: int, colours: Mapping[str, str]) -> list[str | tuple[float, ...]]:
    """The base in the colour of undefended nets, then from pale to strong."""
    from matplotlib.colors import to_rgb

    strong, paper = np.array(to_rgb(colours["defended"])), np.array(to_rgb(colours["paper"]))
    later = np.linspace(0.35, 1, max(1, count - 1))
    tones: list[str | tuple[float, ...]] = [colours["undefended"]]
    tones += [tuple((share * strong + (1 - share) * paper).tolist()) for share in later]
    return tones[:count]
