"""Ensembles: one victim of several nets, whose log-odds of a class are combined into one figure.

A picture is drawn at the size of the largest member and resized for the others. With the rule
``least`` an ensemble's log-odds of a class are the least of its members', so that it is as sure as
the member that is hardest to convince; with ``mean`` they are their mean. Classes go by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.classifiers.base import Classifier, Ensemble, Rule
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.spec import ClassifierSpec, Inspection
from evofool.config import ClassifierConfig
from evofool.config.classes import find_class
from evofool.config.classifier import ensemble_name
from evofool.errors import ClassifierError
from evofool.images import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN = 3
"""Classes that a note names."""


def from_members(
    members: Sequence[Classifier], *, rule: Rule = "least", name: str | None = None
) -> Classifier:
    """A classifier (the victim) that is several nets at once: an ensemble.

    >>> victim = from_members([first, second], rule="least")

    Its classes are those that all members have, by name, in the order of the first member. Its
    confidence in a class is the sigmoid of its log-odds: with ``least`` the least of the members'
    confidences; wherever it is above .5, the class is every member's first answer (of members that
    may claim several classes: one that every member claims). Every picture counts as one forward
    image for each member. Gradients can be had where every member has them.

    Args:
        members: the nets, in any order: as long as they name the same classes in the same order,
            the order changes neither a score nor the digest.
        rule: ``least`` or ``mean`` of the members' log-odds.
        name: for messages and run folders; made from the members' names by default.

    Raises:
        ClassifierError: no members, one that is there twice, is itself an ensemble, gives labels
            only or averages crops; some, not all, that may claim several classes; two that share
            no class, or fewer than two classes are left.
    """
    members = tuple(members)
    title = name or ensemble_name(rule, [member.headline for member in members])
    where = f"classifier {title}"
    if rule not in ("least", "mean"):
        raise ClassifierError(f"{where}: the rule must be least or mean, not {rule!r}")
    if not members:
        raise ClassifierError(f"{where}: an ensemble needs at least one net")
    for member in members:
        _check_member(member, where)
    several = [member.multi_label for member in members]
    if any(several) and not all(several):
        one, other = members[several.index(True)], members[several.index(False)]
        raise ClassifierError(
            f"{where}: {one.headline} may claim several classes (task: multi-label), and"
            f" {other.headline} chooses one, so their confidences do not mean the same; give all"
            " members this task, or none"
        )
    labels, classes, note = _shared_classes(members, where)
    shape = common_shape([member.input_shape for member in members])
    identities = [_identity(m, own) for m, own in zip(members, classes, strict=True)]
    for index, identity in enumerate(identities):
        if (first := identities.index(identity)) != index:
            raise ClassifierError(
                f"{where}: {members[first].headline} and {members[index].headline} are the same"
                " net; name each once"
            )
    victim = Classifier(
        name=title,
        labels=labels,
        input_shape=shape,
        digest=_digest(rule, labels, shape, identities),
        output="logits",
        link="sigmoid",
        resize=next((m.resize for m in members if m.input_shape == shape), None),
        preprocessing="resized to the input of each member",
        title=title,
        opaque=tuple(f"{part} of {member.name}" for member in members for part in member.opaque),
        probed=sum(member.probed for member in members),
        ensemble=Ensemble(members, rule, classes, note),
        multi_label=all(several),
    )
    if not all(member.white_box for member in members):
        return victim
    from dataclasses import replace

    from evofool.classifiers.nets.ensemble import EnsembleModule

    return replace(victim, module=EnsembleModule(victim))


def load_ensemble(spec: ClassifierSpec, base: Path, load: Callable[..., Classifier]) -> Classifier:
    """The ensemble of a config.

    Args:
        spec: with `ensemble`.
        base: folder that relative paths start from.
        load: `evofool.classifiers.load_classifier`.

    Raises:
        ClassifierError: a member cannot be had, or as `from_members`.
    """
    members = []
    for index, member in enumerate(_members(spec)):
        try:
            members.append(load(member, base=base))
        except ClassifierError as error:
            raise ClassifierError(f"classifier {spec.name}: member {index}: {error}") from error
    return from_members(members, rule=spec.rule or "least", name=spec.name)


def inspect_ensemble(
    spec: ClassifierSpec, base: Path, inspect: Callable[..., Inspection]
) -> Inspection:
    """The description of an ensemble; how many classes its members share only loading shows.

    Raises:
        ClassifierError: there is no such member, or it is one that none can be.
    """
    inspections = []
    for index, member in enumerate(_members(spec)):
        try:
            inspections.append(inspect(member, base=base))
        except ClassifierError as error:
            raise ClassifierError(f"classifier {spec.name}: member {index}: {error}") from error
    shapes = [i.input_shape for i in inspections if i.input_shape is not None]
    whole = len(shapes) == len(inspections)
    missing = [f"{i.name}: {i.missing}" for i in inspections if not i.ready]
    return Inspection(
        spec.name, common_shape(shapes) if whole else None, None, not missing, "; ".join(missing)
    )


def common_shape(shapes: Sequence[Shape]) -> Shape:
    """The input of an ensemble: the largest side by side, in colour if any member sees colours.

    Args:
        shapes: channels, height and width of each member's input.
    """
    channels = max(shape[0] for shape in shapes)
    height, width = max((shape[1:] for shape in shapes), key=lambda size: (size[0] * size[1], size))
    return channels, height, width


def _members(spec: ClassifierSpec) -> list[ClassifierSpec]:
    spec.allow("an ensemble", ("ensemble", "rule"))
    if spec.crops != 1:
        raise ClassifierError(f"classifier {spec.name}: an ensemble cannot average crops")
    members: Sequence[ClassifierConfig] = spec.ensemble or ()
    return [ClassifierSpec.model_validate(m.model_dump(exclude_unset=True)) for m in members]


def _check_member(member: Classifier, where: str) -> None:
    if member.ensemble is not None:
        raise ClassifierError(
            f"{where}: {member.headline} is itself an ensemble; list its members instead"
        )
    if member.transformed is not None:
        raise ClassifierError(
            f"{where}: {member.headline} has its own transforms; give them to the ensemble, so"
            " that all its nets see the same picture"
        )
    if member.output == "label":
        raise ClassifierError(
            f"{where}: {member.headline} gives only labels, so it has no log-odds to combine"
        )
    if member.is_service:
        raise ClassifierError(
            f"{where}: {member.headline} is a service, which cannot be part of an ensemble; use"
            " nets on this machine"
        )
    if member.crops > 1:
        raise ClassifierError(f"{where}: {member.headline} averages crops; set its crops: 1")


def _shared_classes(
    members: Sequence[Classifier], where: str
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...], str]:
    """Labels that all members have, each member's classes for them, and a note on the others."""
    first, own = members[0], _answers(members[0])
    maps: list[dict[int, int]] = []
    for member in members:
        shared = _class_map(own, _answers(member))
        if not shared:
            numbers = any(a == numbered_labels(len(a)) for a in (own, _answers(member)))
            raise ClassifierError(
                f"{where}: {first.headline} and {member.headline} share no classes"
                f" ({_few(own)} against {_few(_answers(member))}"
                f"{'; a number says nothing of what a class is' if numbers else ''}); name nets of"
                " the same classes, or give one the other's names by its `labels`"
            )
        maps.append(shared)
    kept = [c for c in range(len(own)) if all(c in shared for shared in maps)]
    if len(kept) < 2:
        names = ", ".join(member.headline for member in members)
        raise ClassifierError(
            f"{where}: {names} share {len(kept)} class{('es' if not kept else '')}, but an"
            " ensemble needs at least two; name nets of the same classes"
        )
    labels = tuple(own[c] for c in kept)
    classes = tuple(tuple(shared[c] for c in kept) for shared in maps)
    return labels, classes, _left_out(members, labels, classes)


def _answers(member: Classifier) -> tuple[str, ...]:
    """Labels of a member, but for the class that stands for "no answer"."""
    return member.labels if member.reject is None else member.labels[: member.reject]


def _class_map(own: tuple[str, ...], others: tuple[str, ...]) -> dict[int, int]:
    """The class of `others` for each class of `own` that has one of that name."""
    if own == others:  # where two classes may share a name
        return {c: c for c in range(len(own))}
    numbers = any(labels == numbered_labels(len(labels)) for labels in (own, others))
    if numbers and sorted(own) != sorted(others):
        return {}
    found: dict[int, int] = {}
    for c, name in enumerate(own):
        try:
            other = find_class(name, others)
        except LookupError:
            continue
        if own.count(name) == 1 and other not in found.values():
            found[c] = other
    return found


def _left_out(
    members: Sequence[Classifier],
    labels: tuple[str, ...],
    classes: Sequence[Sequence[int]],
) -> str:
    parts = []
    for member, used in zip(members, classes, strict=True):
        unused = set(range(len(_answers(member)))) - set(used)
        if unused:
            names = _few([member.labels[c] for c in sorted(unused)])
            parts.append(f"{len(unused)} of {member.headline} ({names})")
    if not parts:
        return ""
    return (
        f"its {len(labels)} classes are those that all members have; classes left out:"
        f" {', '.join(parts)}"
    )


def _few(labels: Sequence[str]) -> str:
    more = ", ..." if len(labels) > _SHOWN else ""
    return ", ".join(repr(label[:30]) for label in labels[:_SHOWN]) + more


def _identity(member: Classifier, classes: Sequence[int]) -> dict[str, object]:
    """What of a member can change a score."""
    return {
        "digest": member.digest,
        "output": member.output,
        "link": member.link,
        "input_shape": list(member.input_shape),
        "classes": list(classes),
    }


def _digest(
    rule: Rule, labels: Sequence[str], shape: Shape, members: Sequence[dict[str, object]]
) -> str:
    """Over the rule, the classes and the members' digests, whose order changes no score."""
    texts = sorted(json.dumps(member, sort_keys=True) for member in members)
    whole = {"rule": rule, "labels": list(labels), "input_shape": list(shape), "members": texts}
    return hashlib.sha256(f"ensemble {json.dumps(whole, sort_keys=True)}".encode()).hexdigest()
