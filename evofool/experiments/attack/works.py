"""The works of a run of attacks: the clean images as the victim judges them, and each attack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from evofool.attacks import Attack, AttackResult
from evofool.attacks.result import NONE, name_of
from evofool.attacks.runs.planning import Planned, check_rows, items_of
from evofool.attacks.runs.rows import (
    ChunkRow,
    ImageRow,
    ResultRow,
    pixels_of,
    read_chunks,
    read_images,
    read_results,
)
from evofool.attacks.runs.ssim import ssim
from evofool.classifiers import Classifier
from evofool.classifiers.tasks import CLAIMED
from evofool.errors import BudgetError, ConfigError, StoreError
from evofool.experiments.attack.sources import Sample, Source, read_samples
from evofool.experiments.engine import Chunk, Context, Output, Row, Work, outside
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import GivenNet
from evofool.images import PROVENANCE, UInt8Images, decode_png, encode_png, pixels_sha256
from evofool.scoring import Scorer

CLEAN_CHUNK = 64
"""Clean images that are scored and stored at a time."""


@dataclass(frozen=True)
class SourceImages:
    """Images from outside, by what they hold.

    Attributes:
        digest: hex sha256 of the contents of all, in order.
        count: how many.
        labelled: whether they have classes of their own.
        source: reads them; None where all of them are stored already.
        place: in the config, which messages begin with.
    """

    digest: str
    count: int
    labelled: bool
    source: Source | None = outside(default=None)
    place: str = outside(default="")

    @classmethod
    def of(cls, source: Source, place: str) -> SourceImages:
        """Images that can be read now, and are read to know what they hold."""
        return cls(source.digest(), len(source), source.labelled, source, place)


@work
class JudgedImages(Work):
    """Clean images, and what the victim answers to them.

    Attributes:
        net: the victim.
        how: keys of the config beside the victim's name that decide its answers.
        prepared: size and resampling of its input.
        images: from outside.
        only_correct: whether images that it gets wrong are left out of attacks.
        scoring: how they are scored.
    """

    kind: ClassVar[str] = "judged-images"
    rows: ClassVar[tuple[type[Row], ...]] = (ImageRow, ChunkRow)
    continues: ClassVar[bool] = True

    net: GivenNet
    how: Mapping[str, Any]
    prepared: str
    source: SourceImages
    only_correct: bool
    scoring: Scoring

    @property
    def images(self) -> int:
        """One each."""
        return self.source.count

    def run(self, context: Context) -> Iterator[Output]:
        reader = self.source.source
        assert reader is not None  # as long as they are not all stored
        run = context.results.folder
        total = len(reader)
        parts = [range(n, min(n + CLEAN_CHUNK, total)) for n in range(0, total, CLEAN_CHUNK)]
        stored, images = read_chunks(run, self.address), read_images(run, self.address)
        notes = [note for chunk in stored for note in chunk.notes]
        reached = len(images)
        with context.scorer(self.net.load(context), self.scoring) as scorer:
            for number in range(len(stored), len(parts)):
                context.tell(reached, total)
                samples, faults = read_samples(reader, parts[number])
                rows = self._judged(scorer, reached, samples) if samples else []
                told = [*(reader.notes if number == 0 else ()), *faults]
                if unscored := sum(row.predicted == NONE for row in rows):
                    told.append(
                        f"the victim gave non-finite scores for {unscored} of the clean images from"
                        f" {reached} on; they are left out"
                    )
                yield Chunk([*rows, ChunkRow(number, notes=tuple(told))])
                notes += told
                reached += len(rows)
        context.tell(reached, total)
        if not reached:
            raise ConfigError(f"{self.source.place}no picture can be used: {notes[-1]}")

    def _judged(self, scorer: Scorer, start: int, samples: Sequence[Sample]) -> list[ImageRow]:
        victim = scorer.classifier
        pixels = np.stack([sample.pixels for sample in samples])
        n = len(samples)
        confidence: list[float | None] = [None] * n
        least = [NONE] * n
        claimed: list[tuple[int, ...] | None] = [None] * n
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
            if victim.multi_label:
                told = scores.confidence > CLAIMED
                claimed = [tuple(np.flatnonzero(row).tolist()) for row in told]
        rows = []
        for i, sample in enumerate(samples):
            label = predicted[i] if sample.label == NONE else sample.label
            all_claimed = claimed[i]
            right = label == predicted[i] if all_claimed is None else label in all_claimed
            used = right or not self.only_correct
            used = used and predicted[i] != NONE  # there is no answer to lead away from
            rows.append(
                ImageRow(
                    start + i, sample.source, int(label), predicted[i], confidence[i], least[i],
                    bool(used), claimed[i], png=encode_png(sample.pixels),
                )
            )  # fmt: skip
        return rows


@work
class AttackOnImages(Work):
    """One attack of a run on all images that it is for, chunk by chunk.

    Attributes:
        judged: the images.
        attack: its name and parameters, as JSON values.
        code: hex sha256 of the attack's own code, where it is from outside.
        targets: one of `evofool.config.attack.AIMS`, or a class.
        target_seed: of random targets.
        chunk: images that the attack gets at a time; float sums depend on it.
        scoring: how images are scored.
        planned: the attack.
        expected: about how many images it sends through the net.
    """

    kind: ClassVar[str] = "attack-on-images"
    rows: ClassVar[tuple[type[Row], ...]] = (ResultRow, ChunkRow)
    continues: ClassVar[bool] = True

    judged: JudgedImages
    attack: Mapping[str, Any]
    code: str
    targets: int | str
    target_seed: int | None
    chunk: int
    scoring: Scoring
    planned: Planned = outside()
    expected: int = outside(default=0)

    @property
    def images(self) -> int:
        """A guess."""
        return self.expected

    def items(self, images: Sequence[ImageRow], victim: Classifier) -> list[tuple[int, int]]:
        """(image, target) of all that it is to do."""
        return items_of(
            self.planned.attack, self.targets, images, victim.n_classes, self.target_seed,
            victim.reject,
        )  # fmt: skip

    def run(self, context: Context) -> Iterator[Output]:
        run = context.results.folder
        victim = self.judged.net.load(context)
        images = read_images(run, self.judged.address)
        items = self.items(images, victim)
        stored = {row.item: row for row in read_results(run, self.address)}
        check_rows(run.path, context.planned.title, items, list(stored.values()))
        chunks = {chunk.item: chunk for chunk in read_chunks(run, self.address)}
        size = max(1, len(items) if self.planned.attack.whole else self.chunk)
        with context.scorer(victim, self.scoring) as scorer:
            for number, start in enumerate(range(0, len(items), size)):
                part = range(start, min(start + size, len(items)))
                self._tell(context, stored, start, len(items))
                if not _is_through(stored, part):
                    before = chunks.get(number)
                    _check_larger(context, before)
                    made = self._attack(
                        context, scorer, images, items, stored, number, part, before
                    )
                    stored |= {row.item: row for row in made if isinstance(row, ResultRow)}
                    yield Chunk(made)
                    stored |= {item: replace(stored[item], png=None) for item in part}
                self._tell(context, stored, part.stop, len(items))
                if not _is_through(stored, part):
                    raise _spent(context)

    def _attack(
        self,
        context: Context,
        scorer: Scorer,
        images: Sequence[ImageRow],
        items: Sequence[tuple[int, int]],
        stored: Mapping[int, ResultRow],
        number: int,
        part: range,
        chunk: ChunkRow | None,
    ) -> list[Row]:
        """Attack what is not complete of a chunk; what is to be stored of that."""
        attack = self.planned.attack
        numbers = list(part)
        if not attack.whole:  # which prepares with all its images
            numbers = [n for n in numbers if n not in stored or not stored[n].complete]
        indices = [items[n][0] for n in numbers]
        targets = np.array([items[n][1] for n in numbers], np.int64)
        result = attack(
            scorer,
            _pixels(context, self.judged, images, indices),
            np.array([images[i].label for i in indices], np.int64),
            targets=None if self.targets == "none" else targets,
            ids=np.array(indices, np.int64),
        )
        rows = _rows(numbers, indices, result)
        kept: list[Row] = []
        for row, pixels in zip(rows, result.pixels, strict=True):
            before = stored.get(row.item)
            if before is not None and not row.is_no_worse_than(before):
                continue
            png = encode_png(pixels, self._provenance(context, images, row, pixels))
            if not np.array_equal(decode_png(png), pixels):
                raise StoreError("a picture does not read back as it was scored")
            kept.append(replace(row, png=png))
        done = ChunkRow(
            number,
            result.forward_shared,
            tuple(result.notes),
            _cut(attack, scorer, result),
            None if all(result.complete) else context.budget,
            0 if chunk is None else chunk.wasted + chunk.cut,
        )
        return [*kept, done]

    def _provenance(
        self, context: Context, images: Sequence[ImageRow], row: ResultRow, pixels: UInt8Images
    ) -> dict[str, str]:
        manifest = context.results.folder.manifest
        image = images[row.image]
        claim = {
            "kind": "attack",
            "class_index": row.predicted,
            "label": name_of(self.judged.net.classifier.labels, row.predicted),
            "confidence": row.confidence,
            "attack": self.planned.name,
            "parameters": self.planned.parameters,
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

    def _tell(
        self, context: Context, stored: Mapping[int, ResultRow], done: int, total: int
    ) -> None:
        fooled = sum(stored[item].success for item in range(done) if item in stored)
        context.tell(done, total, fooled)


def _is_through(stored: Mapping[int, ResultRow], part: range) -> bool:
    return all(item in stored and stored[item].complete for item in part)


def _check_larger(context: Context, before: ChunkRow | None) -> None:
    """Do not attack anew what a budget has cut short unless there is more of it now."""
    if before is None or before.budget is None or context.budget is None:
        return
    if context.budget <= before.budget:
        raise _spent(context)


def _cut(attack: Attack, scorer: Scorer, result: AttackResult) -> int:
    """Queries for images that a budget has cut short, so that they will be sent again."""
    anew = ~result.complete
    if attack.whole and anew.any():
        anew = np.ones_like(anew)
    forward = int(result.forward_each[anew].sum() + result.verify_each[anew].sum())
    shared = result.forward_shared if attack.whole and anew.any() else 0
    return (forward + shared) // scorer.classifier.passes


def _spent(context: Context) -> BudgetError:
    return BudgetError(f"{context.planned.title}: its share of the query budget is spent")


def _pixels(
    context: Context, judged: JudgedImages, images: Sequence[ImageRow], indices: Sequence[int]
) -> UInt8Images:
    """Clean pictures, uint8 N x C x H x W."""
    run = context.results.folder
    pictures = {i: pixels_of(run, judged.address, images[i]) for i in sorted(set(indices))}
    return np.stack([pictures[i] for i in indices])


def _rows(items: Sequence[int], indices: Sequence[int], result: AttackResult) -> list[ResultRow]:
    sizes = result.norms
    similar = ssim(result.clean, result.pixels)
    seconds = result.seconds / max(1, len(result))
    return [
        ResultRow(
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
