"""What a comparison of ways to search comes to: curves, evaluations to a median, ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.experiments.curves import Curve
from evofool.experiments.engine import Results
from evofool.experiments.search.campaigns import CourseRow
from evofool.experiments.search.config import SearchConfig
from evofool.experiments.search.searched import Searched
from evofool.experiments.transfer.works import AimRow
from evofool.experiments.works.campaign import ChampionRow
from evofool.experiments.works.nearest import NearRow
from evofool.randomness import Stream, generator

DRAWS = 2000
"""Bootstrap samples."""


@dataclass(frozen=True)
class Outcome:
    """One variant on one net, read from the rows of its campaigns.

    Attributes:
        searched: which.
        curve: the median confidence over the evaluations; 0 before a cell is filled.
        rows: of each campaign's generations, seed by seed.
        sure: confidences of the champions, seed by seed, by class.
        shown: by the name of another net, its answers to the surest pictures, seed by seed.
        near: distances of the champions to natural pictures, seed by seed.
    """

    searched: Searched
    curve: Curve
    rows: Sequence[Sequence[CourseRow]]
    sure: Sequence[Mapping[int, float]]
    shown: Mapping[str, Sequence[Sequence[AimRow]]] = field(default_factory=dict)
    near: Sequence[Sequence[NearRow]] = ()

    def needed(self, median: float) -> list[int | None]:
        """Evaluations until the median over the cells was so high, seed by seed; None: never."""
        reached: list[int | None] = []
        for row in self.curve.confidence:
            at = np.flatnonzero(row >= median)
            reached.append(int(self.curve.evaluations[at[0]]) if len(at) else None)
        return reached

    @property
    def area(self) -> NDArray[np.float64]:
        """The mean of the median confidence over all evaluations, (seeds,) on [0, 1]."""
        x, y = self.curve.evaluations.astype(float), self.curve.confidence
        if len(x) < 2:
            return y[:, -1]
        steps = np.diff(x, prepend=0.0)  # what is scored counts with the median that it leads to
        areas: NDArray[np.float64] = (y * steps).sum(1) / x[-1]
        return areas


def read(config: SearchConfig, searched: Sequence[Searched], results: Results) -> list[Outcome]:
    """The outcomes, net by net."""
    outcomes = []
    for one in searched:
        rows = [results.rows(one.campaigns[seed], CourseRow) for seed in config.seeds]
        confidence = np.array([[row.median or 0.0 for row in each] for each in rows])
        evaluations = np.array([row.evaluations for row in rows[0]], np.int64)
        curve = Curve(one.variant.name, one.net, config.seeds, evaluations, confidence)
        sure = [
            {row.item: row.confidence for row in results.rows(one.campaigns[seed], ChampionRow)}
            for seed in config.seeds
        ]
        shown = {
            name: [results.rows(works[seed], AimRow) for seed in config.seeds]
            for name, works in one.shown.items()
        }
        near = [results.rows(one.near[seed], NearRow) for seed in config.seeds if one.near]
        outcomes.append(Outcome(one, curve, rows, sure, shown, near))
    return outcomes


def summarise(
    config: SearchConfig, outcomes: Sequence[Outcome], manifest: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    nets = []
    for name in dict.fromkeys(outcome.searched.net for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.searched.net == name]
        base = next(o for o in own if o.searched.variant.name == config.against)
        nets.append({"net": name, "variants": [_told(config, one, base) for one in own]})
    return {
        "status": "finished",
        "run_id": manifest["run_id"],
        "seed": manifest["seed"],
        "seeds": list(config.seeds),
        "baseline": config.against,
        "medians": list(config.medians),
        "nets": nets,
        "seconds": round(seconds, 3),
    }


def _told(config: SearchConfig, one: Outcome, base: Outcome) -> dict[str, Any]:
    low, high = one.curve.interval()
    last = [rows[-1] for rows in one.rows]
    needed = {}
    for median in config.medians:
        each = one.needed(median)
        needed[f"{median:g}"] = {
            "evaluations": each,
            "median": _middle(each),
            **fewer(base, one, median),
        }
    quartiles = [np.percentile(list(sure.values()) or [0.0], (25, 75)) for sure in one.sure]
    return {
        "variant": one.searched.variant.name,
        "evaluations": int(one.curve.evaluations[-1]),
        "median_confidence": float(one.curve.median[-1]),
        # of one seed there is no interval
        "low": float(low[-1]) if len(config.seeds) > 1 else None,
        "high": float(high[-1]) if len(config.seeds) > 1 else None,
        "of_seeds": one.curve.confidence[:, -1].tolist(),
        "lower_quartile": float(np.median([q[0] for q in quartiles])),
        "upper_quartile": float(np.median([q[1] for q in quartiles])),
        "area": float(np.median(one.area)),
        "classes": len(one.sure[0]),
        "won": float(np.median([row.won for row in last])),
        "share_at": {
            "0.5": float(np.median([row.half for row in last])),
            "0.9": float(np.median([row.nine for row in last])),
            "0.99": float(np.median([row.ninety_nine for row in last])),
        },
        "needed": needed,
        "surest_only_here": _surest_only(one, base),
        "shown_to": {name: elsewhere(shown) for name, shown in one.shown.items() if all(shown)},
        "nearest": distances(one.near, one.sure, config.surest),
    }


def elsewhere(shown: Sequence[Sequence[AimRow]]) -> dict[str, Any]:
    """What another net makes of the surest pictures, each a list of answers, seed by seed."""
    right = [float(np.mean([row.predicted == row.aim for row in rows])) for rows in shown]
    sure = [float(np.median([row.aimed or 0.0 for row in rows])) for rows in shown]
    low, high = _spread(right)
    return {
        "pictures": len(shown[0]),
        "its_class": float(np.median(right)),
        "low": low,
        "high": high,
        "median_confidence": float(np.median(sure)),
    }


def distances(
    near: Sequence[Sequence[NearRow]], sure: Sequence[Mapping[int, float]], count: int
) -> dict[str, Any] | None:
    """How far the surest pictures are from natural ones: medians over them, then over the seeds."""
    if not near or not all(near):  # a campaign may have no champion
        return None
    rms, features = [], []
    for rows, confidence in zip(near, sure, strict=True):
        chosen = sorted(rows, key=lambda row: (-confidence[row.item], row.item))[:count]
        rms.append(float(np.median([row.rms for row in chosen])))
        known = [row.features for row in chosen if row.features is not None]
        features += [float(np.median(known))] if known else []
    return {
        "rms": float(np.median(rms)),
        "features": float(np.median(features)) if features else None,
    }


def _spread(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % bootstrap interval of the median of one number a seed; none of one seed."""
    if len(values) < 2:
        return None, None
    rng = generator(0, Stream.BOOTSTRAP, len(values), 0)
    drawn = np.array(values)[rng.integers(len(values), size=(DRAWS, len(values)))]
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(low), float(high)


def fewer(base: Outcome, one: Outcome, median: float) -> dict[str, Any]:
    """How many times the evaluations of a variant the baseline took to a median confidence.

    Both numbers are medians over the seeds. Where the baseline never got there its last evaluation
    stands for it, and the ratio is a lower bound (``at_least``); where the variant never got
    there, there is none. The interval is the 95 % percentile bootstrap over the seeds of both
    (Efron 1979), of which few seeds give a narrow one.
    """
    ours, theirs = one.needed(median), base.needed(median)
    if _middle(ours) is None:
        return {"ratio": None, "at_least": False, "low": None, "high": None}
    end = int(base.curve.evaluations[-1])
    numbers = np.array([end if n is None else n for n in theirs], float)
    own_end = int(one.curve.evaluations[-1])
    own = np.array([own_end if n is None else n for n in ours], float)
    ratio = float(np.median(numbers) / np.median(own))
    told: dict[str, Any] = {"ratio": ratio, "at_least": _middle(theirs) is None}
    if len(own) < 2:
        return {**told, "low": None, "high": None}
    rng = generator(0, Stream.BOOTSTRAP, len(own), 0)
    a = np.median(numbers[rng.integers(len(numbers), size=(DRAWS, len(numbers)))], axis=1)
    b = np.median(own[rng.integers(len(own), size=(DRAWS, len(own)))], axis=1)
    low, high = np.percentile(a / b, (2.5, 97.5))
    return {**told, "low": float(low), "high": float(high)}


def _middle(numbers: Sequence[int | None]) -> int | None:
    """The median over the seeds, None where the middle one never got there."""
    ordered = sorted(np.inf if n is None else n for n in numbers)
    middle = float(np.median(ordered))
    return int(middle) if np.isfinite(middle) else None


def _surest_only(one: Outcome, base: Outcome) -> int:
    """Classes in which this variant's median confidence over the seeds is twice the baseline's."""
    classes = set.intersection(*(set(sure) for sure in (*one.sure, *base.sure)))
    return sum(
        bool(np.median([s[c] for s in one.sure]) > 2 * np.median([s[c] for s in base.sure]))
        for c in classes
    )
