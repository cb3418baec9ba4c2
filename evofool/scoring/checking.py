"""Scoring the pictures of a run again, if possible by another engine than the one that ran it.

The same engine would repeat its own fault (that of a wrongly exported graph, for example).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier
from evofool.config import Loaded

SAME_ENGINE = 1e-4
"""Largest difference between a stored confidence and that of the picture scored now."""
OTHER_ENGINE = 1e-3
"""The same where another engine scores than the run's. Engines are held to 1e-3 in log-odds on a
probe, which is at most .00025 in confidence; evolved and attacked pictures may differ by more."""
NEAR = 1e-2
"""Lead in log-odds of one class over another that the other engine may turn round."""


def checking_engine(loaded: Loaded[Any], classifier: Classifier, asked: str | None) -> str:
    """The engine that scores the pictures of a run again.

    It is `asked` where that is given, else torch if the victim has a module, else the run's own.
    """
    if asked is not None:
        return asked
    return "torch" if classifier.module is not None else str(loaded.config.scoring.engine)


@dataclass(frozen=True)
class Comparison:
    """Compares new scores with those that a run has stored.

    Attributes:
        used: the engine of the new scores.
        recorded: the engine of the run.
    """

    used: str
    recorded: str

    @property
    def other(self) -> bool:
        """Whether the engines differ. `auto` is recorded where a victim has one only."""
        return self.recorded not in (self.used, "auto")

    @property
    def tolerance(self) -> float:
        """Largest difference in confidence that is no fault."""
        return OTHER_ENGINE if self.other else SAME_ENGINE

    @property
    def by(self) -> str:
        """The engines, for people."""
        return f"by {self.used}" + (f" (the run: {self.recorded})" if self.other else "")

    def told(self, apart: Sequence[str], furthest: float) -> str:
        """A message: the pictures whose confidences differ too much, or the largest difference.

        Args:
            apart: a line for each picture that differs by more than `tolerance`.
            furthest: the largest difference.
        """
        if apart:
            return f"{len(apart)} differ {self.by}: " + "; ".join(apart[:3])
        return f"{self.by} differ by at most {furthest:.1e}; {self.tolerance:g} is allowed"

    def may_answer(self, log_odds: NDArray[np.float64], now: int, stored: int) -> bool:
        """Whether a picture that is classified as `now` may have been classified as `stored`.

        Args:
            log_odds: (classes,), the new scores of this one picture.
            now: the class with the largest log-odds.
            stored: the class that the run has stored.
        """
        if now == stored:
            return True
        return self.other and float(log_odds[now] - log_odds[stored]) <= NEAR
