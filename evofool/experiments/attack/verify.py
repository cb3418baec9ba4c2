"""``evofool verify`` of a run of attacks: whether its pictures do what it claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Attack
from evofool.attacks.gradient.losses import Goal
from evofool.attacks.lattice.levels import norms
from evofool.attacks.result import NONE
from evofool.attacks.runs.rows import (
    ImageRow,
    ResultRow,
    pixels_of,
    png_of,
    read_held_back,
    read_images,
)
from evofool.attacks.runs.summary import stem
from evofool.classifiers.tasks import CLAIMED
from evofool.experiments.attack.held_back import withstood
from evofool.experiments.attack.outputs import HELD_BACK, TABLE, AttackOutputs
from evofool.experiments.attack.parts import AttackParts
from evofool.experiments.attack.works import AttackOnImages
from evofool.experiments.engine import Results
from evofool.experiments.engine.spending import queries_of
from evofool.files import read_file
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.scoring.checking import Comparison, checking_engine
from evofool.scoring.setup import make_scorer
from evofool.scoring.verifying import beyond_budget, book_verifying, ledger_verdict
from evofool.store import Check
from evofool.store.experiment import ExperimentFolder

CHUNK = 64
TURNED = 0.01
"""Share of answers under held-back transforms that another engine may turn round."""


@dataclass(frozen=True)
class _Claim:
    """A result, the attack that it is of, and the image that it began from."""

    work: AttackOnImages
    row: ResultRow
    image: ImageRow


def verify(study: AttackParts, results: Results, engine: str | None) -> Iterator[Check]:
    """Check a run of attacks, each check as soon as it is done.

    Every row; the bookings; the files against the stored rows and pictures; answers, successes and
    confidences by scoring the pictures again; the sizes of the perturbations.

    Args:
        study: the run.
        results: of its works, those of an unfinished run too.
        engine: what scores the pictures; None is torch where the victim's module is at hand,
            whatever scored the run.

    Raises:
        StoreError: a row is damaged.
        ConfigError: the engine cannot score the victim.
    """
    run, loaded = results.folder, study.loaded
    chosen = checking_engine(loaded, study.victim, engine)
    scorer, _ = make_scorer(loaded, study.victim, engine=chosen)
    with scorer:
        # the probe is booked already
        probed = study.victim.probed
        book_verifying(scorer, run.bookings if run.can_book else None, run.sent(), probed)
        outputs = AttackOutputs(study, results)
        images = read_images(run, study.judged.address)
        claims = [
            _Claim(work, row, images[row.image])
            for work in study.attacks
            for row in outputs.rows(work)
        ]
        yield Check("results", True, f"{len(claims)} pictures load")
        yield Check("ledger", *ledger_verdict(run.sent(), queries_of(run)))
        yield from _files(run, outputs, claims, held_back=bool(study.held_back))
        yield from _again(run, study, scorer, claims)
        yield from _under_others(run, study, scorer, outputs, images)


def _files(
    run: ExperimentFolder, outputs: AttackOutputs, claims: list[_Claim], *, held_back: bool
) -> Iterator[Check]:
    if run.meta().get("status") != "finished":
        yield Check("files", None, "not made yet: the run has not ended (evofool resume)")
        return
    wrong = []
    for claim in claims:
        name = f"images/{stem(claim.work.planned, claim.row)}.png"
        if not _holds(run, name, png_of(run, claim.work.address, claim.row)):
            wrong.append(name)
    detail = f"{len(wrong)} differ or are missing: {', '.join(wrong[:3])}" if wrong else (
        f"{len(claims)} PNGs are the stored pictures"
    )  # fmt: skip
    yield Check("files", not wrong, detail)
    same = _holds(run, TABLE, outputs.table())
    yield Check(TABLE, same, "holds the stored rows" if same else "differs or is missing")
    if held_back:
        same = _holds(run, HELD_BACK, outputs.held_back_table())
        yield Check(HELD_BACK, same, "holds the stored rows" if same else "differs or is missing")


def _holds(run: ExperimentFolder, name: str, data: bytes) -> bool:
    try:
        return read_file(run.path / name) == data
    except OSError:
        return False


def _again(
    run: ExperimentFolder, study: AttackParts, scorer: Scorer, claims: list[_Claim]
) -> Iterator[Check]:
    """Score the stored pictures again."""
    if (missing := beyond_budget(scorer, len(claims))) is not None:
        yield Check("confidences", None, missing)
        return
    engines = Comparison(scorer.engine, study.loaded.config.scoring.engine)
    mistaken = sizes = painted = 0
    furthest = 0.0
    apart: list[str] = []
    for start in range(0, len(claims), CHUNK):
        part = claims[start : start + CHUNK]
        pixels = np.stack([pixels_of(run, c.work.address, c.row) for c in part])
        clean = np.stack([pixels_of(run, study.judged.address, c.image) for c in part])
        measured = norms(clean, pixels)
        painted += sum(
            _beyond_mask(claim.work.planned.attack, before, after)
            for claim, before, after in zip(part, clean, pixels, strict=True)
        )
        if scorer.classifier.output == "label":
            labels, confidence, odds = scorer.labels(pixels), None, None
        else:
            scores = scorer.score(pixels, keep_unscored=True)
            labels, confidence, odds = scores.labels, scores.confidence, scores.log_odds
        for k, claim in enumerate(part):
            row, label = claim.row, int(labels[k])
            if odds is not None and engines.may_answer(odds[k], label, row.predicted):
                label = row.predicted
            own = None if confidence is None else confidence[k]
            attack = claim.work.planned.attack
            answers = _possible(attack, engines, scorer, claim.image.label, row, label, own)
            mistaken += label != row.predicted or row.success not in answers
            if confidence is not None and row.confidence is not None:
                now = float(confidence[k, row.predicted])
                gap = abs(now - row.confidence)
                furthest = max(furthest, gap if np.isfinite(gap) else np.inf)
                if not gap <= engines.tolerance:
                    name = f"{claim.work.planned.name}, image {row.image}"
                    apart.append(
                        f"{name}: class {row.predicted}: {row.confidence:.6g} is claimed, but"
                        f" {now:.6g} is found"
                    )
            same = (row.l0, row.l2, row.linf) == (measured.l0[k], measured.l2[k], measured.linf[k])
            sizes += not same
    yield Check("successes", not mistaken, f"{mistaken} of {len(claims)} claims are wrong"
                if mistaken else f"{len(claims)} pictures do what is claimed")  # fmt: skip
    yield Check("confidences", not apart, engines.told(apart, furthest))
    yield Check("norms", not sizes, f"{sizes} differ" if sizes else "as stored")
    if any(claim.work.planned.attack.mask is not None for claim in claims):
        wrong = f"{painted} pictures are changed outside their attack's mask"
        yield Check("masks", not painted, wrong if painted else "kept to, bit for bit")


def _beyond_mask(attack: Attack, before: UInt8Images, after: UInt8Images) -> bool:
    """Whether a picture differs outside its attack's mask; both are C x H x W."""
    allowed = attack.allowed((before.shape[1], before.shape[2]))
    return allowed is not None and bool((before != after)[:, ~allowed].any())


def _under_others(
    run: ExperimentFolder,
    study: AttackParts,
    scorer: Scorer,
    outputs: AttackOutputs,
    images: Sequence[ImageRow],
) -> Iterator[Check]:
    """Show the stored pictures to the victim under the held-back transforms again."""
    engines = Comparison(scorer.engine, study.loaded.config.scoring.engine)
    answers = apart = 0
    for each in study.held_back:
        stored = {row.item: row.successes for row in read_held_back(run, each.address)}
        rows = [row for row in outputs.rows(each.attacked) if row.item in stored]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            pixels = np.stack([pixels_of(run, each.attacked.address, row) for row in part])
            attack = each.attacked.planned.attack
            now = withstood(scorer, attack, images, part, pixels, each.transforms)
            apart += int(np.abs(now - [stored[row.item] for row in part]).sum())
            answers += len(part) * each.transforms
    if answers:
        fine = apart <= (TURNED * answers if engines.other else 0)
        detail = f"{apart} of {answers} answers under other transforms differ from the stored ones"
        yield Check("held back", fine, detail if apart else f"{answers} answers are as stored")


def _possible(
    attack: Attack,
    engines: Comparison,
    scorer: Scorer,
    source: int,
    row: ResultRow,
    label: int,
    confidence: NDArray[np.floating[Any]] | None,
) -> set[bool]:
    """What may be claimed of a picture's success, given what the victim says of it now.

    Both, where the confidence is so near the attack's threshold that rounding decides.
    """
    away = NONE if attack.aim == "any" else source
    goal = Goal(scorer.classifier, np.array([away]), np.array([row.target]))
    sought, many = int(goal.sought[0]), scorer.classifier.multi_label
    sure = None if confidence is None else confidence[[label if sought == NONE else sought]]
    hit = bool(goal.success(np.array([label]), np.zeros(1, np.int64), sure)[0])
    if many and sure is not None and sought != NONE:
        hit_or_not = {True, False} if abs(sure[0] - CLAIMED) <= engines.tolerance else {hit}
        if attack.least_confidence == 0 or len(hit_or_not) == 2:
            return hit_or_not
    least = attack.least_confidence
    if not hit or least == 0 or confidence is None:
        return {hit}
    above = float(confidence[label if sought == NONE else sought]) - least
    return {True, False} if abs(above) <= engines.tolerance else {above > 0}
