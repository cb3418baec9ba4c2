"""The schema of ``kind: search``: which ways to search, on which nets, for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evofool.config import ClassifierConfig, Model
from evofool.config.attack import ImagesConfig
from evofool.config.campaign import EncodingConfig
from evofool.config.document import Document
from evofool.config.loading import absolute_classifier, absolute_code
from evofool.config.values import Count, Positive, listed
from evofool.experiments.sections import ExperimentScoring, Sources, called, no_repeats
from evofool.experiments.transfer.config import absolute_images

RESERVED = ("initial", "children", "classes", "algorithm")
"""Keys of ``evolution`` that are the same for all variants, and stand beside them."""


class Variant(Model):
    """One way to search.

    Attributes:
        name: in tables and figures; by default the encoding's, with its preset.
        encoding: as in the config of a campaign, with its options.
        evolution: keys of the section of that name in the config of a campaign.
        evaluations: of this variant, where it gets others than the rest.
    """

    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,49}$")]
    encoding: EncodingConfig
    evolution: dict[str, Any] = Field(default_factory=dict)
    evaluations: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"encoding": value}
        if not isinstance(value, dict):
            return value
        encoding = value.get("encoding")
        if isinstance(encoding, str):
            encoding = {"name": encoding}
            value = {**value, "encoding": encoding}
        if "name" not in value and isinstance(encoding, dict):
            parts = (called(str(encoding.get("name", ""))), encoding.get("preset", ""))
            return {"name": " ".join(str(part) for part in parts if part), **value}
        return value

    @field_validator("evolution")
    @classmethod
    def _own_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in RESERVED:
            if key in value:
                raise ValueError(
                    f"{key} is the same for all variants; set it at the top of the config"
                )
        return value


class SearchConfig(Model):
    """A comparison of ways to search, checked and complete.

    Attributes:
        victims: nets; each is searched by every variant with every seed.
        variants: ways to search.
        baseline: the variant that the others are set against; the first by default.
        evaluations: images that each campaign scores, to the next full generation.
        initial: random individuals before the first generation.
        children: individuals a generation.
        classes: the first so many are sought; None is all.
        seeds: one campaign each.
        medians: median confidences; what is told is how many evaluations each takes.
        shown_to: other nets, which are shown the surest pictures of every campaign.
        surest: how many of each.
        images: natural pictures: how far the champions are from the nearest one is told.
        scoring: how images are scored.
        seed: of the run; the campaigns have their own.
    """

    kind: Literal["search"] = "search"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    victims: Annotated[Sources, Field(min_length=1, max_length=100)]
    variants: Annotated[
        tuple[Variant, ...], BeforeValidator(listed), Field(min_length=1, max_length=100)
    ]
    baseline: str | None = None
    evaluations: Positive = 20_000
    initial: Count = 200
    children: Count = 200
    classes: Annotated[int, Field(ge=1, le=100_000)] | None = None
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**63)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=100),
    ] = (1, 2, 3)
    medians: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        BeforeValidator(listed),
        Field(max_length=20),
    ] = (0.05, 0.1, 0.135, 0.2)
    shown_to: Annotated[Sources, Field(max_length=100)] = ()
    surest: Count = 200
    images: ImagesConfig | None = None
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("seeds", "medians")
    @classmethod
    def _once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return no_repeats(value)

    @field_validator("victims", "shown_to")
    @classmethod
    def _each_once(cls, value: tuple[ClassifierConfig, ...]) -> tuple[ClassifierConfig, ...]:
        no_repeats(tuple(net.model_dump_json() for net in value))
        return value

    @model_validator(mode="after")
    def _variants(self) -> Self:
        names = tuple(variant.name for variant in self.variants)
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"variants: two are called {name}; give one another name")
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(f"baseline: no variant is called {self.baseline}")
        return self

    @field_validator("images")
    @classmethod
    def _natural(cls, value: ImagesConfig | None) -> ImagesConfig | None:
        if value is not None and value.noise is not None:
            raise ValueError("noise is not a natural picture; name a folder or a dataset")
        return value

    @property
    def against(self) -> str:
        """The name of the baseline."""
        return self.baseline or self.variants[0].name

    def generations(self, variant: Variant) -> int:
        """Of a campaign, not counting the initial individuals."""
        wanted = variant.evaluations or self.evaluations
        return max(0, -(-(wanted - self.initial) // self.children))


def resolve(config: SearchConfig, document: Document, check_files: bool) -> Document:
    """`document` with the files of nets and encodings absolute, see
    `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing.
    """
    for index in range(len(config.victims)):
        document = absolute_classifier(document, ("victims", index), check_files)
    for index in range(len(config.shown_to)):
        document = absolute_classifier(document, ("shown_to", index), check_files)
    if config.images is not None:
        document = absolute_images(document, config.images, check_files)
    return absolute_code(document, ("variants",), check_files)
