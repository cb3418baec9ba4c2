"""``evofool status`` and ``verify`` of a retraining loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evofool.classifiers import load_classifier
from evofool.errors import ClassifierError, UsageError
from evofool.evolution.verify import verify as verify_evolution
from evofool.experiments.begun import begun_check
from evofool.experiments.retrain_chain import NetKey, RunKey, net_keys
from evofool.experiments.retrain_config import RetrainConfig
from evofool.experiments.retrain_measures import OWN
from evofool.experiments.retrain_outputs import columns, read_curves, table
from evofool.experiments.retrain_setup import base_of, load_retrain_run
from evofool.files import read_file
from evofool.store import Check, RetrainFolder, head_of
from evofool.store.checking import check_folder, check_victim, seed_faults, victim_faults
from evofool.store.fixed import refuse_encoding
from evofool.text import csv_bytes


def status(path: Path | str) -> dict[str, Any]:
    """Status and counts as JSON values; loads no classifier.

    Raises:
        StoreError: no run of this kind, or a damaged one.
    """
    with RetrainFolder.open(Path(path)) as run:
        nets = run.nets()
        measured = {(m.round, m.trained_on, m.seed) for m in run.measures() if m.part == OWN}
        config = load_retrain_run(run).config
        return {
            **head_of(run),
            "rounds": config.rounds,
            "round": max((net.round for net in nets), default=0),
            "nets": len(nets),
            "measured": len(measured),
            "evolutions": len(list((run.path / "evolution").glob("*/manifest.json"))),
            "seconds": round(run.seconds(), 3),
        }


def verify_retraining(
    path: Path | str, *, classifier: str | None = None, encoding: str | None = None
) -> Iterator[Check]:
    """Check a retraining loop, each check as soon as it is done.

    The database; whether every net and measure is there; every net by its digest; the runs of the
    last round as `evofool.evolution.verify` does, their champions scored again among it;
    ``retrain.csv`` against what is stored.

    Args:
        path: the run folder.
        classifier: not for this kind of run.
        encoding: not for this kind of run.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its base cannot be had.
    """
    if classifier is not None:
        raise UsageError(
            "--classifier: a retraining loop names several nets; put the file where config.yaml"
            " says"
        )
    refuse_encoding(encoding)
    with RetrainFolder.open(Path(path)) as run:
        yield from check_folder(run)
        yield (begun := begun_check(run, lambda: load_retrain_run(run)))
        if begun.ok is False:
            return
        loaded = load_retrain_run(run)
        config = loaded.config
        finished = run.meta().get("status") == "finished"
        yield _complete(run, config, finished)
        base = base_of(run, loaded).net
        faults = victim_faults(run.manifest, base) + seed_faults(run.manifest, config.seed)
        yield check_victim(faults)
        yield from _nets(run, base.digest)
        if not finished:
            yield Check("retrain.csv", None, "not made yet: the run has not ended (evofool resume)")
            return
        for key in net_keys(config, config.rounds):
            for encoding in config.evolution.encodings:
                yield _champions(run, key, encoding)
        yield _table(run, config)


def _complete(run: RetrainFolder, config: RetrainConfig, finished: bool) -> Check:
    wanted = {
        (key.round, key.trained_on, key.seed)
        for round in range(config.rounds + 1)
        for key in net_keys(config, round)
    }
    nets = {(net.round, net.trained_on, net.seed) for net in run.nets()}
    measured = {(m.round, m.trained_on, m.seed) for m in run.measures() if m.part == OWN}
    detail = f"{len(nets)} nets of {len(wanted)}, {len(measured)} measured"
    if not finished and measured <= nets <= wanted:
        return Check("rows", None, f"{detail}: the run has not ended (evofool resume)")
    return Check("rows", nets == measured == wanted, detail)


def _nets(run: RetrainFolder, base: str) -> Iterator[Check]:
    for net in run.nets():
        name = NetKey(net.round, net.trained_on, net.seed).name
        try:
            digest = load_classifier(str(run.path / net.file)).digest if net.file else base
        except ClassifierError as error:
            yield Check(name, False, str(error))
            continue
        same = digest == net.digest
        yield Check(name, same, f"has {'the' if same else 'another'} digest {digest[:12]}")


def _champions(run: RetrainFolder, key: NetKey, encoding: str) -> Check:
    """The checks of a run of evolution as one."""
    folder = RunKey(key, encoding).folder
    checks = list(verify_evolution(run.path / folder))
    wrong = [f"{check.name}: {check.detail}" for check in checks if check.ok is False]
    return Check(folder, not wrong, "; ".join(wrong[:2]) or f"{len(checks)} checks are fine")


def _table(run: RetrainFolder, config: RetrainConfig) -> Check:
    names = columns(config)
    rows = table(run, config, read_curves(run, config))
    wanted = csv_bytes(names, ([row[name] for name in names] for row in rows))
    path = run.path / "retrain.csv"
    try:
        same = read_file(path) == wanted
    except OSError:
        same = False
    return Check("retrain.csv", same, "holds what is stored" if same else "differs or is missing")
