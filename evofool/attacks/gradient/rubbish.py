"""Noise that a victim takes for something: Goodfellow's rubbish-class test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evofool.attacks.base import Aim, Attack, Needs
from evofool.attacks.job import Job
from evofool.errors import UsageError


@dataclass(frozen=True)
class Rubbish(Attack):
    """No attack at all: counts the pictures of noise that some class is claimed for.

    A success ("error" in the paper) is any class with more than `threshold` (Goodfellow et al.,
    ICLR 2015, section 7). Their other test, one sign step from noise towards a class, is `FGSM`
    with targets on noise.

    Attributes:
        threshold: confidence from which a claim counts.
    """

    name: ClassVar[str] = "rubbish"
    needs: ClassVar[Needs] = "scores"
    aim: ClassVar[Aim] = "any"
    paper: ClassVar[str] = "Goodfellow et al., ICLR 2015"

    threshold: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold < 1:
            raise UsageError(
                f"{self.name}: threshold must be at least 0 and below 1, not {self.threshold}"
            )

    @property
    def most_queries(self) -> int:
        return 1

    @property
    def least_confidence(self) -> float:
        return self.threshold

    def craft(self, job: Job) -> None:
        """The pictures are judged as they are."""
