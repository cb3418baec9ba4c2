"""Labels and figures as people read them. Labels come from run folders, which may be hostile."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable

_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_BREAKS = frozenset(("Cc", "Zl", "Zp"))
# Embeddings, overrides and isolates: no label needs them, and they make text read backwards.
_REORDER = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))


def printable(text: str) -> str:
    """`text` on one line, without lone surrogates, control characters and bidi overrides.

    Plain direction marks stay, as Arabic and Hebrew labels use them: a page isolates labels.
    """
    encodable = text.encode("utf-8", "replace").decode("utf-8").translate(_REORDER)
    kept = "".join(" " if unicodedata.category(c) in _BREAKS else c for c in encodable)
    return " ".join(kept.split())


def bare(text: str) -> str:
    """`text` without any invisible character, for places where marks cannot be isolated."""
    visible = "".join(" " if unicodedata.category(c) in _INVISIBLE else c for c in text)
    return " ".join(visible.split())


def shortened(label: str, width: float, length: Callable[[str], float]) -> str:
    """The first of a label's comma-separated names, cut to `width` as `length` measures texts."""
    name = bare(label[:400])
    name = (name.split(",")[0].strip() or name)[:80]
    if length(name) <= width:
        return name
    while name and length(name + "…") > width:
        name = name[:-1]
    return name.rstrip() + "…"


def percent(confidence: float) -> str:
    """A confidence rounded down, so that only 1.0 itself reads 100 %.

    Near 1 as many digits are shown as tell how near, ten nines at most: ``99.9 %`` and
    ``99.99999 %`` are different claims.
    """
    if confidence >= 1.0:
        return "100 %"
    nines = _nines(confidence)
    digits = 1 if nines < 2 else 2 if nines < 4 else min(8, max(4, nines - 1))
    return f"{_floored(confidence * 100, digits)} %"


def probability(confidence: float) -> str:
    """A confidence as a number of four digits, or as many more as tell how near to 1 it is.

    It is rounded down like `percent`: ``0.9999`` and ``0.999996`` are different claims.
    """
    if confidence >= 1.0:
        return "1"
    if math.isnan(confidence):  # of a run without one filled cell
        return "-"
    return _floored(confidence, min(10, max(4, _nines(confidence) + 1)))


def estimate(value: float, low: float, high: float) -> str:
    """A confidence and its interval: ``0.9998 (0.9996-0.99992)``."""
    return f"{probability(value)} ({probability(low)}-{probability(high)})"


def _nines(confidence: float) -> int:
    """How many nines a confidence below 1 begins with."""
    return math.floor(-math.log10(1 - confidence) + 1e-9)


def _floored(value: float, digits: int) -> str:
    scale = 10**digits
    return f"{math.floor(value * scale + 1e-9) / scale:.{digits}f}"
