"""The schema of a campaign: what a config may say, its defaults and its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from evofool.config.base import Model
from evofool.config.classifier import ClassifierConfig
from evofool.config.evolution import EvolutionConfig, MapElitesConfig, OneClass
from evofool.config.options import WithOptions
from evofool.config.scoring import SpreadScoring
from evofool.config.values import Positive


class EncodingConfig(WithOptions):
    """The encoding: in YAML its options are written beside its name, and it checks them itself."""


class StopConfig(Model):
    """When a campaign ends: at the first of these that is reached; None is never.

    Attributes:
        generations: not counting the initial individuals.
        evaluations: distinct images, the initial ones included.
        seconds: active time, summed over resumes.
        confidence: every cell has reached it.
        stagnation: generations in which no cell improved.
    """

    generations: Positive | None = None
    evaluations: Positive | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    stagnation: Positive | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"the campaign would never end; set at least one of {names}")
        return self


class Campaign(Model):
    """A campaign, checked and complete; `evofool.config.to_yaml` writes it down."""

    kind: Literal["evolve"] = "evolve"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    classifier: ClassifierConfig
    encoding: EncodingConfig
    evolution: Annotated[EvolutionConfig, Field(discriminator="algorithm")] = Field(
        default_factory=MapElitesConfig
    )
    stop: StopConfig
    scoring: SpreadScoring = Field(default_factory=SpreadScoring)
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @field_validator("classifier", "encoding", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("scoring")
    @classmethod
    def _screened(cls, value: SpreadScoring, info: ValidationInfo) -> SpreadScoring:
        evolution = info.data.get("evolution")
        if value.precision != "float32" and isinstance(evolution, OneClass):
            raise ValueError(
                f"precision {value.precision} can only screen for an archive, and"
                f" {evolution.algorithm} ranks every child; use float32"
            )
        return value

    @field_validator("evolution", mode="before")
    @classmethod
    def _default_algorithm(cls, value: Any) -> Any:
        if isinstance(value, dict) and "algorithm" not in value:
            return {"algorithm": "map_elites", **value}
        return value
