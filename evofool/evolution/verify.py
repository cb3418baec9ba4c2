"""``evofool verify``: whether a run folder is whole, and says what its pictures do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evofool.classifiers import Classifier
from evofool.config import Campaign, Loaded
from evofool.errors import EvofoolError, ImageError, StoreError
from evofool.evolution.deap_toolbox import not_bred_again, told
from evofool.evolution.drawing import is_here, recorded_in
from evofool.evolution.fitness import is_file, kind_of
from evofool.evolution.held_back import check_held_back, successes, transforms_held_back
from evofool.evolution.history import History, progress_fault
from evofool.evolution.lineage import Lineage
from evofool.evolution.outputs import (
    ArchiveDigest,
    Elite,
    Render,
    elites,
    png_name,
    read_table,
)
from evofool.evolution.restoring import check_of_config, check_sources, load_run, restore
from evofool.evolution.setup import Parts, make_parts
from evofool.evolution.verify_files import Claims, check_curve, check_status, check_summary
from evofool.evolution.verify_state import check_state, same_fitness
from evofool.files import read_file
from evofool.images import UInt8Images, decode_png
from evofool.scoring import Matrix, Scores
from evofool.scoring.checking import Comparison, checking_engine
from evofool.scoring.verifying import beyond_budget, book_verifying, ledger_verdict
from evofool.store import (
    CampaignFolder,
    Check,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)
from evofool.store.checking import check_folder, check_victim, seed_faults, victim_faults

MOST_BRED = 2000
"""Individuals that are bred again at most; of more, the families of `FAMILIES` elites."""
FAMILIES = 5
UNSEEN = {
    "sample": "no ancestor is bred again",
    "mate": "no ancestor is bred again",
    "mutate": "no ancestor is bred again",
    "select": "its choices are not compared",
    "fitness": "no fitness is computed again",
}
"""What a tool of a program leaves unchecked."""


def verify(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    engine: str | None = None,
) -> Iterator[Check]:
    """Check a run folder, each check as soon as it is done.

    Database, manifest and genomes; the tables against each other; individuals bred again; what the
    algorithm needs to go on; every derived file; the pictures against their genomes rendered anew,
    and the confidences by scoring the PNGs again.

    Args:
        path: the run folder.
        classifier: where the victim is now, if its file has moved.
        encoding: where the encoding is now, if its file has moved.
        engine: what scores the pictures; None is torch where the victim's module is at hand,
            whatever scored the run.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its victim or encoding cannot be had, or the engine cannot score it.
    """
    with CampaignFolder.open(Path(path)) as run:
        yield from check_folder(run)
        yield (config := check_of_config(run, classifier, encoding))
        if config.ok is False:  # what it names is not run, and nothing else is what it says
            return
        loaded = load_run(run, classifier, encoding=encoding)
        store = run.bookings if run.can_book else None
        charged = 0 if store is None else store.charge_probe(loaded.config.scoring.budget)
        chosen = partial(checking_engine, asked=engine)
        parts = make_parts(_here(loaded), lambda: False, run.manifest, chosen)
        with parts.scorer:
            book_verifying(parts.scorer, store, run.sent(), charged)
            check_sources(run, parts)
            yield check_victim(_manifest_faults(run, parts))
            tables = _read(run, parts)
            rows = tables.generations
            held = int(parts.archive.filled.sum())
            yield Check("genomes", True, f"{held} elites of {len(rows)} generations load")
            yield Check("ledger", *ledger_verdict(run.sent(), rows[-1].evaluations if rows else 0))
            history = _history(run, tables, parts)
            yield from _compared(tables, history, loaded.config, parts.classifier)
            tools = run.manifest.get("toolbox", {})
            yield check_state(tables.state, parts, history, tables.lineage, tools)
            yield check_status(tables.meta, run.summary() or {}, parts, rows)
            yield from _tools_check(run)
            if held == 0:
                return
            yield _ancestry(run, parts, tables.lineage)
            yield from _derived(run, parts, tables, loaded.config.scoring.engine)


def _here(loaded: Loaded[Campaign]) -> Loaded[Campaign]:
    """`loaded`, scored by what this machine has: in float32, elsewhere if its GPU is not here."""
    scoring = loaded.config.scoring
    changes = {"precision": "float32"}
    if not is_here(scoring.device):
        changes["device"] = "auto"
    scoring = scoring.model_copy(update=changes)
    return replace(loaded, config=loaded.config.model_copy(update={"scoring": scoring}))


def _manifest_faults(run: CampaignFolder, parts: Parts) -> list[str]:
    manifest, config = run.manifest, parts.config
    faults = victim_faults(manifest, parts.classifier) + seed_faults(manifest, config.seed)
    recorded = manifest["encoding"]
    if recorded.get("path") is None and recorded["name"] != config.encoding.name:
        faults.append(f"encoding {recorded['name'][:40]} is not the config's")
    return faults


@dataclass(frozen=True)
class _Tables:
    """All tables, of one moment: a campaign may be running."""

    meta: Mapping[str, str]
    generations: list[GenerationRow]
    wins: list[WinRow]
    elites: tuple[EliteRow, ...]
    lineage: Mapping[IndividualId, IndividualRow]
    keepers: set[IndividualId]
    state: Mapping[str, bytes]


def _read(run: CampaignFolder, parts: Parts) -> _Tables:
    with run.snapshot():
        return _Tables(
            run.meta(),
            restore(run, parts.archive, parts.encoding),
            run.wins(),
            run.elites(),
            {row.id: row for row in run.lineage()},
            run.keepers(),
            run.state(),
        )


def _history(run: CampaignFolder, tables: _Tables, parts: Parts) -> History:
    """The wins, with what can be said of them by other rows alone."""
    tools, kind = run.manifest.get("toolbox", {}), parts.config.evolution.fitness
    by_function = "fitness" in tools or is_file(kind)
    return History(
        tables.wins,
        parts.archive.cells,
        len(tables.generations),
        None if by_function else kind_of(kind),
        drawn="select" not in tools,
    )


def _tools_check(run: CampaignFolder) -> Iterator[Check]:
    """What nobody can look at again, since a program did it."""
    tools = run.manifest.get("toolbox", {})
    left = [what for name, what in UNSEEN.items() if name in tools]
    if tools:
        detail = f"of a program: {told(tools)}; {', '.join(dict.fromkeys(left))}"
        yield Check("toolbox", None, detail)


def _compared(
    tables: _Tables, history: History, config: Campaign, classifier: Classifier
) -> Iterator[Check]:
    """The rows of the database against each other; `config` is as the run had it."""
    rows, lineage = tables.generations, tables.lineage
    fault = progress_fault(rows, config, classifier)
    of_generations = [fault] if fault else history.statistic_faults(rows, lineage)
    won = sum(elite.won for elite in tables.elites)
    if rows and rows[-1].stats.get("cells_won", won) != won:
        of_generations.append(f"{won} elites are won, {rows[-1].stats['cells_won']} are counted")
    for name, faults, sound in (
        ("generations", of_generations, f"{len(rows)} follow from each other"),
        ("wins", history.win_faults(), "each is over the one before"),
        ("elites", history.elite_faults(tables.elites), "are the last winners"),
        (
            "lineage",
            history.lineage_faults(lineage, tables.keepers, tables.elites, config),
            f"{len(lineage)} individuals have the parents that were drawn",
        ),
    ):
        yield Check(name, not faults, "; ".join(faults[:3]) or sound)


def _ancestry(
    run: CampaignFolder, parts: Parts, lineage: Mapping[IndividualId, IndividualRow]
) -> Check:
    """Individuals bred again from (seed, generation, child) and their parents."""
    if foreign := not_bred_again(run.manifest):
        return Check("ancestry", None, f"{foreign}; no individual is bred again")
    replayable = set(lineage)
    if parts.config.evolution.algorithm == "cma_es":  # its points have no parents
        replayable = {id for id in lineage if id.generation == 0}
    family = Lineage(run, parts.encoding, parts.config.seed)
    try:
        if len(replayable) > MOST_BRED:
            filled = np.flatnonzero(parts.archive.filled)
            some = filled[np.linspace(0, len(filled) - 1, min(FAMILIES, len(filled))).astype(int)]
            holders = (parts.archive.holders[k] for k in some)
            ids = {holder.id for holder in holders if holder is not None}
            replayable = set(family.of(*(ids & replayable)))
        bred = sum(1 for _ in family.genomes(replayable))
    except StoreError as error:
        return Check("ancestry", False, str(error))
    return Check(
        "ancestry", True, f"{bred} of {len(lineage)} bred again, each equal to what is stored"
    )


def _derived(run: CampaignFolder, parts: Parts, tables: _Tables, engine: str) -> Iterator[Check]:
    """The files of a run that has ended."""
    recorded_digest = (run.summary() or {}).get("archive_digest")
    if tables.meta.get("status") != "finished":
        yield Check("pictures", None, "not made yet: the campaign has not ended (evofool resume)")
        return
    yield check_curve(run, tables.generations)
    render: Render = parts.evaluator.render
    recorded = recorded_in(run.manifest)[0]
    drawn = parts.drawing.name == recorded
    if not drawn:
        render = _stored_pictures(run, parts)
        detail = (
            f"the run was drawn by {recorded[:40]}, which is not available here: its PNGs are"
            " compared with the digest, the table and the victim, and no genome is drawn again"
        )
        yield Check("renderer", None, detail)
    try:
        table = read_table(run)
        digest = ArchiveDigest(parts.encoding)
        claims, pictures = Claims(run, table), _Pictures(run, parts, engine, table, tables.elites)
        withstood: list[int] = []
        transforms = transforms_held_back(parts)
        for part in elites(parts.archive, render, parts.classifier.labels):
            if transforms:
                withstood += successes(parts.scorer, part, transforms)
            for elite in part:
                digest.add(elite)
                claims.add(elite, pictures.look(elite))
            pictures.score()
    except (OSError, ImageError, StoreError) as error:  # ImageError: only of stored pictures
        yield Check("pictures", False, str(error))
        return
    now = digest.hexdigest()
    same = now == recorded_digest
    yield Check("archive digest", same, now[:16] if same else f"{now[:16]} is not the stored")
    yield from pictures.checks("their genomes render" if drawn else "the table says")
    yield from claims.checks()
    if transforms:
        other = Comparison(parts.scorer.engine, engine).other
        yield check_held_back(run.summary(), withstood, transforms, other=other)
    yield check_summary(run, tables.meta, parts, tables.generations, now)


class _Pictures:
    """PNGs against pixels, and what the victim says of them against every claim.

    Args:
        run: the run folder.
        parts: with the scorer that asks.
        engine: the run's own.
        table: what `read_table` gives.
        stored: the rows of the elites.
    """

    def __init__(
        self,
        run: CampaignFolder,
        parts: Parts,
        engine: str,
        table: Mapping[int, Mapping[str, Any]],
        stored: Sequence[EliteRow],
    ) -> None:
        self._run, self._parts, self._table = run, parts, table
        self._stored: dict[int, EliteRow] = {row.class_index: row for row in stored}
        self._waiting: list[tuple[Elite, UInt8Images]] = []
        self._engines = Comparison(parts.scorer.engine, engine)
        self._wrong: list[str] = []
        self._apart: list[str] = []
        self._mistaken: list[int] = []
        self._unfit: list[str] = []
        self._furthest = 0.0
        self._count = 0
        filled = int(parts.archive.filled.sum())
        self._unscored = beyond_budget(parts.scorer, filled)

    def look(self, elite: Elite) -> bytes | None:
        """The bytes of an elite's PNG, None if it cannot be read."""
        name = png_name(elite.class_index)
        try:
            data = read_file(self._run.path / name)
            pixels = decode_png(data)
        except (OSError, EvofoolError) as error:
            self._wrong.append(f"{name}: {error}")
            return None
        row = self._table.get(elite.class_index)
        if row is None:
            self._wrong.append(f"class {elite.class_index} is not in elites.csv")
        elif hashlib.sha256(data).hexdigest() != row["sha256"]:
            self._wrong.append(f"{name}: its sha256 is not the one in elites.csv")
        if pixels.shape != elite.pixels.shape or not np.array_equal(pixels, elite.pixels):
            self._wrong.append(f"{name}: does not hold what its genome renders")
        else:
            self._waiting.append((elite, pixels))
        return data

    def score(self) -> None:
        """Ask the victim about those that were looked at since the last call."""
        if not self._waiting:
            return
        self._count += len(self._waiting)
        if self._unscored is not None:
            self._waiting.clear()
            return
        pixels = np.stack([pixels for _, pixels in self._waiting])
        scores = self._parts.scorer.score(pixels, keep_unscored=True)
        for row, (elite, _) in enumerate(self._waiting):
            self._compare(elite, scores, row)
        if self._parts.fitness is not None:
            self._rank(self._parts.fitness(scores.log_odds, pixels))
        self._waiting.clear()

    def _compare(self, elite: Elite, scores: Scores, row: int) -> None:
        c = elite.class_index
        now = float(scores.confidence[row, c])
        stored = self._stored[c]
        claims = [stored.confidence, elite.confidence]  # by the row, and by its log-odds
        if c in self._table:
            claims.append(self._table[c]["confidence"])
        both = [np.isfinite(now) and np.isfinite(claim) for claim in claims]
        gaps = [abs(now - c) if ok else np.inf for c, ok in zip(claims, both, strict=True)]
        worst = int(np.argmax(gaps))
        self._furthest = max(self._furthest, gaps[worst])
        if gaps[worst] > self._engines.tolerance:
            self._apart.append(f"class {c}: {claims[worst]:.6g} is claimed, but {now:.6g} is found")
        odds = scores.log_odds[row]
        top = int(scores.labels[row])
        rival = c if top != c else int(np.argsort(odds)[-2])
        if (top == c) != stored.won and not self._engines.may_answer(odds, top, rival):
            self._mistaken.append(c)

    def _rank(self, fitness: Matrix) -> None:
        """Hold the stored fitness of those that wait to what a function of the user's says now."""
        for values, (elite, _) in zip(fitness, self._waiting, strict=True):
            now, stored = float(values[elite.class_index]), self._stored[elite.class_index].fitness
            if not same_fitness(stored, now):
                self._unfit.append(
                    f"class {elite.class_index}: {stored:.6g} is stored, but {now:.6g} is found"
                )

    def checks(self, what: str) -> Iterator[Check]:
        """Once all were scored."""
        wrong = self._wrong
        yield Check(
            "pictures", not wrong, "; ".join(wrong[:3]) or f"{self._count} hold what {what}"
        )
        if self._unscored is not None:
            yield Check("confidences", None, self._unscored)
            return
        told = self._engines.told(self._apart, self._furthest)
        yield Check("confidences", not self._apart, told)
        mistaken = self._mistaken
        detail = (
            f"classes {mistaken[:5]} are won or not, unlike stored" if mistaken else "as stored"
        )
        yield Check("won", not mistaken, detail)
        if self._parts.fitness is not None:
            unfit = "; ".join(self._unfit[:3])
            whose = f"of the elites as {self._parts.fitness.name} says (no other's is stored)"
            yield Check("fitness", not unfit, unfit or whose)


def _stored_pictures(run: CampaignFolder, parts: Parts) -> Render:
    """What replaces a renderer that is not here: the pictures of the run as they are stored."""
    names = {
        holder.id: png_name(int(c))
        for c, holder in zip(parts.archive.cells, parts.archive.holders, strict=True)
        if holder is not None
    }

    def picture(name: str) -> UInt8Images:
        pixels = decode_png(read_file(run.path / name))
        if pixels.shape != parts.classifier.input_shape:
            raise ImageError(f"{name}: has the shape {pixels.shape}")
        return pixels

    return lambda individuals: np.stack([picture(names[each.id]) for each in individuals])
