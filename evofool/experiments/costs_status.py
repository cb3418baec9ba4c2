"""``evofool status`` and ``verify`` of a comparison of cost functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evofool.errors import UsageError
from evofool.experiments.begun import begun_check
from evofool.experiments.costs import load_costs_run, load_net, load_test_set
from evofool.experiments.costs_outputs import (
    COLUMNS,
    net_name,
    read_champions,
    read_curves,
    summary,
    table_lines,
)
from evofool.files import is_file, read_file
from evofool.scoring import Scorer
from evofool.store import Check, CostsFolder, head_of
from evofool.store.checking import check_folder, seed_faults
from evofool.store.defend_schema import RIGHT
from evofool.store.fixed import refuse_encoding
from evofool.text import csv_bytes


def status(path: Path | str) -> dict[str, Any]:
    """Status and counts as JSON values; loads no classifier.

    Raises:
        StoreError: no run of this kind, or a damaged one.
    """
    with CostsFolder.open(Path(path)) as run:
        config = load_costs_run(run).config
        nets = [net_name(net.loss, seed) for net in config.nets for seed in config.seeds]
        rows = [row for net in nets for row in run.threats(net)]
        return {
            **head_of(run),
            "nets": len(nets),
            "trained": sum((run.path / "nets" / f"{net}.json").is_file() for net in nets),
            "measures": len(rows),
            "evolutions": len(list((run.path / "evolution").glob("*/manifest.json"))),
            "queries": sum(row.queries for row in rows),
            "seconds": round(run.seconds(), 3),
        }


def verify_costs(
    path: Path | str, *, classifier: str | None = None, encoding: str | None = None
) -> Iterator[Check]:
    """Check a comparison, each check as soon as it is done.

    The database; the clean row of every net, whose weights are held to their card, by answering
    the pictures again; ``costs.csv`` against the stored rows.

    Args:
        path: the run folder.
        classifier: not for this kind of run.
        encoding: not for this kind of run.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its nets or data cannot be had.
    """
    if classifier is not None:
        raise UsageError("--classifier: a comparison of costs trains its own nets")
    refuse_encoding(encoding)
    with CostsFolder.open(Path(path)) as run:
        yield from check_folder(run)
        yield (begun := begun_check(run, lambda: load_costs_run(run)))
        if begun.ok is False:
            return
        loaded = load_costs_run(run)
        config = loaded.config
        faults = seed_faults(run.manifest, config.seed)
        yield Check("seed", not faults, "; ".join(faults) or "is the config's")
        test_set = load_test_set(loaded)
        for name in (net_name(net.loss, seed) for net in config.nets for seed in config.seeds):
            rows = run.threats(name)
            if not rows:
                yield Check(name, None, "not measured yet (evofool resume)")
                continue
            with Scorer(load_net(run.path, name), batch=config.scoring.batch) as scorer:
                right = scorer.labels(test_set.images) == test_set.labels
            same = [letter == RIGHT for letter in rows[0].outcomes] == right.tolist()
            detail = f"{rows[0].n} pictures are answered as {'stored' if same else 'never stored'}"
            yield Check(name, same, detail)
        if run.meta().get("status") != "finished":
            yield Check("costs.csv", None, "not made yet: the run has not ended (evofool resume)")
            return
        found = summary(run, config, read_curves(run, config), read_champions(run, config))
        wanted = csv_bytes(COLUMNS, table_lines(found))
        table = run.path / "costs.csv"
        same = is_file(table) and read_file(table) == wanted
        yield Check(
            "costs.csv", same, "holds the stored rows" if same else "differs or is missing"
        )  # fmt: skip
