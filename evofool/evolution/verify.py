"""``evofool verify``: whether a run folder is whole, and says what its pictures do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evofool.config import Campaign, Loaded
from evofool.errors import EvofoolError, ImageError, StoreError
from evofool.evolution.drawing import is_here, recorded_in
from evofool.evolution.lineage import Lineage
from evofool.evolution.outputs import (
    Elite,
    Render,
    archive_digest,
    confidence_summary,
    elites,
    png_name,
    read_table,
)
from evofool.evolution.restoring import check_of_config, check_sources, load_run, restore
from evofool.evolution.setup import Parts, make_parts
from evofool.files import read_file
from evofool.images import UInt8Images, decode_png
from evofool.scoring.verifying import beyond_budget, book_verifying, ledger_verdict
from evofool.store import Check, RunFolder

TOLERANCE = 1e-4
"""Largest difference between a stored confidence and that of the picture scored now."""
REPLAYED = 5
"""Elites whose whole ancestry is bred again."""


def verify(
    path: Path | str, *, classifier: str | None = None, encoding: str | None = None
) -> Iterator[Check]:
    """Check a run folder, each check as soon as it is done.

    Database and genomes; the pictures against ``elites.csv`` and against their genomes rendered
    anew; the archive digest; the confidences by scoring the PNGs again; the ancestry of a few
    elites bred again.

    Args:
        path: the run folder.
        classifier: where the victim is now, if its file has moved.
        encoding: where the encoding is now, if its file has moved.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its victim or encoding cannot be had.
    """
    with RunFolder.open(Path(path)) as run:
        faults = run.check()
        yield Check("database", not faults, "; ".join(faults[:3]) or "sound")
        yield (config := check_of_config(run, classifier, encoding))
        if config.ok is False:  # what it names is not run, and nothing else is what it says
            return
        loaded = load_run(run, classifier, encoding=encoding)
        store = run.bookings if run.can_book else None
        charged = 0 if store is None else store.charge_probe(loaded.config.scoring.budget)
        parts = make_parts(_here(loaded), lambda: False, run.manifest)
        with parts.scorer:
            book_verifying(parts.scorer, store, run.sent(), charged)
            check_sources(run, parts)
            rows = restore(run, parts.archive, parts.encoding)
            held = int(parts.archive.filled.sum())
            yield Check("genomes", True, f"{held} elites of {len(rows)} generations load")
            yield Check("ledger", *ledger_verdict(run.sent(), rows[-1].evaluations if rows else 0))
            if held == 0:
                return
            yield _ancestry(run, parts)
            yield from _pictures(run, parts)


def _here(loaded: Loaded[Campaign]) -> Loaded[Campaign]:
    """`loaded`, scored by what this machine has: in float32, elsewhere if its GPU is not here."""
    scoring = loaded.config.scoring
    changes = {"precision": "float32"}
    if not is_here(scoring.device):
        changes["device"] = "auto"
    scoring = scoring.model_copy(update=changes)
    return replace(loaded, config=loaded.config.model_copy(update={"scoring": scoring}))


def _ancestry(run: RunFolder, parts: Parts) -> Check:
    if parts.config.evolution.algorithm == "cma_es":
        return Check("ancestry", None, "points of CMA-ES have no parents")
    lineage = Lineage(run, parts.encoding, parts.config.seed)
    filled = np.flatnonzero(parts.archive.filled)
    steps = 0
    for k in filled[np.linspace(0, len(filled) - 1, min(REPLAYED, len(filled))).astype(int)]:
        holder = parts.archive.holders[k]
        assert holder is not None
        try:
            genome = lineage.genome(holder.id)
            steps += len(lineage.of(holder.id))
        except StoreError as error:
            return Check("ancestry", False, str(error))
        if parts.encoding.dump(genome) != parts.encoding.dump(holder.genome):
            return Check("ancestry", False, f"elite {holder.id} comes out different")
    return Check("ancestry", True, f"{steps} ancestors bred again, each as it was stored")


def _pictures(run: RunFolder, parts: Parts) -> Iterator[Check]:
    summary = run.summary()
    ended = run.meta().get("status") == "finished"
    if not ended or summary is None or summary.get("archive_digest") is None:
        yield Check("pictures", None, "not made yet: the campaign has not ended (evofool resume)")
        return
    render: Render = parts.evaluator.render
    recorded = recorded_in(run.manifest)[0]
    drawn = parts.drawing.name == recorded
    if not drawn:
        render = _stored_pictures(run, parts)
        detail = (
            f"the run was drawn by {recorded[:40]}, which is not to be had here: its PNGs are held"
            " to the digest, the table and the victim, and no genome is drawn anew"
        )
        yield Check("renderer", None, detail)
    try:
        digest = archive_digest(parts.archive, render, parts.encoding)
    except (OSError, ImageError) as error:  # only of stored pictures
        yield Check("pictures", False, str(error))
        return
    same = digest == summary["archive_digest"]
    yield Check("archive digest", same, digest[:16] if same else f"{digest[:16]} is not the stored")
    try:
        table = read_table(run)
    except EvofoolError as error:
        yield Check("pictures", False, str(error))
        return
    wrong: list[str] = []
    furthest, count = 0.0, 0
    stored = {row.class_index: row for row in run.archive().elites}
    mistaken = 0
    unscored = beyond_budget(parts.scorer, int(parts.archive.filled.sum()))
    for part in elites(parts.archive, render, parts.classifier.labels):
        shown = [_shown(run, elite, table, wrong) for elite in part]
        readable = [
            (elite, pixels) for elite, pixels in zip(part, shown, strict=True) if pixels is not None
        ]
        count += len(readable)
        if not readable or unscored:
            continue
        scores = parts.scorer.score(np.stack([pixels for _, pixels in readable]))
        for row, (elite, _) in enumerate(readable):
            c = elite.class_index
            now = float(scores.confidence[row, c])
            # by the row, by its log-odds, and as the table says: all three are claims
            for claim in (stored[c].confidence, elite.confidence, table[c]["confidence"]):
                gap = abs(now - claim)
                furthest = max(furthest, gap if np.isfinite(gap) else np.inf)
            mistaken += bool(scores.labels[row] == c) != stored[c].won
    held = "hold what their genomes render" if drawn else "are those of the table"
    extra = sorted(set(table) - set(stored))
    if extra:
        wrong.append(f"elites.csv has classes that hold no elite: {extra[:5]}")
    detail = "; ".join(wrong[:3]) if wrong else f"{count} PNGs {held}"
    yield Check("pictures", not wrong, detail)
    if unscored:
        yield Check("confidences", None, unscored)
    else:
        yield Check("confidences", furthest <= TOLERANCE, f"differ by at most {furthest:.1e}")
    found = confidence_summary(parts.archive)
    other = [key for key, value in found.items() if summary.get(key) != value]
    if mistaken:
        other.append(f"{mistaken} cells that are won or not")
    yield Check("summary", not other, "wrong: " + ", ".join(other) if other else "says the same")


def _stored_pictures(run: RunFolder, parts: Parts) -> Render:
    """What stands in for a renderer that is not here: the pictures of the run as they lie there."""
    names = {
        holder.id: png_name(int(c))
        for c, holder in zip(parts.archive.cells, parts.archive.holders, strict=True)
        if holder is not None
    }

    def picture(name: str) -> UInt8Images:
        pixels = decode_png(read_file(run.path / name))
        if pixels.shape != parts.classifier.input_shape:
            raise ImageError(f"{name}: has the shape {pixels.shape}")
        return pixels

    return lambda individuals: np.stack([picture(names[each.id]) for each in individuals])


def _shown(
    run: RunFolder, elite: Elite, table: dict[int, dict[str, Any]], wrong: list[str]
) -> Any | None:
    """The pixels of an elite's PNG, or None with the reason in `wrong`."""
    name = png_name(elite.class_index)
    row = table.get(elite.class_index)
    if row is None:
        wrong.append(f"class {elite.class_index} is not in elites.csv")
        return None
    try:
        data = read_file(run.path / name)
        pixels = decode_png(data)
    except (OSError, EvofoolError) as error:
        wrong.append(f"{name}: {error}")
        return None
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        wrong.append(f"{name}: its sha256 is not the one in elites.csv")
    if pixels.shape != elite.pixels.shape or not np.array_equal(pixels, elite.pixels):
        wrong.append(f"{name}: does not hold what its genome renders")
        return None
    return pixels
