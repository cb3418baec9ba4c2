"""What is measured of a net of the loop: shares, each a number of pictures out of so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import GradientAscent
from evofool.attacks.noise import noise_images
from evofool.evolution.replaying import early_and_late
from evofool.evolution.restoring import open_shelf
from evofool.experiments.retrain_chain import NetKey, RunKey, parts
from evofool.experiments.retrain_config import RetrainConfig
from evofool.experiments.retrain_setup import Examples
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.store import MeasureRow, RunFolder

THRESHOLDS = (0.5, 0.99, 0.9999)
"""Confidences at which the share of cells is counted."""
SHOWN_AT = (0.5, 0.99)
"""Confidences at which champions are counted on other nets."""
OWN, OTHERS = "own", "others"


class Pictures:
    """Fooling pictures of the runs of a loop, bred again when they are first asked for.

    Args:
        root: the run folder of the loop.
        config: of the loop.
    """

    def __init__(self, root: Path, config: RetrainConfig) -> None:
        self._root, self._config, self._images = root, config, config.images
        self._known: dict[RunKey, tuple[UInt8Images, UInt8Images]] = {}

    def split(self, count: int) -> tuple[int, int]:
        """How many of `count` are from the first and how many from the last generations."""
        early = round(count * self._images.first_share)
        return early, count - early

    def of(self, run: RunKey, count: int) -> tuple[UInt8Images, UInt8Images]:
        """`count` pictures of a run: those from its first and those from its last generations."""
        if run not in self._known:
            most = self._images.first if run.net.round == 0 else self._images.more
            self._known[run] = early_and_late(self._root / run.folder, *self.split(most))
        early, late = self.split(count)
        first, last = self._known[run]
        return first[:early], last[len(last) - late :]

    def before(self, key: NetKey) -> UInt8Images:
        """What the net `key` is trained on: of all rounds before, in the encodings of its chain."""
        found: list[UInt8Images] = []
        encodings = self._config.encodings_of(key.trained_on)
        chain = key.trained_on
        while key.round > 0:
            total = self._images.first if key.round == 1 else self._images.more
            key = key.before(chain)
            for encoding, count in zip(encodings, parts(total, len(encodings)), strict=True):
                found += self.of(RunKey(key, encoding), count)
        return np.concatenate(found)


@dataclass(frozen=True)
class Counting:
    """Makes the rows of one net and one part."""

    key: NetKey
    part: str

    def row(
        self, measure: str, hits: int, n: int, encoding: str = "", other: str = ""
    ) -> MeasureRow:
        """`hits` of `n`."""
        k = self.key
        return MeasureRow(
            k.round, k.trained_on, k.seed, self.part, measure, encoding, other, hits, n
        )


def own_measures(
    config: RetrainConfig,
    key: NetKey,
    scorer: Scorer,
    n_classes: int,
    test: Examples,
    old: UInt8Images,
    pictures: Pictures,
    root: Path,
) -> list[MeasureRow]:
    """Clean errors; recall of class n + 1 on old and new pictures; what attacks came to.

    Args:
        config: of the loop.
        key: the net.
        scorer: of the net.
        n_classes: real ones; class `n_classes` is "fooling", where there is one.
        test: clean images.
        old: fooling pictures that it was trained on.
        pictures: of the runs against it.
        root: the run folder of the loop.
    """
    counting = Counting(key, OWN)
    grown = scorer.classifier.n_classes > n_classes
    answers = scorer.labels(test.images)
    rows = [counting.row("clean_error", int((answers != test.labels).sum()), len(test))]
    if grown:
        rows.append(counting.row("clean_fooling", int((answers == n_classes).sum()), len(test)))
    if grown and len(old):
        rows.append(counting.row("recall_old", _called(scorer, old, n_classes), len(old)))
    for encoding in config.evolution.encodings:
        run = RunKey(key, encoding)
        if grown:
            for name, new in zip(
                ("recall_first", "recall_last"),
                pictures.of(run, config.images.more),
                strict=True,
            ):
                if len(new):
                    rows.append(
                        counting.row(name, _called(scorer, new, n_classes), len(new), encoding)
                    )
        with RunFolder.open(root / run.folder) as folder:
            sure = np.array([elite.confidence for elite in folder.elites()])
        rows += [
            counting.row(_at("cells", bar), int((sure >= bar).sum()), n_classes, encoding)
            for bar in THRESHOLDS
        ]
    return rows + _ascent(config, counting, scorer, n_classes)


def _called(scorer: Scorer, images: UInt8Images, class_index: int) -> int:
    return int((scorer.labels(images) == class_index).sum())


def _ascent(
    config: RetrainConfig, counting: Counting, scorer: Scorer, n_classes: int
) -> list[MeasureRow]:
    wanted = config.ascent
    if wanted is None:
        return []
    noise = noise_images("uniform", scorer.classifier.input_shape, wanted.images, config.seed)
    targets = np.arange(wanted.images, dtype=np.int64) % n_classes
    attack = GradientAscent(steps=wanted.steps, confidence=wanted.confidence)
    result = attack(scorer, noise, targets=targets)
    return [counting.row("ascent", int(result.success.sum()), wanted.images)]


def champions(root: Path, run: RunKey) -> tuple[UInt8Images, NDArray[np.int64]]:
    """The champions of a run and the classes they stand for."""
    with RunFolder.open(root / run.folder) as folder:
        shelf = open_shelf(folder)
        held = [
            (holder, cell)
            for holder, cell in zip(
                shelf.archive.holders, shelf.archive.cells.tolist(), strict=True
            )
            if holder is not None
        ]
        return shelf.render([holder for holder, _ in held]), np.array([c for _, c in held])


def shown_elsewhere(
    key: NetKey, encodings: Sequence[str], others: Sequence[tuple[str, Scorer]], root: Path
) -> list[MeasureRow]:
    """The champions of a net's runs, shown to other nets (Nguyen et al. 2015, section 3.3).

    Counted is the *target* class at `SHOWN_AT`, and beside it any class but "fooling".

    Args:
        key: the net that they were evolved against.
        encodings: of the runs.
        others: other nets by name; real classes first.
        root: the run folder of the loop.
    """
    counting = Counting(key, OTHERS)
    rows = []
    for encoding in encodings:
        images, targets = champions(root, RunKey(key, encoding))
        for name, scorer in others:
            sure = scorer.confidence(images)
            aimed = sure[np.arange(len(images)), targets]
            real = sure[:, : len(targets)].max(axis=1)
            for bar in SHOWN_AT:
                for measure, found in (("target", aimed), ("any", real)):
                    hits = int((found >= bar).sum())
                    rows.append(counting.row(_at(measure, bar), hits, len(images), encoding, name))
    return rows


def _at(name: str, bar: float) -> str:
    """``cells_99`` of .99."""
    return f"{name}_{f'{bar:g}'.partition('.')[2].ljust(2, '0')}"
