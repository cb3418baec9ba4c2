"""A run of attacks: clean images, attacks on them chunk by chunk, each one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evofool.attacks.outputs import picture_of, write_outputs
from evofool.attacks.planning import (
    Parts,
    Planned,
    check_rows,
    make_parts,
    open_images,
)
from evofool.attacks.restoring import (
    CHANGEABLE,
    check_budget,
    load_attack_run,
    read_attack_config,
    record_changes,
)
from evofool.attacks.result import AttackResult, name_of
from evofool.attacks.sources import Sample, Source, read_samples
from evofool.attacks.ssim import ssim
from evofool.config import AttackCampaign, Loaded, load_attacks, to_yaml
from evofool.errors import (
    BudgetError,
    FolderError,
    Interrupted,
    ScoringError,
    StoreError,
    UsageError,
)
from evofool.images import PROVENANCE, UInt8Images, decode_png, encode_png, pixels_sha256
from evofool.store import CLEAN, AttackFolder, ChunkRow, Counts, ImageRow, Result, ResultRow
from evofool.store.attack_schema import NONE
from evofool.store.code import code_of
from evofool.store.fixed import (
    check_labels_file,
    fixed_part,
    refuse_encoding,
    warn_unchecked,
)
from evofool.store.manifest import check_classifier, new_manifest

CLEAN_CHUNK = 64
"""Clean images that are scored and stored at a time."""


@dataclass(frozen=True)
class AttackProgress:
    """Where a run of attacks stands.

    Attributes:
        attack: what is running, None while the clean images are scored.
        done: images of that attack that are done; `images` is how many there are.
        fooled: how many of these fool.
        queries: images sent to the victim so far.
        seconds_left: an estimate, None while there is nothing to go by.
    """

    attack: Planned | None
    attacks: int
    done: int
    images: int
    fooled: int
    queries: int
    seconds: float
    share_done: float
    seconds_left: float | None


OnProgress = Callable[[AttackProgress], None]


def attack(
    source: Path | str | Mapping[str, Any] | AttackCampaign | Loaded[AttackCampaign],
    out: Path | str,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    command: str | None = None,
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
    pictures_when_stopped: bool = False,
) -> Result:
    """Run the attacks of a config into a new run folder.

    Args:
        source: a config file, the name of a shipped one, a mapping, or a config object.
        out: the run folder, which must not hold anything yet.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        command: the command line, for the manifest.
        progress: called now and then, from this thread.
        should_stop: asked before every request to the victim; once it is true the run ends as
            interrupted, everything up to the last chunk saved.
        pictures_when_stopped: make pictures and tables of that then and return, instead of raising
            `Interrupted`.

    Raises:
        ConfigError: the config is wrong, or does not fit its victim.
        StoreError: the folder cannot be used.
        ScoringError: the victim failed; what was done so far is saved.
    """
    if isinstance(source, Loaded) and (overrides or seed is not None):
        raise UsageError("a config that is loaded already takes no overrides and no other seed")
    loaded = source if isinstance(source, Loaded) else load_attacks(source, overrides, seed)
    AttackFolder.check_free(Path(out))
    hook = _Hook(should_stop)
    parts = make_parts(loaded, hook)
    with parts.scorer:
        images = open_images(loaded, parts.classifier)
        manifest = {
            **new_manifest("attack", parts.classifier, parts.config.seed, command),
            "config": fixed_part(parts.config, CHANGEABLE),
            "code": code_of(parts.config),
        }
        with AttackFolder.create(Path(out), manifest, to_yaml(parts.config)) as run:
            run.bookings.remember_probe(parts.classifier.probed)
            parts.scorer.ledger.attach(run.bookings)
            return _Loop(parts, run, progress, hook, images, pictures_when_stopped).run()


def resume_attacks(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Go on with a run of attacks from its folder, to the same end as if it had never stopped.

    Args:
        path: the run folder. Its images are needed only if it stopped before all were stored.
        classifier: where the victim is now, if its file has moved; its digest must be the same.
        encoding: not for this kind of run.
        overrides: of ``scoring.workers`` and ``scoring.budget`` only. With a larger budget, what a
            spent one had cut short is attacked anew, and nothing else.
        progress: as in `attack`.
        should_stop: as in `attack`.

    Raises:
        FolderError: no run of attacks, its config was edited, or another victim than it was made
            with.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: an override that would change the result.
    """
    refuse_encoding(encoding)
    hook = _Hook(should_stop)
    with AttackFolder.open(Path(path), writable=True) as run:
        before = read_attack_config(run)
        loaded = load_attack_run(run, classifier, overrides)
        warn_unchecked(run)
        check_budget(run, loaded.config.scoring.budget if overrides else None)
        charged = run.bookings.charge_probe(loaded.config.scoring.budget)
        parts = make_parts(loaded, hook)
        with parts.scorer:
            parts.scorer.ledger.attach(run.bookings, charged)
            check_classifier(run.path, run.manifest, parts.classifier)
            check_labels_file(run, loaded.config.classifier.labels, parts.classifier)
            images = None if run.meta().get("images") == "complete" else open_images(
                loaded, parts.classifier
            )  # fmt: skip
            loop = _Loop(parts, run, progress, hook, images)
            loop.restore(before.config.scoring.budget)
            record_changes(run, before.config, loaded.config, parts.classifier)
            return loop.run()


class _Hook:
    """What the scorer calls before every request."""

    def __init__(self, should_stop: Callable[[], bool] | None) -> None:
        self._should_stop = should_stop
        self.report: Callable[[], None] | None = None

    def __call__(self, images: int) -> None:
        if self._should_stop is not None and self._should_stop():
            raise Interrupted("stopped")
        if self.report is not None:
            self.report()


class _Loop:
    def __init__(
        self,
        parts: Parts,
        run: AttackFolder,
        progress: OnProgress | None,
        hook: _Hook,
        source: Source | None,
        pictures_when_stopped: bool = False,
    ) -> None:
        self.parts = parts
        self._pictures_when_stopped = pictures_when_stopped
        self.folder = run
        self._source = source
        self._progress = progress
        self._started = time.perf_counter()
        self._earlier = 0.0
        self._images: list[ImageRow] = []
        self._items: dict[int, list[tuple[int, int]]] = {}
        self._current: Planned | None = None
        self._done = self._fooled = self._all_done = self._new = 0
        self._total = 0
        hook.report = self._report

    def restore(self, budget: int | None) -> None:
        """Take up what is stored; `budget` is the one it ran under before."""
        counts, scorer = self.folder.counts(), self.parts.scorer
        scorer.again_from(counts.queries)
        scorer.forward_images = counts.forward_images
        scorer.backward_images = counts.backward_images
        self._earlier = counts.seconds
        if counts.batch:
            scorer.batch = min(counts.batch, scorer.batch)
        self._images = self.folder.images()
        check_rows(self.folder.path, self.parts.items(self._images), self.folder.results())
        raised = budget is not None and (scorer.budget is None or scorer.budget > budget)
        if raised and self.folder.meta().get("images") == "complete":
            for planned, number, part in self._chunks():
                stored = [row for row in self._stored(planned, part) if not row.complete]
                if stored:
                    self.folder.reopen(planned.index, number)

    def run(self) -> Result:
        folder, reason = self.folder, None
        folder.set_meta({"status": "running", "stop_reason": ""})
        try:
            self._clean()
            reason = self._attacks()
        except BudgetError:
            reason = "budget"
        except (Interrupted, ScoringError) as error:
            self._settle()
            if isinstance(error, Interrupted):
                folder.set_meta({"status": "interrupted"})
                if self._pictures_when_stopped:
                    return self._so_far()
            raise type(error)(
                f"{error}; what is done is saved; go on with: evofool resume {folder.path}"
            ) from error
        self._settle()
        sent = self.parts.scorer.ledger.shown()
        summary = write_outputs(
            folder, self.parts.attacks, self._todo(), reason, self._counts(), sent
        )
        folder.set_meta({"status": "finished", "stop_reason": reason or ""})
        return Result(folder.path, summary)

    def _so_far(self) -> Result:
        """The outputs of what is done, which a resume writes anew."""
        items = self.parts.items(self._images)
        counts = self._counts()
        content = write_outputs(
            self.folder,
            self.parts.attacks,
            items,
            None,
            counts,
            self.folder.sent(),
            status="interrupted",
        )
        return Result(self.folder.path, content)

    def _settle(self) -> None:
        """Book what was sent for results that are not stored under the retries."""
        self.parts.scorer.ledger.settle(self.folder.counts().queries)

    # the clean images

    def _clean(self) -> None:
        """Score and store the images that are not stored yet."""
        if self._source is None:
            return
        total = len(self._source)
        parts = [range(n, min(n + CLEAN_CHUNK, total)) for n in range(0, total, CLEAN_CHUNK)]
        stored = sum(chunk.attack == CLEAN for chunk in self.folder.chunks())
        self._check_unchanged(parts[:stored], stored)
        for number in range(stored, len(parts)):
            samples, faults = read_samples(self._source, parts[number])
            images = self._judged(len(self._images), samples) if samples else []
            notes = (*self._source.notes, *faults) if number == 0 else faults
            if unscored := sum(image.predicted == NONE for image in images):
                notes = (
                    *notes,
                    f"the victim gave non-finite scores for {unscored} of the clean images from"
                    f" {len(self._images)} on; they are left out",
                )
            pngs = [encode_png(sample.pixels) for sample in samples]
            self.folder.commit_images(
                ChunkRow(CLEAN, number, notes=notes), self._counts(), zip(images, pngs, strict=True)
            )
            self._images += images
            self._report()
        if not self._images:
            told = [n for row in self.folder.chunks() if row.attack == CLEAN for n in row.notes]
            raise self.parts.loaded.error_at("images", f"no picture can be used: {told[-1]}")
        labels = "given" if self._source.labelled else "victim"
        self.folder.set_meta({"images": "complete", "labels": labels})

    def _check_unchanged(self, done: Sequence[range], stored: int) -> None:
        """Refuse to go on with other images than were stored: the last chunk is read again."""
        assert self._source is not None
        samples = read_samples(self._source, done[-1])[0] if done else []
        now = [sample.source for sample in samples]
        before = [image.source for image in self._images]
        if len(done) < stored or now != before[len(before) - len(now) :]:
            raise FolderError(
                f"{self.folder.path}: its images have changed since it began; begin a new run"
            )

    def _judged(self, start: int, samples: Sequence[Sample]) -> list[ImageRow]:
        scorer, victim = self.parts.scorer, self.parts.classifier
        pixels = np.stack([sample.pixels for sample in samples])
        n = len(samples)
        confidence: list[float | None] = [None] * n
        least = [NONE] * n
        if victim.output == "label":
            predicted = scorer.labels(pixels).tolist()
        else:
            scores = scorer.score(pixels, keep_unscored=True)
            predicted = scores.labels.tolist()
            confidence = [
                None if c == NONE else float(scores.confidence[i, c])
                for i, c in enumerate(predicted)
            ]
            odds = scores.log_odds.copy()
            if victim.reject is not None:
                odds[:, victim.reject] = np.inf  # no answer is no class to aim at
            least = np.where(scores.scored, odds.argmin(axis=1), NONE).tolist()
        rows = []
        for i, sample in enumerate(samples):
            label = predicted[i] if sample.label == NONE else sample.label
            used = label == predicted[i] or not self.parts.config.only_correct
            used = used and predicted[i] != NONE  # there is no answer to lead away from
            rows.append(
                ImageRow(
                    start + i, sample.source, label, predicted[i], confidence[i], least[i], used
                )
            )
        return rows

    # the attacks

    def _todo(self) -> dict[int, list[tuple[int, int]]]:
        """(image, target) by number of the attack."""
        if not self._items:
            self._items = self.parts.items(self._images)
        return self._items

    def _chunks(self) -> Iterator[tuple[Planned, int, slice]]:
        assert self.parts.config.chunk is not None
        for planned in self.parts.attacks:
            items = self._todo()[planned.index]
            size = len(items) if planned.attack.whole else self.parts.config.chunk
            for number, start in enumerate(range(0, len(items), max(size, 1))):
                yield planned, number, slice(start, min(start + size, len(items)))

    def _stored(self, planned: Planned, part: slice) -> list[ResultRow]:
        return self.folder.results(planned.index, range(part.start, part.stop))

    def _attacks(self) -> str | None:
        """All attacks; returns why they stopped early, if they did."""
        done = {(row.attack, row.chunk) for row in self.folder.chunks()}
        self._total = sum(map(len, self._todo().values()))
        for planned, number, part in self._chunks():
            if planned is not self._current:
                self._current, self._done, self._fooled = planned, 0, 0
            if (planned.index, number) in done:
                rows = self._stored(planned, part)
            else:
                rows = self._attack(planned, number, part)
                self._new += len(rows)
            self._done += len(rows)
            self._all_done += len(rows)
            self._fooled += sum(row.success for row in rows)
            self._report()
            if not all(row.complete for row in rows):
                return "budget"
        return None

    def _attack(self, planned: Planned, number: int, part: slice) -> list[ResultRow]:
        """Attack what is not complete of a chunk; returns all of it as it is stored then."""
        numbers = list(range(part.start, part.stop))
        if not planned.attack.whole:  # which prepares with all its images
            done = {row.item for row in self._stored(planned, part) if row.complete}
            numbers = [item for item in numbers if item not in done]
        items = [self._todo()[planned.index][item] for item in numbers]
        indices = [image for image, _ in items]
        clean = self._pixels(indices)
        labels = np.array([self._images[i].label for i in indices], np.int64)
        targets = np.array([target for _, target in items], np.int64)
        result = planned.attack(
            self.parts.scorer,
            clean,
            labels,
            targets=None if planned.targets == "none" else targets,
            ids=np.array(indices, np.int64),
        )
        rows = _rows(planned, numbers, indices, result)
        pngs = [
            encode_png(pixels, self._provenance(planned, row, pixels))
            for pixels, row in zip(result.pixels, rows, strict=True)
        ]
        for png, pixels in zip(pngs, result.pixels, strict=True):
            if not np.array_equal(decode_png(png), pixels):
                raise StoreError("a picture does not read back as it was scored")
        self.folder.commit_results(
            ChunkRow(planned.index, number, result.forward_shared, tuple(result.notes)),
            self._counts(),
            zip(rows, pngs, strict=True),
        )
        return self._stored(planned, part)

    def _pixels(self, indices: Sequence[int]) -> UInt8Images:
        unique = sorted(set(indices))
        pngs = self.folder.clean_pngs(unique)
        pictures = {
            index: picture_of(self.folder, png) for index, png in zip(unique, pngs, strict=True)
        }
        return np.stack([pictures[index] for index in indices])

    def _provenance(self, planned: Planned, row: ResultRow, pixels: UInt8Images) -> dict[str, str]:
        manifest = self.folder.manifest
        image = self._images[row.image]
        claim = {
            "kind": "attack",
            "class_index": row.predicted,
            "label": name_of(self.parts.classifier.labels, row.predicted),
            "confidence": row.confidence,
            "attack": planned.name,
            "parameters": planned.parameters,
            "image": row.image,
            "picture": image.source,
            "source_class": image.label,
            "target_class": None if row.target == NONE else row.target,
            "success": row.success,
            "classifier": manifest["classifier"]["name"],
            "classifier_digest": manifest["classifier"]["digest"],
            "run_id": manifest["run_id"],
            "seed": manifest["seed"],
            "pixels_sha256": pixels_sha256(pixels),
        }
        return {"Software": "evofool", PROVENANCE: json.dumps(claim)}

    # where it stands

    @property
    def _seconds(self) -> float:
        return self._earlier + time.perf_counter() - self._started

    def _counts(self) -> Counts:
        s = self.parts.scorer
        return Counts(
            s.queries, s.forward_images, s.backward_images, s.batch, round(self._seconds, 3)
        )

    def _report(self) -> None:
        if self._progress is None:
            return
        current = self._current
        images = len(self._todo()[current.index]) if current is not None else len(self._images)
        share = self._all_done / self._total if self._total else 0.0
        here = time.perf_counter() - self._started
        left = None
        if self._new:
            left = here / self._new * (self._total - self._all_done)
        self._progress(
            AttackProgress(
                attack=current,
                attacks=len(self.parts.attacks),
                done=self._done if current is not None else len(self._images),
                images=images,
                fooled=self._fooled,
                queries=self.parts.scorer.queries,
                seconds=self._seconds,
                share_done=share,
                seconds_left=left,
            )
        )


def _rows(
    planned: Planned, items: Sequence[int], indices: Sequence[int], result: AttackResult
) -> list[ResultRow]:
    sizes = result.norms
    similar = ssim(result.clean, result.pixels)
    seconds = result.seconds / max(1, len(result))
    return [
        ResultRow(
            attack=planned.index,
            item=items[i],
            image=image,
            target=int(result.targets[i]),
            predicted=int(result.predicted[i]),
            predicted_float=int(result.predicted_float[i]),
            confidence=_known(result.confidence[i]),
            sought_confidence=_known(result.sought_confidence[i]),
            success=bool(result.success[i]),
            success_float=bool(result.success_float[i]),
            complete=bool(result.complete[i]),
            eps=result.eps,
            effective_eps=result.effective_eps,
            l0=int(sizes.l0[i]),
            l2=float(sizes.l2[i]),
            linf=float(sizes.linf[i]),
            ssim=float(similar[i]),
            forward_images=int(result.forward_each[i]),
            backward_images=int(result.backward_each[i]),
            verify_forward_images=int(result.verify_each[i]),
            seconds=seconds,
        )
        for i, image in enumerate(indices)
    ]


def _known(confidence: float) -> float | None:
    return None if np.isnan(confidence) else float(confidence)
