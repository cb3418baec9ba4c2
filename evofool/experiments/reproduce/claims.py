"""A claim of the literature: what was published, how it is measured, which test it must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from evofool.attacks.runs.statistics import share
from evofool.experiments.engine import Planned, Results, Work
from evofool.text import rate

if TYPE_CHECKING:
    from evofool.experiments.reproduce.setting import Setting
    from evofool.report.theme import Colours

Mark = Literal["t", "c", "m"]
Verdict = Literal["holds", "fails", "undecided"]
MARKS: dict[Mark, str] = {
    "t": "read in the paper's text",
    "c": "read in the authors' code",
    "m": "unverified: from memory, not read again",
}
"""How sure it is that a figure was published."""
LEVEL = 0.05
"""Of every test; a claim is neither confirmed nor refuted by less."""


@dataclass(frozen=True)
class Published:
    """A published figure.

    Attributes:
        figure: as the paper prints it, with its unit; empty where no figure is known.
        mark: how sure that is, a key of `MARKS`.
    """

    figure: str
    mark: Mark

    @property
    def text(self) -> str:
        """The figure, never without a warning where it is not verified."""
        if not self.figure:
            return ""
        return f"{self.figure} (unverified)" if self.mark == "m" else self.figure


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        figure: for people, with its unit.
        value: the number that the verdict rests on.
        low: of its 95 % interval, None where the verdict is that of a test.
        high: likewise.
        n: observations.
        seeds: independent runs.
        p: of the test, None where the verdict is that of an interval.
        verdict: on the claim.
        table: more than the one number, for people: a row of heads, then rows as long.
    """

    figure: str
    value: float
    low: float | None
    high: float | None
    n: int
    seeds: int
    p: float | None
    verdict: Verdict
    table: tuple[tuple[str, ...], ...] = ()


Works: TypeAlias = "Callable[[Setting], Sequence[Planned]]"
Measure: TypeAlias = "Callable[[Setting, Results], Measured]"
Draw: TypeAlias = "Callable[[Setting, Results, Colours], bytes]"


@dataclass(frozen=True)
class Claim:
    """One row of the suite.

    Attributes:
        name: by which it is asked for: ``P1``.
        source: the paper.
        title: what was tried, in a few words.
        published: what the paper printed.
        statement: the claim behind the figure, in words.
        rule: how the verdict comes about; fixed here, before anything is measured.
        here: what differs from the paper, so that nobody sets the figures against each other.
        works: what has to be found out, with its titles.
        measure: the verdict from its rows.
        minutes: that its works are planned to take at the small scale on two CPU cores; fixed
            before they were run.
        shares: claims whose works it needs as well; `minutes` leaves these out.
        draw: plots of more than the one number, as PNG bytes, by what they show.
        pictured: the work whose pictures are shown; None for the first that has any.
    """

    name: str
    source: str
    title: str
    published: Published
    statement: str
    rule: str
    here: str
    works: Works
    measure: Measure
    minutes: float
    shares: tuple[str, ...] = ()
    draw: Mapping[str, Draw] = field(default_factory=dict)
    pictured: Callable[[Setting], Work] | None = None


@dataclass(frozen=True)
class Pair:
    """Two shares of which the first is claimed to be larger.

    Attributes:
        what: is compared, in a few words.
        first: hits and observations.
        second: likewise.
    """

    what: str
    first: tuple[int, int]
    second: tuple[int, int]


def share_above(hits: int, n: int, bar: float, what: str, seeds: int) -> Measured:
    """A claim that a share is above `bar`, by Wilson's 95 % interval (Wilson 1927, equation 12)."""
    counted = share(hits, n)
    low, high = counted["low"], counted["high"]
    verdict: Verdict = "holds" if low > bar else "fails" if high < bar else "undecided"
    figure = f"{rate(hits / n, n)} of {n:,} {what} ({rate(low, n)} to {rate(high, n)})"
    return Measured(figure, hits / n, low, high, n, seeds, None, verdict)


def share_below(hits: int, n: int, bar: float, what: str, seeds: int) -> Measured:
    """A claim that a share is below `bar`, as `share_above`."""
    above = share_above(hits, n, bar, what, seeds)
    opposite: dict[Verdict, Verdict] = {"holds": "fails", "fails": "holds"}
    return Measured(
        above.figure, above.value, above.low, above.high, n, seeds, None,
        opposite.get(above.verdict, "undecided"),
    )  # fmt: skip


def larger(
    first: Sequence[float], second: Sequence[float], names: tuple[str, str], seeds: int
) -> Measured:
    """A claim that values of one group are larger than another's, by Mann and Whitney's test.

    One-sided at `LEVEL` in favour: it holds; against: it fails.
    """
    from scipy.stats import mannwhitneyu

    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    p = float(mannwhitneyu(a, b, alternative="greater").pvalue)
    against = float(mannwhitneyu(a, b, alternative="less").pvalue)
    verdict: Verdict = "holds" if p < LEVEL else "fails" if against < LEVEL else "undecided"
    medians = float(np.median(a)), float(np.median(b))
    figure = f"median {medians[0]:.3g} ({names[0]}) and {medians[1]:.3g} ({names[1]})"
    difference = medians[0] - medians[1]
    return Measured(figure, difference, None, None, a.size + b.size, seeds, p, verdict)


def more_often(
    first: tuple[int, int], second: tuple[int, int], names: tuple[str, str], seeds: int
) -> Measured:
    """A claim that one share is larger than another, by Fisher's exact test, as `larger`.

    Args:
        first: hits and observations of the share that is claimed to be larger.
        second: of the other.
        names: of both.
        seeds: independent runs.
    """
    from scipy.stats import fisher_exact

    table = [[hits, n - hits] for hits, n in (first, second)]
    p = float(fisher_exact(table, alternative="greater").pvalue)
    against = float(fisher_exact(table, alternative="less").pvalue)
    verdict: Verdict = "holds" if p < LEVEL else "fails" if against < LEVEL else "undecided"
    rates = [hits / n for hits, n in (first, second)]
    shown = [rate(hits / n, n) for hits, n in (first, second)]
    figure = f"{shown[0]} ({names[0]}) and {shown[1]} ({names[1]})"
    return Measured(
        figure, rates[0] - rates[1], None, None, first[1] + second[1], seeds, p, verdict
    )


def each_larger(pairs: Sequence[Pair], seeds: int) -> Measured:
    """A claim that one share is larger than another in every one of several pairs.

    It holds if Fisher's exact test, one-sided at `LEVEL`, is in favour of every pair (Berger 1982:
    no correction is needed where all must be rejected), and fails if it is against any of them at
    `LEVEL` divided by their number.

    Args:
        pairs: at least one.
        seeds: independent runs.
    """
    results = [more_often(p.first, p.second, ("", ""), seeds) for p in pairs]
    against = min(more_often(p.second, p.first, ("", ""), seeds).p or 0.0 for p in pairs)
    p = max(result.p or 0.0 for result in results)
    verdict: Verdict = (
        "holds" if p < LEVEL else "fails" if against < LEVEL / len(pairs) else "undecided"
    )
    right = sum((result.p or 0.0) < LEVEL for result in results)
    closest = min(range(len(pairs)), key=lambda k: results[k].value)
    rates = [rate(hits / n, n) for hits, n in (pairs[closest].first, pairs[closest].second)]
    figure = (
        f"larger in {right} of {len(pairs)} comparisons; the closest: {rates[0]} and"
        f" {rates[1]} ({pairs[closest].what})"
    )
    n = sum(pair.first[1] + pair.second[1] for pair in pairs)
    return Measured(figure, results[closest].value, None, None, n, seeds, p, verdict)
