"""The search of a campaign of evolution: its wins of cells, in the order of what they had cost."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evofool.classifiers.base import short_name
from evofool.errors import DamagedError, StoreError
from evofool.evolution.outputs import elites as elites_of
from evofool.evolution.outputs import png_name, read_table
from evofool.evolution.restoring import open_elites
from evofool.experiments.compare.stored.search import (
    Best,
    FoundSearch,
    NotCompared,
    Origin,
    Spent,
    VictimOf,
    improvements,
)
from evofool.experiments.compare.works import win_cost
from evofool.files import read_file
from evofool.images import encode_png
from evofool.store import CampaignFolder, state_of
from evofool.store.manifest import headline

CHANCE = ("seed", "name", "scoring", "kind", "classifier")
"""Keys of a config that make no other method: of the net the digest counts."""


def campaign(path: Path) -> list[FoundSearch | NotCompared]:
    """The one search of a campaign, finished or not.

    Raises:
        StoreError: the folder is damaged.
    """
    with CampaignFolder.open(path) as run, run.snapshot():
        manifest = run.manifest
        state = state_of(run)[0]
        generations, wins, elites = run.generations(), run.wins(), run.elites()
    known = manifest["classifier"]
    victim = VictimOf(headline(manifest), known["digest"], tuple(known["labels"]))
    encoding = short_name(manifest["encoding"]["name"])
    title = f"evolution {encoding}"
    if not generations or not elites:
        return [NotCompared(path.name, victim.name, title, "it holds no generation yet")]
    forward = {row.generation: row.forward_images for row in generations}
    config = _config(manifest)
    passes = _passes(config)
    seen: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for win in wins:
        g = win.id.generation
        if g not in forward or win.class_index >= len(victim.labels):
            raise DamagedError(
                f"{path}: damaged: the win of {win.id} belongs to no generation or class"
            )
        cost = win_cost(win.id.child, forward.get(g - 1, 0), forward[g], passes)
        seen[win.class_index].append((cost, win.log_odds))
    best = {}
    for elite in elites:
        if elite.class_index not in seen:
            raise DamagedError(f"{path}: damaged: class {elite.class_index} was never won")
        steps = improvements(seen[elite.class_index])
        odds = improvements([(1, elite.log_odds)])[0].log_odds
        best[elite.class_index] = Best(odds, elite.class_index if elite.won else -1, steps)
    last = generations[-1]
    settings = {
        "evolve": {key: value for key, value in config.items() if key not in CHANCE},
        "crops": passes,
    }
    return [
        FoundSearch(
            Origin(path.name, manifest["run_id"], "evolve", state),
            victim, title, "scores", "evolution", "evolution", settings, manifest["seed"], 1,
            tuple(sorted(best)), last.forward_images, best,
            Spent(last.forward_images, 0, last.seconds),
            lambda classes: _pictures(path, classes),
        )
    ]  # fmt: skip


def _config(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The config as the manifest has it; of a run from before it had one, something of its own."""
    entry = manifest.get("config")
    if not isinstance(entry, dict) or not isinstance(entry.get("fixed"), dict):
        return {"run": manifest["run_id"]}
    stop = entry.get("changeable")
    stop = stop if isinstance(stop, dict) else {}
    stop = {key: value for key, value in stop.items() if key.startswith("stop")}
    return json.loads(json.dumps({**entry["fixed"], **stop}))  # type: ignore[no-any-return]


def _passes(config: Mapping[str, Any]) -> int:
    """Images that went forward for one picture: crops, or nets of an ensemble."""
    classifier = config.get("classifier")
    if not isinstance(classifier, Mapping):
        return 1
    if isinstance(nets := classifier.get("ensemble"), list) and nets:
        return len(nets)
    crops = classifier.get("crops", 1)
    return crops if isinstance(crops, int) and crops > 0 else 1


def _pictures(path: Path, classes: Sequence[int]) -> dict[int, bytes]:
    """The saved pictures of a campaign that has ended; else drawn again from the genomes.

    Raises:
        StoreError: a picture is not the one that ``elites.csv`` names, or it cannot be drawn.
    """
    with CampaignFolder.open(path) as run, run.snapshot():
        if state_of(run)[0] == "finished":
            table = read_table(run)
            return {c: _saved(path, c, table) for c in classes}
        wanted, drawn = set(classes), {}
        stored = open_elites(run)
        for part in elites_of(stored.archive, stored.render, stored.labels):
            for elite in part:
                if elite.class_index in wanted:
                    drawn[elite.class_index] = encode_png(elite.pixels)
    return drawn


def _saved(path: Path, class_index: int, table: Mapping[int, Mapping[str, Any]]) -> bytes:
    file = path / png_name(class_index)
    try:
        png = read_file(file)
        same = hashlib.sha256(png).hexdigest() == table[class_index]["sha256"]
    except (OSError, KeyError) as error:
        raise StoreError(f"{file}: cannot be read ({error}); {_mend(path)}") from error
    if not same:
        raise StoreError(f"{file}: is not the picture that elites.csv names; {_mend(path)}")
    return png


def _mend(path: Path) -> str:
    return f"evofool resume {path} writes it again"
