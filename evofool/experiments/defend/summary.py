"""The summary of an evaluation of a defense: ``threats.csv``, ``summary.json``, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evofool.attacks.runs.statistics import share
from evofool.defenses.victims import adapted
from evofool.experiments.curves import Curve, curve_json, curve_of
from evofool.experiments.defend.masking import Verdict, judge
from evofool.experiments.defend.matrix import (
    DEFENDED,
    UNDEFENDED,
    Evaluation,
    JudgedNet,
    Threat,
)
from evofool.experiments.engine import Results
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.defended import FILE, DefendedRow
from evofool.experiments.works.diagnosed import DiagnosticRow, black_minus_white
from evofool.experiments.works.substitute import Substitute, TaughtRow
from evofool.report.tables import Cell, Column, Count, Number, Table, Text
from evofool.text import counted


@dataclass(frozen=True)
class ShownNet:
    """A net of the threat matrix, with what a report shows of it.

    Attributes:
        works: on it.
        digest: of the net.
        labels: of its classes.
        adapts: whether an attack that knows its defense differentiates something else.
    """

    works: JudgedNet
    digest: str
    labels: Sequence[str]
    adapts: bool

    @property
    def name(self) -> str:
        """`UNDEFENDED` or `DEFENDED`."""
        return self.works.name


def shown_nets(evaluation: Evaluation, results: Results) -> list[ShownNet]:
    """The nets of a report; a defended one that turned out to be the undefended one is none."""
    base = evaluation.base
    row = results.only(evaluation.defended, DefendedRow)
    known = {
        UNDEFENDED: (base.digest, base.labels, adapted(base) is not None),
        DEFENDED: (row.digest, row.labels, row.adapts),
    }
    return [
        ShownNet(net, *known[net.name])
        for net in evaluation.nets
        if net.name == UNDEFENDED or row.digest != base.digest
    ]


def summarise(
    evaluation: Evaluation,
    results: Results,
    manifest: Mapping[str, Any],
    nets: Sequence[ShownNet],
    curves: Sequence[Curve],
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    config, base = evaluation.config, manifest["classifier"]
    row = results.only(evaluation.defended, DefendedRow)
    return {
        "status": "finished",
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "base": {"name": base["name"], "digest": base["digest"]},
        "defense": config.defense.model_dump(mode="json", exclude_none=True),
        "victim": {"name": row.name, "digest": row.digest, "file": FILE},
        "data": config.data.model_dump(mode="json"),
        "eps": config.threats.eps,
        "verdict": verdict_json(verdict_of(evaluation, results, nets[-1])),
        "threats": [
            threat_json(results, net, threat) for net in nets for threat in threats_of(net)
        ],
        "evolution": [curve_json(curve) for curve in curves],
        "seconds": round(results.folder.seconds(), 3),
    }


def threats_of(net: ShownNet) -> list[Threat]:
    """The rows of the matrix: pictures that turn out to be made on the net itself are none."""
    return [threat for threat in net.works.threats if threat.source != net.digest]


def read_curves(evaluation: Evaluation, results: Results, nets: Sequence[ShownNet]) -> list[Curve]:
    """A curve for every net and encoding, over the seeds."""
    evolution = evaluation.config.evolution
    if evolution is None:
        return []
    return [
        curve_of(
            results,
            net.name,
            encoding,
            evolution.seeds,
            [net.works.campaigns[encoding, seed] for seed in evolution.seeds],
        )
        for net in nets
        for encoding in evolution.named
    ]


def verdict_of(evaluation: Evaluation, results: Results, net: ShownNet) -> Verdict:
    """Whether a net hides its gradients.

    Attacks with and without gradients are compared on the same images: the first ones, which
    Square was run on.
    """
    values = {
        row.key: (row.value, row.detail)
        for row in results.rows(evaluation.diagnosed, DiagnosticRow)
    }
    n = len(evaluation.diagnosed.pictures)
    rates: dict[str, dict[str, float]] = {"white": {}, "black": {}, "transfer": {}}
    for threat in threats_of(net):
        if threat.group in rates:
            first = results.rows(threat.work, AnswerRow)[:n]
            rates[threat.group][threat.name] = sum(row.is_error for row in first) / len(first)
    black = {**rates["transfer"], **rates["black"]}
    return judge({**values, "black_minus_white": black_minus_white(rates["white"], black, n)})


def threat_json(results: Results, net: ShownNet, threat: Threat) -> dict[str, Any]:
    """A row of the matrix as JSON values, with Wilson's 95 % interval of the error rate."""
    rows = results.rows(threat.work, AnswerRow)
    errors, cost = sum(row.is_error for row in rows), results.cost(threat.work)
    rate = share(errors, len(rows))
    return {
        "net": net.name,
        "threat": threat.name,
        "group": threat.group,
        "n": len(rows),
        "errors": errors,
        "rate": rate["rate"],
        "low": rate["low"],
        "high": rate["high"],
        "rejected": sum(row.rejected and row.predicted != row.label for row in rows),
        "queries": cost.queries,
        "backward_images": cost.backward_images,
        "seconds": round(cost.seconds, 3),
        "detail": _detail(results, net, threat),
    }


def _detail(results: Results, net: ShownNet, threat: Threat) -> str:
    """Parameters of an attack, and what a person should know of it."""
    stored = results.stored(threat.work)
    parts: list[str] = []
    if threat.group == "adaptive":
        parts.append("BPDA, margin" if net.adapts else "margin, random starts")
    elif isinstance(threat.work, Substitute):
        labels = results.only(threat.work, TaughtRow).labels
        parts.append(f"{labels} labels for {counted(threat.work.settings.rounds, 'round')}")
    elif threat.group == "black":
        queries = getattr(threat.work.attack, "queries", 0)  # type: ignore[union-attr]
        parts.append(f"{queries} queries per image")
    return "; ".join([*parts, *(() if stored is None else stored.notes)])


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """``threats.csv``: one line a threat and net."""
    columns: list[Column] = [
        Text("net"), Text("threat"), Text("group"), Count("n"), Count("errors"), Number("rate"),
        Number("low"), Number("high"), Count("rejected"), Count("queries"),
        Count("backward_images"), Number("seconds"), Text("detail"),
    ]  # fmt: skip
    cells: list[list[Cell]] = [[row[column.title] for column in columns] for row in rows]
    return Table(columns, cells)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON values, every number beside its thresholds and their source."""
    return {
        "colour": verdict.colour.value,
        "reason": verdict.reason,
        "findings": [
            {
                "key": f.rule.key,
                "question": f.rule.question,
                "value": f.value,
                "colour": None if f.colour is None else f.colour.value,
                "bad": f.rule.side,
                "amber": f.rule.amber,
                "red": f.rule.red,
                "decisive": f.rule.decisive,
                "source": f.rule.source,
                "detail": f.detail,
            }
            for f in verdict.findings
        ],
    }
