"""The victim's top classes for the pictures of a gallery; a run stores only the elite's class.

Pictures are scored once, through a Scorer; the scores are kept beside the gallery, with the number
of images that were sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from evofool.errors import EvofoolError
from evofool.gallery.reading.ancestry import Strip
from evofool.gallery.reading.asking import StoredVictim
from evofool.gallery.reading.exhibits import Collection, Exhibit
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.scoring.verifying import beyond_budget

AskVictim: TypeAlias = Literal["auto", "always", "never"]
"""Whether to load the victim: ``auto`` only loads one that ships with evofool, since loading
another may run code of the run folder's author or cost queries."""
TOP = 5
FILE = "scores.json"


@dataclass
class VictimAnswers:
    """What the victim answered about the pictures of one run.

    Attributes:
        digest: of the classifier that was asked.
        top: by the exhibit's individual: class indices and confidences, the surest first.
        then: by ancestor and class, ``12:7/207``: its confidence for the elite's class.
        forward_images: that went through the net for all this.
        note: why something is missing; empty where nothing is.
    """

    digest: str = ""
    top: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    then: dict[str, float] = field(default_factory=dict)
    forward_images: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it is kept in a file."""
        return {
            "classifier_digest": self.digest,
            "forward_images": self.forward_images,
            "top": self.top,
            "ancestors": self.then,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], collection: Collection) -> VictimAnswers:
        """What a file holds; anything odd in it, or of another classifier, counts as nothing."""
        answers = cls(collection.digest)
        try:
            if value["classifier_digest"] != collection.digest:
                return answers
            for name, rows in value["top"].items():
                answers.top[str(name)] = [(_index(c, collection), _share(p)) for c, p in rows[:TOP]]
            for name, p in value["ancestors"].items():
                answers.then[str(name)] = _share(p)
            answers.forward_images = max(0, int(value["forward_images"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return cls(collection.digest)
        return answers


class LazyVictim:
    """The victim of one collection, loaded when it is first asked to score something."""

    def __init__(self, collection: Collection, answers: VictimAnswers, ask: AskVictim) -> None:
        self.answers = answers
        self.changed = False
        self._collection = collection
        self._ask = ask
        self._scorer: Scorer | None = None

    def pictures(self, exhibits: Sequence[Exhibit], images: Sequence[UInt8Images]) -> None:
        """Note the top classes of each picture."""
        new = {
            exhibit.individual: image
            for exhibit, image in zip(exhibits, images, strict=True)
            if exhibit.individual not in self.answers.top
        }
        rows = self._confidence(list(new.values()))
        if rows is None:
            return
        for name, row in zip(new, rows, strict=True):
            order = np.argsort(-row, kind="stable")[:TOP]
            self.answers.top[name] = [(int(c), float(row[c])) for c in order]

    def strip(self, strip: Strip) -> None:
        """Note how sure the victim was of the elite's class at each step."""
        c = strip.exhibit.class_index
        new = {
            f"{step.id}/{c}": frame
            for step, frame in zip(strip.steps, strip.frames, strict=True)
            if f"{step.id}/{c}" not in self.answers.then
        }
        rows = self._confidence(list(new.values()))
        if rows is not None:
            for name, row in zip(new, rows, strict=True):
                self.answers.then[name] = float(row[c])

    def close(self) -> None:
        """Let go of the victim."""
        if self._scorer is not None:
            self._scorer.close()

    def _confidence(self, images: Sequence[UInt8Images]) -> Any:
        scorer = self._get() if images else None
        if scorer is None or self._is_beyond_budget(scorer, len(images)):
            return None
        before = scorer.forward_images
        try:
            rows = scorer.confidence(np.stack(images))
        except EvofoolError as error:
            self.answers.note = f"The classifier could not be asked: {error}"
            return None
        finally:
            self.answers.forward_images += scorer.forward_images - before
        self.changed = True
        return rows

    def _is_beyond_budget(self, scorer: Scorer, images: int) -> bool:
        """Whether the run's budget does not cover so many images, all of which would be sent.

        Where answers are kept, most are there already: the budget is then looked at request by
        request, and the answers to those that it still covered are not lost.
        """
        missing = None if scorer.ledger.keeping else beyond_budget(scorer, images)
        if missing is not None:
            self.answers.note = f"The classifier could not be asked: {missing}"
        return missing is not None

    def _get(self) -> Scorer | None:
        if self._scorer is not None or self.answers.note:
            return None if self.answers.note else self._scorer
        stored = self._collection.stored_victim
        if self._ask == "never" or stored is None:
            self.answers.note = (
                "The classifier was not asked for more than each picture's own class."
            )
        elif self._ask == "auto" and not stored.shipped:
            self.answers.note = (
                "Only the picture's own class is known: the classifier does not ship with"
                " evofool, and is loaded only on request (--scores always)."
            )
        else:
            self._load(stored)
        return self._scorer

    def _load(self, stored: StoredVictim) -> None:
        try:
            scorer = stored.scorer()
        except EvofoolError as error:
            self.answers.note = f"The classifier cannot be loaded here: {error}"
            return
        victim = scorer.classifier
        if not victim.is_known_as(self._collection.digest):
            self.answers.note = (
                "The classifier found now is not the one with which the run was made."
            )
        elif victim.output in ("topk", "label"):
            self.answers.note = "The classifier does not report a confidence for every class."
        else:
            self._scorer = scorer
            return
        scorer.close()


def _index(value: Any, collection: Collection) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a class is an index")
    if not 0 <= value < len(collection.labels):
        raise ValueError("no such class")
    return value


def _share(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a confidence lies on [0, 1]")
    return float(value)
