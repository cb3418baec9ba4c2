"""``evofool score``: what a victim says of pictures now, beside what the pictures claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evofool.classifiers import Classifier, load_classifier, prepare
from evofool.errors import StoreError
from evofool.evolution.outputs import PROVENANCE
from evofool.images import read_picture, read_text
from evofool.scoring import Scorer
from evofool.store.files import json_object


@dataclass(frozen=True)
class Reading:
    """One picture.

    Attributes:
        path: the file.
        top: (class index, label, confidence), the surest first.
        claim: what its provenance says, None without any.
        now: today's confidence for the claimed class, None without a claim.
        same_victim: whether the claim is about a classifier of the same digest.
    """

    path: Path
    top: tuple[tuple[int, str, float], ...]
    claim: dict[str, Any] | None
    now: float | None
    same_victim: bool

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "path": str(self.path),
            "top": [
                {"class_index": c, "label": label, "confidence": p} for c, label, p in self.top
            ],
            "claim": self.claim,
            "now": self.now,
            "same_victim": self.same_victim,
        }


def read(
    paths: Sequence[Path], classifier: str | Mapping[str, Any] | Classifier, top: int = 5
) -> list[Reading]:
    """Score pictures of any size, each resized as the victim wants natural pictures.

    Raises:
        ImageError: a file is not a picture.
        ClassifierError: the victim cannot be had.
    """
    victim = classifier if isinstance(classifier, Classifier) else load_classifier(classifier)
    images = [prepare(read_picture(path), victim) for path in paths]
    with Scorer(victim) as scorer:
        confidence = scorer.confidence(np.stack(images))
    readings = []
    for path, row in zip(paths, confidence, strict=True):
        order = np.argsort(-row, kind="stable")[:top]
        claim = _claim(path)
        now = None
        if claim is not None and claim["class_index"] < len(row):
            now = float(row[claim["class_index"]])
        readings.append(
            Reading(
                path,
                tuple((int(c), victim.labels[c], float(row[c])) for c in order),
                claim,
                now,
                claim is not None and claim.get("classifier_digest") == victim.digest,
            )
        )
    return readings


def _claim(path: Path) -> dict[str, Any] | None:
    """The provenance of a PNG of ours; anything else, or anything odd, is no claim."""
    text = read_text(path).get(PROVENANCE)
    if text is None:
        return None
    try:
        claim = json_object(text, path)
    except StoreError:
        return None
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
