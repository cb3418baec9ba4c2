"""From a run folder back to the parts of its campaign, checked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evofool.config import Campaign, Loaded, cells, load_campaign, moved_classifier
from evofool.encodings import Encoding, EncodingSource
from evofool.errors import ConfigError, FolderError, StoreError, UsageError
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.drawing import breeder_of, breeding_on, drawing_again, is_here, recorded_in
from evofool.evolution.individual import Individual
from evofool.evolution.outputs import Render
from evofool.evolution.setup import Parts, make_encoding
from evofool.images import UInt8Images
from evofool.store import GenerationRow, IndividualId, RunFolder
from evofool.store.manifest import check_classifier


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
    try:
        changes = [*overrides]
        if classifier is not None:
            changes.append(moved_classifier(classifier, run.path / "config.yaml"))
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


def check_sources(run: RunFolder, parts: Parts) -> None:
    """Refuse to go on with another victim or encoding than the run was made with."""
    check_classifier(run.path, run.manifest, parts.classifier)
    check_encoding(run, parts.encoding_source)


def check_device(run: RunFolder, loaded: Loaded[Campaign]) -> None:
    """Refuse to go on without the device that the run was begun on: sums would differ."""
    device = loaded.config.scoring.device
    if not is_here(device):
        raise FolderError(
            f"{run.path}: was begun on {device}, which is not on this machine, and another device"
            " would make another run; go on where there is one"
        )


def check_means(run: RunFolder, parts: Parts) -> None:
    """Refuse to go on with other means of drawing or breeding than the run was begun with."""
    for what, recorded, found in zip(
        ("drawn", "bred"),
        recorded_in(run.manifest),
        (parts.drawing.name, breeder_of(parts.encoding)),
        strict=True,
    ):
        if recorded != found:
            raise FolderError(
                f"{run.path}: was {what} by {recorded[:40]}, which is not to be had here ({found}"
                " is); go on where it was begun, or begin a new run"
            )


def check_encoding(run: RunFolder, source: EncodingSource) -> None:
    """Refuse an encoding whose file is another than the run was made with."""
    sha256 = run.manifest["encoding"].get("sha256")
    if sha256 is not None and source.sha256 != sha256:
        raise FolderError(
            f"{run.path}: its encoding {run.manifest['encoding'].get('path')} has changed since"
        )


@dataclass(frozen=True)
class Shelf:
    """The elites of a run without its victim: enough to draw them anew.

    `breeding` varies genomes as the run did, where `encoding` draws and describes them; its genomes
    become the other's through their dumps. `redrawn` is "" if `render` gives the pixels that were
    scored, else what gives others.
    """

    archive: ChampionArchive
    encoding: Encoding[Any]
    breeding: Encoding[Any]
    labels: tuple[str, ...]
    render: Render
    redrawn: str = ""


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

    renderer, breeder = recorded_in(run.manifest)
    drawing, note = drawing_again(encoding, renderer)
    breeding = breeding_on("cpu", encoding, breeder)
    told = False

    def render(individuals: Sequence[Individual]) -> UInt8Images:
        nonlocal told
        if note and not told:
            logging.getLogger("evofool").warning("%s: %s", run.path, note)
            told = True
        return drawing([each.genome for each in individuals], (height, width))

    return Shelf(archive, encoding, breeding, labels, render, drawing.name if note else "")


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
