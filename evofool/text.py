"""Labels and figures as people read them, tables as spreadsheets do.

Labels, names of files and paths come from run folders and strangers' repositories: they may be
hostile, and must do nothing wherever they are shown.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_BREAKS = frozenset(("Cc", "Zl", "Zp"))
# Embeddings, overrides and isolates: no label needs them, and they make text read backwards.
_REORDER = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_ACTIVE = frozenset(("Cc", "Cs", "Zl", "Zp"))
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula starts with; spreadsheets read the full-width forms as the plain ones."""


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


def inert(text: str) -> str:
    """`text` as one line that no terminal obeys: what it could obey is shown as its escape.

    Control characters, line breaks, lone surrogates and bidi overrides become ``\\x1b``, ``\\n``,
    ``\\udcff``, ``\\u202e``; all else stays, so that a path can still be recognised.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c) in _ACTIVE or ord(c) in _REORDER else c
        for c in text
    )


def safe_cell(value: object) -> object:
    """A cell of a table that is only text: no formula, no escape sequence, no line break.

    A text that a spreadsheet would take for a formula gets an apostrophe before it. Numbers stay
    as they are.
    """
    if not isinstance(value, str):
        return value
    text = inert(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def written_cell(cell: str) -> str:
    """What was written as `cell` by `safe_cell`, without the apostrophe before a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:].lstrip().startswith(_FORMULA) else cell


def csv_bytes(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """A table as CSV in UTF-8, every cell of it safe: the one way in which evofool writes CSV."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in columns])
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return table.getvalue().encode()


def suggestion(word: str, choices: Iterable[str]) -> str:
    """``; did you mean 'children'?`` with the choice that is nearest to `word`, or nothing."""
    nearest = suggested(word, choices)
    return "" if nearest is None else f"; did you mean {nearest!r}?"


def suggested(word: str, choices: Iterable[str]) -> str | None:
    """The choice that is nearest to `word`, None where none is near.

    Case does not count. A word is also near to a choice that it begins, or that begins it.
    """
    written = {choice.casefold(): choice for choice in choices}
    folded = word.strip().casefold()
    near = difflib.get_close_matches(folded, written, n=1)
    if not near and len(folded) >= 3:
        near = [choice for choice in written if _begins(choice, folded)]
    return written[near[0]] if near else None


def _begins(one: str, other: str) -> bool:
    return min(len(one), len(other)) >= 3 and (one.startswith(other) or other.startswith(one))


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


def rate(share: float, of: int = 1000) -> str:
    """A share on [0, 1] of `of` things in per cent, in as many digits as their number bears out.

    ``98 %`` of up to 100 things, ``98.3 %`` of up to 9,999, ``98.27 %`` of 10,000 or more, rounded
    to the nearest. This is the one rule for shares of pictures, frames, classes or pixels; a
    confidence is shown by `percent`.
    """
    digits = 0 if of <= 100 else 1 if of < 10_000 else 2
    return f"{100 * share + 1e-9:.{digits}f} %"  # a half goes up: 37 of 40 are 93 %


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


def duration(seconds: float) -> str:
    """``42 s``, ``3:05``, ``2:03:04``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def sent_line(sent: Mapping[str, int]) -> str:
    """What was sent to a victim: ``1,041: 8 probe, 1,000 queries, 33 retries``, the total first."""
    parts = [
        f"{count:,} {heading}" for heading, count in sent.items() if heading != "total" and count
    ]
    return f"{sent['total']:,}" + (f": {', '.join(parts)}" if parts else "")
