"""``report/`` of a comparison: what do evolution, gradients and chance reach, and at what cost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from evofool.experiments.compare import answer, heat, plots
from evofool.experiments.compare.beside import across, more_sections
from evofool.experiments.compare.measures import MethodResults, read
from evofool.experiments.compare.page import (
    NetPart,
    answers,
    comparison_page,
    net_part,
    only_one_family,
)
from evofool.experiments.compare.paired import Paired, paired
from evofool.experiments.compare.saved import (
    Saved,
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
from evofool.experiments.engine import Results
from evofool.report.figures import light_and_dark
from evofool.report.output import Report
from evofool.report.tables import Table
from evofool.text import counted


def report(compared: Compared, results: Results, manifest: Mapping[str, Any]) -> Report:
    """The page with plots and pictures, the tables and the summary."""
    outcomes: ByNet = {
        net: [read(arm, results, len(labels)) for arm in compared.of(net)]
        for net, labels in compared.labels.items()
    }
    pairs = {net: paired(each) for net, each in outcomes.items()}
    between = across(compared, outcomes)
    saved = list(saved_pictures(compared, results))
    tables = _tables(compared, outcomes, pairs | between, saved)
    more, more_tables = more_sections(compared, outcomes, between, results)
    tables |= more_tables
    files: dict[str, bytes] = {}
    parts: list[NetPart] = []
    for number, (net, each) in enumerate(outcomes.items()):
        part, shown = net_part(compared, net, number, each, saved, pairs[net], tables["tests.csv"])
        parts.append(part)
        files |= shown | figures(compared, net, number, each, pairs[net], saved)
    columns = ("net", "method", "sees", "median_confidence", "share_0.99", "half_at")
    files["compare.tex"] = tables["compare.csv"].select(*columns).latex().encode()
    page = comparison_page(
        compared,
        parts,
        tables,
        more,
        [*answers(compared, outcomes), *compared.notes],
        _facts(compared, results, manifest),
        [*tables, "report/compare.tex", "summary.json", "config.yaml"],
    )
    beside = {one.file: one.png for one in saved if one.file}
    told = summary(compared, results, manifest, outcomes, pairs | between)
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


def figures(
    compared: Compared,
    net: str,
    number: int,
    outcomes: Sequence[MethodResults],
    pairs: Sequence[Paired],
    saved: Sequence[Saved],
) -> dict[str, bytes]:
    """Everything that is drawn of a net, as PNG in light and dark and as SVG."""
    config, name = compared.config, f"net-{number}"
    files: dict[str, bytes] = {}
    for kind, draw in (
        ("best", plots.best_plot),
        ("medians", plots.medians_plot),
        ("share", plots.shares_plot),
    ):
        files |= light_and_dark(f"{name}-{kind}", partial(draw, outcomes, config.seed))
    files |= plots.svgs(outcomes, config.seed, name)
    if pairs:
        files |= light_and_dark(f"{name}-tests", partial(heat.heat_plot, pairs))
        files[f"{name}-tests.svg"] = heat.heat_svg(pairs)
    first = "answer" if number == 0 else f"answer-{number}"
    pictures = {
        (one.arm.title, one.row.item): one.png
        for one in saved
        if one.arm.victim == net and one.seed == one.arm.first_seed
    }
    shown = (outcomes, compared.labels[net], pictures, config.seed, config.pictures)
    files |= light_and_dark(first, partial(answer.answer_png, *shown))
    files[f"{first}.svg"] = answer.answer_svg(*shown)
    return files


def _tables(
    compared: Compared,
    outcomes: ByNet,
    pairs: Mapping[str, Sequence[Paired]],
    saved: Sequence[Saved],
) -> dict[str, Table]:
    """By their names in the run folder."""
    seed = compared.config.seed
    tables = {
        "compare.csv": methods_table(outcomes, seed),
        "curves.csv": curves_table(outcomes, seed),
        "searches.csv": searches_table(outcomes, compared.labels),
        "tests.csv": pairs_table(pairs),
        "pictures.csv": pictures_table(saved),
        "likeness.csv": likeness_table(saved),
        "traces.csv": traces_table(outcomes),
        "costs.csv": costs_table(outcomes),
    }
    if any(one.shown for one in saved):
        everything = [one for each in outcomes.values() for one in each]
        tables["shown.csv"] = shown_table(saved)
        tables["transfer.csv"] = transfer_table(saved, everything, seed)
    return tables


def _facts(compared: Compared, results: Results, manifest: Mapping[str, Any]) -> dict[str, str]:
    facts = {"command": str(manifest["command"])} if manifest.get("command") else {}
    return {
        **facts,
        **_spent(compared, results),
        "seeds": ", ".join(map(str, compared.seeds)),
        "left out": counted(len(compared.left_out), "method"),
    }


def _spent(compared: Compared, results: Results) -> dict[str, str]:
    """Of what was run here; run folders had each its own."""
    if compared.budget is None:
        return {}
    return {
        "budget": f"{compared.budget:,} forward-equivalents a method, net and seed",
        "took": results.took(),
    }
