"""``evofool defend`` of configs of kind retrain: what is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evofool.cli.terminal import answer
from evofool.text import bare, counted, estimate

if TYPE_CHECKING:
    from evofool.experiments.retrain_setup import RetrainPlan
    from evofool.store import Result


def print_plan(plan: RetrainPlan) -> None:
    """The resolved config, then what there is to do and what stands in the way."""
    from evofool.cli.report import print_victim
    from evofool.config import to_yaml

    answer(*to_yaml(plan.config).rstrip("\n").split("\n"))
    for missing in plan.missing:
        answer(f"# not ready: {bare(missing)}")
    work = (
        f"nets to be retrained: {plan.trainings}; runs of evolution: {plan.evolutions}, of"
        f" {counted(plan.evolved, 'image')} in all"
    )
    if plan.classifier is None:
        answer(f"# {work}")
    else:
        print_victim(plan.classifier, work, ready=not plan.missing)


def print_result(result: Result) -> None:
    """A line a net, then where to look."""
    found = result.summary
    rows = [["round", "trained on", "clean errors", "recall, old", "ascent"]]
    encodings = [e["encoding"] for e in found["nets"][0]["evolution"]]
    rows[0] += [f"{bare(e)}: median, recall of last" for e in encodings]
    for net in found["nets"]:
        row = [str(net["round"]), bare(net["trained_on"])]
        row += [_share(net[name]) for name in ("clean_error", "recall_old", "ascent")]
        row += [
            f"{estimate(e['median_confidence'], e['low'], e['high'])}, " + _share(e["recall_last"])
            for e in net["evolution"]
        ]
        rows.append(row)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    answer(f"{bare(found['base']['name'])}, {len(found['seeds'])} seeds: medians over them")
    for row in rows:
        line = "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        answer(line.rstrip())
    answer(f"look at {result.path / 'report' / 'index.html'}")
    answer(f"        {result.path / 'retrain.csv'}")


def _share(value: dict[str, Any] | None) -> str:
    return "-" if value is None else f"{value['median']:.2%}"
