"""A transfer matrix in lines of text: before it runs and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import yaml_lines
from evofool.experiments.engine.lines import work_lines
from evofool.report.output import PAGE
from evofool.report.tables import Cell, Estimate, Rate, Table, Text
from evofool.store import Result
from evofool.text import bare

if TYPE_CHECKING:
    from evofool.experiments.transfer.study import TransferPlan


def plan_lines(plan: TransferPlan) -> list[str]:
    """The resolved config, then the works there are to do and what stands in the way."""
    lines = [*yaml_lines(plan.config), *(f"# not ready: {bare(one)}" for one in plan.missing)]
    lines += [f"# note: {bare(note)}" for note in plan.notes]
    if plan.works is None:
        nets = len({*plan.config.sources, *(plan.config.targets or ())})
        return [*lines, f"# nets of the matrix: {nets}; works are counted when all are here"]
    return [*lines, *(f"# {line}" for line in work_lines(plan.works)), "# ready"]


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """What reaches other nets than its own, a line per method, and where to look."""
    rows: list[list[Cell]] = []
    most = 0
    for method in result.summary["methods"]:
        others = "other nets" if method["member"] is None else "nets that are no member"
        shown = {
            "its own net": method["own"],
            "members of the ensemble": method["member"],
            others: method["other"],
            **{f"unseen nets, from {name}": rate for name, rate in method["unseen"].items()},
        }
        for shown_to, rate in shown.items():
            if rate is not None:
                most = max(most, rate["n"])
                share = Estimate(rate["rate"], rate["low"], rate["high"])
                rows.append([method["method"], method["measure"], shown_to, share])
    columns = [Text("method"), Text("measure"), Text("shown to"),
               Rate("share", bounds=("low", "high"), of=most)]  # fmt: skip
    return [
        *Table(columns, rows).plain(),
        f"look at {result.path / PAGE}",
        f"        {result.path / 'transfer.csv'}",
    ]
