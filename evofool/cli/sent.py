"""What was sent to a victim, for people."""

from __future__ import annotations

from collections.abc import Mapping


def sent_line(sent: Mapping[str, int]) -> str:
    """``1,041: 8 probe, 1,000 queries, 33 retries``: the total, then what there is of it."""
    parts = [
        f"{count:,} {heading}" for heading, count in sent.items() if heading != "total" and count
    ]
    return f"{sent['total']:,}" + (f": {', '.join(parts)}" if parts else "")
