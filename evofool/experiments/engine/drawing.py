"""Writing a report, with the digests of its pictures.

What a report holds as text is drawn again by `verify`, byte for byte. Its plots are not: another
version of what draws them gives other bytes. So their digests are stored when they are written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evofool.errors import DamagedError
from evofool.report.output import PAGE, Drawn
from evofool.store.experiment import ExperimentFolder

KEY = "drawn_sha256"
"""In the table ``meta``: a JSON object, hex sha256 by name of the file."""
_AROUND = PAGE.rpartition("/")[0] + "/"


def is_picture(name: str) -> bool:
    """Whether a file of a run folder is a picture of its report."""
    return name.startswith(_AROUND) and name.endswith((".png", ".svg"))


def write_report(report: Drawn, run: ExperimentFolder) -> None:
    """Write `report` into its run folder, and then the digests of its pictures.

    Raises:
        StoreError: a file or the database cannot be written.
    """
    run.set_meta({KEY: ""})  # of a process that is killed here no digest is out of date
    into = _Into(run)
    report.write(into)
    run.set_meta({KEY: json.dumps(into.digests)})


def drawn_digests(meta: Mapping[str, str]) -> dict[str, str] | None:
    """The digests that `write_report` has stored; None of a run from before there were any.

    Raises:
        StoreError: they are damaged.
    """
    text = meta.get(KEY)
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not (isinstance(found, dict) and all(isinstance(v, str) for v in found.values())):
        raise DamagedError(f"the digests of drawn files ({KEY}) are damaged")
    return found


class _Into:
    """Writes into a run folder and takes digests of pictures."""

    def __init__(self, run: ExperimentFolder) -> None:
        self._run = run
        self.digests: dict[str, str] = {}

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        path = self._run.write_file(name, data, durable=durable)
        if is_picture(name):
            self.digests[name] = hashlib.sha256(data).hexdigest()
        return path
