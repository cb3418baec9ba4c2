"""From a config to the attacks of a run, in order, with every error at its place in the config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.attacks.base import Attack
from evofool.attacks.registry import grid, parameters_of, title
from evofool.attacks.result import NONE
from evofool.attacks.runs.rows import ImageRow, ResultRow
from evofool.attacks.substitute.transfer import SubstituteAttack
from evofool.config import AttackCampaign, Loaded, class_index
from evofool.config.attack import AIMS
from evofool.errors import AttackError, DamagedError
from evofool.randomness import Stream, generator
from evofool.validation import KeyPath


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
    planned: list[Planned] = []
    for position, entry in enumerate(config.attacks):
        key: KeyPath = ("attacks", position)
        options = {"seed": config.seed, **entry.options}
        try:
            attacks = list(grid(entry.name, options))
        except AttackError as error:
            raise loaded.option_error_at(key, error, entry.options) from error
        own = entry.targets is not None
        where: KeyPath = (*key, "targets") if own else ("targets",)
        wanted: int | str = config.targets if entry.targets is None else entry.targets
        if labels is not None and wanted not in AIMS:
            wanted = class_index(loaded, where, wanted, labels)
        for attack in attacks:
            targets = _fitting(loaded, key, attack, wanted, own)
            parameters = {"seed": attack.seed, **parameters_of(attack)}
            planned.append(
                Planned(len(planned), position, attack, title(entry.name), parameters, targets)
            )
    return tuple(planned)


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
            f"{name} is targeted: set targets to a class, or to one of"
            f" {', '.join(aim for aim in AIMS if aim != 'none')}",
        )
    return targets


def items_of(
    attack: Attack,
    targets: int | str,
    images: Sequence[ImageRow],
    classes: int,
    seed: int | None,
    reject: int | None = None,
) -> list[tuple[int, int]]:
    """(image, target) of all that an attack is to do, without images of their target's class, or
    for which the victim claims it already.

    Where the victim has a class for "no answer" (`reject`), nothing is aimed at it, and images of
    it, which fool nobody to begin with, are only for attacks without a goal.

    Args:
        attack: that is to do it.
        targets: one of `AIMS`, or a class.
        images: all clean ones.
        classes: of the victim.
        seed: of random targets; without a meaning for others.
        reject: the class for "no answer", if there is one.
    """
    return [
        (image.item, target)
        for image in images
        if image.used and (reject is None or image.label != reject or attack.aim == "any")
        for target in _targets(targets, image, classes, seed, reject)
        if target != image.label and target not in (image.claimed or ())
    ]


def check_rows(
    path: Path, name: str, items: Sequence[tuple[int, int]], rows: Sequence[ResultRow]
) -> None:
    """Refuse stored results that are of no image and target of their attack.

    Args:
        path: the run folder, for the message.
        name: of the attack, for the message.
        items: what the attack was to do.
        rows: its results.

    Raises:
        StoreError: there is one.
    """
    for row in rows:
        if row.item >= len(items) or items[row.item] != (row.image, row.target):
            raise DamagedError(
                f"{path}: damaged: result {row.item} of {name} belongs to no image and target of"
                " this attack"
            )


def _targets(
    targets: int | str, image: ImageRow, classes: int, seed: int | None, reject: int | None
) -> list[int]:
    if targets == "none":
        return [NONE]
    if targets == "least_likely":
        return [image.least_likely]
    if isinstance(targets, int):
        return [targets]
    taken = {image.label, reject, *(image.claimed or ())}
    others = [c for c in range(classes) if c not in taken]
    if targets == "all" or not others:
        return others
    if targets == "next":
        return [next((c for c in others if c > image.label), others[0])]
    assert targets == "random"
    assert seed is not None
    return [others[int(generator(seed, Stream.TARGET, image.item, 0).integers(len(others)))]]
