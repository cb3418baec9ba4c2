"""From a run folder back to the parts of its campaign, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from evofool.config import Campaign, Loaded, load_campaign
from evofool.errors import StoreError, UsageError
from evofool.evolution.individual import Individual
from evofool.evolution.setup import Parts
from evofool.store import GenerationRow, IndividualId, RunFolder


def load_run(
    run: RunFolder, classifier: str | None = None, overrides: Sequence[str] = ()
) -> Loaded[Campaign]:
    """The config of a run folder, with what may still be changed changed."""
    if run.manifest.get("kind") != "evolve":
        raise StoreError(
            f"{run.path}: holds a run of kind {run.manifest.get('kind')!r}, not evolve"
        )
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not (key.startswith("stop.") or key == "scoring.workers"):
            raise UsageError(
                f"override {override}: only stop.* and scoring.workers can change on resume;"
                " anything else would make another run"
            )
    changes = [*overrides]
    if classifier is not None:
        weights = classifier.endswith((".safetensors", ".pt", ".pth"))
        key = "classifier.weights" if weights else "classifier.name"
        changes.append(f"{key}={_quoted(classifier)}")
    return load_campaign(run.path / "config.yaml", changes, check_files=classifier is None)


def check_sources(run: RunFolder, parts: Parts) -> None:
    """Refuse to go on with another victim or encoding than the run was made with."""
    known = run.manifest["classifier"]
    if parts.classifier.digest != known["digest"]:
        raise StoreError(
            f"{run.path}: was made with {known['name']} of digest {known['digest'][:12]}, but the"
            f" one found now has {parts.classifier.digest[:12]}; give the right one by --classifier"
        )
    source = parts.classifier.source
    if source is not None and source[1] != known.get("sha256", source[1]):
        raise StoreError(
            f"{run.path}: {source[0]} has changed since the run was made; give the file as it was"
            " by --classifier"
        )
    sha256 = run.manifest["encoding"].get("sha256")
    if sha256 is not None and parts.encoding_source.sha256 != sha256:
        raise StoreError(
            f"{run.path}: its encoding {run.manifest['encoding'].get('path')} has changed since"
        )


def restore(run: RunFolder, parts: Parts) -> list[GenerationRow]:
    """Fill the archive of `parts` from a run folder; returns the stored generations.

    Raises:
        StoreError: a genome does not match its digest or does not load, or a cell is foreign.
    """
    stored = run.archive()
    people: dict[IndividualId, Individual] = {}
    for row in stored.holders.values():
        assert row.genome is not None
        if hashlib.sha256(row.genome).digest() != row.sha256:
            raise StoreError(f"{run.path}: the genome of {row.id} does not match its digest")
        try:
            genome = parts.encoding.load(row.genome)
        except ValueError as error:
            raise StoreError(f"{run.path}: damaged genome of {row.id} ({error})") from error
        people[row.id] = Individual(genome, row.id, row.parents, row.parent_cells)
    for elite in stored.elites:
        try:
            parts.archive.put(
                elite.class_index, people[elite.id], elite.fitness, elite.log_odds, elite.won
            )
        except KeyError as error:
            raise StoreError(f"{run.path}: no cell for class {elite.class_index}") from error
    return run.generations()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
