"""One picture that answers: what do gradients and evolution have in common, what does each cost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evofool.experiments.compare.leading import evolutions, side_by_side, some_classes
from evofool.experiments.compare.measures import MethodResults
from evofool.experiments.compare.paired import BAR
from evofool.experiments.compare.plots import best_lines, to_svg
from evofool.images import UInt8Images, decode_png, to_hwc
from evofool.report.figures import dress, new_figure, to_png
from evofool.report.theme import LIGHT, Colours
from evofool.scoring.ranking import sigmoid
from evofool.text import bare, probability, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "What do gradients and evolution have in common,\nand what does each cost?"
WIDTH = 7.0
"""Inches; as wide as a README, a point is then nearly two pixels."""
TEXT = 11.0
ROWS = 3
COLUMNS = 6
PIXELS = 160
"""Most of a picture's sides that are drawn: more would not be seen."""
Pictures = Mapping[tuple[str, int], bytes]
"""PNG files by method and class."""


def answer_png(
    outcomes: Sequence[MethodResults],
    labels: Sequence[str],
    pictures: Pictures,
    seed: int,
    natural: bool,
    colours: Colours,
) -> bytes:
    """The picture as PNG.

    Args:
        outcomes: of all methods of a net.
        labels: of its classes.
        pictures: of the first seed.
        seed: of the bootstrap.
        natural: whether natural pictures may be shown.
        colours: of the page.
    """
    return to_png(_answer(outcomes, labels, pictures, seed, natural, colours), colours)


def answer_svg(
    outcomes: Sequence[MethodResults],
    labels: Sequence[str],
    pictures: Pictures,
    seed: int,
    natural: bool,
) -> bytes:
    """The same as SVG, in light colours."""
    return to_svg(_answer(outcomes, labels, pictures, seed, natural, LIGHT))


def _answer(
    outcomes: Sequence[MethodResults],
    labels: Sequence[str],
    pictures: Pictures,
    seed: int,
    natural: bool,
    colours: Colours,
) -> Figure:
    chosen = _columns(outcomes, natural)
    classes = some_classes(len(labels), ROWS)
    cell = (WIDTH - 0.9) / max(4, len(chosen))
    above = 0.95 + len(classes) * (cell + 0.42)
    figure = new_figure((WIDTH, above + 4.9), colours)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(above, 4.9))
    upper, lower = parts[0, 0], parts[1, 0]
    upper.suptitle(
        TITLE, x=0.02, ha="left", color=colours["ink"], fontsize=TEXT + 4, fontweight="bold"
    )
    grid = upper.subplots(len(classes), max(4, len(chosen)), squeeze=False)
    for r, c in enumerate(classes):
        for k, axes in enumerate(grid[r]):
            axes.axis("off")
            if k < len(chosen):
                _draw(axes, chosen[k], c, pictures.get((chosen[k].arm.title, c)), r == 0, colours)
        name = shortened(bare(labels[c]), 13, len)
        grid[r][0].text(
            -0.1, 0.5, name, transform=grid[r][0].transAxes, rotation=90, ha="right", va="center",
            color=colours["soft"], fontsize=TEXT, parse_math=False,
        )  # fmt: skip
    axes = lower.subplots()
    best_lines(axes, outcomes, seed, colours, TEXT)
    dress(axes, colours, "median confidence over the classes, by what it cost")
    axes.tick_params(labelsize=TEXT)
    axes.title.set_fontsize(TEXT + 1)
    return figure


def _columns(outcomes: Sequence[MethodResults], natural: bool) -> list[MethodResults]:
    """At most six methods; what queries reach is left to the plot."""
    chosen = side_by_side(outcomes, natural)
    if len(chosen) > COLUMNS:
        chosen = [one for one in chosen if one.arm.family != "queries"]
    first = evolutions(outcomes)
    return [*first, *(one for one in chosen if all(one is not each for each in first))][:COLUMNS]


def _draw(
    axes: Axes, one: MethodResults, c: int, png: bytes | None, named: bool, colours: Colours
) -> None:
    if named:
        axes.set_title(_wrapped(one), fontsize=TEXT - 1, color=colours["ink"], pad=4)
    if png is None:
        axes.text(0.5, 0.5, "none", ha="center", va="center", color=colours["soft"], fontsize=TEXT)
        return
    image = to_hwc(_small(decode_png(png)))
    if image.shape[-1] == 1:
        axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(image, interpolation="nearest")
    cost = int(one.reached[0, c, -1])
    about = f"after {cost:,}" if cost else f"never at {BAR:g}"
    sure = probability(float(sigmoid(np.array(one.final[0, c]))))
    axes.text(
        0.5, -0.05, f"{_short(sure)}\n{about}", transform=axes.transAxes, ha="center", va="top",
        fontsize=TEXT - 2, color=colours["ink"], linespacing=1.15,
    )  # fmt: skip


def _small(picture: UInt8Images) -> UInt8Images:
    """C x H x W with every so many pixels left out, so that a side has at most `PIXELS`."""
    step = -(-max(picture.shape[1:]) // PIXELS)
    return picture[:, ::step, ::step]


def _short(sure: str) -> str:
    """``0.99999`` as ``.99999``."""
    return sure.removeprefix("0")


def _wrapped(one: MethodResults) -> str:
    """What a method is called, in two lines where it has two words."""
    title = "natural pictures" if one.arm.family == "natural" else one.arm.title
    first, _, rest = title.replace("gradient-ascent", "gradient ascent").partition(" ")
    return f"{first}\n{rest}"
