"""Figures of a closer look: grids of pictures, decision maps, the embedding map, the curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evofool.experiments.explore.decision import CornerRow, LineRow
from evofool.images import UInt8Images, decode_png, to_hwc
from evofool.report.figures import dress, grid_lines, name_axes, new_figure, to_png, tones
from evofool.report.theme import Colours
from evofool.text import bare, probability, rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HUES = 5
"""Classes of a map that have a colour of their own; all others share a grey."""
FAINTEST = 0.25
"""How much of its hue a class keeps on a map where its confidence is near 0."""
NAMED = 12
"""Most characters of a class's name in a figure."""
THUMBNAIL = 30.0
"""Side of a champion on the embedding map, in points."""


@dataclass(frozen=True)
class GridCell:
    """One picture of a grid.

    Attributes:
        picture: uint8 C x H x W; None leaves it blank.
        note: below it; may be empty.
        marked: framed, as what failed.
        own: framed otherwise, as where it came from.
    """

    picture: UInt8Images | None
    note: str = ""
    marked: bool = False
    own: bool = False


def picture_grid(
    cells: Sequence[Sequence[GridCell]],
    rows: Sequence[str],
    columns: Sequence[str],
    colours: Colours,
    *,
    size: float = 1.0,
    fontsize: float = 10,
) -> bytes:
    """Pictures in rows and columns with names, as PNG bytes.

    Args:
        cells: a sequence a row.
        rows: their names, at the left.
        columns: their names, above.
        colours: of the page.
        size: of a picture in inches.
        fontsize: of names and notes.
    """
    noted = any(cell.note for row in cells for cell in row)
    width = size * len(columns) + 0.16 * max(2, *(len(plain(name)) for name in rows)) + 0.2
    height = (size + (0.22 if noted else 0.05)) * len(rows) + 0.5
    figure = new_figure((width, height), colours, dpi=160)
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for r, line in enumerate(cells):
        for k, cell in enumerate(line):
            _picture(axes[r, k], cell, colours, fontsize)
            if not r:
                axes[r, k].set_title(plain(columns[k]), fontsize=fontsize, color=colours["ink"])
        axes[r, 0].set_ylabel(
            plain(rows[r]), fontsize=fontsize, color=colours["ink"], rotation=0, ha="right",
            va="center",
        )  # fmt: skip
    return to_png(figure, colours)


def decision_figure(
    lines: Sequence[LineRow],
    corners: Sequence[CornerRow],
    labels: Sequence[str],
    class_index: int,
    title: str,
    shown: Sequence[str],
    colours: Colours,
) -> bytes:
    """A decision map with the pictures that span it, as PNG bytes.

    Args:
        lines: of the map, from below.
        corners: the three pictures.
        labels: of the classes.
        class_index: the class of the map, which has the first colour.
        title: the encoding of the evolved picture.
        shown: names of the corners whose pictures may be shown.
        colours: of the page.
    """
    predicted = np.array([line.predicted for line in lines])
    sure = np.array([line.confidence for line in lines])
    hues, listed = _hues(predicted, class_index, labels, colours)
    figure = new_figure((5.2, 7.3 if shown else 5.9), colours, dpi=160)
    ratios = [5.2, 1.9] if shown else [1.0]
    parts = figure.add_gridspec(len(ratios), 1, height_ratios=ratios)
    axes = figure.add_subplot(parts[0])
    x, y = np.array(lines[0].x), np.array([line.y for line in lines])
    step = x[1] - x[0]
    extent = (x[0] - step / 2, x[-1] + step / 2, y[0] - step / 2, y[-1] + step / 2)
    least = 1 / max(2, len(labels))
    weight = FAINTEST + (1 - FAINTEST) * np.clip((sure - least) / (1 - least), 0, 1)
    paper = np.array(_rgb(colours["paper"]))
    field = np.array([[_rgb(hues[int(c)]) for c in row] for row in predicted])
    dress(axes, colours, "")
    axes.imshow(
        paper + (field - paper) * weight[..., None], origin="lower", extent=extent,
        interpolation="nearest", aspect="equal",
    )  # fmt: skip
    for c in np.unique(predicted)[1:]:
        axes.contour(x, y, predicted >= c, [0.5], colors=colours["ink"], linewidths=0.6)
    _triangle(axes, colours)
    near, far = (next(r for r in corners if r.name == name) for name in ("adversarial", "evolved"))
    name_axes(
        axes, colours, f"to the adversarial picture, {near.distance:.2f} away",
        f"to the evolved picture, {far.distance:.2f} away",
    )  # fmt: skip
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)
    axes.spines[:].set_visible(False)
    _legend(axes, listed, colours)
    figure.suptitle(
        f"{plain(labels[class_index])}, {plain(title)}", fontsize=14, color=colours["ink"],
        x=0.02, ha="left",
    )  # fmt: skip
    if shown:
        inner = parts[1].subgridspec(1, 3)
        for k, corner in enumerate(corners):
            picture = decode_png(corner.png or b"") if corner.name in shown else None
            below = figure.add_subplot(inner[k])
            answer = f"{plain(labels[corner.predicted])} {probability(corner.confidence)}"
            _picture(below, GridCell(picture, answer), colours, 10.5)
            below.set_title(
                f"{corner.name[0].upper()}: {corner.name}", fontsize=10.5, color=colours["ink"]
            )
    return to_png(figure, colours)


@dataclass(frozen=True)
class Placed:
    """One picture of the embedding map.

    Attributes:
        x, y: its place.
        class_index: of it.
        group: 0 of a natural picture, from 1 on the number of an encoding.
        picture: of a champion, uint8 C x H x W.
    """

    x: float
    y: float
    class_index: int
    group: int
    picture: UInt8Images | None = None


def embedding_figure(
    placed: Sequence[Placed],
    groups: Sequence[str],
    labels: Sequence[str],
    shares: Sequence[float],
    colours: Colours,
) -> bytes:
    """Natural pictures as dots or digits, champions as themselves, as PNG bytes.

    Args:
        placed: all of them.
        groups: names of the encodings.
        labels: of the classes.
        shares: of the variance that each axis explains.
        colours: of the page.
    """
    from matplotlib.lines import Line2D
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    figure = new_figure((6.2, 6.6), colours, dpi=160)
    axes = figure.subplots()
    dress(axes, colours, "")
    classes = sorted({one.class_index for one in placed if one.group == 0})
    few = len(classes) <= 10
    by_class = dict(zip(classes, tones(len(classes), colours), strict=True)) if few else {}
    for one in placed:
        if one.group:
            continue
        colour = by_class.get(one.class_index, colours["soft"])
        label = plain(labels[one.class_index]) if one.class_index < len(labels) else ""
        if few and 0 < len(label) <= 2:
            axes.text(one.x, one.y, label, color=colour, fontsize=10, ha="center", va="center")
        else:
            axes.plot(one.x, one.y, ".", color=colour, markersize=4, alpha=0.7)
    frames = (colours["main"], colours["second"], colours["ink"], colours["soft"])
    for one in placed:
        if one.picture is None:
            continue
        edge = frames[(one.group - 1) % len(frames)]
        pixels = _shown(one.picture)
        image = OffsetImage(
            pixels, zoom=THUMBNAIL / max(pixels.shape[:2]), cmap="gray", interpolation="nearest"
        )
        if pixels.ndim == 2:
            image.get_children()[0].set_clim(0, 255)  # type: ignore[attr-defined]
        box = AnnotationBbox(
            image, (one.x, one.y), pad=0.08, bboxprops={"edgecolor": edge, "linewidth": 2}
        )
        axes.add_artist(box)
        axes.annotate(
            plain(labels[one.class_index]), (one.x, one.y), (0, 0.5 * THUMBNAIL + 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=10, color=edge,
            fontweight="bold",
        )  # fmt: skip
    xs, ys = np.array([one.x for one in placed]), np.array([one.y for one in placed])
    for limits, values in ((axes.set_xlim, xs), (axes.set_ylim, ys)):
        room = 0.06 * (float(np.ptp(values)) or 1.0)
        limits(values.min() - room, values.max() + room)
    about = [
        f"component {k + 1}: {rate(share, 100)} of the variance" for k, share in enumerate(shares)
    ]
    axes.set_xlabel(about[0], color=colours["soft"], fontsize=11)
    axes.set_ylabel(about[1], color=colours["soft"], fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    handles = [Line2D([], [], marker=".", linestyle="", color=colours["soft"], label="natural")]
    handles += [
        Line2D([], [], marker="s", linestyle="", markerfacecolor="none", markeredgewidth=2,
               color=frames[k % len(frames)], label=f"evolved, {plain(name)}")
        for k, name in enumerate(groups)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", frameon=False, fontsize=10.5,
                  ncols=3, labelcolor=colours["ink"])  # fmt: skip
    return to_png(figure, colours)


def switching_figure(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], colours: Colours
) -> bytes:
    """The share of new champions that switched over generations, a line per encoding; PNG bytes.

    Args:
        curves: by encoding: float64 (N,) generations and float64 (N,) shares on [0, 1].
        colours: of the page.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure((6.2, 4.2), colours, dpi=160)
    axes = figure.subplots()
    dress(axes, colours, "")
    for (name, (x, y)), colour in zip(curves.items(), tones(len(curves), colours), strict=True):
        axes.plot(x, 100 * y, color=colour, linewidth=2, marker="o", markersize=4,
                  label=plain(name))  # fmt: skip
    most = max((float(y.max()) for _, y in curves.values() if y.size), default=0.0)
    axes.set_ylim(0, min(100.0, max(1.0, 110 * most)))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(labelsize=11)
    axes.set_xlabel("generation", color=colours["soft"], fontsize=12)
    axes.set_ylabel("% of new champions", color=colours["soft"], fontsize=12)
    grid_lines(axes, colours)
    axes.legend(frameon=False, fontsize=11, labelcolor=colours["ink"])
    return to_png(figure, colours)


def plain(label: str) -> str:
    """A class's name for a figure: short, on one line, and no formula."""
    name = bare(label)
    short = name if len(name) <= NAMED else name[: NAMED - 1] + "…"
    return short.replace("$", r"\$")


def _picture(axes: Axes, cell: GridCell, colours: Colours, fontsize: float) -> None:
    """One picture without axes, its note below."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(colours["sunk"])
    edge = colours["red"] if cell.marked else colours["ink"] if cell.own else None
    for spine in axes.spines.values():
        spine.set_visible(edge is not None)
        if edge is not None:
            spine.set_color(edge)
            spine.set_linewidth(2.5)
    if cell.picture is not None:
        axes.imshow(_shown(cell.picture), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.set_box_aspect(1)
    if cell.note:
        axes.set_xlabel(cell.note, fontsize=fontsize, color=colours["ink"], labelpad=2)


def _shown(picture: UInt8Images) -> NDArray[np.uint8]:
    rows = to_hwc(picture)
    return rows[..., 0] if rows.shape[-1] == 1 else rows


def _hues(
    predicted: NDArray[np.int64], own: int, labels: Sequence[str], colours: Colours
) -> tuple[dict[int, str], list[tuple[str, str]]]:
    """The colour of every class on a map, and the legend: the class of the map comes first."""
    counts = Counter(predicted.ravel().tolist())
    order = sorted(counts, key=lambda c: (c != own, -counts[c], c))
    bright = tones(min(HUES, max(1, len(order))), colours)
    hues = {c: bright[k] if k < HUES else colours["soft"] for k, c in enumerate(order)}
    listed = [(plain(labels[c]), hues[c]) for c in order[:HUES]]
    if len(order) > HUES:
        listed.append((f"{len(order) - HUES} more", colours["soft"]))
    return hues, listed


def _triangle(axes: Axes, colours: Colours) -> None:
    """The three pictures, by their first letters, and the lines between them."""
    places = {"N": (0, 0), "A": (1, 0), "E": (0, 1)}
    xs, ys = zip(*[*places.values(), (0, 0)], strict=True)
    axes.plot(xs, ys, color=colours["ink"], linewidth=1.2, linestyle=(0, (4, 3)))
    for letter, (x, y) in places.items():
        axes.text(
            x, y, letter, ha="center", va="center", fontsize=13, fontweight="bold",
            color=colours["ink"],
            bbox={"boxstyle": "circle", "facecolor": colours["paper"], "edgecolor": colours["ink"]},
        )  # fmt: skip
    axes.set_xticks([0, 1], ["", ""])
    axes.set_yticks([0, 1], ["", ""])


def _legend(axes: Axes, listed: Sequence[tuple[str, str]], colours: Colours) -> None:
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor=colour, label=name) for name, colour in listed]
    axes.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(6, len(handles)),
        frameon=False, fontsize=11, labelcolor=colours["ink"], handlelength=1, columnspacing=1,
    )  # fmt: skip


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
