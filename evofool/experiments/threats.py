"""The threat matrix: one net, every kind of attack, each row a number of errors with an interval.

An *error* is an image that is neither called its class nor rejected: images that were wrong before
an attack count, as in the literature's error rates. White-box rows take the net's gradients as they
are; the adaptive rows know the defense.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import (
    FGSM,
    PGD,
    RFGSM,
    Attack,
    AttackResult,
    Square,
    SubstituteSettings,
    train_substitute,
)
from evofool.classifiers import Classifier
from evofool.defenses.victims import adapted
from evofool.errors import UsageError
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.store import ThreatRow
from evofool.store.defend_schema import DECLINED, RIGHT, WRONG

Labels = NDArray[np.int64]
Group: TypeAlias = Literal["clean", "white", "adaptive", "transfer", "black"]


@dataclass(frozen=True)
class Strength:
    """How hard the attacks try.

    Attributes:
        eps: radius in the maximum norm.
        step_size: of PGD.
        steps: of PGD.
        restarts: of PGD.
        alpha: random part of R+FGSM; half of eps by default.
        black_images: images that Square is run on, the first ones.
        square_queries: most queries an image.
        substitute_initial: pictures that a substitute starts from (taken from `start`).
        substitute_rounds: of its training.
        seed: of everything random.
    """

    eps: float
    step_size: float
    steps: int = 40
    restarts: int = 2
    alpha: float | None = None
    black_images: int = 100
    square_queries: int = 1000
    substitute_initial: int = 150
    substitute_rounds: int = 6
    seed: int = 1


@dataclass(frozen=True)
class Ground:
    """What a matrix is measured on.

    Attributes:
        images: test pictures, uint8 N x C x H x W.
        labels: their classes.
        start: other pictures, which a substitute starts from.
        sources: undefended nets whose adversarial pictures are tried on the net, by name.
    """

    images: UInt8Images
    labels: Labels
    start: UInt8Images
    sources: tuple[Classifier, ...]

    def __post_init__(self) -> None:
        if not len(self.images):
            raise UsageError("a threat matrix needs at least one image")

    def called(self, source: Classifier) -> str:
        """A source in the names of rows: a file by its last part, where no other has the same."""
        if not Path(source.name).is_absolute():
            return source.name
        last = [Path(each.name).name for each in self.sources]
        short = Path(source.name).name
        return short if last.count(short) == 1 else source.name


TRAINING = 20
"""Images that count for one point a substitute is taught, in guesses of how long it takes."""

MakeScorer: TypeAlias = Callable[[Classifier], Scorer]
"""A scorer for a net, as a config says how images are scored."""


@dataclass(frozen=True)
class Threat:
    """One threat that is still to be run.

    Attributes:
        name: for progress.
        run: carries it out.
        images: about how many images it sends through a net, forward and backward.
    """

    name: str
    run: Callable[[], ThreatRow]
    images: int


def threats(
    net: str, victim: Classifier, ground: Ground, strength: Strength, make_scorer: MakeScorer
) -> list[Threat]:
    """Every threat to `victim`, in order.

    A source that is the net itself is left out: from itself nothing is transferred. Pictures that
    are to transfer make all of PGD's steps: those that just cross the source's boundary would not.

    Args:
        net: ``defended`` or ``undefended``.
        victim: a white box.
        ground: images and sources.
        strength: how hard the attacks try.
        make_scorer: for the net and the sources.
    """
    s = strength
    fgsm = FGSM(eps=s.eps, seed=s.seed)
    random = RFGSM(eps=s.eps, alpha=s.alpha, seed=s.seed)
    pgd = PGD(eps=s.eps, step_size=s.step_size, steps=s.steps, restarts=s.restarts, seed=s.seed)
    patient = PGD(
        eps=s.eps,
        step_size=s.step_size,
        steps=s.steps,
        restarts=s.restarts,
        random_start=True,
        loss="margin",
        seed=s.seed,
    )
    oblivious = PGD(
        eps=s.eps, step_size=s.step_size, steps=s.steps, seed=s.seed, early_stop=False
    )  # fmt: skip
    knowing = adapted(victim) or victim
    how = "BPDA, margin" if knowing is not victim else "margin, random starts"
    runner = _Runner(net, ground, strength, make_scorer)
    n = len(ground.images)
    climbed = 2 * n * s.steps * s.restarts
    square = min(n, s.black_images) * s.square_queries
    taught = n + TRAINING * s.substitute_initial * 2**s.substitute_rounds
    attacked = runner.attacked
    name, patiently = f"PGD-{s.steps}", f"adaptive PGD-{s.steps}"
    return [
        Threat("no attack", lambda: runner.clean(victim), n),
        Threat("FGSM", lambda: attacked(victim, "FGSM", "white", fgsm), 3 * n),
        Threat("R+FGSM", lambda: attacked(victim, "R+FGSM", "white", random), 3 * n),
        Threat(name, lambda: attacked(victim, name, "white", pgd), climbed),
        Threat(patiently, lambda: attacked(knowing, patiently, "adaptive", patient, how), climbed),
        *(
            Threat(
                f"{kind} from {ground.called(source)}",
                _transfer(runner, victim, source, kind, made),
                images,
            )
            for source in ground.sources
            if source.digest != victim.digest
            for kind, made, images in (
                ("FGSM", fgsm, 4 * n),
                (name, oblivious, (2 * s.steps + 2) * n),
            )
        ),
        Threat("substitute", lambda: runner.substitute(victim, fgsm), taught),
        Threat("Square", lambda: runner.square(victim), square),
    ]


def _transfer(
    runner: _Runner, victim: Classifier, source: Classifier, kind: str, attack: Attack
) -> Callable[[], ThreatRow]:
    return lambda: runner.transferred(victim, source, kind, attack)


class _Runner:
    def __init__(
        self, net: str, ground: Ground, strength: Strength, make_scorer: MakeScorer
    ) -> None:
        self.net = net
        self.ground = ground
        self.strength = strength
        self._scorer = make_scorer

    def clean(self, victim: Classifier) -> ThreatRow:
        """No attack at all."""
        began = time.perf_counter()
        with self._scorer(victim) as scorer:
            answers = scorer.labels(self.ground.images)
            return self._row("no attack", "clean", answers, scorer, began)

    def attacked(
        self,
        seen: Classifier,
        threat: str,
        group: Group,
        attack: Attack,
        detail: str = "",
    ) -> ThreatRow:
        """An attack with gradients; `seen` is the net as the attacker differentiates it."""
        began = time.perf_counter()
        with self._scorer(seen) as scorer:
            result = attack(scorer, self.ground.images, self.ground.labels)
            return self._row(threat, group, result.predicted, scorer, began, detail, result)

    def transferred(
        self, victim: Classifier, source: Classifier, kind: str, attack: Attack
    ) -> ThreatRow:
        """Pictures made against another net, by an attack that is called `kind`."""
        began = time.perf_counter()
        with self._scorer(source) as other:
            pixels = attack(other, self.ground.images, self.ground.labels).pixels
        with self._scorer(victim) as scorer:
            answers = scorer.labels(pixels)
            threat = f"{kind} from {self.ground.called(source)}"
            return self._row(threat, "transfer", answers, scorer, began)

    def substitute(self, victim: Classifier, attack: Attack) -> ThreatRow:
        """A net taught by the victim's labels alone, attacked in its place."""
        s = self.strength
        began = time.perf_counter()
        with self._scorer(victim) as scorer:
            taught = train_substitute(
                scorer,
                self.ground.start[: s.substitute_initial],
                SubstituteSettings(seed=s.seed, rounds=s.substitute_rounds),
            )
            with self._scorer(taught.classifier) as own:
                pixels = attack(own, self.ground.images, self.ground.labels).pixels
            answers = scorer.labels(pixels)
            detail = f"{taught.queries} labels for {s.substitute_rounds} rounds"
            return self._row("substitute, FGSM", "black", answers, scorer, began, detail)

    def square(self, victim: Classifier) -> ThreatRow:
        """Random search on confidences."""
        s = self.strength
        began = time.perf_counter()
        attack = Square(eps=s.eps, queries=s.square_queries, seed=s.seed)
        images = self.ground.images[: s.black_images]
        labels = self.ground.labels[: s.black_images]
        with self._scorer(victim) as scorer:
            result = attack(scorer, images, labels)
            detail = f"{s.square_queries} queries an image"
            return self._row("Square", "black", result.predicted, scorer, began, detail, result)

    def _row(
        self,
        threat: str,
        group: Group,
        answers: Labels,
        scorer: Scorer,
        began: float,
        detail: str = "",
        result: AttackResult | None = None,
    ) -> ThreatRow:
        labels = self.ground.labels[: len(answers)].tolist()
        reject = scorer.classifier.reject
        outcomes = "".join(
            RIGHT if answer == label else DECLINED if answer == reject else WRONG
            for answer, label in zip(answers.tolist(), labels, strict=True)
        )
        notes = [] if result is None else list(dict.fromkeys(result.notes))
        return ThreatRow(
            self.net,
            threat,
            group,
            outcomes,
            scorer.queries,
            scorer.backward_images,
            time.perf_counter() - began,
            "; ".join([*([detail] if detail else []), *notes]),
        )
