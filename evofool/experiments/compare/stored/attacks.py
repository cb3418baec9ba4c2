"""The searches of a run of attacks: one attack on pictures, each on its way to a class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evofool.attacks import registry
from evofool.attacks.result import NONE
from evofool.attacks.runs.rows import (
    IMAGES,
    ResultRow,
    png_of,
    read_chunks,
    read_results,
    role_of,
)
from evofool.errors import AttackError, DamagedError
from evofool.experiments.compare.searches import SEEN, Sees
from evofool.experiments.compare.stored.search import (
    Best,
    FoundSearch,
    NotCompared,
    Origin,
    Spent,
    VictimOf,
    improvements,
    log_odds_of,
)
from evofool.store import state_of
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import json_object
from evofool.store.manifest import headline
from evofool.store.records.works import WorkRow


def attacks(path: Path) -> list[FoundSearch | NotCompared]:
    """A search for every attack of a run that is aimed at classes.

    Pictures on their way to one class count as one search after the other.

    Raises:
        StoreError: the folder is damaged.
    """
    with ExperimentFolder.open(path) as run:
        known = run.manifest["classifier"]
        victim = VictimOf(headline(run.manifest), known["digest"], tuple(known["labels"]))
        roles = run.roles()
        found = []
        for index in range(len(roles.keys() - {IMAGES})):
            address = roles.get(role_of(index))
            if address is None:
                raise DamagedError(f"{path}: damaged: it has no {role_of(index)}")
            found.append(_attack(run, victim, index, address))
        return found


def _attack(
    run: ExperimentFolder, victim: VictimOf, index: int, address: str
) -> FoundSearch | NotCompared:
    work, name = run.work(address), run.path.name
    if work is None:
        return NotCompared(name, victim.name, f"attack {index}", "it was not started")
    attack, settings = _settings(run, work)
    title = registry.title(str(attack.pop("name", f"attack {index}")))
    if isinstance(attack.get("setting"), str) and attack["setting"] != "evofool":
        title = f"{title} {attack['setting']}"
    if settings.get("targets") == "none":
        return NotCompared(
            name, victim.name, title,
            "it is not aimed at a class, but leads away from one; set targets in its config to"
            " aim it",
        )  # fmt: skip
    rows = read_results(run, address)
    scored = [row for row in rows if row.target != NONE and row.sought_confidence is not None]
    if not scored:
        reason = "the net gave no confidences" if rows else "it holds no picture yet"
        return NotCompared(name, victim.name, title, reason)
    by_class: dict[int, list[ResultRow]] = defaultdict(list)
    for row in scored:
        by_class[row.target].append(row)
    shared = sum(chunk.forward_shared for chunk in read_chunks(run, address))
    first = -(-shared // len(by_class))  # what taught a substitute is paid before any picture
    best: dict[int, Best] = {}
    items: dict[int, int] = {}
    share = 1
    for c, own in by_class.items():
        at, seen, top = first, [], own[0]
        for row in own:
            at += row.forward_images + 2 * row.backward_images + row.verify_forward_images
            seen.append((at, log_odds_of(row.sought_confidence or 0.0)))
            if (row.sought_confidence or 0.0) > (top.sought_confidence or 0.0):
                top = row
        steps = improvements(seen)
        best[c], items[c] = Best(steps[-1].log_odds, top.predicted, steps), top.item
        share = max(share, at)
    state = "finished" if work.finished else _unfinished(run)
    sees = _sees(str(settings["attack"]), work)
    path = run.path

    def pictures(classes: Sequence[int]) -> dict[int, bytes]:
        rows = {row.item: row for row in scored}
        with ExperimentFolder.open(path) as again:
            return {c: png_of(again, address, rows[items[c]]) for c in classes}

    return FoundSearch(
        Origin(name, run.manifest["run_id"], "attack", state),
        victim, title, sees, "gradients" if sees == "weights" else "queries",
        registry.title(str(settings["attack"])),
        {**settings, "parameters": attack}, run.manifest["seed"], len(best), tuple(sorted(best)),
        share, best,
        Spent(work.cost.forward_images, work.cost.backward_images, work.cost.seconds),
        pictures,
    )  # fmt: skip


def _settings(run: ExperimentFolder, work: WorkRow) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of an attack, its seed left out, and what else makes it what it is."""
    definition = json_object(work.definition, run.path)
    try:
        fields = definition["fields"]
        attack = {k: v for k, v in fields["attack"].items() if k != "seed"}
        settings = {
            "attack": fields["attack"]["name"],
            "code": fields["code"],
            "targets": fields["targets"],
            "images": _images(run, fields["judged"]["work"]),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{run.path}: work {work.address[:16]} is damaged") from error
    return attack, settings


def _images(run: ExperimentFolder, address: str) -> Any:
    """What the attack began with: images of another noise are another seed's, not other images."""
    config = run.manifest.get("config")
    fixed = config.get("fixed") if isinstance(config, Mapping) else None
    images = fixed.get("images") if isinstance(fixed, Mapping) else None
    return images if images is not None else address


def _sees(name: str, work: WorkRow) -> Sees:
    """What an attack needs of its net; of one from outside, whose code is not run, by its cost."""
    try:
        if ".py:" not in name:
            return SEEN[registry.describe(name).needs]
    except AttackError:
        pass  # of a package that is not installed here
    return "weights" if work.cost.backward_images else "scores"


def _unfinished(run: ExperimentFolder) -> str:
    state, reason = state_of(run)
    return f"cut short by its {reason}" if reason else state
