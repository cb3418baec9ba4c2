"""Derived files of a campaign against what they are derived from."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evofool.config import Campaign
from evofool.errors import StoreError
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.curve import CURVE, curve_bytes
from evofool.evolution.held_back import transforms_held_back
from evofool.evolution.history import same
from evofool.evolution.outputs import (
    COLUMNS,
    Elite,
    claim_of,
    png_name,
    summary,
    table_row,
)
from evofool.evolution.reading import claim_in
from evofool.evolution.setup import Parts
from evofool.evolution.unscored import Unscored
from evofool.files import TEMPORARY, read_file
from evofool.images import SIDECAR
from evofool.scoring.ledger import Heading, with_total
from evofool.store import CampaignFolder, Check, GenerationRow
from evofool.store.files import read_json
from evofool.text import csv_bytes

MILLISECOND = 0.001
"""``summary.json`` rounds its seconds to this."""


def differences(actual: Any, wanted: Any, at: str = "") -> list[str]:
    """The keys at which two JSON values differ, numbers by more than rounding."""
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return [
            place
            for key in {**wanted, **actual}
            for place in (
                differences(actual[key], wanted[key], f"{at}.{key}" if at else str(key))
                if key in actual and key in wanted
                else [f"{at}.{key}" if at else str(key)]
            )
        ]
    if isinstance(wanted, float) and not isinstance(actual, str):
        return [] if same(actual, wanted) else [at]
    return [] if type(actual) is type(wanted) and actual == wanted else [at]


def check_status(
    meta: Mapping[str, str],
    stored: Mapping[str, Any],
    parts: Parts,
    rows: Sequence[GenerationRow],
) -> Check:
    """Whether database and ``summary.json`` tell of the same end, and its stop rule is reached.

    Args:
        meta: of the database.
        stored: the content of ``summary.json``.
        parts: of the campaign, its archive restored.
        rows: all stored generations.
    """
    status, reason = meta.get("status"), meta.get("stop_reason", "")
    faults = []
    if status not in ("running", "interrupted", "finished"):
        faults.append(f"a status of {str(status)[:40]!r}")
    if status == "finished":
        if (stored.get("status"), stored.get("stop_reason")) != (status, reason or None):
            faults.append("the database says that the run has finished, but summary.json does not")
        if not _reached(reason, parts.config, parts.archive, rows, stored.get("seconds")):
            faults.append(
                f"it has not reached the limit that is recorded as its end ({reason[:40]})"
            )
    else:
        if reason:
            faults.append("a run that has not ended has a reason for its end")
        last = rows[-1].generation if rows else 0
        if stored.get("status") == "finished" and stored.get("generations") == last:
            faults.append(
                "summary.json says that the run has finished, but the database says that it is"
                f" {status} (evofool resume finishes it)"
            )
    return Check(
        "status", not faults, "; ".join(faults[:3]) or f"{status}{reason and f', {reason}'}"
    )


def _reached(
    reason: str,
    config: Campaign,
    archive: ChampionArchive,
    rows: Sequence[GenerationRow],
    seconds: object,
) -> bool:
    stop, last = config.stop, rows[-1] if rows else None
    if last is None:
        return False
    further = last.evaluations + config.evolution.children
    improved = [bool(row.stats.get("improved")) for row in rows]
    if reason == "generations":
        return stop.generations is not None and last.generation >= stop.generations
    if reason == "evaluations":
        return stop.evaluations is not None and further > stop.evaluations
    if reason == "budget":
        return config.scoring.budget is not None
    if reason == "seconds":
        spent = isinstance(seconds, int | float) and stop.seconds is not None
        return spent and seconds + MILLISECOND >= stop.seconds  # type: ignore[operator]
    if reason == "confidence":
        return stop.confidence is not None and archive.confidence.min() >= stop.confidence
    if reason == "stagnation":
        return stop.stagnation is not None and not any(improved[-stop.stagnation :])
    return bool(reason)


def check_summary(
    run: CampaignFolder,
    meta: Mapping[str, str],
    parts: Parts,
    rows: Sequence[GenerationRow],
    digest: str,
) -> Check:
    """``summary.json`` of a finished run, every leaf of it."""
    stored, last = run.summary() or {}, rows[-1]
    wanted = summary(
        run.manifest,
        parts.archive,
        status=meta.get("status", ""),
        stop_reason=meta.get("stop_reason") or None,
        algorithm=parts.config.evolution.algorithm,
        evaluations=last.evaluations,
        generations=last.generation,
        seconds=last.seconds,
        forward_images=last.forward_images,
        sent=_sent(run, stored),
        unscored=Unscored("").restore(rows),
        digest=digest,
        # held to the pictures by a check of its own
        held_back=stored.get("held_back") if transforms_held_back(parts) else None,
    )
    if not run.sent():  # of before there was a ledger
        wanted = {key: value for key, value in wanted.items() if key not in ("sent", "unscored")}
    other = differences(stored, wanted)
    # the pictures and the end of the last generation took time as well
    for key in ("seconds", "images_per_second", "archive_digest"):
        if key in other and key in stored:
            other.remove(key)
    seconds, rate = stored.get("seconds"), stored.get("images_per_second")
    if not (isinstance(seconds, float) and seconds >= last.seconds - MILLISECOND):
        other.append("seconds")
    elif not _is_rate(rate, last.evaluations, seconds):
        other.append("images_per_second")
    return Check("summary", not other, "wrong: " + ", ".join(other) if other else "says the same")


def _sent(run: CampaignFolder, stored_summary: Mapping[str, Any]) -> dict[str, int]:
    """What the ledger counts, but for what was looked at since the summary was written."""
    stored, told = run.sent(), stored_summary.get("sent")
    for heading in (Heading.PROBE, Heading.VERIFY):
        count = told.get(heading) if isinstance(told, dict) else None
        if isinstance(count, int) and 0 <= count <= stored.get(heading, 0):
            stored[heading] = count
    return with_total(stored)


def _is_rate(rate: object, evaluations: int, seconds: float) -> bool:
    """Whether `rate` is evaluations / seconds, both rounded to thousandths."""
    if not isinstance(rate, float):
        return False
    half = MILLISECOND / 2 * (1 + 1e-6)
    least = evaluations / (seconds + half) - half
    most = evaluations / (seconds - half) + half if seconds > half else np.inf
    return bool(least <= rate <= most)


def check_curve(run: CampaignFolder, rows: Sequence[GenerationRow]) -> Check:
    """``curve.csv`` against the stored generations."""
    try:
        same_text = read_file(run.path / CURVE) == curve_bytes(rows)
    except OSError:
        same_text = False
    detail = "holds the stored generations" if same_text else "differs or is missing"
    return Check("curve", same_text, detail)


class Claims:
    """``elites.csv``, and the provenance in every PNG and in the sidecar, against the elites.

    Args:
        run: the run folder.
        table: what `read_table` gives.
    """

    def __init__(self, run: CampaignFolder, table: Mapping[int, Mapping[str, Any]]) -> None:
        self._run, self._table = run, table
        self._wrong: list[str] = []
        self._unlike: list[str] = []
        self._names: set[str] = set()
        self._sidecar: dict[str, Any] = {}
        try:
            self._sidecar = read_json(run.path / "images" / SIDECAR)
        except StoreError as error:
            self._unlike.append(str(error))

    def add(self, elite: Elite, png: bytes | None) -> None:
        """One elite and the bytes of its PNG, None if it cannot be read."""
        name = png_name(elite.class_index)
        short = name.rpartition("/")[2]
        self._names.add(short)
        if png is None:
            return
        claim = claim_of(self._run, elite)
        for where, written in ((name, claim_in(png)), (SIDECAR, self._sidecar.get(short))):
            other = differences(written or {}, claim)
            if other:
                self._unlike.append(f"{where}: class {elite.class_index}: {', '.join(other[:3])}")
        row = self._table.get(elite.class_index)
        if row is not None:
            wanted = _parsed(table_row(elite, hashlib.sha256(png).hexdigest()))
            other = [key for key in COLUMNS if not _same_cell(key, row.get(key), wanted[key])]
            other += [f"a column {key}" for key in row.keys() - set(COLUMNS)]
            if other:
                self._wrong.append(f"class {elite.class_index}: {', '.join(other[:3])}")

    def checks(self) -> Iterator[Check]:
        """Once all elites were added."""
        wrong, unlike = self._wrong, self._unlike
        extra = sorted(set(self._table) - {int(name[:-4]) for name in self._names})
        if extra:
            wrong.append(f"classes {extra[:5]} hold no elite")
        foreign = {*self._sidecar, *_names_in(self._run.path / "images")} - self._names
        unlike += [
            f"{name[:40]} is not the picture of an elite" for name in sorted(foreign - {SIDECAR})
        ]
        yield Check("table", not wrong, "; ".join(wrong[:3]) or "elites.csv says the same")
        yield Check("provenance", not unlike, "; ".join(unlike[:3]) or "is that of the elites")


def _names_in(folder: Path) -> set[str]:
    try:
        names = {entry.name for entry in folder.iterdir()}
        return {name for name in names if not TEMPORARY.fullmatch(name)}  # of one who was killed
    except OSError:
        return set()


def _parsed(row: Sequence[object]) -> dict[str, str]:
    reader = csv.DictReader(io.StringIO(csv_bytes(COLUMNS, [row]).decode(), newline=""))
    return next(reader)


def _same_cell(key: str, value: Any, wanted: str) -> bool:
    if key == "confidence":
        return same(value, float(wanted))
    return str(value) == wanted
