"""The cells of a transfer matrix: how many of how many, from the rows of its works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evofool.attacks.runs.statistics import share, wilson
from evofool.experiments.engine import Results
from evofool.experiments.transfer.matrix import Matrix
from evofool.experiments.transfer.works import AimRow, RankRow
from evofool.experiments.works.noise import ClaimRow
from evofool.report.tables import Count, Estimate, Rate, Table, Text

BARS = (0.5, 0.9, 0.99)
"""Confidences in the class that was evolved for."""
CLAIM = 0.5
"""Confidence from which a net takes a picture for some class."""
ANY = f"any class >= {CLAIM:g}"
TOP1, TOP5 = "top-1 error", "top-5 error"
CLEAN, NOISE = "clean", "noise"


def aimed_at(bar: float) -> str:
    """The measure of champions that reach a confidence in their class."""
    return f"its class >= {bar:g}"


@dataclass(frozen=True)
class MatrixCell:
    """One number of a matrix.

    Attributes:
        method: an encoding, or an attack with its parameters.
        measure: what is counted.
        source: net that the pictures were made on; `CLEAN` or `NOISE` where there was none.
        target: net that they were shown to.
        hits: pictures that count.
        n: all pictures.
        member: whether source and target are not the same, but have a net in common: an ensemble
            and its member.
    """

    method: str
    measure: str
    source: str
    target: str
    hits: int
    n: int
    member: bool = False

    @property
    def rate(self) -> Estimate | None:
        """The share with Wilson's 95 % interval; None of no pictures."""
        return None if not self.n else Estimate(self.hits / self.n, *wilson(self.hits, self.n))


def cells(matrix: Matrix, results: Results) -> list[MatrixCell]:
    """All cells, evolved pictures first; champions of several seeds are pooled."""
    entries = (*_evolved(matrix, results), *_attacked(matrix, results))
    return [replace(c, member=(c.source, c.target) in matrix.in_common) for c in entries]


def _evolved(matrix: Matrix, results: Results) -> Iterator[MatrixCell]:
    wanted = matrix.config.evolution
    if wanted is None:
        return
    for encoding in wanted.named:
        for target in matrix.targets:
            for source in matrix.sources:
                rows = [
                    row
                    for seed in wanted.seeds
                    for row in results.rows(
                        matrix.champions[encoding, source.name, seed, target.name], AimRow
                    )
                ]
                at = (source.name, target.name)
                for bar in BARS:
                    hits = sum(row.aimed is not None and row.aimed >= bar for row in rows)
                    yield MatrixCell(encoding, aimed_at(bar), *at, hits, len(rows))
                hits = sum(
                    row.most is not None and row.most >= CLAIM and not row.rejected for row in rows
                )
                yield MatrixCell(encoding, ANY, *at, hits, len(rows))
            claims = results.rows(matrix.noise[target.name], ClaimRow)
            reject = target.classifier.reject
            hits = sum(row.confidence >= CLAIM and row.predicted != reject for row in claims)
            yield MatrixCell(encoding, ANY, NOISE, target.name, hits, len(claims))


def _attacked(matrix: Matrix, results: Results) -> Iterator[MatrixCell]:
    for attack in dict.fromkeys(attack for attack, _ in matrix.crafted):
        for target in matrix.targets:
            shown = {
                source.name: matrix.attacked[attack, source.name, target.name]
                for source in matrix.sources
                if (attack, source.name) in matrix.crafted
            }
            for source_name, work in (*shown.items(), (CLEAN, matrix.clean[target.name])):
                rows = results.rows(work, RankRow)
                at = (source_name, target.name)
                yield MatrixCell(attack, TOP1, *at, *errors(rows, 1))
                if has_top5(target.labels) and all(row.rank is not None for row in rows):
                    yield MatrixCell(attack, TOP5, *at, *errors(rows, 5))


def has_top5(labels: Sequence[str]) -> bool:
    """Whether a net can be wrong in its top 5."""
    return len(labels) > 5


def errors(rows: Sequence[RankRow], top: int) -> tuple[int, int]:
    """Pictures that are neither rejected nor have their class among the `top` likeliest; of all."""
    wrong = sum(not row.rejected and (row.rank is None or row.rank >= top) for row in rows)
    return wrong, len(rows)


def table(entries: Sequence[MatrixCell]) -> Table:
    """Every cell in a row of ``transfer.csv``."""
    columns = [
        Text("method"),
        Text("measure"),
        Text("source"),
        Text("target"),
        Count("pictures that count", name="hits"),
        Count("pictures", name="n"),
        Rate("share", name="rate", bounds=("low", "high")),
        Text("member"),
    ]
    rows = [
        [c.method, c.measure, c.source, c.target, c.hits, c.n, c.rate, "yes" if c.member else "no"]
        for c in entries
    ]
    return Table(columns, rows)


def summary(
    matrix: Matrix, entries: Sequence[MatrixCell], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of ``summary.json``: what each method does to its own net, and to the others.

    Where a source is an ensemble, ``member`` pools what shares a net with it, ``other`` the rest,
    and ``unseen`` has for every source alone what it does to nets that no picture was made on.
    """
    methods = []
    for method, measure in dict.fromkeys((c.method, c.measure) for c in entries):
        these = [c for c in entries if (c.method, c.measure) == (method, measure)]
        made = [c for c in these if c.source not in (CLEAN, NOISE)]
        own = [c for c in made if c.source == c.target]
        member = [c for c in made if c.member]
        other = [c for c in made if c.source != c.target and not c.member]
        control = [c for c in these if c.source in (CLEAN, NOISE)]
        methods.append(
            {
                "method": method,
                "measure": measure,
                "own": _pooled(own),
                "member": _pooled(member),
                "other": _pooled(other),
                "unseen": unseen(matrix, made),
                "control": _pooled(control),
            }
        )
    return {
        "run_id": manifest["run_id"],
        "sources": [net.name for net in matrix.sources],
        "targets": [net.name for net in matrix.targets],
        "unseen": list(matrix.unseen),
        "methods": methods,
        "notes": list(matrix.notes),
    }


def unseen(matrix: Matrix, these: Sequence[MatrixCell]) -> dict[str, Any]:
    """By source, the share of one method and measure over the nets that are part of no source.

    So what an ensemble gains over one net is read off the same targets.
    """
    by_source = {
        net.name: _pooled([c for c in these if c.source == net.name and c.target in matrix.unseen])
        for net in matrix.sources
    }
    return {name: pooled for name, pooled in by_source.items() if pooled is not None}


def _pooled(these: Sequence[MatrixCell]) -> dict[str, Any] | None:
    n = sum(c.n for c in these)
    return {"n": n, **share(sum(c.hits for c in these), n)} if n else None
