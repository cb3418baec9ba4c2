"""Attack a substitute, send the pictures to the victim: the black-box attack by labels alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

from evofool.attacks.base import Attack, Needs
from evofool.attacks.gradient.one_step import FGSM
from evofool.attacks.job import BudgetSpent, Job
from evofool.attacks.lattice.levels import Norm
from evofool.attacks.result import NONE
from evofool.attacks.substitute.learning import (
    BATCH,
    Substitute,
    SubstituteSettings,
    train_substitute,
)
from evofool.classifiers import Classifier, load_classifier
from evofool.errors import AttackError, BudgetError, EvofoolError, UsageError
from evofool.images import to_float
from evofool.scoring import Scorer


@dataclass(frozen=True)
class SubstituteAttack(SubstituteSettings, Attack):
    """Trains a substitute on the victim's labels and attacks that; its images may fool the victim.

    Papernot et al., AsiaCCS 2017, 1602.02697. With `substitute` given, its second strategy: an
    existing net for the same classes, no training and no query but those that judge the results.

    The parameters of `SubstituteSettings` determine how a substitute is trained. Queries for it
    belong to no single image of the call: `AttackResult.forward_shared`. To use one substitute for
    several attacks, or to see its rounds, call `train_substitute` and give its `classifier`.

    Attributes:
        inner: the attack on the substitute; one that stops early leaves images that just cross the
            substitute's boundary, which transfer badly.
        substitute: a classifier or the name of one, or None to train one.
        start_images: pictures to start training from; by default the images of the call, which
            then decide the result together.
        initial: how many of them, the first ones.
    """

    name: ClassVar[str] = "substitute"
    one_class: ClassVar[bool] = True
    needs: ClassVar[Needs] = "labels"
    whole: ClassVar[bool] = True
    paper: ClassVar[str] = "Papernot et al., AsiaCCS 2017"

    inner: Attack = field(default_factory=lambda: FGSM(eps=0.3))
    substitute: Classifier | str | None = None
    start_images: object = field(default=None, repr=False, compare=False)
    initial: int = 150

    def __post_init__(self) -> None:
        Attack.__post_init__(self)
        SubstituteSettings.__post_init__(self)
        if self.initial < 1:
            raise UsageError(f"{self.name}: initial must be at least 1, not {self.initial}")
        if isinstance(self.inner, SubstituteAttack):
            raise UsageError(f"{self.name}: inner cannot be another substitute attack")
        if self.inner.aim == "any":
            raise UsageError(f"{self.name}: inner cannot be {self.inner.name}, which has no goal")

    @property
    def eps(self) -> float | None:
        """The radius of the inner attack, where it has one."""
        eps: float | None = getattr(self.inner, "eps", None)
        return eps

    @property
    def norm_of(self) -> Norm:
        return self.inner.norm_of

    def check_victim(self, victim: Classifier) -> None:
        """Refuse also a `substitute` for other images or classes, or that `inner` cannot attack.

        Raises:
            AttackError: it cannot be loaded or does not fit.
        """
        super().check_victim(victim)
        try:
            net = self._given
        except EvofoolError as error:
            raise AttackError(f"{self.name}: {error}", "substitute") from error
        if net is None:
            return
        for what, own, wanted in (
            ("images of shape", net.input_shape, victim.input_shape),
            ("classes:", net.n_classes, victim.n_classes),
        ):
            if own != wanted:
                raise AttackError(
                    f"{self.name}: {net.name} has {what} {own}, but the victim {victim.name} has"
                    f" {wanted}; use a net for the same images and classes",
                    "substitute",
                )
        try:
            self.inner.check_victim(net)
        except UsageError as error:
            raise AttackError(f"{self.name}: {error}", "substitute") from error

    def check_aim(self, labels: bool, targets: bool) -> None:
        super().check_aim(labels, targets)
        try:
            self.inner.check_aim(labels, targets)  # before a substitute is trained for nothing
        except UsageError as error:
            raise UsageError(f"{self.name}: inner: {error}") from error

    @cached_property
    def _given(self) -> Classifier | None:
        """The existing net, loaded once."""
        given = self.substitute
        return load_classifier(given) if isinstance(given, str) else given

    def craft(self, job: Job) -> None:
        stand_in, complete = self._stand_in(job)
        labels = None if (job.labels == NONE).any() else job.labels
        targets = job.targets if job.targeted else None
        with Scorer(stand_in, engine="torch", batch=BATCH) as own:
            inner = self.inner if self.mask is None else replace(self.inner, mask=self.mask)
            result = inner(own, job.clean, labels, targets=targets, ids=job.ids)
        job.notes += [f"on the substitute: {note}" for note in result.notes]
        job.notes.append(
            f"{int(result.success.sum())} of {len(result)} fool the substitute itself, which"
            f" took {result.forward_images} forward and {result.backward_images} backward images"
        )
        job.x = to_float(result.pixels)
        job.pixels.update(enumerate(result.pixels))
        job.touch(job.rows())
        if not complete:
            raise BudgetSpent("the query budget ended before the substitute was trained")

    def _stand_in(self, job: Job) -> tuple[Classifier, bool]:
        """The net to attack, and whether its training was not cut off."""
        if self._given is not None:
            job.notes.append(f"the substitute is {self._given.name} ({self._given.digest[:12]})")
            return self._given, True
        start = job.clean if self.start_images is None else self.start_images
        images = start[: self.initial]  # type: ignore[index]
        try:
            taught = train_substitute(job.scorer, images, self, reserve=len(job))
        except BudgetError as error:
            raise BudgetSpent(str(error)) from error
        job.forward_shared += taught.queries * job.scorer.classifier.passes
        job.notes.append(_story(taught))
        return taught.classifier, taught.complete


def _story(taught: Substitute) -> str:
    ahead = ", ".join(f"{r.agreement_ahead:.0%}" for r in taught.rounds[:-1])
    return (
        f"a substitute was trained on {taught.queries} labels in {len(taught.rounds)} rounds"
        + (f"; it agreed with {ahead} of the next round's" if ahead else "")
        + ("" if taught.complete else "; the query budget ended its training early")
    )
