"""``report/index.html`` of a comparison: pictures first, then cost, the table, the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

import evofool.experiments
from evofool.experiments.compare.leading import FAMILIES, Wanted, best, side_by_side, some_classes
from evofool.experiments.compare.measures import MethodResults
from evofool.experiments.compare.paired import BAR, Paired, least_p
from evofool.experiments.compare.saved import Saved
from evofool.experiments.compare.searches import Compared
from evofool.experiments.compare.stored.config import RunsConfig
from evofool.experiments.compare.tables import ByNet
from evofool.experiments.compare.works import BARS
from evofool.images import decode_png, encode_png, to_hwc
from evofool.report.columns import Cell as CellValue
from evofool.report.page import Pages
from evofool.report.sections import Section
from evofool.report.tables import Confidence, Count, Estimate, Rate, Table, Text
from evofool.text import probability

PAGES = Pages(
    Path(evofool.experiments.__file__).parent / "templates",
    ("table.css", "report.css", "compare.css"),
)
FIRST, MOST_SHOWN = 4, 12
"""Classes whose pictures are shown at once, and those that can be unfolded as well."""
LARGEST = 112
"""Pixels that a picture on the page has at most: of larger ones a smaller copy is shown."""
CURRENCY = (
    "Costs are in forward-equivalents: images that went forward through the net plus twice the"
    " images for which a gradient was computed, over all classes together and including"
    " verification."
)

ONE_BUDGET = (
    "A method that works on one class at a time has the same budget, divided among the classes."
)
OWN_BUDGETS = (
    "Each run had its own budget, and is shown as far as it went. For a method that works on"
    " one class at a time, the costs of all its classes are added."
)


@dataclass(frozen=True)
class Cell:
    """A picture with what is written below it; `file` is empty where there is none."""

    file: str
    sure: str
    cost: str


@dataclass(frozen=True)
class Row:
    """The pictures of a class."""

    label: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class NetPart:
    """What a page says of one net.

    Attributes:
        name: of the net.
        file: the beginning of the names of its figures.
        seed: whose pictures are shown; None where methods have different first seeds.
        columns: methods that are shown side by side.
        first: classes that are shown at once.
        more: classes that can be unfolded.
        tests: of one method against another; None of one method.
        weak: a warning that the tests can show nothing, where it is so.
    """

    name: str
    file: str
    seed: int | None
    columns: Sequence[str]
    first: Sequence[Row]
    more: Sequence[Row]
    tests: Table | None
    weak: str


def net_part(
    compared: Compared,
    net: str,
    number: int,
    outcomes: Sequence[MethodResults],
    saved: Sequence[Saved],
    pairs: Sequence[Paired],
    tests: Table,
) -> tuple[NetPart, dict[str, bytes]]:
    """What a page says of a net, and the pictures that it shows there, by their names.

    Args:
        compared: all that is compared.
        net: by name.
        number: of the net.
        outcomes: of all methods on it.
        saved: the pictures of all nets.
        pairs: its tests.
        tests: those of all nets.
    """
    labels = compared.labels[net]
    seeds = {arm.first_seed for arm in compared.of(net)}
    chosen = side_by_side(outcomes, compared.config.pictures)
    own = {
        (one.arm.title, one.row.item): one
        for one in saved
        if one.arm.victim == net and one.seed == one.arm.first_seed
    }
    shown = some_classes(len(labels), MOST_SHOWN)
    early = shown[:FIRST] if len(labels) <= MOST_SHOWN else shown[:: -(-len(shown) // FIRST)]
    files: dict[str, bytes] = {}
    rows: dict[int, Row] = {}
    for c in shown:
        cells = []
        for one in chosen:
            picture = own.get((one.arm.title, c))
            if picture is None:
                cells.append(Cell("", "none", ""))
                continue
            files[picture.file] = reduced(picture.png)
            sure = probability(picture.confidence).removeprefix("0")
            cells.append(Cell(picture.file, sure, _cost(one, c)))
        rows[c] = Row(labels[c], cells)
    of_net = Table(tests.columns, [row for row in tests.rows if row[0] == net])
    names = [column.fields()[0] for column in tests.columns][1:]
    return (
        NetPart(
            net,
            f"net-{number}",
            seeds.pop() if len(seeds) == 1 else None,
            [one.arm.title for one in chosen],
            [rows[c] for c in early],
            [rows[c] for c in shown if c not in early],
            of_net.select(*names) if of_net.rows else None,
            _weak(pairs),
        ),
        files,
    )


def comparison_page(
    compared: Compared,
    nets: Sequence[NetPart],
    tables: Mapping[str, Table],
    more: Sequence[Section],
    lede: Sequence[str],
    facts: Mapping[str, str],
    files: Sequence[str],
) -> str:
    """The page as HTML text.

    Args:
        compared: all that is compared.
        nets: what it says of each.
        tables: by their file names.
        more: sections of tables.
        lede: what came out.
        facts: of the run.
        files: of the run folder, which are linked.
    """
    left_out = [(each.victim, each.method, each.reason) for each in compared.left_out]
    methods = tables["compare.csv"]
    transfer = tables.get("transfer.csv")
    values: dict[str, Any] = {
        "title": "What do evolution, gradients and chance reach, and what does it cost?",
        "subject": "methods, compared",
        "likeness_short": _few_measures(tables["likeness.csv"]),
        "lede": lede,
        "nets": nets,
        "bar": f"{BAR:g}",
        "band": "The band is the 95 % bootstrap interval over the seeds. "
        if max(compared.seeds_each) > 1
        else f"{about_seeds(compared)} ",
        "currency": CURRENCY,
        "budgets": ONE_BUDGET if compared.budget is not None else OWN_BUDGETS,
        "about_seeds": about_seeds(compared),
        "methods": _compact(methods),
        "all_columns": methods,
        "transfer": transfer,
        "transfer_short": None if transfer is None else _kept(transfer),
        "likeness": tables["likeness.csv"],
        "near": _near(compared),
        "more": more,
        "left_out": Table([Text("net"), Text("method"), Text("why")], left_out)
        if left_out
        else None,
        "facts": facts,
        "files": files,
    }
    return PAGES.render("compare.html", **values)


def about_seeds(compared: Compared) -> str:
    """How many seeds there are, and which methods have no interval, in a sentence or two."""
    counts = sorted(set(compared.seeds_each))
    if counts == [1]:
        return "There is only one seed, so no interval is drawn."
    if counts[0] > 1:
        some = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        return f"{some} seeds; intervals are bootstrapped over them."
    alone = dict.fromkeys(arm.title for arm in compared.arms if len(arm.runs) == 1)
    return (
        "Intervals are bootstrapped over the seeds. These methods have only one seed and no"
        f" interval: {', '.join(alone)}."
    )


def _near(compared: Compared) -> str | None:
    """The data set of natural pictures that distances are to."""
    config = compared.config
    if isinstance(config, RunsConfig) or all(m.target for m in compared.measures):
        return None
    return config.data


def answers(compared: Compared, outcomes: ByNet) -> Iterator[str]:
    """What came out, in a few sentences a net."""
    for net, each in outcomes.items():
        tops = [top for family in FAMILIES if (top := best(each, _of(family))) is not None]
        parts = [
            f"{one.arm.family} {probability(float(np.median(np.median(one.confidence, axis=1))))}"
            f" ({one.arm.title})"
            for one in sorted(tops, key=lambda one: -one.typical)
        ]
        if {"evolution", "gradients"} <= {one.arm.family for one in tops}:
            yield f"{net}: {_in_common(each, compared.labels[net])}"
        most = max(max(one.spent) for one in each)
        yield (
            f"{net}, for at most {compared.budget or most:,} forward-equivalents: median confidence"
            f" over the classes, by the best method of each kind: {', '.join(parts)}."
        )


def _in_common(outcomes: Sequence[MethodResults], labels: Sequence[str]) -> str:
    """Which classes evolution and gradients reach, and after what cost."""
    apart = only_one_family(outcomes)
    both = len(apart["both"])
    sentences = [
        f"evolution and gradients both reach confidence {BAR:g} in {both} of {len(labels)} classes."
        if both
        else f"evolution and gradients have no class in common at confidence {BAR:g}."
    ]
    for family in ("evolution", "gradients"):
        names = [labels[c] for c in apart[family]]
        if names:
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            classes = "class" if len(names) == 1 else "classes"
            sentences.append(f"Only {family}: {classes} {', '.join(names[:8])}{more}.")
    halves = []
    for family in ("evolution", "gradients"):
        top = best(outcomes, _of(family))
        assert top is not None
        half = float(np.median(top.half_way(-1)))
        when = f"after {half:,.0f} forward-equivalents" if np.isfinite(half) else "never"
        halves.append(f"with {top.arm.title} {when}")
    sentences.append(f"Half of the classes are there {', '.join(halves)}.")
    return " ".join(sentences)


def _of(family: str) -> Wanted:
    return lambda one: one.arm.family == family


def only_one_family(outcomes: Sequence[MethodResults]) -> dict[str, list[int]]:
    """Classes that only evolution, or only gradients, reach with confidence `BAR`.

    Of classes that both are after.
    """
    reached: dict[str, set[int]] = {"evolution": set(), "gradients": set()}
    sought: dict[str, set[int]] = {"evolution": set(), "gradients": set()}
    for one in outcomes:
        if one.arm.family in reached:
            reached[one.arm.family] |= set(one.reaches(BAR).nonzero()[0].tolist())
            sought[one.arm.family] |= set(one.sought.nonzero()[0].tolist())
    both = sought["evolution"] & sought["gradients"] if all(sought.values()) else None
    evolution, gradients = (
        each if both is None else each & both
        for each in (reached["evolution"], reached["gradients"])
    )
    return {
        "evolution": sorted(evolution - gradients),
        "gradients": sorted(gradients - evolution),
        "both": sorted(evolution & gradients),
    }


def reduced(png: bytes) -> bytes:
    """A PNG file as it is, or where a side is above `LARGEST` a smaller copy."""
    picture = decode_png(png)
    largest = max(picture.shape[1:])
    if largest <= LARGEST:
        return png
    image = to_hwc(picture)
    whole = PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    size = [max(1, round(side * LARGEST / largest)) for side in whole.size]
    small = np.asarray(whole.resize((size[0], size[1]), PIL.Image.Resampling.BOX))
    return encode_png(np.ascontiguousarray(np.atleast_3d(small).transpose(2, 0, 1)))


def _compact(methods: Table) -> Table:
    """What a phone has room for: no intervals, and of the shares only the last."""
    few = methods.select("net", "method", "median_confidence", f"share_{BAR:g}", "half_at")
    columns = [
        few.columns[0],
        few.columns[1],
        Confidence("median confidence", "median_confidence"),
        *(Rate(f"classes at {BAR:g}", one.name, of=one.of) for one in _rates(few)),
        Count("half of them after", "half_at"),
    ]
    return Table(columns, [_plain(row) for row in few.rows], grouped_by="net")


def _kept(transfer: Table) -> Table:
    """The same of what other nets make of the pictures, each pair of nets as a heading."""
    few = transfer.select("net", "target", "method", *(f"share_{bar:g}" for bar in BARS))
    columns = [
        Text("nets"),
        Text("method"),
        *(
            Rate(f"kept at {bar:g}", one.name, of=one.of)
            for bar, one in zip(BARS, _rates(few), strict=True)
        ),
    ]
    rows = [[f"{row[0]}, shown to {row[1]}", *_plain(row[2:])] for row in few.rows]
    rows.sort(key=lambda row: str(row[0]))
    return Table(columns, rows, grouped_by="nets")


def _rates(table: Table) -> list[Rate]:
    return [column for column in table.columns if isinstance(column, Rate)]


def _few_measures(likeness: Table) -> Table:
    """Of what pictures are like: how rough, how natural a spectrum, how far from natural ones."""
    names = [column.fields()[0] for column in likeness.columns]
    last = "nearest_rms" if "nearest_rms" in names else "png_bytes"
    return likeness.select("net", "method", "variation", "slope", last)


def _plain(row: Sequence[CellValue]) -> list[CellValue]:
    """A row without its intervals."""
    return [cell.value if isinstance(cell, Estimate) else cell for cell in row]


def _cost(one: MethodResults, c: int) -> str:
    cost = int(one.reached[0, c, -1])
    return f"after {cost:,}" if cost else f"never at {BAR:g}"


def _weak(pairs: Sequence[Paired]) -> str:
    if not pairs or least_p(pairs[0].classes, len(pairs)) <= 0.05:
        return ""
    return (
        f" With {pairs[0].classes} classes and {len(pairs)} pairs, Wilcoxon's p cannot be below"
        f" {least_p(pairs[0].classes, len(pairs)):.2g}, however different the methods are: look"
        " at the effects, or compare fewer methods."
    )
