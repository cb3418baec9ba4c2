"""What an evaluation of a defense leaves for programs: two tables and ``summary.json``.

All of it is derived: it can be made again from ``run.sqlite`` and the runs below the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evofool.attacks.statistics import share
from evofool.experiments.curves import Curve
from evofool.experiments.defend_config import DefendConfig
from evofool.experiments.masking import Verdict, judge
from evofool.store import DefendFolder, DiagnosticRow, ThreatRow
from evofool.text import csv_bytes

NETS = ("undefended", "defended")
COLUMNS = (
    "net", "threat", "group", "n", "errors", "rate", "low", "high", "rejected", "queries",
    "backward_images", "seconds", "detail",
)  # fmt: skip

CURVE = ("seeds", "evaluations", "median_confidence", "low", "high")


def read_rows(run: DefendFolder) -> list[ThreatRow]:
    """The matrix as far as it is stored, the undefended net first."""
    return [row for net in NETS for row in run.threats(net)]


def read_verdict(rows: Iterable[DiagnosticRow]) -> Verdict:
    """The verdict of stored diagnostics."""
    return judge({row.key: (row.value, row.detail) for row in rows})


def threat_json(row: ThreatRow) -> dict[str, Any]:
    """A row of the matrix as JSON values, with Wilson's 95 % interval of the error rate."""
    found = share(row.errors, row.n)
    return {
        "net": row.net,
        "threat": row.threat,
        "group": row.group,
        "n": row.n,
        "errors": row.errors,
        "rate": found["rate"],
        "low": found["low"],
        "high": found["high"],
        "rejected": row.rejected,
        "queries": row.queries,
        "backward_images": row.backward_images,
        "seconds": round(row.seconds, 3),
        "detail": row.detail,
    }


def write_threats(run: DefendFolder, rows: Sequence[ThreatRow]) -> None:
    """``threats.csv``: one line a threat and net."""
    run.write_file("threats.csv", csv_bytes(COLUMNS, (threat_json(row).values() for row in rows)))


def write_curves(run: DefendFolder, curves: Sequence[Curve]) -> None:
    """``curves.csv``: the median over seeds at each number of evaluations, and its interval."""
    lines: list[Sequence[object]] = []
    for curve in curves:
        lines += [(curve.net, curve.encoding, *line) for line in curve_lines(curve)]
    run.write_file("curves.csv", csv_bytes(("net", "encoding", *CURVE), lines))


def curve_lines(curve: Curve) -> Iterator[tuple[int, int, float, float, float]]:
    """The columns `CURVE` of each point of a curve."""
    low, high = curve.interval()
    for k, evaluations in enumerate(curve.evaluations.tolist()):
        yield (
            len(curve.seeds),
            evaluations,
            float(curve.median[k]),
            float(low[k]),
            float(high[k]),
        )


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


def summary(
    run: DefendFolder,
    config: DefendConfig,
    victim: dict[str, Any],
    rows: Sequence[ThreatRow],
    curves: Sequence[Curve],
    verdict: Verdict,
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    base = run.manifest["classifier"]
    return {
        "status": "finished",
        "run_id": run.manifest["run_id"],
        "seed": run.manifest["seed"],
        "base": {"name": base["name"], "digest": base["digest"]},
        "defense": config.defense.model_dump(mode="json", exclude_none=True),
        "victim": victim,
        "data": config.data.model_dump(mode="json"),
        "eps": config.threats.eps,
        "verdict": verdict_json(verdict),
        "threats": [threat_json(row) for row in rows],
        "evolution": [curve_json(curve) for curve in curves],
        "seconds": round(run.seconds(), 3),
    }


def curve_json(curve: Curve) -> dict[str, Any]:
    """The end of a curve as JSON values."""
    low, high = curve.interval()
    return {
        "net": curve.net,
        "encoding": curve.encoding,
        "seeds": list(curve.seeds),
        "evaluations": int(curve.evaluations[-1]),
        "median_confidence": float(curve.median[-1]),
        "low": float(low[-1]),
        "high": float(high[-1]),
    }
