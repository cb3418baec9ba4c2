"""What a run of attacks consists of, as far as its files and its checks need to be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from evofool.classifiers import Classifier
from evofool.config import AttackCampaign, Loaded
from evofool.experiments.attack.held_back import AttackHeldBack
from evofool.experiments.attack.works import AttackOnImages, JudgedImages
from evofool.experiments.engine import Plan


class AttackParts(Protocol):
    """The parts of an `evofool.experiments.attack.study.AttackStudy`, which draws and checks them.

    A study imports what draws and checks it, so these name the parts and not the study.
    """

    @property
    def loaded(self) -> Loaded[AttackCampaign]:
        """The config."""

    @property
    def plan(self) -> Plan:
        """All works."""

    @property
    def victim(self) -> Classifier:
        """The classifier."""

    @property
    def judged(self) -> JudgedImages:
        """The clean images."""

    @property
    def attacks(self) -> Sequence[AttackOnImages]:
        """The attacks by their number."""

    @property
    def held_back(self) -> Sequence[AttackHeldBack]:
        """Of each attack what its pictures are worth under other transforms, if there are any."""
