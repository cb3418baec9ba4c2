"""The plot of evolution's curves, net beside net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evofool.experiments.curves import Curve
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
)
from evofool.report.theme import Colours

_COLOURS: Mapping[str, str] = {"undefended": "main", "defended": "second"}
_DASHES: Mapping[str, Any] = {"undefended": (0, (5, 2)), "defended": "-"}


def curves_plot(
    curves: Sequence[Curve],
    colours: Colours,
    dashes: Mapping[str, Any] | None = None,
) -> bytes:
    """Median confidence over evaluations, a panel per encoding, a line per net.

    Args:
        curves: of each encoding and net.
        colours: of the page, and of the nets by name.
        dashes: of the nets by name.
    """
    dashes = _DASHES if dashes is None else dashes
    names = list(dict.fromkeys(curve.encoding for curve in curves))
    figure, row = panels(len(names), (5.2 * len(names) + 1, 3.7), colours, sharey=True)
    drawn = [(curve, *curve.interval()) for curve in curves]
    for axes, name in zip(row, names, strict=True):
        for curve, low, high in drawn:
            if curve.encoding != name:
                continue
            banded_line(
                axes, curve.evaluations, curve.median, low, high,
                colour=colours[_COLOURS.get(curve.net, curve.net)], dash=dashes[curve.net],
                label=curve.net,
            )  # fmt: skip
        dress(axes, colours, name)
        evaluations_axis(axes, colours, log=True)  # the first hundred images win the most
        axes.set_xlim(int(curves[0].evaluations[0]), int(curves[0].evaluations[-1]))
        grid_lines(axes, colours)
    ends = [value for curve, low, high in drawn for value in (low, curve.median, high)]
    odds_axis(row[0], ends, colours)
    name_axes(row[0], colours, y="median confidence")
    legend_beside(row[-1], colours)
    return to_png(figure, colours)
