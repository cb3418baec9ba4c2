"""The tests as a matrix: who is surer than whom, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evofool.experiments.compare.paired import Paired
from evofool.experiments.compare.plots import TEXT, WIDTH, to_svg
from evofool.report.figures import new_figure, to_png
from evofool.report.theme import LIGHT, Colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNIFICANT = 0.05
"""p after Holm's correction below which a cell is marked."""


def heat_plot(pairs: Sequence[Paired], colours: Colours) -> bytes:
    """A cell for each two methods of a net, as PNG."""
    return to_png(_heat(pairs, colours), colours)


def heat_svg(pairs: Sequence[Paired]) -> bytes:
    """The same as SVG."""
    return to_svg(_heat(pairs, LIGHT))


def names_in(pairs: Sequence[Paired]) -> list[str]:
    """The methods of some tests, those that are surer than the others first."""
    wins: dict[str, float] = {}
    for pair in pairs:
        wins[pair.first] = wins.get(pair.first, 0.0) + pair.effect
        wins[pair.second] = wins.get(pair.second, 0.0) - pair.effect
    return sorted(wins, key=lambda name: -wins[name])


def _heat(pairs: Sequence[Paired], colours: Colours) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    names = names_in(pairs)
    n = len(names)
    effects = np.full((n, n), np.nan)
    figure = new_figure((WIDTH, 4.9), colours)
    axes = figure.subplots()
    axes.set_facecolor(colours["paper"])
    for pair in pairs:
        a, b = names.index(pair.first), names.index(pair.second)
        effects[a, b], effects[b, a] = pair.effect, -pair.effect
        for x, y in ((b, a), (a, b)):
            if pair.wilcoxon < SIGNIFICANT:
                axes.plot(x, y, "o", color=colours["ink"], markersize=4)
            if pair.mcnemar < SIGNIFICANT:
                axes.plot(
                    x, y, "o", markersize=9, markerfacecolor="none", markeredgewidth=1.2,
                    markeredgecolor=colours["ink"],
                )  # fmt: skip
    scale = LinearSegmentedColormap.from_list(
        "effect", [colours["second"], colours["paper"], colours["main"]]
    )
    image = axes.imshow(effects, cmap=scale, vmin=-1, vmax=1)
    axes.set_xticks(range(n), [str(k + 1) for k in range(n)])
    axes.set_yticks(range(n), [f"{name}  {k + 1}" for k, name in enumerate(names)])
    axes.xaxis.tick_top()
    axes.tick_params(colors=colours["ink"], labelsize=TEXT - (1.5 if n > 10 else 0), length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.8, aspect=30, pad=0.02)
    bar.set_ticks([-1, 0, 1], labels=["row less sure\nin every class", "alike",
                                      "row surer\nin every class"])  # fmt: skip
    bar.ax.tick_params(colors=colours["ink"], labelsize=TEXT - 1.5, length=0)
    bar.outline.set_visible(False)
    return figure
