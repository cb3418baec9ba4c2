"""What all attacks share: parameters that are checked once, and the way they are called."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias, get_args, get_type_hints

from numpy.typing import ArrayLike

from evofool.attacks.gradient.losses import LossName
from evofool.attacks.job import BudgetSpent, Job
from evofool.attacks.lattice.levels import Norm, effective_eps
from evofool.attacks.result import AttackResult
from evofool.attacks.trace import Trace
from evofool.classifiers import Classifier
from evofool.errors import UsageError
from evofool.images import Size
from evofool.render.masks import Booleans, Mask
from evofool.scoring import Scorer
from evofool.text import suggestion

Needs: TypeAlias = Literal["gradients", "scores", "labels"]
"""The least that a victim must give: each includes those after it."""
Aim: TypeAlias = Literal["untargeted", "targeted", "both", "any"]
"""``any``: to be taken for whatever class, so neither labels nor targets are needed."""


LARGEST: dict[Norm, float] = {"linf": 1.0, "l2": 1e4, "l1": 1e8, "l0": 1e8}
"""Sizes above these are slips: values lie on [0, 1]."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of an attack: its name, the type a config may give, and its default."""

    name: str
    type: Any
    default: Any
    required: bool = False


@dataclass(frozen=True)
class Attack(ABC):
    """An attack with its parameters; call it with a scorer and images.

    Attributes:
        seed: of all its random draws, which are keyed by (seed, image) and no batch.
        mask: where pictures may be changed; None is everywhere. Outside it every picture stays as
            it is, bit for bit: the victim is never shown another one.
    """

    name: ClassVar[str]
    """As in a config."""
    needs: ClassVar[Needs] = "gradients"
    aim: ClassVar[Aim] = "both"
    paper: ClassVar[str] = ""
    whole: ClassVar[bool] = False
    """Whether a run must give it all images in one call, since each call has a cost of its own
    (training a substitute, for example)."""

    one_class: ClassVar[bool] = False
    """Whether it needs classes that exclude each other."""

    seed: int = 0
    mask: Mask | None = field(default=None, kw_only=True, metadata={"unless_set": True})

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            wanted = "at least 0 and below 2^63"
            raise UsageError(f"{self.name}: seed must be {wanted}, not {self.seed}")
        if "eps" in (field.name for field in fields(self)):
            self.check_positive("eps")

    def check_positive(self, *names: str) -> None:
        """Refuse parameters that are not finite numbers above 0."""
        for name in names:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{self.name}: {name} must be above 0, not {value}")
            if value > LARGEST.get(self.norm_of if name == "eps" else "l2", 1.0):
                raise UsageError(
                    f"{self.name}: {name} {value:g} is larger than any change of a picture can"
                    " be; sizes are fractions of 1 (8/255, not 8)"
                )

    def check_choice(self, name: str, known: tuple[str, ...]) -> None:
        """Refuse a parameter that is none of `known`."""
        if getattr(self, name) not in known:
            value = getattr(self, name)
            raise UsageError(
                f"{self.name}: {name} {value!r} is not one of {', '.join(known)}"
                f"{suggestion(str(value), known)}"
            )

    def check_loss(self) -> None:
        """Refuse an unknown `loss`."""
        self.check_choice("loss", get_args(LossName))

    @property
    def norm_of(self) -> Norm:
        """The norm that `eps` is meant in."""
        norm: Norm = getattr(self, "norm", "linf")
        return norm

    @property
    def most_queries(self) -> int | None:
        """Most queries for an image, judging included, as far as the parameters tell; else None."""
        return None

    @property
    def least_confidence(self) -> float:
        """Confidence on [0, 1) that a picture must exceed as well to count as a success: in its
        target, or, of attacks without a goal, in any class."""
        return 0.0

    def __call__(
        self,
        scorer: Scorer,
        images: object,
        labels: ArrayLike | None = None,
        *,
        targets: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        trace: Trace | None = None,
    ) -> AttackResult:
        """Attack `images`.

        Args:
            scorer: the victim; its counters and budget apply.
            images: N x C x H x W of the victim's shape: uint8, or floats on the lattice k/255.
            labels: (N,) integers, the true classes; needed for untargeted attacks.
            targets: (N,) integers, the classes to be taken for; they make the attack targeted.
            ids: (N,) integers that key the random draws; by default 0..N-1. With an image's own
                number its result does not depend on which others are attacked with it.
            trace: notes how far each image has come at what cost, of a targeted attack. No picture
                then counts as done before the steps or queries of the attack are spent.

        Raises:
            UsageError: labels out of range or missing, a target that is the true class, targets for
                an attack that takes none.
            ImageError: images of the wrong shape or off the lattice.
            ScoringError: the victim cannot give what the attack needs.
            BudgetError: the budget is too small even to judge the results. One that ends midway
                raises nothing, but shows in `AttackResult.complete` and in the notes.
        """
        self.check_victim(scorer.classifier)
        allowed = self.allowed(scorer.classifier.input_shape[1:])
        own = None if self.aim == "any" else labels  # which then are nothing to get away from
        if trace is not None and targets is None:
            raise UsageError(f"{self.name}: a trace records searches for a class: give targets")
        job = Job(scorer, images, own, targets, ids, self.seed, trace, allowed)
        self.check_aim(labels is not None, targets is not None)
        job.threshold = self.least_confidence if trace is None else math.inf
        if len(job):
            try:
                self.craft(job)
                job.open[:] = False
            except BudgetSpent:
                pass
        job.threshold = self.least_confidence
        eps: float | None = getattr(self, "eps", None)
        notes = []
        if eps is not None and effective_eps(eps, self.norm_of) == 0:
            notes.append(
                f"eps {eps:g} is below one level of 8 bits (1/255 = .0039): no picture can show it"
            )
        return job.result(self.name, eps, self.norm_of, notes)

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """The parameters that a config may give, in the order of the signature."""
        hints = get_type_hints(cls)
        return tuple(
            Parameter(
                each.name,
                hints[each.name],
                None if _required(each) else _default(each),
                _required(each),
            )
            for each in fields(cls)
            if hints[each.name] is not object  # arrays, which only Python can give
        )

    def allowed(self, size: Size) -> Booleans | None:
        """The mask on pictures of `size`, height x width, or None for all of it.

        Raises:
            UsageError: the mask holds no pixel or all, or its picture does not fit.
        """
        if self.mask is None:
            return None
        try:
            mask = self.mask.pinned()
            mask.check(size)
        except ValueError as error:
            raise UsageError(f"{self.name}: mask: {error}") from error
        return mask.raster(size)

    def plain_parameters(self) -> dict[str, Any]:
        """The parameters by name, without the seed: those by which attacks of a grid differ."""
        known = {each.name for each in self.parameters()} - {"seed"}
        if self.mask is None:  # results are what they were before there were masks
            known -= {"mask"}
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name in known}

    @abstractmethod
    def craft(self, job: Job) -> None:
        """Move `job.x` (and `job.pixels`) towards the goal; what is done leaves `job.open`."""

    def check_victim(self, victim: Classifier) -> None:
        """Refuse a victim that cannot give what the attack needs.

        Raises:
            UsageError: with the attacks that would do.
        """
        self.allowed(victim.input_shape[1:])
        if self.needs == "gradients" and not victim.white_box:
            raise UsageError(
                f"{self.name} needs gradients, which {victim.name} does not give; use a"
                " black-box attack (square, nes, one-pixel, substitute)"
            )
        if self.one_class and victim.multi_label:
            raise UsageError(
                f"{self.name} is for nets that choose one class, and {victim.name} may claim"
                " several (task: multi-label); use fgsm, pgd, deepfool, jsma-simplified,"
                " carlini-wagner, square or nes"
            )
        if self.needs == "scores" and victim.output == "label":
            raise UsageError(
                f"{self.name} needs confidences, but {victim.name} gives only labels; use"
                " substitute"
            )

    def check_aim(self, labels: bool, targets: bool) -> None:
        """Refuse labels or targets that the attack cannot use, or that are missing."""
        if targets and self.aim in ("untargeted", "any"):
            raise UsageError(f"{self.name} is untargeted: it takes no targets")
        if not targets and self.aim == "targeted":
            raise UsageError(f"{self.name} is targeted: give targets")
        if not targets and not labels and self.aim != "any":
            raise UsageError(
                f"{self.name}: give labels (to make the victim answer anything else) or targets"
            )


def _required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _default(each: Field[Any]) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default
