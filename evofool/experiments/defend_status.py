"""``evofool status`` and ``verify`` of an evaluation of a defense."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evofool.defenses.victims import load_victim
from evofool.errors import UsageError
from evofool.experiments.begun import begun_check
from evofool.experiments.defend_outputs import COLUMNS, read_rows, read_verdict, threat_json
from evofool.experiments.defend_setup import make_base, make_ground
from evofool.experiments.defending import VICTIM, load_defense_run
from evofool.files import read_file
from evofool.scoring import Scorer
from evofool.store import Check, DefendFolder, head_of
from evofool.store.checking import check_folder, check_victim, seed_faults, victim_faults
from evofool.store.defend_schema import RIGHT
from evofool.store.fixed import refuse_encoding
from evofool.store.manifest import check_classifier
from evofool.text import csv_bytes


def status(path: Path | str) -> dict[str, Any]:
    """Status and counts as JSON values; loads no classifier.

    Raises:
        StoreError: no run of this kind, or a damaged one.
    """
    with DefendFolder.open(Path(path)) as run:
        rows = read_rows(run)
        diagnostics = run.diagnostics()
        defense = run.manifest.get("defense")
        return {
            **head_of(run),
            "defense": str(defense.get("name")) if isinstance(defense, dict) else None,
            "threats": len(rows),
            "evolutions": len(list((run.path / "evolution").glob("*/manifest.json"))),
            "verdict": read_verdict(diagnostics).colour.value if diagnostics else None,
            "queries": sum(row.queries for row in rows),
            "seconds": round(run.seconds(), 3),
        }


def verify_defense(
    path: Path | str, *, classifier: str | None = None, encoding: str | None = None
) -> Iterator[Check]:
    """Check an evaluation, each check as soon as it is done.

    The database; both nets against what the run was made with; the clean row by answering the
    pictures again; ``threats.csv`` against the stored rows.

    Args:
        path: the run folder.
        classifier: not for this kind of run.
        encoding: not for this kind of run.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its nets or data cannot be had.
    """
    if classifier is not None:
        raise UsageError(
            "--classifier: an evaluation names several nets; put the file where config.yaml says"
        )
    refuse_encoding(encoding)
    with DefendFolder.open(Path(path)) as run:
        yield from check_folder(run)
        yield (begun := begun_check(run, lambda: load_defense_run(run)))
        if begun.ok is False:
            return
        loaded = load_defense_run(run)
        base = make_base(loaded)
        check_classifier(run.path, run.manifest, base)
        faults = victim_faults(run.manifest, base)
        yield check_victim(faults + seed_faults(run.manifest, loaded.config.seed))
        ground = make_ground(loaded, base)
        rows = read_rows(run)
        yield Check("threats", True, f"{len(rows)} are stored")
        nets = {"undefended": base}
        if (run.path / VICTIM).is_file():
            nets["defended"] = load_victim(run.path / VICTIM)
        for row in rows:
            if row.group != "clean":
                continue
            with Scorer(nets[row.net], batch=loaded.config.scoring.batch) as scorer:
                right = scorer.labels(ground.images) == ground.labels
            same = [letter == RIGHT for letter in row.outcomes] == right.tolist()
            detail = f"{row.n} pictures are answered as {'stored' if same else 'never stored'}"
            yield Check(f"clean, {row.net} net", same, detail)
        yield _table(run)


def _table(run: DefendFolder) -> Check:
    if run.meta().get("status") != "finished":
        return Check("threats.csv", None, "not made yet: the run has not ended (evofool resume)")
    wanted = csv_bytes(COLUMNS, (threat_json(row).values() for row in read_rows(run)))
    table = run.path / "threats.csv"
    try:
        same = read_file(table) == wanted
    except OSError:
        same = False
    return Check(
        "threats.csv", same, "holds the stored rows" if same else "differs or is missing"
    )  # fmt: skip
