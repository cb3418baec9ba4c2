"""The schema of ``kind: retrain``: a net, a loop of evolution and retraining, what is measured."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evofool.config import ClassifierConfig, Model, find
from evofool.config.document import Document
from evofool.config.loading import absolute_classifier, absolute_code, absolute_pictures
from evofool.config.values import Count, listed
from evofool.errors import ConfigError
from evofool.experiments.sections import EvolutionThreat, ExperimentScoring, called
from evofool.files import is_file
from evofool.training.config import OptimiserConfig
from evofool.validation import KeyPath

ALL = "all"
"""In `trained_on`: pictures of every encoding, in equal parts."""


class RetrainData(Model):
    """Labelled images of the net's size and classes.

    Attributes:
        dataset: a name that ``evofool list datasets`` shows.
        split: that clean errors are measured on.
        limit: how many of these, drawn by the seed; None is all.
        train: the split that nets are retrained on.
        train_limit: how many of these, drawn by the seed; None is all.
    """

    dataset: Annotated[str, Field(min_length=1)]
    split: Literal["train", "validation", "test"] = "test"
    limit: Count | None = None
    train: Literal["train", "validation", "test"] = "train"
    train_limit: Count | None = None


class FoolingImages(Model):
    """Pictures of the class "fooling", taken from what evolution scored.

    Attributes:
        first: how many the first round adds (Nguyen et al. 2015, MNIST: 6000).
        more: how many each further round adds (1000).
        first_share: share of them from the first generations; the rest are from the last.
    """

    first: Count = 6000
    more: Count = 1000
    first_share: Annotated[float, Field(ge=0, le=1)] = 0.5


class RetrainTraining(Model):
    """How each net is retrained, on the training split and all fooling pictures so far.

    Attributes:
        start: from the ``last`` net's weights (at first the base's, with new weights for one class
            more), or from ``scratch``.
        epochs: passes over all images.
        batch: images a step.
        optimiser: as for ``evofool train``.
        shift: images are moved at random by up to so many pixels each way.
        mirror: images are mirrored left to right at random.
        weight: how much the loss of a fooling picture counts against that of a clean one. The mean
            weight of an epoch stays 1, so that it changes no step size.
    """

    start: Literal["last", "scratch"] = "last"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 1
    batch: Annotated[int, Field(ge=1, le=65_536)] = 128
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)
    shift: Annotated[int, Field(ge=0, le=8)] = 0
    mirror: bool = False
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0


class AscentThreat(Model):
    """Gradient ascent from noise to each real class in turn (Nguyen et al. 2015).

    Attributes:
        images: pictures of uniform noise to start from.
        steps: most steps.
        confidence: that must be reached on the saved picture.
    """

    images: Count = 50
    steps: Annotated[int, Field(ge=1, le=100_000)] = 200
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.99


class RetrainConfig(Model):
    """A retraining loop, checked and complete.

    Attributes:
        base: the net of round 0: bundled, weights, or a training config that is run first.
        data: labelled images.
        rounds: of retraining.
        trained_on: one chain of nets each: an encoding of `evolution`, whose pictures are added,
            or ``all``. Every net is attacked in every encoding.
        images: how many fooling pictures, and from where.
        training: how nets are retrained.
        evolution: against every net of every round; each of its seeds is a chain of its own.
        ascent: gradients as an attacker, or None.
        others: nets that the champions of each round are shown to.
        scoring: how images are scored.
        device: to train on.
        seed: of the choice of data and of training.
    """

    kind: Literal["retrain"] = "retrain"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    base: ClassifierConfig
    data: RetrainData
    rounds: Annotated[int, Field(ge=1, le=1000)] = 5
    trained_on: Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)] = (ALL,)
    images: FoolingImages = Field(default_factory=FoolingImages)
    training: RetrainTraining = Field(default_factory=RetrainTraining)
    evolution: EvolutionThreat = Field(default_factory=EvolutionThreat)
    ascent: AscentThreat | None = Field(default_factory=AscentThreat)
    others: Annotated[tuple[ClassifierConfig, ...], BeforeValidator(listed)] = ()
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("base", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("others", mode="before")
    @classmethod
    def _shorthands(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple({"name": item} if isinstance(item, str) else item for item in value)

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = (*(one.called or one.name for one in self.evolution.encodings), ALL)
        for name in self.trained_on:
            if name not in known:
                raise ValueError(
                    f"trained_on: {name!r} is not one of evolution.encodings; allowed:"
                    f" {', '.join(known)}"
                )
        if len(set(self.trained_on)) < len(self.trained_on):
            raise ValueError("trained_on: names one twice")
        return self

    def encodings_of(self, chain: str) -> tuple[str, ...]:
        """The encodings whose pictures a chain is trained on, as files and tables name them."""
        return tuple(self.evolution.named) if chain == ALL else (chain,)

    @property
    def chains(self) -> tuple[str, ...]:
        """`trained_on` as files and tables name it."""
        return tuple(called(each) for each in self.trained_on)


def resolve(config: RetrainConfig, document: Document, check_files: bool) -> Document:
    """`document` with all files that it names absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing, or more pictures are asked for than evolution scores.
    """
    _check_counts(config, document)
    if not is_training(config.base.name):
        document = absolute_classifier(document, ("base",), check_files)
    else:
        document = _training(document, config.base.name, check_files)
    for index in range(len(config.others)):
        document = absolute_classifier(document, ("others", index), check_files)
    document = absolute_pictures(document, ("evolution", "encodings"), check_files)
    for key in (("evolution", "encodings"), ("trained_on",)):
        document = absolute_code(document, key, check_files)
    return document


def is_training(name: str) -> bool:
    """Whether `base` names a training config: a YAML file, or a shipped one (``train/...``)."""
    return name.endswith((".yaml", ".yml")) or name.startswith("train/")


def _training(document: Document, name: str, check: bool) -> Document:
    where: KeyPath = ("base", "name")
    if not isinstance(document.data["base"], dict):
        where = ("base",)
    path = document.resolve(where, name)
    if is_file(path):
        return document.replaced(where, str(path), document.place(where))
    if check:
        try:
            find(name)
        except ConfigError as error:
            raise document.error(where, str(error)) from error
    return document


def _check_counts(config: RetrainConfig, document: Document) -> None:
    """Refuse to ask a run of evolution for more pictures than it scores."""
    e, images = config.evolution, config.images
    scored = e.initial + e.generations * e.children
    for key, wanted in (("first", images.first), ("more", images.more)):
        if wanted > scored:
            raise document.error(
                f"images.{key}",
                f"{wanted:,} fooling images are needed from each campaign, which scores only"
                f" {scored:,} (initial + generations x children); lower it, or raise"
                " evolution.generations",
            )
