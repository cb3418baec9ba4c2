"""``evofool score``: what a victim says of pictures now, beside what the pictures claim."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier, load_classifier, prepare
from evofool.classifiers.sources.bundled import BUNDLED
from evofool.classifiers.spec import parse_transforms
from evofool.classifiers.transformed import with_transforms
from evofool.config import find_class
from evofool.errors import StoreError, UsageError
from evofool.images import PROVENANCE, SIDECAR, read_picture, read_text
from evofool.scoring import Scorer
from evofool.scoring.services import ServiceEngine
from evofool.scoring.statistics import wilson
from evofool.store.answers import Answers
from evofool.store.files import json_object, read_json
from evofool.text import printable


@dataclass(frozen=True)
class Reading:
    """One picture.

    Attributes:
        path: the file.
        top: (class index, label, confidence), the surest first.
        claim: what its provenance says, None without any.
        now: today's confidence for the claimed class, None without a claim, or if the victim has
            no such class. Of another victim than the claim is about, the class is the one of the
            same name, whatever its index.
        class_index: of that class, None where `now` is None.
        same_victim: whether the claim is about a classifier of the same digest.
        sidecar: whether the claim stood in the ``provenance.json`` beside the picture, whose own
            text is gone.
        held_back: of a victim behind transforms, under how many others the net's answer is the
            claimed class, or the first of `top` where none is claimed; with Wilson's interval.
    """

    path: Path
    top: tuple[tuple[int, str, float], ...]
    claim: dict[str, Any] | None
    now: float | None
    same_victim: bool
    sidecar: bool = False
    class_index: int | None = None
    held_back: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "path": str(self.path),
            "top": [
                {"class_index": c, "label": label, "confidence": p} for c, label, p in self.top
            ],
            "claim": self.claim,
            "now": self.now,
            "now_class_index": self.class_index,
            "same_victim": self.same_victim,
            "sidecar": self.sidecar,
            **({} if self.held_back is None else {"held_back": self.held_back}),
        }


def read(
    paths: Sequence[Path],
    classifier: str | Mapping[str, Any] | Classifier | None,
    top: int = 5,
    transforms: Mapping[str, Any] | None = None,
) -> list[Reading]:
    """Score pictures of any size, each resized as the victim wants natural pictures.

    What a service answers is kept in the folder ``http.cache`` of the victim, if it names one, and
    a picture whose answer is there is not sent. That may be the folder of a run.

    Args:
        paths: of the pictures.
        classifier: the victim; None takes the one that all of the pictures claim, if it ships
            with evofool: what a picture says never loads anything else.
        top: how many classes are told.
        transforms: of the victim, as in a config; confidences are then under these, and the answers
            under others are told as well.

    Raises:
        ImageError: a file is not a picture.
        ClassifierError: the victim cannot be had.
        StoreError: answers cannot be kept.
        UsageError: no classifier is given, and the pictures claim none of ours or several.
    """
    claims = [claim_beside(path) for path in paths]
    if classifier is None:
        classifier = victim_claimed([claim for claim, _ in claims])
    victim = classifier if isinstance(classifier, Classifier) else load_classifier(classifier)
    if transforms is not None:
        victim = with_transforms(victim, parse_transforms(transforms))
    images = np.stack([prepare(read_picture(path), victim) for path in paths])
    others = 0 if victim.transformed is None else victim.transformed.config.held_back
    with Scorer(victim) as scorer, keeping_answers(scorer):
        confidence = scorer.confidence(images)
        answers = scorer.held_back(images, others).labels if others else None
    readings: list[Reading] = []
    for path, row, (claim, sidecar) in zip(paths, confidence, claims, strict=True):
        order = np.argsort(-row, kind="stable")[:top]
        same = claim is not None and victim.is_known_as(str(claim.get("classifier_digest")))
        asked = None if claim is None else class_claimed(claim, victim, same)
        readings.append(
            Reading(
                path,
                tuple((int(c), victim.labels[c], float(row[c])) for c in order),
                claim,
                None if asked is None else float(row[asked]),
                same,
                sidecar,
                asked,
                None
                if answers is None
                else _withstood(answers[len(readings)], int(order[0]) if asked is None else asked),
            )
        )
    return readings


@contextmanager
def keeping_answers(scorer: Scorer) -> Iterator[None]:
    """Use and keep the answers of a service that names a folder for them, outside of any run.

    Raises:
        StoreError: they cannot be kept.
    """
    engine = scorer.running
    if not (isinstance(engine, ServiceEngine) and engine.cache is not None):
        yield
        return
    with closing(Answers(engine.cache)) as answers:
        scorer.keep_answers(lambda _: answers)
        yield


def _withstood(labels: NDArray[np.int64], class_index: int) -> dict[str, Any]:
    """Under how many transforms a class is the answer, (T,) `labels`."""
    hits = int((labels == class_index).sum())
    low, high = wilson(hits, len(labels))
    return {
        "class_index": class_index,
        "transforms": len(labels),
        "successes": hits,
        "rate": hits / len(labels),
        "low": low,
        "high": high,
    }


def class_claimed(claim: Mapping[str, Any], victim: Classifier, same: bool) -> int | None:
    """The class of `victim` that a claim is about; None: it has no such class.

    Args:
        claim: with ``class_index`` and ``label``.
        victim: that is asked.
        same: whether the claim is about this victim; of another one the name of the class counts.
    """
    index, label = int(claim["class_index"]), str(claim["label"])
    if index < victim.n_classes and (same or victim.labels[index] == label):
        return index
    names = [label, *(name.strip() for name in label.split(","))]
    for name in names:  # "tench, Tinca tinca" is "tench" elsewhere
        try:
            return find_class(name, victim.labels)
        except LookupError:
            continue
    return None


def victim_claimed(claims: Sequence[Mapping[str, Any] | None]) -> str:
    """The one bundled victim that all claims are about.

    Raises:
        UsageError: a picture claims nothing, or they claim several or another one.
    """
    named = {None if claim is None else claim.get("classifier") for claim in claims}
    name = next(iter(named), None)
    if len(named) != 1 or name is None:
        few = not named or None in named
        why = "not every picture names one" if few else "the pictures name several"
        raise UsageError(f"name the classifier to ask with --classifier, since {why}")
    if name not in BUNDLED:  # it may be code, which no picture may choose
        raise UsageError(
            "name the classifier to ask with --classifier: the picture was made for"
            f" {printable(str(name))}, which does not ship with evofool, and no picture decides"
            " which code is run"
        )
    return str(name)


def claim_beside(path: Path) -> tuple[dict[str, Any] | None, bool]:
    """The provenance of a picture of ours, from its own text or from the sidecar beside it (then
    True); anything else, or anything odd, is no claim."""
    text = read_text(path).get(PROVENANCE)
    if text is None:
        return _from_sidecar(path), True
    try:
        return _sane(json_object(text, path)), False
    except StoreError:
        return None, False


def claim_in(png: bytes) -> dict[str, Any] | None:
    """The provenance inside the bytes of a PNG, None without a sane one."""
    text = read_text(io.BytesIO(png)).get(PROVENANCE)
    if text is None:
        return None
    try:
        return _sane(json_object(text, Path("a picture")))
    except StoreError:
        return None


def _from_sidecar(path: Path) -> dict[str, Any] | None:
    """The claim of the same pixels, since a tool may have renamed the file as well."""
    sidecar = path.parent / SIDECAR
    if not sidecar.is_file():
        return None
    try:
        claims = read_json(sidecar).values()
    except StoreError:
        return None
    pixels = np.asarray(read_picture(path), dtype=np.uint8)
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    for claim in claims:
        if isinstance(claim, dict) and claim.get("pixels_sha256") == digest:
            return _sane(claim)
    return None


def _sane(claim: dict[str, Any]) -> dict[str, Any] | None:
    index, confidence = claim.get("class_index"), claim.get("confidence")
    sane = (
        isinstance(index, int)
        and not isinstance(index, bool)
        and index >= 0
        and isinstance(confidence, int | float)
        and 0 <= confidence <= 1  # a NaN is not
        and isinstance(claim.get("label"), str)
    )
    return claim if sane else None
