"""One search that a run folder holds: what it came to at what cost, in the rows of a comparison."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from evofool.attacks.trace import LARGEST, powers_of_two
from evofool.experiments.compare.works import BAR_ODDS, SearchRow

SUREST = 1 - 2.0**-53
"""A confidence of exactly 1, of a run that stores no log-odds, counts as this."""

Pictures = Callable[[Sequence[int]], Mapping[int, bytes]]
"""The PNG files of the best pictures of these classes, by class."""


@dataclass(frozen=True)
class VictimOf:
    """The net of a run, as its manifest describes it.

    Attributes:
        name: without folders.
        digest: of the net.
        labels: of all of its classes that the run names.
    """

    name: str
    digest: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """The run folder that a search is from.

    Attributes:
        name: of the folder.
        run_id: of the run.
        kind: of the run.
        state: ``finished``, ``interrupted``, ``running``, ``failed``.
    """

    name: str
    run_id: str
    kind: str
    state: str = "finished"


@dataclass(frozen=True)
class Spent:
    """What a search sent and took.

    Attributes:
        forward_images: that went forward.
        backward_images: that gradients were taken of.
        seconds: active ones.
    """

    forward_images: int
    backward_images: int = 0
    seconds: float = 0.0

    @property
    def forward_equivalents(self) -> int:
        """Images forward plus twice the images that gradients were taken of."""
        return self.forward_images + 2 * self.backward_images


@dataclass(frozen=True)
class Step:
    """A picture that is better than all before it.

    Attributes:
        cost: forward-equivalents of the search up to and with it.
        log_odds: of the class.
    """

    cost: int
    log_odds: float


@dataclass(frozen=True)
class Best:
    """The best picture of a class.

    Attributes:
        log_odds: of the class.
        predicted: what the net calls it; -1 where the run does not store that.
        steps: how the search came there.
    """

    log_odds: float
    predicted: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class FoundSearch:
    """A method on a net with one seed, as a run folder holds it.

    Attributes:
        origin: the run.
        victim: the net.
        title: of the method.
        sees: ``weights``, ``scores`` or ``labels``.
        family: ``evolution``, ``gradients``, ``queries``, ``chance`` or ``natural``.
        by: name of the attack; ``evolution``, ``random``, ``noise`` or ``pictures``.
        settings: what makes two searches runs of the same method with other seeds, JSON values.
        seed: of the search.
        each: classes that share what it costs: a method that works for each class by itself costs
            as many times what the search for one class does.
        sought: indices of the classes that it is after, ascending.
        share: forward-equivalents of the search for one class.
        best: by class; a class without a picture is missing.
        spent: for all classes.
        pictures: reads the PNG files.
        rows: the rows themselves, where the run holds such; else they are made of `best`.
    """

    origin: Origin
    victim: VictimOf
    title: str
    sees: str
    family: str
    by: str
    settings: Mapping[str, Any]
    seed: int
    each: int
    sought: tuple[int, ...]
    share: int
    best: Mapping[int, Best]
    spent: Spent
    pictures: Pictures = field(repr=False)
    rows: tuple[SearchRow, ...] = ()

    def rows_up_to(self, share: int) -> tuple[SearchRow, ...]:
        """A row a class that has a picture, its curve drawn up to `share`, without the PNG."""
        if self.rows:
            return self.rows
        return tuple(row_of(c, best, share) for c, best in sorted(self.best.items()))


@dataclass(frozen=True)
class NotCompared:
    """Something of a run folder that cannot be compared, and why.

    Attributes:
        run: name of the folder.
        victim: the net.
        method: what it is.
        reason: why not.
    """

    run: str
    victim: str
    method: str
    reason: str


def row_of(class_index: int, best: Best, share: int) -> SearchRow:
    """The row of a class, from the steps that led to its best picture."""
    costs = tuple(powers_of_two(max(1, share)).tolist())
    at = [step.cost for step in best.steps]
    odds = [step.log_odds for step in best.steps]
    curve = tuple(odds[k - 1] if (k := bisect_right(at, cost)) else None for cost in costs)
    reached = tuple(
        next((step.cost for step in best.steps if step.log_odds >= bar), 0) for bar in BAR_ODDS
    )
    return SearchRow(class_index, costs, curve, reached, best.log_odds, best.predicted)


def improvements(seen: Iterable[tuple[int, float]]) -> tuple[Step, ...]:
    """Those of scored pictures (cost, log-odds), in order of cost, that beat all before them."""
    steps: list[Step] = []
    for cost, odds in seen:
        value = float(np.clip(odds, -LARGEST, LARGEST))
        if not steps or value > steps[-1].log_odds:
            steps.append(Step(max(1, cost), value))
    assert all(a.cost <= b.cost for a, b in pairwise(steps))
    return tuple(steps)


def log_odds_of(confidence: float) -> float:
    """Log-odds of a confidence on [0, 1] as it is stored; exactly 1 counts as `SUREST`."""
    p = min(max(confidence, 1 - SUREST), SUREST)
    return float(np.log(p) - np.log1p(-p))
