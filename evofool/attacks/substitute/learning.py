"""A substitute for a victim that gives labels only, learnt from the labels it gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.gradient.losses import log_probabilities
from evofool.attacks.lattice.levels import FUZZ, on_lattice
from evofool.attacks.result import NONE, Labels
from evofool.classifiers import Classifier, from_module
from evofool.errors import BudgetError, ImageError, ScoringError, UsageError
from evofool.images import UInt8Images
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer
from evofool.training import OptimiserConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

ARCHITECTURES = ("cnn", "papernot-a", "mlp")
"""Nets that a substitute can be: see `substitute_nets`."""
BATCH = 128
"""Images in one pass of the substitute."""
_OWN = 2**63
"""Counter of random draws for the substitute, which no image's id reaches."""


@dataclass(frozen=True)
class SubstituteSettings:
    """How a substitute is trained (Papernot et al., AsiaCCS 2017, 1602.02697).

    Attributes:
        seed: of initial weights, order of training and choice of points.
        rounds: how often it is trained; between two rounds the points are augmented.
        step: lambda, how far a new point lies from the old one, on [0, 1]; cut to whole levels.
        period: tau: the step is lambda (-1)^floor(round / tau); None keeps its sign.
        reservoir_after: sigma: from so many augmentations on only some points are augmented; None
            augments all, which doubles their number each time.
        reservoir_size: kappa, how many then.
        architecture: ``cnn``, ``papernot-a`` (net A of the paper) or ``mlp`` (the authors'
            tutorial).
        epochs: passes over the points in each round.
        lr: of Adam.
        batch: points a step.
        shift: points are moved at random by up to so many pixels in each direction while training
            (not in the paper; their labels are assumed to stay the same, which costs no query).
    """

    seed: int = 0
    rounds: int = 6
    step: float = 0.1
    period: int | None = 3
    reservoir_after: int | None = 3
    reservoir_size: int = 400
    architecture: str = "cnn"
    epochs: int = 10
    lr: float = 1e-3
    batch: int = 32
    shift: int = 0

    def __post_init__(self) -> None:
        where = "substitute"
        for name in ("rounds", "reservoir_size", "epochs", "batch", "period", "reservoir_after"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{where}: {name} must be at least 1, not {value}")
        if not 1 / 255 <= self.step <= 1:
            raise UsageError(f"{where}: step must be between 1/255 and 1, not {self.step}")
        if not 0 <= self.shift <= 8:
            raise UsageError(f"{where}: shift must be between 0 and 8, not {self.shift}")
        if not 0 < self.lr <= 10:
            raise UsageError(f"{where}: lr must be above 0 and at most 10, not {self.lr}")
        if self.architecture not in ARCHITECTURES:
            raise UsageError(
                f"{where}: architecture {self.architecture!r} is not one of"
                f" {', '.join(ARCHITECTURES)}"
            )

    def step_of(self, augmentation: int) -> int:
        """The signed step of augmentation 0, 1..., in levels."""
        levels = int(np.floor(self.step * 255 + FUZZ))
        turns = 0 if self.period is None else augmentation // self.period
        return -levels if turns % 2 else levels

    def chosen(self, augmentation: int, points: int) -> NDArray[np.int64]:
        """Indices, (n,), of those of `points` that are augmented: all, or a uniform sample.

        The sample is what reservoir sampling gives.
        """
        every = np.arange(points)
        if self.reservoir_after is None or augmentation < self.reservoir_after:
            return every
        rng = generator(self.seed, Stream.ATTACK, _OWN, augmentation)
        return np.sort(rng.choice(every, min(self.reservoir_size, points), replace=False))


@dataclass(frozen=True)
class Round:
    """One round of training.

    Attributes:
        number: from 0.
        points: images it was trained on.
        queries: labels the victim has given for them so far.
        loss: mean loss of the last epoch.
        agreement: share of the evaluation images on which net and victim agree; NaN without any.
        agreement_ahead: the same on the points of the next round, labelled *after* this one: it
            costs no query of its own, and is of points that the net itself has chosen. NaN after
            the last round.
    """

    number: int
    points: int
    queries: int
    loss: float
    agreement: float
    agreement_ahead: float


@dataclass(frozen=True)
class Substitute:
    """A net that was trained on a victim's labels.

    Attributes:
        classifier: the net, a white box.
        rounds: what each round reached.
        points: all images that were labelled, uint8 N x C x H x W (without those for which the
            victim gave no finite scores).
        labels: (N,), the victim's labels of them.
        queries: how many queries that took.
        evaluation_queries: queries for the labels of the evaluation images, counted apart.
        complete: False if a budget ended before the last round; what was labelled was used.
    """

    classifier: Classifier
    rounds: tuple[Round, ...]
    points: UInt8Images = field(repr=False)
    labels: Labels = field(repr=False)
    queries: int
    evaluation_queries: int
    complete: bool


def train_substitute(
    scorer: Scorer,
    start: object,
    settings: SubstituteSettings | None = None,
    *,
    evaluation: object = None,
    reserve: int = 0,
) -> Substitute:
    """Teach a net by the victim's labels: Algorithm 1 of Papernot et al. 2017.

    S_0 is `start`; in each round the victim labels the new points (one query each, every point a
    picture, none twice), the net F trains on all of them, and S grows by x + lambda sgn(dF_c / dx),
    c the victim's label of x.

    Args:
        scorer: the victim, of which only labels are used; its budget applies.
        start: N x C x H x W pictures of the victim's shape.
        settings: by default `SubstituteSettings()`.
        evaluation: pictures to measure agreement on, once labelled by the victim at a query each.
        reserve: queries of the budget to leave.

    Raises:
        BudgetError: not enough for the evaluation images and a single point.
        UsageError: no images to start from.
        ImageError: of another shape than the victim's, or off the lattice.
    """
    settings = settings or SubstituteSettings()
    victim = scorer.classifier
    fresh = _distinct(_of_shape(start, victim), set())
    if not len(fresh):
        raise UsageError("substitute: there are no images to start from")
    exam, truth = _labelled_exam(scorer, evaluation, reserve)
    net = _new_net(settings, victim)
    seen = {point.tobytes() for point in fresh}
    points, labels = fresh[:0], np.zeros(0, np.int64)
    rounds: list[Round] = []
    asked = 0
    complete = False
    classifier: Classifier | None = None
    for number in range(settings.rounds):
        answers = _ask(scorer, fresh, reserve)
        asked += len(answers)
        cut = len(answers) < len(fresh)
        told = answers != NONE
        fresh, answers = fresh[: len(answers)][told], answers[told]
        if classifier is not None and len(answers):
            ahead = _agreement(classifier, fresh, answers)
            rounds[-1] = replace(rounds[-1], agreement_ahead=ahead)
        elif classifier is None and not len(answers) and told.size:
            raise ScoringError(
                f"{victim.name} gave no finite scores for any of {told.size} points, so a"
                " substitute has nothing to learn from"
            )
        elif classifier is None and not len(answers):
            raise BudgetError(
                f"the query budget of {scorer.budget} leaves nothing for labelling the points"
                " that a substitute learns from"
            )
        if not len(answers) and cut:
            break
        points = np.concatenate([points, fresh])
        labels = np.concatenate([labels, answers])
        loss = _train(net, settings, number, points, labels)
        classifier = from_module(
            net,
            input_shape=victim.input_shape,
            name=f"{victim.name}-substitute",
            labels=victim.labels,
        )
        agreement = _agreement(classifier, exam, truth)
        rounds.append(Round(number, len(points), asked, loss, agreement, float("nan")))
        if cut:
            break
        complete = number + 1 == settings.rounds
        if not complete:
            fresh = augmented(classifier, settings, number, points, labels)
            fresh = _distinct(fresh, seen)
            seen.update(point.tobytes() for point in fresh)
    assert classifier is not None
    return Substitute(classifier, tuple(rounds), points, labels, asked, len(truth), complete)


def augmented(
    substitute: Classifier,
    settings: SubstituteSettings,
    augmentation: int,
    points: UInt8Images,
    labels: Labels,
) -> UInt8Images:
    """x + lambda sgn(d F_c / dx) of the points chosen, c their labels: Jacobian augmentation.

    Args:
        substitute: F.
        settings: `step_of` gives lambda, and `chosen` the points that are augmented.
        augmentation: its number, from 0.
        points: uint8 N x C x H x W.
        labels: (N,).

    Returns:
        uint8 n x C x H x W, one new point for each of those chosen.
    """
    import torch

    chosen = settings.chosen(augmentation, len(points))
    own = torch.from_numpy(labels[chosen])

    def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        logs = log_probabilities(outputs, substitute)  # grows as the probability itself does
        return logs.gather(1, own.to(logs.device)[rows][:, None])[:, 0]

    with _scoring(substitute) as scorer:
        signs = np.sign(scorer.gradients(points[chosen], loss).values).astype(np.int16)
    moved = points[chosen] + np.int16(settings.step_of(augmentation)) * signs
    grown: UInt8Images = np.clip(moved, 0, 255).astype(np.uint8)
    return grown


@contextmanager
def _scoring(substitute: Classifier) -> Iterator[Scorer]:
    """A scorer of the substitute: its passes are the attacker's own and no queries."""
    with Scorer(substitute, engine="torch", device="cpu", batch=BATCH) as scorer:
        yield scorer


def _agreement(substitute: Classifier, images: UInt8Images, labels: Labels) -> float:
    if not len(images):
        return float("nan")
    with _scoring(substitute) as scorer:
        return float((scorer.labels(images) == labels).mean())


def _ask(scorer: Scorer, images: UInt8Images, reserve: int) -> Labels:
    """The victim's labels of as many of `images` as the budget leaves, `NONE` without scores."""
    n = len(images)
    if scorer.left is not None:
        n = max(0, min(n, scorer.left - reserve))
    if not n:
        return np.zeros(0, np.int64)
    return scorer.labels(images[:n], keep_unscored=True)


def _labelled_exam(scorer: Scorer, evaluation: object, reserve: int) -> tuple[UInt8Images, Labels]:
    victim = scorer.classifier
    if evaluation is None:
        return np.zeros((0, *victim.input_shape), np.uint8), np.zeros(0, np.int64)
    exam = _of_shape(evaluation, victim)
    if scorer.left is not None and len(exam) + reserve >= scorer.left:
        raise BudgetError(
            f"the query budget of {scorer.budget} is too small for {len(exam)} evaluation images"
            " and one point to learn from"
        )
    truth = _ask(scorer, exam, reserve)
    return exam, truth


def _new_net(settings: SubstituteSettings, victim: Classifier) -> nn.Module:
    from evofool.attacks.substitute.nets import build_net
    from evofool.training import initial

    return initial(
        lambda: build_net(settings.architecture, victim.input_shape, victim.n_classes),
        settings.seed % 2**32,
    )


def _train(
    net: nn.Module,
    settings: SubstituteSettings,
    number: int,
    points: UInt8Images,
    labels: Labels,
) -> float:
    """Go on training with all points: as the authors' code, no round starts from nothing."""
    from evofool.training import fit

    words = np.random.SeedSequence([settings.seed, number]).generate_state(1)
    return fit(
        net,
        points,
        labels,
        epochs=settings.epochs,
        batch=settings.batch,
        optimiser=OptimiserConfig(name="adam", lr=settings.lr, weight_decay=0, schedule="constant"),
        shift=settings.shift,
        seed=int(words[0]),
    )


def _of_shape(images: object, victim: Classifier) -> UInt8Images:
    levels = on_lattice(images)
    if levels.shape[1:] != victim.input_shape:
        raise ImageError(
            f"substitute: images of shape {levels.shape[1:]} were given, but"
            f" {victim.input_shape} is needed (channels, height, width)"
        )
    return levels


def _distinct(points: UInt8Images, seen: set[bytes]) -> UInt8Images:
    """Those of `points` that are neither in `seen` nor an earlier one of them."""
    fresh: dict[bytes, int] = {}
    for i, point in enumerate(points):
        key = point.tobytes()
        if key not in seen:
            fresh.setdefault(key, i)
    return points[np.array(list(fresh.values()), np.int64)]
