"""Collections of run folders of kind ``evolve``: campaigns, finished or not."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evofool.classifiers.sources.bundled import BUNDLED
from evofool.config import cells
from evofool.encodings import AnySizeEncoding, StagedEncoding, file_is_missing
from evofool.errors import DamagedError, EncodingError, StoreError
from evofool.evolution.deap_toolbox import not_bred_again
from evofool.evolution.individual import Individual
from evofool.evolution.lineage import Lineage
from evofool.evolution.lines import held_back_line
from evofool.evolution.outputs import (
    THRESHOLDS,
    Elite,
    picture,
    pictures_are_current,
    png_name,
    write_pictures,
)
from evofool.evolution.restoring import StoredElites, load_run, open_elites
from evofool.files import read_file, reason
from evofool.gallery.reading.asking import StoredVictim
from evofool.gallery.reading.exhibits import IN_PLACE, Collection, Exhibit, Moved, Point, Step
from evofool.gallery.reading.saved import NO_ENCODING, SavedElites
from evofool.images import Size, UInt8Images
from evofool.scoring.scorer import usable_cores
from evofool.store import CampaignFolder, Folder, IndividualId, IndividualRow, WinRow, state_of
from evofool.store.folder import CONFIG
from evofool.store.history import commands_of
from evofool.store.manifest import headline

GREY = ("grey",)
MAX_POINTS = 400
"""Of the plot of a run's course."""


def campaign(run: Folder, key: str, *, write: bool, moved: Moved = IN_PLACE) -> Collection:
    """The elites of a campaign as they are stored now.

    Args:
        run: open, and open for as long as the collection is used.
        key: of the collection.
        write: bring the run folder's ``images/`` up to date if they are not. Never while another
            process is at the run: its last pictures are newer than what is read here.
        moved: where its files are now. Where the encoding's is nowhere, the pictures that the run
            left are shown.

    Raises:
        StoreError: the run folder is damaged, its config edited, or code that it names another.
        ConfigError: its encoding cannot be had.
    """
    assert isinstance(run, CampaignFolder)
    loaded = load_run(run, check_files=False, encoding=moved.encoding, uses=("encoding",))
    manifest, wins = run.manifest, run.wins()
    labels = tuple(manifest["classifier"]["labels"])
    algorithm = loaded.config.evolution.algorithm
    no_ancestry = "Points of CMA-ES have no parents." if algorithm == "cma_es" else ""
    if foreign := not_bred_again(manifest):
        no_ancestry = f"Its pictures were {foreign}."
    source: SavedElites | Elites
    if file_is_missing(loaded.config.encoding.name):
        source = SavedElites(run)
        no_ancestry = no_ancestry or NO_ENCODING
        logging.getLogger("evofool").warning("%s: %s", run.path, NO_ENCODING)
    else:
        source = _drawn(run, open_elites(run, moved.encoding), loaded.config.seed, write)
    colour = str(getattr(loaded.config.encoding, "options", {}).get("colour", "rgb"))
    channels, height, width = manifest["classifier"]["input_shape"]
    classes = len(cells(loaded, labels))
    name = run.path.resolve().name
    return Collection(
        key=key,
        name=name,
        kind="evolve",
        victim=headline(manifest),
        digest=str(manifest["classifier"]["digest"]),
        encoding=str(manifest["encoding"]["name"]),
        algorithm=algorithm,
        seed=int(manifest["seed"]),
        run_id=str(manifest["run_id"]),
        status=state_of(run)[0],
        command=commands_of(manifest) or f"evofool evolve {shlex.quote(str(run.path / CONFIG))}",
        config=run.config_text,
        shape=(channels, height, width),
        labels=labels,
        classes=classes,
        exhibits=source.exhibits(),
        source=source,
        facts=_facts(run),
        no_ancestry=no_ancestry,
        course=_course(run, classes, wins),
        channels=GREY if channels == 1 else tuple(colour.upper()),
        stored_victim=StoredVictim(
            run,
            lambda: load_run(run, moved.classifier, uses=("classifier",), check_files=False),
            shipped=loaded.config.classifier.name in BUNDLED,
        ),
    )


def _drawn(run: CampaignFolder, stored: StoredElites, seed: int, write: bool) -> Elites:
    """The elites, drawn where ``images/`` does not hold their pictures."""
    archive = stored.archive
    current = bool(archive.filled.any()) and pictures_are_current(run, archive)
    if write and not run.busy and archive.filled.any() and not current:
        write_pictures(
            run,
            archive,
            stored.render,
            stored.encoding,
            stored.labels,
            usable_cores(),
            stored.redrawn,
        )
        current = True
    return Elites(run, stored, run.wins(), saved=current, seed=seed)


class Elites:
    """The elites of a campaign as a `Source`."""

    def __init__(
        self,
        run: CampaignFolder,
        stored: StoredElites,
        wins: Sequence[WinRow],
        *,
        saved: bool,
        seed: int,
    ) -> None:
        self._run = run
        self._stored = stored
        self._saved = saved
        self._lineage = Lineage(run, stored.breeding, seed)
        self._won = {(win.id, win.class_index): win.confidence for win in wins}
        self._described: dict[IndividualId, Mapping[str, Any]] = {}

    def exhibits(self) -> list[Exhibit]:
        """One an elite, in the order of their classes."""
        archive, shown = self._stored.archive, []
        confidence = archive.confidence
        for k in np.flatnonzero(archive.filled).tolist():
            holder = self._holder(k)
            c = int(archive.cells[k])
            size, unit = _size(self._describe(holder), holder, self._stored)
            shown.append(
                Exhibit(
                    str(c),
                    c,
                    self._stored.labels[c],
                    float(confidence[k]),
                    bool(archive.won[k]),
                    holder.id.generation,
                    str(holder.id),
                    size,
                    unit,
                )
            )
        return shown

    def png(self, exhibit: Exhibit) -> bytes:
        if self._saved:
            try:
                return read_file(self._run.path / png_name(exhibit.class_index))
            except OSError as error:
                raise StoreError(
                    f"{self._run.path / png_name(exhibit.class_index)}: cannot be read"
                    f" ({reason(error)})"
                ) from error
        holder = self._of(exhibit)
        pixels = self._stored.render([holder])[0]
        c = exhibit.class_index
        assert exhibit.confidence is not None
        elite = Elite(c, exhibit.label, exhibit.confidence, holder, pixels)
        return picture(self._run, elite, self._stored.redrawn)

    def render(self, exhibit: Exhibit, size: Size) -> UInt8Images:
        native = self._run.manifest["classifier"]["input_shape"][1:]
        encoding = self._stored.encoding
        grows = isinstance(encoding, AnySizeEncoding) and encoding.any_size
        if not grows and list(size) != native:
            raise EncodingError(
                f"encoding {encoding.name} has {native[0]} x {native[1]} pixels and nothing"
                " between them; --enlarge repeats each pixel"
            )
        image: UInt8Images = encoding.render([self._of(exhibit).genome], size)[0]
        return image

    def describe(self, exhibit: Exhibit) -> Mapping[str, Any]:
        return self._describe(self._of(exhibit))

    def stages(self, exhibit: Exhibit) -> Sequence[tuple[str, UInt8Images]]:
        encoding = self._stored.encoding
        if not isinstance(encoding, StagedEncoding):
            return ()
        stages = encoding.stages(self._of(exhibit).genome)
        height, width = self._run.manifest["classifier"]["input_shape"][1:]
        images = encoding.render([genome for _, genome in stages], (height, width))
        return [(str(words), image) for (words, _), image in zip(stages, images, strict=True)]

    def line(self, exhibit: Exhibit) -> Sequence[Step]:
        current, held = self._of(exhibit).id, exhibit.class_index
        steps = []
        while True:
            steps.append(Step(current, held, self._won.get((current, held))))
            row = self._run.individual(current) or IndividualRow(current, (), (), b"", None)
            if not row.parents:
                return steps[::-1]
            side = _side(row)
            if row.parents[side].generation >= current.generation:
                raise DamagedError(f"{self._run.path}: damaged lineage of {current}")
            current = row.parents[side]
            held = row.parent_cells[side] if row.parent_cells else held
            if not 0 <= held < len(self._stored.labels):
                raise DamagedError(f"{self._run.path}: damaged lineage of {current}")

    def family(self, exhibit: Exhibit) -> set[IndividualId]:
        return set(self._lineage.of(self._of(exhibit).id))

    def genome_bytes(self, exhibit: Exhibit) -> int:
        return len(self._stored.encoding.dump(self._of(exhibit).genome))

    def frames(self, ids: Sequence[IndividualId]) -> Mapping[IndividualId, UInt8Images]:
        images = {}
        stored = self._stored
        for id, genome in self._lineage.genomes(ids):
            if stored.breeding is not stored.encoding:
                genome = stored.encoding.load(stored.breeding.dump(genome))
            images[id] = self._stored.render([Individual(genome, id)])[0]
        return images

    def _of(self, exhibit: Exhibit) -> Individual:
        return self._holder(self._stored.archive.position(exhibit.class_index))

    def _holder(self, k: int) -> Individual:
        holder = self._stored.archive.holders[k]
        assert holder is not None
        return holder

    def _describe(self, holder: Individual) -> Mapping[str, Any]:
        if holder.id not in self._described:  # elites of several cells share one
            description = self._stored.encoding.describe(holder.genome)
            self._described[holder.id] = description if isinstance(description, Mapping) else {}
        return self._described[holder.id]


def _side(row: IndividualRow) -> int:
    """Which of two parents a child is nearer to: with crossover each pair has two children."""
    return row.id.child % 2 if len(row.parents) == 2 and len(row.parent_cells) == 2 else 0


def _size(
    description: Mapping[str, Any], holder: Individual, stored: StoredElites
) -> tuple[int, str]:
    for unit in ("connections", "genes"):
        size = description.get(unit)
        if isinstance(size, int) and size >= 0:
            return size, unit
    return len(stored.encoding.dump(holder.genome)), "bytes"


def _facts(run: CampaignFolder) -> list[tuple[str, str]]:
    manifest, last = run.manifest, run.last_generation()
    summary = run.summary() or {}
    facts = [
        ("status", state_of(run)[0]),
        ("generations", f"{last.generation if last else 0:,}"),
        ("evaluations", f"{last.evaluations if last else 0:,}"),
        ("images through the net", f"{last.forward_images if last else 0:,}"),
        ("seconds", f"{last.seconds if last else 0:,.0f}"),
        ("seed", str(manifest["seed"])),
        ("run", str(manifest["run_id"])),
        ("weights", f"sha256 {manifest['classifier']['digest']}"),
    ]
    if summary.get("archive_digest"):
        facts.append(("archive", f"sha256 {summary['archive_digest']}"))
    if isinstance(held_back := summary.get("held_back"), Mapping):
        facts.append(("held back", held_back_line(held_back)))
    if manifest.get("created"):
        facts.append(("begun", str(manifest["created"])))
    versions = manifest.get("versions")
    if isinstance(versions, Mapping):
        facts.append(("made with", ", ".join(f"{k} {v}" for k, v in versions.items())))
    return facts


def _course(run: CampaignFolder, cells: int, wins: Sequence[WinRow]) -> list[Point]:
    """The cells after each generation, from the wins: what is stored of a generation has no
    quartiles."""
    rows = run.generations()
    if not rows or not cells:
        return []
    shown = set(np.linspace(0, len(rows) - 1, min(MAX_POINTS, len(rows))).astype(int).tolist())
    confidence: dict[int, float] = {}
    points = []
    at = 0
    for position, row in enumerate(rows):
        while at < len(wins) and wins[at].id.generation <= row.generation:
            confidence[wins[at].class_index] = wins[at].confidence
            at += 1
        if position in shown:
            values = np.zeros(cells)
            known = np.fromiter(confidence.values(), float, len(confidence))[:cells]
            values[: len(known)] = known
            low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
            shares = {f"{t:g}": float((values >= t).mean()) for t in THRESHOLDS}
            points.append(Point(row.evaluations, median, (low, high), shares))
    return points
