"""The dry run of a run of attacks: what would be run, and what is missing for it."""

from __future__ import annotations

from dataclasses import dataclass

from evofool.attacks.runs.planning import Planned, planned_attacks
from evofool.classifiers import Inspection
from evofool.config import AttackCampaign, Loaded
from evofool.errors import ImageError
from evofool.experiments.attack.sources import read_all
from evofool.experiments.attack.study import open_images, prepared
from evofool.scoring.setup import inspect_victim, inspection_of

DRY_IMAGES = 1000
"""Images that a dry run reads."""


@dataclass(frozen=True)
class AttackPlan:
    """The result of a dry run: what would be run, and what is missing for it.

    Attributes:
        config: checked.
        classifier: the victim, and what is missing to run it.
        attacks: every combination of every grid.
        images: how many there are, None where that cannot be known without the victim.
        notes: on the images.
    """

    config: AttackCampaign
    classifier: Inspection
    attacks: tuple[Planned, ...]
    images: int | None
    notes: tuple[str, ...] = ()


def plan(loaded: Loaded[AttackCampaign]) -> AttackPlan:
    """Check a config without attacking anything; of the images the first thousand are read.

    Raises:
        ConfigError: whatever can be known to be wrong on this machine.
    """
    victim = inspect_victim(loaded)
    attacks = planned_attacks(loaded)
    if not victim.ready:
        return AttackPlan(loaded.config, victim, attacks, None)
    resolved, scorer, attacks = prepared(loaded)
    classifier = scorer.classifier
    source = open_images(loaded, classifier)
    try:
        faults = read_all(source, DRY_IMAGES)
    except ImageError as error:
        raise loaded.error_at("images", str(error)) from error
    notes = (*source.notes, *faults)
    return AttackPlan(resolved.config, inspection_of(classifier), attacks, len(source), notes)
