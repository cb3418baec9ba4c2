"""``report/`` of a sweep: the headline figure against each key of the grid, tables, the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from evofool.experiments.engine import Results
from evofool.experiments.sweep.config import SweepConfig, shown
from evofool.experiments.sweep.figures import HEADLINES, Headline
from evofool.experiments.sweep.summary import (
    Outcome,
    grid_table,
    mean_of,
    read,
    runs_table,
    summarise,
)
from evofool.experiments.sweep.works import SweptRun
from evofool.report.figures import (
    dress,
    grid_lines,
    inside,
    legend_beside,
    light_and_dark,
    name_axes,
    odds_axis,
    panels,
    to_png,
    tones,
)
from evofool.report.output import Report
from evofool.report.sections import Figure, Section, sections_page
from evofool.report.theme import Colours
from evofool.text import counted, probability

LINES = 6
"""Most lines of a plot: where the other keys have more combinations, their mean is one line."""


def report(
    config: SweepConfig,
    kind: str,
    swept: Mapping[tuple[int, int], SweptRun],
    results: Results,
    manifest: Mapping[str, Any],
) -> Report:
    """The page with a plot a key, the tables and the summary."""
    outcomes = read(config, swept, results)
    summary = summarise(config, kind, outcomes, manifest, results)
    headline = HEADLINES[kind]
    grid, runs = grid_table(summary), runs_table(config, outcomes)
    files: dict[str, bytes] = {}
    sections = []
    for number, key in enumerate(config.grid):
        if not any(one.row.figures.get(headline.name) is not None for one in outcomes):
            break
        name = f"sweep-{number}"
        lines = lines_of(config, number, headline, outcomes)
        files |= light_and_dark(name, partial(plot, config, number, headline, lines))
        note = (
            f"{headline.about[0].upper()}{headline.about[1:]}: dots are means over the seeds,"
            " and bars their 95 % bootstrap intervals, which are too narrow with few seeds."
        )
        if len(lines) == 1 and len(config.grid) > 1:
            note += " Each is also over all values of the other keys."
        about = f"{headline.name} for each value of {key}"
        sections.append(Section(f"{headline.name} by {key}", note, [Figure(name, about)]))
    sections.append(Section("Every combination", tables=[grid]))
    sections.append(Section("Every run", "Each has its own run folder.", tables=[runs]))
    page = sections_page(
        _title(config, kind),
        sections,
        subject="sweep",
        lede=sentences(config, summary, headline),
        facts={
            "command": str(manifest.get("command") or ""),
            "seeds": ", ".join(map(str, config.seeds)),
            "took": results.took(),
        },
        files=("grid.csv", "sweep.csv", "grid.md", "grid.tex", "summary.json", "config.yaml"),
    )
    return Report(
        page,
        files,
        {"grid.csv": grid, "sweep.csv": runs},
        summary,
        {"grid.md": grid.markdown().encode(), "grid.tex": grid.latex().encode()},
    )


def sentences(config: SweepConfig, summary: Mapping[str, Any], headline: Headline) -> list[str]:
    """What came out: the best and the worst combination, and how many runs there are."""
    told = [
        f"{counted(summary['ended'], 'run')} of {summary['runs']} ended,"
        f" {summary['queries']:,} pictures were scored."
    ]
    known = [p for p in summary["grid"] if headline.name in p["figures"]]
    if known and config.grid:
        ranked = sorted(known, key=lambda p: -float(p["figures"][headline.name]["mean"]))
        for what, point in (("Highest", ranked[0]), ("Lowest", ranked[-1])):
            pairs = zip(config.grid, point["values"], strict=True)
            values = ", ".join(f"{key}={shown(value)}" for key, value in pairs)
            mean = probability(point["figures"][headline.name]["mean"])
            told.append(f"{what} {headline.name}: {mean} with {values}.")
    if len(config.seeds) == 1:
        told.append("One seed: there are no intervals.")
    return told


Line = tuple[str, list[tuple[float, float | None, float | None] | None]]
"""What it is called, and for each value of the key mean and interval."""


def lines_of(
    config: SweepConfig, key: int, headline: Headline, outcomes: Sequence[Outcome]
) -> list[Line]:
    """The lines of a plot over one key: one for each combination of the others, if they are few."""
    values = list(config.grid.values())[key]
    names = [name for k, name in enumerate(config.grid) if k != key]
    others = list(dict.fromkeys(_without(point, key) for point in map(_shown, config.points)))
    apart = len(others) <= LINES
    lines: list[Line] = []
    for other in others if apart else [()]:
        middle: list[tuple[float, float | None, float | None] | None] = []
        for value in map(shown, values):
            numbers = [
                figure
                for one in outcomes
                if (figure := one.row.figures.get(headline.name)) is not None
                and shown(one.point[key]) == value
                and (not apart or _without(_shown(one.point), key) == other)
            ]
            middle.append(mean_of(numbers) if numbers else None)
        pairs = zip(names, other, strict=True) if apart else ()
        lines.append((", ".join(f"{k.rpartition('.')[2]} {v}" for k, v in pairs), middle))
    return lines


def plot(
    config: SweepConfig, key: int, headline: Headline, lines: Sequence[Line], colours: Colours
) -> bytes:
    """The headline figure over the values of one key."""
    name, values = list(config.grid.items())[key]
    figure, (axes,) = panels(1, (7.6, 4.2), colours)
    seen: list[float] = []
    between = all(isinstance(value, int | float) for value in values)
    for k, ((label, middle), shade) in enumerate(
        zip(lines, tones(len(lines), colours), strict=True)
    ):
        places = [n for n, point in enumerate(middle) if point is not None]
        points = np.array(
            [[m, m if low is None else low, m if high is None else high]
             for m, low, high in filter(None, middle)], np.float64,
        )  # fmt: skip
        if not len(points):
            continue
        seen += points.ravel().tolist()
        drawn = inside(points) if headline.odds else points
        shift = (k - (len(lines) - 1) / 2) * 0.06
        axes.errorbar(
            np.array(places) + shift, drawn[:, 0],
            yerr=[drawn[:, 0] - drawn[:, 1], drawn[:, 2] - drawn[:, 0]],
            color=shade, marker="o", markersize=5, linewidth=1.4,
            linestyle="-" if between else "", capsize=3, label=label or None,
        )  # fmt: skip
    dress(axes, colours, "")
    axes.set_xticks(range(len(values)), [shown(value) for value in values])
    axes.set_xlim(-0.4, len(values) - 0.6)
    grid_lines(axes, colours)
    if headline.odds:
        odds_axis(axes, [np.array(seen)], colours)
    else:
        axes.set_ylim(min(0.0, *seen), max(1.0, *seen))
    name_axes(axes, colours, x=name, y=headline.name)
    if any(label for label, _ in lines):
        legend_beside(axes, colours)
    return to_png(figure, colours)


def _title(config: SweepConfig, kind: str) -> str:
    what = {"evolve": "Campaigns", "attack": "Attacks", "defend": "Defenses"}[kind]
    keys = " and ".join(key.rpartition(".")[2] for key in config.grid)
    return f"{what} over {keys}" if keys else f"{what} over seeds"


def _shown(point: Sequence[Any]) -> tuple[str, ...]:
    return tuple(shown(value) for value in point)


def _without(point: tuple[str, ...], key: int) -> tuple[str, ...]:
    return point[:key] + point[key + 1 :]
