"""A campaign: generations, stop rules, statistics, transactions; from a config or a run folder."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from deap import base, tools

from evofool.config import Campaign, Loaded, load_campaign, to_yaml
from evofool.encodings import Encoding
from evofool.errors import (
    BudgetError,
    ClusterLostError,
    Interrupted,
    ScoringError,
    StoreError,
    UsageError,
)
from evofool.evolution.archive import Win
from evofool.evolution.curve import write_curve
from evofool.evolution.deap_toolbox import check_toolbox, replaced_in
from evofool.evolution.held_back import write_held_back
from evofool.evolution.history import progress_fault
from evofool.evolution.individual import Individual
from evofool.evolution.outputs import THRESHOLDS, summary, write_pictures
from evofool.evolution.restoring import (
    check_device,
    check_limits,
    check_means,
    check_sources,
    load_run,
    record_changes,
    restore,
)
from evofool.evolution.setup import Parts, make_manifest, make_parts, planned_evaluations
from evofool.evolution.spreading import joined, spread
from evofool.evolution.unscored import Unscored
from evofool.scoring import sigmoid
from evofool.store import (
    CampaignFolder,
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    Result,
    WinRow,
)
from evofool.store.fixed import warn_unchecked

COMMIT_SHARE = 0.05
"""Largest share of the time that transactions may take: after a costly one the next waits longer.
What is not stored when a process is killed is computed again, to the same end."""
COMMIT_SECONDS = 10.0
"""Longest wait for the next transaction all the same."""
SUMMARY_SECONDS = 10.0
"""Least time between rewrites of ``summary.json`` while the campaign runs."""

_ELSEWHERE = " scoring.ray=null (without Ray), or --ray ADDRESS (on another cluster)"


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands, after each generation."""

    generation: int
    evaluations: int
    cells: int
    cells_won: int
    median: float
    best: float
    images_per_second: float
    seconds: float
    share_done: float | None
    seconds_left: float | None


OnProgress = Callable[[Progress], None]


def evolve(
    source: Path | str | Mapping[str, Any] | Campaign | Loaded[Campaign],
    out: Path | str,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    command: str | None = None,
    toolbox: base.Toolbox | None = None,
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
    pictures_when_stopped: bool = False,
) -> Result:
    """Run a campaign into a new run folder.

    Args:
        source: a config file, the name of a shipped one, a mapping, or a config object.
        out: the run folder, which must not hold anything yet.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        command: the command line, for the manifest.
        toolbox: of `evofool.evolution.toolbox`, with tools of a program.
        progress: called after each generation.
        should_stop: asked between micro-batches; once it is true the campaign ends as interrupted,
            everything up to the last generation saved.
        pictures_when_stopped: make the pictures then and return, instead of raising `Interrupted`.

    Raises:
        ConfigError: the config is wrong, or does not fit its victim.
        StoreError: the folder cannot be used.
        UsageError: the toolbox does not fit the config.
        ScoringError: the victim failed, or a tool; what was done so far is saved.
    """
    if isinstance(source, Loaded) and (overrides or seed is not None):
        raise UsageError("a config that is already loaded takes no overrides and no other seed")
    loaded = source if isinstance(source, Loaded) else load_campaign(source, overrides, seed)
    CampaignFolder.check_free(Path(out))
    stop = should_stop or (lambda: False)
    parts = make_parts(loaded, stop, toolbox=toolbox)
    with parts.scorer, joined(parts):
        manifest = make_manifest(parts, command)
        with CampaignFolder.create(Path(out), manifest, to_yaml(parts.config)) as run:
            run.bookings.remember_probe(parts.classifier.probed)
            parts.scorer.ledger.attach(run.bookings)
            parts.scorer.keep_answers(run.bookings.answers)
            with spread(parts, stop):
                return _Loop(parts, run, progress, stop, pictures_when_stopped).run()


def resume(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    toolbox: base.Toolbox | None = None,
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Go on with a campaign from its run folder alone, to the same end as if it never stopped.

    Args:
        path: the run folder.
        classifier: where the victim is now, if its file has moved; its digest must be the same.
        encoding: where the encoding is now, if its file has moved; it must hold the same.
        overrides: of ``stop``, ``scoring.workers``, ``scoring.budget`` and ``scoring.ray`` only:
            what changes no individual.
        toolbox: the one that the run was begun with, if it was with tools of a program.
        progress: as in `evolve`.
        should_stop: as in `evolve`.

    Raises:
        FolderError: no run folder, its config was edited, another victim or encoding than it was
            made with, other tools, or what drew its pictures is not here.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: an override that would change the result, or end the run before
            what is done.
    """
    stop = should_stop or (lambda: False)
    with CampaignFolder.open(Path(path), writable=True) as run:
        loaded = load_run(run, classifier, overrides, encoding=encoding)
        warn_unchecked(run)
        check_limits(run, loaded)
        check_device(run, loaded)
        check_toolbox(run, replaced_in(toolbox, loaded.config.evolution))
        charged = run.bookings.charge_probe(loaded.config.scoring.budget)
        parts = make_parts(loaded, stop, run.manifest, toolbox=toolbox)
        with parts.scorer:
            parts.scorer.ledger.attach(run.bookings, charged)
            parts.scorer.keep_answers(run.bookings.answers)
            check_sources(run, parts)
            check_means(run, parts)
            with spread(parts, stop):
                loop = _Loop(parts, run, progress, stop)
                loop.restore()
                record_changes(run, loaded, parts)
                return loop.run()


class _Loop:
    def __init__(
        self,
        parts: Parts,
        run: CampaignFolder,
        progress: OnProgress | None,
        should_stop: Callable[[], bool],
        pictures_when_stopped: bool = False,
    ) -> None:
        self.parts = parts
        self._pictures_when_stopped = pictures_when_stopped
        self.run_folder = run
        self._progress = progress
        self._should_stop = should_stop
        self.generation = -1
        self._stats = tools.Statistics()
        self._stats.register("median", np.median)
        self._stats.register("min", np.min)
        self._stats.register("max", np.max)
        for threshold in THRESHOLDS:
            self._stats.register(f"share_{threshold:g}", _share_at, threshold=threshold)
        self._delta = Delta()
        self._unstored: dict[IndividualId, IndividualRow] = {}
        self._writer = ThreadPoolExecutor(1, "writer")
        self._writing: Future[float] | None = None
        self._started = time.perf_counter()
        self._earlier = 0.0
        self._committed = self._summarised = self._commit_cost = 0.0
        self._stagnant = 0
        self._unscored = Unscored(parts.classifier.name)
        self._batch = parts.scorer.batch
        self._sound = True
        """Whether what is booked fits the archive; else nothing more may be stored."""

    @property
    def seconds(self) -> float:
        return self._earlier + time.perf_counter() - self._started

    def restore(self) -> None:
        """Take up the last stored generation."""
        rows = restore(self.run_folder, self.parts.archive, self.parts.encoding)
        if not rows:
            self.parts.scorer.again_from(0)
            return
        parts, last = self.parts, rows[-1]
        fault = progress_fault(rows, parts.config, parts.classifier)
        if fault:
            raise StoreError(f"{self.run_folder.path}: cannot be resumed: {fault}")
        parts.algorithm.restore(self.run_folder.state())
        self.generation = last.generation
        self._earlier = last.seconds
        parts.evaluator.evaluations = last.evaluations
        parts.evaluator.forward_images = parts.scorer.forward_images = last.forward_images
        parts.scorer.again_from(last.evaluations)
        parts.scorer.batch = self._batch = last.batch
        parts.evaluator.unscored = self._unscored.restore(rows)
        for row in rows:
            self._stagnant = 0 if row.stats.get("improved", 0) else self._stagnant + 1

    def run(self) -> Result:
        """All of it; nothing that was begun is left behind."""
        try:
            return self._run()
        finally:
            self.parts.evaluator.close()
            self._writer.shutdown(wait=True)
            with contextlib.suppress(StoreError):  # then too much is booked, never too little
                self._settle()

    def _run(self) -> Result:
        """Generations until a stop rule says so, then the pictures."""
        reason: str | None = None
        self.run_folder.commit(Delta(meta={"status": "running", "stop_reason": ""}))
        if self.generation >= 0:  # that of an earlier end is no longer true
            self.run_folder.write_json("summary.json", self._summary("running", None, None))
        try:
            if self.generation < 0:
                self._check_initial()
                self.parts.algorithm.start()
                self._record([])
            while (reason := self._stop_reason()) is None:
                if self._should_stop():
                    raise Interrupted("stopped")
                following = self.parts.algorithm.step(
                    self.generation + 1, last=self._limit(2) is not None
                )
                self._record(following)
        except (Interrupted, ScoringError) as error:
            self._save()
            self.parts.evaluator.close()
            self._settle()
            if isinstance(error, BudgetError) and self.generation >= 0 and self._sound:
                # requests that failed have used up what the last generation needed
                return self._finish("finished", "budget")
            if isinstance(error, Interrupted):
                if self._pictures_when_stopped and self._sound:
                    return self._finish("interrupted", None)
                self._say_interrupted()
            lost = isinstance(error, ClusterLostError)
            raise type(error)(f"{error}; {self._way_on()}{_ELSEWHERE if lost else ''}") from error
        return self._finish("finished", reason)

    def _save(self) -> None:
        """Store what is booked before an error ends the campaign.

        A population's scores fail before it reaches the archive, so what is booked is whole. Only
        an encoding that cannot write its genomes down fails later: then the last transaction, a
        whole generation too, is what there is to go on from.
        """
        try:
            if self._sound:
                self._commit(wait=True)
        except ScoringError:
            self._sound = False
        if not self._sound:
            if self._writing is not None:
                wait([self._writing])
            last = self.run_folder.last_generation()
            self.generation = -1 if last is None else last.generation

    def _limit(self, more: int) -> str | None:
        """The counted limit that `more` generations would exceed: such a one is not begun."""
        stop = self.parts.config.stop
        after = self.parts.evaluator.evaluations + more * self.parts.config.evolution.children
        if stop.generations is not None and self.generation + more > stop.generations:
            return "generations"
        if stop.evaluations is not None and after > stop.evaluations:
            return "evaluations"
        scorer = self.parts.scorer
        if scorer.budget is not None and after + scorer.ledger.beside > scorer.budget:
            return "budget"
        return None

    def _check_initial(self) -> None:
        """Refuse to send a part of the initial population that the budget does not cover whole."""
        scorer, initial = self.parts.scorer, self.parts.config.evolution.initial
        if scorer.budget is not None and scorer.left is not None and scorer.left < initial:
            raise BudgetError.of(scorer.budget, scorer.budget - scorer.left, initial)

    def _settle(self) -> None:
        """Book what was sent for generations that are not stored under the retries."""
        last = self.run_folder.last_generation()
        self.parts.scorer.ledger.settle(0 if last is None else last.evaluations)

    def _say_interrupted(self) -> None:
        """No pictures: somebody waits for the prompt, and they can be made at any time."""
        run = self.run_folder
        write_curve(run)
        run.write_json("summary.json", self._summary("interrupted", None, None))
        run.seal({"status": "interrupted", "stop_reason": ""})

    def _way_on(self) -> str:
        path = self.run_folder.path
        if self.generation < 0:
            return f"nothing was stored yet; evofool resume {path} starts again"
        return f"generation {self.generation} is saved; continue with: evofool resume {path}"

    def _stop_reason(self) -> str | None:
        stop = self.parts.config.stop
        if (limit := self._limit(1)) is not None:
            return limit
        if stop.seconds is not None and self.seconds >= stop.seconds:
            return "seconds"
        lowest = float(self.parts.archive.confidence.min())
        if stop.confidence is not None and lowest >= stop.confidence:
            return "confidence"
        if stop.stagnation is not None and self._stagnant >= stop.stagnation:
            return "stagnation"
        return None

    def _record(self, following: Sequence[Individual]) -> None:
        """Book the generation that has just been evaluated, and store it when that is due."""
        self._sound = False
        self.generation += 1
        parts, wins = self.parts, self.parts.evaluator.take()
        stats: dict[str, Any] = {
            name: float(value)
            for name, value in self._stats.compile(parts.archive.confidence.tolist()).items()
        }
        stats["cells_won"] = int(parts.archive.won.sum())
        stats["improved"] = len(wins)
        stats["switched"] = sum(win.switched for win in wins)
        stats.update(self._unscored.since(parts.evaluator.unscored, self.generation))
        evaluations = parts.evaluator.evaluations
        self._stagnant = 0 if wins else self._stagnant + 1
        self._delta.generations.append(
            GenerationRow(
                self.generation,
                evaluations,
                parts.evaluator.forward_images,
                parts.scorer.batch,
                self.seconds,
                stats,
            )
        )
        self._book(wins, following)
        now = time.perf_counter()
        if parts.scorer.batch != self._batch:  # halved: a resumed run must know it at once
            self._batch = parts.scorer.batch
            self._commit(wait=True)
        elif now - self._committed >= min(self._commit_cost / COMMIT_SHARE, COMMIT_SECONDS):
            self._commit(wait=False)
        self._sound = True
        if self._progress is not None:
            self._progress(self._where(stats))

    def _book(self, wins: Sequence[Win], following: Sequence[Individual]) -> None:
        dump = self.parts.encoding.dump
        for individual in [*(win.individual for win in wins), *following]:
            if individual.id not in self._unstored:
                # of the genome only the digest: who is replaced before the next transaction
                # must not stay in memory until then
                digest = hashlib.sha256(dump(individual.genome)).digest()
                self._unstored[individual.id] = IndividualRow(
                    individual.id, individual.parents, individual.parent_cells, digest, None
                )
        odds = np.array([win.log_odds for win in wins])
        for win, confidence in zip(wins, sigmoid(odds).tolist(), strict=True):
            replaced = None if win.replaced is None else win.replaced.id
            self._delta.wins.append(
                WinRow(win.individual.id, win.class_index, win.log_odds, confidence, replaced)
            )

    def _commit(self, *, wait: bool) -> None:
        """One transaction: lineage, the present elites and what the algorithm needs to go on.

        It is written while the campaign goes on. If the last one is still being written, this one
        is put off, unless it is to be waited for.
        """
        if self._writing is not None and (wait or self._writing.done()):
            self._commit_cost = self._writing.result()
            self._writing = None
        if self._writing is not None or not self._delta.generations:
            return
        delta, parts = self._delta, self.parts
        archive = parts.archive
        confidence = archive.confidence
        held: dict[IndividualId, Any] = {}
        for class_index in {win.class_index for win in delta.wins}:
            k = archive.position(class_index)
            holder = archive.holders[k]
            assert holder is not None
            held[holder.id] = holder.genome
            delta.elites[class_index] = EliteRow(
                class_index,
                holder.id,
                float(archive.fitness[k]),
                float(archive.log_odds[k]),
                float(confidence[k]),
                bool(archive.won[k]),
            )
        delta.individuals = _with_genomes(self._unstored, held, parts.encoding)
        delta.state = parts.algorithm.state()
        self._delta, self._unstored = Delta(), {}
        self._committed = time.perf_counter()
        self._writing = self._writer.submit(self._write, delta)
        if wait:
            self._commit(wait=True)
        elif self._committed - self._summarised >= SUMMARY_SECONDS:
            self._summarised = self._committed
            self.run_folder.write_json("summary.json", self._summary("running", None, None))

    def _write(self, delta: Delta) -> float:
        """In the writer's thread; returns the seconds it took."""
        began = time.perf_counter()
        self.run_folder.commit(delta)
        return time.perf_counter() - began

    def _finish(self, status: str, reason: str | None) -> Result:
        parts, run = self.parts, self.run_folder
        seconds = self.seconds
        self._commit(wait=True)
        self.parts.evaluator.close()  # a lagging algorithm may have begun what is not wanted now
        self._settle()
        digest = held_back = None
        if self.generation >= 0:
            digest = write_pictures(
                run,
                parts.archive,
                parts.evaluator.render,
                parts.encoding,
                parts.classifier.labels,
                parts.scorer.workers,
            )
            write_curve(run)
            held_back = write_held_back(run, parts, parts.evaluator.render)
        self._earlier, self._started = seconds, time.perf_counter()
        content = self._summary(status, reason, digest, held_back)
        run.write_json("summary.json", content)
        run.seal({"status": status, "stop_reason": reason or ""})
        return Result(run.path, content)

    def _summary(
        self,
        status: str,
        reason: str | None,
        digest: str | None,
        held_back: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        parts = self.parts
        return summary(
            self.run_folder.manifest,
            parts.archive,
            status=status,
            stop_reason=reason,
            algorithm=parts.config.evolution.algorithm,
            evaluations=parts.evaluator.evaluations,
            generations=max(0, self.generation),
            seconds=self.seconds,
            forward_images=parts.evaluator.forward_images,
            sent=parts.scorer.ledger.shown(),
            unscored=parts.evaluator.unscored,
            digest=digest,
            held_back=held_back,
        )

    def _where(self, stats: Mapping[str, Any]) -> Progress:
        evaluations, seconds = self.parts.evaluator.evaluations, self.seconds
        rate = (evaluations / seconds) if seconds > 0 else 0.0
        shares = []
        total = planned_evaluations(self.parts.config)
        if total:
            shares.append(evaluations / total)
        limit = self.parts.config.stop.seconds
        if limit is not None:
            shares.append(seconds / limit)
        share = min(1.0, max(shares)) if shares else None
        left = seconds * (1 - share) / share if share else None
        return Progress(
            generation=self.generation,
            evaluations=evaluations,
            cells=len(self.parts.archive),
            cells_won=stats["cells_won"],
            median=stats["median"],
            best=stats["max"],
            images_per_second=rate,
            seconds=seconds,
            share_done=share,
            seconds_left=left,
        )


def _with_genomes(
    rows: Mapping[IndividualId, IndividualRow],
    held: Mapping[IndividualId, Any],
    encoding: Encoding[Any],
) -> Iterator[IndividualRow]:
    """`rows`, with the dumps of those that hold a cell, one at a time."""
    for id, row in rows.items():
        yield replace(row, genome=encoding.dump(held[id])) if id in held else row


def _share_at(confidences: Sequence[float], threshold: float) -> float:
    return float(np.mean(np.asarray(confidences) >= threshold))
