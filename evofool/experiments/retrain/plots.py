"""Plots of a retraining loop as PNG bytes, in light or in dark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evofool.experiments.curves import Curve
from evofool.images import UInt8Images
from evofool.report.figures import (
    banded_line,
    dress,
    evaluations_axis,
    grid_lines,
    legend_beside,
    name_axes,
    odds_axis,
    panels,
    to_png,
    tones,
)
from evofool.report.theme import Colours


def rounds_plot(
    curves: Sequence[tuple[int, Curve]], titles: Sequence[str], colours: Colours
) -> bytes:
    """Median confidence over evaluations, a panel a title, a line a round with its interval.

    Both axes are stretched (log, logit), so that it shows when a curve turns, and the way from
    .99 to .9999 as well as that from .0001 to .01.

    Args:
        curves: (round, curve); panels follow each other, each begins with round 0.
        titles: of the panels.
        colours: `LIGHT` or `DARK` of the plots of defenses.
    """
    groups: list[list[tuple[int, Curve]]] = []
    for round, curve in curves:
        if round == 0:
            groups.append([])
        groups[-1].append((round, curve))
    figure, row = panels(len(groups), (5.2 * len(groups) + 0.8, 4.0), colours, sharey=True)
    ends = []
    for axes, title, lines in zip(row, titles, groups, strict=True):
        own = [colours["main"], *tones(len(lines) - 1, colours)]
        for (round, curve), colour in zip(lines, own, strict=True):
            low, high = curve.interval()
            ends += [low, curve.median, high]
            banded_line(
                axes, curve.evaluations, curve.median, low, high, colour=colour, alpha=0.16,
                dash=(0, (5, 2)) if round == 0 else "-",
                label="base" if round == 0 else f"round {round}",
            )  # fmt: skip
        dress(axes, colours, title)
        evaluations_axis(axes, colours, log=True)
        grid_lines(axes, colours)
    odds_axis(row[0], ends, colours)
    name_axes(row[0], colours, y="median confidence")
    legend_beside(row[-1], colours)
    return to_png(figure, colours)


def strip(images: UInt8Images) -> UInt8Images:
    """N x C x H x W side by side with a line between, C x H x W' uint8."""
    between = np.full((*images.shape[1:3], 1), 127, np.uint8)
    pieces: list[UInt8Images] = []
    for image in images:
        pieces += [between, image]
    return np.concatenate(pieces[1:], axis=2)
