"""The nets of a transfer matrix: what is known of each, and which class is which between two."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from evofool.classifiers import Classifier, from_members
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.matching import match_classes
from evofool.config import ClassifierConfig, Loaded, load_model
from evofool.config.classifier import EnsembleRule, ensemble_name
from evofool.data import DataSets
from evofool.errors import ClassifierError, ConfigError, DataError, UsageError
from evofool.experiments.checked import loaded_net
from evofool.experiments.engine import Planned, Scoring, Work
from evofool.experiments.transfer.config import (
    NetConfig,
    Nets,
    TrainedEnsemble,
    TrainedNet,
    TransferConfig,
    singles,
)
from evofool.experiments.works.nets import EnsembleNet, GivenNet, Net, quickest
from evofool.experiments.works.trained import Trained
from evofool.training import TrainConfig
from evofool.training.sources import load_sources as load_static_sources
from evofool.validation import KeyPath

Config = Loaded[TransferConfig]


@dataclass(frozen=True)
class MatrixNet:
    """A net of a matrix.

    Attributes:
        name: on pages and in tables, one net's only.
        net: as works name it.
        classifier: the net itself; of one that is yet to be trained only what is known before.
        white: whether gradients can be had.
        where: the key of the config that names it.
    """

    name: str
    net: Net
    classifier: Classifier
    white: bool
    where: KeyPath

    @classmethod
    def of(cls, net: Classifier) -> MatrixNet:
        """A net that is loaded, outside of any matrix."""
        return cls(net.headline, GivenNet.of(net, {}), net, net.white_box, ())

    @property
    def file(self) -> str:
        """Its name as part of a file name."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.name).strip("-.") or "net"

    @cached_property
    def parts(self) -> frozenset[str]:
        """Digests or addresses of the nets that it consists of: several of an ensemble."""
        return _parts(self.net)

    def shares_a_net(self, other: MatrixNet) -> bool:
        """Whether one of the two is an ensemble that holds the other, or a member of it."""
        together = max(len(self.parts), len(other.parts)) > 1
        return together and self.name != other.name and bool(self.parts & other.parts)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of its classes, but for one that stands for "no answer"."""
        reject = self.classifier.reject
        names = self.classifier.labels
        return names if reject is None else names[:reject]

    def answered(self, scoring: Scoring) -> Scoring:
        """How its answers are had, where no gradients are asked for."""
        return quickest(self.net, self.scored(scoring))

    def scored(self, scoring: Scoring) -> Scoring:
        """How its pictures are scored: PyTorch runs no graph and no predict function."""
        if self.white:
            return scoring
        return replace(scoring, engine="auto", device="cpu", on="auto")


def load_nets(
    loaded: Config, data: DataSets
) -> tuple[tuple[MatrixNet, ...], tuple[MatrixNet, ...], tuple[Planned, ...]]:
    """Sources, targets, and the trainings of those that are trained first.

    Raises:
        ConfigError: one cannot be had.
    """
    config = loaded.config
    names: dict[str, str] = {}
    known: dict[str, MatrixNet] = {}

    def one(where: KeyPath, spec: NetConfig) -> MatrixNet:
        key = spec.model_dump_json()
        if key not in known:
            if isinstance(spec, TrainedEnsemble):
                members = [one(at, member) for at, member in singles(where, spec)]
                net = _together(loaded, where, members, spec.rule)
            else:
                net = _load(loaded, where, spec, data)
            known[key] = _called(net, names)
        return known[key]

    def those(section: str, nets: Nets) -> tuple[MatrixNet, ...]:
        return tuple(one((section, index), spec) for index, spec in enumerate(nets))

    sources = those("sources", config.sources)
    targets = sources if config.targets is None else those("targets", config.targets)
    trainings = tuple(
        Planned(f"training, {net.name}", net.net, net.file)
        for net in known.values()
        if isinstance(net.net, Trained)
    )
    return sources, targets, trainings


def load_training(loaded: Config, where: KeyPath, net: TrainedNet) -> Loaded[TrainConfig]:
    """The training config that a net names.

    Raises:
        ConfigError: it is wrong, at `where`.
    """
    try:
        given = {"epochs": net.epochs, "seed": net.seed}
        overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
        return load_model(net.train, TrainConfig, overrides)
    except ConfigError as error:
        raise loaded.error_at(where, str(error)) from error


def class_map(source: MatrixNet, target: MatrixNet) -> tuple[int, ...]:
    """For each class of `source` the class of `target`, by name.

    Raises:
        LookupError: a class has no counterpart; the message names both nets.
    """
    own, others = source.labels, target.labels
    if len(set(others)) == len(others) and sorted(own) == sorted(others):
        return tuple(others.index(name) for name in own)
    if any(labels == numbered_labels(len(labels)) for labels in (own, others)):
        wrong = "a number says nothing of what a class is"
    else:
        try:
            return tuple(match_classes(own, others)[0])
        except LookupError as error:
            wrong = str(error)
    shared = len({name.casefold() for name in own} & {name.casefold() for name in others})
    what = "share no classes" if not shared else f"share {shared} of {len(own)} classes only"
    raise LookupError(
        f"{source.name} and {target.name} {what} ({_few(own)} against {_few(others)}; {wrong});"
        " name nets of the same classes, or give one the other's names by its `labels`"
    )


def _parts(net: Net) -> frozenset[str]:
    if isinstance(net, EnsembleNet):
        return frozenset(part for member in net.members for part in _parts(member))
    if isinstance(net, Work):
        return frozenset((net.address,))
    if isinstance(net, GivenNet) and net.classifier.ensemble is not None:
        return frozenset(member.digest for member in net.classifier.ensemble.members)
    return frozenset((net.digest,)) if isinstance(net, GivenNet) else frozenset()


def _few(labels: Sequence[str]) -> str:
    return ", ".join(repr(label[:30]) for label in labels[:2]) + (
        ", ..." if len(labels) > 2 else ""
    )


def _load(
    loaded: Config, where: KeyPath, spec: TrainedNet | ClassifierConfig, data: DataSets
) -> MatrixNet:
    if isinstance(spec, TrainedNet):
        return _to_be_trained(loaded, where, spec, data)
    net = loaded_net(loaded, where, spec)
    written = spec.model_dump(mode="json", exclude_none=True)
    return MatrixNet(net.headline, GivenNet.of(net, written), net, net.white_box, where)


def _together(
    loaded: Config, where: KeyPath, members: Sequence[MatrixNet], rule: EnsembleRule
) -> MatrixNet:
    """An ensemble with members that are yet to be trained."""
    outlines = [
        replace(net.classifier, digest=net.net.address) if isinstance(net.net, Work)
        else net.classifier
        for net in members
    ]  # fmt: skip
    name = ensemble_name(rule, [net.name for net in members])
    try:
        outline = from_members(outlines, rule=rule, name=name)
    except ClassifierError as error:
        raise loaded.error_at(where, str(error)) from error
    net = EnsembleNet(tuple(net.net for net in members), rule)
    return MatrixNet(name, net, outline, all(net.white for net in members), where)


def _to_be_trained(loaded: Config, at: KeyPath, net: TrainedNet, data: DataSets) -> MatrixNet:
    where: KeyPath = (*at, "train")
    training = load_training(loaded, where, net)
    try:
        shown = data.load(training.config.dataset, "train")
        static = load_static_sources(training, Path(), shown)
    except (DataError, UsageError) as error:
        raise loaded.error_at(where, str(error)) from error
    work = Trained.of(
        training, shown, tuple(source.digest for source in static), where=loaded.locate(where)
    )
    name = training.config.name
    if net.seed is not None:
        name = f"{name}, seed {net.seed}"
    outline = Classifier(name=name, labels=shown.label_names, input_shape=shown.shape, digest="")
    return MatrixNet(name, work, outline, True, where)


def _called(net: MatrixNet, names: dict[str, str]) -> MatrixNet:
    """`net` under a name that is its own, also as part of a file name."""
    name, count = net.name, 1
    while True:
        tried = replace(net, name=name)
        if tried.file.casefold() not in names:
            names[tried.file.casefold()] = name
            return tried
        count += 1
        name = f"{net.name} ({count})"
