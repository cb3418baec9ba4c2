"""The work of measuring signs of hidden gradients: on a net as its gradients are, never adapted.

All attacks climb the margin, which does not saturate where a cross-entropy does, and which for a
detector means to be taken for something else rather than to be rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import FGSM, IFGSM, PGD, AttackResult
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer
from evofool.text import rate

Labels = NDArray[np.int64]
Measured = dict[str, tuple[float | None, str]]


@dataclass(frozen=True)
class Probe:
    """What the diagnostics are measured with.

    Attributes:
        eps: radius in the maximum norm.
        step_size: of the attacks of many steps.
        steps: how many.
        random_points: pictures of the ball that random search tries for each image.
        seed: of these.
    """

    eps: float
    step_size: float
    steps: int = 40
    random_points: int = 100
    seed: int = 1


@dataclass(frozen=True)
class DiagnosticRow(Row):
    """One diagnostic.

    Attributes:
        key: which.
        value: the number, None where it could not be had.
        detail: the numbers it is made of.
    """

    type: ClassVar[str] = "diagnostic"

    key: str
    value: float | None
    detail: str


@work
class Diagnosed(Work):
    """All diagnostics of a net that need the net itself.

    Attributes:
        net: that is judged, its gradients as they are.
        undefended: what ratios are taken to.
        pictures: clean ones.
        probe: radius and steps.
        scoring: how images are scored.
    """

    kind: ClassVar[str] = "diagnosed"
    rows: ClassVar[tuple[type[Row], ...]] = (DiagnosticRow,)

    net: Net
    undefended: Net
    pictures: Pictures
    probe: Probe
    scoring: Scoring

    @property
    def images(self) -> int:
        """A guess."""
        return len(self.pictures) * (8 * self.probe.steps + self.probe.random_points)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net, undefended = self.net.load(context), self.undefended.load(context)
        with (
            context.scorer(net, self.scoring) as own,
            context.scorer(undefended, self.scoring) as other,
        ):
            measured = diagnose(own, other, self.pictures.images, self.pictures.labels, self.probe)
        for k, (key, (value, detail)) in enumerate(measured.items()):
            yield DiagnosticRow(k, key, value, detail)


@dataclass(frozen=True)
class Slopes:
    """What the gradients of one net look like.

    Attributes:
        norms: (N,), the Euclidean norm of the gradient of the margin at each clean image.
        cosine: mean cosine of the perturbations of one step and of many; NaN where all are zero.
        loss_ratio: mean loss after one step over that after many.
        falls: (N,): whether the loss after many steps is no higher at eps than at eps / 2, or at
            eps / 2 no higher than at the clean image.
    """

    norms: NDArray[np.float64]
    cosine: float
    loss_ratio: float
    falls: NDArray[np.bool_]


def slopes(scorer: Scorer, images: UInt8Images, labels: Labels, probe: Probe) -> Slopes:
    """The gradients of a white-box net at N images, whose classes `labels` are (N,)."""
    from evofool.attacks.gradient.losses import Goal

    goal = Goal(scorer.classifier, labels, np.full(len(labels), -1, np.int64))
    values = scorer.gradients(images, goal.climb).values
    norms = np.sqrt((values.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
    one = FGSM(eps=probe.eps, loss="margin")(scorer, images, labels)
    halfway, many = (
        IFGSM(
            eps=share * probe.eps,
            step_size=share * probe.step_size,
            steps=probe.steps,
            early_stop=False,
            loss="margin",
        )(scorer, images, labels)
        for share in (0.5, 1.0)
    )
    start = to_float(images)
    angle = cosines(one.images_float - start, many.images_float - start)
    defined = angle[~np.isnan(angle)]
    clean, once, half, lost = (
        _loss(scorer, pixels, labels)
        for pixels in (start, one.images_float, halfway.images_float, many.images_float)
    )
    return Slopes(
        norms,
        float(defined.mean()) if len(defined) else float("nan"),
        float(once.mean() / lost.mean()) if lost.mean() > 0 else float("nan"),
        (half <= clean) | (lost <= half),
    )


def diagnose(
    defended: Scorer,
    undefended: Scorer,
    images: UInt8Images,
    labels: Labels,
    probe: Probe,
) -> Measured:
    """All diagnostics of `defended` but `black_minus_white`, each with the numbers it is made of.

    Args:
        defended: the net that is judged, its gradients as they are.
        undefended: what ratios are taken to.
        images: uint8 N x C x H x W.
        labels: their classes, (N,).
        probe: radius and steps.
    """
    one = FGSM(eps=probe.eps, loss="margin")(defended, images, labels)
    many = _pgd(defended, images, labels, probe, probe.eps, probe.step_size)
    far = _pgd(defended, images, labels, probe, 1.0, 0.05)
    lucky = _random(defended, images, labels, probe, ~many.success)
    own, other = (slopes(s, images, labels, probe) for s in (defended, undefended))
    n = len(images)
    measured: Measured = {
        "one_minus_many": (
            _rate(one) - _rate(many),
            f"one step: {_rate(one):.1%} errors, {probe.steps} steps: {_rate(many):.1%}",
        ),
        "unbounded": (_rate(far), f"without a bound: {_rate(far):.1%} errors"),
        "random_minus_gradient": (
            float(lucky.sum() / n),
            f"{probe.random_points} random points find {lucky.sum()} of {n} images more",
        ),
        "loss_not_rising": (
            float(own.falls.mean()),
            f"the loss of {own.falls.sum()} of {n} images does not rise up to eps",
        ),
        "dead_gradients": (
            float((own.norms == 0).mean()),
            f"{(own.norms == 0).sum()} of {n} gradients are zero",
        ),
    }
    mine, theirs = float(np.median(own.norms)), float(np.median(other.norms))
    measured["gradient_norm_ratio"] = (
        mine / theirs if theirs > 0 else None,
        f"median length {mine:.3g}, undefended {theirs:.3g}",
    )
    measured["cosine_ratio"] = _ratio(own.cosine, other.cosine, "mean cosine")
    measured["loss_ratio"] = _ratio(own.loss_ratio, other.loss_ratio, "loss of one step over many")
    return measured


def black_minus_white(
    white: Mapping[str, float], black: Mapping[str, float], images: int
) -> tuple[float | None, str]:
    """How much better the best attack without gradients is than the best with them.

    Args:
        white: error rates of white-box attacks that do not know the defense, by name.
        black: error rates of attacks without its gradients, at the same radius, by name.
        images: of which the rates are.
    """
    w, b = max(white, key=white.__getitem__), max(black, key=black.__getitem__)
    shown = f"{b}: {rate(black[b], images)} errors, {w}: {rate(white[w], images)}"
    return black[b] - white[w], shown


def cosines(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosines between perturbations `first` and `second`, both N x C x H x W, as (N,).

    The cosine is NaN where either perturbation is zero.
    """
    a = np.asarray(first, np.float64).reshape(len(first), -1)
    b = np.asarray(second, np.float64).reshape(len(second), -1)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine: NDArray[np.float64] = (a * b).sum(axis=1) / lengths
    return np.where(lengths > 0, cosine, np.nan)


def _ratio(own: float, other: float, what: str) -> tuple[float | None, str]:
    if np.isnan(own) or np.isnan(other) or other <= 0:
        return None, f"{what}: no gradient to measure"
    return own / other, f"{what} {own:.2f}, undefended {other:.2f}"


def _rate(result: AttackResult) -> float:
    return float(result.success.mean())


def _pgd(
    scorer: Scorer, images: UInt8Images, labels: Labels, probe: Probe, eps: float, size: float
) -> AttackResult:
    attack = PGD(eps=eps, step_size=size, steps=probe.steps, loss="margin", seed=probe.seed)
    return attack(scorer, images, labels)


def _random(
    scorer: Scorer, images: UInt8Images, labels: Labels, probe: Probe, rows: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of `rows` some random picture of the ball is taken for something else."""
    levels = int(probe.eps * 255 + 1e-3)
    wrong = np.zeros(len(images), np.bool_)
    reject = scorer.classifier.reject
    for row in np.flatnonzero(rows).tolist():
        rng = generator(probe.seed, Stream.NOISE, row, 0)
        shape = (probe.random_points, *images.shape[1:])
        noise = rng.integers(-levels, levels + 1, shape, dtype=np.int16)
        points = np.clip(images[row].astype(np.int16) + noise, 0, 255).astype(np.uint8)
        answers = scorer.labels(points)
        wrong[row] = bool(((answers != labels[row]) & (answers != reject)).any())
    return wrong


def _loss(scorer: Scorer, images: FloatImages, labels: Labels) -> NDArray[np.float64]:
    """-log p of the label."""
    odds = scorer.score(images).log_odds[np.arange(len(labels)), labels]
    loss: NDArray[np.float64] = np.logaddexp(0.0, -odds)
    return loss
