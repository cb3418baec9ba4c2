"""`check_attack` finds deliberate faults, each by its own name, and lets a correct one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from evofool.attacks import FGSM, Attack, AttackResult, Rubbish
from evofool.attacks.base import Aim, Needs
from evofool.attacks.job import Job
from evofool.testing import ConformanceError, check_attack

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "corners.py"
LINEAR = f"{Path(__file__).parents[1] / 'toys' / 'linear.py'}:victim"


@dataclass(frozen=True)
class Steps(Attack):
    """A correct attack of a third party: a few steps along the gradient, then one at random."""

    name: ClassVar[str] = "steps"
    eps: float = 12 / 255
    steps: int = 3

    def craft(self, job: Job) -> None:
        rows = job.rows()
        for number in range(self.steps):
            gradients = job.gradients(rows, job.x, self.loss(job)).values
            moved = job.x + np.float32(self.eps / self.steps) * np.sign(gradients)
            noise = np.stack([job.rng(row, number).uniform(-1, 1, job.x.shape[1:]) for row in rows])
            moved += np.float32(self.eps / 100) * noise
            job.x = self.inside(job, moved).astype(np.float32)
            job.touch(rows)

    def loss(self, job: Job) -> Any:
        return lambda outputs, rows: job.goal.loss("margin", outputs, rows)

    def inside(self, job: Job, moved: Any) -> Any:
        return np.clip(np.clip(moved, job.start - self.eps, job.start + self.eps), 0, 1)


@dataclass(frozen=True)
class LeavesTheBall(Steps):
    def inside(self, job: Job, moved: Any) -> Any:
        return np.clip(job.start + 1.5 * (moved - job.start), 0, 1)


@dataclass(frozen=True)
class LeavesTheBallByOneLevel(Steps):
    def craft(self, job: Job) -> None:
        super().craft(job)
        far = np.sign(job.x - job.start).astype(int)
        pixels = np.clip(job.on_lattice(job.rows()).astype(int) + far, 0, 255).astype(np.uint8)
        job.pixels.update(enumerate(pixels))
        job.touch(job.rows())


@dataclass(frozen=True)
class DoesNotClip(Steps):
    eps: float = 0.6

    def inside(self, job: Job, moved: Any) -> Any:
        return np.clip(moved, job.start - self.eps, job.start + self.eps)


@dataclass(frozen=True)
class OffTheLattice(Steps):
    def __call__(self, *arguments: Any, **options: Any) -> AttackResult:
        result = super().__call__(*arguments, **options)
        return replace(result, pixels=result.images_float)  # type: ignore[arg-type]


@dataclass(frozen=True)
class OneGenerator(Steps):
    def craft(self, job: Job) -> None:
        noise = np.random.default_rng(self.seed).uniform(-self.eps, self.eps, job.x.shape)
        job.x = self.inside(job, job.start + noise).astype(np.float32)
        job.scores(job.rows(), job.x)


@dataclass(frozen=True)
class LooksAtTheOthers(Steps):
    def craft(self, job: Job) -> None:
        gradients = job.gradients(job.rows(), job.x, self.loss(job)).values
        shared = np.sign(gradients + gradients.mean(axis=0))
        job.x = self.inside(job, job.x + np.float32(self.eps) * shared).astype(np.float32)


@dataclass(frozen=True)
class NoSeed(Steps):
    def craft(self, job: Job) -> None:
        noise = np.random.default_rng().uniform(-self.eps, self.eps, job.x.shape)
        job.x = self.inside(job, job.start + noise).astype(np.float32)
        job.scores(job.rows(), job.x)


@dataclass(frozen=True)
class ClaimsAll(Steps):
    def __call__(self, *arguments: Any, **options: Any) -> AttackResult:
        result = super().__call__(*arguments, **options)
        return replace(result, success=np.ones_like(result.success))


@dataclass(frozen=True)
class JudgesTheFloats(Steps):
    """Scores other pictures than those it hands back."""

    def craft(self, job: Job) -> None:
        super().craft(job)
        rows = job.rows()
        far = np.clip(job.start + 20 * (job.x - job.start), 0, 1).astype(np.float32)
        job.known(rows, job.scores(rows, far))


@dataclass(frozen=True)
class ForgetsToTouch(Steps):
    def craft(self, job: Job) -> None:
        super().craft(job)
        job.check(job.rows())
        job.x = job.start.copy()


@dataclass(frozen=True)
class IgnoresTargets(Steps):
    def loss(self, job: Job) -> Any:
        labels = torch.from_numpy(job.labels)
        return lambda outputs, rows: torch.nn.functional.cross_entropy(
            outputs, labels[rows], reduction="none"
        )


@dataclass(frozen=True)
class AimsAtZero(Steps):
    aim: ClassVar[Aim] = "targeted"

    def loss(self, job: Job) -> Any:
        return lambda outputs, rows: outputs[:, 0] - outputs[:, 1:].amax(1)


@dataclass(frozen=True)
class PastTheScorer(Steps):
    def craft(self, job: Job) -> None:
        module = job.scorer.classifier.module
        assert module is not None
        with torch.no_grad():
            module(torch.from_numpy(job.x))
        super().craft(job)


@dataclass(frozen=True)
class PastTheJob(Steps):
    def craft(self, job: Job) -> None:
        job.scorer.confidence(job.x)
        super().craft(job)


@dataclass(frozen=True)
class SwallowsTheBudget(Steps):
    def craft(self, job: Job) -> None:
        try:
            super().craft(job)
        except Exception:  # as many a script does
            return


@dataclass(frozen=True)
class ChangesItsImages(Steps):
    def craft(self, job: Job) -> None:
        super().craft(job)
        job.clean[:] = job.on_lattice(job.rows())


@dataclass(frozen=True)
class GivesNaN(Steps):
    def craft(self, job: Job) -> None:
        super().craft(job)
        pixels = job.on_lattice(job.rows())
        job.pixels.update(enumerate(pixels))
        job.x[:, :, 0, 0] = np.nan


@dataclass(frozen=True)
class Raises(Steps):
    def craft(self, job: Job) -> None:
        raise KeyError("nothing")


TWINS: list[tuple[type[Attack], str]] = [
    (LeavesTheBall, "it leaves its ball"),
    (LeavesTheBallByOneLevel, "it leaves its ball"),
    (DoesNotClip, "its float images are not images on"),
    (OffTheLattice, "its pictures do not lie on the 8-bit lattice"),
    (OneGenerator, "the result of an image depends on the others"),
    (LooksAtTheOthers, "the result of an image depends on the others"),
    (NoSeed, "it gives other pictures the second time"),
    (ClaimsAll, "it claims success for pictures that do not fool"),
    (JudgesTheFloats, "it claims other (answers|confidences)"),
    (ForgetsToTouch, "it claims other (answers|confidences)"),
    (IgnoresTargets, "it ignores its targets"),
    (AimsAtZero, "it ignores its targets"),
    (PastTheScorer, "images are sent to the victim that nobody counts"),
    (PastTheJob, "passes are not booked on the images they are for"),
    (SwallowsTheBudget, "a spent budget does not end it in good order"),
    (ChangesItsImages, "its result is of other images, labels or targets"),
    (GivesNaN, "its float images are not images on"),
    (Raises, "it raises KeyError"),
]


@pytest.mark.parametrize(
    "attack",
    [
        Steps,
        Steps(eps=0.3, steps=1, seed=7),
        FGSM(eps=0.02),
        Rubbish,
        "deepfool",
        f"{EXAMPLE}:RandomCorners",
    ],
    ids=str,
)
def test_correct_ones_pass(attack: Any) -> None:
    check_attack(attack)


def test_with_a_victim_and_images_of_ones_own() -> None:
    images = np.random.default_rng(2).integers(0, 256, (5, 1, 6, 6), dtype=np.uint8)
    check_attack(Steps, LINEAR, images)
    check_attack(Steps(eps=0.1), LINEAR, images / 255, np.arange(5))


@pytest.mark.parametrize(("twin", "what"), TWINS, ids=[twin.__name__ for twin, _ in TWINS])
def test_a_broken_twin_is_found(twin: type[Attack], what: str) -> None:
    with pytest.raises(
        ConformanceError, match=rf"does not conform: .*\n\n(.|\n)*\d\. ({what})"
    ) as e:
        check_attack(twin)
    assert all(fault.mend for fault in e.value.faults)


def test_what_is_no_attack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConformanceError, match="dict is not an attack"):
        check_attack({"name": "fgsm"})  # type: ignore[arg-type]
    with pytest.raises(ConformanceError, match="did you mean 'fgsm'"):
        check_attack("fgms")
    with pytest.raises(ConformanceError, match="cannot be read"):
        check_attack(f"{tmp_path}/gone.py:Mine")


@dataclass(frozen=True)
class Unaimed(Steps):
    needs: ClassVar[Needs] = "gradients"
    aim: ClassVar[Aim] = "untargeted"

    def loss(self, job: Job) -> Any:
        return IgnoresTargets.loss(self, job)  # type: ignore[arg-type]


def test_one_that_says_it_has_no_targets_need_not_heed_them() -> None:
    check_attack(Unaimed)
