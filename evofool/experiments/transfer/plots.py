"""Heat maps of shares, with the numbers and their intervals in the cells."""

from __future__ import annotations

from collections.abc import Container, Sequence

from evofool.report.figures import dress, new_figure, to_png
from evofool.report.tables import Estimate
from evofool.report.theme import Colours
from evofool.text import bare

_WRAP = 14
"""Characters of a net's name in one line."""
_MOST = 3
"""Lines of a net's name."""


def heat_map(
    columns: Sequence[str],
    rows: Sequence[str],
    shares: Sequence[Sequence[Estimate | None]],
    colours: Colours,
    *,
    about: str,
    apart: int = 0,
    framed: Container[tuple[str, str]] = (),
) -> bytes:
    """A matrix of shares as PNG bytes: darker (on dark paper: brighter) is more.

    Args:
        columns: names of the sources.
        rows: names of the targets.
        shares: a row per target, a cell a source; None where there is no number.
        colours: of the page.
        about: what a column is, in a line above.
        apart: so many of the last columns are controls, set apart by a gap.
        framed: columns and rows of the cells with a frame in them.
    """
    from matplotlib.colors import LinearSegmentedColormap, to_rgb
    from matplotlib.patches import Rectangle

    steps = [colours[name] for name in ("sunk", "c1", "c2", "c3", "c4")]
    scale = LinearSegmentedColormap.from_list("shares", steps)
    gap = 0.25 if apart else 0.0
    places = [k + (gap if k >= len(columns) - apart else 0.0) for k in range(len(columns))]
    width, height = places[-1] + 1, len(rows)
    figure = new_figure((1.05 * width + 1.7, 0.85 * height + 1.3), colours, dpi=160)
    axes = figure.subplots()
    for r, line in enumerate(shares):
        for column, place, cell in zip(columns, places, line, strict=True):
            face = colours["paper"] if cell is None else scale(cell.value)
            edge = colours["paper"] if cell is not None else colours["line"]
            axes.add_patch(Rectangle((place, r), 1, 1, facecolor=face, edgecolor=edge, linewidth=2))
            if cell is None:
                axes.text(place + 0.5, r + 0.5, "–", ha="center", va="center",
                          color=colours["soft"], fontsize=12)  # fmt: skip
                continue
            red, green, blue = to_rgb(face)
            ink = "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "#141315"
            axes.text(place + 0.5, r + 0.42, shown(cell.value), ha="center", va="center",
                      color=ink, fontsize=14)  # fmt: skip
            if (column, rows[r]) in framed:
                frame = Rectangle((place + 0.06, r + 0.06), 0.88, 0.88, fill=False)
                frame.set(edgecolor=ink, linewidth=1.5, linestyle="--")
                axes.add_patch(frame)
            interval = f"{shown(cell.low)} – {shown(cell.high)}"
            axes.text(place + 0.5, r + 0.75, interval, ha="center", va="center",
                      color=ink, fontsize=8.5)  # fmt: skip
    dress(axes, colours, "")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_xticks([place + 0.5 for place in places], [wrapped(name) for name in columns])
    axes.set_yticks([r + 0.5 for r in range(height)], [wrapped(name) for name in rows])
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=10, labelcolor=colours["ink"])
    figure.suptitle(about, color=colours["soft"], fontsize=10, x=0.01, ha="left")
    axes.spines[:].set_visible(False)
    return to_png(figure, colours)


def shown(value: float) -> str:
    """A share in percent, in few digits, but never rounded to 0 or 100 where it is neither."""
    if 0 < value < 0.001:
        return "<0.1"
    if 0.999 < value < 1:
        return ">99.9"
    percent = 100 * value
    return f"{percent:.1f}" if 0 < percent < 0.5 or 99.5 < percent < 100 else f"{percent:.0f}"


def wrapped(name: str) -> str:
    """A name in at most three short lines, broken behind ``-``, ``_``, ``:``, ``/`` or anywhere."""
    lines: list[str] = []
    rest = bare(name)
    while rest and len(lines) < _MOST:
        if len(rest) <= _WRAP:
            lines.append(rest)
            rest = ""
            continue
        cuts = [k + 1 for k, c in enumerate(rest[:_WRAP]) if c in "-_:/. " and k > 2]
        cut = cuts[-1] if cuts else _WRAP
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:]
    if rest:
        lines[-1] = lines[-1][: _WRAP - 1] + "…"
    return "\n".join(lines)
