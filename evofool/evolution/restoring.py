"""From a run folder back to the parts of its campaign, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evofool.config import Campaign, Loaded, cells, load_campaign
from evofool.encodings import Encoding, EncodingSource
from evofool.errors import ConfigError, FolderError, StoreError, UsageError
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.individual import Individual
from evofool.evolution.outputs import Render
from evofool.evolution.setup import Parts, make_encoding
from evofool.images import UInt8Images
from evofool.store import GenerationRow, IndividualId, RunFolder


def load_run(
    run: RunFolder,
    classifier: str | None = None,
    overrides: Sequence[str] = (),
    check_files: bool = True,
) -> Loaded[Campaign]:
    """The config of a run folder, with what may still be changed changed."""
    check_kind(run)
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not (key.startswith("stop.") or key in ("scoring.workers", "scoring.budget")):
            raise UsageError(
                f"override {override}: only stop.*, scoring.workers and scoring.budget can change"
                " on resume;"
                " anything else would make another run"
            )
    changes = [*overrides]
    if classifier is not None:
        weights = classifier.endswith((".safetensors", ".pt", ".pth"))
        key = "classifier.weights" if weights else "classifier.name"
        changes.append(f"{key}={_quoted(classifier)}")
    try:
        return load_campaign(run.path / "config.yaml", changes, check_files=check_files)
    except ConfigError as error:
        if classifier is None and "classifier" in str(error) and "no such file" in str(error):
            raise ConfigError(f"{error}; say where it is now by --classifier") from error
        raise


def check_kind(run: RunFolder) -> None:
    """Refuse a run folder that holds no campaign."""
    kind = run.manifest.get("kind")
    if kind != "evolve":
        raise FolderError(f"{run.path}: holds a run of kind {kind!r}, not evolve")


def repointed(manifest: Mapping[str, Any], parts: Parts) -> dict[str, Any]:
    """`manifest` with the victim where it was found this time."""
    victim = {**manifest["classifier"], "name": parts.classifier.name}
    if parts.classifier.source is not None:
        victim["path"] = str(parts.classifier.source[0])
    return {**manifest, "classifier": victim}


def check_sources(run: RunFolder, parts: Parts) -> None:
    """Refuse to go on with another victim or encoding than the run was made with."""
    known = run.manifest["classifier"]
    if parts.classifier.digest != known["digest"]:
        raise FolderError(
            f"{run.path}: was made with {known['name']} of digest {known['digest'][:12]}, but the"
            f" one found now has {parts.classifier.digest[:12]}; give the right one by --classifier"
        )
    source = parts.classifier.source
    if source is not None and source[1] != known.get("sha256", source[1]):
        raise FolderError(
            f"{run.path}: {source[0]} has changed since the run was made; give the file as it was"
            " by --classifier"
        )
    check_encoding(run, parts.encoding_source)


def check_encoding(run: RunFolder, source: EncodingSource) -> None:
    """Refuse an encoding whose file is another than the run was made with."""
    sha256 = run.manifest["encoding"].get("sha256")
    if sha256 is not None and source.sha256 != sha256:
        raise FolderError(
            f"{run.path}: its encoding {run.manifest['encoding'].get('path')} has changed since"
        )


@dataclass(frozen=True)
class Shelf:
    """The elites of a run without its victim: enough to draw them anew."""

    archive: ChampionArchive
    encoding: Encoding[Any]
    labels: tuple[str, ...]
    render: Render


def open_shelf(run: RunFolder) -> Shelf:
    """The elites as they are stored now, of a run that has ended or not.

    Raises:
        StoreError: the run folder is damaged.
        ConfigError: its encoding cannot be had.
    """
    loaded = load_run(run, check_files=False)
    victim = run.manifest["classifier"]
    channels, height, width = victim["input_shape"]
    labels = tuple(victim["labels"])
    encoding, source = make_encoding(loaded, (channels, height, width))
    check_encoding(run, source)
    archive = ChampionArchive(cells(loaded, labels), loaded.config.evolution.fitness)
    restore(run, archive, encoding)

    def render(individuals: Sequence[Individual]) -> UInt8Images:
        return encoding.render([each.genome for each in individuals], (height, width))

    return Shelf(archive, encoding, labels, render)


def restore(
    run: RunFolder, archive: ChampionArchive, encoding: Encoding[Any]
) -> list[GenerationRow]:
    """Fill `archive` from a run folder; returns the stored generations.

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
            genome = encoding.load(row.genome)
        except ValueError as error:
            raise StoreError(f"{run.path}: damaged genome of {row.id} ({error})") from error
        people[row.id] = Individual(genome, row.id, row.parents, row.parent_cells)
    for elite in stored.elites:
        try:
            archive.put(
                elite.class_index, people[elite.id], elite.fitness, elite.log_odds, elite.won
            )
        except KeyError as error:
            raise StoreError(f"{run.path}: no cell for class {elite.class_index}") from error
    return run.generations()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
