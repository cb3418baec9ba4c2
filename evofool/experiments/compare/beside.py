"""Sections of a comparison's page beside its table: the runs, tests without pairs, and passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from evofool.experiments.compare.measures import MethodResults
from evofool.experiments.compare.paired import (
    LEAST_SHARED,
    Paired,
    Unpaired,
    paired_each,
    unpaired,
)
from evofool.experiments.compare.passes import COUNTED, PassesRow
from evofool.experiments.compare.searches import Compared
from evofool.experiments.compare.stored.works import StoredSearch
from evofool.experiments.compare.tables import ByNet, pairs_table
from evofool.experiments.engine import Results
from evofool.report.columns import Cell
from evofool.report.sections import Section
from evofool.report.tables import Count, Number, Table, Text


def more_sections(
    compared: Compared,
    outcomes: ByNet,
    between: Mapping[str, Sequence[Paired]],
    results: Results,
) -> tuple[list[Section], dict[str, Table]]:
    """The sections that have something to tell, and their tables by file name."""
    sections: list[Section] = []
    tables: dict[str, Table] = {}
    loose = {net: others for net, each in outcomes.items() if (others := unpaired(each))}
    if loose:
        tables["unpaired.csv"] = unpaired_table(loose)
        sections.append(
            Section(
                "Methods that share few classes",
                f"Methods that share fewer than {LEAST_SHARED} classes cannot be compared well"
                " by pairs of classes. Instead, their classes, each with its median over the"
                " seeds, are treated as two samples of log-odds. The test is the two-sided"
                " Mann-Whitney test, after Holm's correction over all such pairs of the net."
                " The effect is Cliff's delta: +1 if every class of the first method is surer"
                " than every class of the second.",
                tables=[tables["unpaired.csv"]],
            )
        )
    if between:
        sections.append(
            Section(
                "From net to net",
                "Methods on two nets, paired by classes of the same name. The tests are the"
                " same as for methods on one net.",
                tables=[pairs_table(between)],
            )
        )
    timed = [(net, results.rows(work, PassesRow)) for net, work in compared.passes.items()]
    passes = [(net, row) for net, rows in timed for row in rows]
    if passes:
        tables["passes.csv"] = passes_table(passes)
        told = "; ".join(f"{row.ratio:.1f} on {net}" for net, row in passes)
        sections.append(
            Section(
                "What a gradient costs here",
                "On the machine of this run, a backward pass took as long as this many forward"
                f" passes: {told}. The tables count {COUNTED}. This depends on the machine, and"
                " changes from run to run.",
                tables=[tables["passes.csv"]],
            )
        )
    rows = _runs(compared)
    if rows:
        tables["runs.csv"] = Table(
            [Text("run"), Text("kind"), Text("state"), Text("net"), Text("method"), Count("seed")],
            rows,
        )
        sections.append(
            Section(
                "The runs",
                "These results were read from the following run folders as stored; nothing was"
                " scored again.",
                tables=[tables["runs.csv"]],
            )
        )
    return sections, tables


def across(compared: Compared, outcomes: ByNet) -> dict[str, list[Paired]]:
    """Tests between two nets, by classes of the same name: of a method on both, if there is one."""
    between: dict[str, list[Paired]] = {}
    for first, second in combinations(outcomes, 2):
        pairs = [(a, b) for a in outcomes[first] for b in outcomes[second]]
        alike = [(a, b) for a, b in pairs if a.arm.title == b.arm.title]
        labels = (compared.labels[first], compared.labels[second])
        matched = [_matched(a, b, *labels) for a, b in alike or pairs]
        own = paired_each([pair for pair in matched if pair is not None])
        if own:
            between[f"{first} and {second}"] = own
    return between


def unpaired_table(loose: Mapping[str, Sequence[Unpaired]]) -> Table:
    """``unpaired.csv``: methods of a net that share too few classes to be paired."""
    rows: list[list[Cell]] = [
        [net, one.first, one.second, one.first_classes, one.second_classes, one.delta, one.p]
        for net, each in loose.items()
        for one in each
    ]
    return Table(
        [
            Text("net"), Text("method", "first"), Text("against", "second"),
            Count("classes", "first_classes"), Count("classes of the other", "second_classes"),
            Number("Cliff's delta", "delta", form="+.2f"),
            Number("Mann-Whitney p", "p", form=".2g"),
        ],
        rows,
        grouped_by="net",
    )  # fmt: skip


def passes_table(passes: Sequence[tuple[str, PassesRow]]) -> Table:
    """``passes.csv``: seconds of a batch on this machine."""
    rows: list[list[Cell]] = [
        [net, row.processor, row.device, row.images, row.forward, row.gradient, row.ratio, COUNTED]
        for net, row in passes
    ]
    return Table(
        [
            Text("net"), Text("processor"), Text("device"), Count("images"),
            Number("seconds forward", "forward_seconds"),
            Number("seconds of their gradients", "gradient_seconds"),
            Number("backward / forward", "ratio", form=".2f"), Count("counted as", "counted"),
        ],
        rows,
    )  # fmt: skip


def _runs(compared: Compared) -> list[list[Cell]]:
    return [
        [work.origin.name, work.origin.kind, work.origin.state, arm.victim, arm.title, seed]
        for arm in compared.arms
        for seed, work in arm.runs.items()
        if isinstance(work, StoredSearch)
    ]


def _matched(
    a: MethodResults, b: MethodResults, of_a: Sequence[str], of_b: Sequence[str]
) -> tuple[MethodResults, MethodResults] | None:
    """Both over the classes that they share by name; None without any."""
    shared = [
        (of_a.index(name), of_b.index(name))
        for name in dict.fromkeys(of_a)
        if name in set(of_b) and a.sought[of_a.index(name)] and b.sought[of_b.index(name)]
    ]
    if not shared:
        return None

    def over(one: MethodResults, classes: list[int]) -> MethodResults:
        arm = replace(one.arm, title=f"{one.arm.title} on {one.arm.victim}", sought=None)
        index = np.array(classes, np.int64)
        return replace(
            one, arm=arm, log_odds=one.log_odds[:, index], final=one.final[:, index],
            predicted=one.predicted[:, index], reached=one.reached[:, index],
        )  # fmt: skip

    return over(a, [i for i, _ in shared]), over(b, [j for _, j in shared])
