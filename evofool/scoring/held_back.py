"""Success under transforms that nothing was optimised over: what pictures are worth outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evofool.scoring.ranking import Matrix
from evofool.scoring.statistics import wilson


@dataclass(frozen=True)
class HeldBack:
    """A net's answers to N pictures under each of T transforms.

    Attributes:
        log_odds: float64 N x T x classes; rows of NaN where the net gave no scores.
        labels: int64 N x T, the top-1 classes.
    """

    log_odds: Matrix
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Robustness:
    """How many of T held-back transforms each of some pictures has withstood.

    Attributes:
        hits: int64 (N,), successes of each picture.
        transforms: T.
    """

    hits: NDArray[np.int64]
    transforms: int

    @classmethod
    def of(cls, hits: ArrayLike, transforms: int) -> Robustness:
        """Of counts for each picture.

        Args:
            hits: integers (N,).
            transforms: out of how many.
        """
        return cls(np.asarray(hits, np.int64).reshape(-1), transforms)

    def bounds(self, picture: int) -> tuple[float, float]:
        """Wilson's 95 % interval of one picture's share, over the draw of its transforms."""
        return wilson(int(self.hits[picture]), self.transforms)

    @property
    def summary(self) -> dict[str, Any]:
        """Of all pictures, as JSON values.

        ``rate`` is the mean of the pictures' shares. Its interval counts each picture once, however
        many transforms it was seen under, since these say nothing of other pictures.
        """
        n = len(self.hits)
        total = float(self.hits.sum()) / self.transforms if self.transforms else 0.0
        low, high = wilson(min(total, n), n)
        known = n > 0 and self.transforms > 0
        return {
            "transforms": self.transforms,
            "pictures": n,
            "rate": total / n if known else None,
            "low": low if known else None,
            "high": high if known else None,
            "under_all": int((self.hits == self.transforms).sum()) if known else 0,
        }
