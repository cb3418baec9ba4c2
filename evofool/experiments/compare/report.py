"""``report/`` of a comparison: what do evolution, gradients and chance reach, and at what cost?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from evofool.experiments.compare import plots
from evofool.experiments.compare.beside import across, more_sections
from evofool.experiments.compare.measures import MethodResults, read
from evofool.experiments.compare.paired import BAR, Paired, least_p, paired
from evofool.experiments.compare.saved import (
    likeness_table,
    pictures_table,
    saved_pictures,
    shown_table,
    transfer_table,
)
from evofool.experiments.compare.searches import Compared
from evofool.experiments.compare.tables import (
    ByNet,
    costs_table,
    curves_table,
    methods_table,
    pairs_table,
    searches_table,
    traces_table,
)
from evofool.experiments.compare.works import BARS, SearchRow
from evofool.experiments.engine import Results
from evofool.report.figures import light_and_dark
from evofool.report.output import Report
from evofool.report.sections import Figure, Picture, Section, sections_page
from evofool.report.tables import Table, Text
from evofool.text import counted, probability

MOST_SHOWN = 20
"""Classes whose pictures stand on the page."""
CURRENCY = (
    "Costs are forward-equivalents: images that went forward through the net plus twice the images"
    " that gradients were taken of, verification included, over all classes together."
)


def report(compared: Compared, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page with plots and pictures, the tables and the summary."""
    config = compared.config
    outcomes: ByNet = {
        net: [read(arm, results, len(labels)) for arm in compared.of(net)]
        for net, labels in compared.labels.items()
    }
    pairs = {net: paired(each) for net, each in outcomes.items()} | across(compared, outcomes)
    files: dict[str, bytes] = {}
    sections: list[Section] = []
    saved = list(saved_pictures(compared, results))
    methods = methods_table(outcomes, config.seed)
    for number, (net, each) in enumerate(outcomes.items()):
        pictures, shown = _pictures(compared, results, net, number)
        files |= pictures
        files |= _plots(each, config.seed, number)
        sections += _sections(compared, net, each, pairs[net], number)
        sections += shown
    tables = {
        "compare.csv": methods,
        "curves.csv": curves_table(outcomes, config.seed),
        "searches.csv": searches_table(outcomes, compared.labels),
        "tests.csv": pairs_table(pairs),
        "pictures.csv": pictures_table(saved),
        "likeness.csv": likeness_table(saved),
        "traces.csv": traces_table(outcomes),
        "costs.csv": costs_table(outcomes),
    }
    if any(one.shown for one in saved):
        tables["shown.csv"] = shown_table(saved)
        everything = [one for each in outcomes.values() for one in each]
        tables["transfer.csv"] = transfer_table(saved, everything, config.seed)
    columns = ("net", "method", "sees", "median_confidence", "share_0.99", "half_at")
    files["compare.tex"] = methods.select(*columns).latex().encode()
    sections.insert(
        0,
        Section(
            "Methods",
            f"{CURRENCY} A method that works for each class by itself has the same budget divided"
            f" among the classes. {_about_seeds(outcomes)} A cost a success is all that was"
            f" spent by the pictures with confidence {BARS[-1]:g} or more.",
            tables=[methods],
        ),
    )
    more, more_tables = more_sections(compared, outcomes, results)
    sections, tables = sections + more, tables | more_tables
    sections += [
        Section(
            "What the pictures are like",
            "Medians over the pictures of all seeds. Total variation is the mean difference of"
            " neighbours, 1/3 of uniform noise; the slope of the spectrum is 0 of white noise and"
            " about -2 of photographs.",
            tables=[tables["likeness.csv"]],
        ),
        *_tests_section(tables["tests.csv"], pairs),
        *_left_out_section(compared),
    ]
    page = sections_page(
        "What do evolution, gradients and chance reach, and what does it cost?",
        sections,
        subject="methods, compared",
        lede=[*answers(compared, outcomes), *compared.notes],
        facts=_facts(compared, results, manifest),
        files=[*tables, "report/compare.tex", "summary.json", "config.yaml"],
    )
    beside = {one.file: one.png for one in saved if one.file}
    told = summary(compared, results, manifest, outcomes, pairs)
    return Report(page, files, tables, told, beside)


def summary(
    compared: Compared,
    results: Results,
    manifest: Mapping[str, Any],
    outcomes: ByNet,
    pairs: Mapping[str, Sequence[Paired]],
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    config = compared.config
    table = methods_table(outcomes, config.seed)
    names = [name for column in table.columns for name in column.fields()]
    lines = [
        [value for column, cell in zip(table.columns, row, strict=True)
         for value in column.values(cell)]
        for row in table.rows
    ]  # fmt: skip
    return {
        "status": "finished",
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "seeds": list(compared.seeds),
        "budget": compared.budget,
        "methods": [dict(zip(names, line, strict=True)) for line in lines],
        "tests": {net: [asdict(pair) for pair in each] for net, each in pairs.items()},
        "reached_by_one_family": {net: only_one_family(each) for net, each in outcomes.items()},
        "left_out": [asdict(each) for each in compared.left_out],
        "seconds": round(results.folder.seconds(), 3),
    }


def only_one_family(outcomes: Sequence[MethodResults]) -> dict[str, list[int]]:
    """Classes that only evolution, or only gradients, reach with confidence `BAR`."""
    by_family: dict[str, set[int]] = {"evolution": set(), "gradients": set()}
    for one in outcomes:
        if one.arm.family in by_family:
            classes = one.reaches(BAR).nonzero()[0].tolist()
            by_family[one.arm.family] |= set(classes)
    evolution, gradients = by_family["evolution"], by_family["gradients"]
    return {
        "evolution": sorted(evolution - gradients),
        "gradients": sorted(gradients - evolution),
        "both": sorted(evolution & gradients),
    }


def answers(compared: Compared, outcomes: ByNet) -> Iterator[str]:
    """What came out, in a few sentences a net."""
    for net, each in outcomes.items():
        best: dict[str, tuple[float, MethodResults]] = {}
        for one in each:
            middle = float(_median(one))
            if one.arm.family not in best or middle > best[one.arm.family][0]:
                best[one.arm.family] = (middle, one)
        parts = [
            f"{family} {probability(value)} ({one.arm.title})"
            for family, (value, one) in sorted(best.items(), key=lambda item: -item[1][0])
        ]
        most = max(max(one.spent) for one in each)
        yield (
            f"{net}, at most {compared.budget or most:,} forward-equivalents: median confidence of"
            f" the best method of each kind: {', '.join(parts)}."
        )
        apart = only_one_family(each)
        labels = compared.labels[net]
        families = {one.arm.family for one in each}
        if {"evolution", "gradients"} <= families:
            for one_family, other in (("evolution", "gradients"), ("gradients", "evolution")):
                names = [labels[c] for c in apart[one_family]]
                listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
                reached = listed or "no class"
                yield f"{reached}: with confidence {BAR:g} by {one_family} and not by {other}."


def _median(one: MethodResults) -> float:
    import numpy as np

    return float(np.median(np.median(one.confidence, axis=1)))


def _sections(
    compared: Compared,
    net: str,
    outcomes: Sequence[MethodResults],
    pairs: Sequence[Paired],
    number: int,
) -> list[Section]:
    name = _prefix(number)
    many = any(len(one.seeds) > 1 for one in outcomes)
    band = "The band is the 95 % bootstrap interval over the seeds. " if many else ""
    figures = [
        Figure(f"{name}-medians", f"Median confidence over cost on {net}, a line a method."),
        *(
            Figure(
                f"{name}-share-{bar}",
                f"Share of the classes of {net} with confidence {bar} or more, over cost.",
            )
            for bar in BARS
        ),
    ]
    return [
        Section(
            f"{net}: over cost",
            f"{band}{_about_seeds({net: outcomes})} Confidences are on an axis of log-odds. The"
            f" same plots as SVG lie beside this page.",
            figures=figures,
        )
    ]


def _plots(outcomes: Sequence[MethodResults], seed: int, number: int) -> dict[str, bytes]:
    name = _prefix(number)
    files = light_and_dark(f"{name}-medians", partial(plots.medians_plot, outcomes, seed))
    for bar, value in enumerate(BARS):
        draw = partial(plots.shares_plot, outcomes, bar, seed)
        files |= light_and_dark(f"{name}-share-{value}", draw)
    return files | plots.svgs(outcomes, seed, name)


def _pictures(
    compared: Compared, results: Results, net: str, number: int
) -> tuple[dict[str, bytes], list[Section]]:
    """The pictures of the first seed by file, and a section a class that shows them in a row."""
    files: dict[str, bytes] = {}
    shown: dict[int, list[Picture]] = {}
    for a, arm in enumerate(compared.of(net)):
        first = next(iter(arm.runs.values()))
        for row in results.with_pictures(first, SearchRow):
            name = f"pictures/{_prefix(number)}-{a:02d}-{row.item:04d}.png"
            files[name] = row.png or b""
            sure = probability(_sigmoid(row.final))
            shown.setdefault(row.item, []).append(Picture(name, arm.title, sure))
    labels = compared.labels[net]
    sections = [
        Section(
            f"{net}: {labels[c]}",
            f"The best picture of each method, of its first seed, with the net's confidence in"
            f" {labels[c]}.",
            pictures=pictures,
        )
        for c, pictures in sorted(shown.items())[:MOST_SHOWN]
    ]
    return files, sections


def _prefix(number: int) -> str:
    return f"net-{number}"


def _sigmoid(odds: float) -> float:
    import numpy as np

    from evofool.scoring.ranking import sigmoid

    return float(sigmoid(np.array(odds)))


def _about_seeds(outcomes: ByNet) -> str:
    """How many seeds there are, and which methods have no interval."""
    methods = [one for each in outcomes.values() for one in each]
    counts = sorted({len(one.seeds) for one in methods})
    if counts == [1]:
        return "There is one seed only, so no interval is drawn."
    if counts[0] > 1:
        some = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        return f"{some} seeds; intervals are bootstrapped over them."
    alone = list(dict.fromkeys(one.arm.title for one in methods if len(one.seeds) == 1))
    return (
        "Intervals are bootstrapped over the seeds. There is one seed only, and no interval, of"
        f" {', '.join(alone)}."
    )


def _tests_section(table: Table, pairs: Mapping[str, Sequence[Paired]]) -> list[Section]:
    if not table.rows:
        return []
    weak = [
        f" On {net}, with {each[0].classes} classes and {len(each)} pairs, Wilcoxon's p cannot be"
        f" below {least_p(each[0].classes, len(each)):.2g}, however methods differ: look at the"
        " effects, or compare fewer methods."
        for net, each in pairs.items()
        if each and least_p(each[0].classes, len(each)) > 0.05
    ]
    return [
        Section(
            "Tests",
            "Paired by class, each class with its median over the seeds. Wilcoxon's signed-rank"
            " test is of the log-odds, McNemar's exact test of the classes at"
            f" {BAR:g}; p values are after Holm's correction over all pairs of a net. The effect"
            " is the rank-biserial correlation: +1 if the first method is surer of every class."
            + "".join(weak),
            tables=[table],
        )
    ]


def _left_out_section(compared: Compared) -> list[Section]:
    if not compared.left_out:
        return []
    rows = [(each.victim, each.method, each.reason) for each in compared.left_out]
    table = Table([Text("net"), Text("method"), Text("why")], rows)
    return [Section("Left out", tables=[table])]


def _facts(compared: Compared, results: Results, manifest: Mapping[str, Any]) -> dict[str, str]:
    facts = {"command": str(manifest["command"])} if manifest.get("command") else {}
    return {
        **facts,
        **_budget(compared, results),
        "seeds": ", ".join(map(str, compared.seeds)),
        "left out": counted(len(compared.left_out), "method"),
    }


def _budget(compared: Compared, results: Results) -> dict[str, str]:
    """Of what was run here; run folders had each its own."""
    if compared.budget is None:
        return {}
    return {
        "budget": f"{compared.budget:,} forward-equivalents a method, net and seed",
        "took": f"{results.folder.seconds():.0f} s",
    }
