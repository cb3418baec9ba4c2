"""The schema of ``kind: explore``: which net, what is evolved, and how it is looked at."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evofool.config import ClassifierConfig, Model
from evofool.config.attack import AttackEntry, ImagesConfig
from evofool.config.document import Document
from evofool.config.loading import absolute_classifier, absolute_code, absolute_pictures
from evofool.config.values import Count, listed
from evofool.experiments.sections import EvolutionThreat, ExperimentScoring, no_repeats
from evofool.experiments.transfer.config import absolute_images

SECTIONS = ("repetition", "decision_map", "embedding", "source_target", "goal_switching")
"""What can be looked at; at least one is."""


class RepetitionConfig(Model):
    """The best window of each champion, with the mean elsewhere (Nguyen et al. 2015, repetition).

    Attributes:
        windows: sides of the square windows, as shares of the picture's shorter side.
        stride: pixels between two positions that are tried; None is a 28th of the shorter side, at
            least 1.
    """

    windows: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=20),
    ] = (0.25, 0.5, 0.75)
    stride: Count | None = None

    @field_validator("windows")
    @classmethod
    def _once(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return no_repeats(value)


class DecisionMapConfig(Model):
    """Classes over the plane through a natural, an adversarial and an evolved picture.

    Attributes:
        classes: one map each, by index.
        side: points along each direction of the plane.
        attack: untargeted; it makes the adversarial picture of the natural one.
    """

    classes: Annotated[
        tuple[Annotated[int, Field(ge=0, le=100_000)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=100),
    ]
    side: Annotated[int, Field(ge=2, le=401)] = 81
    attack: AttackEntry = Field(default_factory=lambda: AttackEntry.model_validate("pgd"))

    @field_validator("classes")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return no_repeats(value)


class EmbeddingConfig(Model):
    """Natural pictures and champions by the net's penultimate features.

    Attributes:
        natural: natural pictures at most, the first of them.
    """

    natural: Count = 500


class SourceTargetConfig(Model):
    """One picture of each class turned into every other class (Papernot et al. 2016, figure 1).

    Attributes:
        attack: targeted.
        classes: the first so many.
    """

    attack: AttackEntry = Field(default_factory=lambda: AttackEntry.model_validate("jsma"))
    classes: Annotated[int, Field(ge=2, le=100)] = 10


class GoalSwitchingConfig(Model):
    """How many new champions descend from champions of other classes.

    Attributes:
        bins: equal parts of a campaign that the curve has a point for, at most.
    """

    bins: Annotated[int, Field(ge=1, le=1000)] = 20


class ExploreConfig(Model):
    """A closer look, checked and complete.

    Attributes:
        classifier: the net.
        classes: the first so many are sought by evolution; None is all.
        evolution: campaigns, one per encoding and seed.
        images: natural pictures with labels of their own.
        repetition, decision_map, embedding, source_target, goal_switching: what is looked at; None
            leaves it out.
        pictures: whether natural pictures, and what is made from them, are shown.
        scoring: how images are scored.
        seed: of attacks that have none of their own, and of noise.
    """

    kind: Literal["explore"] = "explore"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    classifier: ClassifierConfig
    classes: Annotated[int, Field(ge=1, le=100_000)] | None = None
    evolution: EvolutionThreat = Field(default_factory=EvolutionThreat)
    images: ImagesConfig | None = None
    repetition: RepetitionConfig | None = None
    decision_map: DecisionMapConfig | None = None
    embedding: EmbeddingConfig | None = None
    source_target: SourceTargetConfig | None = None
    goal_switching: GoalSwitchingConfig | None = None
    pictures: bool = True
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("classifier", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(getattr(self, section) is not None for section in SECTIONS):
            raise ValueError(f"asks for no part: add at least one of {', '.join(SECTIONS)}")
        for section in ("decision_map", "embedding", "source_target"):
            if getattr(self, section) is not None and self.images is None:
                raise ValueError(f"{section} needs natural pictures: add images")
        if self.images is not None and (
            self.images.noise is not None or self.images.labels == "victim"
        ):
            raise ValueError("images: must be pictures with their own labels")
        return self


def resolve(config: ExploreConfig, document: Document, check_files: bool) -> Document:
    """`document` with all files that it names absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing.
    """
    document = absolute_classifier(document, ("classifier",), check_files)
    if config.images is not None:
        document = absolute_images(document, config.images, check_files)
    document = absolute_pictures(document, ("evolution", "encodings"), check_files)
    for section in (("evolution", "encodings"), ("decision_map",), ("source_target",)):
        document = absolute_code(document, section, check_files)
    return document
