"""Plots of an evaluation as PNG bytes, each in light and in dark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evofool.experiments.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT: Mapping[str, str] = {
    "paper": "#faf9f6", "ink": "#1d1b18", "soft": "#635e56", "line": "#e2ded6",
    "undefended": "#97403f", "defended": "#2f6690",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "paper": "#141315", "ink": "#f1eee9", "soft": "#aaa49b", "line": "#322f33",
    "undefended": "#e3ab62", "defended": "#7fb4dd",
}  # fmt: skip
MOST_LOSS = 10.0
"""Loss that has the last colour: that of a confidence of 5e-5."""
_DASHES: Mapping[str, Any] = {"undefended": (0, (5, 2)), "defended": "-"}


def curves_plot(
    curves: Sequence[Curve],
    colours: Mapping[str, str],
    dashes: Mapping[str, Any] | None = None,
) -> bytes:
    """Median confidence over evaluations, a panel an encoding, a line a net.

    Args:
        curves: of each encoding and net.
        colours: of the page, and of the nets by name.
        dashes: of the nets by name.
    """
    dashes = _DASHES if dashes is None else dashes
    names = list(dict.fromkeys(curve.encoding for curve in curves))
    figure = new_figure((5.2 * len(names), 3.5), colours)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for curve in curves:
            if curve.encoding != name:
                continue
            low, high = curve.interval()
            colour = colours[curve.net]
            axes.fill_between(curve.evaluations, low, high, color=colour, alpha=0.25, linewidth=0)
            axes.plot(
                curve.evaluations, curve.median, color=colour, linewidth=2,
                linestyle=dashes[curve.net], label=curve.net,
            )  # fmt: skip
        dress(axes, colours, name)
        axes.set_ylim(0, 1)
        axes.set_xscale("log")  # what is won in the first hundred images is won for good
        axes.set_xlim(int(curves[0].evaluations[0]), int(curves[0].evaluations[-1]))
        axes.grid(axis="y", color=colours["line"], linewidth=0.8)
        axes.set_xlabel("evaluations", color=colours["soft"], fontsize=9)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    panels[0].set_ylabel("median confidence", color=colours["soft"], fontsize=9)
    panels[-1].legend(frameon=False, fontsize=9, labelcolor=colours["ink"], loc="lower right")
    return to_png(figure, colours)


def filters_plot(filters: Mapping[str, NDArray[np.float32]], colours: Mapping[str, str]) -> bytes:
    """The first layer of each net, every filter on a scale of its own that is grey at 0."""
    shown = {name: _sheet(weights) for name, weights in filters.items()}
    figure = new_figure((5.2 * len(shown), 4.2), colours)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (name, sheet) in zip(panels, shown.items(), strict=True):
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        dress(axes, colours, f"{name} net" if len(shown) > 1 else "")
        _bare(axes)
    return to_png(figure, colours)


def surfaces_plot(
    surfaces: Mapping[str, Sequence[NDArray[np.float64]]], eps: float, colours: Mapping[str, str]
) -> bytes:
    """Loss surfaces, a row a net, a column an image, one scale for all; the line is p = .5."""
    columns = max(len(found) for found in surfaces.values())
    figure = new_figure((3.3 * columns + 1, 2.9 * len(surfaces) + 0.4), colours)
    grid = figure.subplots(len(surfaces), columns, squeeze=False)
    largest = max(float(one.max()) for found in surfaces.values() for one in found)
    highest = min(largest, MOST_LOSS)
    extent = (-eps, eps, -eps, eps)
    for axes_row, (name, found) in zip(grid, surfaces.items(), strict=True):
        for k, (axes, one) in enumerate(zip(axes_row, found, strict=True)):
            drawn = axes.imshow(
                one, origin="lower", extent=extent, cmap="magma", vmin=0, vmax=highest,
                interpolation="nearest",
            )  # fmt: skip
            if one.min() < np.log(2) < one.max():
                steps = np.linspace(-eps, eps, len(one))
                axes.contour(steps, steps, one, levels=[np.log(2)], colors="white", linewidths=1.4)
            dress(axes, colours, f"{name} net" if k == 0 else "")
            axes.set_xticks([-eps, 0, eps], [f"-{eps:.3g}", "0", f"{eps:.3g}"])
            axes.set_yticks([-eps, 0, eps], [f"-{eps:.3g}", "0", f"{eps:.3g}"])
            axes.set_xlabel("along the gradient's signs", color=colours["soft"], fontsize=8)
            if k == 0:
                axes.set_ylabel("orthogonal signs", color=colours["soft"], fontsize=8)
    bar = figure.colorbar(
        drawn, ax=grid, shrink=0.8, pad=0.02, extend="max" if largest > highest else "neither"
    )
    bar.set_label("loss", color=colours["soft"], fontsize=8.5)
    bar.ax.tick_params(colors=colours["soft"], labelsize=8, length=0)
    bar.outline.set_visible(False)
    return to_png(figure, colours)


def _sheet(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """n x C x h x w filters as one picture H x W (x 3) on [0, 1], .5 between them and at 0."""
    n, channels, height, width = weights.shape
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    tiles = weights / (2 * np.where(largest > 0, largest, 1)) + 0.5
    columns = int(np.ceil(np.sqrt(n * 1.25)))
    rows = -(-n // columns)
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 0.5, np.float32)
    for k, tile in enumerate(tiles):
        top, left = (k // columns) * (height + 1), (k % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = np.moveaxis(tile, 0, -1)
    return sheet if channels == 3 else sheet[..., 0]


def new_figure(size: tuple[float, float], colours: Mapping[str, str]) -> Figure:
    """An empty figure; `size` in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=130, facecolor=colours["paper"], layout="constrained")


def dress(axes: Axes, colours: Mapping[str, str], title: str) -> None:
    """Quiet axes with a title."""
    axes.set_facecolor(colours["paper"])
    axes.set_title(title, loc="left", fontsize=11, color=colours["ink"])
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(colours["line"])
    axes.tick_params(colors=colours["soft"], labelsize=8.5, length=0)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(False)


def to_png(figure: Figure, colours: Mapping[str, str]) -> bytes:
    """The figure as PNG bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(
        buffer, format="png", facecolor=colours["paper"], metadata={"Software": "evofool"}
    )
    return buffer.getvalue()
