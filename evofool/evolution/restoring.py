"""From a run folder back to the parts of its campaign, checked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from evofool.config import (
    Campaign,
    Loaded,
    cells,
    load_campaign,
    moved_classifier,
    moved_encoding,
    to_yaml,
)
from evofool.encodings import Encoding, EncodingSource
from evofool.errors import ConfigError, DamagedError, FolderError, StoreError, UsageError
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.drawing import breeder_of, breeding_on, drawing_again, is_here, recorded_in
from evofool.evolution.fitness import kind_of
from evofool.evolution.individual import Individual
from evofool.evolution.outputs import Render
from evofool.evolution.setup import CHANGEABLE, Parts, make_encoding
from evofool.images import UInt8Images
from evofool.store import CampaignFolder, Check, GenerationRow, IndividualId
from evofool.store.code import check_code, code_of
from evofool.store.fixed import check_config, check_labels_file, config_check
from evofool.store.folder import CONFIG
from evofool.store.history import with_changes
from evofool.store.manifest import check_classifier, repointed


def load_run(
    run: CampaignFolder,
    classifier: str | None = None,
    overrides: Sequence[str] = (),
    check_files: bool = True,
    *,
    encoding: str | None = None,
    uses: Collection[str] = ("classifier", "encoding", "evolution"),
) -> Loaded[Campaign]:
    """The config of a run folder, with what may still be changed changed.

    Nothing that it names has been run when this returns, and what may be run is what it was.

    Args:
        run: the folder.
        classifier: where the victim is now, if its file has moved.
        overrides: of `CHANGEABLE` keys.
        check_files: whether files that the config names must exist.
        encoding: where the encoding's file is now, if it has moved.
        uses: sections of the config whose code the caller is about to run.

    Raises:
        ConfigError: ``config.yaml`` is damaged, or names a file that is missing.
        FolderError: it was edited, or code that it names is not what the run was made with.
    """
    check_kind(run)
    CHANGEABLE.check_overrides(overrides)
    path = run.path / CONFIG
    moved = []
    if classifier is not None:
        moved.append(moved_classifier(classifier, path))
    if encoding is not None:
        moved.append(moved_encoding(encoding, path))
    try:
        loaded = load_campaign(path, [*overrides, *moved], check_files=check_files)
    except ConfigError as error:
        raise _with_option(error, classifier, encoding) from error
    check_config(run, loaded.config, CHANGEABLE)
    keys = [override.partition("=")[0] for override in moved]
    check_code(run, loaded.config, moved=keys, sections=uses)
    return loaded


def _with_option(error: ConfigError, classifier: str | None, encoding: str | None) -> ConfigError:
    """`error`, with the option that mends it if a file is missing."""
    message = str(error)
    if "no such file" in message:
        for section, given in (("classifier", classifier), ("encoding", encoding)):
            if given is None and f": {section}" in message:
                return ConfigError(f"{message}; say where it is now with --{section}")
    return error


def check_limits(run: CampaignFolder, loaded: Loaded[Campaign]) -> None:
    """Refuse limits that would have ended the run before what is done already.

    Raises:
        UsageError: there is one; the message names the key, its value and what is done.
    """
    config, rows = loaded.config, run.generations()
    if not rows:
        return
    stop, children, done = config.stop, config.evolution.children, rows[-1]
    stagnant = 0
    for row in rows[:-1]:  # each was followed by another
        stagnant = 0 if row.stats.get("improved") else stagnant + 1
        lowest = row.stats.get("min")
        after = row.evaluations + children
        reached = {
            "stop.generations": (stop.generations, row.generation + 1, done.generation),
            "stop.evaluations": (stop.evaluations, after, done.evaluations),
            "scoring.budget": (config.scoring.budget, after, done.evaluations),
        }
        for key, (limit, next_one, now) in reached.items():
            if limit is not None and next_one > limit:
                raise _exceeded(run, key, limit, f"{now} are done")
        if stop.seconds is not None and row.seconds >= stop.seconds:
            raise _exceeded(run, "stop.seconds", stop.seconds, f"{done.seconds:.0f} are over")
        if (
            stop.confidence is not None
            and isinstance(lowest, int | float)
            and lowest >= stop.confidence
        ):
            reason = (
                f"every cell had reached it after generation {row.generation}, {done.generation}"
            )
            raise _exceeded(run, "stop.confidence", stop.confidence, f"{reason} are done")
        if stop.stagnation is not None and stagnant >= stop.stagnation:
            reason = (
                f"it had stagnated for that long at generation {row.generation}, {done.generation}"
            )
            raise _exceeded(run, "stop.stagnation", stop.stagnation, f"{reason} are done")


def _exceeded(run: CampaignFolder, key: str, limit: float, done: str) -> UsageError:
    return UsageError(
        f"{run.path}: {key}: {limit:g} is less than what is already done ({done}); nothing was"
        " changed: give a larger value, or start a new run"
    )


def record_changes(run: CampaignFolder, loaded: Loaded[Campaign], parts: Parts) -> None:
    """Write down what a resume has changed, if anything: in ``config.yaml`` and the manifest."""
    before = load_campaign(run.path / CONFIG, check_files=False).config
    manifest = with_changes(run, before, loaded.config, CHANGEABLE)
    if manifest is None:
        return
    manifest = repointed(manifest, parts.classifier)
    source = parts.encoding_source
    if source.path is not None:
        name = loaded.config.encoding.name
        manifest["encoding"] = {**manifest["encoding"], "name": name, "path": str(source.path)}
    if "code" in manifest:
        manifest["code"] = {**manifest["code"], **code_of(loaded.config)}
    run.write_manifest(manifest)  # first: what happened is never missing from it
    # as it was loaded: with options that are younger than the run it would be another config
    run.write_config(to_yaml(loaded.config))


def check_of_config(
    run: CampaignFolder, classifier: str | None = None, encoding: str | None = None
) -> Check:
    """``evofool verify`` of the config, and of the code it names; the arguments as for `load_run`.

    Raises:
        ConfigError: ``config.yaml`` is no config any more.
    """
    return config_check(
        run, lambda: load_run(run, classifier, encoding=encoding, check_files=False)
    )


def check_kind(run: CampaignFolder) -> None:
    """Refuse a run folder that holds no campaign."""
    kind = run.manifest.get("kind")
    if kind != "evolve":
        raise FolderError(f"{run.path}: holds a run of kind {kind!r}, not evolve")


def check_sources(run: CampaignFolder, parts: Parts) -> None:
    """Refuse to go on with another victim or encoding than the run was made with."""
    check_classifier(run.path, run.manifest, parts.classifier)
    check_labels_file(run, parts.config.classifier.labels, parts.classifier)
    check_encoding(run, parts.encoding_source)


def check_device(run: CampaignFolder, loaded: Loaded[Campaign]) -> None:
    """Refuse to go on without the device that the run was begun on: sums would differ."""
    device = loaded.config.scoring.device
    if not is_here(device):
        raise FolderError(
            f"{run.path}: was started on {device}, which is not on this machine, and another"
            " device would give another run; resume it on a machine that has one"
        )


def check_means(run: CampaignFolder, parts: Parts) -> None:
    """Refuse to go on with other means of drawing or breeding than the run was begun with."""
    for what, recorded, current in zip(
        ("drawn", "bred"),
        recorded_in(run.manifest),
        (parts.drawing.name, breeder_of(parts.encoding)),
        strict=True,
    ):
        if recorded != current:
            raise FolderError(
                f"{run.path}: was {what} by {recorded[:40]}, which is not available here"
                f" ({current} is); resume it where it was started, or start a new run"
            )


def check_encoding(run: CampaignFolder, source: EncodingSource) -> None:
    """Refuse an encoding whose file is another than the run was made with."""
    sha256 = run.manifest["encoding"].get("sha256")
    if sha256 is not None and source.sha256 != sha256:
        raise FolderError(
            f"{run.path}: its encoding {run.manifest['encoding'].get('path')} has changed since;"
            " give the original file with --encoding"
        )


@dataclass(frozen=True)
class StoredElites:
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


def open_elites(run: CampaignFolder, encoding_file: str | None = None) -> StoredElites:
    """The elites as they are stored now, of a run that has ended or not.

    Args:
        run: the folder.
        encoding_file: where the encoding's file is now, if it has moved.

    Raises:
        StoreError: the run folder is damaged, its config edited, or the encoding's file another.
        ConfigError: its encoding cannot be had.
    """
    loaded = load_run(run, check_files=False, encoding=encoding_file, uses=("encoding",))
    victim = run.manifest["classifier"]
    channels, height, width = victim["input_shape"]
    labels = tuple(victim["labels"])
    encoding, source = make_encoding(loaded, (channels, height, width))
    check_encoding(run, source)
    archive = ChampionArchive(cells(loaded, labels), kind_of(loaded.config.evolution.fitness))
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

    return StoredElites(archive, encoding, breeding, labels, render, drawing.name if note else "")


def restore(
    run: CampaignFolder, archive: ChampionArchive, encoding: Encoding[Any]
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
            raise DamagedError(f"{run.path}: the genome of {row.id} does not match its digest")
        try:
            genome = encoding.load(row.genome)
        except ValueError as error:
            raise DamagedError(f"{run.path}: damaged genome of {row.id} ({error})") from error
        people[row.id] = Individual(genome, row.id, row.parents, row.parent_cells)
    for elite in stored.elites:
        try:
            archive.put(
                elite.class_index, people[elite.id], elite.fitness, elite.log_odds, elite.won
            )
        except KeyError as error:
            raise StoreError(f"{run.path}: no cell for class {elite.class_index}") from error
    return run.generations()
