"""What an experiment on signs came to: rates with intervals, a line per row, net and method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from evofool.attacks.runs.statistics import share
from evofool.experiments.compare.paired import mann_whitney, signed_ranks
from evofool.experiments.engine import Results
from evofool.experiments.signs.driven import DrivenRow, metres, parts
from evofool.experiments.signs.painted import Rows
from evofool.experiments.signs.works import PaintedRow, SeenRow
from evofool.report.columns import Cell
from evofool.report.tables import Count, Estimate, Number, Rate, Table, Text
from evofool.text import rate

PUBLISHED = (
    "sign embedding beats in-distribution attacks on adversarially trained nets",
    "Sitawarin et al., 1801.02780",
)
"""The claim that was read in the paper's text; its shares of success were not: none is shown."""
DRAWN = ("logo", "custom")
CALLED: Mapping[str, str] = {
    "in-distribution": "photographed signs", "logo": "logos", "custom": "blank boards"
}  # fmt: skip
"""Rows in words."""
LEVEL = 0.05
"""Of tests."""


def summary(experiment: Rows, results: Results, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as JSON values."""
    config = experiment.config
    lines = []
    for one in experiment.painted:
        painted = results.rows(one.painted, PaintedRow)
        seen = results.rows(one.seen, SeenRow)
        line = _line(one.row, one.net, one.method, config.held_back, painted, seen)
        if one.driven is not None:
            line |= _driven(results.rows(one.driven, DrivenRow), painted)
        lines.append(line)
    nets = list(dict.fromkeys(one.net for one in experiment.painted))
    told: dict[str, Any] = {
        "kind": "signs",
        "nets": nets,
        "pictures": config.pictures,
        "held_back": config.held_back,
        "scale": config.scale,
        "transforms": config.seen.result,
        "sides": list(config.sides),
        "angles": list(config.angles),
        "frames": config.frames,
        "metres": metres(config.frames) if config.frames else [],
        "lines": lines,
        "published": {"claim": PUBLISHED[0], "source": PUBLISHED[1]},
        "command": str(manifest.get("command") or ""),
        "seconds": results.folder.seconds(),
    }
    told["sentences"] = sentences(told)
    return told


def _line(
    row: str,
    net: str,
    method: str,
    held_back: int,
    painted: Sequence[PaintedRow],
    seen: Sequence[SeenRow],
) -> dict[str, Any]:
    n = len(seen)
    plain = sum(a.predicted == b.target for a, b in zip(seen, painted, strict=True))
    afar = np.array([one.afar for one in seen], float).sum(axis=0)
    turned = np.array([one.turned for one in seen], float).sum(axis=0)
    return {
        "row": row,
        "net": net,
        "method": method,
        "n": n,
        "before": sum(a.before == b.target for a, b in zip(seen, painted, strict=True)),
        "untransformed": share(plain, n),
        "transformed": share(sum(one.held for one in seen), n * held_back),
        "held_each": [one.held for one in seen],
        "under_all": share(sum(one.held == held_back for one in seen), n),
        "median_confidence": float(np.median([one.confidence for one in seen])),
        "change": float(np.mean([one.change for one in painted])),
        "cost": float(np.mean([one.forward + 2 * one.backward for one in painted])),
        "afar": [share(int(hits), n) for hits in afar],
        "turned": [share(int(hits), n) for hits in turned],
    }


def _driven(rows: Sequence[DrivenRow], painted: Sequence[PaintedRow]) -> dict[str, Any]:
    """How many frames are read as the target: in all, and along the way."""
    hits = np.array(
        [[read == one.target for read in row.read] for row, one in zip(rows, painted, strict=True)]
    )
    along = [hits[:, list(part)] for part in parts(hits.shape[1])]
    return {
        "driven": {"n": hits.size, **share(int(hits.sum()), hits.size)},
        "along": [{"n": part.size, **share(int(part.sum()), part.size)} for part in along],
    }


def sentences(told: Mapping[str, Any]) -> list[str]:
    """What holds under the transforms that were held back, by net and method, and whether drawn
    signs and nets differ in it."""
    lines = []
    methods = list(dict.fromkeys(line["method"] for line in told["lines"]))
    for net in told["nets"]:
        for method in methods:
            own = {
                line["row"]: (line["transformed"]["rate"], line["n"] * told["held_back"])
                for line in told["lines"]
                if line["net"] == net and line["method"] == method
            }
            shares = ", ".join(f"{rate(*one)} ({CALLED[row]})" for row, one in own.items())
            lines.append(
                f"{method} on {net}: under {told['held_back']} transforms that the attack has not"
                f" seen, the painted pictures are read as their target in {shares} of all cases."
                f"{_beside(told, net, method)}"
            )
    for method in methods:
        lines += _across(told, method)
    return lines


def _beside(told: Mapping[str, Any], net: str, method: str) -> str:
    """Whether drawn signs hold under more transforms than photographed ones: a test over pictures,
    since the transforms of one picture are not independent."""
    own = {
        line["row"]: line["held_each"]
        for line in told["lines"]
        if line["net"] == net and line["method"] == method
    }
    drawn = [held for row in DRAWN for held in own.get(row, ())]
    if "in-distribution" not in own or not drawn:
        return ""
    p, delta = mann_whitney(np.array(drawn, float), np.array(own["in-distribution"], float))
    test = f"Mann-Whitney test over pictures, p = {p:.2g}"
    if not p < LEVEL:
        return f" No difference between drawn and photographed signs is shown ({test})."
    return f" Drawn signs do {'better' if delta > 0 else 'worse'} than photographed ones ({test})."


def _across(told: Mapping[str, Any], method: str) -> Iterator[str]:
    """On which net the same pictures with the same targets hold under more transforms."""
    held = {
        net: [
            held
            for line in told["lines"]
            if line["net"] == net and line["method"] == method
            for held in line["held_each"]
        ]
        for net in told["nets"]
    }
    first, *others = told["nets"]
    for net in others:
        p, effect = signed_ranks(np.array(held[net], float) - np.array(held[first], float))
        test = f"Wilcoxon test over {len(held[net])} pictures, p = {p:.2g}"
        if p < LEVEL:
            more = "more" if effect > 0 else "fewer"
            yield (
                f"{method}: pictures painted for {net} are read as their target under {more}"
                f" transforms than the same pictures painted for {first} ({test})."
            )
        else:
            yield f"{method}: no difference between {first} and {net} is shown ({test})."


def rates_table(told: Mapping[str, Any]) -> Table:
    """A line a row, net and method."""
    pictures = max(line["n"] for line in told["lines"])
    looks = pictures * told["held_back"]
    columns = [
        Text("picture"), Text("net"), Text("method"), Count("n"), Count("so before"),
        Rate("untransformed", bounds=("low", "high"), of=pictures),
        Rate("transformed", bounds=("transformed_low", "transformed_high"), of=looks),
        Rate("under all", bounds=("all_low", "all_high"), of=pictures),
        Number("change", form=".3f"), Number("cost", form=",.0f"),
    ]  # fmt: skip
    if told["frames"]:
        frames = max(line["driven"]["n"] for line in told["lines"])
        columns.append(Rate("driven by", bounds=("driven_low", "driven_high"), of=frames))
    rows: list[list[Cell]] = []
    for line in told["lines"]:
        shares = (line["untransformed"], line["transformed"], line["under_all"])
        rows.append(
            [
                line["row"], line["net"], line["method"], line["n"], line["before"],
                *(_estimate(one) for one in shares), line["change"], line["cost"],
                *([_estimate(line["driven"])] if told["frames"] else []),
            ]
        )  # fmt: skip
    return Table(columns, rows)


def shown_table(told: Mapping[str, Any]) -> Table:
    """The part of `rates_table` that a page has room for: a group of rows a net, and intervals only
    of the shares that pictures count in more than once."""
    names = ["picture", "net", "method", "n", "untransformed", "transformed", "under all"]
    names += ["driven by"] if told["frames"] else []
    whole = rates_table(told).select(*names, "change", "cost")
    places = [k for k, name in enumerate(names) if name in ("untransformed", "under all")]
    columns = list(whole.columns)
    rows = [list(row) for row in whole.rows]
    for k in places:
        columns[k] = Rate(columns[k].title, of=cast(Rate, columns[k]).of)
        for row in rows:
            row[k] = cast(Estimate, row[k]).value
    rows.sort(key=lambda row: told["nets"].index(row[1]))
    return Table(columns, rows, grouped_by="net")


def views_table(told: Mapping[str, Any]) -> Table:
    """``views.csv``: a line per row, net, method and view."""
    columns = [
        Text("picture"), Text("net"), Text("method"), Text("view"), Number("at"), Count("n"),
        Rate("success", bounds=("low", "high")),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for line in told["lines"]:
        seen = [("side", told["sides"], line["afar"]), ("angle", told["angles"], line["turned"])]
        if told["frames"]:
            seen.append(("metres", told["metres"], line["along"]))
        for view, places, shares in seen:
            rows += [
                [
                    line["row"],
                    line["net"],
                    line["method"],
                    view,
                    at,
                    one.get("n", line["n"]),
                    _estimate(one),
                ]
                for at, one in zip(places, shares, strict=True)
            ]
    return Table(columns, rows)


def _estimate(one: Mapping[str, Any]) -> Estimate | None:
    return None if one["rate"] is None else Estimate(one["rate"], one["low"], one["high"])
