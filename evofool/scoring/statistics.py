"""How sure a share is: Wilson's score interval (Wilson, JASA 1927, equation 12)."""

from __future__ import annotations

import math
from typing import Any

Z95 = 1.959963984540054
"""The standard normal quantile of 97.5 %."""


def wilson(hits: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Bounds of a share that was seen `hits` times in `n`; (0, 1) where n is 0.

    `hits` may also be the sum of n shares on [0, 1], which vary no more than n hits and misses of
    the same mean do: the bounds are then at least as wide as they need be.

    Raises:
        ValueError: not 0 <= hits <= n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is not a share")
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    low = 0.0 if hits == 0 else (middle - spread) / whole
    high = 1.0 if hits == n else (middle + spread) / whole
    return low, high


def share(hits: int, n: int) -> dict[str, Any]:
    """A share with its 95 % interval, as JSON values; the rate of nothing is None."""
    low, high = wilson(hits, n)
    return {
        "successes": hits,
        "rate": hits / n if n else None,
        "low": low if n else None,
        "high": high if n else None,
    }
