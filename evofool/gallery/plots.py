"""Plots of a run: how it went, and how sure the victim is of each class."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evofool.gallery.exhibits import Exhibit, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT: Mapping[str, str] = {
    "paper": "#faf9f6", "ink": "#1d1b18", "soft": "#68635b", "line": "#e2ded6",
    "main": "#97403f", "band": "#d9a25f", "second": "#2f6690",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "paper": "#141315", "ink": "#f1eee9", "soft": "#a8a39a", "line": "#322f33",
    "main": "#e3ab62", "band": "#8a5a48", "second": "#7fb4dd",
}  # fmt: skip
_DASHES = ("-", (0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def convergence(points: Sequence[Point], colours: Mapping[str, str] = LIGHT) -> bytes | None:
    """Median and quartiles of the cells' confidences, and the share of all cells at thresholds,
    over evaluations, as PNG bytes; None with fewer than two points."""
    if len(points) < 2:
        return None
    figure = _figure(colours)
    left, right = figure.subplots(1, 2)
    x = [point.evaluations for point in points]
    quartiles = [point.quartiles or (point.median, point.median) for point in points]
    low, high = zip(*quartiles, strict=True)
    left.fill_between(x, low, high, color=colours["band"], alpha=0.45, linewidth=0)
    left.plot(x, [point.median for point in points], color=colours["main"], linewidth=2)
    _dress(left, colours, "Confidence of the cells", "median, with the middle half of all cells")
    for index, name in enumerate(points[-1].shares):
        shares = [point.shares[name] for point in points]
        right.plot(
            x, shares, color=colours["second"], linestyle=_DASHES[index % 5], linewidth=1.6,
            label=f"{name}",
        )  # fmt: skip
    _dress(right, colours, "Share of all cells", "at this confidence or more")
    right.legend(frameon=False, fontsize=8.5, labelcolor=colours["soft"], loc="upper left")
    for axes in (left, right):
        axes.set_xlabel("evaluations", color=colours["soft"], fontsize=9)
        axes.set_xlim(0, x[-1])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return _png(figure, colours)


def by_class(exhibits: Sequence[Exhibit], colours: Mapping[str, str] = LIGHT) -> bytes | None:
    """The confidences in the order of the classes and ranked, as PNG bytes; None without any."""
    if not exhibits:
        return None
    figure = _figure(colours)
    left, right = figure.subplots(1, 2)
    index = np.array([exhibit.class_index for exhibit in exhibits])
    confidence = np.array([exhibit.confidence or 0.0 for exhibit in exhibits])
    won = np.array([exhibit.won for exhibit in exhibits])
    few = len(exhibits) <= 40
    left.vlines(index, 0, confidence, color=colours["line"], linewidth=2 if few else 0.4)
    for chosen, name, mark, face in (
        (won, "the victim's first answer", "o", colours["main"]),
        (~won, "not its first answer", "o", "none"),
    ):
        if chosen.any():
            left.scatter(
                index[chosen], confidence[chosen], s=36 if few else 7, marker=mark,
                facecolors=face, edgecolors=colours["main"], linewidths=0.6, label=name,
            )  # fmt: skip
    _dress(left, colours, "Confidence by class", "filled: its own class is the first answer")
    left.set_xlabel("class index", color=colours["soft"], fontsize=9)
    ranked = np.sort(confidence)[::-1]
    right.fill_between(
        np.arange(len(ranked) + 1), np.append(ranked, ranked[-1]), step="post",
        color=colours["main"], alpha=0.85, linewidth=0,
    )  # fmt: skip
    _dress(right, colours, "Ranked", "from the surest class to the least sure")
    right.set_xlabel("rank", color=colours["soft"], fontsize=9)
    right.set_xlim(0, len(ranked))
    return _png(figure, colours)


def _figure(colours: Mapping[str, str]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), dpi=144, facecolor=colours["paper"])
    figure.subplots_adjust(left=0.028, right=0.985, top=0.83, bottom=0.15, wspace=0.1)
    return figure


def _dress(axes: Axes, colours: Mapping[str, str], title: str, about: str) -> None:
    axes.set_facecolor(colours["paper"])
    axes.set_title(title, loc="left", fontsize=11, color=colours["ink"], pad=20)
    axes.text(0, 1.03, about, transform=axes.transAxes, fontsize=8.5, color=colours["soft"])
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color=colours["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(colours["line"])
    axes.tick_params(colors=colours["soft"], labelsize=8.5, length=0)


def _png(figure: Figure, colours: Mapping[str, str]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(
        buffer, format="png", facecolor=colours["paper"], metadata={"Software": "evofool"}
    )
    return buffer.getvalue()
