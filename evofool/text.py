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


def counted(n: int, one: str, many: str = "") -> str:
    """``1 picture``, ``1,000 pictures``; `many` is the plural where an s does not make it."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


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
    """A confidence rounded down, so that only 1.0 itself reads 100 %."""
    if confidence >= 1.0:
        return "100 %"
    digits = 4 if confidence >= 0.9999 else 2 if confidence >= 0.99 else 1
    scale = 10**digits
    return f"{math.floor(confidence * 100 * scale + 1e-9) / scale:.{digits}f} %"
