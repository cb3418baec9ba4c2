"""The schema of ``kind: transfer``: which nets, which attacks, how much evolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from evofool.config import ClassifierConfig, Model, find
from evofool.config.attack import AttackEntry, ImagesConfig
from evofool.config.classifier import MOST_NETS, EnsembleRule
from evofool.config.document import Document
from evofool.config.loading import absolute_classifier, absolute_code, absolute_pictures
from evofool.config.values import Classes, Count, listed
from evofool.errors import ConfigError
from evofool.experiments.sections import EvolutionThreat, ExperimentScoring, no_repeats
from evofool.files import is_file
from evofool.validation import KeyPath


class TrainedNet(Model):
    """A net that is trained first.

    Attributes:
        train: a training config, file or shipped name.
        epochs: instead of that config's.
        seed: instead of that config's: a net and its sister differ in it alone.
    """

    train: Annotated[str, Field(min_length=1)]
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None


def _nets(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return tuple({"name": item} if isinstance(item, str) else item for item in value)


def _form(value: Any) -> str:
    """Which form a net is written in, so that errors are of that form alone."""
    if isinstance(value, TrainedEnsemble) or (isinstance(value, Mapping) and _trains(value)):
        return "together"
    trained = isinstance(value, TrainedNet) or (isinstance(value, Mapping) and "train" in value)
    return "trained" if trained else "given"


def _trains(value: Mapping[str, Any]) -> bool:
    """Whether an ensemble has members that are trained first."""
    nets = value.get("ensemble")
    return isinstance(nets, list | tuple) and any(_form(net) == "trained" for net in nets)


_Member: TypeAlias = Annotated[
    Annotated[TrainedNet, Tag("trained")] | Annotated[ClassifierConfig, Tag("given")],
    Discriminator(_form),
]


def _members(value: Any) -> Any:
    for net in value if isinstance(value, list | tuple) else ():
        if isinstance(net, Mapping) and net.get("ensemble") is not None:
            raise ValueError("holds another ensemble; list its nets instead")
    return _nets(value)


class TrainedEnsemble(Model):
    """Several nets at once, some of which are trained first.

    Attributes:
        ensemble: the nets.
        rule: its log-odds of a class are the least of its nets' or their mean.
    """

    ensemble: Annotated[
        tuple[_Member, ...],
        BeforeValidator(_members),
        Field(min_length=1, max_length=MOST_NETS),
    ]
    rule: EnsembleRule = "least"

    @field_validator("ensemble")
    @classmethod
    def _once(cls, value: tuple[_Member, ...]) -> tuple[_Member, ...]:
        no_repeats(tuple(net.model_dump_json() for net in value))
        return value


_Net: TypeAlias = Annotated[
    Annotated[TrainedNet, Tag("trained")]
    | Annotated[TrainedEnsemble, Tag("together")]
    | Annotated[ClassifierConfig, Tag("given")],
    Discriminator(_form),
]
NetConfig: TypeAlias = TrainedNet | TrainedEnsemble | ClassifierConfig
"""A net as a config writes it."""
Nets: TypeAlias = Annotated[
    tuple[_Net, ...],
    BeforeValidator(_nets),
    Field(min_length=1, max_length=100),
]
"""Nets by name or path, ``{train: CONFIG, epochs: N}``, or ``{ensemble: [...]}`` of both."""


class TransferEvolution(EvolutionThreat):
    """Evolution against every source.

    Attributes:
        classes: that pictures are evolved for, as in the config of a campaign.
    """

    classes: Classes = "all"


class TransferConfig(Model):
    """A transfer matrix, checked and complete.

    Attributes:
        sources: nets that pictures are made on.
        targets: nets that they are shown to; the sources by default.
        evolution: against every source, or None.
        noise: pictures of noise that every target is shown beside evolved ones.
        images: labelled pictures that are attacked, or None.
        attacks: untargeted ones, made on every source; a list of values is a grid.
        scoring: how images are scored.
        seed: of noise, and of every attack that has no `seed` of its own.
    """

    kind: Literal["transfer"] = "transfer"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    sources: Nets
    targets: Nets | None = None
    evolution: TransferEvolution | None = None
    noise: Count = 500
    images: ImagesConfig | None = None
    attacks: Annotated[tuple[AttackEntry, ...], BeforeValidator(listed)] = ()
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("sources", "targets")
    @classmethod
    def _once(cls, value: Nets | None) -> Nets | None:
        if value is not None:
            no_repeats(tuple(net.model_dump_json() for net in value))
        return value

    @field_validator("attacks")
    @classmethod
    def _untargeted(cls, value: tuple[AttackEntry, ...]) -> tuple[AttackEntry, ...]:
        for entry in value:
            if entry.targets not in (None, "none"):
                raise ValueError(
                    f"{entry.name}: the error of a net is measured with untargeted attacks;"
                    " remove targets"
                )
        return value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if bool(self.attacks) != (self.images is not None):
            there, missing = ("attacks", "images") if self.attacks else ("images", "attacks")
            raise ValueError(f"{there} without {missing}: give both or neither")
        if self.evolution is None and not self.attacks:
            raise ValueError("has nothing to show to the targets: add evolution, or attacks")
        if self.images is not None and (
            self.images.noise is not None or self.images.labels == "victim"
        ):
            raise ValueError("images: errors of nets need pictures with their own labels")
        return self


def resolve(config: TransferConfig, document: Document, check_files: bool) -> Document:
    """`document` with all files that it names absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing.
    """
    for section, nets in (("sources", config.sources), ("targets", config.targets or ())):
        for index, net in enumerate(nets):
            for where, single in singles((section, index), net):
                if isinstance(single, TrainedNet):
                    document = _training(document, (*where, "train"), single.train, check_files)
                else:
                    document = absolute_classifier(document, where, check_files)
    if config.images is not None:
        document = absolute_images(document, config.images, check_files)
    if config.evolution is not None:
        document = absolute_pictures(document, ("evolution", "encodings"), check_files)
        document = absolute_code(document, ("evolution", "encodings"), check_files)
    if config.attacks:
        document = absolute_code(document, ("attacks",), check_files)
        document = absolute_pictures(document, ("attacks",), check_files)
    return document


def singles(
    where: KeyPath, net: NetConfig
) -> Iterator[tuple[KeyPath, TrainedNet | ClassifierConfig]]:
    """A net, or the members of one that is to be trained in part, each with its key."""
    if isinstance(net, TrainedEnsemble):
        for index, member in enumerate(net.ensemble):
            yield (*where, "ensemble", index), member
    else:
        yield where, net


def _training(document: Document, where: KeyPath, train: str, check: bool) -> Document:
    """`document` with a training config absolute; shipped ones keep their names."""
    path = document.resolve(where, train)
    if is_file(path):
        return document.replaced(where, str(path), document.place(where))
    if check:
        try:
            find(train)
        except ConfigError as error:
            raise document.error(where, str(error)) from error
    return document


def absolute_images(document: Document, images: ImagesConfig, check: bool) -> Document:
    """`document` with folder and label file of its ``images`` absolute.

    Raises:
        ConfigError: a file is missing.
    """
    if images.folder is None:
        return document
    where: KeyPath = ("images", "folder")
    folder = document.resolve(where, images.folder)
    if check and not folder.is_dir():
        raise document.error(where, f"no such folder: {folder}")
    document = document.replaced(where, str(folder), document.place(where))
    if images.labels is None or images.has_pattern:
        return document
    where = ("images", "labels")
    file = document.resolve(where, images.labels)
    if check and not is_file(file):
        raise document.error(where, f"no such file: {file}")
    return document.replaced(where, str(file), document.place(where))
