"""From a config to the attacks of a run, in order, with every error at its place in the config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.attacks.base import Attack
from evofool.attacks.registry import grid, parameters_of, title
from evofool.attacks.sources import Source, open_source, read_all
from evofool.attacks.transfer import SubstituteAttack
from evofool.classifiers import Classifier, Inspection
from evofool.config import AttackCampaign, Loaded, class_index
from evofool.config.attack import AIMS
from evofool.config.document import KeyPath
from evofool.errors import AttackError, ImageError, StoreError, UsageError
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer
from evofool.scoring.setup import inspect_victim, inspection_of, make_scorer, make_victim
from evofool.store import ImageRow, ResultRow
from evofool.store.attack_schema import NONE

CHUNK_VALUES = 3_000_000
"""Pixel values an attack gets at a time unless the config says how many images."""
MOST_CHUNK = 256
DRY_IMAGES = 1000
"""Images that a dry run reads."""


@dataclass(frozen=True)
class Planned:
    """One attack of a run.

    Attributes:
        index: its number, in names of files.
        entry: position of its entry in the config.
        attack: with its parameters.
        name: as in the config; of an attack in a file, without the file's folder.
        parameters: as JSON values, the seed first.
        targets: one of `AIMS`, or a class.
    """

    index: int
    entry: int
    attack: Attack
    name: str
    parameters: dict[str, Any]
    targets: int | str


@dataclass
class Parts:
    """Everything a run of attacks needs. `config` is resolved: nothing in it says auto."""

    config: AttackCampaign
    loaded: Loaded[AttackCampaign]
    classifier: Classifier
    scorer: Scorer
    attacks: tuple[Planned, ...]

    def items(self, images: Sequence[ImageRow]) -> dict[int, list[tuple[int, int]]]:
        """(image, target) of all that each attack is to do, by its number."""
        victim = self.classifier
        return {
            each.index: items_of(each, images, victim.n_classes, self.config.seed, victim.reject)
            for each in self.attacks
        }


@dataclass(frozen=True)
class AttackPlan:
    """What a dry run finds out.

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
    parts = make_parts(loaded)
    with parts.scorer:
        source = open_images(loaded, parts.classifier)
        try:
            faults = read_all(source, DRY_IMAGES)
        except ImageError as error:
            raise loaded.error_at("images", str(error)) from error
        known = inspection_of(parts.classifier)
        notes = (*source.notes, *faults)
        return AttackPlan(parts.config, known, parts.attacks, len(source), notes)


def make_parts(
    loaded: Loaded[AttackCampaign],
    before: Callable[[int], None] | None = None,
    engine: Callable[[Loaded[Any], Classifier], str] | None = None,
) -> Parts:
    """The victim, its scorer and the attacks.

    Args:
        loaded: the config.
        before: called before every request to the victim, see `Scorer`.
        engine: chooses what scores the victim in place of the config's engine.

    Raises:
        ConfigError: the config does not fit the victim or this machine.
    """
    planned_attacks(loaded)  # before a victim is loaded for nothing
    victim = make_victim(loaded)
    attacks = planned_attacks(loaded, victim.labels)
    for each in attacks:
        place: KeyPath = ("attacks", each.entry)
        try:
            each.attack.check_victim(victim)
        except UsageError as error:
            option = error.option if isinstance(error, AttackError) else None
            raise loaded.error_at((*place, option) if option else place, str(error)) from error
        if each.targets == victim.reject and victim.reject is not None:
            raise loaded.error_at(
                place, f"targets: class {victim.reject} is {victim.name}'s for no answer; to be"
                " put there fools nobody"
            )  # fmt: skip
        if each.targets == "least_likely" and victim.output == "label":
            raise loaded.error_at(
                place, f"{victim.name} gives labels only: nothing is least likely"
            )
    chosen = None if engine is None else engine(loaded, victim)
    scorer, scoring = make_scorer(loaded, victim, before=before, engine=chosen)
    chunk = loaded.config.chunk
    if chunk is None:
        channels, height, width = victim.input_shape
        chunk = max(1, min(MOST_CHUNK, CHUNK_VALUES // (channels * height * width)))
    config = loaded.config.model_copy(update={"scoring": scoring, "chunk": chunk})
    return Parts(config, loaded, victim, scorer, attacks)


def open_images(loaded: Loaded[AttackCampaign], victim: Classifier) -> Source:
    """The images of a config, which its budget covers.

    Raises:
        ConfigError: there are none, they do not fit the victim, or the budget is too small.
    """
    source = open_source(loaded, victim)
    budget = loaded.config.scoring.budget
    if budget is not None and budget - victim.probed <= len(source):
        probe = f" and the {victim.probed} of the probe" if victim.probed else ""
        raise loaded.error_at(
            "scoring.budget",
            f"{budget} queries are spent on the {len(source)} clean images{probe} alone;"
            " raise it, or set images.limit",
        )
    return source


def planned_attacks(
    loaded: Loaded[AttackCampaign], labels: Sequence[str] | None = None
) -> tuple[Planned, ...]:
    """Every combination of every grid, in order.

    Args:
        loaded: the config.
        labels: the victim's, to look up targets by; None leaves labels as they are.

    Raises:
        ConfigError: an unknown attack or parameter, a bad value, or targets that do not fit.
    """
    config = loaded.config
    found: list[Planned] = []
    for position, entry in enumerate(config.attacks):
        key: KeyPath = ("attacks", position)
        options = {"seed": config.seed, **entry.options}
        try:
            attacks = list(grid(entry.name, options))
        except AttackError as error:
            option = error.option if error.option in entry.options else None
            raise loaded.error_at((*key, option) if option else key, str(error)) from error
        own = entry.targets is not None
        where: KeyPath = (*key, "targets") if own else ("targets",)
        wanted: int | str = config.targets if entry.targets is None else entry.targets
        if labels is not None and wanted not in AIMS:
            wanted = class_index(loaded, where, wanted, labels)
        for attack in attacks:
            targets = _fitting(loaded, key, attack, wanted, own)
            parameters = {"seed": attack.seed, **parameters_of(attack)}
            found.append(
                Planned(len(found), position, attack, title(entry.name), parameters, targets)
            )
    return tuple(found)


def _fitting(
    loaded: Loaded[AttackCampaign], key: KeyPath, attack: Attack, targets: int | str, own: bool
) -> int | str:
    """The targets that an attack takes of those that are set for it (`own`), or for all."""
    aim, name = attack.aim, attack.name
    if isinstance(attack, SubstituteAttack) and attack.inner.aim != "both":
        aim, name = attack.inner.aim, f"{name}: {attack.inner.name}"
    if aim in ("untargeted", "any") and targets != "none":
        if own:
            raise loaded.error_at((*key, "targets"), f"{name} is untargeted: it takes no targets")
        return "none"  # what the config says of all attacks is for those that can be aimed
    if aim == "targeted" and targets == "none":
        raise loaded.error_at(
            key,
            f"{name} is targeted: set targets, to one of"
            f" {', '.join(aim for aim in AIMS if aim != 'none')} or to a class",
        )
    return targets


def items_of(
    planned: Planned,
    images: Sequence[ImageRow],
    classes: int,
    seed: int,
    reject: int | None = None,
) -> list[tuple[int, int]]:
    """(image, target) of all that an attack is to do, without images of their target's class.

    Where the victim has a class for "no answer" (`reject`), nothing is aimed at it, and images of
    it, which fool nobody to begin with, are only for attacks without a goal.
    """
    return [
        (image.index, target)
        for image in images
        if image.used and (reject is None or image.label != reject or planned.attack.aim == "any")
        for target in _targets(planned.targets, image, classes, seed, reject)
        if target != image.label
    ]


def check_rows(
    path: Path, items: Mapping[int, Sequence[tuple[int, int]]], rows: Sequence[ResultRow]
) -> None:
    """Refuse stored results that are of no image and attack of their run.

    Args:
        path: the run folder, for the message.
        items: what each attack was to do, by its number.
        rows: the results.

    Raises:
        StoreError: there is one.
    """
    for row in rows:
        own = items.get(row.attack, ())
        if row.item >= len(own) or own[row.item] != (row.image, row.target):
            raise StoreError(
                f"{path}: damaged: result {row.item} of attack {row.attack} is of no image and"
                " target that this attack has"
            )


def _targets(
    targets: int | str, image: ImageRow, classes: int, seed: int, reject: int | None
) -> list[int]:
    if targets == "none":
        return [NONE]
    if targets == "least_likely":
        return [image.least_likely]
    if isinstance(targets, int):
        return [targets]
    others = [c for c in range(classes) if c not in (image.label, reject)]
    if targets == "all" or not others:
        return others
    if targets == "next":
        return [next((c for c in others if c > image.label), others[0])]
    assert targets == "random"
    return [others[int(generator(seed, Stream.TARGET, image.index, 0).integers(len(others)))]]
