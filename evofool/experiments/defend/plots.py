"""Plots of an evaluation as PNG bytes, each in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evofool.images import UInt8Images, to_float
from evofool.report.figures import dress, new_figure, panels, to_png
from evofool.report.theme import Colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NINES = 12
"""Decimal digits to either end of the colours of a loss surface."""


def filters_plot(filters: Mapping[str, Sequence[UInt8Images]], colours: Colours) -> bytes:
    """The first layer of each net, every filter on a scale of its own that is grey at 0.

    Args:
        filters: by net, uint8 C x h x w each.
        colours: of the page.
    """
    shown = {name: _sheet(np.stack(tiles)) for name, tiles in filters.items()}
    figure, row = panels(len(shown), (5.2 * len(shown), 4.2), colours)
    for axes, (name, sheet) in zip(row, shown.items(), strict=True):
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        dress(axes, colours, f"{name} net" if len(shown) > 1 else "")
        _bare(axes)
    return to_png(figure, colours)


def surfaces_plot(
    surfaces: Mapping[str, Sequence[NDArray[np.float64]]], eps: float, colours: Colours
) -> bytes:
    """Loss surfaces, a row per net, a column an image, one scale for all; the line is p = .5.

    Colours go by the log-odds of the true class: blue where it is the likelier one, red where it
    is not, pale at p = .5. Losses run over ten orders of magnitude, and by the loss itself
    everything that the net gets right has one colour.

    Args:
        surfaces: by the name of the net, one array of losses an image, R x S: a point for each of
            R steps along one direction and S along another.
        eps: the L-infinity radius that the directions are scaled to, on [0, 1].
        colours: of the theme.

    Returns:
        PNG.
    """
    from matplotlib.colors import Normalize

    columns = max(len(of_net) for of_net in surfaces.values())
    figure = new_figure((3.3 * columns + 1.2, 2.9 * len(surfaces) + 0.4), colours)
    grid = figure.subplots(len(surfaces), columns, squeeze=False)
    shown = {name: [log_odds(one) for one in of_net] for name, of_net in surfaces.items()}
    largest = max(float(np.abs(one).max()) for of_net in shown.values() for one in of_net)
    edge = MOST_NINES * np.log(10)
    most = max(min(largest, edge), np.log(10))
    extent = (-eps, eps, -eps, eps)
    for axes_row, (name, of_net) in zip(grid, shown.items(), strict=True):
        for k, (axes, one) in enumerate(zip(axes_row, of_net, strict=True)):
            drawn = axes.imshow(
                one, origin="lower", extent=extent, cmap="RdBu", norm=Normalize(-most, most),
                interpolation="nearest",
            )  # fmt: skip
            if one.min() < 0 < one.max():
                steps = np.linspace(-eps, eps, len(one))
                axes.contour(steps, steps, one, levels=[0.0], colors="black", linewidths=1.4)
            dress(axes, colours, f"{name} net" if k == 0 else "")
            axes.set_xticks([-eps, 0, eps], [f"-{eps:.3g}", "0", f"{eps:.3g}"])
            axes.set_yticks([-eps, 0, eps], [f"-{eps:.3g}", "0", f"{eps:.3g}"])
            axes.set_xlabel("along the gradient's signs", color=colours["soft"], fontsize=8)
            if k == 0:
                axes.set_ylabel("orthogonal signs", color=colours["soft"], fontsize=8)
    bar = figure.colorbar(
        drawn, ax=grid, shrink=0.8, pad=0.02, extend="both" if largest > edge else "neither"
    )
    ticks = _losses(most)
    bar.set_ticks([float(log_odds(np.array(loss))) for loss in ticks], labels=[
        "log 2 (p = .5)" if loss == np.log(2) else f"{loss:.2g}" for loss in ticks
    ])  # fmt: skip
    bar.set_label("loss, -log p", color=colours["soft"], fontsize=8.5)
    bar.ax.tick_params(colors=colours["soft"], labelsize=8, length=0)
    bar.outline.set_visible(False)
    return to_png(figure, colours)


def log_odds(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds log p - log(1 - p) of the true class, from its loss -log p.

    Args:
        loss: any shape, at least 0.

    Returns:
        An array of the shape of `loss`, finite for any loss.
    """
    small = np.finfo(np.float64).tiny
    odds: NDArray[np.float64] = -loss - np.log(np.maximum(-np.expm1(-loss), small))
    return odds


def _losses(most: float) -> list[float]:
    """Ticks for losses whose log-odds lie within `most` of 0: p = .5, and some either way."""
    apart = max(1, round(most / np.log(10) / 4))
    digits = range(apart, int(most / np.log(10) + 0.01) + 1, apart)
    right = [float(-np.log1p(-(10.0**-k))) for k in digits]
    wrong = [float(k * np.log(10)) for k in digits]
    return [*right, float(np.log(2)), *wrong]


def _sheet(tiles: UInt8Images) -> NDArray[np.float32]:
    """n x C x h x w filters as one picture H x W (x 3) on [0, 1], .5 between them."""
    n, channels, height, width = tiles.shape
    columns = int(np.ceil(np.sqrt(n * 1.25)))
    rows = -(-n // columns)
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 0.5, np.float32)
    for k, tile in enumerate(to_float(tiles)):
        top, left = (k // columns) * (height + 1), (k % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = np.moveaxis(tile, 0, -1)
    return sheet if channels == 3 else sheet[..., 0]


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(False)
