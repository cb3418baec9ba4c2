"""A digest inside a JSON object of all else that it says, so that an edit shows.

Whoever edits the object on purpose can write the digest anew: it shows slips and damage, and what
can be compared with something else is compared with it as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "content_sha256"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """`content` (JSON values) with the digest of all the rest under `SEAL`."""
    rest = {key: value for key, value in content.items() if key != SEAL}
    return {**rest, SEAL: _digest(rest)}


def is_sealed(content: Mapping[str, Any]) -> bool | None:
    """Whether the digest is that of the rest; None without one (it was written before seals)."""
    if SEAL not in content:
        return None
    return bool(sealed(content)[SEAL] == content[SEAL])


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
