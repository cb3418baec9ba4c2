"""``evofool verify`` of a run of attacks: whether its pictures do what it claims."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Attack
from evofool.attacks.lattice import norms
from evofool.attacks.losses import Goal
from evofool.attacks.outputs import picture_of, stem
from evofool.attacks.planning import Parts, Planned, check_rows, make_parts
from evofool.attacks.restoring import load_attack_run
from evofool.files import read_file
from evofool.scoring import Scorer
from evofool.scoring.checking import Comparison, checking_engine
from evofool.scoring.verifying import beyond_budget, book_verifying, ledger_verdict
from evofool.store import AttackFolder, Check, ImageRow, ResultRow
from evofool.store.attack_schema import NONE
from evofool.store.checking import check_folder, check_victim, seed_faults, victim_faults
from evofool.store.fixed import config_check, refuse_encoding
from evofool.store.manifest import check_classifier

CHUNK = 64


def verify_attacks(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    engine: str | None = None,
) -> Iterator[Check]:
    """Check a run of attacks, each check as soon as it is done.

    The database; the files in ``images/`` against the stored pictures; answers, successes and
    confidences by scoring the pictures again; the sizes of the perturbations.

    Args:
        path: the run folder.
        classifier: where the victim is now, if its file has moved.
        encoding: not for this kind of run.
        engine: what scores the pictures; None is torch where the victim's module is at hand,
            whatever scored the run.

    Raises:
        StoreError: no run folder, or one too damaged to look into.
        ConfigError: its victim cannot be had, or the engine cannot score it.
    """
    refuse_encoding(encoding)
    with AttackFolder.open(Path(path)) as run:
        yield from check_folder(run)
        yield (config := config_check(run, lambda: load_attack_run(run, classifier)))
        if config.ok is False:
            return
        loaded = load_attack_run(run, classifier)
        store = run.bookings if run.can_book else None
        charged = 0 if store is None else store.charge_probe(loaded.config.scoring.budget)
        parts = make_parts(loaded, engine=partial(checking_engine, asked=engine))
        with parts.scorer:
            book_verifying(parts.scorer, store, run.sent(), charged)
            check_classifier(run.path, run.manifest, parts.classifier)
            faults = victim_faults(run.manifest, parts.classifier)
            faults += seed_faults(run.manifest, parts.config.seed)
            yield check_victim(faults)
            images, rows = run.images(), run.results()
            check_rows(run.path, parts.items(images), rows)
            yield Check("results", True, f"{len(rows)} pictures load")
            yield Check("ledger", *ledger_verdict(run.sent(), run.counts().queries))
            yield _files(run, parts.attacks, rows)
            yield from _claims(run, parts, images, rows, loaded.config.scoring.engine)


def _files(run: AttackFolder, attacks: tuple[Planned, ...], rows: list[ResultRow]) -> Check:
    if run.meta().get("status") != "finished":
        return Check("files", None, "not made yet: the run has not ended (evofool resume)")
    wrong = []
    for row in rows:
        name = f"images/{stem(attacks[row.attack], row)}.png"
        try:
            same = read_file(run.path / name) == run.result_png(row.attack, row.item)
        except OSError:
            same = False
        if not same:
            wrong.append(name)
    detail = f"{len(wrong)} differ or are missing: {', '.join(wrong[:3])}" if wrong else (
        f"{len(rows)} PNGs are the stored pictures"
    )  # fmt: skip
    return Check("files", not wrong, detail)


def _claims(
    run: AttackFolder,
    parts: Parts,
    images: list[ImageRow],
    rows: list[ResultRow],
    engine: str,
) -> Iterator[Check]:
    scorer = parts.scorer
    if (missing := beyond_budget(scorer, len(rows))) is not None:
        yield Check("confidences", None, missing)
        return
    engines = Comparison(scorer.engine, engine)
    mistaken = sizes = 0
    furthest = 0.0
    apart: list[str] = []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        pixels = np.stack([picture_of(run, run.result_png(r.attack, r.item)) for r in part])
        clean = np.stack([picture_of(run, run.clean_pngs([r.image])[0]) for r in part])
        found = norms(clean, pixels)
        if scorer.classifier.output == "label":
            labels, confidence, odds = scorer.labels(pixels), None, None
        else:
            scores = scorer.score(pixels, keep_unscored=True)
            labels, confidence, odds = scores.labels, scores.confidence, scores.log_odds
        for k, row in enumerate(part):
            label = int(labels[k])
            if odds is not None and engines.may_answer(odds[k], label, row.predicted):
                label = row.predicted
            own = None if confidence is None else confidence[k]
            source = images[row.image].label
            answers = _possible(
                parts.attacks[row.attack].attack, engines, scorer, source, row, label, own
            )
            mistaken += label != row.predicted or row.success not in answers
            if confidence is not None and row.confidence is not None:
                now = float(confidence[k, row.predicted])
                gap = abs(now - row.confidence)
                furthest = max(furthest, gap if np.isfinite(gap) else np.inf)
                if not gap <= engines.tolerance:
                    name = f"{parts.attacks[row.attack].name}, image {row.image}"
                    apart.append(
                        f"{name}: class {row.predicted}: {row.confidence:.6g} is claimed,"
                        f" {now:.6g} is found"
                    )
            same = (row.l0, row.l2, row.linf) == (found.l0[k], found.l2[k], found.linf[k])
            sizes += not same
    yield Check("successes", not mistaken, f"{mistaken} of {len(rows)} claims are wrong"
                if mistaken else f"{len(rows)} pictures do what is claimed")  # fmt: skip
    yield Check("confidences", not apart, engines.told(apart, furthest))
    yield Check("norms", not sizes, f"{sizes} differ" if sizes else "as stored")


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
    hit = bool(goal.success(np.array([label]), np.zeros(1, np.int64))[0])
    least = attack.least_confidence
    if not hit or least == 0 or confidence is None:
        return {hit}
    sought = int(goal.sought[0])
    above = float(confidence[label if sought == NONE else sought]) - least
    return {True, False} if abs(above) <= engines.tolerance else {above > 0}
