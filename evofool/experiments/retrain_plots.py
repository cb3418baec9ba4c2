"""Plots of a retraining loop as PNG bytes, in light or in dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evofool.experiments.curves import Curve
from evofool.images import UInt8Images
from evofool.plotting import (
    dress,
    evaluations_axis,
    inside,
    legend_beside,
    new_figure,
    odds_axis,
    to_png,
    tones,
)


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
    panels: list[list[tuple[int, Curve]]] = []
    for round, curve in curves:
        if round == 0:
            panels.append([])
        panels[-1].append((round, curve))
    figure = new_figure((5.2 * len(panels) + 0.8, 4.0), colours)
    axes_row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    ends = []
    for axes, title, lines in zip(axes_row, titles, panels, strict=True):
        own = [colours["undefended"], *tones(len(lines) - 1, colours)]
        for (round, curve), colour in zip(lines, own, strict=True):
            low, high = curve.interval()
            ends += [low, curve.median, high]
            axes.fill_between(
                curve.evaluations, inside(low), inside(high), color=colour, alpha=0.16, linewidth=0
            )  # fmt: skip
            axes.plot(
                curve.evaluations, inside(curve.median), color=colour, linewidth=2,
                linestyle=(0, (5, 2)) if round == 0 else "-",
                label="base" if round == 0 else f"round {round}",
            )  # fmt: skip
        dress(axes, colours, title)
        evaluations_axis(axes, colours, log=True)
        axes.grid(axis="y", color=colours["line"], linewidth=0.8)
    odds_axis(axes_row[0], ends, colours)
    axes_row[0].set_ylabel("median confidence", color=colours["soft"], fontsize=9)
    legend_beside(axes_row[-1], colours)
    return to_png(figure, colours)


def strip(images: UInt8Images) -> UInt8Images:
    """N x C x H x W side by side with a line between, C x H x W' uint8."""
    between = np.full((*images.shape[1:3], 1), 127, np.uint8)
    pieces: list[UInt8Images] = []
    for image in images:
        pieces += [between, image]
    return np.concatenate(pieces[1:], axis=2)
